"""The program as the benchmarks run it."""

import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.inputs import Material
from tests.conftest import PROGRAM

# A process that imports what the program imports on its way, and ends.
_IMPORTS = """
import os
from kapre_cli.interpreter import tune_interpreter
tune_interpreter()
import kapre_cli.audio.libsndfile, kapre_cli.cli.extraction, kapre_cli.cli.terminal
import kapre_cli.extraction.run, kapre_cli.formats.hdf5_writer, kapre_cli.formats.hdf5_reader
os._exit(0)
"""
IMPORTS = (sys.executable, "-c", _IMPORTS)


def add_option(parser: ArgumentParser) -> None:
    """Let another program of the same options be measured, say one of an older version."""
    parser.add_argument(
        "--program",
        type=shlex.split,
        default=list(PROGRAM),
        metavar="CMD",
        help=f"what to measure; default: {shlex.join(PROGRAM)}",
    )


def extraction(program: Sequence[str], material: Material, output: Path) -> list[str]:
    """Return the command that makes what every contender makes."""
    n_dft, n_hop, n_mels = map(str, material.layer)
    layer = ["--n-dft", n_dft, "--n-hop", n_hop, "--n-mels", n_mels, "--power", "2", "--decibel"]
    rate = ["--resample", "--sr", str(material.sr)] if material.sr else []
    how = ["--data-format", "channels_last", "--overwrite"]
    return [
        *program,
        "melspectrogram",
        str(material.folder),
        "-o",
        str(output),
        *layer,
        *rate,
        *how,
    ]
