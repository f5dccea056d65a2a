"""The index of an HDF5 output: the metadata of all inputs.

It is read without a walk through the file. ``/index`` is a table of numbers with a row for each
input. Texts are stored beside it, so that one long path makes no other row longer: ``/keys``,
``/sources``, ``/notes`` and ``/labels`` are the bytes of all keys, sources, notes and labels in the
order of the rows, each followed by a NUL, which none of them has.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.hdf5_objects import open_column
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.validation import MAX_METADATA_BYTES, validated_key
from kapre_cli.framing import spans
from kapre_cli.text import counted, quoted

INDEX = "index"
KEYS = "keys"
# The dataset of each text of the metadata
TEXTS = {"sources": "source", "notes": "note", "labels": "label"}

_TYPES = {int: "<i8", float: "<f8", float | None: "<f8", int | None: "<i8"}
_TABLE = np.dtype(
    [
        (name, {"sha256": "S64", "crc32": "<u4"}.get(name) or _TYPES[kind])
        for name, kind in InputMetadata.__annotations__.items()
        if name not in TEXTS.values()
    ]
)
_COLUMNS = _TABLE.names or ()
# In the table, NaN and -1 stand for ``None``.
_OPTIONAL = [name for name, kind in InputMetadata.__annotations__.items() if kind == float | None]
_OPTIONAL_INTEGER = "channel"
_BYTE = np.dtype(np.uint8)

_PART_BYTES = 2**20


def index_datasets(
    keys: Sequence[str], metadata: Sequence[InputMetadata]
) -> dict[str, npt.NDArray[Any]]:
    """Return the datasets of the index by name."""
    table = np.empty(len(metadata), _TABLE)
    for name in _COLUMNS:
        values = [getattr(one, name) for one in metadata]
        if name == _OPTIONAL_INTEGER:
            values = [-1 if one is None else one for one in values]
        table[name] = np.array(values, _TABLE[name])
    texts = {
        name: _joined(getattr(one, field) for one in metadata) for name, field in TEXTS.items()
    }
    return {INDEX: table, KEYS: _joined(keys), **texts}


def _joined(texts: Iterable[str]) -> npt.NDArray[np.uint8]:
    return np.array(bytearray(b"".join(_encoded(text) + b"\0" for text in texts)), _BYTE)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Hdf5Index:
    """The index of an open file; raise StoredDataError if it is damaged.

    The sizes it declares are not trusted: memory grows with the keys that are read, each of them
    valid and unique, and rows and texts are read only if their numbers are the same.

    Attributes:
        rows: The row number of each key.
        is_plain: By row, whether the header of the array has been read, and has only entries that
            this program writes.
    """

    def __init__(self, top: Any) -> None:
        self.rows: dict[str, int] = {}
        for text in _texts(open_column(top, KEYS, _BYTE)):
            key = validated_key(text.decode())
            if key in self.rows:
                raise StoredDataError(f"the key {quoted(key)} is in the index twice")
            self.rows[key] = len(self.rows)
        self.keys = tuple(self.rows)
        self.is_plain = bytearray(len(self.rows))
        table = open_column(top, INDEX, _TABLE)
        self._check_count(len(table), "row")
        self._table: npt.NDArray[Any] = table[()]
        self._texts = {field: self._column(top, name, field) for name, field in TEXTS.items()}

    def _column(self, top: Any, name: str, field: str) -> list[bytes]:
        texts = list(islice(_texts(open_column(top, name, _BYTE)), len(self.rows) + 1))
        if len(texts) > len(self.rows):
            raise StoredDataError(f"its index has more {name} than keys")
        self._check_count(len(texts), field)
        return texts

    def _check_count(self, number: int, what: str) -> None:
        if number != len(self.rows):
            raise StoredDataError(
                f"its index has {counted(number, what)} and {counted(len(self.rows), 'key')}"
            )

    def rows_of(self, first: int, count: int) -> Iterator[InputMetadata]:
        """Yield the metadata of up to ``count`` inputs: types are right, ranges unchecked."""
        part = slice(first, first + count)
        columns = {name: self._table[name][part].tolist() for name in _COLUMNS}
        columns["sha256"] = [digits.decode("ascii", "replace") for digits in columns["sha256"]]
        for name in _OPTIONAL:
            columns[name] = [None if math.isnan(one) else one for one in columns[name]]
        numbers = columns[_OPTIONAL_INTEGER]
        columns[_OPTIONAL_INTEGER] = [None if one < 0 else one for one in numbers]
        for field, texts in self._texts.items():
            columns[field] = [text.decode("utf-8", "surrogateescape") for text in texts[part]]
        in_order = [columns[name] for name in InputMetadata._fields]
        return map(InputMetadata._make, zip(*in_order, strict=True))

    def check(self, key: str, metadata: InputMetadata) -> None:
        """Raise StoredDataError if an input's metadata differs from the index."""
        (indexed,) = self.rows_of(self.rows[key], 1)
        for name, field, found in zip(InputMetadata._fields, metadata, indexed, strict=True):
            if field != found:
                values = [_encoded(one) if isinstance(one, str) else one for one in (field, found)]
                raise StoredDataError(
                    f"{name!r} of {quoted(key)} is {values[0]!r}, the index has {values[1]!r}"
                )


def _texts(stored: h5py.Dataset) -> Iterator[bytes]:
    """Yield texts that are each followed by a NUL, read part by part."""
    rest = b""
    for first, count in spans(len(stored), _PART_BYTES):
        *texts, rest = (rest + stored[first : first + count].tobytes()).split(b"\0")
        for text in texts:
            if len(text) > MAX_METADATA_BYTES:
                break
            yield text
        else:
            if len(rest) <= MAX_METADATA_BYTES:
                continue
        raise StoredDataError("its index has a text that is longer than any path")
    if rest:
        raise StoredDataError("its index has a text that is cut short")
