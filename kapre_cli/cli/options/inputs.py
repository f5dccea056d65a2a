"""What names the inputs."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together


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
            "--root",
            type=click.Path(),
            help="Name every input by its path below this folder.",
        ),
    )
