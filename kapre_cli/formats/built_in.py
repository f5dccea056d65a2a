"""The formats of this package: HDF5, and .npy as a file, a folder and a stream."""

import os
import re
from pathlib import Path
from typing import Any, NoReturn

from kapre_cli.formats.npy_names import (
    MANIFEST_NAME,
    NPY_SUFFIX,
    ROOT_NAME,
    SIDECAR_SUFFIX,
    sidecar_of,
)
from kapre_cli.settings.formats import Format, read_beginning
from kapre_cli.version import PROGRAM

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# The attribute `format` at the beginning of HDF5 files: its name, its type, its value.
_OUR_MARK = re.compile(rb"format\0.{0,64}" + PROGRAM.encode(), re.DOTALL)

_NPY_MAGIC = b"\x93NUMPY"
_SIDECAR_BEGINNING = f'{{"format": "{PROGRAM}"'.encode()


class Hdf5Format(Format):
    """One HDF5 file with the arrays of all inputs."""

    name = "hdf5"
    summary = "one HDF5 file"
    suffixes = (".h5", ".hdf5")
    compressions = ("none", "gzip", "lzf")
    has_dimension_scales = True
    stores_weights = True

    def claims(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Whether a file begins as any HDF5 file does."""
        return beginning.startswith(_HDF5_MAGIC)

    def is_ours(self, path: Path) -> bool:
        """Whether a file begins as this program's HDF5 files do, even if it is damaged."""
        beginning = read_beginning(path)
        return beginning.startswith(_HDF5_MAGIC) and _OUR_MARK.search(beginning) is not None

    def open(self, path: Path) -> Any:
        """Open an HDF5 file."""
        from kapre_cli.formats.hdf5_reader import Hdf5Features

        return Hdf5Features(path)

    def writer_class(self) -> Any:
        """Return the writer, with h5py loaded."""
        from kapre_cli.formats.hdf5_writer import Hdf5Writer

        return Hdf5Writer


class NpyFormat(Format):
    """A single array ``x.npy``, with all its metadata in ``x.npy.json``."""

    name = "npy"
    summary = "one .npy file with its metadata beside it"
    suffixes = (NPY_SUFFIX,)
    holds_many = False
    stores_weights = True
    companion_suffix = SIDECAR_SUFFIX

    def claims(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Whether a file begins as any .npy file does."""
        return beginning.startswith(_NPY_MAGIC)

    def is_ours(self, path: Path) -> bool:
        """Whether this program's metadata lies beside an array."""
        return self.is_companion(sidecar_of(path))

    def is_companion(self, path: Path) -> bool:
        """Whether ``path`` is the metadata of a single .npy file, and not a link."""
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(_SIDECAR_BEGINNING)) == _SIDECAR_BEGINNING

    def open(self, path: Path) -> Any:
        """Open a single .npy file."""
        from kapre_cli.formats.npy import NpyFeatures

        return NpyFeatures(path)

    def writer_class(self) -> Any:
        """Return the writer of a single array."""
        from kapre_cli.formats.npy import NpyWriter

        return NpyWriter


class NpyDirectoryFormat(Format):
    """A folder with ``<key>.npy`` for every input, and the metadata in two JSON files."""

    name = "npy-directory"
    summary = "a folder of .npy files"
    is_folder = True
    stores_weights = True
    folder_files = (MANIFEST_NAME, ROOT_NAME)

    def claims(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Whether a folder has a metadata file."""
        return any(os.path.exists(path / name) for name in self.folder_files)

    def is_ours(self, path: Path) -> bool:
        """Whether a folder has the file of the root metadata."""
        return (path / ROOT_NAME).is_file()

    def open(self, path: Path) -> Any:
        """Open a folder of .npy files."""
        from kapre_cli.formats.npy import NpyDirectoryFeatures

        return NpyDirectoryFeatures(path)

    def writer_class(self) -> Any:
        """Return the writer of a folder of .npy files."""
        from kapre_cli.formats.npy import NpyDirectoryWriter

        return NpyDirectoryWriter

    def array_file(self, key: str) -> str:
        """Return the name of an input's .npy file."""
        return key + NPY_SUFFIX

    def is_array_file(self, file: str) -> bool:
        """Whether a file has the suffix of an array."""
        return file.endswith(NPY_SUFFIX)


class NpyStreamFormat(Format):
    """Arrays in .npy form, one after another, on standard output."""

    name = "npy-stream"
    summary = ".npy arrays on standard output"
    is_stream = True

    def claims(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Return ``False``: no file is a stream."""
        return False

    def is_ours(self, path: Path) -> bool:  # noqa: ARG002
        """Return ``False``: no file is a stream."""
        return False

    def open(self, path: Path) -> NoReturn:
        """Raise TypeError: a stream is read with :func:`~kapre_cli.read_arrays`."""
        raise TypeError(f"{path}: a stream is read with read_arrays")

    def writer_class(self) -> NoReturn:
        """Raise TypeError: the stream's sink writes arrays without a work folder."""
        raise TypeError("a stream has no writer")
