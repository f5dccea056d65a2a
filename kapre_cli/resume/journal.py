"""A worker's journal: a file of its finished blocks, synced during the run.

The blocks of an input may be in any order and in several journals, linear and in float32. Decibels,
axis order and stored type are applied when the output is assembled.

A record is a fixed head, a JSON description and, for a block, its values::

    4 bytes  magic "KXJ1"
    u32      length of the JSON
    u64      length of the values in bytes
    u32      CRC-32 of the JSON
    u32      CRC-32 of the values
    ...      the JSON, one of
               {"run": <root metadata>}               the settings of the run; the first record
               {"block": key, "of": n, "first_frame": ..., "shape": [channel, time, feature]}
               {"done": key, "of": n, "metadata": ...}
                                                      all blocks of an input are computed; the
                                                      last block may have the metadata instead
    ...      the values: float32, little-endian, C order

``of`` is the state of the input's file in which its blocks were computed, see ``input_state``.
``previous_run.replay`` reads the records back.
"""

import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.audio import sha256_of
from kapre_cli.errors import OutputError, wrap_os_errors
from kapre_cli.formats.array_chunks import crc32
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.inputs import Source
from kapre_cli.osutil import Resource, open_or_create, write_at
from kapre_cli.settings.checks import INT64
from kapre_cli.text import quoted

HEAD = struct.Struct("<4sIQII")
MAGIC = b"KXJ1"

_PENDING_BYTES = 2**20  # small records gather in memory up to this
SECONDS_AT_RISK = 5.0

_NO_VALUES = memoryview(b"")

Frames = npt.NDArray[np.float32]


class BlockEntry(NamedTuple):
    """The place of one block of an input's frames in a journal.

    Attributes:
        first_frame: Number of the block's first frame in its input.
        shape: ``(n_channels, n_frames, n_features)``.
        peak: The largest finite value, 0 if there is none.
        position: Where its values begin in the journal.
        journal: The name of the journal.
    """

    first_frame: int
    shape: tuple[int, int, int]
    peak: float
    position: int
    crc32: int
    journal: str = ""


class Journal(Resource):
    """An append-only file of computed blocks; raise OutputError if opening fails.

    The file ``path`` is missing or empty, and no link. Finished work is synced to the disk within
    ``seconds_at_risk``; with ``None`` it never is, since nothing resumes the run.
    """

    def __init__(
        self, path: Path, root: OutputMetadata, seconds_at_risk: float | None = SECONDS_AT_RISK
    ) -> None:
        self.path = path
        with wrap_os_errors(path):
            self._descriptor = _open_empty(path)
        self._end = self._on_file = self._durable_until = 0
        self._pending: list[bytes] = []
        self._writing = threading.Lock()
        self._broken: OutputError | None = None
        self._closing = threading.Event()
        self._syncing = threading.Thread(
            target=self._keep_durable, args=(seconds_at_risk,), name="journal", daemon=True
        )
        if seconds_at_risk is not None:
            self._syncing.start()
        self._append({"run": root.to_dict()})

    def block(
        self,
        key: str,
        state: int,
        first_frame: int,
        block: Frames,
        metadata: InputMetadata | None = None,
        peak: float | None = None,
    ) -> BlockEntry:
        """Write one block of an input; raise OutputError if that fails.

        ``state`` is that of the input's file, see :func:`input_state`. ``block`` has the shape
        ``(n_channels, n_frames, n_features)``. The last missing block of an input is written with
        its ``metadata``. ``peak`` is the largest finite feature; without it, it is computed.
        """
        values = np.ascontiguousarray(block, dtype="<f4")
        n_channels, n_frames, n_features = values.shape
        shape = n_channels, n_frames, n_features
        described = {"block": key, "of": state, "first_frame": first_frame, "shape": shape}
        if metadata is not None:
            described["metadata"] = metadata.to_dict()
        position, crc = self._append(described, values.data.cast("B"))
        peak = peak_of(values) if peak is None else peak
        return BlockEntry(first_frame, shape, peak, position, crc, self.path.name)

    def done(self, key: str, state: int, metadata: InputMetadata) -> None:
        """Record that an input's blocks are complete; raise OutputError if that fails."""
        self._append({"done": key, "of": state, "metadata": metadata.to_dict()})

    def _append(
        self, description: dict[str, Any], values: memoryview = _NO_VALUES
    ) -> tuple[int, int]:
        """Append a record; return the position of its values and their CRC."""
        described = dumps(description).encode()
        crc = crc32(values)
        head = HEAD.pack(MAGIC, len(described), values.nbytes, crc32(described), crc)
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
        with self._breaking():  # a record may be incomplete: no other can follow it
            self._on_file = write_at(self._descriptor, data, self._on_file)

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """Record an error, so that every later call raises it."""
        try:
            with wrap_os_errors(self.path):
                yield
        except OutputError as error:
            self._broken = error
            raise

    def sync(self) -> None:
        """Sync all appended records; raise OutputError if that fails or has failed before."""
        self.flush()
        end = self._on_file
        if end > self._durable_until:
            with self._breaking():
                os.fsync(self._descriptor)
            self._durable_until = end

    def _keep_durable(self, seconds_at_risk: float) -> None:
        """Sync every few seconds in a thread; an error is raised at the next append."""
        with suppress(OutputError):
            while not self._closing.wait(seconds_at_risk):
                self.sync()

    def flush(self) -> None:
        """Let other processes read all records; raise OutputError if that fails."""
        with self._writing:
            if self._broken is not None:
                raise self._broken
            self._flush()

    def close(self) -> None:
        """Close the file; records after the last :meth:`sync` may not be on the disk."""
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(OutputError):  # it has been raised, or the lost records are not needed
            self.flush()
        if self._syncing.is_alive():
            self._syncing.join()
        os.close(self._descriptor)


