"""Options of the command that merges outputs."""

from pathlib import Path
from typing import Any

import click

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import Decorator, option, together
from kapre_cli.cli.options.output import (
    format_option,
    output_option,
    overwrite_option,
    scales_option,
)
from kapre_cli.cli.options.voice import quiet_option
from kapre_cli.settings import FILE_FORMATS


def merge_options() -> Decorator[Any]:
    """Return the arguments and options of ``merge``."""
    return together(
        click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path)),
        # Not required by Click: the command's own error shows where the output's name goes.
        output_option(is_stream=False, required=False),
        overwrite_option(),
        format_option("--output", FILE_FORMATS),
        scales_option(),
        option(
            "--allow-missing",
            group=Group.CHECKS,
            is_flag=True,
            help="Merge shards although some of them are missing.",
        ),
        quiet_option(),
    )
