"""Outputs made of .npy files: one array, a directory of them that mirrors the keys, a stream."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import OutputError, StoredDataError, wrap_os_errors
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, crc32
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.npy_names import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.formats.writer import ByteRange, FeatureWriter
from kapre_cli.osutil import sync_folder, write_all

_HELD_BYTES = 2**24  # of a stream: arrays up to this size are assembled in memory
_COPIED_BYTES = 2**20


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
        described = root_dict(self.root, self.coordinate) | {
            "input": _row(key, self.root, metadata)
        }
        with wrap_os_errors(sidecar):
            _write_json(sidecar, described)

    def finish(self) -> None:
        """Do nothing: both files are complete."""


def root_dict(root: OutputMetadata, coordinate: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the root metadata with the coordinates, which have no dataset in this format."""
    return root.to_dict() | {root.layer.coordinate.name: coordinate.tolist()}


def _row(key: str, root: OutputMetadata, metadata: InputMetadata) -> dict[str, Any]:
    return {"key": key, "axes": list(root.layer.axes), **metadata.to_dict()}


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object, with the CRC-32 of its text without that very entry."""
    checked = value | {"crc32": crc32(dumps(value).encode())}
    with path.open("x", encoding="ascii") as file:
        file.write(dumps(checked) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _npy_head(array: ArrayChunks) -> bytes:
    head = BytesIO()
    described = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(head, described)
    return head.getvalue()


def _write_into(file: IO[bytes], array: ArrayChunks, chunks: Iterator[Chunk]) -> None:
    """Write an array chunk by chunk into an empty file.

    No memory map is used: its pages would count as this process's memory.
    """
    head = _npy_head(array)
    file.write(head)
    frame_bytes = prod(array.shape[array.time_axis + 1 :]) * array.dtype.itemsize
    row_bytes = array.shape[array.time_axis] * frame_bytes
    for index, values in chunks:
        first = len(head) + index[array.time_axis].start * frame_bytes
        # A chunk is one run of bytes for each index of the axes before the time axis.
        places = [()] if array.n_chunks == 1 else np.ndindex(array.shape[: array.time_axis])
        for row, place in enumerate(places):
            file.seek(first + row * row_bytes)
            file.write(np.ascontiguousarray(values[place]).data)


def _write_npy(path: Path, array: ArrayChunks, chunks: Iterator[Chunk]) -> ByteRange:
    n_bytes = prod(array.shape) * array.dtype.itemsize
    with path.open("xb") as file:
        _write_into(file, array, chunks)
        file.flush()
        os.fsync(file.fileno())
        return ByteRange(path, os.fstat(file.fileno()).st_size - n_bytes, n_bytes)


def write_array(descriptor: int, array: ArrayChunks) -> None:
    """Write an array in C order, for any order of its axes, to a descriptor that cannot seek.

    Raises:
        BrokenPipeError: If nobody reads it.
        OutputError: If it cannot be written.
    """
    write = partial(write_all, descriptor, name="standard output")
    if array.time_axis == 0:
        write(_npy_head(array))
        for _, values in array.chunks():
            write(values.data.cast("B"))
        return
    from tempfile import TemporaryFile  # slow to import

    try:
        is_small = array.dtype.itemsize * prod(array.shape) <= _HELD_BYTES
        with BytesIO() if is_small else TemporaryFile() as file:
            _write_into(file, array, array.chunks())
            file.seek(0)
            while part := file.read(_COPIED_BYTES):
                write(part)
    except (OutputError, BrokenPipeError):  # of standard output
        raise
    except OSError as error:
        raise OutputError(
            f"a temporary file cannot be used: {error.strerror or error}; "
            "TMPDIR names the folder that it is made in"
        ) from error


def read_arrays(file: IO[bytes]) -> Iterator[npt.NDArray[Any]]:
    """Yield the arrays of a stream, one after another, as they arrive.

    ``numpy.load`` reads them as well, but from a file only, not from a pipe.

    Args:
        file: A binary file or pipe that ``kapre-extract ... -o -`` writes: ``sys.stdin.buffer``,
            for instance.

    Yields:
        The array of each input, in the order of the inputs, with the axes and the type of the run.

    Raises:
        StoredDataError: If the stream ends within an array, or holds something else.

    >>> stream = BytesIO()
    >>> for n_time in (3, 5):
    ...     np.save(stream, np.zeros((2, n_time, 1), "float32"))
    >>> _ = stream.seek(0)
    >>> [array.shape for array in read_arrays(stream)]
    [(2, 3, 1), (2, 5, 1)]
    """
    while head := file.read(np.lib.format.MAGIC_LEN):
        try:
            np.lib.format.read_magic(BytesIO(head))
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise StoredDataError(f"the stream does not go on with an array: {error}") from error
        if fortran_order or dtype.hasobject:
            raise StoredDataError("the stream does not go on with an array of this program")
        array = np.empty(shape, dtype)
        left = array.reshape(-1).view(np.uint8).data
        while left:
            data = file.read(min(len(left), _COPIED_BYTES))
            if not data:
                raise StoredDataError(
                    f"the stream ends within an array of shape {shape}: "
                    f"{len(left):,} bytes of it are missing"
                )
            left[: len(data)] = data
            left = left[len(data) :]
        yield array