class MemoryJournal:
    """Has the place of a journal where nothing is written: blocks stay in memory."""

    path = Path()

    def __init__(self) -> None:
        self._blocks: list[Frames] = []

    def block(
        self,
        _key: str,
        _state: int,
        first_frame: int,
        block: Frames,
        _metadata: InputMetadata | None = None,
        peak: float | None = None,
    ) -> BlockEntry:
        """Keep one block of an input."""
        n_channels, n_frames, n_features = block.shape
        peak = peak_of(block) if peak is None else peak
        self._blocks.append(block)
        shape = n_channels, n_frames, n_features
        return BlockEntry(first_frame, shape, peak, len(self._blocks) - 1, 0)

    def done(self, key: str, state: int, metadata: InputMetadata) -> None:
        """Do nothing: nobody else reads the blocks."""

    def read(self, entry: BlockEntry) -> Frames:
        """Return the block of an entry."""
        return self._blocks[entry.position]


def _open_empty(path: Path) -> int:
    """Return a descriptor of an empty journal; reject a file of somebody else."""
    fd = open_or_create(path)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size:
        os.close(fd)
        raise OutputError(
            f"{quoted(path)} was replaced during the run; it is left as it is: move it away"
        )
    return fd


def peak_of(values: Frames) -> float:
    """Return the largest finite value, 0 if there is none."""
    peak = float(values.max())
    if not np.isfinite(peak):
        peak = float(values.max(initial=0.0, where=np.isfinite(values)))
    return peak


def input_state(source: Source, metadata: InputMetadata, non_finite: str) -> int:
    """Return the state of an opened input's file.

    Blocks of this state may be reused, no others. Settings are compared for the run as a whole
    (:func:`.previous_run.differences`) and whole arrays by
    :class:`kapre_cli.extraction.reuse.ReusePolicy`. Raise AudioReadError if the file's bytes cannot
    be read.
    """
    return identity(metadata, non_finite, content_of(source, metadata.source_mtime_ns))


def content_of(source: Source, mtime_ns: int) -> str:
    """Return the SHA-256 of an input's file if its states are not distinguished otherwise.

    It is empty if path and modification time distinguish them. Raise AudioReadError if the file
    cannot be read.
    """
    return "" if is_identified_by_mtime(source, mtime_ns) else sha256_of(source.file)


def is_identified_by_mtime(source: Source, mtime_ns: int) -> bool:
    """Whether the modification time distinguishes the states of an input.

    Times beyond 64 bits are stored as the nearest time within, so the first and the last one within
    may each be one of many.
    """
    return not source.is_stream and INT64[0] < mtime_ns < INT64[1]


def identity(metadata: InputMetadata, non_finite: str, content: str = "") -> int:
    """Return a checksum of what an input's blocks depend on.

    It covers all that may change between runs. Metadata that is known only after all of the file is
    read does not count, nor does the label. ``content`` is the SHA-256 of its bytes, where path and
    time do not distinguish its states.
    """
    opened = metadata._replace(n_non_finite=0, n_silent_channels=0, label="", sha256="", crc32=0)
    values = (*opened, non_finite, content) if content else (*opened, non_finite)
    return crc32(repr(values).encode(errors="surrogateescape"))
