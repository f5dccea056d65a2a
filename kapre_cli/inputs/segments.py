"""Inputs that are segments of recordings: rows of annotation tables, and even clips."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import PurePosixPath
from typing import Any

from kapre_cli.errors import UsageError
from kapre_cli.inputs.discovery import Inputs, is_hidden
from kapre_cli.inputs.keys import KeyRegistry, RejectedPath, Segment, Source, file_key
from kapre_cli.inputs.tables import (
    TABLE_SUFFIXES,
    NoTableError,
    Row,
    given_rows,
    read_table,
)
from kapre_cli.settings import ClipSettings
from kapre_cli.text import Argument, Text, counted, quoted

_NAMED = 3  # inputs, and tables, that a note names
_MAX_LABEL = 1000  # characters of all labels of a segment

Tables = str | os.PathLike[str] | Iterable[Any]


@dataclass(frozen=True)
class Annotations:
    """The rows of annotation tables.

    Attributes:
        rows: In the order of the tables and their lines.
        rejected: Bad rows with the reasons; each counts as a failure.
        notes: Sentences on files that were skipped.
    """

    rows: tuple[Row, ...]
    rejected: tuple[RejectedPath, ...] = ()
    notes: tuple[Text | str, ...] = ()

    @property
    def tables(self) -> set[str]:
        """The paths of the tables that have rows."""
        return {row.table for row in self.rows if row.table}


def read_annotations(tables: Tables) -> Annotations:
    """Return the rows of tables, or rows that are given as values.

    ``tables`` is the path of a table, or of a folder whose files ``*.csv``, ``*.tsv`` and ``*.txt``
    are tables, or several paths, or rows ``(path, start, end[, label[, channel]])``.

    Raises:
        UsageError: If a named file is no table or cannot be read, or there is no row at all.
    """
    if isinstance(tables, (str, os.PathLike)):
        tables = [tables]
    items = list(tables)
    notes: list[Text | str] = []
    rows: list[Row] = []
    rejected: list[RejectedPath] = []
    paths = [os.fspath(one) for one in items if isinstance(one, (str, os.PathLike))]
    found: Iterator[Row | RejectedPath]
    if len(paths) == len(items):
        found = _rows_of(paths, notes)
    elif not paths:
        found = given_rows(items)
    else:
        raise UsageError("the segments are either paths of tables or rows, not both")
    for one in found:
        if isinstance(one, Row):
            rows.append(one)
        else:
            rejected.append(one)
    if not rows and not rejected:
        named = f" in {', '.join(map(quoted, paths[:_NAMED]))}" if paths else ""
        raise UsageError(f"there is no segment{named}; name a table that has rows")
    return Annotations(tuple(rows), tuple(rejected), tuple(notes))


def _rows_of(paths: Sequence[str], notes: list[Text | str]) -> Iterator[Row | RejectedPath]:
    for path in paths:
        if os.path.isdir(path):
            yield from _rows_below(path, notes)
        else:
            yield from read_table(path)


def _rows_below(folder: str, notes: list[Text | str]) -> Iterator[Row | RejectedPath]:
    """Yield the rows of the tables in a folder; a table that cannot be read is rejected."""
    skipped: list[str] = []
    n_tables = 0
    for path in _files_below(folder):
        try:
            yield from read_table(path)
        except NoTableError:
            skipped.append(path)
        except UsageError as error:
            n_tables += 1
            yield RejectedPath(path, str(error))
        else:
            n_tables += 1
    if not n_tables:
        endings = ", ".join(TABLE_SUFFIXES)
        raise UsageError(f"the folder {quoted(folder)} has no table of annotations ({endings})")
    if skipped:
        notes.append(
            f"{quoted(folder)}: skipped {counted(len(skipped), 'file')} that "
            f"{'is' if len(skipped) == 1 else 'are'} no table of annotations: {_first(skipped)}"
        )


def _files_below(folder: str) -> Iterator[str]:
    """Yield the files with the suffix of a table, those of each folder in order."""
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        for name in sorted(files):
            if name.lower().endswith(TABLE_SUFFIXES) and not is_hidden(name):
                yield os.path.join(top, name)


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


# Recordings


def recordings_of(annotations: Annotations, root: str | None = None) -> Inputs:
    """Return the recordings that rows name, in the order of first mention.

    A relative path is relative to the folder of its table. The key is the path as the row has it,
    if that is relative and has no ``..``, else its name; with ``root`` it is relative to that.

    Raises:
        UsageError: If a table names no recordings, or two recordings would have one key.
    """
    registry = KeyRegistry()
    sources: list[Source] = []
    known: set[tuple[str, str]] = set()
    for row in annotations.rows:
        folder = os.path.dirname(row.table)
        if not row.file:
            raise UsageError(
                f"the table {quoted(row.table)} names no recordings; name them as inputs"
            )
        if (folder, row.file) in known:
            continue
        known.add((folder, row.file))
        path, name = os.path.join(folder, row.file), row.file
        beside = os.path.join(folder, _parts(row.file)[-1])
        if not os.path.lexists(path) and os.path.lexists(beside):  # moved from another computer
            path, name = beside, _parts(row.file)[-1]
        source = Source(path, file_key(name if root is None else path, root))
        if registry.add(source):
            sources.append(source)
    return Inputs(tuple(sources))


class _Recordings:
    """Finds the recording that a row means among the inputs."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._by_path: dict[str, int] = {}
        self._by_key: dict[str, int] = {}
        self._by_name: defaultdict[str, list[int]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[int]] = defaultdict(list)
        self._found: dict[tuple[str, str], int | str] = {}
        for index, source in enumerate(sources):
            if not source.is_stream:
                self._by_path.setdefault(os.path.abspath(source.path), index)
            self._by_key[source.key] = index
            name = PurePosixPath(source.path if source.is_stream else source.key).name
            self._by_name[name].append(index)
            for stem in {name, PurePosixPath(name).stem}:
                self._by_stem[stem].append(index)

    def index_of(self, row: Row) -> int | str:
        """Return the number of the row's recording, or why there is none."""
        if not row.file:
            return self._of_table(row.table)
        known = os.path.dirname(row.table), row.file
        if known not in self._found:
            self._found[known] = self._of_file(*known)
        return self._found[known]

    def _of_file(self, folder: str, file: str) -> int | str:
        for path in (file, os.path.join(folder, file)):
            if (index := self._by_path.get(os.path.abspath(path))) is not None:
                return index
        if (index := self._by_key.get(file)) is not None:
            return index
        parts = _parts(file)
        alike = self._by_name.get(parts[-1], [])
        n_common = {index: _n_common(_parts(self._sources[index].key), parts) for index in alike}
        if not _is_of_another_place(file):
            n_common = {index: n for index, n in n_common.items() if n == len(parts)}
        most = max(n_common.values(), default=0)
        candidates = [index for index, n in n_common.items() if n == most]
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            return f"{quoted(file)} is none of the inputs"
        first, second = (quoted(self._sources[index].path) for index in candidates[:2])
        return f"{quoted(file)} may be {first} or {second}; write more of its path"

    def _of_table(self, table: str) -> int:
        """Return the recording of a table that names none."""
        if len(self._sources) == 1:
            return 0
        name = os.path.basename(table)
        while "." in name:
            name = name.rpartition(".")[0]
            alike = self._by_stem.get(name, [])
            beside = os.path.abspath(os.path.dirname(table))
            near = [
                i
                for i in alike
                if os.path.dirname(os.path.abspath(self._sources[i].path)) == beside
            ]
            for indices in (near, alike):
                if len(indices) == 1:
                    return indices[0]
        raise UsageError(
            f"the table {quoted(table)} names no recording, and there are {len(self._sources):,} "
            "inputs; name one input, or name the table like its recording (night.txt for night.wav)"
        )


