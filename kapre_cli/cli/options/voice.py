"""The options that say how much is said."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together


def quiet_option() -> Decorator[Any]:
    """Return the option that leaves nothing but what needs attention."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="Say nothing but failures, warnings and errors."
    )


def voice_options() -> Decorator[Any]:
    """Return the options of a run that say how much is said of it."""
    return together(
        quiet_option(),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Say which versions are at work, and of every input when it is done.",
        ),
    )
