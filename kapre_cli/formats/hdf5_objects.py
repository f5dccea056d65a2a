"""Open objects of an HDF5 file, and read their values, if they are harmless.

HDF5 alone would follow links and storage into other files, load libraries for filters it does not
know, decompress a chunk to any size, and never return from a damaged string of variable length.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import product, repeat
from math import prod
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

from kapre_cli.errors import StoredArrayError, StoredDataError
from kapre_cli.formats.array_chunks import RawChunks
from kapre_cli.formats.features import BLOCK_VALUES, Values
from kapre_cli.formats.validation import MAX_METADATA_BYTES
from kapre_cli.text import quoted

MAX_CHUNK_VALUES = 2**18

# By filter its rank in the order of application, of each rank one at most: two that compress could
# expand without bound.
_STAGES = {
    h5z.FILTER_SHUFFLE: 0,
    h5z.FILTER_DEFLATE: 1,
    h5z.FILTER_LZF: 1,
    h5z.FILTER_FLETCHER32: 2,
}
_MAX_NUMBER_BYTES = 8

_FLOATS = tuple(
    (stored, stored.dtype)
    for stored in (
        *(h5t.IEEE_F32LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE),
        *(h5t.IEEE_F32BE, h5t.IEEE_F16BE, h5t.IEEE_F64BE),
    )
)
_HIGHEST_RATIO = 1100  # of compressed values; deflate's own limit is 1,032

_MIN_PACKED_BYTES = 64  # packing enlarges tiny chunks, and others hardly
# HDF5 uses memory for every chunk that it reads. This program writes small ones where a block of
# audio has few values, one in 2**20 samples or more.
_MIN_CHUNK_VALUES = 2**10
_MAX_SMALL_CHUNKS = 2**14
_PART_BYTES = 4 * BLOCK_VALUES


@contextmanager
def wrap_hdf5_errors(what: str = "", *, key: str | None = None) -> Iterator[None]:
    """Turn all errors of h5py into a StoredDataError, of a file or of one array."""
    try:
        yield
    except StoredDataError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = f"cannot be read: {error}"
        if key is not None:
            raise StoredArrayError(key, reason) from error
        raise StoredDataError(f"{what} {reason}") from error


def open_dataset(group: Any, name: str) -> Any:
    """Return a dataset; raise StoredDataError unless its values are safe to read.

    They must lie in this very file and need no foreign code to be read.
    """
    dataset = _member(group, name)
    if not isinstance(dataset, h5d.DatasetID):
        raise StoredArrayError(name, "is not a dataset")
    creation = dataset.get_create_plist()
    if creation.get_layout() == h5d.VIRTUAL or creation.get_external_count():
        raise StoredArrayError(name, "leads to another file")
    filters = [creation.get_filter(number)[0] for number in range(creation.get_nfilters())]
    if unknown := {*filters} - _STAGES.keys():
        raise StoredArrayError(name, f"is packed with unknown filters {unknown}")
    stages = [_STAGES[one] for one in filters]
    if stages != sorted(set(stages)):
        raise StoredArrayError(name, f"is packed with filters in the order {filters}")
    return dataset


def open_group(group: Any, name: str) -> Any:
    """Return a group of this very file; raise StoredDataError for anything else."""
    found = _member(group, name)
    if not isinstance(found, h5g.GroupID):
        raise StoredDataError(f"{quoted(name)} is not a group")
    return found


def _member(group: Any, name: str) -> Any:
    """Open a direct member of a group, unless it is a link to another place."""
    raw = name.encode()
    try:
        link = group.links.get_info(raw)  # "in" would follow a link
    except (KeyError, RuntimeError) as error:
        raise StoredDataError(f"it has no {quoted(name)}") from error
    if link.type != h5l.TYPE_HARD:
        raise StoredArrayError(name, "is a link to another place")
    return h5o.open(group, raw)


def open_column(group: Any, name: str, dtype: np.dtype[Any]) -> h5py.Dataset:
    """Return a one-axis dataset of this type, all of whose bytes are in the file."""
    dataset = open_dataset(group, name)
    if not dataset.get_type().equal(h5t.py_create(dtype)):
        raise StoredDataError(f"{quoted(name)} is not of the type that this program writes")
    shape: tuple[int, ...] = dataset.shape or ()
    if len(shape) != 1 or dataset.get_create_plist().get_layout() != h5d.CONTIGUOUS:
        raise StoredDataError(f"{quoted(name)} is not stored as this program does")
    n_bytes = shape[0] * dtype.itemsize
    n_stored = dataset.get_storage_size()
    if n_bytes != n_stored or n_bytes > h5py.h5i.get_file_id(dataset).get_filesize():
        raise StoredDataError(
            f"{quoted(name)} declares {n_bytes:,} bytes, which the file cannot have"
        )
    return h5py.Dataset(dataset)


def read_attribute(owner: Any, name: str) -> bytes | int | None:
    """Return an integer or a string of fixed length; ``None`` if missing or a float."""
    if not h5a.exists(owner, name.encode()):
        return None
    attribute = h5a.open(owner, name.encode())
    kind = attribute.get_type()
    n_bytes, is_text = kind.get_size(), kind.get_class() == h5t.STRING
    if is_text:
        is_plain = not kind.is_variable_str() and n_bytes <= MAX_METADATA_BYTES
    else:
        is_plain = kind.get_class() in (h5t.INTEGER, h5t.FLOAT) and n_bytes <= _MAX_NUMBER_BYTES
    if not is_plain or attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
        raise StoredDataError(f"the attribute {name!r} is not a plain string or number")
    if is_text:
        text = np.empty((), f"S{n_bytes}")
        attribute.read(text, kind)
        return bytes(text[()])
    number = np.empty((), kind.dtype)
    attribute.read(number)
    return number.item() if number.dtype.kind in "iu" else None


def packing_of(dataset: Any) -> tuple[Any, ...] | None:
    """Return a dataset's chunk shape and filters; ``None`` if it is not chunked."""
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5d.CHUNKED:
        return None
    filters = [creation.get_filter(number)[:3] for number in range(creation.get_nfilters())]
    return (creation.get_chunk(), *filters)


class Hdf5Values(Values):
    """The floating-point values of one dataset; raise StoredDataError for others."""

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

    def blocks(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis."""
        if prod(self.shape) <= BLOCK_VALUES:
            self._check_chunk_sizes([range(size) for size in self.shape])
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


def _ranges_of(index: Any, shape: tuple[int, ...]) -> list[range]:
    """Return for each axis a range that contains all that an index selects.

    It is the whole axis for all but integers and slices, and if the index does not fit.

    >>> _ranges_of((1, ..., slice(2, 7)), (5, 6, 7))
    [range(1, 2), range(0, 6), range(2, 7)]
    """
    given = list(index) if isinstance(index, tuple) else [index]
    at = next((axis for axis, one in enumerate(given) if one is Ellipsis), len(given))
    given[at : at + 1] = [slice(None)] * (len(shape) - len(given[:at] + given[at + 1 :]))
    ranges = [range(size) for size in shape]
    if len(given) == len(shape):
        for axis, one in enumerate(given):
            if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
                one = slice(one, one + 1 or None)
            if isinstance(one, slice) and (one.step or 1) > 0:
                ranges[axis] = ranges[axis][one]
    return ranges
