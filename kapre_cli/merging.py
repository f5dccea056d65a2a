"""Merge several outputs into the one that a single run would have written."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.events import InputResult, Note, Observer, PhaseInputEnded, PhaseStarted
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.opening import check_written, open_features
from kapre_cli.formats.writer import FeatureWriter
from kapre_cli.inputs import Source, prefix_conflicts
from kapre_cli.outputs.existing import existing_output, is_occupied
from kapre_cli.outputs.publishing import PARTIAL_SUFFIX
from kapre_cli.outputs.validation import check_not_in_work_folder, validate_output
from kapre_cli.resume.previous_run import differing, replay, settings_of
from kapre_cli.resume.work_dir import WorkDir, signals_ignored
from kapre_cli.run_result import RunResult
from kapre_cli.settings import OutputSettings, Shard
from kapre_cli.settings.formats import check_stores_weights
from kapre_cli.text import Argument, Text, counted, quoted

_NAMED = 3  # of many


@dataclass(frozen=True)
class _Part:
    """One of the outputs to merge, as it was when first opened.

    It is closed again: a process may open fewer files at once than there are outputs.
    """

    path: Path
    root: OutputMetadata
    keys: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "_Part":
        with _opened(path) as features:
            return cls(path, features.root, tuple(features))

    @contextmanager
    def open(self) -> Iterator[Features]:
        """Open the output; raise StoredDataError if it has changed."""
        with _opened(self.path) as features:
            try:
                if features.root != self.root or tuple(features) != self.keys:
                    raise StoredDataError(
                        "it was changed while it was read; merge again when no run writes to it"
                    )
                yield features
            except StoredDataError as error:
                raise StoredDataError(f"{quoted(self.path)} cannot be merged: {error}") from error


def _opened(path: Path) -> Features:
    if path.name.endswith(PARTIAL_SUFFIX) and path.is_dir():
        raise UsageError(
            f"{quoted(path)} is the work of a run that has not ended; wait for it, or resume it"
        )
    try:
        return open_features(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no output {quoted(path)}") from error


def merge(
    output: OutputSettings,
    inputs: Sequence[Path],
    result: RunResult,
    *,
    allow_missing: bool = False,
) -> None:
    """Merge outputs of one layer and the same settings into one.

    Shards of one list of inputs are put in the order of that list, all other outputs in the order
    given. Arrays are copied, compressed ones as they are, and compared with their checksums. The
    new output appears complete or not at all. Of its settings, ``output`` decides only the format,
    the inputs decide the others. With ``allow_missing``, shards may be missing.

    Raises:
        UsageError: If the inputs do not go together, or the output is rejected.
        StoredDataError: If an input is damaged; an older output is unchanged then.
        OutputError: If the output cannot be written; likewise.
    """
    _check_not_an_input(output.path, inputs)
    check_not_in_work_folder(output.path, inputs)
    parts = _in_order([_Part.read(path) for path in inputs])
    _check_same_settings(parts)
    if not allow_missing:
        _check_complete(parts)
    _check_distinct_keys(parts)
    root = _root(parts, output, result)
    output = replace(
        output,
        dtype=root.dtype,
        compression=root.compression,
        dimension_scales=root.dimension_scales,
    )
    sources = [Source(str(part.path), key) for part in parts for key in part.keys]
    if not output.file_format.holds_many and not sources:
        raise UsageError(
            f"the inputs have no array for {quoted(output.path)}; name a folder or a .h5 file"
        )
    _check_nothing_lost(output.path, parts, unreadable=True)
    validate_output(output, sources, resumable=False)
    with WorkDir(output) as work_dir:
        replayed = replay(work_dir.journals)
        work_dir.keeps_journals = replayed.holds_work
        existing = existing_output(output, resumable=False)
        _check_nothing_lost(output.path, parts)
        if replayed.holds_work:
            raise UsageError(
                f"{quoted(work_dir.folder)} holds the work of a run that did not reach its end "
                f"({counted(replayed.n_done, 'input')} done); resume that run, or name another "
                "output"
            )
        if work_dir.note is not None:
            result.emit(Note(work_dir.note))
        result.emit(PhaseStarted("writing", len(sources)))
        with output.file_format.writer_class()(work_dir.staging, root) as writer:
            _copy(parts, writer, result.emit)
            writer.finish()
            check_written(writer, result.emit)
        with signals_ignored():
            try:
                work_dir.publish(existing)
            finally:
                if work_dir.published:
                    result.output = output.path
                    for key, metadata in zip(writer.keys, writer.metadata, strict=True):
                        result.written(metadata.source, InputResult(key, seconds=metadata.seconds))
            work_dir.close()


def _in_order(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts as given, but shards in the order of their list; reject duplicates."""
    ordered = list(parts)
    for shards in _lists(parts):
        by_index: dict[int, _Part] = {}
        for position, shard in shards:
            part = parts[position]
            other = by_index.setdefault(shard.index, part)
            if other is not part:
                raise UsageError(
                    f"{quoted(other.path)} and {quoted(part.path)} are both shard {shard} "
                    "of one list of inputs; leave one of them out"
                )
        for (position, _), index in zip(shards, sorted(by_index), strict=True):
            ordered[position] = by_index[index]
    return ordered


