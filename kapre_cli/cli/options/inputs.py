"""What names the inputs."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together


def input_options() -> Decorator[Any]:
    """Return the inputs' argument and the options that say what they are called."""
    return together(
        click.argument("inputs", nargs=-1, required=True, type=click.Path()),
        click.option(
            "--root",
            type=click.Path(),
            help="Name every input by its path below this folder.",
        ),
    )
