"""``kapre-extract plot``."""

from typing import Any

import click

from kapre_cli.cli.options.picture import picture_options
from kapre_cli.cli.printing import PlainCommand


@click.command(cls=PlainCommand, short_help="Draw what was written, or audio.")
@picture_options()
def plot(**options: Any) -> int:
    """Draw arrays of SOURCE, an output of this program, or an audio file.

    Without KEY the first few are drawn. Of an output --channel, --time and --decibel say what is
    shown; the options from --mel on say what is computed of audio, which is shown as power.

    \b
    kapre-extract plot mels.h5 "night 1.wav" -o night.png --time 60:75
    kapre-extract plot song.wav -o song.pdf --n-dft 1024 --n-hop 128
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.plotting import plotting  # not needed for --help

    return plotting(options)
