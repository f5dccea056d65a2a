"""Find the inputs below paths, or take them one by one from a list."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, filterfalse

from kapre_cli.audio import DECODERS
from kapre_cli.errors import UsageError
from kapre_cli.inputs.keys import (
    STREAM_KEY,
    TOO_LONG,
    KeyRegistry,
    RejectedPath,
    Source,
    file_key,
    is_too_long,
)
from kapre_cli.inputs.lists import STREAM, FileList
from kapre_cli.inputs.walk import Walk
from kapre_cli.text import Text, counted, quoted

_MAX_NAMED = 3  # folders of a list that its note names


@dataclass(frozen=True)
class Inputs:
    """The inputs found in a list of paths.

    Attributes:
        sources: In the order given, those of a folder in the order of their names.
        rejected_paths: Paths that yield no input and should have; each counts as a failure.
        notes: Sentences on what was skipped on purpose.
    """

    sources: tuple[Source, ...]
    rejected_paths: tuple[RejectedPath, ...] = ()
    notes: tuple[Text | str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """Number of inputs, rejected ones included."""
        return len(self.sources) + len(self.rejected_paths)


def discover(
    paths: Iterable[str],
    root: str | None = None,
    *,
    spooled: str | None = None,
    listed: Iterable[str] = (),
    hidden: bool = False,
) -> Inputs:
    """Return the inputs that ``paths``, then ``listed``, name, in that order.

    A file is accepted with any suffix, even if it does not exist (reading it fails later). Below
    a folder of ``paths`` every file with a suffix of :func:`.audio.audio_suffixes` is accepted, in
    any case. Hidden files, and files below hidden folders, are skipped unless ``hidden`` is set.
    Links to files are followed, links to folders are not. Folders in ``listed`` are skipped.

    Keys are relative to ``root``. Without it, a file below a folder argument is keyed relative
    to that argument; a file argument by its path as given, or by its name if that path is absolute
    or has ``..`` in it. ``spooled`` is the file with the bytes of standard input, which ``-``
    stands for; without it ``-`` is an ordinary name.

    Raises:
        UsageError: If two inputs have one key, one key is a folder of another, an input lies
            outside ``root``, ``root`` is no folder, or a path names nothing.
    """
    sources: list[Source] = []
    rejected_paths: list[RejectedPath] = []
    notes: list[Text | str] = []
    if root is not None and not os.path.isdir(root):
        raise UsageError(f"the root {quoted(root)} is not a folder; name a folder above all inputs")
    for path in paths:
        if spooled is not None and path == STREAM:
            sources.append(Source(path, STREAM_KEY, spooled))
        elif os.path.isdir(_checked(path)):
            walk = Walk(path, hidden=hidden)
            sources += _sources_of(walk, path if root is None else root, rejected_paths)
            rejected_paths += walk.rejected_paths
            notes += walk.notes()
        else:
            sources += _sources_of([path], root, rejected_paths)
    folders = _ListedFolders()
    sources += _sources_of(filterfalse(folders.skips, listed), root, rejected_paths)
    registry = KeyRegistry()
    kept = tuple(source for source in sources if registry.add(source))
    return Inputs(
        kept, tuple(rejected_paths), (*notes, *DECODERS.broken.values(), *folders.notes())
    )


def _sources_of(
    paths: Iterable[str], root: str | None, rejected_paths: list[RejectedPath]
) -> Iterator[Source]:
    for path in paths:
        if is_too_long(path):
            rejected_paths.append(RejectedPath(path, TOO_LONG))
        else:
            yield Source(path, file_key(path, root))


def _checked(path: str) -> str:
    if not path:
        raise UsageError(
            "an input is an empty path, as from a variable of a shell that is not set; remove it"
        )
    if "\0" in path:
        raise UsageError(
            f"the input {quoted(path)} has a NUL in its name, which no file has; remove it"
        )
    return path


class _ListedFolders:
    """The folders that a list of files names, as ``find`` does; they are skipped."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def skips(self, path: str) -> bool:
        """Whether a path is a folder, which is counted and skipped."""
        if not os.path.isdir(path):
            return False
        self._count += 1
        if self._count <= _MAX_NAMED:
            self._first.append(path)
        return True

    def notes(self) -> Iterator[Text | str]:
        """Yield a sentence that names the skipped folders, if any."""
        if self._count:
            named = ", ".join(map(quoted, self._first)) + (
                ", ..." if self._count > _MAX_NAMED else ""
            )
            yield (
                f"the list names {counted(self._count, 'folder')}, skipped: {named}; "
                "a folder that is to be searched is named as an input"
            )


@dataclass(eq=False)
class InputStream:
    """Yields the inputs known in advance, then those of the list as they arrive.

    An input of the list can be rejected only after the run has begun: it fails by name, and the
    others are not affected.

    Attributes:
        root: The folder that all keys are relative to, if one was given.
        validate: Raises :class:`UsageError` for an input that the output cannot hold.
        on_rejected: Called with the path of each rejected input and the reason.
        n_inputs: Number of inputs so far, rejected ones included.
        is_over: Whether no more will arrive.
    """

    known: Inputs
    names: FileList
    root: str | None
    validate: Callable[[Source], None]
    on_rejected: Callable[[str, UsageError], None]

    def __post_init__(self) -> None:
        self.n_inputs = self.known.n_inputs
        self.is_over = False
        self._folders = _ListedFolders()
        self._upcoming: Iterator[Source | None] = self._sources()

    def fileno(self) -> int:
        """Return the descriptor of the list, which is readable when more arrives."""
        return self.names.descriptor

    def next_now(self) -> Source | None:
        """Return the next input; ``None`` if it has not arrived or is skipped, or if none is left.

        Raise UsageError if the list is invalid, or names nothing and there is no other input.
        """
        try:
            return next(self._upcoming)
        except StopIteration:
            self.is_over = True
            return None

    def __iter__(self) -> Iterator[Source]:
        """Yield the inputs; wait for those that have not arrived."""
        while not self.is_over:
            source = self.next_now()
            if source is not None:
                yield source
            elif not self.is_over:
                self.names.wait()

    def unread(self, sources: Iterable[Source]) -> None:
        """Yield these inputs, which have been yielded before, again before all others."""
        self._upcoming = chain(sources, self._upcoming)

    def notes(self) -> Iterator[Text | str]:
        """Yield sentences on what has been skipped."""
        return self._folders.notes()

    def _sources(self) -> Iterator[Source | None]:
        registry = KeyRegistry()
        for source in filter(registry.add, self.known.sources):
            self.validate(source)
            yield source
        for path in self.names.read_now():
            # ``None`` for a skipped name, too: a list may go on with such names without an end.
            if path is None or self._folders.skips(path):
                yield None
            else:
                yield self._source_of(path, registry)
        if self.n_inputs == 0:
            raise self.names.is_empty()

    def _source_of(self, path: str, registry: KeyRegistry) -> Source | None:
        """Return the input of a path; ``None`` if it is rejected or a duplicate."""
        try:
            if is_too_long(path):
                raise UsageError(TOO_LONG)
            source = Source(path, file_key(path, self.root))
            if not registry.add(source):
                return None
            self.validate(source)
        except UsageError as error:
            self.n_inputs += 1
            self.on_rejected(path, error)
            return None
        self.n_inputs += 1
        return source
