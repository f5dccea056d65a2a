"""Finished work, appended to one file: frames as they are computed, linear and in float32.

An input's frames may come in any order and from several places, block by block. What they
become, decibels say, is settled when the output is put together.

A record is a fixed head, a JSON description and the values of one block::

    4 bytes  magic "KXJ1"
    u32      length of the JSON
    u64      length of the values in bytes
    u32      CRC-32 of the JSON
    u32      CRC-32 of the values
    ...      the JSON: {"key": ..., "first_frame": ..., "shape": [channel, time, feature]}
    ...      the values: float32, little-endian, C order
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kapre_cli.closing import Closing
from kapre_cli.errors import StoredDataError, quoted, writing
from kapre_cli.storage.metadata import dumps

_HEAD = struct.Struct("<4sIQII")
_MAGIC = b"KXJ1"

Frames = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BlockEntry:
    """Where one block of an input's frames lies in the journal.

    Attributes:
        first_frame: Number of the block's first frame in its input.
        shape: ``(n_channels, n_frames, n_features)``.
        peak: The largest value.
        position: Where its values begin in the file.
        crc32: CRC-32 of its values.
    """

    first_frame: int
    shape: tuple[int, int, int]
    peak: float
    position: int
    crc32: int


class Journal(Closing):
    """An append-only file of computed blocks.

    Args:
        path: A file that does not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = path.open("x+b", buffering=0)
        self._end = 0

    def append(self, key: str, first_frame: int, block: Frames) -> BlockEntry:
        """Write one block of the input ``key``, shape ``(n_channels, n_frames, n_features)``.

        Raises:
            OutputError: If it cannot be written.
        """
        values = np.ascontiguousarray(block, dtype="<f4")
        described = dumps(
            {"key": key, "first_frame": first_frame, "shape": list(values.shape)}
        ).encode()
        crc = zlib.crc32(values.data)
        head = _HEAD.pack(_MAGIC, len(described), values.nbytes, zlib.crc32(described), crc)
        position = self._end + len(head) + len(described)
        self._write(head + described)
        self._write(values.data.cast("B"))
        n_channels, n_frames, n_features = values.shape
        return BlockEntry(
            first_frame, (n_channels, n_frames, n_features), float(values.max()), position, crc
        )

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        with writing(self.path):
            while rest:
                written = os.write(self._file.fileno(), rest)
                rest = rest[written:]
                self._end += written

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block that was appended.

        Raises:
            StoredDataError: If the bytes are not those that were written.
        """
        block = np.empty(entry.shape, dtype="<f4")
        with writing(self.path, "read back"):
            self._file.seek(entry.position)
            n_read = self._file.readinto(block.data.cast("B"))
        if n_read != block.nbytes or zlib.crc32(block.data) != entry.crc32:
            raise StoredDataError(f"{quoted(self.path)} does not hold what was written to it")
        return block

    def blocks(self, entries: list[BlockEntry]) -> Iterator[tuple[int, Frames]]:
        """Yield ``(first_frame, block)`` for each entry in the order of the frames."""
        for entry in sorted(entries, key=lambda one: one.first_frame):
            yield entry.first_frame, self.read(entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
