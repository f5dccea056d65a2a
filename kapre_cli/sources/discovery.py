"""From paths to an ordered, duplicate-free list of inputs, or to inputs that come one by one."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, filterfalse

from kapre_cli.errors import UsageError, quoted
from kapre_cli.report import counted
from kapre_cli.sources.keys import (
    STREAM_KEY,
    TOO_LONG,
    Places,
    Refusal,
    Source,
    file_key,
    is_too_long,
)
from kapre_cli.sources.lists import STREAM, Names
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
        elif os.path.isdir(_possible(path)):
            walk = Walk(path, hidden=hidden)
            sources += _named(walk, path if root is None else root, refusals)
            refusals += walk.refusals
            notes += walk.notes()
        else:
            sources += _named([path], root, refusals)
    folders = Folders()
    sources += _named(filterfalse(folders.skips, listed), root, refusals)
    places = Places()
    kept = tuple(source for source in sources if places.take(source))
    return Inputs(kept, tuple(refusals), (*notes, *folders.notes()))


def _named(paths: Iterable[str], root: str | None, refusals: list[Refusal]) -> Iterator[Source]:
    for path in paths:
        if is_too_long(path):
            refusals.append(Refusal(path, TOO_LONG))
        else:
            yield Source(path, file_key(path, root))


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


@dataclass(eq=False)
class Arriving:
    """Yields the inputs that are known, then those of the list as they come.

    Nothing that such an input is refused for can be told before the work begins: it fails by
    name, and harms no other.

    Attributes:
        known: The inputs that do not come from the list.
        names: The list.
        root: The folder that all keys are relative to, if one was named.
        admit: Refuses, by a :class:`UsageError`, an input that the output cannot hold.
        refused: Called with the path of each input that is refused, and why.
        n_inputs: How many have come so far, refused ones included.
        is_over: Whether no more come.
    """

    known: Inputs
    names: Names
    root: str | None
    admit: Callable[[Source], None]
    refused: Callable[[str, object], None]

    def __post_init__(self) -> None:
        """Begin with the inputs that are known."""
        self.n_inputs = self.known.n_inputs
        self.is_over = False
        self._folders = Folders()
        self._coming: Iterator[Source | None] = self._sources()

    def fileno(self) -> int:
        """Return the descriptor of the list, which can be read when more comes."""
        return self.names.descriptor

    def next_now(self) -> Source | None:
        """Return the next input; ``None`` if it has not come yet, or never will.

        Raises:
            UsageError: If the list is none, or names nothing and there is no other input.
        """
        try:
            return next(self._coming)
        except StopIteration:
            self.is_over = True
            return None

    def __iter__(self) -> Iterator[Source]:
        """Yield the inputs; wait for those that have not come."""
        while not self.is_over:
            source = self.next_now()
            if source is not None:
                yield source
            elif not self.is_over:
                self.names.wait()

    def put_back(self, sources: Iterable[Source]) -> None:
        """Let these, which have come already, come once more before all others."""
        self._coming = chain(sources, self._coming)

    def notes(self) -> Iterator[str]:
        """Say in sentences what has been skipped."""
        return self._folders.notes()

    def _sources(self) -> Iterator[Source | None]:
        places = Places()
        for source in filter(places.take, self.known.sources):
            self.admit(source)
            yield source
        for path in self.names.read_now():
            # ``None`` for a name that is skipped, too: such names may come without an end.
            if path is None or self._folders.skips(path):
                yield None
            else:
                yield self._of(path, places)
        if self.n_inputs == 0:
            raise self.names.is_empty()

    def _of(self, path: str, places: Places) -> Source | None:
        """Return the input of a path; ``None`` if it is refused, or there already."""
        try:
            if is_too_long(path):
                raise UsageError(TOO_LONG)
            source = Source(path, file_key(path, self.root))
            if not places.take(source):
                return None
            self.admit(source)
        except UsageError as error:
            self.n_inputs += 1
            self.refused(path, error)
            return None
        self.n_inputs += 1
        return source
