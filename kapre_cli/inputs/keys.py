"""Inputs and their keys: unique names in the output."""

import os
import re
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from kapre_cli.errors import UsageError
from kapre_cli.settings.checks import MAX_PATH_BYTES
from kapre_cli.text import Argument, Text, quoted

STREAM = "-"  # as an input or a list: standard input
STREAM_KEY = "stdin"

Item = TypeVar("Item")

_PERCENT_CODE = re.compile("%(?=[0-9A-Fa-f]{2})")
_ROOT_ABOVE = ("; give ", Argument("root"), " with a folder above both")
_MAX_ID_CHARACTERS = 64

TOO_LONG = f"its name is longer than the {MAX_PATH_BYTES:,} bytes a path may have"


class Segment(NamedTuple):
    """A stretch of a recording that is an input of its own.

    Attributes:
        start: Where it begins, in seconds from the start of the recording, to a microsecond.
        end: Where it ends, likewise; above ``start``.
        label: What it is called; empty if it has no label.
        channel: The only channel of the file that it is about, from 0; ``None``: it has the
            channels of the run.
        row: Where it is named, for messages, such as ``song.csv, line 7``; empty for a clip.
    """

    start: float
    end: float
    label: str = ""
    channel: int | None = None
    row: str = ""

    @property
    def place(self) -> tuple[float, float, int | None]:
        """Bounds and channel: what distinguishes it from other segments of its recording."""
        return self.start, self.end, self.channel

    @property
    def name(self) -> str:
        """What follows the recording's key in the key of the segment.

        >>> Segment(12.5, 14.25).name, Segment(0.0, 0.1, channel=1).name
        ('12.5-14.25', '0-0.1 channel 1')
        """
        channel = "" if self.channel is None else f" channel {self.channel}"
        return f"{seconds_text(self.start)}-{seconds_text(self.end)}{channel}"

    def __str__(self) -> str:
        stretch = f"{seconds_text(self.start)} s to {seconds_text(self.end)} s"
        return f"{stretch} ({self.row})" if self.row else stretch


def seconds_text(seconds: float) -> str:
    """Return a number of seconds with up to 6 decimals.

    >>> seconds_text(12.50), seconds_text(100.0), seconds_text(0.0000014)
    ('12.5', '100', '0.000001')
    """
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


def recording_of(key: str, *, is_segment: bool) -> str:
    """Return the key of the recording that an input is, or is a segment of.

    >>> recording_of("site a/frogs.wav/12.5-14.25", is_segment=True)
    'site a/frogs.wav'
    """
    return key.rpartition("/")[0] if is_segment else key


class Source(NamedTuple):
    """One input: where it is read from, and its key.

    Attributes:
        path: The path as it was given or found; ``-`` for standard input.
        key: A relative POSIX path without ``.`` and ``..``; see :func:`.keys.key_of`. That of a
            segment is the recording's, a slash and the segment's name.
        spooled: The file with the bytes of standard input; ``None`` for other inputs.
        segment: The stretch of the recording that is the input; ``None``: all of it.
    """

    path: str
    key: str
    spooled: str | None = None
    segment: Segment | None = None

    @property
    def amount(self) -> int:
        """How much is to be computed, for estimates: bytes, of a segment microseconds."""
        if self.segment is None:
            return self.size
        return round(1e6 * (self.segment.end - self.segment.start))

    def part(self, segment: Segment) -> "Source":
        """Return the input that is a segment of this recording."""
        return self._replace(key=f"{self.key}/{segment.name}", segment=segment)

    def is_beside(self, other: "Source | None") -> bool:
        """Whether both are segments of one recording, which is then read once for both."""
        if self.segment is None or other is None or other.segment is None:
            return False
        return self.file == other.file

    @property
    def is_stream(self) -> bool:
        """Whether the input is standard input, which only its bytes identify."""
        return self.spooled is not None

    @property
    def file(self) -> str:
        """The path under which the input's bytes are read."""
        return self.path if self.spooled is None else self.spooled

    @property
    def size(self) -> int:
        """Current size of the file in bytes; 0 if it is unknown."""
        try:
            return os.path.getsize(self.file)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return 0


def grouped(items: Iterable[Item], source_of: Callable[[Item], Source]) -> Iterator[list[Item]]:
    """Yield neighbours that are segments of one recording together, others each alone."""
    group: list[Item] = []
    for item in items:
        if group and not source_of(item).is_beside(source_of(group[-1])):
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def is_too_long(path: str) -> bool:
    """Whether a path is too long to be opened."""
    return len(os.fsencode(path)) > MAX_PATH_BYTES


@dataclass(frozen=True)
class RejectedPath:
    """A rejected path and the reason."""

    path: str
    reason: Text | str


