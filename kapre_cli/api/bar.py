"""A bar that shows the progress of a run, in a notebook or on a terminal."""

import time
from collections.abc import Sequence
from typing import Any

from tqdm.auto import tqdm

from kapre_cli.api.progress import RunProgress
from kapre_cli.events import Event, PhaseStarted
from kapre_cli.inputs import Source
from kapre_cli.osutil import Resource

_SECONDS = 0.2  # from one drawing to the next
_FORMAT = "{desc}{percentage:3.0f}%|{bar}| {postfix}"


class _Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    monitor_interval = 0  # no thread of tqdm's


class ProgressBar(Resource):
    """An observer that draws a bar.

    Args:
        sources: The inputs of the run; ``None`` if no audio is read.
        is_forced: Whether the bar is drawn even where there is neither a terminal nor a notebook.
    """

    def __init__(self, sources: Sequence[Source] | None, *, is_forced: bool) -> None:
        self._progress = RunProgress(sources)
        is_shown = is_forced or _is_in_notebook()
        # ``None``: tqdm looks for a terminal.
        self._bar: Any = _Bar(
            total=100, bar_format=_FORMAT, leave=False, disable=False if is_shown else None
        )
        self._drawn = 0.0

    def __call__(self, event: Event) -> None:
        """Record an event, and draw the bar now and then."""
        if isinstance(event, PhaseStarted):
            self._progress.start(event)
        elif not self._progress.takes(event):
            return
        now = time.monotonic()
        if now - self._drawn >= _SECONDS:
            self._drawn = now
            self._draw()

    def _draw(self) -> None:
        status = self._progress.status()
        if status is None or self._bar.disable:
            return
        self._bar.n = 100 * (status.share or 0.0)
        self._bar.set_description_str(f"{status.name}: " if status.name else "", refresh=False)
        self._bar.set_postfix_str(", ".join(status.details), refresh=False)
        self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


def _is_in_notebook() -> bool:
    return any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
