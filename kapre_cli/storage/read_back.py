"""Arrays read back while others are still being written."""

import os
import queue
import threading
import zlib
from pathlib import Path
from typing import NamedTuple

from kapre_cli.closing import Closing
from kapre_cli.errors import StoredDataError, quoted

_PART_BYTES = 2**22


class Place(NamedTuple):
    """Where the bytes of an array are.

    Attributes:
        path: The file.
        offset: Where they begin in it.
        n_bytes: How many they are.
    """

    path: Path
    offset: int
    n_bytes: int


class ReadBack(Closing):
    """Compares arrays with their checksums, in a thread, as soon as they have been written.

    Attributes:
        compared: Where the arrays begin that hold what was written, by key.
    """

    def __init__(self) -> None:
        self.compared: dict[str, int] = {}
        self._due: queue.SimpleQueue[tuple[str, Place, int | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._is_dropped = False

    def add(self, key: str, place: Place, crc32: int | None = None) -> None:
        """Let an array be compared.

        Args:
            key: Its key.
            place: Where its bytes are.
            crc32: Their CRC-32. ``None``: they are its first bytes, and more will follow.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="reading back", daemon=True)
            self._thread.start()
        self._due.put((key, place, crc32))

    def _work(self) -> None:
        path, fd = None, -1
        begun, crc, n_read = -1, 0, 0  # of the array that has been read in part
        try:
            while (one := self._due.get()) is not None and not self._is_dropped:
                key, place, crc32 = one
                if place.path != path:
                    if fd >= 0:
                        os.close(fd)
                    path, fd, begun = place.path, -1, -1
                    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                if place.offset != begun:
                    begun, crc, n_read = place.offset, 0, 0
                crc = _crc32_of(fd, place, crc, n_read)
                n_read = place.n_bytes
                if crc32 is None:
                    continue
                if crc != crc32:
                    raise StoredDataError(f"{quoted(key)} does not hold what was written")
                self.compared[key] = place.offset
        except (OSError, StoredDataError) as error:
            self._failure = error
        finally:
            if fd >= 0:
                os.close(fd)

    def finish(self) -> None:
        """Wait until all arrays have been compared.

        Raises:
            StoredDataError: If one does not hold what was written.
            OSError: If one cannot be read.
        """
        self._end()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let the thread end at once."""
        self._is_dropped = True
        self._end()

    def _end(self) -> None:
        if self._thread is not None:
            self._due.put(None)
            self._thread.join()
            self._thread = None


def _crc32_of(fd: int, place: Place, crc: int, n_read: int) -> int:
    """Return the CRC-32 of all bytes, given that of the first ones."""
    position, end = place.offset + n_read, place.offset + place.n_bytes
    while position < end:
        part = os.pread(fd, min(_PART_BYTES, end - position), position)
        if not part:
            raise OSError(f"the file ends at {position:,} bytes")
        crc = zlib.crc32(part, crc)
        position += len(part)
    return crc
