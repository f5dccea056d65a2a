"""Inputs from a list that is still being written, each as soon as its name has come."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from kapre_cli.errors import UsageError
from kapre_cli.sources.discovery import Folders, Inputs
from kapre_cli.sources.keys import Places, file_key
from kapre_cli.sources.lists import Names
from kapre_cli.sources.source import TOO_LONG, Source, is_too_long


class Arriving:
    """Yields the inputs that are known, then those of the list as they come.

    Nothing that such an input is refused for can be told before the work begins: it fails by
    name, and harms no other.

    Args:
        known: The inputs that do not come from the list.
        names: The list.
        root: The folder that all keys are relative to, if one was named.
        admit: Refuses, by a :class:`UsageError`, an input that the output cannot hold.
        refused: Called with the path of each input that is refused, and why.

    Attributes:
        n_inputs: How many have come so far, refused ones included.
        is_over: Whether no more come.
    """

    def __init__(
        self,
        known: Inputs,
        names: Names,
        root: str | None,
        admit: Callable[[Source], None],
        refused: Callable[[str, object], None],
    ) -> None:
        self.n_inputs = known.n_inputs
        self.is_over = False
        self._known = known.sources
        self._names = names
        self._root = root
        self._admit = admit
        self._refused = refused
        self._folders = Folders()
        self._coming: Iterator[Source | None] = self._sources()

    def fileno(self) -> int:
        """Return the descriptor of the list, which can be read when more comes."""
        return self._names.descriptor

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
                self._names.wait()

    def put_back(self, sources: Iterable[Source]) -> None:
        """Let these, which have come already, come once more before all others."""
        self._coming = chain(sources, self._coming)

    def notes(self) -> Iterator[str]:
        """Say in sentences what has been skipped."""
        return self._folders.notes()

    def _sources(self) -> Iterator[Source | None]:
        places = Places()
        for source in filter(places.take, self._known):
            self._admit(source)
            yield source
        for path in self._names.read_now():
            # ``None`` for a name that is skipped, too: such names may come without an end.
            if path is None or self._folders.skips(path):
                yield None
            else:
                yield self._of(path, places)
        if self.n_inputs == 0:
            raise self._names.is_empty()

    def _of(self, path: str, places: Places) -> Source | None:
        """Return the input of a path; ``None`` if it is refused, or there already."""
        try:
            if is_too_long(path):
                raise UsageError(TOO_LONG)
            source = Source(path, file_key(path, self._root))
            if not places.take(source):
                return None
            self._admit(source)
        except UsageError as error:
            self.n_inputs += 1
            self._refused(path, error)
            return None
        self.n_inputs += 1
        return source
