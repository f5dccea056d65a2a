"""Read headers of datasets, and their values, from the bytes of an HDF5 file.

Opening a dataset through HDF5 with all checks takes ten times as long as reading its values. This
program writes all datasets of a file in one form: every byte of a header but the sizes of the axes,
the position of the values, the text of the metadata and references to the file's heap. HDF5 reads
the first dataset of a form, with all checks. If the bytes of its header were read with the same
result, further headers of the form are read without HDF5. HDF5 reads all other headers.
"""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import prod
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.formats.file_map import FileMap
from kapre_cli.formats.values import Values, box_of
from kapre_cli.osutil import read_at

_PREFIX = struct.Struct("<BxHII4x")  # version, number of messages, of links, bytes of the header
_MESSAGE = struct.Struct("<HHB3x")  # kind, bytes, flags
_PLACE = struct.Struct("<QQ")  # address, bytes
_LAYOUT = struct.Struct("<2sQQ6x")  # version and class, address, bytes
_ATTRIBUTE = struct.Struct("<BxHHH")  # version, bytes of the name, the type and the axes
_AXES = {rank: struct.Struct(f"<{rank}Q") for rank in range(1, 4)}
_LENGTH = struct.Struct("<I")

_CONTIGUOUS = b"\3\1"
# The beginning of the attribute `input`, a text of fixed length: name, class, length, no axes.
_INPUT = b"\1\0\6\0\x08\0\x08\0input\0"
_LENGTH_AT, _TEXT_AT = 20, 32

_MAX_CHUNKS = 8
_MAX_CHUNK_BYTES = 2**17
_MAX_FORMS = 32
_WINDOW_BYTES = 2**16
_PART_BYTES = 2**22

_Fixed = bytes | tuple[Any, ...]


class DatasetHeader(NamedTuple):
    """The content of a header.

    ``form`` is everything in it but the other fields. The ``n_bytes`` of the values begin at
    ``offset`` in the file. ``text`` is the HDF5 attribute ``input``.
    """

    form: tuple[Any, ...]
    shape: tuple[int, ...]
    offset: int
    n_bytes: int
    text: bytes


