"""Arrays in chunks along their time axis, and their CRC-32.

No array need fit in memory. The time axis need not be the first one: then each chunk has a part of
every row. A checksum is computed of each row and all are joined at the end: nothing is read twice.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from zlib_ng.zlib_ng import crc32 as crc32  # same values as zlib's, three times as fast
from zlib_ng.zlib_ng import crc32_combine

from kapre_cli.settings import LayerConfig

Index = tuple[slice, ...]
Chunk = tuple[Index, npt.NDArray[Any]]


@dataclass(frozen=True)
class RawChunks:
    """An array as it is stored compressed.

    Arrays of one shape, type and ``packing`` (chunk shape and filters) have interchangeable chunks.
    ``chunks`` yields each chunk in order: its start, the filters left out, its bytes.
    """

    packing: tuple[Any, ...]
    chunks: Callable[[], Iterator[tuple[tuple[int, ...], int, bytes]]]


@dataclass(frozen=True)
class ArrayChunks:
    """One input's array as it will be stored, in chunks along the time axis.

    Attributes:
        dtype: Little-endian.
        chunk_frames: Frames in a chunk; the last one may have fewer.
        chunks: Iterates over the chunks at every call: index and values. They cover the array
            once, and each is whole along all axes but the time axis.
        reference: The value that is at 0 dB; ``None`` unless the values are decibels.
        raw_chunks: The same values compressed, if available.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    time_axis: int
    n_chunks: int
    chunk_frames: int
    chunks: Callable[[], Iterator[Chunk]]
    reference: float | None = None
    raw_chunks: RawChunks | None = None

    def assembled(self) -> npt.NDArray[Any]:
        """Return the whole array."""
        if self.n_chunks == 1:
            ((_, values),) = self.chunks()
            return values
        whole = np.empty(self.shape, self.dtype)
        for index, values in self.chunks():
            whole[index] = values
        return whole


def frame_index(config: LayerConfig, first: int, count: int) -> Index:
    """Return the index of ``count`` frames from ``first`` on in an array of the layer."""
    return tuple(
        slice(first, first + count) if axis == "time" else slice(None) for axis in config.axes
    )


class ArrayCrc32:
    """The CRC-32 of an array whose chunks are added in order along its time axis."""

    def __init__(self, shape: tuple[int, ...], time_axis: int, itemsize: int) -> None:
        self._shape = shape
        self._time_axis = time_axis
        self._row_bytes = prod(shape[time_axis:]) * itemsize
        self._rows = [0] * prod(shape[:time_axis])

    def through(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield chunks, and their indices, after adding them."""
        for index, values in chunks:
            self.add(values)
            yield index, values

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the next chunk, which is whole along every axis but the time axis."""
        if values.shape == self._shape:  # the only chunk
            self._rows = [crc32(np.ascontiguousarray(values).data)]
            return
        if values.size == 0:
            return
        for number, row in enumerate(np.ndindex(values.shape[: self._time_axis])):
            part = np.ascontiguousarray(values[row])
            self._rows[number] = crc32(part.data, self._rows[number])

    def value(self) -> int:
        """Return the checksum of all chunks."""
        crc = 0
        for row in self._rows:
            crc = crc32_combine(crc, row, self._row_bytes)
        return crc


def little_endian(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values in the byte order that checksums are computed in."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False)
