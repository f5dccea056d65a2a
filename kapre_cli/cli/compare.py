"""``kapre-extract compare``."""

from pathlib import Path

import click

from kapre_cli.cli.commands import PlainCommand
from kapre_cli.cli.help_text import Option
from kapre_cli.cli.options import output_argument
from kapre_cli.cli.standard_output import put


@click.command(
    cls=PlainCommand,
    params=[
        output_argument("one", "A"),
        output_argument("other", "B"),
        Option(
            "--rtol",
            metavar="R",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Relative tolerance: the allowed difference, as a fraction of the value in B.",
        ),
        Option(
            "--atol",
            metavar="D",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Absolute tolerance, which is added to that of --rtol.",
        ),
    ],
    short_help="Compare two outputs.",
)
def compare(one: Path, other: Path, rtol: float, atol: float) -> int:
    """Compare the outputs A and B, of any formats, input by input.

    The exit code is 0 if both have the same inputs and, within the tolerance, the same values;
    else it is 1. Settings and versions that differ are shown.

    \b
    An output and an earlier one:
      kapre-extract melspectrogram sample_audio -o new.h5
      kapre-extract compare mels.h5 new.h5

    \b
    With a tolerance of a millionth of each value:
      kapre-extract compare mels.h5 new.h5 --rtol 1e-6
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
