"""Computed blocks in a temporary file without a name, for outputs that nothing can resume."""

import bisect
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np

from kapre_cli.errors import OutputError, StoredDataError
from kapre_cli.storage.block_store import BlockEntry, BlockStore, Frames, peak_of, read_into
from kapre_cli.storage.metadata import InputFacts


@contextmanager
def temporary_errors() -> Iterator[None]:
    """Turn what using a temporary file can run into into an error that says so.

    Raises:
        OutputError: For an error of the operating system.
    """
    try:
        yield
    except (OutputError, BrokenPipeError):  # of where its content goes
        raise
    except OSError as error:
        raise OutputError(
            f"a temporary file cannot be used: {error.strerror or error}; "
            "TMPDIR names the folder that it is made in"
        ) from error


def temporary_file() -> IO[bytes]:
    """Return a file without a name: its room on the disk is free again once it is closed."""
    return tempfile.TemporaryFile(buffering=0)


class BlockSpool(BlockStore):
    """A temporary file of blocks whose room is used again once they have been let go.

    Its methods are for one thread; others may ask how much is in it.

    Attributes:
        n_bytes: Bytes of the blocks in it.
    """

    def __init__(self) -> None:
        with temporary_errors():
            self._file = temporary_file()
        self._room = _Room()
        self._n_bytes_of: Counter[str] = Counter()
        self.n_bytes = 0

    def n_bytes_of(self, key: str) -> int:
        """Return how many bytes the blocks of an input have."""
        return self._n_bytes_of[key]

    def block(
        self,
        key: str,
        of: int,  # noqa: ARG002
        first_frame: int,
        block: Frames,
        facts: InputFacts | None = None,  # noqa: ARG002
    ) -> BlockEntry:
        """Take one block of the input ``key``, shape ``(n_channels, n_frames, n_features)``.

        Raises:
            OutputError: If it cannot be written.
        """
        values = np.ascontiguousarray(block, dtype="<f4")
        position = start = self._room.take(values.nbytes)
        left = values.data.cast("B")
        with temporary_errors():
            while left:
                written = os.pwrite(self._file.fileno(), left, position)
                left, position = left[written:], position + written
        self.n_bytes += values.nbytes
        self._n_bytes_of[key] += values.nbytes
        n_channels, n_frames, n_features = values.shape
        shape = (n_channels, n_frames, n_features)
        return BlockEntry(first_frame, shape, peak_of(values), start, zlib.crc32(values.data))

    def done(self, key: str, of: int, facts: InputFacts) -> None:
        """Do nothing: what is known of an input is wanted by no later run."""

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block that was written.

        Raises:
            StoredDataError: If the bytes are not those that were written.
        """
        block = np.empty(entry.shape, dtype="<f4")
        with temporary_errors():
            n_read = read_into(self._file.fileno(), block, entry.position)
        if n_read != block.nbytes or zlib.crc32(block.data) != entry.crc32:
            raise StoredDataError(
                "the temporary file does not hold what was written to it, so its disk may be "
                "faulty; TMPDIR names another folder"
            )
        return block

    def let_go(self, key: str, entries: Iterable[BlockEntry]) -> None:
        """Give back the room of all blocks of an input; they cannot be read any more."""
        end = self._room.end
        for entry in entries:
            n_bytes = 4 * int(np.prod(entry.shape))
            self._room.give(entry.position, n_bytes)
            self.n_bytes -= n_bytes
            self._n_bytes_of[key] -= n_bytes
        if not self._n_bytes_of[key]:
            del self._n_bytes_of[key]
        if self._room.end < end:
            os.ftruncate(self._file.fileno(), self._room.end)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class _Room:
    """Which bytes of a file are free; the first that are wide enough are taken.

    Attributes:
        end: Where the last bytes end that are not free.
    """

    def __init__(self) -> None:
        self.end = 0
        self._gaps: list[tuple[int, int]] = []  # (start, stop) in order, none touching another

    def take(self, n_bytes: int) -> int:
        """Return where ``n_bytes`` begin that were free."""
        for number, (start, stop) in enumerate(self._gaps):
            if stop - start >= n_bytes:
                rest = [(start + n_bytes, stop)] if stop - start > n_bytes else []
                self._gaps[number : number + 1] = rest
                return start
        self.end += n_bytes
        return self.end - n_bytes

    def give(self, start: int, n_bytes: int) -> None:
        """Take back ``n_bytes`` from ``start`` on."""
        stop = start + n_bytes
        number = bisect.bisect(self._gaps, (start, stop))
        if number < len(self._gaps) and self._gaps[number][0] == stop:
            stop = self._gaps.pop(number)[1]
        if number and self._gaps[number - 1][1] == start:
            number -= 1
            start = self._gaps.pop(number)[0]
        if stop == self.end:
            self.end = start
        else:
            self._gaps.insert(number, (start, stop))