def _check_same_settings(parts: Sequence[_Part]) -> None:
    """Raise UsageError for parts of different settings."""
    first = parts[0]
    for part in parts[1:]:
        actual, expected = settings_of(part.root), settings_of(first.root)
        del actual["shard"], expected["shard"]
        found = [f"{name}: {a!r}, not {b!r}" for name, a, b in differing(actual, expected)]
        if found:
            raise UsageError(
                f"{quoted(part.path)} was made with other settings than {quoted(first.path)} "
                f"({'; '.join(found)}); one output has one layer and one set of settings"
            )


def _check_complete(parts: Sequence[_Part]) -> None:
    for shards in _lists(parts):
        position, shard = shards[0]
        missing = sorted({*range(1, shard.of + 1)} - {one.index for _, one in shards})
        if not missing:
            continue
        named = ", ".join(f"{index}/{shard.of}" for index in missing[:_NAMED])
        more = ", ..." if len(missing) > _NAMED else ""
        raise UsageError(
            Text(
                f"{counted(len(missing), 'shard')} of the list of inputs of "
                f"{quoted(parts[position].path)} {'is' if len(missing) == 1 else 'are'} missing: "
                f"{named}{more}{_other_list(parts, shard, missing)}; ",
                Argument("allow_missing", True),
                " merges the others",
            )
        )


def _check_distinct_keys(parts: Sequence[_Part]) -> None:
    """Raise UsageError if two parts have one key, or one key is a folder of another."""
    owners: dict[str, _Part] = {}
    for part in parts:
        for key in part.keys:
            other = owners.setdefault(key, part)
            if other is not part:
                raise UsageError(
                    Text(
                        f"{quoted(other.path)} and {quoted(part.path)} both have an array "
                        f"{quoted(key)}; leave one of them out, or extract with ",
                        Argument("root"),
                        " so that inputs have names of their own",
                    )
                )
    for folder, key in prefix_conflicts(owners):
        raise UsageError(
            f"{quoted(folder)} in {quoted(owners[folder].path)} is a folder of {quoted(key)} in "
            f"{quoted(owners[key].path)}; one output cannot have both"
        )


def _lists(parts: Sequence[_Part]) -> Collection[list[tuple[int, Shard]]]:
    """Group the shards, with their positions, by list of inputs."""
    lists: dict[tuple[int, str], list[tuple[int, Shard]]] = {}
    for position, part in enumerate(parts):
        if (shard := part.root.shard) is not None:
            lists.setdefault((shard.of, shard.inputs), []).append((position, shard))
    return lists.values()


