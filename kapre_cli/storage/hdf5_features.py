"""Reading HDF5 outputs back.

What a file says of an object is looked at before the object's values are: HDF5 would follow
links and storage into other files, load libraries for filters it does not know, and never return
from a damaged string of variable length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product, repeat
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5i, h5l, h5o, h5s, h5t, h5z

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.framing import largest_power_of_two, spans
from kapre_cli.storage.checksum import PieceCrc, little_endian
from kapre_cli.storage.hdf5 import (
    FEATURES,
    FREQUENCY,
    INDEX,
    INPUT,
    facts_text,
    index_table,
    packing_of,
)
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.soundness import (
    MAX_FACTS_BYTES,
    sound_facts,
    sound_frequency,
    sound_json,
    sound_key,
    sound_root,
    within_range,
)
from kapre_cli.storage.stored import Features, Look, Packed, StoredArray
from kapre_cli.storage.strays import folders_of

_ROOT_JSON = ("layer", "settings", "versions", "shard")

_FLOATS = tuple(
    (stored, stored.dtype)
    for stored in (
        *(h5t.IEEE_F32LE, h5t.IEEE_F16LE, h5t.IEEE_F64LE),
        *(h5t.IEEE_F32BE, h5t.IEEE_F16BE, h5t.IEEE_F64BE),
    )
)
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_LZF, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
_HIGHEST_RATIO = 1100  # of compressed values; deflate's own limit is 1,032

_MIN_PACKED_BYTES = 64  # packing enlarges what is tiny, and nothing else much
_MAX_COLUMNS = 64
_MAX_NUMBER_BYTES = 8
_MAX_INDEX_BYTES = 2**31
_PART_VALUES = 2**22  # more than a chunk has


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
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoredDataError(f"it is not a whole HDF5 file: {error}") from error
        try:
            with _understood("it"):
                top = h5g.open(self._file.id, b"/")
                self.root = sound_root(_root_facts(top))
                self.frequency = sound_frequency(_frequency(top, self.layer.n_features), self.root)
                self._index = _index(top)
                self._rows = _rows(self._index)
                self._top = _group(top, FEATURES)
                self._folder, self._group = "", self._top
        except BaseException:
            self.close()
            raise
        names = self._index.dtype.names or ()
        self._facts_indexed = [name for name in names if name in InputFacts._fields]

    def __getitem__(self, key: str) -> StoredArray:
        row = self._rows[key]
        with _understood(quoted(key)):
            folder, _, name = key.rpartition("/")
            dataset = _dataset(self._group_of(folder), name)
            stored = _attribute(dataset, INPUT)
            if not isinstance(stored, bytes):
                raise StoredDataError(f"{quoted(key)} has no facts")
            facts = sound_facts(sound_json(stored), self.root)
            self._require_indexed(key, row, facts)
            return StoredArray(key, Hdf5Values(key, dataset), facts, self.layer)

    def __contains__(self, key: object) -> bool:
        return key in self._rows  # Mapping's own would open the dataset

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def facts(self) -> Iterator[tuple[str, InputFacts]]:
        """Yield the key and the facts of every input as the index has them."""
        columns = [
            _column(self._index, name, kind) for name, kind in InputFacts.__annotations__.items()
        ]
        for key, row in zip(self._rows, zip(*columns, strict=True), strict=True):
            yield key, within_range(InputFacts._make(row), self.root)

    def strays(self) -> Iterator[str]:
        """Yield the names of what lies below ``/features`` and is not in the index."""
        folders = folders_of(self._rows)
        due = [("", self._top)]
        while due:
            above, group = due.pop()
            with _understood("what lies among its arrays"):
                for raw in sorted(group):
                    name = raw.decode("utf-8", "surrogateescape")
                    key = f"{above}{name}"
                    if key in folders:  # no others, and so each once: a group may hold itself
                        due.append((f"{key}/", _group(group, name)))
                    elif key not in self._rows:
                        yield key

    def _group_of(self, folder: str) -> Any:
        """Return the group of a folder of keys; the last one is kept, for keys are in order."""
        if folder != self._folder:
            group = self._top
            for name in filter(None, folder.split("/")):
                group = _group(group, name)
            self._folder, self._group = folder, group
        return self._group

    def _require_indexed(self, key: str, row: int, facts: InputFacts) -> None:
        """Hold an input's facts against their copy in the index: neither has a checksum."""
        indexed = dict(zip(self._index.dtype.names or (), self._index[row].item(), strict=True))
        for name in self._facts_indexed:
            fact = getattr(facts, name)
            if isinstance(fact, str):
                fact = fact.encode("utf-8", "surrogateescape")
            if fact != indexed[name]:
                raise StoredDataError(
                    f"the fact {name!r} of {quoted(key)} is {fact!r}, "
                    f"the index has {indexed[name]!r}"
                )

    def require(self, written: Sequence[tuple[str, InputFacts]]) -> None:
        """Read every array, and hold it and its facts against what was meant to be written.

        Facts need not be understood to be the same, which takes a third of the time.

        Args:
            written: The key and the facts of every array, in order.

        Raises:
            StoredDataError: If one is not as it was written.
        """
        expected = index_table(written)
        if self._index.dtype != expected.dtype or self._index.tobytes() != expected.tobytes():
            raise StoredDataError("its index is not the one that was written")
        for key, facts in written:
            with _understood(quoted(key)):
                folder, _, name = key.rpartition("/")
                dataset = h5d.open(self._group_of(folder), name.encode())
                if not _has_text(dataset, facts_text(facts)):
                    raise StoredDataError(f"the facts of {quoted(key)} are not those written")
                StoredArray(key, Hdf5Values(key, dataset), facts, self.layer).verify()

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

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        self._require_stored()
        return np.asarray(h5py.Dataset(self._dataset)[index])

    def crc32(self, time_axis: int, look: Look | None = None) -> int:
        """Return the values' CRC-32 in C order, read along the time axis as they were written.

        Each chunk is decompressed once.
        """
        self._require_stored()
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
        at_most = 2 * prod(chunk) * self.dtype.itemsize + _MIN_PACKED_BYTES
        for start in product(*map(range, repeat(0), self.shape, chunk)):
            with _understood(quoted(self._key)):
                n_bytes = self._dataset.get_chunk_info_by_coord(start).size
                if n_bytes > at_most:
                    raise StoredDataError(f"{quoted(self._key)} has a chunk of {n_bytes:,} bytes")
                left_out, packed = self._dataset.read_direct_chunk(start)
            yield start, left_out, packed

    def _require_stored(self) -> None:
        """Refuse to read values that were promised and never written; HDF5 makes up zeros."""
        n_bytes = prod(self.shape) * self.dtype.itemsize
        n_stored = self._dataset.get_storage_size()
        if n_stored < n_bytes and not self._may_be_packed(n_stored, n_bytes):
            raise StoredDataError(
                f"{quoted(self._key)} promises {n_bytes:,} bytes of values and holds {n_stored:,}"
            )

    def _may_be_packed(self, n_stored: int, n_bytes: int) -> bool:
        is_chunked = self._dataset.get_create_plist().get_layout() == h5d.CHUNKED
        return bool(is_chunked and n_stored * _HIGHEST_RATIO >= n_bytes)


