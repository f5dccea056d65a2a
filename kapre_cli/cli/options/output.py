"""The options that say where features go."""

from collections.abc import Sequence
from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, defaults, together
from kapre_cli.settings import COMPRESSIONS, DTYPES, FORMATS, RESUMES, OutputSettings


def output_options() -> Decorator[Any]:
    """Return the options that say where features go and how they are stored."""
    default = defaults(OutputSettings)
    return together(
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(),  # as it is written: a / at its end tells
            help="*.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single input. "
            "-: .npy arrays one after another on standard output. "
            "A name without a suffix, or with a / behind it: a folder of .npy files.",
        ),
        format_option("--output", FORMATS),
        click.option(
            "--dtype",
            type=click.Choice(DTYPES),
            default=default["dtype"],
            show_default=True,
            help="Type in which the float32 results are stored.",
        ),
        click.option(
            "--compression",
            type=click.Choice(COMPRESSIONS),
            default=default["compression"],
            show_default=True,
            help="Compression of HDF5 output.",
        ),
        scales_option(),
        overwrite_option(),
        click.option(
            "--resume",
            type=click.Choice(RESUMES),
            metavar="[=content]",
            help="Go on with an interrupted run, or bring an output up to date: keep the inputs "
            "whose path, size and time of change are the same (=content: whose bytes are).",
        ),
    )


def format_option(output: str, formats: Sequence[str]) -> Decorator[Any]:
    """Return the option that says in which format ``output``, as the command calls it, is."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        show_default=f"by the suffix of {output}",
        help="The output's format.",
    )


def scales_option() -> Decorator[Any]:
    """Return the option that lets programs that read netCDF find seconds and Hz in an output."""
    return click.option(
        "--dimension-scales",
        is_flag=True,
        help="Give HDF5 output dimension scales, from which programs that read netCDF (xarray, "
        "MATLAB, Panoply) take seconds and Hz.",
    )


def overwrite_option() -> Decorator[Any]:
    """Return the option that lets an output be replaced."""
    return click.option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing output, once the new one is complete.",
    )
