"""What a journal holds, read back after its run has ended, however it ended.

A record counts only if all its bytes are there and have their checksums. The first one whose
head or description does not is where the journal ends: a run that was killed, or whose disk was
full, leaves half a record behind. A block whose values are damaged is passed over alone.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kapre_cli.errors import StoredDataError, writing
from kapre_cli.framing import spans
from kapre_cli.storage.block_store import BlockEntry, peak_of, read_into
from kapre_cli.storage.journal import HEAD, MAGIC
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.soundness import open_plain, sound_json, sound_key

_MAX_BLOCK_BYTES = 2**34  # far more than the largest layer needs for one block
_PART_VALUES = 2**22


@dataclass
class Remembered:
    """What a journal holds of one input.

    Attributes:
        of: The state of the file that the blocks belong to, see ``journal.identity``.
        entries: Its blocks by their first frame.
        facts: What is known of it; ``None`` unless the journal says that it is done.
        failure: Why it failed in the run before, if it did.
        run: Number of the run that did it, from 0.
    """

    of: int
    run: int
    entries: dict[int, BlockEntry] = field(default_factory=dict)
    facts: InputFacts | None = None
    failure: str | None = None


@dataclass
class Replayed:
    """What a journal holds.

    Attributes:
        roots: The root facts of each run that wrote to it, as they were stored.
        inputs: What it holds of each input, by key.
        end: Bytes of the journal that hold sound records.
    """

    roots: list[Any] = field(default_factory=list)
    inputs: dict[str, Remembered] = field(default_factory=dict)
    end: int = 0

    @property
    def n_done(self) -> int:
        """How many inputs are complete."""
        return sum(one.facts is not None for one in self.inputs.values())

    @property
    def holds_work(self) -> bool:
        """Whether there is anything in it that took time to compute."""
        return any(one.entries for one in self.inputs.values())


def replay(path: Path) -> Replayed:
    """Return what the journal at ``path`` holds; nothing if there is none.

    Raises:
        OutputError: If it cannot be read.
    """
    found = Replayed()
    with writing(path, "read"):
        if not os.path.lexists(path):
            return found
        # A description that cannot be understood was not written by this version: what stands
        # behind it is as good as absent.
        malformed = suppress(StoredDataError, KeyError, TypeError, ValueError)
        with open_plain(path) as file, malformed:
            for description, entry in _records(file):
                _take(description, entry, found)
                found.end = file.tell()
    return found


def _records(file: BinaryIO) -> Iterator[tuple[dict[str, Any], BlockEntry | None]]:
    """Yield each sound record's description, and its block if that is undamaged."""
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
        if zlib.crc32(described) != described_crc:
            return
        description = sound_json(described)
        if not isinstance(description, dict):
            return
        entry = None
        if n_values:
            entry = _block(file, description, n_values, values_crc, position)
            file.seek(position + n_values)
        yield description, entry


def _block(
    file: BinaryIO, description: dict[str, Any], n_values: int, crc: int, position: int
) -> BlockEntry | None:
    n_channels, n_frames, n_features = map(_count, description["shape"])
    if 4 * n_channels * n_frames * n_features != n_values:
        return None
    # Part by part: a file may be far larger than the memory, or hold nothing but holes.
    found_crc, peak = 0, 0.0
    for first, count in spans(n_values // 4, _PART_VALUES):
        values = np.empty(count, "<f4")
        if read_into(file.fileno(), values, position + 4 * first) != values.nbytes:
            return None
        found_crc = zlib.crc32(values.data, found_crc)
        peak = max(peak, peak_of(values))
    if found_crc != crc:
        return None
    first_frame = _count(description["first_frame"], lowest=0)
    return BlockEntry(first_frame, (n_channels, n_frames, n_features), peak, position, crc)


def _count(value: Any, lowest: int = 1) -> int:
    if type(value) is not int or value < lowest:
        raise StoredDataError(f"{value!r} is no count")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise StoredDataError(f"{value!r} is no text")
    return value


def _take(description: dict[str, Any], entry: BlockEntry | None, found: Replayed) -> None:
    """Add one record to what was found."""
    run = len(found.roots) - 1
    if "run" in description:
        found.roots.append(description["run"])
        return
    if "failed" in description:
        key, reason = sound_key(description["failed"]), _text(description["reason"])
        remembered = found.inputs.setdefault(key, Remembered(0, run))
        remembered.failure, remembered.run = reason, run
        return
    key = sound_key(description["block"] if "block" in description else description["done"])
    of = _count(description["of"], lowest=0)
    facts = InputFacts.from_dict(description["facts"]) if "facts" in description else None
    remembered = found.inputs.setdefault(key, Remembered(of, run))
    if remembered.of != of:  # the file was another one when the earlier blocks were made
        remembered = found.inputs[key] = Remembered(of, run)
    remembered.run = run
    if entry is not None:
        remembered.entries[entry.first_frame] = entry
    if facts is not None:
        remembered.facts = facts
