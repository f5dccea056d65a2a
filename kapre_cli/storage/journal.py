"""Finished work, appended to one file and seen through to the disk while the run goes on.

An input's frames may come in any order and from several places, block by block, linear and in
float32. What they become, decibels say, is settled when the output is put together.

A record is a fixed head, a JSON description and, for a block, its values::

    4 bytes  magic "KXJ1"
    u32      length of the JSON
    u64      length of the values in bytes
    u32      CRC-32 of the JSON
    u32      CRC-32 of the values
    ...      the JSON, one of
               {"run": <root facts>}                  a run begins
               {"block": key, "of": n, "first_frame": ..., "shape": [channel, time, feature]}
               {"done": key, "of": n, "facts": ...}   all blocks of an input are here; a block
                                                      may have facts too and say so itself
               {"failed": key, "reason": ...}         an input has failed in this run
    ...      the values: float32, little-endian, C order

``of`` ties the blocks of an input to the state of its file in which they were computed.
``replay`` reads the records back.
"""

import os
import stat
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kapre_cli.errors import OutputError, StoredDataError, quoted, writing
from kapre_cli.storage.block_store import BlockEntry, BlockStore, Frames, peak_of, read_into
from kapre_cli.storage.metadata import InputFacts, RootFacts, dumps

HEAD = struct.Struct("<4sIQII")
MAGIC = b"KXJ1"

_PENDING_BYTES = 2**20  # small records gather in memory up to this
_SECONDS_AT_RISK = 5.0

_NO_VALUES = memoryview(b"")