@contextmanager
def _understood(what: str) -> Iterator[None]:
    """Turn whatever h5py makes of a damaged file into one error.

    Raises:
        StoredDataError: For any of them.
    """
    try:
        yield
    except StoredDataError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise StoredDataError(f"{what} cannot be read: {error}") from error


def _root_facts(top: Any) -> dict[str, Any]:
    stored: dict[str, Any] = {"format_version": _attribute(top, "format_version")}
    made_by = _attribute(top, "format")
    stored["format"] = made_by.decode() if isinstance(made_by, bytes) else made_by
    for name in _ROOT_JSON:
        text = _attribute(top, name)
        stored[name] = sound_json(text) if isinstance(text, bytes) else text
    return stored


def _frequency(top: Any, n_features: int) -> npt.NDArray[np.float64]:
    values = Hdf5Values(FREQUENCY, _dataset(top, FREQUENCY))
    if values.shape != (n_features,) or values.dtype.itemsize != np.float64().itemsize:
        raise StoredDataError(f"its `frequency` has shape {values.shape} of {values.dtype}")
    return values[()].astype(np.float64, copy=False)


def _index(top: Any) -> npt.NDArray[Any]:
    """Return the whole table of facts, once its size and its types have been looked at."""
    dataset = _dataset(top, INDEX)
    kind, shape = dataset.get_type(), dataset.shape or ()
    if kind.get_class() != h5t.COMPOUND or kind.get_nmembers() > _MAX_COLUMNS:
        raise StoredDataError("its index is not a table")
    for number in range(kind.get_nmembers()):
        if not _is_plain(kind.get_member_type(number)):
            raise StoredDataError("its index has a column that is not of plain strings or numbers")
    n_bytes = prod(shape) * kind.get_size()
    if (
        len(shape) != 1
        or n_bytes > min(_MAX_INDEX_BYTES, h5i.get_file_id(dataset).get_filesize())
        or n_bytes != dataset.get_storage_size()
    ):
        raise StoredDataError(f"its index promises {n_bytes:,} bytes, which it cannot hold")
    return np.asarray(h5py.Dataset(dataset)[()])