def key_of(path: str) -> str:
    """Return the key of a relative path.

    Raise UsageError if the path is absolute, has ``..`` or is empty. A key is POSIX, normalised and
    valid UTF-8. Bytes that are not UTF-8 become ``%XX``, and a literal ``%`` that two hexadecimal
    digits follow becomes ``%25``. ``urllib.parse.unquote_to_bytes(key)`` undoes both exactly, so
    different paths have different keys. Nothing else is changed: two ways to write one accented
    letter stay two names.

    >>> key_of("./site a//night 1.wav")
    'site a/night 1.wav'
    >>> key_of("100%.wav"), key_of("a%20b.wav")
    ('100%.wav', 'a%2520b.wav')
    """
    parts = [part for part in os.fsencode(path).split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts or os.path.isabs(path):
        raise UsageError(
            Text(
                f"{quoted(path)} cannot be a key: a key is a path below a folder, without '..'; "
                "name the file itself, or a folder above it with ",
                Argument("root"),
            )
        )
    text = b"/".join(parts).decode("utf-8", "surrogateescape")
    escaped = _PERCENT_CODE.sub("%25", text)
    # Python shows a byte 0xNN that is not UTF-8 as the lone surrogate U+DCNN.
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in escaped)


def path_of(key: str) -> str:
    """Return the path that :func:`key_of` turns into a key; raise UsageError if none.

    >>> path_of("a%2520b.wav")
    'a%20b.wav'
    """
    path = os.fsdecode(unquote_to_bytes(key))
    if key_of(path) != key:  # for instance an escape that hides a '..'
        raise UsageError(f"{quoted(key)} is the key of no file")
    return path


def file_key(path: str, root: str | None) -> str:
    """Return the key of a file's path; raise UsageError if it can have none."""
    if root is None:
        posix = PurePosixPath(path)
        return key_of(posix.name if posix.is_absolute() or ".." in posix.parts else path)
    above = os.path.join(root, "")
    if path.startswith(above) and ".." not in path:  # as for all files found by a walk
        relative = path[len(above) :].lstrip("/")
    else:
        relative = os.path.relpath(path, root)
    if relative == os.curdir or PurePosixPath(relative).parts[0] == os.pardir:
        raise UsageError(
            Text(
                f"{quoted(path)} does not lie below the root {quoted(root)}; give ",
                Argument("root"),
                " with a folder above all inputs",
            )
        )
    return key_of(relative)


def folder_id(folder: str) -> str | bytes:
    """Return a short identifier of a folder, for sets of all folders of many keys.

    Whole paths would take memory for the square of a key's 2,000 parts.
    """
    if len(folder) <= _MAX_ID_CHARACTERS:
        return folder
    return sha256(folder.encode("utf-8", "surrogatepass")).digest()


def folders_above(key: str, known: Container[str | bytes]) -> Iterator[tuple[str, str | bytes]]:
    """Yield the folders above a key and their ids, innermost first, to a known one."""
    folder = key.rpartition("/")[0]
    while folder and (identifier := folder_id(folder)) not in known:
        yield folder, identifier
        folder = folder.rpartition("/")[0]


def folders_of(keys: Iterable[str]) -> set[str | bytes]:
    """Return the ``folder_id`` of every folder that keys lie in.

    >>> sorted(folders_of(["a.wav", "site/june/b.wav"]))
    ['site', 'site/june']
    """
    folders: set[str | bytes] = set()
    for key in keys:
        folders.update([identifier for _, identifier in folders_above(key, folders)])
    return folders


class KeyRegistry:
    """The keys of an output, claimed by one input after another."""

    def __init__(self) -> None:
        self._by_key: dict[str, Source] = {}
        self._below: dict[str | bytes, Source] = {}  # the first input in each folder

    def add(self, source: Source) -> bool:
        """Claim the key of ``source``; return ``False`` if the same file has it already.

        Raise UsageError if another file has the key, or one of the keys is a folder of the other.
        """
        first = self._by_key.get(source.key)
        if first is not None:
            if os.path.realpath(first.file) == os.path.realpath(source.file):
                return False
            raise UsageError(
                Text(
                    f"{quoted(first.path)} and {quoted(source.path)} would both be stored as "
                    f"{quoted(source.key)}",
                    *_ROOT_ABOVE,
                )
            )
        folder, inside = source, self._below.get(folder_id(source.key))
        above = [*folders_above(source.key, self._below)]
        for key, _ in above:
            if key in self._by_key:
                folder, inside = self._by_key[key], source
        if inside is not None:
            raise UsageError(
                Text(
                    f"{quoted(folder.path)} would be stored as {quoted(folder.key)}, which is "
                    f"a folder of {quoted(inside.key)} from {quoted(inside.path)}",
                    *_ROOT_ABOVE,
                )
            )
        self._below.update((identifier, source) for _, identifier in above)
        self._by_key[source.key] = source
        return True


def prefix_conflicts(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that is a folder of another key, with the other.

    One output cannot have both.

    >>> list(prefix_conflicts({"a.wav": 1, "a.wav/b.wav": 2}))
    [('a.wav', 'a.wav/b.wav')]
    """
    folders: set[str | bytes] = set()
    for key in keys:
        for folder, identifier in folders_above(key, folders):
            if folder in keys:
                yield folder, key
            folders.add(identifier)