class FileWindow:
    """A file with a buffer, for reading bytes that are close together.

    The position of the descriptor is neither used nor moved. ``lock`` must be locked while the
    buffer ``data`` is in use.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._begin = 0
        self._map: FileMap | None = None
        self._is_mapped = False
        self.data = b""
        self.lock = RLock()

    @property
    def map(self) -> FileMap | None:
        """The map of the file, made when it is first used; ``None`` if it cannot be mapped."""
        if not self._is_mapped:
            with self.lock:
                if not self._is_mapped and self._descriptor >= 0:
                    with suppress(OSError):  # some network file systems cannot map
                        self._map = FileMap(self._descriptor)
                self._is_mapped = True
        return self._map

    def mapped(
        self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> npt.NDArray[Any] | None:
        """Return an array in the map of the file; ``None`` if it has none.

        Raise OSError if the file is too short.
        """
        found = self.map
        return None if found is None else found.array(offset, shape, dtype)

    def find(self, address: int, n_bytes: int) -> int:
        """Return where bytes begin in ``data``; read them, or raise OSError."""
        position = address - self._begin
        if position < 0 or position + n_bytes > len(self.data):
            self.data = b""  # never two buffers in memory
            at_most = max(n_bytes, _WINDOW_BYTES)
            self.data = self._read(address, min(at_most, self._size - address), n_bytes)
            self._begin, position = address, 0
        return position

    def contains(self, address: int, n_bytes: int) -> bool:
        """Whether the file has bytes at an address."""
        return 0 <= address <= self._size - n_bytes

    def read(self, address: int, n_bytes: int) -> bytes:
        """Return bytes of the file without the buffer; raise OSError if it is shorter."""
        return self._read(address, n_bytes, n_bytes)

    def parts(self, address: int, n_bytes: int) -> Iterator[bytes]:
        """Yield bytes of the file, some MB at a time; raise OSError if it is shorter."""
        if n_bytes <= _WINDOW_BYTES:
            with self.lock:
                position = self.find(address, n_bytes)
                content = self.data[position : position + n_bytes]
            yield content
            return
        end = address + n_bytes
        for start in range(address, end, _PART_BYTES):
            count = min(_PART_BYTES, end - start)
            yield self._read(start, count, count)

    def _read(self, address: int, at_most: int, at_least: int) -> bytes:
        if not 0 <= address <= self._size or at_most < at_least:
            raise OSError(f"the file has {self._size:,} bytes")
        data = read_at(self._descriptor, at_most, address, at_least)
        if len(data) < at_least:
            raise OSError(f"the file ends at {address + len(data):,} bytes")
        return data

    def close(self) -> None:
        """Read no more: the descriptor may soon be that of another file."""
        self._descriptor = -1
        self.data = b""
        if self._map is not None:
            self._map.close()
        self._map, self._is_mapped = None, True


class HeaderReader:
    """Reads headers of the forms that HDF5 has read before."""

    def __init__(self, window: FileWindow) -> None:
        self._window = window
        self._types: dict[tuple[Any, ...], np.dtype[Any]] = {}  # by form

    @property
    def knows_any(self) -> bool:
        """Whether any form is known."""
        return bool(self._types)

    def known(self, address: int) -> tuple[DatasetHeader, np.dtype[Any]] | None:
        """Return the header at an address and its values' type, if its form is known."""
        header = self.read(address)
        dtype = None if header is None else self._types.get(header.form)
        if header is None or dtype is None or not self._is_plain(header, dtype):
            return None
        return header, dtype

    def learn(
        self, header: DatasetHeader, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int
    ) -> None:
        """Record a form as known, if the header agrees with what HDF5 has read."""
        agrees = (header.shape, header.offset) == (shape, offset)
        if agrees and self._is_plain(header, dtype) and len(self._types) < _MAX_FORMS:
            self._types[header.form] = dtype

    def _is_plain(self, header: DatasetHeader, dtype: np.dtype[Any]) -> bool:
        n_bytes = prod(header.shape) * dtype.itemsize
        return n_bytes == header.n_bytes and self._window.contains(header.offset, n_bytes)

    def read(self, address: int) -> DatasetHeader | None:
        """Return the header at an address; ``None`` if it is of another kind."""
        try:
            with self._window.lock:
                return self._read(address)
        except (OSError, ValueError, LookupError, struct.error):  # HDF5 gives a better message
            return None

    def _read(self, address: int) -> DatasetHeader:
        window, message = self._window, _MESSAGE.unpack_from
        position = window.find(address, _PREFIX.size)
        version, n_messages, _, n_bytes = _PREFIX.unpack_from(window.data, position)
        chunks = [(address + _PREFIX.size, n_bytes)]
        form: list[Any] = [version]
        found: dict[int, Any] = {}
        for start, size in chunks:  # which grow meanwhile
            if size > _MAX_CHUNK_BYTES or len(chunks) > _MAX_CHUNKS:
                raise ValueError("the header is larger than this program's")
            position = window.find(start, size)
            data, end = window.data, position + size
            while position < end:
                kind, length, flags = message(data, position)
                body = position + _MESSAGE.size
                position = body + length
                n_messages -= 1
                if position > end:
                    raise ValueError("a message is longer than its chunk")
                if kind == _NOTHING and not flags:
                    continue
                if kind == _CONTINUATION and not flags and length == _PLACE.size:
                    chunks.append(_PLACE.unpack_from(data, body))
                    continue
                understood = _UNDERSTOOD.get(kind)
                if understood is None:
                    form.append((kind, flags, data[body:position]))
                    continue
                fixed, content = understood(data, body, position)
                form.append((kind, flags, fixed))
                if content is not None:
                    if kind in found:
                        raise ValueError("the header has a message twice")
                    found[kind] = content
        if n_messages != 0:
            raise ValueError("the header has another number of messages than it declares")
        offset, n_bytes = found[_LAYOUT_MESSAGE]
        text = found[_ATTRIBUTE_MESSAGE]
        return DatasetHeader(tuple(form), found[_DATASPACE], offset, n_bytes, text)


