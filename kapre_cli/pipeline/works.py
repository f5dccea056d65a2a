"""The inputs of a run as they come, each with what earlier runs have done for it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from kapre_cli.closing import Closing
from kapre_cli.pipeline.earlier import Keeper
from kapre_cli.pipeline.work import Work
from kapre_cli.report import Progress, Report
from kapre_cli.sources import Arriving, Source


class Works(Closing):
    """The inputs of a run.

    Args:
        sources: The inputs, all of them or as they come.
        report: Told of every one that is there already, and how many there are once that is known.
        progress: Told of every one that comes, and that needs no computing.

    Attributes:
        all: Those that have come so far, in their order.
        grows: Whether more may come while the first are at work.
    """

    def __init__(
        self, sources: Sequence[Source] | Arriving, report: Report, progress: Progress
    ) -> None:
        self._sources = sources
        self._report = report
        self._progress = progress
        self.grows = isinstance(sources, Arriving)
        self.all = [] if isinstance(sources, Arriving) else [Work(source) for source in sources]

    def begin(self, keeper: Keeper) -> Iterable[Work] | None:
        """Return, once, those that are to be computed; ``None`` if there is not one.

        Where more may come they come as they are asked for, the first of them now.

        Args:
            keeper: Gives each what earlier runs have done for it.
        """
        due = (work for work in self._coming() if self._is_due(work, keeper))
        if not self.grows:
            return (*due,) or None
        first = next(due, None)
        return None if first is None else itertools.chain((first,), due)

    def _coming(self) -> Iterator[Work]:
        if not isinstance(self._sources, Arriving):
            yield from self.all
            return
        for source in self._sources:
            self._progress.arrived(source.key, source.size)
            self.all.append(Work(source))
            yield self.all[-1]
        self._report.n_expected = self._sources.n_inputs
        self._progress.all_arrived()

    def _is_due(self, work: Work, keeper: Keeper) -> bool:
        keeper.keep(work)
        if work.done:
            self._report.was_read()
            self._progress.kept(work.source.key)
        elif work.failed:
            self._progress.ended(work.source.key)
        elif work.entries:
            n_frames = sum(entry.shape[1] for entry in work.entries.values())
            seconds = n_frames * keeper.settings.layer.framing.n_hop / keeper.settings.audio.sr
            self._progress.begun(work.source.key, seconds)
        return not (work.done or work.failed)

    def close(self) -> None:
        """Let whoever waits for another one wait no longer."""
        if isinstance(self._sources, Arriving):
            self._sources.stop()
