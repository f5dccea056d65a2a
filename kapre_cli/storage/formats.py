"""Which writer makes which format."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from kapre_cli.settings import OutputSettings
from kapre_cli.storage.hdf5 import Hdf5Writer
from kapre_cli.storage.metadata import RootFacts
from kapre_cli.storage.npy import NpyDirectoryWriter, NpyWriter
from kapre_cli.storage.writers import FeatureWriter


def open_writer(
    output: OutputSettings, path: Path, root: RootFacts, frequency: npt.NDArray[np.float64]
) -> FeatureWriter:
    """Return a writer of the format of ``output``, at work on ``path``."""
    if output.format == "hdf5":
        return Hdf5Writer(path, root, frequency, output.compression)
    if output.format == "npy":
        return NpyWriter(path, root, frequency)
    return NpyDirectoryWriter(path, root, frequency)
