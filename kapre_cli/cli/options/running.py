"""Options that say how the work is done, and how many messages are printed."""

from functools import partial

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import Parsed, PathOrStream, WholeNumber
from kapre_cli.settings import ENGINE_CHOICES
from kapre_cli.tolerance import MaxFailures

_run_option = partial(Option, group=Group.RUNNING)


def run_options() -> list[click.Parameter]:
    """Return the options that say how the work is done."""
    return [
        Option(
            "--max-failures",
            group=Group.CHECKS,
            type=Parsed(MaxFailures, "failures"),
            metavar="N|N%",
            show_default="no limit",
            help="Stop when more inputs than this have failed. Finished work is kept for --resume, "
            "and no output is written.",
        ),
        _run_option(
            "--dry-run",
            is_flag=True,
            help="Print what would be computed and written, and do nothing else. Only the headers "
            "of the inputs are read.",
        ),
        _run_option(
            "-j",
            "--jobs",
            type=WholeNumber(1),
            show_default="one for each processor",
            help="Number of worker processes that decode and compute. It changes speed and "
            "memory, never the result.",
        ),
        _run_option(
            "--engine",
            type=click.Choice(ENGINE_CHOICES),
            default=ENGINE_CHOICES[0],
            help="Library that computes the transform. numpy: NumPy, which does not wait for "
            "TensorFlow to be imported. keras: the Keras layer itself. They agree up to rounding. "
            "auto: numpy, unless the layer has trained weights.",
        ),
        _run_option(
            "--batch-size",
            type=WholeNumber(1),
            metavar="FRAMES",
            show_default="chosen by --n-dft and --n-hop",
            help="Number of frames that are computed at once. It is rounded up to a multiple of "
            "16, and changes speed and memory, never the result.",
        ),
        _run_option(
            "--report",
            type=PathOrStream(),
            help="Write a report to this file: a line of JSON for each finished input, and one "
            "with the totals. -: standard output.",
        ),
        quiet_option(),
        _run_option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Print versions and a line for each finished input.",
        ),
    ]


def quiet_option() -> Option:
    """Return the option that prints only what needs attention."""
    return _run_option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Print only failures, warnings and errors.",
    )