def _rows(index: npt.NDArray[Any]) -> dict[str, int]:
    """Return the number of each key's row."""
    if "key" not in (index.dtype.names or ()) or index.dtype["key"].kind != "S":
        raise StoredDataError("its index has no keys")
    rows: dict[str, int] = {}
    for number, key in enumerate(index["key"].tolist()):
        if rows.setdefault(sound_key(key.decode()), number) != number:
            raise StoredDataError(f"the key {quoted(key.decode())} is in the index twice")
    return rows


_COLUMN_KINDS = {str: "S", int: "iu", float: "iuf"}  # as NumPy calls them


def _column(index: npt.NDArray[Any], name: str, kind: type) -> list[Any]:
    """Return a column of the table of facts."""
    if name not in (index.dtype.names or ()):
        raise StoredDataError(f"its index has no column {name!r}")
    if index.dtype[name].kind not in _COLUMN_KINDS[kind]:
        raise StoredDataError(f"the column {name!r} of its index is not of type {kind.__name__}")
    values: list[Any] = index[name].tolist()
    if kind is not str:
        return values
    return [text.decode("utf-8", "surrogateescape") for text in values]


def _attribute(owner: Any, name: str) -> bytes | int | None:
    """Return a string of fixed length or an integer; ``None`` if there is no such attribute."""
    if not h5a.exists(owner, name.encode()):
        return None
    attribute = h5a.open(owner, name.encode())
    kind = attribute.get_type()
    if not _is_plain(kind) or attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
        raise StoredDataError(f"the attribute {name!r} is not a plain string or number")
    if kind.get_class() == h5t.STRING:
        text = np.empty((), f"S{kind.get_size()}")
        attribute.read(text, kind)
        return bytes(text[()])
    number = np.empty((), kind.dtype)
    attribute.read(number)
    return number.item() if number.dtype.kind in "iu" else None


def _has_text(dataset: Any, text: np.bytes_) -> bool:
    """Whether the facts of a dataset are this text."""
    attribute = h5a.open(dataset, INPUT.encode())
    if attribute.get_storage_size() != len(text):
        return False
    found = np.empty((), np.dtype((np.bytes_, len(text))))
    attribute.read(found)
    return bool(found[()] == text)


def _is_plain(kind: Any) -> bool:
    """Whether values of a type have a fixed and small size, and refer to nothing."""
    if kind.get_class() == h5t.STRING:
        return not kind.is_variable_str() and kind.get_size() <= MAX_FACTS_BYTES
    return kind.get_class() in (h5t.INTEGER, h5t.FLOAT) and kind.get_size() <= _MAX_NUMBER_BYTES


def _dataset(group: Any, name: str) -> Any:
    """Return a dataset whose values lie in this very file, and need no foreign code to be read.

    Raises:
        StoredDataError: If there is none, or a link or its storage leads to another file, or it
            has a filter that this program does not use.
    """
    dataset = _member(group, name)
    if not isinstance(dataset, h5d.DatasetID):
        raise StoredDataError(f"{quoted(name)} is not a dataset")
    creation = dataset.get_create_plist()
    if creation.get_layout() == h5d.VIRTUAL or creation.get_external_count():
        raise StoredDataError(f"{quoted(name)} leads to another file")
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if not filters <= _FILTERS:
        raise StoredDataError(f"{quoted(name)} is packed with unknown filters {filters - _FILTERS}")
    return dataset


def _group(group: Any, name: str) -> Any:
    found = _member(group, name)
    if not isinstance(found, h5g.GroupID):
        raise StoredDataError(f"{quoted(name)} is not a group")
    return found


def _member(group: Any, name: str) -> Any:
    """Open what a group has under a name of one part, unless that is a link to another place."""
    raw = name.encode()
    try:
        link = group.links.get_info(raw)  # "in" would follow a link
    except (KeyError, RuntimeError) as error:
        raise StoredDataError(f"it has no {quoted(name)}") from error
    if link.type != h5l.TYPE_HARD:
        raise StoredDataError(f"{quoted(name)} is a link to another place")
    return h5o.open(group, raw)
