"""Several outputs put together into one, which is what one run would have written."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from kapre_cli.errors import StoredDataError, UsageError, quoted
from kapre_cli.outcomes import Known
from kapre_cli.report import SILENT, Progress, Report, counted
from kapre_cli.settings import OutputSettings
from kapre_cli.sources import Source
from kapre_cli.storage.admission import check_output, require_not_in_work
from kapre_cli.storage.existing import existing_output, is_something
from kapre_cli.storage.features import open_features, require_written
from kapre_cli.storage.formats import open_writer
from kapre_cli.storage.journals import replay
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.parts import (
    Part,
    in_order,
    require_alike,
    require_complete,
    require_distinct,
)
from kapre_cli.storage.soundness import frequencies
from kapre_cli.storage.work_dir import WorkDir, signals_deferred
from kapre_cli.storage.writers import FeatureWriter

Written = list[tuple[str, InputFacts]]


def merge(
    output: OutputSettings,
    inputs: Sequence[Path],
    report: Report,
    progress: Progress = SILENT,
    *,
    allow_missing: bool = False,
) -> None:
    """Put outputs of one layer and the same settings together into one.

    Shards of one list of inputs come in the order of that list, everything else in the order in
    which it is given. Arrays are copied, compressed ones as they are, and held against their
    checksums. The new output appears whole or not at all.

    Args:
        output: Where it goes. How it is stored is decided by the inputs, but for its format.
        inputs: The outputs to put together.
        report: Told of every array that is in the new output.
        progress: Told how far the work has come.
        allow_missing: Go on though shards are missing.

    Raises:
        UsageError: If the inputs do not go together, or the output is refused.
        StoredDataError: If an input is not sound; what stood at the output is unchanged then.
        OutputError: If the output cannot be written; likewise.
    """
    _require_other(output.path, inputs)
    require_not_in_work(output.path, inputs)
    parts = in_order([Part.look(path) for path in inputs])
    require_alike(parts)
    if not allow_missing:
        require_complete(parts)
    require_distinct(parts)
    root = _root(parts, output, report)
    output = replace(
        output,
        dtype=root.dtype,
        compression=root.compression,
        dimension_scales=root.dimension_scales,
    )
    sources = [Source(str(part.path), key) for part in parts for key in part.keys]
    if output.format == "npy" and not sources:
        raise UsageError(
            f"the inputs hold no array for {quoted(output.path)}; name a folder or a .h5 file"
        )
    _require_nothing_lost(output.path, parts, unreadable=True)
    check_output(output, sources, resumable=False)
    with WorkDir(output) as work_dir:
        replayed = replay(work_dir.journals)
        work_dir.keep = replayed.holds_work
        existing = existing_output(output, resumable=False)
        _require_nothing_lost(output.path, parts)
        if replayed.holds_work:
            raise UsageError(
                f"{quoted(work_dir.folder)} holds the work of a run that did not reach its end "
                f"({counted(replayed.n_done, 'input')} done); go on with it by its own command "
                "with --resume, or name another output"
            )
        if work_dir.note is not None:
            report.say(f"note: {work_dir.note}")
        progress.writing(len(sources))
        frequency = frequencies(root.layer, root.audio.sr)
        with open_writer(output, work_dir.staging, root, frequency) as writer:
            written = _copied(parts, writer, progress)
            writer.finish()
            require_written(work_dir.staging, root, written, progress, writer.read_back)
        with signals_deferred():
            try:
                work_dir.publish(existing)
            finally:
                if work_dir.published:
                    _count(written, report)
            work_dir.close()


def _require_other(path: Path, inputs: Sequence[Path]) -> None:
    if path.exists() and any(one.exists() and one.samefile(path) for one in inputs):
        raise UsageError(f"the output {quoted(path)} is one of the inputs; name another output")


def _require_nothing_lost(path: Path, parts: Sequence[Part], *, unreadable: bool = False) -> None:
    """Refuse to replace an output by one that lacks some of its arrays.

    Naming the output among the inputs, or a shard in the output's place, must lose nothing. Two
    sites may have recordings of one name: an array is there if it is of the same recording.

    Args:
        path: Where the new output goes.
        parts: What it will be put together of.
        unreadable: Whether to let pass what cannot be read: other checks say more of it.

    Raises:
        UsageError: If an array would be lost, or if what stands there cannot be read.
    """
    if not is_something(path) or (path.is_file() and path.stat().st_size == 0):
        return
    held = dict(chain.from_iterable(map(_recordings, parts)))
    try:
        with open_features(path) as features:
            lost = [key for key, facts in features.facts() if held.get(key) != facts.sha256]
    except StoredDataError as error:
        if unreadable:
            return
        raise UsageError(
            f"the output {quoted(path)} exists and cannot be read, so nothing tells what would be "
            f"lost ({error}); move it away, or name another output"
        ) from error
    if lost:
        other = " of another recording" if lost[0] in held else ""
        raise UsageError(
            f"the output {quoted(path)} holds {counted(len(lost), 'array')} that none of the "
            f"inputs has ({quoted(lost[0])}{other}{', ...' if len(lost) > 1 else ''}); merge "
            "replaces no output that would lose some: name another output, or move it away"
        )


def _recordings(part: Part) -> Iterator[tuple[str, str]]:
    """Yield the key and the SHA-256 of each recording that a part holds the array of."""
    with part.open() as features:
        for key, facts in features.facts():
            yield key, facts.sha256


def _root(parts: Sequence[Part], output: OutputSettings, report: Report) -> RootFacts:
    """Return the facts of the new output: those that all parts have, and all their versions."""
    root = parts[0].root
    versions = _versions([part for part in parts if part.keys] or parts)
    several = [f"{name} {found}" for name, found in versions.items() if ", " in found]
    if several:
        report.say(
            "note: not all arrays were computed with the same versions "
            f"({'; '.join(several)}); the output names them all"
        )
    is_hdf5 = output.format == "hdf5"
    return replace(
        root,
        versions=versions,
        compression=root.compression if is_hdf5 else "none",
        dimension_scales=is_hdf5 and (output.dimension_scales or root.dimension_scales),
        shard=None,
    )


def _versions(parts: Sequence[Part]) -> dict[str, str]:
    """Return every version of every library that any part was computed with."""
    versions: dict[str, str] = {}
    for part in parts:
        for name, found in part.root.versions.items():
            known = versions.get(name, found).split(", ")
            versions[name] = ", ".join(dict.fromkeys((*known, *found.split(", "))))
    return versions


def _copied(parts: Sequence[Part], writer: FeatureWriter, progress: Progress) -> Written:
    """Copy all arrays; return what was written."""
    written: Written = []
    dtype = np.dtype(writer.root.dtype).newbyteorder("<")
    for part in parts:
        with part.open() as features:
            for stored in map(features.__getitem__, part.keys):
                if stored.dtype != dtype:
                    raise StoredDataError(
                        f"{quoted(stored.key)} is of {stored.dtype}, its output says "
                        f"{writer.root.dtype}"
                    )
                facts = writer.copy(stored)
                written.append((stored.key, facts))
                progress.wrote(facts.seconds)
    return written


def _count(written: Written, report: Report) -> None:
    report.is_there = True
    for key, facts in written:
        report.written(facts.source, Known(key, seconds=facts.seconds))
