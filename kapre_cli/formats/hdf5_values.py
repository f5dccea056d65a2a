"""The values of an HDF5 dataset. What a file says of them is checked before they are read."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import product, repeat
from math import prod
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s, h5t, h5z

from kapre_cli.errors import StoredArrayError
from kapre_cli.formats.features import BLOCK_VALUES, ChunkVisitor, RawChunks, Values
from kapre_cli.formats.hdf5_headers import DatasetHeader, FileWindow
from kapre_cli.formats.hdf5_objects import wrap_hdf5_errors
from kapre_cli.formats.hdf5_writer import MAX_CHUNK_VALUES, packing_of

_FLOATS = tuple(
    (stored, stored.dtype)
    for stored in (
        *(h5t.IEEE_F32LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE),
        *(h5t.IEEE_F32BE, h5t.IEEE_F16BE, h5t.IEEE_F64BE),
    )
)
_HIGHEST_RATIO = 1100  # of compressed values; deflate's own limit is 1,032

_MIN_PACKED_BYTES = 64  # packing enlarges tiny chunks, and others hardly
# HDF5 takes memory for every chunk that it reads. This program writes small ones where a block of
# audio has few values, one in 2**20 samples or more.
_MIN_CHUNK_VALUES = 2**10
_MAX_SMALL_CHUNKS = 2**14
_PART_BYTES = 4 * BLOCK_VALUES


class Hdf5Values(Values):
    """The values of one dataset; raise StoredDataError unless they are floating-point numbers."""

    def __init__(self, key: str, dataset: Any) -> None:
        kind = dataset.get_type()
        dtype = next((dtype for stored, dtype in _FLOATS if kind.equal(stored)), None)
        if dtype is None:
            raise StoredArrayError(key, "is not of floating-point numbers")
        self._key = key
        self._dataset = dataset
        self.dtype: np.dtype[Any] = dtype
        self.shape: tuple[int, ...] = dataset.shape or ()  # None for a null dataspace
        self.offset = dataset.get_offset()
        self._small: set[tuple[int, ...]] = set()  # starts of chunks that are known to be small

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        self._check_chunk_sizes(_ranges_of(index, self.shape))
        return np.asarray(h5py.Dataset(self._dataset)[index])

    def crc32(self, time_axis: int, visit: ChunkVisitor | None = None) -> int:
        """Return the values' CRC-32 in C order, read along the time axis as they were written."""
        self._check_chunk_sizes([range(size) for size in self.shape])
        return super().crc32(time_axis, visit)

    def blocks(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis."""
        if prod(self.shape) <= BLOCK_VALUES:
            values = np.empty(self.shape, self.dtype)
            self._dataset.read(h5s.ALL, h5s.ALL, values)  # five times as fast for small arrays
            yield values
        else:
            yield from super().blocks(time_axis)

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the dataset has none."""
        packing = packing_of(self._dataset)
        return None if packing is None else RawChunks(packing, self._chunks)

    def _chunks(self) -> Iterator[tuple[tuple[int, ...], int, bytes]]:
        chunk = self._packing[0]
        for start in product(*map(range, repeat(0), self.shape, chunk)):
            self._stored_bytes(start, prod(chunk) * self.dtype.itemsize)
            with wrap_hdf5_errors(key=self._key):
                left_out, packed = self._dataset.read_direct_chunk(start)
            yield start, left_out, packed

    @cached_property
    def _packing(self) -> tuple[Any, ...]:
        """Chunk shape and filters of the dataset; empty if it is not chunked.

        Raise StoredDataError if its values were not all written, for which HDF5 returns zeros, or
        if it has larger or more chunks than this program writes.
        """
        packing = packing_of(self._dataset) or ()
        n_values = prod(self.shape)
        n_bytes = n_values * self.dtype.itemsize
        n_stored = self._dataset.get_storage_size()
        if n_stored * (_HIGHEST_RATIO if packing else 1) < n_bytes:
            raise StoredArrayError(
                self._key, f"promises {n_bytes:,} bytes of values and holds {n_stored:,}"
            )
        if not packing:
            return packing
        chunk = packing[0]
        if prod(chunk) > MAX_CHUNK_VALUES:
            raise StoredArrayError(
                self._key,
                f"has chunks of {prod(chunk):,} values; "
                f"this program reads at most {MAX_CHUNK_VALUES:,}",
            )
        n_chunks = prod(-(-size // length) for size, length in zip(self.shape, chunk, strict=True))
        at_most = max(_MAX_SMALL_CHUNKS, n_values // _MIN_CHUNK_VALUES)
        if n_chunks > at_most:
            raise StoredArrayError(
                self._key,
                f"has {n_chunks:,} chunks for {n_values:,} values; "
                f"this program reads at most {at_most:,}",
            )
        return packing

    def _check_chunk_sizes(self, within: Sequence[range]) -> None:
        """Reject chunks that take more memory than those that this program writes.

        HDF5 decompresses a chunk to its end, however large it is; so each one in these ranges is
        decompressed once, up to its limit, before HDF5 does.
        """
        if not self._packing:
            return
        chunk, *filters = self._packing
        n_bytes = prod(chunk) * self.dtype.itemsize
        is_deflated = any(one[0] == h5z.FILTER_DEFLATE for one in filters)
        firsts = (
            range(along.start - along.start % length, along.stop, length)
            for along, length in zip(within, chunk, strict=True)
        )
        for start in product(*firsts):
            if start in self._small:
                continue
            n_stored = self._stored_bytes(start, n_bytes)
            if is_deflated and n_stored * _HIGHEST_RATIO > _PART_BYTES:
                _, packed = self._dataset.read_direct_chunk(start)
                with suppress(zlib.error):  # HDF5 raises an error there too
                    if len(zlib.decompressobj().decompress(packed, n_bytes + 1)) > n_bytes:
                        raise StoredArrayError(
                            self._key,
                            f"has a chunk that decompresses to more than its {n_bytes:,} bytes",
                        )
                self._small.add(start)  # only these: memory grows with the bytes of the file

    def _stored_bytes(self, start: tuple[int, ...], n_bytes: int) -> int:
        """Return a chunk's bytes in the file; reject more than packing can produce."""
        with wrap_hdf5_errors(key=self._key):
            found = self._dataset.get_chunk_info_by_coord(start)
        if found.size > 2 * n_bytes + _MIN_PACKED_BYTES:
            raise StoredArrayError(self._key, f"has a chunk of {found.size:,} bytes")
        return int(found.size)


class PlainValues(Values):
    """Values that lie in one place of a file. HDF5 opens their dataset for parts of them."""

    def __init__(
        self,
        window: FileWindow,
        header: DatasetHeader,
        dtype: np.dtype[Any],
        open_dataset: Callable[[], Any],
    ) -> None:
        self.shape = header.shape
        self.dtype = dtype
        self.offset: int = header.offset
        self._window = window
        self._n_bytes = header.n_bytes
        self._open_dataset = open_dataset

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        if not _takes_all(index, self.shape):
            return np.asarray(h5py.Dataset(self._open_dataset())[index])
        values = np.empty(self.shape, self.dtype)
        content, first = values.reshape(-1).view(np.uint8).data, 0
        for part in self.parts():
            content[first : first + len(part)] = part
            first += len(part)
        return values

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of all values, some megabytes at a time."""
        return self._window.parts(self.offset, self._n_bytes)


def _takes_all(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether an index takes a whole array, axis by axis or at once.

    >>> [_takes_all(index, (5, 6)) for index in ((), ..., slice(5), slice(1, 5), (slice(5), 0))]
    [True, True, True, False, False]
    """
    given = index if isinstance(index, tuple) else () if index is Ellipsis else (index,)
    return len(given) <= len(shape) and all(
        isinstance(one, slice) and range(size)[one] == range(size)
        for one, size in zip(given, shape, strict=False)
    )


def _ranges_of(index: Any, shape: tuple[int, ...]) -> list[range]:
    """Return for each axis a range that holds all that an index takes.

    The whole axis stands for anything but integers and slices, and for an index that does not fit.

    >>> _ranges_of((1, ..., slice(2, 7)), (5, 6, 7))
    [range(1, 2), range(0, 6), range(2, 7)]
    """
    given = list(index) if isinstance(index, tuple) else [index]
    place = next((place for place, one in enumerate(given) if one is Ellipsis), len(given))
    n_left_out = len(shape) - len(given) + (place < len(given))
    given[place : place + 1] = [slice(None)] * n_left_out
    ranges = [range(size) for size in shape]
    if len(given) == len(shape):
        for axis, one in enumerate(given):
            if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
                one = slice(one, one + 1 or None)
            if isinstance(one, slice) and (one.step or 1) > 0:
                ranges[axis] = ranges[axis][one]
    return ranges
