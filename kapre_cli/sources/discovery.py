"""From paths on the command line to an ordered, duplicate-free list of inputs with their keys."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import filterfalse

from kapre_cli.errors import UsageError, quoted
from kapre_cli.report import counted
from kapre_cli.sources.keys import STREAM_KEY, Places, file_key
from kapre_cli.sources.lists import STREAM
from kapre_cli.sources.source import TOO_LONG, Refusal, Source, is_too_long
from kapre_cli.sources.walk import Walk

_NAMED = 3  # folders of a list that are named in the note of it


@dataclass(frozen=True)
class Inputs:
    """What a list of paths amounts to.

    Attributes:
        sources: The inputs, in the order given, directories in the order of their names.
        refusals: Paths that should have given inputs and could not; each counts as a failure.
        notes: What was skipped on purpose, in sentences.
    """

    sources: tuple[Source, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """How many inputs there are, refused ones included."""
        return len(self.sources) + len(self.refusals)


def discover(
    paths: Iterable[str],
    root: str | None = None,
    *,
    spooled: str | None = None,
    listed: Iterable[str] = (),
    hidden: bool = False,
) -> Inputs:
    """Return the inputs that ``paths`` name, in order: files as they are, directories walked.

    A file is taken whatever its suffix, even if it does not exist (reading it will tell). Below
    a directory every ``.wav``, ``.wave`` and ``.flac`` is taken, in any case, unless it or a
    directory on the way to it is hidden; links to files are files, links to directories are not
    followed.

    Args:
        paths: Files and directories.
        root: The directory that all keys are relative to. ``None``: a file below a directory
            argument is keyed relative to that argument; a file argument by its path as given,
            or by its name if that path is absolute or has ``..`` in it.
        spooled: Where the bytes of standard input are found, which ``-`` stands for. ``None``:
            ``-`` is a name like any other.
        listed: Files that a list names, behind those of ``paths``; directories among them are
            skipped.
        hidden: Whether what is hidden below directories is taken, too.

    Raises:
        UsageError: If two inputs have one key, or one key is a directory of another, or an
            input lies outside ``root``, or ``root`` is no directory, or a path names nothing.
    """
    sources: list[Source] = []
    refusals: list[Refusal] = []
    notes: list[str] = []
    if root is not None and not os.path.isdir(root):
        raise UsageError(
            f"the root {quoted(root)} is not a folder; --root names one above all inputs"
        )
    for path in paths:
        if spooled is not None and path == STREAM:
            sources.append(Source(path, STREAM_KEY, spooled))
            continue
        if not os.path.isdir(_possible(path)):
            sources += _named([path], partial(file_key, root=root), refusals)
            continue
        walk = Walk(path, hidden=hidden)
        sources += _named(walk, partial(file_key, root=path if root is None else root), refusals)
        refusals += walk.refusals
        notes += walk.notes()
    folders = Folders()
    sources += _named(filterfalse(folders.skips, listed), partial(file_key, root=root), refusals)
    places = Places()
    kept = tuple(source for source in sources if places.take(source))
    return Inputs(kept, tuple(refusals), (*notes, *folders.notes()))


def _named(
    paths: Iterable[str], key: Callable[[str], str], refusals: list[Refusal]
) -> Iterator[Source]:
    for path in paths:
        if is_too_long(path):
            refusals.append(Refusal(path, TOO_LONG))
        else:
            yield Source(path, key(path))


def _possible(path: str) -> str:
    if not path:
        raise UsageError(
            "an input is an empty path, as from a variable of a shell that is not set; remove it"
        )
    if "\0" in path:
        raise UsageError(
            f"the input {quoted(path)} has a NUL in its name, which no file has; remove it"
        )
    return path


class Folders:
    """The folders that a list names: it is to name files, and ``find`` names both."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def skips(self, path: str) -> bool:
        """Whether a path is a folder, which is skipped."""
        if not os.path.isdir(path):
            return False
        self._count += 1
        if self._count <= _NAMED:
            self._first.append(path)
        return True

    def notes(self) -> Iterator[str]:
        """Say in a sentence which there were, if any."""
        if self._count:
            named = ", ".join(map(quoted, self._first)) + (", ..." if self._count > _NAMED else "")
            yield (
                f"the list names {counted(self._count, 'folder')}, skipped: {named}; "
                "a folder that is to be searched is named as an input"
            )
