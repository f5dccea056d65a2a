"""Outputs of .npy files: one array, or a folder that mirrors the keys."""

import os
import stat
from abc import abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError, wrap_os_errors
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, crc32
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.features import Features, unexpected_in_folder
from kapre_cli.formats.file_map import FileMaps, identity_of
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.npy_names import (
    MANIFEST_NAME,
    NPY_SUFFIX,
    ROOT_NAME,
    WEIGHT_ARRAYS,
    sidecar_of,
)
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
from kapre_cli.formats.values import Values
from kapre_cli.formats.writer import ByteRange, FeatureWriter
from kapre_cli.osutil import open_plain, sync_folder
from kapre_cli.text import quoted

_MAX_ROOT_BYTES = 2**28  # the largest weights fill 180 MB, frequencies of the largest n_dft 40
_PART_BYTES = 2**22
_FLOAT_SIZES = (2, 4, 8)
_HEAD_SIZES = range(64, 512, 64)
_WEIGHT_DTYPES = ("<f4", "<f8")


class NpyDirectoryWriter(FeatureWriter):
    """Writes ``<dir>/<key>.npy`` for every input, with the metadata in two JSON files."""

    def __init__(self, path: Path, root: OutputMetadata) -> None:
        super().__init__(path, root)
        with wrap_os_errors(path):
            path.mkdir()
            self._folders = {path}
            self._manifest = (path / MANIFEST_NAME).open("xb")
            self._manifest_crc32 = 0

    def store_array(self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]) -> ByteRange:
        """Write one .npy file."""
        target = self.path / f"{key}{NPY_SUFFIX}"
        with wrap_os_errors(target):
            if target.parent not in self._folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                below = len(target.relative_to(self.path).parents) - 1
                self._folders.update(target.parents[:below])
            return _write_npy(target, array, chunks)

    def store_metadata(self, key: str, metadata: InputMetadata) -> None:
        """Write a line of the manifest."""
        with wrap_os_errors(self.path / MANIFEST_NAME):
            line = f"{dumps(_row(key, self.root, metadata))}\n".encode()
            self._manifest_crc32 = crc32(line, self._manifest_crc32)
            self._manifest.write(line)

    def finish(self) -> None:
        """Write the root metadata and sync all names to the disk."""
        with wrap_os_errors(self.path):
            self._manifest.flush()
            os.fsync(self._manifest.fileno())
            root = root_dict(self.root, self.coordinate)
            _write_json(self.path / ROOT_NAME, root | {"manifest_crc32": self._manifest_crc32})
            for folder in self._folders:
                sync_folder(folder)

    def close(self) -> None:
        """Close the manifest; it is invalid unless :meth:`finish` has returned."""
        super().close()
        with suppress(OSError):  # it cannot flush; the error has been raised before
            self._manifest.close()


class NpyWriter(FeatureWriter):
    """Writes a single ``x.npy``, with all its metadata in ``x.npy.json``."""

    def store_array(self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]) -> ByteRange:  # noqa: ARG002
        """Write the .npy file."""
        with wrap_os_errors(self.path):
            return _write_npy(self.path, array, chunks)

    def store_metadata(self, key: str, metadata: InputMetadata) -> None:
        """Write all metadata beside the .npy file."""
        sidecar = sidecar_of(self.path)
        row = {"input": _row(key, self.root, metadata)}
        with wrap_os_errors(sidecar):
            _write_json(sidecar, root_dict(self.root, self.coordinate) | row)

    def finish(self) -> None:
        """Do nothing: both files are complete."""


