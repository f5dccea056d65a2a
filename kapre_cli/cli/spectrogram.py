"""``kapre-extract spectrogram``."""

from typing import Any

import click

from kapre_cli.cli.options import ExtractingCommand, extraction_options
from kapre_cli.settings import SpectrogramConfig


@click.command(cls=ExtractingCommand, short_help="Extract spectrograms of files and folders.")
@extraction_options(SpectrogramConfig)
def spectrogram(**options: Any) -> int:
    """Extract spectrograms of INPUTS: audio files, folders that are searched, - for a stream.

    \b
    kapre-extract spectrogram recordings/ -o spectrograms.h5
    kapre-extract spectrogram song.wav -o song.npy --n-dft 1024 --n-hop 256 --decibel
    find . -name '*.wav' -print0 | kapre-extract spectrogram --files-from - -0 -o all.h5
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.extraction import extraction  # not needed for --help

    return extraction(SpectrogramConfig, options)
