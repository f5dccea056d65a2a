"""The options that say how the work is done."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together
from kapre_cli.settings import ENGINES


def run_options() -> Decorator[Any]:
    """Return the options that say how the work is done."""
    return together(
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            metavar="FRAMES",
            show_default="by --n-dft and --n-hop",
            help="Frames computed at once, rounded up to lots of 48 or more: speed and memory, "
            "never the result.",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default=ENGINES[0],
            show_default=True,
            help="numpy: compute what the layer does, without the seconds that importing "
            "TensorFlow takes. keras: run the layer itself. They agree but for rounding.",
        ),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            show_default="as suits the inputs",
            help="Inputs read and decoded at once: speed and memory, never the result.",
        ),
    )