def root_dict(root: OutputMetadata, coordinate: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the root metadata with coordinates and weights, as the JSON file has them."""
    described = root.to_dict() | {root.layer.coordinate.name: coordinate.tolist()}
    if root.weights is not None:
        described[WEIGHT_ARRAYS] = {
            name: {"dtype": array.dtype.str, "base64": b64encode(array.data).decode()}
            for name, array in root.weights.arrays.items()
        }
    return described


def _row(key: str, root: OutputMetadata, metadata: InputMetadata) -> dict[str, Any]:
    return {"key": key, "axes": list(root.layer.axes), **metadata.to_dict()}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, with the CRC-32 of its text without that very entry."""
    checked = value | {"crc32": crc32(dumps(value).encode())}
    with path.open("x", encoding="ascii") as file:
        file.write(dumps(checked) + "\n")
        file.flush()
        os.fsync(file.fileno())


def npy_head(array: ArrayChunks) -> bytes:
    """Return the bytes of a .npy file in front of its values."""
    head = BytesIO()
    described = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(head, described)
    return head.getvalue()


def write_into(file: IO[bytes], array: ArrayChunks, chunks: Iterator[Chunk]) -> None:
    """Write an array chunk by chunk into an empty file.

    No memory map is used: its pages would count as this process's memory.
    """
    head = npy_head(array)
    file.write(head)
    frame_bytes = prod(array.shape[array.time_axis + 1 :]) * array.dtype.itemsize
    row_bytes = array.shape[array.time_axis] * frame_bytes
    for index, values in chunks:
        first = len(head) + index[array.time_axis].start * frame_bytes
        # A chunk is one run of bytes for each index of the axes before the time axis.
        rows = [()] if array.n_chunks == 1 else np.ndindex(array.shape[: array.time_axis])
        for number, row in enumerate(rows):
            file.seek(first + number * row_bytes)
            file.write(np.ascontiguousarray(values[row]).data)


def _write_npy(path: Path, array: ArrayChunks, chunks: Iterator[Chunk]) -> ByteRange:
    n_bytes = prod(array.shape) * array.dtype.itemsize
    with path.open("xb") as file:
        write_into(file, array, chunks)
        file.flush()
        os.fsync(file.fileno())
        return ByteRange(path, os.fstat(file.fileno()).st_size - n_bytes, n_bytes)


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
        self._maps = FileMaps()
        axes = list(self.layer.axes)
        for row in rows:
            described = _object(validated_json(row))
            key = validated_key(described.pop("key", None))
            if key in self._inputs:
                raise StoredDataError(f"the metadata has the key {quoted(key)} twice")
            if described.pop("axes", None) != axes:
                raise StoredDataError(f"the axes of {quoted(key)} are not those of its layer")
            self._inputs[key] = within_range(InputMetadata.from_dict(described), self.root)

    @property
    @abstractmethod
    def _root_file(self) -> Path:
        """The file of the root metadata."""

    def stored_weights(self) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """Read the weights from the root metadata again: few readers ask for them."""
        stored = _object(_read_object(self._root_file).get(WEIGHT_ARRAYS))
        return {
            name: _decoded(name, _object(stored.get(name)), shape)
            for name, shape in self.layer.weight_shapes.items()
        }

    @abstractmethod
    def _file_of(self, key: str) -> Path:
        """Return a key's .npy file; raise StoredDataError if it is outside the output."""

    def open_array(self, key: str) -> StoredArray:
        file = self._file_of(key)
        try:
            values = NpyValues(file, self._maps)
        except OSError as error:
            raise StoredDataError(f"{quoted(file)} cannot be read: {error.strerror}") from error
        return self.array_of(key, values, self._inputs[key])

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input."""
        return iter(self._inputs.items())

    def close(self) -> None:
        """Release the maps of the files."""
        self._maps.close()


class NpyFeatures(_NpyFeatures):
    """A single .npy file."""

    format = "npy"

    def __init__(self, path: Path) -> None:
        stored = _read_object(sidecar_of(path))
        super().__init__(path, stored, [dumps(stored.get("input"))])

    @property
    def _root_file(self) -> Path:
        return sidecar_of(self.path)

    def _file_of(self, key: str) -> Path:  # noqa: ARG002
        return self.path


class NpyDirectoryFeatures(_NpyFeatures):
    """A folder of .npy files."""

    format = "npy-directory"

    def __init__(self, path: Path) -> None:
        self._real_path = os.path.realpath(path)
        manifest, root = path / MANIFEST_NAME, path / ROOT_NAME
        for file in (manifest, root):
            self._check_within(file)
        stored = _read_object(root)
        if "manifest_crc32" in stored:
            with open_plain(manifest) as opened:
                _check_crc32(manifest, parts(opened), stored["manifest_crc32"])
        super().__init__(path, stored, _lines(manifest))  # read up to the first invalid line

    @property
    def _root_file(self) -> Path:
        self._check_within(self.path / ROOT_NAME)
        return self.path / ROOT_NAME

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
        files = {ROOT_NAME, MANIFEST_NAME, *(key + NPY_SUFFIX for key in self)}
        return unexpected_in_folder(self.path, files)

    def replaced_arrays(self) -> Iterator[str]:
        """Yield the names of files that cannot be those that this program wrote.

        Only kind and size are compared: opening a hundred thousand files takes too long.
        """
        itemsize = np.dtype(self.root.dtype).itemsize
        for key, metadata in self.metadata():
            n_bytes = prod(validated_shape(key, metadata, self.layer)) * itemsize
            name = key + NPY_SUFFIX
            with suppress(FileNotFoundError):
                status = os.lstat(f"{self.path}/{name}")
                if not stat.S_ISREG(status.st_mode) or status.st_size - n_bytes not in _HEAD_SIZES:
                    yield name


class NpyValues(Values):
    """The values of a .npy file of floating-point numbers in C order.

    The file is opened whenever it is read: an output may have more files than a process may keep
    open. ``maps`` keeps those that were mapped last. Raise StoredDataError if the file is of
    another kind, or its size differs from its header.
    """

    def __init__(self, path: Path, maps: FileMaps) -> None:
        self._path = path
        self._maps = maps
        with open_plain(path) as file:
            self.shape, self.dtype = _header(file, path)
            self.offset: int = file.tell()
            self._check_size(file)
            self._identity = identity_of(file.fileno())

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        with open_plain(self._path) as file:
            self._check_size(file)
            try:
                values: npt.NDArray[Any] = np.memmap(file, self.dtype, "r", self.offset, self.shape)
            except OSError:  # some network file systems cannot map: read all of it, or fail
                file.seek(self.offset)
                values = np.fromfile(file, self.dtype).reshape(self.shape)
            return np.array(values[index])

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return all values in the map of the file; ``None`` if it cannot be mapped now."""
        try:
            found = self._maps.get(self._path, self._identity)
        except OSError:
            return None
        return found.array(self.offset, self.shape, self.dtype)

    def parts(self) -> Iterator[bytes]:
        """Yield all its bytes, some megabytes at a time.

        The file is not mapped: then an error of the disk would kill the process, not raise OSError.
        """
        with open_plain(self._path) as file:
            self._check_size(file)
            file.seek(self.offset)
            yield from parts(file)

    def _check_size(self, file: BinaryIO) -> None:
        size = os.fstat(file.fileno()).st_size
        expected = self.offset + prod(self.shape) * self.dtype.itemsize
        if size != expected:
            raise StoredDataError(
                f"{quoted(self._path)} has {size:,} bytes; its header declares {expected:,}"
            )


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and the type that a .npy file's header declares."""
    try:
        # Later versions differ only in the length of field names, which these arrays do not have.
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("its .npy version is not 1.0")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as error:  # NumPy evaluates the header: many errors are possible
        raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
    if dtype.hasobject:
        raise StoredDataError(f"{quoted(path)} has Python objects: no pickle is loaded")
    is_float = dtype.kind == "f" and dtype.itemsize in _FLOAT_SIZES
    if not is_float or fortran_order or any(size < 1 for size in shape):
        raise StoredDataError(f"{quoted(path)} is not an array that this program writes")
    return shape, dtype


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; reject one that is longer than metadata can be."""
    with open_plain(path) as file:
        while line := file.readline(MAX_METADATA_BYTES):
            if not line.endswith(b"\n"):
                raise StoredDataError(f"{quoted(path)} has a line that is cut off or too long")
            yield line


def parts(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of a file, some megabytes at a time."""
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
        raise StoredDataError(f"{quoted(path)} is damaged: its checksum differs")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StoredDataError("its metadata is not a JSON object")
    return value


def _decoded(
    name: str, stored: dict[str, Any], shape: tuple[int, ...]
) -> npt.NDArray[np.floating[Any]]:
    """Return the array of a weight."""
    dtype, text = stored.get("dtype"), stored.get("base64")
    if dtype not in _WEIGHT_DTYPES or not isinstance(text, str):
        raise StoredDataError(f"its weight {quoted(name)} is not stored as this program does")
    try:
        values = np.frombuffer(b64decode(text, validate=True), dtype)
        return values.reshape(shape)
    except ValueError as error:
        raise StoredDataError(f"its weight {quoted(name)} cannot be read: {error}") from error


def _numbers(name: str, values: Any) -> npt.NDArray[np.float64]:
    if not isinstance(values, list) or not {type(value) for value in values} <= {int, float}:
        raise StoredDataError(f"its `{name}` is not a list of numbers")
    return np.array(values, dtype=np.float64)
