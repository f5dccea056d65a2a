"""What names the inputs."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together
from kapre_cli.errors import SettingsError
from kapre_cli.settings import Shard


class _Shard(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """One of the parts of the inputs."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, Shard) else Shard.parse(str(value))
        except SettingsError as error:
            self.fail(str(error), param, ctx)


def input_options() -> Decorator[Any]:
    """Return the inputs' argument and the options that say what they are called."""
    return together(
        # Not required by Click: a list may name them all.
        click.argument("inputs", nargs=-1, type=click.Path()),
        click.option(
            "--files-from",
            metavar="LIST",
            type=click.Path(),
            help="Take the files that this list names, too; -: standard input. A list that comes "
            "through a pipe is worked on while it is written.",
        ),
        click.option(
            "-0",
            "--null",
            is_flag=True,
            help="The names in --files-from end in NUL, as find -print0 writes them, and not in "
            "a newline.",
        ),
        click.option(
            "--hidden",
            is_flag=True,
            help="Take hidden files, and search hidden folders, below folders too: those whose "
            "names begin with a dot, recycle bins, lost+found and the like.",
        ),
        click.option(
            "--root",
            type=click.Path(),
            help="Name every input by its path below this folder.",
        ),
    )


def shard_option() -> Decorator[Any]:
    """Return the option that takes a part of the inputs."""
    return click.option(
        "--shard",
        metavar="I/N",
        type=_Shard(),
        show_default="all inputs",
        help="Take the I-th, counted from 1, of N parts of the inputs of about the same size, "
        "which merge puts together again.",
    )
