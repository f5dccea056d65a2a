"""``kapre-extract spectrogram`` and ``kapre-extract melspectrogram``."""

from typing import Any

import click

from kapre_cli.cli.command import ExtractingCommand
from kapre_cli.cli.run_options import extraction_options
from kapre_cli.settings import MelspectrogramConfig, SpectrogramConfig


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


@click.command(
    cls=ExtractingCommand,
    params=extraction_options(MelspectrogramConfig),
    short_help="Extract mel-spectrograms of audio files and folders.",
)
def melspectrogram(**options: Any) -> int:
    """Extract mel-spectrograms of audio files and folders.

    INPUTS are WAV and FLAC files, folders, which are searched, or - for standard input.

    \b
    All recordings below a folder, into one HDF5 file:
      kapre-extract melspectrogram sample_audio -o mels.h5

    \b
    The same in decibels of power, into a folder of .npy files:
      kapre-extract melspectrogram sample_audio -o mels --power 2 --decibel

    \b
    One channel, in frames of 1,024 samples:
      kapre-extract melspectrogram sample_audio -o left.h5 --n-dft 1024 --channel 0

    \b
    What another program decodes:
      flac -dcs sample_audio/bird.flac | kapre-extract melspectrogram - -o bird.npy
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.extraction import extraction  # not needed for --help

    return extraction(MelspectrogramConfig, options)
