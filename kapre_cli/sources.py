"""From paths on the command line to an ordered, duplicate-free list of inputs with their keys."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from kapre_cli.errors import UsageError, quoted
from kapre_cli.report import counted

AUDIO_SUFFIXES = (".wav", ".wave", ".flac")

_PERCENT_CODE = re.compile("%(?=[0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Source:
    """One input: where it is read from, and the name its features will have.

    Attributes:
        path: The path as it was given or found.
        key: A relative POSIX path without ``.`` and ``..``; see :func:`key_of`.
    """

    path: str
    key: str

    @property
    def size(self) -> int:
        """Bytes of the file now; 0 if that cannot be told."""
        try:
            return os.path.getsize(self.path)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return 0


@dataclass(frozen=True)
class Refusal:
    """A path that gives no input, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Inputs:
    """What a list of paths amounts to.

    Attributes:
        sources: The inputs, in the order given, directories in the order of their names.
        refusals: Paths that should have given inputs and could not; each counts as a failure.
        notes: What was passed over on purpose, in sentences.
    """

    sources: tuple[Source, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


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
        raise UsageError(f"{quoted(path)} does not name a file in a way that can be its key")
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


def discover(paths: Sequence[str], root: str | None = None) -> Inputs:
    """Return the inputs that ``paths`` name, in order: files as they are, directories walked.

    A file is taken whatever its suffix, even if it does not exist (reading it will tell). Below
    a directory every ``.wav``, ``.wave`` and ``.flac`` is taken, in any case; links to files
    are files, links to directories are not followed.

    Args:
        paths: Files and directories.
        root: The directory that all keys are relative to. ``None``: a file below a directory
            argument is keyed relative to that argument; a file argument by its path as given,
            or by its name if that path is absolute or has ``..`` in it.

    Raises:
        UsageError: If two inputs have one key, or one key is a directory of another, or an
            input lies outside ``root``, or ``root`` is no directory, or a path names nothing.
    """
    sources: list[Source] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    if root is not None and not os.path.isdir(root):
        raise UsageError(f"the root {quoted(root)} is not a folder")
    for path in paths:
        if not path:
            raise UsageError("an input is named by an empty path")
        if "\0" in path:
            raise UsageError(f"the input {quoted(path)} has a NUL in its name, which no file has")
        if not os.path.isdir(path):
            sources.append(Source(path, _file_key(path, root)))
            continue
        walk = _Walk(path)
        sources += [Source(found, _found_key(found, path, root)) for found in walk]
        refusals += walk.refusals
        notes += walk.notes()
    return Inputs(tuple(_without_collisions(sources)), tuple(refusals), tuple(notes))


class _Walk:
    """The audio files below one directory, and what was passed over on the way."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.refusals: list[Refusal] = []
        self._links: list[str] = []
        self._apple_doubles = 0
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        found = False
        # A stack of our own: paths may be longer than Python's recursion is deep.
        folders = [self.top]
        while folders:
            folder = folders.pop()
            subfolders: list[str] = []
            for entry in self._entries(folder):
                if _leads_to_folder(entry):
                    (self._links if entry.is_symlink() else subfolders).append(entry.path)
                elif self._is_audio(entry.name):
                    found = True
                    yield entry.path
            folders += reversed(subfolders)
        if not found and not self.refusals:
            self.refusals.append(
                Refusal(self.top, f"holds no audio: no file ends in {', '.join(AUDIO_SUFFIXES)}")
            )

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            self.refusals.append(Refusal(folder, reason))
            return []

    def _is_audio(self, name: str) -> bool:
        if not name.lower().endswith(AUDIO_SUFFIXES):
            self._others[os.path.splitext(name)[1].lower()] += 1
            return False
        if name.startswith("._"):
            self._apple_doubles += 1
            return False
        return True

    def notes(self) -> Iterator[str]:
        """Say in sentences what was passed over, once the walk has ended."""
        place = quoted(self.top)
        for link in self._links:
            yield (
                f"{quoted(link)} is a link to a folder and was not followed; "
                "name it as an input to have it read"
            )
        if self._apple_doubles:
            yield f"{place}: passed over {counted(self._apple_doubles, 'AppleDouble file')} (._*)"
        if self._others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in self._others.most_common(5)
            )
            more = ", ..." if len(self._others) > 5 else ""
            yield (
                f"{place}: passed over {counted(self._others.total(), 'file')} "
                f"with another ending than {', '.join(AUDIO_SUFFIXES)} ({kinds}{more})"
            )


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, say: reading it as a file will tell
        return False


def _file_key(path: str, root: str | None) -> str:
    if root is not None:
        return _key_below(path, root)
    posix = PurePosixPath(path)
    return key_of(posix.name if posix.is_absolute() or ".." in posix.parts else path)


def _found_key(path: str, top: str, root: str | None) -> str:
    return _key_below(path, root) if root is not None else key_of(os.path.relpath(path, top))


def _key_below(path: str, root: str) -> str:
    relative = os.path.relpath(path, root)
    if relative == os.curdir or PurePosixPath(relative).parts[0] == os.pardir:
        raise UsageError(f"{quoted(path)} does not lie below the root {quoted(root)}")
    return key_of(relative)


def _without_collisions(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield each input once; refuse different inputs that claim one place in the output."""
    by_key: dict[str, Source] = {}
    for source in sources:
        first = by_key.setdefault(source.key, source)
        if first is source:
            continue
        if os.path.realpath(first.path) != os.path.realpath(source.path):
            raise UsageError(
                f"{quoted(first.path)} and {quoted(source.path)} would both be stored as "
                f"{quoted(source.key)}; give --root with a folder above both"
            )
    for folder, key in nested(by_key):
        raise UsageError(
            f"{quoted(by_key[folder].path)} would be stored as {quoted(folder)}, which is "
            f"a folder of {quoted(key)} from {quoted(by_key[key].path)}; "
            "give --root with a folder above both"
        )
    yield from by_key.values()


def nested(keys: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each key that is a folder of another, with that other; one output cannot have both.

    >>> list(nested({"a.wav": 1, "a.wav/b.wav": 2}))
    [('a.wav', 'a.wav/b.wav')]
    """
    folders: set[str] = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            if folder in keys:
                yield folder, key
            folders.add(folder)
            folder = folder.rpartition("/")[0]
