"""Read outputs of .npy files."""

import os
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.checksum import crc32
from kapre_cli.formats.features import Features, StoredArray, Values
from kapre_cli.formats.metadata import InputMetadata, dumps
from kapre_cli.formats.npy_writer import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.formats.validation import (
    MAX_FACTS_BYTES,
    open_plain,
    validated_coordinate,
    validated_json,
    validated_key,
    validated_root,
    within,
    within_range,
)
from kapre_cli.inputs import folder_id, folders_of
from kapre_cli.text import quoted

_MAX_ROOT_BYTES = 2**26  # the frequencies of the largest n_dft fill 40 MB
_PART_BYTES = 2**22
_FLOAT_SIZES = (2, 4, 8)


class NpyFeatures(Features):
    """The arrays of a directory of .npy files, or of a single one.

    Raise OSError if a metadata file is missing or unreadable, StoredDataError if it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.format = "npy-directory" if path.is_dir() else "npy"
        self._place = os.path.realpath(path)
        rows: Iterable[str | bytes]
        if self.format == "npy-directory":
            manifest, root = path / MANIFEST_NAME, path / ROOT_NAME
            for file in (manifest, root):
                self._require_within(file)
            stored = _read_object(root)
            if "manifest_crc32" in stored:
                with open_plain(manifest) as opened:
                    _require_checksum(manifest, _parts(opened), stored["manifest_crc32"])
            rows = _lines(manifest)  # read one at a time, up to the first that is invalid
        else:
            stored = _read_object(sidecar_of(path))
            rows = [dumps(stored.get("input"))]
        self.root = validated_root(stored)
        name = self.layer.coordinate.name
        self.coordinate = validated_coordinate(_numbers(name, stored.get(name)), self.root)
        self._inputs: dict[str, InputMetadata] = {}
        axes = list(self.layer.axes)
        for row in rows:
            stored = _object(validated_json(row))
            key = validated_key(stored.pop("key", None))
            if key in self._inputs:
                raise StoredDataError(f"the key {quoted(key)} is there twice")
            if stored.pop("axes", None) != axes:
                raise StoredDataError(f"the axes of {quoted(key)} are not those of its layer")
            self._inputs[key] = within_range(InputMetadata.from_dict(stored), self.root)

    def _array(self, key: str) -> StoredArray:
        file = self.path / f"{key}{NPY_SUFFIX}" if self.format == "npy-directory" else self.path
        self._require_within(file)
        try:
            values = NpyValues(file)
        except OSError as error:
            raise StoredDataError(f"{quoted(file)} cannot be read: {error.strerror}") from error
        return StoredArray(key, values, self._inputs[key], self.layer)

    def _require_within(self, file: Path) -> None:
        if not within(file, self._place):
            raise StoredDataError(f"{quoted(file)} is a link that leads out of the output")

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input."""
        return iter(self._inputs.items())

    def unexpected_files(self) -> Iterator[str]:
        """Yield the paths, below the output's folder, of unexpected files and folders.

        Every link is unexpected. The content of an unexpected folder is not listed.
        """
        if self.format != "npy-directory":
            return
        files = {ROOT_NAME, MANIFEST_NAME, *(key + NPY_SUFFIX for key in self)}
        folders = folders_of(files)
        for place, subfolders, names in os.walk(self.path):
            above = os.path.relpath(place, self.path)
            above = "" if above == os.curdir else f"{above}/"
            ours = {name for name in subfolders if folder_id(above + name) in folders}
            known = ours | {name for name in names if above + name in files}
            for name in (*sorted(subfolders), *sorted(names)):
                if name not in known or os.path.islink(os.path.join(place, name)):
                    yield above + name
            subfolders[:] = [name for name in subfolders if name in ours]


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
            self._require_whole(file)

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        with open_plain(self._path) as file:
            self._require_whole(file)
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
            self._require_whole(file)
            file.seek(self.offset)
            yield from _parts(file)

    def _require_whole(self, file: BinaryIO) -> None:
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
        while line := file.readline(MAX_FACTS_BYTES):
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
        _require_checksum(path, [dumps(stored).encode()], checksum)
    return stored


def _require_checksum(path: Path, content: Iterable[bytes], expected: Any) -> None:
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
