"""The work of earlier runs for an output: their journals, and a finished output.

A record counts only if all its bytes are present and match their checksums. A journal ends at the
first record whose head or description does not: a run that was killed, or whose disk was full,
leaves half a record. A block whose values are damaged is skipped alone.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from kapre_cli.errors import StoredDataError, UsageError, wrap_os_errors
from kapre_cli.formats.array_chunks import crc32
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.opening import open_features
from kapre_cli.formats.validation import validated_json, validated_key
from kapre_cli.framing import spans
from kapre_cli.osutil import Resource, read_into
from kapre_cli.resume.journal import HEAD, MAGIC, BlockEntry, peak_of
from kapre_cli.resume.work_dir import Journals, WorkDir
from kapre_cli.settings import OutputSettings
from kapre_cli.text import Argument, Text, counted, quoted

# Settings that decide which inputs fail and never change the features of the others. A reused
# input must agree with them, see ``extraction.reuse``; the run as a whole need not.
_LENIENT = ("resample", "allow_truncated", "non_finite", "max_samples")

_MAX_BLOCK_BYTES = 2**34  # far more than the largest layer needs for one block
_CHUNK_VALUES = 2**22


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
    """The content of journals: the root metadata of each, and the inputs by key."""

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
    """Return the content of the journals ``names``, or of all.

    Raise OutputError if one cannot be read.
    """
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
            for number, (description, block) in enumerate(_records(file, name)):
                if number == 0:
                    found.roots.append(description["run"])
                else:
                    _add_record(description, block, found)
    return found


def _records(file: BinaryIO, name: str) -> Iterator[tuple[dict[str, Any], BlockEntry | None]]:
    """Yield each valid record's description, and its block if that is undamaged."""
    size = os.fstat(file.fileno()).st_size
    while len(head := file.read(HEAD.size)) == HEAD.size:
        magic, n_described, n_bytes, described_crc, values_crc = HEAD.unpack(head)
        position = file.tell() + n_described
        is_too_large = max(n_described * 2**8, n_bytes) > _MAX_BLOCK_BYTES
        if magic != MAGIC or is_too_large or position + n_bytes > size:
            return
        described = file.read(n_described)
        if crc32(described) != described_crc:
            return
        description = validated_json(described)
        if not isinstance(description, dict):
            return
        block = None
        if n_bytes:
            block = _block(file, description, n_bytes, values_crc, position, name)
            file.seek(position + n_bytes)
        yield description, block


def _block(
    file: BinaryIO, description: dict[str, Any], n_bytes: int, crc: int, position: int, name: str
) -> BlockEntry | None:
    n_channels, n_frames, n_features = map(_count, description["shape"])
    if 4 * n_channels * n_frames * n_features != n_bytes:
        return None
    # In chunks: a file may be far larger than the memory, or be all holes.
    found_crc, peak = 0, 0.0
    for first, count in spans(n_bytes // 4, _CHUNK_VALUES):
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
    metadata = None
    if "metadata" in description:
        metadata = InputMetadata.from_dict(description["metadata"])
    entry = found.inputs.setdefault(key, JournalEntry(state, run))
    if entry.state != state:  # the earlier blocks are of another state of the file
        entry = found.inputs[key] = JournalEntry(state, run)
    entry.run = run
    if block is not None:
        entry.entries[block.first_frame] = block
    if metadata is not None:
        entry.metadata = metadata


class PreviousRun(Resource):
    """The work that this run may reuse, all of it made with this run's settings.

    ``journal`` is the reusable content of the journals, ``features`` the finished output, open, or
    ``None``. Raise UsageError if either has other settings or cannot be read, and may not be
    overwritten. The work folder is locked; ``root`` is the metadata of the new output.
    """

    def __init__(
        self,
        work_dir: WorkDir,
        replayed: JournalState,
        output: OutputSettings,
        root: OutputMetadata,
    ) -> None:
        self._root = root
        self._output = output
        self.journal = replayed
        self.features: Features | None = None
        if output.resume is None or not self._is_reusable(replayed, work_dir):
            self.journal = JournalState()
            work_dir.journals.remove_all()
        if output.resume is not None and output.path.exists():
            self.features = self._finished()

    def _is_reusable(self, replayed: JournalState, work_dir: WorkDir) -> bool:
        """Whether the journals have work of the same settings."""
        if not replayed.holds_work:
            return False
        try:
            found = differences(OutputMetadata.from_dict(replayed.roots[-1]), self._root)
        except (StoredDataError, IndexError) as error:
            found = [str(error)]
        if found:
            cause = f"{quoted(work_dir.folder)} holds the work of a run with other settings"
            self._check_replaceable(cause, found)
        return not found

    def _finished(self) -> Features | None:
        """Return the finished output; ``None`` if it is to be overwritten."""
        path = self._output.path
        try:
            features = open_features(path)
        except (StoredDataError, FileNotFoundError) as error:
            if self._output.overwrite:
                return None
            cause = f"the output {quoted(path)} cannot be resumed: {error}; "
            raise UsageError(Text(cause, Argument("overwrite", True), " replaces it")) from error
        found = differences(features.root, self._root)
        if features.format != self._output.format:
            found.append(_difference("format", features.format, self._output.format))
        if not found:
            return features
        features.close()
        self._check_replaceable(f"the output {quoted(path)} was made with other settings", found)
        return None

    def _check_replaceable(self, cause: str, found: list[str]) -> None:
        """Raise UsageError with the differences unless the work may be overwritten."""
        if not self._output.overwrite:
            text = f"{cause} ({'; '.join(found)}); give those to resume it, or add "
            raise UsageError(Text(text, Argument("overwrite", True), " to replace it"))

    def close(self) -> None:
        """Close the finished output."""
        if self.features is not None:
            self.features.close()


def check_no_kept_work(work_dir: WorkDir, replayed: JournalState, output: OutputSettings) -> None:
    """Raise UsageError if an interrupted run's work may be neither used nor removed."""
    if replayed.holds_work and output.resume is None and not output.overwrite:
        raise UsageError(
            Text(
                f"{quoted(work_dir.folder)} holds the work of a run that did not reach its end "
                f"({counted(replayed.n_done, 'input')} done); ",
                Argument("resume", True),
                " goes on with it, ",
                Argument("overwrite", True),
                " starts over",
            )
        )


def differences(stored: OutputMetadata, wanted: OutputMetadata) -> list[str]:
    """Return the settings whose difference keeps two runs from sharing an output.

    Versions of libraries do not count, nor do settings that merely let more inputs pass.
    """
    before, now = settings_of(stored), settings_of(wanted)
    for name in _LENIENT:
        del before[name], now[name]
    # `verify_audio` asks for samples that were compared with their checksum.
    if stored.audio.verify_audio or not wanted.audio.verify_audio:
        del before["verify_audio"], now["verify_audio"]
    return [_difference(*one) for one in differing(before, now)]


def _difference(name: str, stored: Any, wanted: Any) -> str:
    return f"{name}: {stored!r} before, {wanted!r} now"


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each setting that both have and that differs, with both values."""
    for name in other:
        if name in one and one[name] != other[name]:
            yield name, one[name], other[name]


def settings_of(root: OutputMetadata) -> dict[str, Any]:
    """Return all settings of an output by name, its shard included."""
    return {
        **root.named,
        "dimension_scales": root.dimension_scales,
        "reference": root.reference,
        "weights": None if root.weights is None else root.weights.sha256,
        "shard": None if root.shard is None else str(root.shard),
    }
