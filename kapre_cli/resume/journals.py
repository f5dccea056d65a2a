"""The journals of a work folder: created for its workers, read back by a later run.

A record counts only if all its bytes are present and match their checksums. A journal ends at the
first record whose head or description does not: a run that was killed, or whose disk was full,
leaves half a record behind. A block whose values are damaged is skipped alone.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kapre_cli.errors import OutputError, StoredDataError, wrap_os_errors
from kapre_cli.formats.checksum import crc32
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.validation import validated_json, validated_key
from kapre_cli.framing import spans
from kapre_cli.osutil import Resource, is_at, open_folder, open_or_create, open_to_read, read_into
from kapre_cli.resume.journal import HEAD, MAGIC, BlockEntry, Frames, peak_of
from kapre_cli.text import quoted

_NAME = re.compile(r"journal-([1-9][0-9]{0,8})")

_MAX_BLOCK_BYTES = 2**34  # far more than the largest layer needs for one block
_CHUNK_VALUES = 2**22


def is_journal(name: str) -> bool:
    """Whether a file in a work folder has the name of a journal."""
    return _NAME.fullmatch(name) is not None


class Journals(Resource):
    """The journals of one folder; raise OutputError if one cannot be opened.

    Each is kept open, so that only this very file is read or removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fds: dict[str, int] = {}
        self._last = 0
        with wrap_os_errors(folder, "read"):
            self._folder = open_folder(folder)
        try:
            for name in sorted(filter(_NAME.fullmatch, os.listdir(self._folder)), key=_number):
                with wrap_os_errors(folder / name, "read"):
                    self._fds[name] = open_to_read(name, folder=self._folder, follow_links=False)
                self._last = _number(name)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """Names of the journals, in the order of creation."""
        return [*self._fds]

    def create(self) -> Path:
        """Create an empty journal, return its path; raise OutputError if its name is taken."""
        self._last += 1
        path = self.folder / f"journal-{self._last}"
        with wrap_os_errors(path):
            try:
                self._fds[path.name] = open_or_create(
                    path.name, folder=self._folder, exclusive=True
                )
            except FileExistsError as error:
                raise OutputError(
                    f"{quoted(path)} appeared during the run; it is left as it is: move it away"
                ) from error
        return path

    def open(self, name: str) -> int:
        """Return the descriptor of a journal; the caller may not close it."""
        return self._fds[name]

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block; raise LostWorkError if it changed, OutputError if unreadable."""
        block = np.empty(entry.shape, dtype="<f4")
        path = f"{self.folder}/{entry.journal}"  # making a pathlib path takes as long as reading
        with wrap_os_errors(path, "read back"):
            n_read = read_into(self._fds[entry.journal], block.data.cast("B"), entry.position)
        if n_read != block.nbytes or crc32(block.data) != entry.crc32:
            raise StoredDataError(
                f"{quoted(path)} does not hold what was written to it, so its disk may be faulty; "
                "resume the run to recompute what was lost"
            )
        return block

    def sync(self) -> None:
        """Sync all journals to the disk; raise OutputError if that fails."""
        for name, fd in self._fds.items():
            with wrap_os_errors(self.folder / name):
                os.fsync(fd)

    def remove(self, name: str) -> None:
        """Remove a journal, unless its file has been replaced by another."""
        fd = self._fds.pop(name)
        is_in_place = is_at(fd, name, self._folder)
        os.close(fd)  # network file systems keep a removed file as long as it is open
        if is_in_place:
            with wrap_os_errors(self.folder / name, "removed"), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def remove_all(self) -> None:
        """Remove all journals, as :meth:`remove` does."""
        for name in self.names:
            self.remove(name)

    def close(self) -> None:
        """Close the journals."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


@dataclass
class JournalEntry:
    """The content of the journals for one input.

    Attributes:
        state: The state of the file that the blocks belong to, see ``input_state``.
        run: Number of the journal that was written last, from 0.
        entries: Its blocks by their first frame.
        metadata: Its metadata; ``None`` unless a journal says that it is done.
    """

    state: int
    run: int
    entries: dict[int, BlockEntry] = field(default_factory=dict)
    metadata: InputMetadata | None = None


