"""Annotation tables: the rows of CSV files, Raven selection tables and Audacity label tracks."""

import csv
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from kapre_cli.errors import UsageError
from kapre_cli.inputs.keys import RejectedPath, is_too_long, seconds_text
from kapre_cli.inputs.lists import utf16_of
from kapre_cli.osutil import open_to_read
from kapre_cli.text import quoted

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")  # of the tables in a folder

_MAX_LINE = 2**16  # characters
_MAX_LABEL = 1000  # characters
_MAX_SECONDS = 1e9  # more than any recording has
_MIN_UTF16 = 8  # bytes that show it

_CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    name: (name,) for name in ("path", "start", "end", "label", "channel")
}
_RAVEN_COLUMNS = {
    "path": ("begin path", "begin file"),
    "start": ("begin time (s)",),
    "end": ("end time (s)",),
    "offset": ("file offset (s)",),
    "label": ("annotation", "species", "common name", "label", "tags", "class"),
    "channel": ("channel",),
}
_ACCEPTED = (
    "a header with the columns path, start and end, separated by commas, tabs or semicolons; a "
    "selection table of Raven with Begin Time (s) and End Time (s); or a label track of Audacity"
)

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_CHANNEL = re.compile(r"\d{1,9}", re.ASCII)


class NoTableError(UsageError):
    """A file that is no annotation table of any kind."""


class Row(NamedTuple):
    """A row of a table: a stretch of a recording.

    Attributes:
        place: Where it is, for messages, such as ``song.csv, line 7``.
        table: The path of the table; empty for rows that are given as values.
        file: The recording as the row names it; empty if the table names none.
        start: In seconds from the start of the recording, to a microsecond.
        end: Likewise; above ``start``.
        label: On one line; empty if there is none.
        channel: From 0; ``None`` if the row names none.
    """

    place: str
    table: str
    file: str
    start: float
    end: float
    label: str = ""
    channel: int | None = None


class _BadRowError(ValueError):
    """A row that names no stretch of a recording."""


@dataclass(frozen=True)
class _Kind:
    """How the rows of a table are written.

    Attributes:
        columns: The number of each column, by the names of this module.
        n_columns: Number of columns of the header; 0 without one.
        is_quoted: Whether cells may be in quotes.
        first_channel: The number of the first channel.
    """

    delimiter: str
    columns: dict[str, int]
    n_columns: int = 0
    is_quoted: bool = False
    first_channel: int = 0


_AUDACITY = _Kind("\t", {"start": 0, "end": 1, "label": 2})


def read_table(path: str) -> Iterator[Row | RejectedPath]:
    r"""Yield the rows of a table, in order; a bad row with its line and the reason.

    Raises:
        NoTableError: If it is none of the accepted kinds.
        UsageError: If it cannot be read, is in UTF-16 or has a line longer than a table's.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder, "song.csv")
    ...     _ = table.write_text("path,start,end,label\na.wav,0.5,2,song\n")
    ...     [row] = read_table(str(table))
    >>> row.file, row.start, row.end, row.label
    ('a.wav', 0.5, 2.0, 'song')
    """
    lines = _lines(path)
    n_before = 0
    for first in lines:
        n_before += 1
        if first.strip():
            break
    else:
        return
    kind = _kind_of(first)
    if kind is None:
        raise NoTableError(f"{quoted(path)} is no table of annotations: expected {_ACCEPTED}")
    if not kind.n_columns:
        lines, n_before = chain([first], lines), n_before - 1
    if kind.is_quoted:
        reader = csv.reader(lines, delimiter=kind.delimiter)
    else:
        reader = csv.reader(lines, delimiter=kind.delimiter, quoting=csv.QUOTE_NONE)
    place = path
    try:
        while True:
            place = f"{path}, line {n_before + reader.line_num + 1}"
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if kind is _AUDACITY and cells[0].startswith("\\"):
                continue  # the frequencies of the label before
            try:
                yield _row(cells, kind, place, path)
            except _BadRowError as error:
                yield RejectedPath(place, str(error))
    except csv.Error as error:
        raise UsageError(f"{quoted(place)}: the table cannot be read: {error}") from error


def given_rows(rows: Iterable[Sequence[Any]]) -> Iterator[Row | RejectedPath]:
    """Yield rows that are given as ``(path, start, end[, label[, channel]])``.

    >>> [row] = given_rows([("a.wav", 0.5, 2, "song")])
    >>> row.place, row.end
    ('row 1', 2.0)
    """
    for number, values in enumerate(rows, start=1):
        place = f"row {number}"
        try:
            yield _given_row(values, place)
        except _BadRowError as error:
            yield RejectedPath(place, str(error))


def _given_row(values: Sequence[Any], place: str) -> Row:
    if isinstance(values, (str, bytes)) or not 3 <= len(values) <= 5:
        raise _BadRowError(f"a row is (path, start, end[, label[, channel]]), not {values!r}")
    path, start, end = values[:3]
    label = values[3] if len(values) > 3 and values[3] is not None else ""
    channel = values[4] if len(values) > 4 else None
    if not isinstance(label, str):
        raise _BadRowError(f"its label is a text, not {label!r}")
    if channel is not None and (isinstance(channel, bool) or not hasattr(channel, "__index__")):
        raise _BadRowError(f"its channel is a whole number from 0, not {channel!r}")
    try:
        bounds = float(start), float(end)
        file = os.fspath(path)
    except (TypeError, ValueError) as error:
        raise _BadRowError(str(error)) from error
    number = None if channel is None else int(channel)
    return _checked(Row(place, "", os.fsdecode(file), *bounds, label, number))


