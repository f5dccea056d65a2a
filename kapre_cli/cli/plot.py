"""``kapre-extract plot``."""

from typing import Any

import click

from kapre_cli.cli.commands import Command
from kapre_cli.cli.options.picture import picture_options


@click.command(cls=Command, params=picture_options(), short_help="Plot an output or recordings.")
def plot(**options: Any) -> int:
    """Plot arrays of an output, or recordings.

    If SOURCE is an output, KEYs select its arrays; the first four are the default. If SOURCE is a
    recording, further RECORDINGs may follow. Their power is computed first, and the options from
    --mel on describe how.

    \b
    An array of an output:
      kapre-extract plot mels.h5 bird.flac -o bird.png --time 0.2:1

    \b
    A recording, in a range of frequencies:
      kapre-extract plot sample_audio/bird.flac -o song.pdf --n-dft 1024 --freq 2000:8000

    \b
    Two recordings, in mel bands, from -60 dB to 0 dB:
      kapre-extract plot sample_audio/pond/* -o pond.png --mel --range -60:0
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.plotting import plotting  # not needed for --help

    return plotting(options)
