"""The values of an array, wherever they are stored."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.formats.array_chunks import ArrayCrc32, RawChunks, crc32, little_endian
from kapre_cli.framing import largest_power_of_two, spans

ChunkVisitor = Callable[[npt.NDArray[Any]], object]

BLOCK_VALUES = 2**22  # of an array, read at once


class Values(ABC):
    """An array in a file.

    ``offset`` is where its values begin, if all of them lie there uncompressed.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None = None

    @abstractmethod
    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        """Read the values that ``index`` selects with system calls; return a copy.

        Raise an exception if the disk has an error.
        """

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return all values as they are mapped into memory, not to be changed.

        ``None`` if they must be read. An error of the disk ends the process when they are used.
        """
        return None

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the array is not compressed."""
        return None

    def parts(self) -> Iterator[bytes] | None:
        """Return all bytes in parts of some MB; ``None`` if not stored unchanged."""
        return None

    def crc32(self, time_axis: int, visit: ChunkVisitor | None = None) -> int:
        """Read all values, part by part; return their CRC-32.

        It is that of the values in C order, little-endian. Each part is passed to ``visit`` as it
        is read, in any shape.
        """
        visit = visit or (lambda _values: None)
        parts = self.parts()
        if parts is None:
            array_crc = ArrayCrc32(self.shape, time_axis, self.dtype.itemsize)
            for values in self.blocks(time_axis):
                array_crc.add(little_endian(values))
                visit(values)
            return array_crc.value()
        crc, is_swapped = 0, self.dtype.str.startswith(">")
        for part in parts:
            values = np.frombuffer(part, self.dtype)
            crc = crc32(little_endian(values).data if is_swapped else part, crc)
            visit(values)
        return crc

    def blocks(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis, some megabytes at a time."""
        n_time = self.shape[time_axis]
        at_once = largest_power_of_two(max(BLOCK_VALUES * n_time // prod(self.shape), 1))
        for first, count in spans(n_time, at_once):
            index = [slice(None)] * len(self.shape)
            index[time_axis] = slice(first, first + count)
            yield self[tuple(index)]


class ValuesInMemory(Values):
    """An array that is no file's."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values
        self.shape = values.shape
        self.dtype = values.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        return np.array(self._values[index])

    def mapped(self) -> npt.NDArray[Any]:
        """Return the values themselves."""
        return self._values


def box_of(index: Any, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], Any]:
    """Return slices that contain all that an index selects, and the index within them.

    The slices are whole axes for all but integers and slices, and for an index with new axes or
    masks of several axes. Raise IndexError if an integer is out of range.

    >>> box, inside = box_of((1, ..., slice(6, 2, -2)), (5, 7))
    >>> box
    (slice(1, 2, None), slice(4, 7, None))
    >>> inside
    (0, slice(None, None, -2))
    """
    given = list(index) if isinstance(index, tuple) else [index]
    at = next((axis for axis, one in enumerate(given) if one is Ellipsis), len(given))
    given[at : at + 1] = [slice(None)] * (len(shape) - len(given[:at] + given[at + 1 :]))
    if len(given) != len(shape) or not all(map(_is_of_one_axis, given)):
        return tuple(slice(0, size) for size in shape), index
    box, inside = zip(*map(_along, range(len(shape)), given, shape), strict=True)
    return box, inside


def _is_of_one_axis(one: Any) -> bool:
    if isinstance(one, (list, np.ndarray)):
        return np.ndim(one) == 1
    return isinstance(one, (int, np.integer, slice)) and not isinstance(one, bool)


def _along(axis: int, one: Any, size: int) -> tuple[slice, Any]:
    """Return a slice of one axis with all that an index selects, and the index in it."""
    if isinstance(one, (list, np.ndarray)):
        return slice(0, size), one
    if isinstance(one, slice):
        selected = range(size)[one]
        if not selected:
            return slice(0, 0), slice(None)
        first, last = sorted((selected[0], selected[-1]))
        return slice(first, last + 1), slice(None, None, selected.step)
    if not -size <= one < size:
        raise IndexError(f"index {one} is out of bounds for axis {axis} with size {size}")
    number = int(one) % size
    return slice(number, number + 1), 0
