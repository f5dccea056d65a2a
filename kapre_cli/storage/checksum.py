"""CRC-32 of arrays in C order, also of arrays that are never whole in memory.

Pieces come along the time axis, which need not be the first one: then each piece has a part of
every row. The rows' checksums are carried along and joined at the end, so nothing is read twice.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from zlib_ng.zlib_ng import crc32 as crc32  # that of zlib, three times as fast

# The CRC of a message is the message as a polynomial over GF(2), times x^32, modulo P. Here the
# lowest power of x is the highest bit, as in the CRC itself.
_P = 0xEDB88320
_ONE = 1 << 31
_X = 1 << 30


class PieceCrc:
    """The checksum of an array whose pieces come in order along its time axis.

    Args:
        shape: The whole array's shape.
        time_axis: Which axis is cut.
        itemsize: Bytes of a value.
    """

    def __init__(self, shape: tuple[int, ...], time_axis: int, itemsize: int) -> None:
        self._shape = shape
        self._time_axis = time_axis
        self._row_bytes = prod(shape[time_axis:]) * itemsize
        self._rows = [0] * prod(shape[:time_axis])

    def through(
        self, pieces: Iterable[tuple[Any, npt.NDArray[Any]]]
    ) -> Iterator[tuple[Any, npt.NDArray[Any]]]:
        """Yield pieces, each with where it goes, and take them into account."""
        for index, values in pieces:
            self.add(values)
            yield index, values

    def add(self, values: npt.NDArray[Any]) -> None:
        """Take the next piece into account; it is whole along every axis but the time axis."""
        if values.shape == self._shape:  # the only piece
            self._rows = [crc32(np.ascontiguousarray(values).data)]
            return
        if values.size == 0:
            return
        places = np.ndindex(values.shape[: self._time_axis])
        for row, place in enumerate(places):
            part = np.ascontiguousarray(values[place])
            self._rows[row] = crc32(part.data, self._rows[row])

    def value(self) -> int:
        """Return the checksum of all pieces together."""
        if len(self._rows) == 1:
            return self._rows[0]
        shift = _power_of_x(8 * self._row_bytes)
        crc = 0
        for row in self._rows:
            crc = _product(crc, shift) ^ row
        return crc


def little_endian(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values in the byte order that checksums are taken in."""
    return values.astype(values.dtype.newbyteorder("<"), copy=False)


def _product(one: int, other: int) -> int:
    """Return the product of two polynomials modulo P."""
    result = 0
    for bit in range(31, -1, -1):  # from x^0 to x^31
        if one >> bit & 1:
            result ^= other
        other = other >> 1 ^ (_P if other & 1 else 0)  # times x
    return result


def _power_of_x(exponent: int) -> int:
    """Return x to the power of ``exponent`` modulo P, by repeated squaring."""
    result, square = _ONE, _X
    while exponent:
        if exponent & 1:
            result = _product(result, square)
        square = _product(square, square)
        exponent >>= 1
    return result
