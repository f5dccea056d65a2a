"""Reading HDF5 outputs back. What a file says of an object is checked before it is read."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import product, repeat
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.framing import largest_power_of_two, spans
from kapre_cli.report import SILENT, Progress
from kapre_cli.sources import folder_id
from kapre_cli.storage.checksum import PieceCrc, little_endian
from kapre_cli.storage.hdf5 import (
    FEATURES,
    INPUT,
    LABELS,
    MAX_CHUNK_VALUES,
    facts_text,
    packing_of,
)
from kapre_cli.storage.hdf5_index import INDEX, KEYS, TEXTS, Hdf5Index
from kapre_cli.storage.hdf5_objects import (
    open_dataset,
    open_group,
    read_attribute,
    wrap_hdf5_errors,
)
from kapre_cli.storage.hdf5_scales import (
    DIMENSION_LIST,
    FREQUENCY,
    ScaleNames,
    require_scales,
    scale_members,
)
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.soundness import sound_facts, sound_frequency, sound_json, sound_root
from kapre_cli.storage.stored import Features, Look, Packed, StoredArray, unknown_key
from kapre_cli.storage.strays import folders_of

_ROOT_JSON = ("layer", "settings", "versions", "shard")
_ATTRIBUTES = {"format", "format_version", *_ROOT_JSON}
_OF_ARRAYS = {INPUT, LABELS}
_MEMBERS = {FEATURES, FREQUENCY, INDEX, KEYS, *TEXTS}

_FLOATS = tuple(
    (stored, stored.dtype)
    for stored in (
        *(h5t.IEEE_F32LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE),
        *(h5t.IEEE_F32BE, h5t.IEEE_F16BE, h5t.IEEE_F64BE),
    )
)
_HIGHEST_RATIO = 1100  # of compressed values; deflate's own limit is 1,032

_MIN_PACKED_BYTES = 64  # packing enlarges what is tiny, and nothing else much
_PART_VALUES = 2**22  # more than a chunk has
# HDF5 takes memory for every chunk that it reads. This program writes small ones where a block of
# audio has few values, one in 2**20 samples or more.
_MIN_CHUNK_VALUES = 2**10
_MAX_SMALL_CHUNKS = 2**14
_PART_BYTES = 4 * _PART_VALUES


class Hdf5Features(Features):
    """The arrays of one HDF5 file.

    Raises:
        FileNotFoundError: If there is no such file.
        StoredDataError: If it is not a sound output of this program.
    """

    format = "hdf5"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r", locking=False)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoredDataError(f"it is not a whole HDF5 file: {error}") from error
        try:
            with wrap_hdf5_errors("it"):
                top = h5g.open(self._file.id, b"/")
                self.root = sound_root(_root_facts(top))
                self.frequency = sound_frequency(_frequency(top, self.layer.n_features), self.root)
                self._index = Hdf5Index(top)
                self._top = open_group(top, FEATURES)
                self._folder, self._group = "", self._top
        except BaseException:
            self.close()
            raise

    def __getitem__(self, key: str) -> StoredArray:
        if key not in self:
            raise unknown_key(key, self)
        with wrap_hdf5_errors(quoted(key)):
            folder, _, name = key.rpartition("/")
            dataset = open_dataset(self._group_of(folder), name)
            stored = read_attribute(dataset, INPUT)
            if not isinstance(stored, bytes):
                raise StoredDataError(f"{quoted(key)} has no facts")
            facts = sound_facts(sound_json(stored), self.root)
            self._index.require(key, facts)
            return StoredArray(key, Hdf5Values(key, dataset), facts, self.layer)

    def __contains__(self, key: object) -> bool:
        return key in self._index.rows  # Mapping's own would open the dataset

    def __iter__(self) -> Iterator[str]:
        return iter(self._index.rows)

    def __len__(self) -> int:
        return len(self._index.rows)

    def facts(self) -> Iterator[tuple[str, InputFacts]]:
        """Yield the key and the facts of every input as the index has them."""
        return self._index.facts(self.root)

    def strays(self) -> Iterator[str]:
        """Yield the names of what lies below ``/features`` and is not in the index.

        Other members of the root group are yielded as ``/name``, its other attributes as
        ``attribute name``, those of arrays as ``attribute name of key``.
        """
        members, of_arrays = _MEMBERS, _OF_ARRAYS
        if self.root.dimension_scales:
            members = members | scale_members(self._scales)
            of_arrays = of_arrays | {DIMENSION_LIST}
        with wrap_hdf5_errors("what lies beside its arrays"):
            foreign = [f"/{name}" for name in sorted({*self._file} - members)]
            foreign += [f"attribute {name}" for name in sorted({*self._file.attrs} - _ATTRIBUTES)]
        yield from foreign
        folders = folders_of(self._index.rows)
        due = [("", self._top)]
        while due:
            above, group = due.pop()
            with wrap_hdf5_errors("what lies among its arrays"):
                for raw in sorted(group):
                    name = raw.decode("utf-8", "surrogateescape")
                    key = f"{above}{name}"
                    # No other folders, and so each once: a group may hold itself.
                    if folder_id(key) in folders:
                        due.append((f"{key}/", open_group(group, name)))
                    elif key not in self._index.rows:
                        yield key
                    else:
                        for one in sorted(_foreign_attributes(group, raw, of_arrays)):
                            yield f"attribute {one} of {key}"

    def require_scales(self) -> None:
        """Compare the dimension scales, if the file has them, with the metadata.

        Raises:
            StoredDataError: If one differs or cannot be read.
        """
        if self.root.dimension_scales:
            with wrap_hdf5_errors("a dimension scale"):
                require_scales(h5g.open(self._file.id, b"/"), self._scales)

    @cached_property
    def _scales(self) -> ScaleNames:
        """The dimension scales that the metadata of all inputs gives."""
        scales = ScaleNames(self.root)
        for _, facts in self.facts():
            scales.add(facts)
        return scales

    def _group_of(self, folder: str) -> Any:
        """Return the group of a folder of keys; the last one is kept, for keys are in order."""
        if folder != self._folder:
            group = self._top
            for name in filter(None, folder.split("/")):
                group = open_group(group, name)
            self._folder, self._group = folder, group
        return self._group

    def require(
        self, written: Sequence[tuple[str, InputFacts]], progress: Progress = SILENT
    ) -> None:
        """Read every array, and hold it and its facts against what was meant to be written.

        Facts need not be understood to be the same, which takes a third of the time.

        Args:
            written: The key and the facts of every array, in order.
            progress: Told of what has been read.

        Raises:
            StoredDataError: If one is not as it was written.
        """
        if not self._index.is_of(written):
            raise StoredDataError("its index is not the one that was written")
        self.require_scales()
        for key, facts in written:
            with wrap_hdf5_errors(quoted(key)):
                folder, _, name = key.rpartition("/")
                dataset = h5d.open(self._group_of(folder), name.encode())
                if not _has_text(dataset, facts_text(facts)):
                    raise StoredDataError(f"the facts of {quoted(key)} are not those written")
                stored = StoredArray(key, Hdf5Values(key, dataset), facts, self.layer)
                stored.verify(stored.moving(progress))
            progress.checked(facts.seconds)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Hdf5Values:
    """The values of one dataset.

    Raises:
        StoredDataError: If they are not floating-point numbers.
    """

    def __init__(self, key: str, dataset: Any) -> None:
        kind = dataset.get_type()
        dtype = next((dtype for stored, dtype in _FLOATS if kind.equal(stored)), None)
        if dtype is None:
            raise StoredDataError(f"{quoted(key)} is not of floating-point numbers")
        self._key = key
        self._dataset = dataset
        self.dtype: np.dtype[Any] = dtype
        self.shape: tuple[int, ...] = dataset.shape or ()  # None where there is none
        self._is_checked = False
        self._packing: tuple[Any, ...] | None = None
        self._small: set[tuple[int, ...]] = set()  # chunks that were found to be so

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        self._require_stored()
        self._require_small_chunks(_ranges_of(index, self.shape))
        return np.asarray(h5py.Dataset(self._dataset)[index])

    def crc32(self, time_axis: int, look: Look | None = None) -> int:
        """Return the values' CRC-32 in C order, read along the time axis as they were written."""
        self._require_stored()
        self._require_small_chunks([range(size) for size in self.shape])
        crc = PieceCrc(self.shape, time_axis, self.dtype.itemsize)
        for values in self._parts(time_axis):
            crc.add(little_endian(values))
            if look is not None:
                look(values)
        return crc.value()

    def _parts(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        n_values, n_time = prod(self.shape), self.shape[time_axis]
        if n_values <= _PART_VALUES:
            values = np.empty(self.shape, self.dtype)
            self._dataset.read(h5s.ALL, h5s.ALL, values)  # five times as fast for small arrays
            yield values
            return
        dataset = h5py.Dataset(self._dataset)
        for first, count in spans(n_time, largest_power_of_two(_PART_VALUES * n_time // n_values)):
            index = [slice(None)] * len(self.shape)
            index[time_axis] = slice(first, first + count)
            yield dataset[tuple(index)]

    @property
    def packed(self) -> Packed | None:
        """The chunks of the dataset, if it is compressed."""
        packing = packing_of(self._dataset)
        return None if packing is None else Packed(packing, lambda: self._chunks(packing[0]))

    def _chunks(self, chunk: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int, bytes]]:
        self._require_stored()
        for start in product(*map(range, repeat(0), self.shape, chunk)):
            self._stored_bytes(start, prod(chunk) * self.dtype.itemsize)
            with wrap_hdf5_errors(quoted(self._key)):
                left_out, packed = self._dataset.read_direct_chunk(start)
            yield start, left_out, packed

    def _require_stored(self) -> None:
        """Check once that the values were written, in chunks no larger than this program's.

        HDF5 returns zeros for values that were promised and never written.
        """
        if self._is_checked:
            return
        n_bytes = prod(self.shape) * self.dtype.itemsize
        n_stored = self._dataset.get_storage_size()
        if n_stored < n_bytes and not self._may_be_packed(n_stored, n_bytes):
            raise StoredDataError(
                f"{quoted(self._key)} promises {n_bytes:,} bytes of values and holds {n_stored:,}"
            )
        packing = packing_of(self._dataset)
        if packing is not None and prod(packing[0]) > MAX_CHUNK_VALUES:
            raise StoredDataError(
                f"{quoted(self._key)} has chunks of {prod(packing[0]):,} values; "
                f"this program reads at most {MAX_CHUNK_VALUES:,}"
            )
        if packing is not None:
            self._require_few_chunks(packing[0])
        self._packing = packing
        self._is_checked = True

    def _require_few_chunks(self, chunk: tuple[int, ...]) -> None:
        n_chunks = prod(-(-size // length) for size, length in zip(self.shape, chunk, strict=True))
        at_most = max(_MAX_SMALL_CHUNKS, prod(self.shape) // _MIN_CHUNK_VALUES)
        if n_chunks > at_most:
            raise StoredDataError(
                f"{quoted(self._key)} has {n_chunks:,} chunks for {prod(self.shape):,} values; "
                f"this program reads at most {at_most:,}"
            )

    def _require_small_chunks(self, within: Sequence[range]) -> None:
        """Refuse chunks that take more memory than those that this program writes.

        HDF5 decompresses a chunk to its end, however much that is; so each is decompressed once
        before it does.

        Args:
            within: The range along each axis that is to be read.

        Raises:
            StoredDataError: If there is one.
        """
        if self._packing is None:
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
                with suppress(zlib.error):  # HDF5 stops there too, and says so
                    if len(zlib.decompressobj().decompress(packed, n_bytes + 1)) > n_bytes:
                        raise StoredDataError(
                            f"{quoted(self._key)} has a chunk that decompresses to more "
                            f"than its {n_bytes:,} bytes"
                        )
                self._small.add(start)  # no others: memory grows with the bytes of the file

    def _stored_bytes(self, start: tuple[int, ...], n_bytes: int) -> int:
        """Return how many bytes a chunk has in the file, 0 if it was not written.

        Raises:
            StoredDataError: If they are more than packing makes of ``n_bytes``.
        """
        with wrap_hdf5_errors(quoted(self._key)):
            found = self._dataset.get_chunk_info_by_coord(start)
        if found.size > 2 * n_bytes + _MIN_PACKED_BYTES:
            raise StoredDataError(f"{quoted(self._key)} has a chunk of {found.size:,} bytes")
        return int(found.size)

    def _may_be_packed(self, n_stored: int, n_bytes: int) -> bool:
        is_chunked = self._dataset.get_create_plist().get_layout() == h5d.CHUNKED
        return bool(is_chunked and n_stored * _HIGHEST_RATIO >= n_bytes)


def _ranges_of(index: Any, shape: tuple[int, ...]) -> list[range]:
    """Return along each axis a range that holds all that an index takes.

    What is neither an integer nor a slice, and an index that does not fit, stands for all.

    >>> _ranges_of((1, ..., slice(2, 8, 3)), (5, 6, 7))
    [range(1, 2), range(0, 6), range(2, 7)]
    """
    given = list(index) if isinstance(index, tuple) else [index]
    places = [place for place, one in enumerate(given) if one is Ellipsis]
    place = places[0] if places else len(given)
    given[place : place + 1] = [slice(None)] * (len(shape) - len(given) + len(places[:1]))
    ranges = [range(size) for size in shape]
    if len(given) != len(shape):
        return ranges
    for axis, (one, size) in enumerate(zip(given, shape, strict=True)):
        taken = range(size)
        if isinstance(one, slice) and (one.step or 1) > 0:
            taken = range(*one.indices(size))
        elif (
            isinstance(one, (int, np.integer)) and not isinstance(one, bool) and -size <= one < size
        ):
            taken = range(int(one) % size, int(one) % size + 1)
        ranges[axis] = range(taken.start, max(taken.stop, taken.start))
    return ranges


def _root_facts(top: Any) -> dict[str, Any]:
    stored: dict[str, Any] = {"format_version": read_attribute(top, "format_version")}
    made_by = read_attribute(top, "format")
    stored["format"] = made_by.decode() if isinstance(made_by, bytes) else made_by
    for name in _ROOT_JSON:
        text = read_attribute(top, name)
        stored[name] = sound_json(text) if isinstance(text, bytes) else text
    return stored


def _frequency(top: Any, n_features: int) -> npt.NDArray[np.float64]:
    values = Hdf5Values(FREQUENCY, open_dataset(top, FREQUENCY))
    if values.shape != (n_features,) or values.dtype.itemsize != np.float64().itemsize:
        raise StoredDataError(f"its `frequency` has shape {values.shape} of {values.dtype}")
    return values[()].astype(np.float64, copy=False)


def _foreign_attributes(group: Any, raw: bytes, own: set[str]) -> set[str]:
    """Return the names of an array's attributes that are not this program's own."""
    is_here = group.links.get_info(raw).type == h5l.TYPE_HARD
    if not is_here or h5o.get_info(group, raw).num_attrs == len(own):
        return set()  # the number alone takes a tenth of the time
    array = h5o.open(group, raw)
    names = (h5a.open(array, index=number).name for number in range(h5a.get_num_attrs(array)))
    return {name.decode("utf-8", "surrogateescape") for name in names} - own


def _has_text(dataset: Any, text: np.bytes_) -> bool:
    """Whether the facts of a dataset are this text."""
    attribute = h5a.open(dataset, INPUT.encode())
    if attribute.get_storage_size() != len(text):
        return False
    found = np.empty((), np.dtype((np.bytes_, len(text))))
    attribute.read(found)
    return bool(found[()] == text)