def _axes(data: bytes, body: int, end: int) -> tuple[_Fixed, tuple[int, ...]]:
    """Return the head of a dataspace and the sizes of its axes, which may not grow."""
    rank = data[body + 1]
    first = body + 8
    middle = first + 8 * rank
    if end != middle and data[first:middle] != data[middle:end]:
        raise ValueError("the axes may grow")
    return data[body:first] + bytes([end == middle]), _AXES[rank].unpack_from(data, first)


def _layout(data: bytes, body: int, end: int) -> tuple[_Fixed, tuple[int, int]]:
    kind, address, n_bytes = _LAYOUT.unpack_from(data, body)
    if kind != _CONTIGUOUS or end - body != _LAYOUT.size:
        raise ValueError("the values are not contiguous")
    return kind, (address, n_bytes)


def _attribute(data: bytes, body: int, end: int) -> tuple[_Fixed, bytes | None]:
    """Return an attribute without its content, and the content of ``input``."""
    if not data.startswith(_INPUT, body):
        version, *sizes = _ATTRIBUTE.unpack_from(data, body)
        head = body + _ATTRIBUTE.size + sum(-(-size // 8) * 8 for size in sizes)
        if version != 1 or head > end:
            raise ValueError("the attribute is of another version")
        return (data[body:head], end - head), None
    (length,) = _LENGTH.unpack_from(data, body + _LENGTH_AT)
    first = body + _TEXT_AT
    if first + -(-length // 8) * 8 != end:
        raise ValueError("the text is longer or shorter than declared")
    fixed = data[body : body + _LENGTH_AT], data[body + _LENGTH_AT + _LENGTH.size : first]
    return fixed, data[first : first + length]


_NOTHING, _DATASPACE, _LAYOUT_MESSAGE, _ATTRIBUTE_MESSAGE, _CONTINUATION = 0, 1, 8, 12, 16
_UNDERSTOOD: dict[int, Callable[[bytes, int, int], tuple[_Fixed, Any]]] = {
    _DATASPACE: _axes,
    _LAYOUT_MESSAGE: _layout,
    _ATTRIBUTE_MESSAGE: _attribute,
}


class PlainValues(Values):
    """Contiguous values of a file, read without HDF5 if all are asked for, or mapped.

    ``open_dataset`` returns an array-like that HDF5 reads, for a part of them.
    """

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
        if not _is_whole(index, self.shape):
            box, inside = box_of(index, self.shape)
            return np.array(self._open_dataset()[box][inside])
        values = np.empty(self.shape, self.dtype)
        content, first = values.reshape(-1).view(np.uint8).data, 0
        for part in self.parts():
            content[first : first + len(part)] = part
            first += len(part)
        return values

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return all values in the map of the file."""
        return self._window.mapped(self.offset, self.shape, self.dtype)

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes of all values, some megabytes at a time."""
        return self._window.parts(self.offset, self._n_bytes)


def _is_whole(index: Any, shape: tuple[int, ...]) -> bool:
    """Whether an index selects a whole array, axis by axis or at once.

    >>> [_is_whole(index, (5, 6)) for index in ((), ..., slice(5), slice(1, 5), (slice(5), 0))]
    [True, True, True, False, False]
    """
    given = index if isinstance(index, tuple) else () if index is Ellipsis else (index,)
    return len(given) <= len(shape) and all(
        isinstance(one, slice) and range(size)[one] == range(size)
        for one, size in zip(given, shape, strict=False)
    )
