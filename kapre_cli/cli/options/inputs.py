"""Options that name the inputs."""

from functools import partial

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import Parsed
from kapre_cli.settings import Shard

_input_option = partial(Option, group=Group.INPUTS)


def input_options() -> list[click.Parameter]:
    """Return the argument that names the inputs, and the options that choose and name them."""
    return [
        # Not required by Click: a list may name them all.
        click.Argument(["inputs"], nargs=-1, type=click.Path()),
        _input_option(
            "--files-from",
            metavar="LIST",
            type=click.Path(),
            help="Read names of inputs from this file, one a line. -: standard input. A list from "
            "a pipe is processed while it is written.",
        ),
        _input_option(
            "-0",
            "--null",
            is_flag=True,
            help="Names in --files-from end in NUL, as find -print0 writes them.",
        ),
        _input_option(
            "--root",
            type=click.Path(),
            help="Folder that keys are relative to. The key of an input is its name in the output.",
        ),
        _input_option(
            "--hidden",
            is_flag=True,
            help="Include hidden files and folders. Those are names that begin with a dot, recycle "
            "bins, lost+found and the like.",
        ),
        _input_option(
            "--shard",
            metavar="I/N",
            type=Parsed(Shard, "shard"),
            show_default="all inputs",
            help="Process part I of N parts of the inputs, I from 1. The parts have about the same "
            "size; merge joins their outputs.",
        ),
    ]
