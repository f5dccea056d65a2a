"""The values of HDF5 datasets: contiguous ones mapped, chunks unpacked within limits.

HDF5 decompresses a chunk to its end, however large it is. So chunks that are packed as this program
packs them are unpacked here, in a quarter of the time too; HDF5 unpacks all others, after a check.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import product, repeat
from math import prod
from threading import Lock
from typing import Any, NoReturn

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5s, h5t, h5z
from zlib_ng import zlib_ng

from kapre_cli.errors import StoredArrayError
from kapre_cli.formats.array_chunks import RawChunks
from kapre_cli.formats.hdf5_headers import FileWindow
from kapre_cli.formats.hdf5_objects import MAX_CHUNK_VALUES, packing_of, wrap_hdf5_errors
from kapre_cli.formats.values import BLOCK_VALUES, Values, box_of

_FLOATS = tuple(
    (stored, stored.dtype)
    for stored in (
        *(h5t.IEEE_F32LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE),
        *(h5t.IEEE_F32BE, h5t.IEEE_F16BE, h5t.IEEE_F64BE),
    )
)
_UNPACK_ERROR: Any = zlib_ng.error  # which is typed as an instance
_HIGHEST_RATIO = 1100  # of compressed values; deflate's own limit is 1,032

_MIN_PACKED_BYTES = 64  # packing enlarges tiny chunks, and others hardly
# HDF5 uses memory for every chunk that it reads. This program writes small ones where a block of
# audio has few values, one in 2**20 samples or more.
_MIN_CHUNK_VALUES = 2**10
_MAX_SMALL_CHUNKS = 2**14
_PART_BYTES = 4 * BLOCK_VALUES


class ChunkCache:
    """The chunks that were unpacked last, of all arrays of a file, up to a number of bytes.

    HDF5's own cache would have a MiB of each open dataset.
    """

    def __init__(self, n_bytes: int = 2**25) -> None:
        self._at_most = n_bytes
        self._n_bytes = 0
        self._chunks: OrderedDict[tuple[object, tuple[int, ...]], npt.NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, owner: object, start: tuple[int, ...]) -> npt.NDArray[Any] | None:
        """Return the chunk that an owner has at ``start``; ``None`` if it must be read."""
        with self._lock:
            found = self._chunks.get((owner, start))
            if found is not None:
                self._chunks.move_to_end((owner, start))
            return found

    def put(self, owner: object, start: tuple[int, ...], chunk: npt.NDArray[Any]) -> None:
        """Add a chunk; the first ones that are not needed make room for it."""
        with self._lock:
            if (owner, start) not in self._chunks:  # another thread may have read it too
                self._chunks[owner, start] = chunk
                self._n_bytes += chunk.nbytes
            while self._n_bytes > self._at_most:
                _, released = self._chunks.popitem(last=False)
                self._n_bytes -= released.nbytes

    def clear(self) -> None:
        """Release all chunks."""
        with self._lock:
            self._chunks.clear()
            self._n_bytes = 0


class Hdf5Values(Values):
    """The floating-point values of one dataset; raise StoredDataError for others.

    ``open_dataset`` returns the dataset, opened again if need be: one that is open takes 40 kB.
    ``window`` is that of the file, if contiguous values are to be mapped; ``cache`` has the chunks
    that several reads need.
    """

    def __init__(
        self,
        key: str,
        open_dataset: Callable[[], Any],
        window: FileWindow | None = None,
        cache: ChunkCache | None = None,
    ) -> None:
        dataset = open_dataset()
        kind = dataset.get_type()
        dtype = next((dtype for stored, dtype in _FLOATS if kind.equal(stored)), None)
        if dtype is None:
            raise StoredArrayError(key, "is not of floating-point numbers")
        self._key = key
        self._open_dataset = open_dataset
        self._window = window
        self._cache = cache or ChunkCache(0)
        self._owner = object()  # of the chunks in the cache
        self.dtype: np.dtype[Any] = dtype
        self.shape: tuple[int, ...] = dataset.shape or ()  # None for a null dataspace
        self.offset = dataset.get_offset()
        self._small: set[tuple[int, ...]] = set()  # starts of chunks that are known to be small
        self._places: dict[tuple[int, ...], Any] = {}  # in the file, by the start of the chunk

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        box, inside = box_of(index, self.shape)
        if not self._packing:
            return np.asarray(h5py.Dataset(self._open_dataset())[box][inside])
        values = np.empty([along.stop - along.start for along in box], self.dtype)
        for start in _starts(box, self._packing[0]):
            met = tuple(map(_met, box, start, self._ends(start)))
            target = tuple(map(_moved, met, (along.start for along in box)))
            # A chunk of which all is used now is hardly used again soon.
            is_kept = any(
                along.stop - along.start < min(end, size) - first
                for along, first, end, size in zip(
                    met, start, self._ends(start), self.shape, strict=True
                )
            )
            within = tuple(map(_moved, met, start))
            values[target] = self._part(start, within, is_kept=is_kept)
        return np.asarray(values[inside])

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return all values in the map of the file, if they are contiguous."""
        if self.offset is None or self._window is None or self._packing:
            return None
        return self._window.mapped(self.offset, self.shape, self.dtype)

    def _ends(self, start: tuple[int, ...]) -> tuple[int, ...]:
        """Return the ends of a chunk; the array may be shorter."""
        return tuple(first + n for first, n in zip(start, self._packing[0], strict=True))

    @cached_property
    def _is_unpacked_here(self) -> bool:
        """Whether the chunks are deflated, shuffled by bytes of values or not, and no more."""
        filters = self._packing[1:]
        shuffle = (h5z.FILTER_SHUFFLE, self.dtype.itemsize)
        return (
            bool(filters)
            and filters[-1][0] == h5z.FILTER_DEFLATE
            and [(code, *values[:1]) for code, _, values in filters[:-1]] in ([], [shuffle])
        )

    def _part(
        self, start: tuple[int, ...], within: tuple[slice, ...], *, is_kept: bool
    ) -> npt.NDArray[Any]:
        """Return the values in a part of a chunk, which may be kept in the cache."""
        chunk = self._cache.get(self._owner, start)
        if chunk is None:
            chunk = self._unpacked(start) if self._is_unpacked_here else None
            if chunk is None:  # HDF5 reads it
                box = [slice(*ends) for ends in zip(start, self._ends(start), strict=True)]
                self._check_chunk_sizes(box)
                chunk = np.asarray(h5py.Dataset(self._open_dataset())[tuple(box)])
            if is_kept:
                self._cache.put(self._owner, start, chunk)
        if chunk.ndim == len(within):
            return chunk[within]
        # Shuffled: the first bytes of all values, the second bytes of all, and so on.
        first, *_ = parts = [plane[within] for plane in chunk]
        values = np.empty((*first.shape, len(parts)), np.uint8)
        for number, plane in enumerate(parts):
            values[..., number] = plane
        return values.view(self.dtype)[..., 0]

    def _unpacked(self, start: tuple[int, ...]) -> npt.NDArray[Any] | None:
        """Return a chunk, the bytes of its values along a first axis if they are shuffled.

        ``None``: HDF5 must read it. Raise StoredDataError if it has more bytes than those that this
        program writes.
        """
        shape, *before, _ = self._packing
        n_bytes = prod(shape) * self.dtype.itemsize
        stored = self._stored(start, n_bytes)
        if not stored.size or stored.filter_mask:
            return None
        packed = self._packed(start, stored)
        stream = zlib_ng.decompressobj()
        try:
            content = stream.decompress(packed, n_bytes + 1)
        except _UNPACK_ERROR:
            return None
        if len(content) > n_bytes:
            self._reject_large(n_bytes)
        if len(content) < n_bytes or not stream.eof:
            return None
        if not before:
            return np.frombuffer(content, self.dtype).reshape(shape)
        return np.frombuffer(content, np.uint8).reshape(self.dtype.itemsize, *shape)

    def blocks(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis."""
        if prod(self.shape) <= BLOCK_VALUES and not self._is_unpacked_here:
            self._check_chunk_sizes([slice(0, size) for size in self.shape])
            dataset, values = self._open_dataset(), np.empty(self.shape, self.dtype)
            dataset.read(h5s.ALL, h5s.ALL, values)  # five times as fast for small arrays
            yield values
        else:
            yield from super().blocks(time_axis)

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the dataset has none."""
        packing = packing_of(self._open_dataset())
        return None if packing is None else RawChunks(packing, self._chunks)

    def _chunks(self) -> Iterator[tuple[tuple[int, ...], int, bytes]]:
        chunk = self._packing[0]
        for start in product(*map(range, repeat(0), self.shape, chunk)):
            self._stored(start, prod(chunk) * self.dtype.itemsize)
            with wrap_hdf5_errors(key=self._key):
                left_out, packed = self._open_dataset().read_direct_chunk(start)
            yield start, left_out, packed

    @cached_property
    def _packing(self) -> tuple[Any, ...]:
        """Chunk shape and filters of the dataset; empty if it is not chunked.

        Raise StoredDataError if its values were not all written, for which HDF5 returns zeros, or
        if it has larger or more chunks than this program writes.
        """
        dataset = self._open_dataset()
        packing = packing_of(dataset) or ()
        n_values = prod(self.shape)
        n_bytes = n_values * self.dtype.itemsize
        n_stored = dataset.get_storage_size()
        if n_stored * (_HIGHEST_RATIO if packing else 1) < n_bytes:
            raise StoredArrayError(
                self._key, f"declares {n_bytes:,} bytes of values and has {n_stored:,}"
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

    def _check_chunk_sizes(self, box: Sequence[slice]) -> None:
        """Reject chunks that take more memory than those that this program writes.

        HDF5 decompresses a chunk to its end, however large it is; so each one in a box is
        decompressed once, up to its limit, before HDF5 does.
        """
        if not self._packing:
            return
        chunk, *filters = self._packing
        n_bytes = prod(chunk) * self.dtype.itemsize
        is_deflated = any(one[0] == h5z.FILTER_DEFLATE for one in filters)
        for start in _starts(box, chunk):
            if start in self._small:
                continue
            stored = self._stored(start, n_bytes)
            if is_deflated and stored.size * _HIGHEST_RATIO > _PART_BYTES:
                packed = self._packed(start, stored)
                with suppress(_UNPACK_ERROR):  # HDF5 raises an error there too
                    if len(zlib_ng.decompressobj().decompress(packed, n_bytes + 1)) > n_bytes:
                        self._reject_large(n_bytes)
                self._small.add(start)  # only these: memory grows with the bytes of the file

    def _reject_large(self, n_bytes: int) -> NoReturn:
        raise StoredArrayError(
            self._key, f"has a chunk that decompresses to more than its {n_bytes:,} bytes"
        )

    def _stored(self, start: tuple[int, ...], n_bytes: int) -> Any:
        """Return what HDF5 knows of a chunk; reject one of more bytes than packing can produce."""
        found = self._places.get(start)
        if found is not None:
            return found
        with wrap_hdf5_errors(key=self._key):
            found = self._open_dataset().get_chunk_info_by_coord(start)
        if found.size > 2 * n_bytes + _MIN_PACKED_BYTES:
            raise StoredArrayError(self._key, f"has a chunk of {found.size:,} bytes")
        self._places[start] = found
        return found

    def _packed(self, start: tuple[int, ...], stored: Any) -> bytes:
        """Return the bytes of a chunk.

        They are read without h5py, whose ``read_direct_chunk`` is not safe in threads.
        """
        if self._window is None:
            return bytes(self._open_dataset().read_direct_chunk(start)[1])
        return self._window.read(stored.byte_offset, stored.size)


def _starts(box: Sequence[slice], lengths: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the starts of the chunks that a box meets.

    >>> list(_starts((slice(3, 9), slice(0, 1)), (4, 5)))
    [(0, 0), (4, 0), (8, 0)]
    """
    return product(
        *(
            range(along.start - along.start % length, along.stop, length)
            for along, length in zip(box, lengths, strict=True)
        )
    )


def _met(along: slice, first: int, end: int) -> slice:
    return slice(max(along.start, first), min(along.stop, end))


def _moved(part: slice, origin: int) -> slice:
    """Return a slice counted from another origin."""
    return slice(part.start - origin, part.stop - origin)
