"""``kapre-extract compare``."""

from pathlib import Path

import click

from kapre_cli.cli.options.inspection import output_argument
from kapre_cli.cli.printing import PlainCommand, put


@click.command(cls=PlainCommand, short_help="Hold two outputs against one another.")
@output_argument("one", "A")
@output_argument("other", "B")
@click.option(
    "--rtol",
    metavar="R",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Allow a value of A to be off by this part of the value of B.",
)
@click.option(
    "--atol",
    metavar="D",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Allow it to be off by this much, beside what --rtol allows.",
)
def compare(one: Path, other: Path, rtol: float, atol: float) -> int:
    """Hold the outputs A and B against one another, of whatever formats, input by input.

    Exits with 0 if both have the same inputs and, as far as is allowed, the same values; else
    with 1. Settings and versions that differ are shown.

    \b
    kapre-extract compare mels.h5 mels-of-last-year.h5
    kapre-extract compare mels.h5 expected --atol 1e-4
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.terminal import Terminal  # NumPy only where it is needed
    from kapre_cli.inspection.compare import compare as compared
    from kapre_cli.inspection.difference import Tolerance
    from kapre_cli.inspection.telling_differences import comparison_lines

    tolerance = Tolerance(rtol, atol)
    with Terminal() as terminal:
        found = compared(one, other, tolerance, terminal)
    put("\n".join(comparison_lines(found)))
    return found.exit_code
