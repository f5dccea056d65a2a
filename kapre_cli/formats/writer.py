"""The base of the writers of all formats; arrays are read back in a thread."""

import os
import queue
import threading
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.array_chunks import ArrayChunks, ArrayCrc32, Chunk, crc32
from kapre_cli.formats.arrays import StoredArray, stored_array
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.osutil import Resource, open_to_read, read_at
from kapre_cli.text import quoted

_PART_BYTES = 2**22
_AT_ONCE = 32  # arrays


class ByteRange(NamedTuple):
    """The bytes of an array: the file, the position of the first, and their number."""

    path: Path
    offset: int
    n_bytes: int


_Written = tuple[str, ByteRange, int | None]  # key, bytes and CRC-32


class ReadBack(Resource):
    """Compares written arrays with their checksums, in a thread.

    ``compared`` has, by key, the position in the file of each array that was found correct.
    """

    def __init__(self) -> None:
        self.compared: dict[str, int] = {}
        self._added: list[_Written] = []  # not handed to the thread yet
        self._queue: queue.SimpleQueue[list[_Written] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._is_stopped = False

    def add(self, key: str, byte_range: ByteRange, crc32: int | None = None) -> None:
        """Queue an array; without its CRC-32 these are its first bytes, more follow."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="reading back", daemon=True)
            self._thread.start()
        self._added.append((key, byte_range, crc32))
        if len(self._added) >= _AT_ONCE or byte_range.n_bytes >= _PART_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Pass queued arrays to the thread, which is not woken for each small array."""
        self._queue.put(self._added)
        self._added = []

    def _work(self) -> None:
        path, fd = None, -1
        begin, crc, n_read = -1, 0, 0  # of the array that has been read in part
        try:
            for key, byte_range, crc32 in self._queued():
                if byte_range.path != path:
                    if fd >= 0:
                        os.close(fd)
                    path, fd, begin = byte_range.path, -1, -1
                    fd = open_to_read(path)
                if byte_range.offset != begin:
                    begin, crc, n_read = byte_range.offset, 0, 0
                crc = _crc32_of(fd, byte_range, crc, n_read)
                n_read = byte_range.n_bytes
                if crc32 is None:
                    continue
                if crc != crc32:
                    raise StoredDataError(f"{quoted(key)} is not stored as it was written")
                self.compared[key] = byte_range.offset
        except (OSError, StoredDataError) as error:
            self._failure = error
        finally:
            if fd >= 0:
                os.close(fd)

    def _queued(self) -> Iterator[_Written]:
        while (several := self._queue.get()) is not None:
            for one in several:
                if self._is_stopped:
                    return
                yield one

    def finish(self) -> None:
        """Wait until all arrays have been compared.

        Raise StoredDataError if one differs from what was written, OSError if it cannot be read.
        """
        self._end()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop the thread at once."""
        self._is_stopped = True
        self._end()

    def _end(self) -> None:
        if self._thread is not None:
            self._flush()
            self._queue.put(None)
            self._thread.join()
            self._thread = None


def _crc32_of(fd: int, byte_range: ByteRange, crc: int, n_read: int) -> int:
    """Return the CRC-32 of all bytes, given ``crc`` of the first ``n_read``."""
    position, end = byte_range.offset + n_read, byte_range.offset + byte_range.n_bytes
    while position < end:
        part = read_at(fd, min(_PART_BYTES, end - position), position, at_least=1)
        if not part:
            raise OSError(f"the file ends at {position:,} bytes")
        crc = crc32(part, crc)
        position += len(part)
    return crc


class FeatureWriter(Resource):
    """Writes one output, at a new path that nobody reads yet.

    ``coordinate`` has the position of each feature on its axis. ``keys`` and ``metadata`` are those
    of the arrays that have been written. ``read_back`` checks them while the next ones are written.
    """

    def __init__(self, path: Path, root: OutputMetadata) -> None:
        self.path = path
        self.root = root
        self.coordinate = root.layer.feature_positions(root.audio.sr).values
        self.read_back = ReadBack()
        self.keys: list[str] = []
        self.metadata: list[InputMetadata] = []

    def add(self, key: str, array: ArrayChunks, metadata: InputMetadata) -> InputMetadata:
        """Store an input's array and its metadata; raise OutputError if that fails.

        Return the metadata with the checksum of the stored values and the reference of decibels.
        """
        crc = ArrayCrc32(array.shape, array.time_axis, array.dtype.itemsize)
        byte_range = self.store_array(key, array, crc.through(array.chunks()))
        metadata = metadata._replace(crc32=crc.value()).with_reference(array.reference)
        self._finish_array(key, metadata, byte_range)
        return metadata

    def _finish_array(self, key: str, metadata: InputMetadata, stored: ByteRange | None) -> None:
        self.store_metadata(key, metadata)
        self.keys.append(key)
        self.metadata.append(metadata)
        if stored is not None:
            self.read_back.add(key, stored, metadata.crc32)

    def copy(self, stored: StoredArray) -> InputMetadata:
        """Store an array of another output, unchanged; return its metadata.

        Raise StoredDataError if the array is damaged, OutputError if it cannot be written.
        """
        array = stored_array(stored, self.root.layer)
        metadata = self.add(stored.key, array, stored.metadata)
        stored.check_crc32(metadata.crc32)
        return metadata

    @abstractmethod
    def store_array(
        self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]
    ) -> ByteRange | None:
        """Write all chunks; return where the bytes are.

        Return ``None`` if they are compressed or not contiguous.
        """

    @abstractmethod
    def store_metadata(self, key: str, metadata: InputMetadata) -> None:
        """Write the metadata of the array stored last."""

    @abstractmethod
    def finish(self) -> None:
        """Write the metadata of the output and sync it; raise OutputError if that fails."""

    def close(self) -> None:
        """Release resources; the output is invalid unless :meth:`finish` has returned."""
        self.read_back.close()