def _parts(file: str) -> list[str]:
    """Return the parts of a path; also of a path of Windows, as Raven writes them."""
    posix = file if "/" in file else file.replace("\\", "/")
    return [part for part in posix.split("/") if part not in ("", ".")] or [file]


def _is_of_another_place(file: str) -> bool:
    """Whether only the end of a path can be compared: it is absolute, or of Windows."""
    return os.path.isabs(file) or ".." in _parts(file) or ("\\" in file and "/" not in file)


def _n_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at their ends two paths have in common."""
    number = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        number += 1
    return number


# Segments


@dataclass
class _Segments:
    """The segments of one recording, by their bounds and channel."""

    by_place: dict[tuple[float, float, int], tuple[Row, list[str]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        channel = -1 if row.channel is None else row.channel
        _, labels = self.by_place.setdefault((row.start, row.end, channel), (row, []))
        if row.label and row.label not in labels:
            labels.append(row.label)

    def sources(self, recording: Source) -> Iterator[Source | RejectedPath]:
        for place in sorted(self.by_place):
            row, labels = self.by_place[place]
            label = ";".join(labels)
            if len(label) > _MAX_LABEL:
                reason = f"the labels of this segment have more than {_MAX_LABEL:,} characters"
                yield RejectedPath(row.place, reason)
                continue
            yield recording.part(Segment(row.start, row.end, label, row.channel, row.place))


def annotated(
    inputs: Inputs,
    annotations: Annotations,
    *,
    channels: Sequence[int] | None = None,
    is_mono: bool = False,
) -> Inputs:
    """Return the segments that rows name as inputs, instead of whole recordings.

    They have the order of the recordings, then of start, end and channel. Rows of equal bounds and
    channel are one segment with all their labels, separated by semicolons.

    Args:
        inputs: The recordings.
        annotations: The rows; those that mean none of the recordings are rejected.
        channels: The channels of the run, from 0; ``None``: all of them.
        is_mono: Whether channels are averaged: those of rows are ignored then.

    Raises:
        UsageError: If a table names no recording and is not named like one.
    """
    recordings = _Recordings(inputs.sources)
    rejected = list(annotations.rejected)
    segments: defaultdict[int, _Segments] = defaultdict(_Segments)
    n_mixed = 0
    for row in annotations.rows:
        index = recordings.index_of(row)
        if isinstance(index, str):
            rejected.append(RejectedPath(row.place, index))
            continue
        if row.channel is not None and is_mono:
            n_mixed += 1
            row = row._replace(channel=None)
        if row.channel is not None and channels is not None and row.channel not in channels:
            named = ", ".join(map(str, channels))
            reason = f"its channel {row.channel} is not among those of the run ({named})"
            rejected.append(RejectedPath(row.place, reason))
            continue
        segments[index].add(row)
    sources: list[Source] = []
    for index in sorted(segments):
        for one in segments[index].sources(inputs.sources[index]):
            if isinstance(one, Source):
                sources.append(one)
            else:
                rejected.append(one)
    unnamed = [source.path for i, source in enumerate(inputs.sources) if i not in segments]
    notes = [*inputs.notes, *annotations.notes]
    if n_mixed:
        rows = "the row that names one" if n_mixed == 1 else f"{n_mixed:,} rows that name one"
        notes.append(Text(f"the channel of {rows} is ignored: ", Argument("mono", True)))
    if unnamed:
        notes.append(
            f"{counted(len(unnamed), 'input')} without a segment, left out: {_first(unnamed)}"
        )
    return replace(
        inputs,
        sources=tuple(sources),
        rejected_paths=(*inputs.rejected_paths, *rejected),
        notes=tuple(notes),
    )


# Clips


def clips_of(seconds: float, settings: ClipSettings) -> Iterator[Segment]:
    """Yield the clips of a recording of this length, in order.

    They begin at the multiples of the step. The last one ends with the recording.

    >>> settings = ClipSettings(clip=4.0, overlap=1.0)
    >>> [clip.name for clip in clips_of(8.5, settings)]
    ['0-4', '3-7', '6-8.5']
    """
    end = round(seconds, 6)
    for number in count():
        start = round(number * settings.step, 6)
        stop = min(round(start + settings.clip, 6), end)
        yield Segment(start, stop)
        if stop >= end:
            return
