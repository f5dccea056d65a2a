"""Options that say how the work is done."""

from typing import Any

import click

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import (
    Decorator,
    Parsed,
    PathOrStream,
    WholeNumber,
    option,
    together,
)
from kapre_cli.settings import ENGINE_CHOICES
from kapre_cli.tolerance import MaxFailures


def run_options() -> Decorator[Any]:
    """Return the options that say how the work is done."""
    return together(
        option(
            "--max-failures",
            group=Group.CHECKS,
            type=Parsed(MaxFailures, "failures"),
            metavar="N|N%",
            show_default="no limit",
            help="Stop when more inputs than this have failed. Finished work is kept for --resume, "
            "and no output is written.",
        ),
        option(
            "--dry-run",
            group=Group.RUNNING,
            is_flag=True,
            help="Print what would be computed and written, and do nothing else. Only the headers "
            "of the inputs are read.",
        ),
        option(
            "-j",
            "--jobs",
            group=Group.RUNNING,
            type=WholeNumber(1),
            metavar="N",
            show_default="one for each processor",
            help="Number of worker processes that decode and compute. It changes speed and "
            "memory, never the result.",
        ),
        option(
            "--engine",
            group=Group.RUNNING,
            type=click.Choice(ENGINE_CHOICES),
            default=ENGINE_CHOICES[0],
            show_default=True,
            help="Library that computes the transform. numpy: NumPy, which does not wait for "
            "TensorFlow to be imported. keras: the Keras layer itself. They agree up to rounding. "
            "auto: numpy, unless the layer has trained weights.",
        ),
        option(
            "--batch-size",
            group=Group.RUNNING,
            type=WholeNumber(1),
            metavar="FRAMES",
            show_default="chosen by --n-dft and --n-hop",
            help="Number of frames that are computed at once. It is rounded up to a multiple of "
            "16, and changes speed and memory, never the result.",
        ),
        option(
            "--report",
            group=Group.RUNNING,
            type=PathOrStream(),
            help="Write a report to this file: a line of JSON for each finished input, and one "
            "with the totals. -: standard output.",
        ),
    )
