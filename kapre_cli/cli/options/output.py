"""Options that name the output and say how arrays are stored."""

from collections.abc import Sequence
from typing import Any

import click

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import Decorator, defaults, option, together
from kapre_cli.settings import COMPRESSIONS, DTYPES, FORMATS, RESUMES, OutputSettings


def output_options() -> Decorator[Any]:
    """Return the options that name the output and say how arrays are stored."""
    default = defaults(OutputSettings)
    return together(
        output_option(is_stream=True, required=True),
        overwrite_option(),
        option(
            "--resume",
            group=Group.OUTPUT,
            is_usual=True,
            type=click.Choice(RESUMES),
            metavar="[=content]",
            help="Continue an interrupted run, or update an output. Arrays are kept of inputs "
            "whose path, size and modification time are unchanged (=content: whose bytes are "
            "unchanged).",
        ),
        format_option("--output", FORMATS),
        option(
            "--dtype",
            group=Group.OUTPUT,
            type=click.Choice(DTYPES),
            default=default["dtype"],
            show_default=True,
            help="Data type in which the arrays are stored.",
        ),
        option(
            "--compression",
            group=Group.OUTPUT,
            type=click.Choice(COMPRESSIONS),
            default=default["compression"],
            show_default=True,
            help="Compression of HDF5 output.",
        ),
        scales_option(),
    )


def output_option(*, is_stream: bool, required: bool) -> Decorator[Any]:
    """Return the option that names the output.

    Args:
        is_stream: Whether it may be standard output.
        required: Whether Click requires it.
    """
    places, stream = ".h5, .npy or a folder", " It is never one of the inputs."
    if is_stream:
        places = ".h5, .npy, a folder or -"
        stream = " -: .npy arrays one after another on standard output."
    return option(
        "-o",
        "--output",
        group=Group.OUTPUT,
        is_usual=True,
        required=required,
        type=click.Path(),  # as it is written: a / at its end tells
        help=f"Output: {places}. *.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single "
        "input. A name without a suffix, or with a / at its end: a folder of .npy files."
        f"{stream}",
    )


def format_option(output: str, formats: Sequence[str]) -> Decorator[Any]:
    """Return the option that says in which format ``output``, as the command calls it, is."""
    return option(
        "--format",
        "format_",
        group=Group.OUTPUT,
        type=click.Choice(formats),
        show_default=f"by the suffix of {output}",
        help="Format of the output.",
    )


def scales_option() -> Decorator[Any]:
    """Return the option that lets programs that read netCDF find seconds and Hz in an output."""
    return option(
        "--dimension-scales",
        group=Group.OUTPUT,
        is_flag=True,
        help="Give HDF5 output dimension scales. Programs that read netCDF (xarray, MATLAB, "
        "Panoply) take seconds and Hz from them.",
    )


def overwrite_option() -> Decorator[Any]:
    """Return the option that lets an output be replaced."""
    return option(
        "--overwrite",
        group=Group.OUTPUT,
        is_usual=True,
        is_flag=True,
        help="Replace an existing output. It stays until the new one is complete.",
    )
