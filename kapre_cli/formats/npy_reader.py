"""Read outputs of .npy files."""

import os
import stat
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.array_chunks import crc32
from kapre_cli.formats.features import Features, StoredArray, Values, unexpected_in_folder
from kapre_cli.formats.metadata import InputMetadata, dumps
from kapre_cli.formats.npy_names import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.formats.validation import (
    MAX_METADATA_BYTES,
    validated_coordinate,
    validated_json,
    validated_key,
    validated_root,
    validated_shape,
    within,
    within_range,
)
from kapre_cli.osutil import open_plain
from kapre_cli.text import quoted

_MAX_ROOT_BYTES = 2**26  # the frequencies of the largest n_dft fill 40 MB
_PART_BYTES = 2**22
_FLOAT_SIZES = (2, 4, 8)
_HEAD_SIZES = range(64, 512, 64)


class _NpyFeatures(Features):
    """Arrays in .npy files.

    Raise OSError if a metadata file is missing or unreadable, StoredDataError if it is damaged.
    """

    def __init__(self, path: Path, stored: dict[str, Any], rows: Iterable[str | bytes]) -> None:
        self.path = path
        self.root = validated_root(stored)
        name = self.layer.coordinate.name
        self.coordinate = validated_coordinate(_numbers(name, stored.get(name)), self.root)
        self._inputs: dict[str, InputMetadata] = {}
        axes = list(self.layer.axes)
        for row in rows:
            described = _object(validated_json(row))
            key = validated_key(described.pop("key", None))
            if key in self._inputs:
                raise StoredDataError(f"the metadata has the key {quoted(key)} twice")
            if described.pop("axes", None) != axes:
                raise StoredDataError(f"the axes of {quoted(key)} are not those of its layer")
            self._inputs[key] = within_range(InputMetadata.from_dict(described), self.root)

    @abstractmethod
    def _file_of(self, key: str) -> Path:
        """Return the .npy file of a key; raise StoredDataError if it leads out of the output."""

    def open_array(self, key: str) -> StoredArray:
        file = self._file_of(key)
        try:
            values = NpyValues(file)
        except OSError as error:
            raise StoredDataError(f"{quoted(file)} cannot be read: {error.strerror}") from error
        return StoredArray(key, values, self._inputs[key], self.layer)

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input."""
        return iter(self._inputs.items())


class NpyFeatures(_NpyFeatures):
    """A single .npy file."""

    format = "npy"

    def __init__(self, path: Path) -> None:
        stored = _read_object(sidecar_of(path))
        super().__init__(path, stored, [dumps(stored.get("input"))])

    def _file_of(self, key: str) -> Path:  # noqa: ARG002
        return self.path


class NpyDirectoryFeatures(_NpyFeatures):
    """A directory of .npy files."""

    format = "npy-directory"

    def __init__(self, path: Path) -> None:
        self._real_path = os.path.realpath(path)
        manifest, root = path / MANIFEST_NAME, path / ROOT_NAME
        for file in (manifest, root):
            self._check_within(file)
        stored = _read_object(root)
        if "manifest_crc32" in stored:
            with open_plain(manifest) as opened:
                _check_crc32(manifest, _parts(opened), stored["manifest_crc32"])
        super().__init__(path, stored, _lines(manifest))  # read up to the first invalid line

    def _file_of(self, key: str) -> Path:
        file = self.path / f"{key}{NPY_SUFFIX}"
        self._check_within(file)
        return file

    def _check_within(self, file: Path) -> None:
        if not within(file, self._real_path):
            raise StoredDataError(f"{quoted(file)} is a link that leads out of the output")

    def unexpected_files(self) -> Iterator[str]:
        """Yield the paths, below the output's folder, of unexpected files and folders.

        Every link is unexpected. The content of an unexpected folder is not listed.
        """
        yield from unexpected_in_folder(
            self.path, {ROOT_NAME, MANIFEST_NAME, *(key + NPY_SUFFIX for key in self)}
        )

    def replaced_arrays(self) -> Iterator[str]:
        """Yield the names of files that cannot be those that this program wrote.

        Only kind and size are compared: opening a hundred thousand files takes too long.
        """
        itemsize = np.dtype(self.root.dtype).itemsize
        for key, metadata in self.metadata():
            n_bytes = prod(validated_shape(key, metadata, self.layer)) * itemsize
            name = key + NPY_SUFFIX
            try:
                status = os.lstat(f"{self.path}/{name}")
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(status.st_mode) or status.st_size - n_bytes not in _HEAD_SIZES:
                yield name


class NpyValues(Values):
    """The values of a .npy file of floating-point numbers in C order.

    The file is opened for every reading: an output may have more files than a process may keep
    open. Raise StoredDataError if it is another file, or its size is not what its header declares.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_plain(path) as file:
            self.shape, self.dtype = _header(file, path)
            self.offset: int = file.tell()
            self._check_size(file)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        with open_plain(self._path) as file:
            self._check_size(file)
            try:
                values: npt.NDArray[Any] = np.memmap(file, self.dtype, "r", self.offset, self.shape)
            except OSError:  # some network file systems cannot map: read all of it, or fail
                file.seek(self.offset)
                values = np.fromfile(file, self.dtype).reshape(self.shape)
            return np.array(values[index])

    def parts(self) -> Iterator[bytes]:
        """Yield all its bytes, some megabytes at a time.

        The file is not mapped: then an error of the disk would kill the process, not raise OSError.
        """
        with open_plain(self._path) as file:
            self._check_size(file)
            file.seek(self.offset)
            yield from _parts(file)

    def _check_size(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        expected = self.offset + prod(self.shape) * self.dtype.itemsize
        if size != expected:
            raise StoredDataError(
                f"{quoted(self._path)} has {size:,} bytes; its header promises {expected:,}"
            )


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type that a .npy file's header declares."""
    try:
        # Later versions differ only in room for field names, which these arrays do not have.
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("its .npy version is not 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy evaluates the header: many errors are possible
        raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
    if dtype.hasobject:
        raise StoredDataError(f"{quoted(path)} holds Python objects: no pickle is loaded")
    is_float = dtype.kind == "f" and dtype.itemsize in _FLOAT_SIZES
    if not is_float or fortran_order or any(size < 1 for size in shape):
        raise StoredDataError(f"{quoted(path)} is not an array that this program writes")
    return shape, dtype


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; reject any that is longer than an input's metadata can be."""
    with open_plain(path) as file:
        while line := file.readline(MAX_METADATA_BYTES):
            if not line.endswith(b"\n"):
                raise StoredDataError(f"{quoted(path)} has a line that is cut off or too long")
            yield line


def _parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(_PART_BYTES):
        yield part


def _read_object(path: Path) -> dict[str, Any]:
    with open_plain(path) as file:
        text = file.read(_MAX_ROOT_BYTES + 1)
    if len(text) > _MAX_ROOT_BYTES:
        raise StoredDataError(f"{quoted(path)} is larger than its content can be")
    stored = _object(validated_json(text))
    if "crc32" in stored:
        checksum = stored.pop("crc32")
        _check_crc32(path, [dumps(stored).encode()], checksum)
    return stored


def _check_crc32(path: Path, content: Iterable[bytes], expected: Any) -> None:
    found = 0
    for block in content:
        found = crc32(block, found)
    if found != expected:
        raise StoredDataError(f"{quoted(path)} is damaged: its checksum is another")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StoredDataError("its metadata is not a JSON object")
    return value


def _numbers(name: str, values: Any) -> npt.NDArray[np.float64]:
    if not isinstance(values, list) or not {type(value) for value in values} <= {int, float}:
        raise StoredDataError(f"its `{name}` is not a list of numbers")
    return np.array(values, dtype=np.float64)