def _lines(path: str) -> Iterator[str]:
    """Yield the lines of a text file, without reading more than one at once."""
    try:
        descriptor = open_to_read(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the table {quoted(path)} cannot be read: {reason}") from error
    # Bytes that are not UTF-8 stay apart, as in the names of files.
    with open(descriptor, encoding="utf-8-sig", errors="surrogateescape") as file:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise UsageError(f"the table {quoted(path)} is a folder")
        is_first = True
        while True:
            try:
                line = file.readline(_MAX_LINE + 1)
            except OSError as error:
                raise UsageError(
                    f"the table {quoted(path)} cannot be read: {error.strerror}"
                ) from error
            if not line:
                return
            head = line.encode("utf-8", "surrogateescape") if is_first or "\0" in line else b""
            if "\0" in line or head.startswith((b"\xff\xfe", b"\xfe\xff")):
                _reject_nul(path, head)
            if len(line) > _MAX_LINE:
                raise NoTableError(
                    f"{quoted(path)} is no table of annotations: it has a line of more than "
                    f"{_MAX_LINE:,} characters"
                )
            is_first = False
            yield line


def _reject_nul(path: str, line: bytes) -> None:
    encoding = utf16_of(line, _MIN_UTF16)
    if encoding is None:
        raise NoTableError(f"{quoted(path)} is no table of annotations: it holds NUL")
    raise UsageError(
        f"the table {quoted(path)} is in UTF-16, as Windows programs save text; save it as UTF-8, "
        f"or convert it: iconv -f {encoding} -t UTF-8"
    )


def _kind_of(line: str) -> _Kind | None:
    """Return the kind of the table with this first line; ``None`` if it is none."""
    for delimiter in "\t,;":
        header = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter))]
        columns = _columns(header, _CSV_COLUMNS)
        if {"path", "start", "end"} <= columns.keys():
            return _Kind(delimiter, columns, len(header), is_quoted=True)
    header = [cell.strip().lower() for cell in line.split("\t")]
    columns = _columns(header, _RAVEN_COLUMNS)
    if {"start", "end"} <= columns.keys():
        return _Kind("\t", columns, len(header), first_channel=1)
    numbers = (_NUMBER, _COMMA_NUMBER)
    if len(header) > 1 and all(any(one.fullmatch(cell) for one in numbers) for cell in header[:2]):
        return _AUDACITY
    return None


def _columns(header: list[str], names: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Return the numbers of the columns that a header has, the first name that is there."""
    found = {}
    for column, spellings in names.items():
        for spelling in spellings:
            if spelling in header:
                found[column] = header.index(spelling)
                break
    return found


def _row(cells: list[str], kind: _Kind, place: str, path: str) -> Row:
    if kind.n_columns and any(cell.strip() for cell in cells[kind.n_columns :]):
        raise _BadRowError(
            f"it has {len(cells)} cells, the header has {kind.n_columns}; quote a text that holds "
            f"{kind.delimiter!r}, and write numbers with a decimal point"
        )

    def cell(name: str) -> str:
        index = kind.columns.get(name, len(cells))
        return cells[index].strip() if index < len(cells) else ""

    start, end = _seconds("start", cell("start")), _seconds("end", cell("end"))
    if "offset" in kind.columns:  # from the start of the file, not of a sequence of files
        offset = _seconds("file offset", cell("offset"))
        start, end = offset, offset + (end - start)
    file = cell("path")
    if "path" in kind.columns and not file:
        raise _BadRowError("it names no recording")
    channel = _channel(cell("channel"), kind.first_channel)
    return _checked(Row(place, path, file, start, end, cell("label"), channel))


def _seconds(name: str, text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    if not text:
        raise _BadRowError(f"its {name} is empty")
    remedy = "write seconds, such as 12.5"
    if _COMMA_NUMBER.fullmatch(text):
        remedy = f"write a decimal point: {text.replace(',', '.')}"
    raise _BadRowError(f"its {name} {quoted(text)} is no number; {remedy}")


def _channel(text: str, first: int) -> int | None:
    if not text:
        return None
    if not _CHANNEL.fullmatch(text) or int(text) < first:
        raise _BadRowError(f"its channel {quoted(text)} is no whole number from {first} on")
    return int(text) - first


def _checked(row: Row) -> Row:
    """Return a row with rounded times and a label on one line, if it is valid."""
    if not (abs(row.start) <= _MAX_SECONDS and abs(row.end) <= _MAX_SECONDS):  # NaN is not
        raise _BadRowError(f"{row.start:g} s to {row.end:g} s lie in no recording")
    start, end = round(row.start, 6) + 0.0, round(row.end, 6) + 0.0  # not -0.0
    if start < 0:
        raise _BadRowError(f"it begins before the recording, at {seconds_text(start)} s")
    if end == start:
        raise _BadRowError(f"it is a point at {seconds_text(start)} s, not a stretch")
    if end < start:
        raise _BadRowError(
            f"it ends at {seconds_text(end)} s, before its start at {seconds_text(start)} s"
        )
    if row.channel is not None and row.channel < 0:
        raise _BadRowError(f"its channel {row.channel} is no whole number from 0 on")
    if "\0" in row.file or is_too_long(row.file):
        raise _BadRowError(f"{quoted(row.file)} is the name of no recording")
    label = " ".join(row.label.split())
    try:
        label.encode()
    except UnicodeEncodeError:
        raise _BadRowError(
            f"its label {quoted(label)} is not UTF-8; save the table as UTF-8"
        ) from None
    if len(label) > _MAX_LABEL:
        raise _BadRowError(f"its label has {len(label):,} characters, more than {_MAX_LABEL:,}")
    if "\0" in label:
        raise _BadRowError("its label holds NUL")
    return row._replace(start=start, end=end, label=label)
