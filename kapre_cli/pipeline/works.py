"""The inputs of a run as they come, each with what earlier runs have done for it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from kapre_cli.closing import Closing
from kapre_cli.pipeline.earlier import Keeper
from kapre_cli.pipeline.work import Work
from kapre_cli.report import Progress
from kapre_cli.sources import Arriving, Source


class Works(Closing):
    """The inputs of a run.

    Args:
        sources: The inputs, all of them or as they come.
        keeper: Gives each what earlier runs have done for it.
        progress: Told of every one that needs no computing.

    Attributes:
        all: Those that have come so far, in their order.
        grows: Whether more may come while the first are at work.
    """

    def __init__(
        self, sources: Sequence[Source] | Arriving, keeper: Keeper, progress: Progress
    ) -> None:
        self._sources = sources
        self._keeper = keeper
        self._progress = progress
        self.all: list[Work] = []
        self.grows = isinstance(sources, Arriving)
        self._coming = self._due()
        self._known = () if self.grows else (*self._coming,)

    def begin(self) -> Iterable[Work] | None:
        """Return, once, those that are to be computed; ``None`` if there is not one.

        Where more may come they come as they are asked for, the first of them now.
        """
        if not self.grows:
            return self._known or None
        first = next(self._coming, None)
        return None if first is None else itertools.chain((first,), self._coming)

    def _due(self) -> Iterator[Work]:
        for source in self._sources:
            work = Work(source)
            self.all.append(work)
            if self.grows:
                self._progress.arrived(source.key, source.size)
            self._keeper.keep(work)
            if work.done or work.failed:
                self._progress.ended(source.key)
            else:
                yield work

    def close(self) -> None:
        """Let whoever waits for another one wait no longer."""
        if isinstance(self._sources, Arriving):
            self._sources.stop()
