"""The options that say how the work is done."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, PathOrStream, WholeNumber, together
from kapre_cli.errors import SettingsError
from kapre_cli.settings import ENGINES
from kapre_cli.tolerance import MaxFailures


class _Failures(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """A number of inputs, or a share of them with ``%`` behind it."""

    name = "failures"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, MaxFailures) else MaxFailures.parse(str(value))
        except SettingsError as error:
            self.fail(str(error), param, ctx)


def run_options() -> Decorator[Any]:
    """Return the options that say how the work is done."""
    return together(
        click.option(
            "--batch-size",
            type=WholeNumber(1),
            metavar="FRAMES",
            show_default="by --n-dft and --n-hop",
            help="Frames computed at once, rounded up to a multiple of 16: speed and memory, "
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
            type=WholeNumber(1),
            metavar="N",
            show_default="as suits the inputs",
            help="Inputs read and decoded at once: speed and memory, never the result.",
        ),
        click.option(
            "--max-failures",
            type=_Failures(),
            metavar="N|N%",
            show_default="no limit",
            help="Stop once more inputs than this have failed: finished work is kept for --resume, "
            "no output is written.",
        ),
        click.option(
            "--report",
            type=PathOrStream(),
            help="Write a line of JSON for each input as it ends, and one with the sums, to this "
            "file, or - for standard output.",
        ),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Say what would be computed and written, from the headers of the inputs; "
            "do nothing.",
        ),
    )