@dataclass
class JournalState:
    """The content of journals: the stored root metadata of each, and the inputs by key."""

    roots: list[Any] = field(default_factory=list)
    inputs: dict[str, JournalEntry] = field(default_factory=dict)

    @property
    def n_done(self) -> int:
        """Number of complete inputs."""
        return sum(one.metadata is not None for one in self.inputs.values())

    @property
    def holds_work(self) -> bool:
        """Whether it has any computed block."""
        return any(one.entries for one in self.inputs.values())


def replay(journals: Journals, *names: str) -> JournalState:
    """Return the content of the journals ``names``, or of all; raise OutputError if that fails."""
    found = JournalState()
    for name in names or journals.names:
        # A description that cannot be understood was not written by this version: the rest of the
        # journal is ignored.
        malformed = suppress(StoredDataError, KeyError, TypeError, ValueError)
        with (
            wrap_os_errors(journals.folder / name, "read"),
            open(os.dup(journals.open(name)), "rb") as file,
            malformed,
        ):
            file.seek(0)
            for number, (description, entry) in enumerate(_records(file, name)):
                if number == 0:
                    found.roots.append(description["run"])
                else:
                    _add_record(description, entry, found)
    return found


def _records(file: BinaryIO, name: str) -> Iterator[tuple[dict[str, Any], BlockEntry | None]]:
    """Yield each valid record's description, and its block if that is undamaged."""
    size = os.fstat(file.fileno()).st_size
    while len(head := file.read(HEAD.size)) == HEAD.size:
        magic, n_described, n_values, described_crc, values_crc = HEAD.unpack(head)
        position = file.tell() + n_described
        if (
            magic != MAGIC
            or max(n_described * 2**8, n_values) > _MAX_BLOCK_BYTES
            or position + n_values > size
        ):
            return
        described = file.read(n_described)
        if crc32(described) != described_crc:
            return
        description = validated_json(described)
        if not isinstance(description, dict):
            return
        entry = None
        if n_values:
            entry = _block(file, description, n_values, values_crc, position, name)
            file.seek(position + n_values)
        yield description, entry


def _block(
    file: BinaryIO, description: dict[str, Any], n_values: int, crc: int, position: int, name: str
) -> BlockEntry | None:
    n_channels, n_frames, n_features = map(_count, description["shape"])
    if 4 * n_channels * n_frames * n_features != n_values:
        return None
    # In chunks: a file may be far larger than the memory, or be all holes.
    found_crc, peak = 0, 0.0
    for first, count in spans(n_values // 4, _CHUNK_VALUES):
        values = np.empty(count, "<f4")
        if read_into(file.fileno(), values.data.cast("B"), position + 4 * first) != values.nbytes:
            return None
        found_crc = crc32(values.data, found_crc)
        peak = max(peak, peak_of(values))
    if found_crc != crc:
        return None
    first_frame = _count(description["first_frame"], lowest=0)
    return BlockEntry(first_frame, (n_channels, n_frames, n_features), peak, position, crc, name)


def _count(value: Any, lowest: int = 1) -> int:
    if type(value) is not int or value < lowest:
        raise StoredDataError(f"{value!r} is not a count")
    return value


def _add_record(description: dict[str, Any], block: BlockEntry | None, found: JournalState) -> None:
    run = len(found.roots) - 1
    key = validated_key(description["block"] if "block" in description else description["done"])
    state = _count(description["of"], lowest=0)
    metadata = (
        InputMetadata.from_dict(description["metadata"]) if "metadata" in description else None
    )
    entry = found.inputs.setdefault(key, JournalEntry(state, run))
    if entry.state != state:  # the earlier blocks are of another state of the file
        entry = found.inputs[key] = JournalEntry(state, run)
    entry.run = run
    if block is not None:
        entry.entries[block.first_frame] = block
    if metadata is not None:
        entry.metadata = metadata
