"""Files mapped into memory.

A map costs no copy and no system call for each read. Its price: a disk error, and a file that
somebody truncates, end the process (SIGBUS) where a read would raise OSError. This program replaces
outputs as a whole and never truncates one.
"""

import mmap
import os
import sys
from collections import OrderedDict
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.osutil import max_open_files, open_plain
from kapre_cli.text import quoted

_MAX_MAPS = 2**13  # Linux allows a process 65,530
_PART_OF_OPEN_FILES = 4
# A map keeps its file open, unless Python can do without.
_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class FileMap:
    """All bytes of a file as the array ``buffer``, read-only, ``None`` once it is closed.

    ``identity`` differs from that of a file that has replaced it. Raise OSError if the file cannot
    be mapped.
    """

    def __init__(self, descriptor: int) -> None:
        self.identity = identity_of(descriptor)
        try:
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ, **_OPTIONS)
        except ValueError as error:  # of an empty file
            raise OSError(str(error)) from error
        # An array that is made of the map itself would not keep it from being closed.
        self.buffer: npt.NDArray[np.uint8] | None = np.frombuffer(self._map, np.uint8)

    def array(self, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return an array that begins at ``offset``; raise OSError if the file is too short."""
        buffer = self.buffer
        if buffer is None:  # NumPy would make an array of anything in memory
            raise OSError("the output is closed")
        try:
            return np.ndarray(shape, dtype, buffer, offset)
        except (TypeError, ValueError) as error:
            raise OSError(f"the file has {len(buffer):,} bytes") from error

    def close(self) -> None:
        """Release the map; the last array of it does so, if there is any."""
        self.buffer = None
        with suppress(BufferError):
            self._map.close()


def identity_of(descriptor: int) -> tuple[int, ...]:
    """Return the device, the number and the size of an open file."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size


class FileMaps:
    """The maps of the files that were read last."""

    def __init__(self) -> None:
        self._at_most = _MAX_MAPS
        if not _OPTIONS:
            self._at_most = min(_MAX_MAPS, max_open_files() // _PART_OF_OPEN_FILES)
        self._maps: OrderedDict[str, FileMap] = OrderedDict()
        self._lock = Lock()

    def get(self, path: str | os.PathLike[str], identity: tuple[int, ...]) -> FileMap:
        """Return the map of a file; raise OSError if it cannot be mapped, or is another file."""
        name = os.fspath(path)
        with self._lock:
            found = self._maps.get(name)
            if found is not None and found.identity == identity:
                self._maps.move_to_end(name)
                return found
        with open_plain(name) as file:
            made = FileMap(file.fileno())
        if made.identity != identity:
            raise OSError(f"{quoted(name)} has been replaced")
        with self._lock:
            self._maps[name] = made
            if len(self._maps) > self._at_most:
                self._maps.popitem(last=False)  # arrays of it that are in use keep it
        return made

    def close(self) -> None:
        """Release all maps."""
        with self._lock:
            for one in self._maps.values():
                one.close()
            self._maps.clear()
