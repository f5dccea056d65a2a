"""Options that say how many messages are printed."""

from typing import Any

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import Decorator, option, together


def quiet_option() -> Decorator[Any]:
    """Return the option that prints only what needs attention."""
    return option(
        "-q",
        "--quiet",
        group=Group.RUNNING,
        is_flag=True,
        help="Print only failures, warnings and errors.",
    )


def voice_options() -> Decorator[Any]:
    """Return the options of a run that say how many messages are printed."""
    return together(
        quiet_option(),
        option(
            "-v",
            "--verbose",
            group=Group.RUNNING,
            is_flag=True,
            help="Print versions and a line for each finished input.",
        ),
    )