class Journal(BlockStore):
    """An append-only file of computed blocks, made durable every few seconds.

    Args:
        path: The file; it is made if there is none.
        end: Bytes of it that hold sound records; what is behind them is cut off.
        is_new: Whether there was no file when its folder was looked at.
        seconds_at_risk: How long finished work may wait until it is on the disk.

    Attributes:
        path: The file.
        descriptor: The open file.

    Raises:
        OutputError: If the file cannot be opened, has appeared since, or is not this program's.
    """

    def __init__(
        self,
        path: Path,
        end: int = 0,
        *,
        is_new: bool = False,
        seconds_at_risk: float = _SECONDS_AT_RISK,
    ) -> None:
        self.path = path
        with writing(path):
            self.descriptor = _opened(path, is_new=is_new)
            os.ftruncate(self.descriptor, end)
        self._end = self._on_file = end
        self._pending: list[bytes] = []
        self._writing = threading.Lock()
        self._broken: OutputError | None = None
        self._closing = threading.Event()
        self._durable_until = end
        self._seconds_at_risk = seconds_at_risk
        self._keeper = threading.Thread(target=self._keep_durable, name="journal", daemon=True)
        self._keeper.start()

    def run(self, root: RootFacts) -> None:
        """Write that a run with these settings begins."""
        self._append({"run": root.to_dict()})

    def block(
        self,
        key: str,
        of: int,
        first_frame: int,
        block: Frames,
        facts: InputFacts | None = None,
    ) -> BlockEntry:
        """Write one block of the input ``key``, shape ``(n_channels, n_frames, n_features)``.

        Args:
            key: The input.
            of: The state of its file, see :func:`identity`.
            first_frame: Number of the block's first frame in the input.
            block: The features.
            facts: What is known of the input, if this is the last block of it that was missing.

        Raises:
            OutputError: If it cannot be written.
        """
        values = np.ascontiguousarray(block, dtype="<f4")
        described = {
            "block": key,
            "of": of,
            "first_frame": first_frame,
            "shape": list(values.shape),
        }
        if facts is not None:
            described["facts"] = facts.to_dict()
        position, crc = self._append(described, values.data.cast("B"))
        n_channels, n_frames, n_features = values.shape
        return BlockEntry(
            first_frame, (n_channels, n_frames, n_features), peak_of(values), position, crc
        )

    def done(self, key: str, of: int, facts: InputFacts) -> None:
        """Write that all blocks of an input are in the journal, and what is known of it.

        Raises:
            OutputError: If it cannot be written.
        """
        self._append({"done": key, "of": of, "facts": facts.to_dict()})

    def failed(self, key: str, reason: str) -> None:
        """Write that an input has failed.

        Raises:
            OutputError: If it cannot be written.
        """
        self._append({"failed": key, "reason": reason})
        with self._writing:
            self._flush()  # should the process come down, it need not be told again

    def _append(
        self, description: dict[str, Any], values: memoryview = _NO_VALUES
    ) -> tuple[int, int]:
        """Append a record; return the position of its values and their CRC."""
        described = dumps(description).encode()
        crc = zlib.crc32(values)
        head = HEAD.pack(MAGIC, len(described), values.nbytes, zlib.crc32(described), crc)
        with self._writing:
            if self._broken is not None:
                raise self._broken
            self._pending.append(head + described)
            position = self._end + len(head) + len(described)
            self._end = position + values.nbytes
            if values.nbytes <= _PENDING_BYTES:
                self._pending.append(bytes(values))
            if self._end - self._on_file > _PENDING_BYTES:
                self._flush()
                if values.nbytes > _PENDING_BYTES:
                    self._write(values)
        return position, crc

    def _flush(self) -> None:
        self._write(memoryview(b"".join(self._pending)))
        self._pending.clear()

    def _write(self, data: memoryview) -> None:
        try:
            with writing(self.path):
                while data:
                    written = os.pwrite(self.descriptor, data, self._on_file)
                    data, self._on_file = data[written:], self._on_file + written
        except OutputError as error:
            self._broken = error  # a record may be torn: nothing can follow it
            raise

    def sync(self) -> None:
        """See all that was appended through to the disk.

        Raises:
            OutputError: If that fails, or has failed since the last time.
        """
        with self._writing:
            if self._broken is not None:
                raise self._broken
            self._flush()
            end = self._on_file
        if end == self._durable_until:
            return
        try:
            with writing(self.path):
                os.fsync(self.descriptor)
        except OutputError as error:
            self._broken = error
            raise
        self._durable_until = end

    def _keep_durable(self) -> None:
        """Sync every few seconds, beside the work; an error is raised at the next append."""
        while self._broken is None and not self._closing.wait(self._seconds_at_risk):
            try:
                self.sync()
            except OutputError:
                return

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block that was written.

        Raises:
            StoredDataError: If the bytes are not those that were written.
        """
        block = np.empty(entry.shape, dtype="<f4")
        with self._writing:
            if entry.position + block.nbytes > self._on_file:
                self._flush()
        with writing(self.path, "read back"):
            n_read = read_into(self.descriptor, block, entry.position)
        if n_read != block.nbytes or zlib.crc32(block.data) != entry.crc32:
            raise StoredDataError(
                f"{quoted(self.path)} does not hold what was written to it, "
                "so its disk may be faulty; --resume recomputes what was lost"
            )
        return block

    def close(self) -> None:
        """Close the file; what was appended since the last :meth:`sync` may be lost."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._keeper.join()
        os.close(self.descriptor)


def _opened(path: Path, *, is_new: bool) -> int:
    """Return a descriptor of a journal, and of nothing that somebody has put in its place."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags | (os.O_EXCL if is_new else 0), 0o666)
    except FileExistsError as error:
        raise OutputError(
            f"{quoted(path)} appeared while the run was on; it is left as it is: move it away"
        ) from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(fd)
        raise OutputError(
            f"{quoted(path)} is a link or no regular file, which this program does not make; "
            "it is left as it is: move it away"
        )
    return fd


def identity(facts: InputFacts, non_finite: str, content: str = "") -> int:
    """Return a number for all that an input's blocks depend on and that may change from run to run.

    Args:
        facts: What is known of the file; what reading it to its end adds does not count.
        non_finite: What becomes of samples that are not finite.
        content: The SHA-256 of its bytes, where no path and time tell one state from another.
    """
    opened = facts._replace(n_non_finite=0, n_silent_channels=0, sha256="", crc32=0)
    of = (*opened, non_finite, content) if content else (*opened, non_finite)
    return zlib.crc32(repr(of).encode(errors="surrogateescape"))
