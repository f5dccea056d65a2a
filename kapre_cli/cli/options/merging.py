"""The options of the command that puts outputs together."""

from pathlib import Path
from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, together
from kapre_cli.cli.options.output import format_option, overwrite_option, scales_option
from kapre_cli.cli.options.voice import quiet_option
from kapre_cli.settings import FILE_FORMATS


def merge_options() -> Decorator[Any]:
    """Return what names the outputs, and says how they are put together."""
    return together(
        click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path)),
        # Not required by Click: whoever leaves it out is shown where the output's name goes.
        click.option(
            "-o",
            "--output",
            type=click.Path(),  # as it is written: a / at its end tells
            help="*.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single input. A name "
            "without a suffix, or with a / behind it: a folder of .npy files. Never one of the "
            "inputs.",
        ),
        format_option("--output", FILE_FORMATS),
        scales_option(),
        overwrite_option(),
        click.option(
            "--allow-missing",
            is_flag=True,
            help="Merge shards though some of them are missing.",
        ),
        quiet_option(),
    )