def _other_list(parts: Sequence[_Part], shard: Shard, missing: Sequence[int]) -> str:
    """Return a hint at a shard with a missing number, but of another list of inputs."""
    for part in parts:
        other = part.root.shard
        if other is not None and (other.of, other.index) == (shard.of, missing[0]):
            return (
                f" ({quoted(part.path)} is {other} of another list: inputs were added, removed or "
                "changed between the runs; resuming each run brings its shard up to date)"
            )
    return ""


def _check_not_an_input(path: Path, inputs: Sequence[Path]) -> None:
    if path.exists() and any(one.exists() and one.samefile(path) for one in inputs):
        raise UsageError(f"the output {quoted(path)} is one of the inputs; name another output")


def _check_nothing_lost(path: Path, parts: Sequence[_Part], *, unreadable: bool = False) -> None:
    """Raise UsageError if an output would be replaced by one that lacks its arrays.

    Naming the output among the inputs, or a shard as the output, must lose nothing. Two sites may
    have recordings of one name: the SHA-256 of the recordings is compared too. With ``unreadable``,
    an output that cannot be read is accepted: other checks have better messages.
    """
    if not is_occupied(path) or (path.is_file() and path.stat().st_size == 0):
        return
    sha256: dict[str, str] = {}
    for part in parts:
        with part.open() as features:
            sha256.update((key, metadata.sha256) for key, metadata in features.metadata())
    try:
        with open_features(path) as features:
            metadata = features.metadata()
            lost = [key for key, one in metadata if sha256.get(key) != one.sha256]
    except StoredDataError as error:
        if unreadable:
            return
        raise UsageError(
            f"the output {quoted(path)} exists and cannot be read, so its arrays might be "
            f"lost ({error}); move it away, or name another output"
        ) from error
    if lost:
        other = " of another recording" if lost[0] in sha256 else ""
        raise UsageError(
            f"the output {quoted(path)} has {counted(len(lost), 'array')} that none of the "
            f"inputs has ({quoted(lost[0])}{other}{', ...' if len(lost) > 1 else ''}); merge "
            "replaces no output that would lose some: name another output, or move it away"
        )


def _root(parts: Sequence[_Part], output: OutputSettings, result: RunResult) -> OutputMetadata:
    """Return the metadata that all parts share, with the versions of all of them."""
    with parts[0].open() as features:
        root = replace(features.root, weights=features.weights)
    if root.weights is not None:
        check_stores_weights(output.file_format)
    versions = _versions([part for part in parts if part.keys] or parts)
    several = [f"{name} {found}" for name, found in versions.items() if ", " in found]
    if several:
        result.emit(
            Note(
                "not all arrays were computed with the same versions "
                f"({'; '.join(several)}); the output names them all"
            )
        )
    format_ = output.file_format
    scales = output.dimension_scales or root.dimension_scales
    return replace(
        root,
        versions=versions,
        compression=root.compression if root.compression in format_.compressions else "none",
        dimension_scales=format_.has_dimension_scales and scales,
        shard=None,
    )


def _versions(parts: Sequence[_Part]) -> dict[str, str]:
    """Return every version of every library of any part."""
    versions: dict[str, str] = {}
    for part in parts:
        for name, found in part.root.versions.items():
            known = versions.get(name, found).split(", ")
            versions[name] = ", ".join(dict.fromkeys((*known, *found.split(", "))))
    return versions


def _copy(parts: Sequence[_Part], writer: FeatureWriter, emit: Observer) -> None:
    dtype = np.dtype(writer.root.dtype).newbyteorder("<")
    for part in parts:
        with part.open() as features:
            for stored in map(features.__getitem__, part.keys):
                if stored.dtype != dtype:
                    raise StoredDataError(
                        f"{quoted(stored.key)} is of {stored.dtype}, its output's metadata has "
                        f"{writer.root.dtype}"
                    )
                emit(PhaseInputEnded(writer.copy(stored).seconds))
