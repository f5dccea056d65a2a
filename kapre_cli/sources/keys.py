"""Inputs, what they are called in the output, and that no two are called the same."""

import os
import re
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from kapre_cli.errors import UsageError, quoted
from kapre_cli.settings.limits import MAX_PATH_BYTES

STREAM_KEY = "stdin"

_PERCENT_CODE = re.compile("%(?=[0-9A-Fa-f]{2})")
_SHORT = 64  # characters

TOO_LONG = f"its name is longer than the {MAX_PATH_BYTES:,} bytes a path may have"


class Source(NamedTuple):
    """One input: where it is read from, and the name its features will have.

    Attributes:
        path: The path as it was given or found; ``-`` for standard input.
        key: A relative POSIX path without ``.`` and ``..``; see :func:`.keys.key_of`.
        spooled: Where the bytes of standard input are kept, if that is what it is.
    """

    path: str
    key: str
    spooled: str | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it came through standard input: only its bytes say what it is."""
        return self.spooled is not None

    @property
    def file(self) -> str:
        """The path under which its bytes are read."""
        return self.path if self.spooled is None else self.spooled

    @property
    def size(self) -> int:
        """Bytes of the file now; 0 if that cannot be told."""
        try:
            return os.path.getsize(self.file)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return 0


def is_too_long(path: str) -> bool:
    """Whether a path is longer than any that can be opened."""
    return len(os.fsencode(path)) > MAX_PATH_BYTES


@dataclass(frozen=True)
class Refusal:
    """A path that gives no input, and why."""

    path: str
    reason: str


def key_of(path: str) -> str:
    """Return a relative path as a key: POSIX, normalised, and valid UTF-8.

    Bytes that are not UTF-8 become ``%XX``, and a literal ``%`` that two hexadecimal digits
    follow becomes ``%25``. ``urllib.parse.unquote_to_bytes(key)`` undoes both exactly, so
    different paths have different keys. Nothing else is changed: two ways to write one accented
    letter stay two names.

    Raises:
        UsageError: If the path is absolute, has ``..`` in it or names nothing.

    >>> key_of("./site a//night 1.wav")
    'site a/night 1.wav'
    >>> key_of("100%.wav"), key_of("a%20b.wav")
    ('100%.wav', 'a%2520b.wav')
    """
    parts = [part for part in os.fsencode(path).split(b"/") if part not in (b"", b".")]
    if not parts or b".." in parts or os.path.isabs(path):
        raise UsageError(
            f"{quoted(path)} cannot be a key: a key is a path below a folder, without '..'; name "
            "the file itself, or a folder above it with --root"
        )
    text = b"/".join(parts).decode("utf-8", "surrogateescape")
    escaped = _PERCENT_CODE.sub("%25", text)
    # Python shows a byte 0xNN that is not UTF-8 as the lone surrogate U+DCNN.
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in escaped)


def path_of(key: str) -> str:
    """Return the relative path that a key stands for: what :func:`key_of` was given.

    Raises:
        UsageError: If it stands for none.

    >>> path_of("a%2520b.wav")
    'a%20b.wav'
    """
    path = os.fsdecode(unquote_to_bytes(key))
    if key_of(path) != key:  # an escape that hides a way out, say
        raise UsageError(f"{quoted(key)} is the key of no file")
    return path


def file_key(path: str, root: str | None) -> str:
    """Return the key of a file that is named itself; raise UsageError if it can have none."""
    if root is None:
        posix = PurePosixPath(path)
        return key_of(posix.name if posix.is_absolute() or ".." in posix.parts else path)
    above = os.path.join(root, "")
    if path.startswith(above) and ".." not in path:  # as all that are found
        relative = path[len(above) :].lstrip("/")
    else:
        relative = os.path.relpath(path, root)
    if relative == os.curdir or PurePosixPath(relative).parts[0] == os.pardir:
        raise UsageError(
            f"{quoted(path)} does not lie below the root {quoted(root)}; give --root with a "
            "folder above all inputs"
        )
    return key_of(relative)


def folder_id(folder: str) -> str | bytes:
    """Return what stands for a folder where all folders of many keys are gathered.

    It is short: a key of 2,000 parts would else take memory for the square of that.
    """
    if len(folder) <= _SHORT:
        return folder
    return sha256(folder.encode("utf-8", "surrogatepass")).digest()


def folders_above(key: str, known: Container[str | bytes]) -> Iterator[tuple[str, str | bytes]]:
    """Yield each folder that a key lies in, from the innermost on, up to the first in ``known``.

    With its :func:`folder_id`, which ``known`` has others of.
    """
    folder = key.rpartition("/")[0]
    while folder and (one := folder_id(folder)) not in known:
        yield folder, one
        folder = folder.rpartition("/")[0]


def folders_of(keys: Iterable[str]) -> set[str | bytes]:
    """Return the ``folder_id`` of every folder that keys lie in.

    >>> sorted(folders_of(["a.wav", "site/june/b.wav"]))
    ['site', 'site/june']
    """
    folders: set[str | bytes] = set()
    for key in keys:
        folders.update([one for _, one in folders_above(key, folders)])
    return folders


class Places:
    """The places that inputs have taken in the output, one after another."""

    def __init__(self) -> None:
        self._by_key: dict[str, Source] = {}
        self._below: dict[str | bytes, Source] = {}  # by folder, the first input that lies in it

    def take(self, source: Source) -> bool:
        """Give ``source`` its place; return ``False`` if it is there already, named once more.

        Raises:
            UsageError: If its place is that of another input, or a folder of one, or in one.
        """
        first = self._by_key.get(source.key)
        if first is not None:
            if os.path.realpath(first.file) == os.path.realpath(source.file):
                return False
            raise UsageError(
                f"{quoted(first.path)} and {quoted(source.path)} would both be stored as "
                f"{quoted(source.key)}; give --root with a folder above both"
            )
        folder, inside = source, self._below.get(folder_id(source.key))
        above = [*folders_above(source.key, self._below)]
        for key, _ in above:
            if key in self._by_key:
                folder, inside = self._by_key[key], source
        if inside is not None:
            raise UsageError(
                f"{quoted(folder.path)} would be stored as {quoted(folder.key)}, which is "
                f"a folder of {quoted(inside.key)} from {quoted(inside.path)}; "
                "give --root with a folder above both"
            )
        self._below.update((one, source) for _, one in above)
        self._by_key[source.key] = source
        return True


def nested(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that is a folder of another, with that other; one output cannot have both.

    >>> list(nested({"a.wav": 1, "a.wav/b.wav": 2}))
    [('a.wav', 'a.wav/b.wav')]
    """
    folders: set[str | bytes] = set()
    for key in keys:
        for folder, one in folders_above(key, folders):
            if folder in keys:
                yield folder, key
            folders.add(one)
