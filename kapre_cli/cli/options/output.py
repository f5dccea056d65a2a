"""Options that name the output and say how arrays are stored."""

from collections.abc import Sequence
from functools import partial

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import defaults
from kapre_cli.settings import COMPRESSIONS, DTYPES, FORMATS, RESUMES, OutputSettings

_output_option = partial(Option, group=Group.OUTPUT)


def output_options() -> list[click.Parameter]:
    """Return the options that name the output and say how arrays are stored."""
    default = defaults(OutputSettings)
    return [
        output_option(is_stream=True, required=True),
        overwrite_option(),
        _output_option(
            "--resume",
            is_usual=True,
            type=click.Choice(RESUMES),
            metavar="[=content]",
            help="Continue an interrupted run, or update an output. Arrays are kept of inputs "
            "whose path, size and modification time are unchanged (=content: whose bytes are "
            "unchanged).",
        ),
        format_option("--output", FORMATS),
        _output_option(
            "--dtype",
            type=click.Choice(DTYPES),
            default=default["dtype"],
            help="Data type in which the arrays are stored.",
        ),
        _output_option(
            "--compression",
            type=click.Choice(COMPRESSIONS),
            default=default["compression"],
            help="Compression of HDF5 output.",
        ),
        scales_option(),
    ]


def output_option(*, is_stream: bool, required: bool) -> Option:
    """Return the option that names the output; ``is_stream``: it may be standard output."""
    places, stream = ".h5, .npy or a folder", " It is never one of the inputs."
    if is_stream:
        places = ".h5, .npy, a folder or -"
        stream = " -: .npy arrays one after another on standard output."
    return _output_option(
        "-o",
        "--output",
        is_usual=True,
        required=required,
        type=click.Path(),  # as it is written: a / at its end tells
        help=f"Output: {places}. *.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single "
        "input. A name without a suffix, or with a / at its end: a folder of .npy files."
        f"{stream}",
    )


def format_option(output: str, formats: Sequence[str]) -> Option:
    """Return the option that says in which format ``output``, as the command calls it, is."""
    return _output_option(
        "--format",
        "format_",
        type=click.Choice(formats),
        show_default=f"by the suffix of {output}",
        help="Format of the output.",
    )


def scales_option() -> Option:
    """Return the option that lets programs that read netCDF find seconds and Hz in an output."""
    return _output_option(
        "--dimension-scales",
        is_flag=True,
        help="Give HDF5 output dimension scales. Programs that read netCDF (xarray, MATLAB, "
        "Panoply) take seconds and Hz from them.",
    )


def overwrite_option() -> Option:
    """Return the option that lets an output be replaced."""
    return _output_option(
        "--overwrite",
        is_usual=True,
        is_flag=True,
        help="Replace an existing output. It stays until the new one is complete.",
    )
