"""``kapre-extract melspectrogram``."""

from typing import Any

import click

from kapre_cli.cli.options import ExtractingCommand, extraction_options
from kapre_cli.settings import MelspectrogramConfig


@click.command(cls=ExtractingCommand, short_help="Extract mel-spectrograms of files and folders.")
@extraction_options(MelspectrogramConfig)
def melspectrogram(**options: Any) -> int:
    """Extract mel-spectrograms of INPUTS: audio files, folders that are searched, - for a stream.

    \b
    kapre-extract melspectrogram recordings/ -o mels.h5 --n-mels 64 --power 2 --decibel
    kapre-extract melspectrogram bats/ -o bat-mels --n-dft 1024 --fmin 15000 --channel 0
    ffmpeg -v error -i film.mp4 -f wav - | kapre-extract melspectrogram - -o film.npy
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.extraction import extraction  # not needed for --help

    return extraction(MelspectrogramConfig, options)
