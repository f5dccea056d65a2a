"""Inputs from a list that is still being written, each as soon as its name has come."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from kapre_cli.closing import Closing
from kapre_cli.errors import UsageError
from kapre_cli.sources.discovery import Folders, Inputs
from kapre_cli.sources.keys import Places, file_key
from kapre_cli.sources.lists import Names
from kapre_cli.sources.source import TOO_LONG, Source, is_too_long


class Arriving(Closing):
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
        self._known = known.sources
        self._names = names
        self._root = root
        self._admit = admit
        self._refused = refused
        self._folders = Folders()
        self._ahead = deque[Source]()
        self._coming = self._sources()
        self._woken, self._wake = os.pipe()

    def __iter__(self) -> Iterator[Source]:
        return self

    def __next__(self) -> Source:
        return self._ahead.popleft() if self._ahead else next(self._coming)

    def put_back(self, sources: Iterable[Source]) -> None:
        """Let these, which have come already, come once more before all others."""
        self._ahead.extend(sources)

    def notes(self) -> Iterator[str]:
        """Say in sentences what has been skipped."""
        return self._folders.notes()

    def _sources(self) -> Iterator[Source]:
        places = Places()
        for source in filter(places.take, self._known):
            self._admit(source)
            yield source
        for path in self._folders.without(self._names.read(self._woken)):
            if is_too_long(path):
                self.n_inputs += 1
                self._refused(path, TOO_LONG)
                continue
            try:
                source = Source(path, file_key(path, self._root))
                if not places.take(source):
                    continue
                self._admit(source)
            except UsageError as error:
                self.n_inputs += 1
                self._refused(path, error)
            else:
                self.n_inputs += 1
                yield source
        if self.n_inputs == 0:
            raise self._names.is_empty()

    def stop(self) -> None:
        """Let whoever waits for the next input, in any thread, wait no longer: there is none."""
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def close(self) -> None:
        """Let go of what :meth:`stop` needs, once nobody waits."""
        self.stop()
        os.close(self._woken)
