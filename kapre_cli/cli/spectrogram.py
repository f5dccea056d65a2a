"""``kapre-extract spectrogram``."""

from typing import Any

import click

from kapre_cli.cli.commands import ExtractingCommand
from kapre_cli.cli.options import extraction_options
from kapre_cli.settings import SpectrogramConfig


@click.command(
    cls=ExtractingCommand,
    params=extraction_options(SpectrogramConfig),
    short_help="Extract spectrograms of audio files and folders.",
)
def spectrogram(**options: Any) -> int:
    """Extract spectrograms of audio files and folders.

    INPUTS are WAV and FLAC files, folders, which are searched, or - for standard input.

    \b
    All recordings below a folder, into one HDF5 file:
      kapre-extract spectrogram sample_audio -o spectrograms.h5

    \b
    One recording into one array, in decibels:
      kapre-extract spectrogram sample_audio/vowels.wav -o vowels.npy --decibel

    \b
    The recordings that another program names:
      ls sample_audio/*.wav | kapre-extract spectrogram --files-from - -o wavs.h5
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.extraction import extraction  # not needed for --help

    return extraction(SpectrogramConfig, options)
