"""Options that name the inputs."""

from typing import Any

import click

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import Decorator, Parsed, option, together
from kapre_cli.settings import Shard


def input_options() -> Decorator[Any]:
    """Return the argument that names the inputs, and the options that choose and name them."""
    return together(
        # Not required by Click: a list may name them all.
        click.argument("inputs", nargs=-1, type=click.Path()),
        option(
            "--files-from",
            group=Group.INPUTS,
            metavar="LIST",
            type=click.Path(),
            help="Read names of inputs from this file, one a line. -: standard input. A list from "
            "a pipe is processed while it is written.",
        ),
        option(
            "-0",
            "--null",
            group=Group.INPUTS,
            is_flag=True,
            help="Names in --files-from end in NUL, as find -print0 writes them.",
        ),
        option(
            "--root",
            group=Group.INPUTS,
            type=click.Path(),
            help="Folder that keys are relative to. The key of an input is its name in the output.",
        ),
        option(
            "--hidden",
            group=Group.INPUTS,
            is_flag=True,
            help="Include hidden files and folders. Those are names that begin with a dot, recycle "
            "bins, lost+found and the like.",
        ),
        option(
            "--shard",
            group=Group.INPUTS,
            metavar="I/N",
            type=Parsed(Shard, "shard"),
            show_default="all inputs",
            help="Process part I of N parts of the inputs, I from 1. The parts have about the same "
            "size; merge joins their outputs.",
        ),
    )
