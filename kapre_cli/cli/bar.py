"""The progress bar of the command line, on a terminal."""

import os
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

from kapre_cli.api.progress import Status

_COLUMNS = 80  # of a terminal of unknown size


class Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    """A bar that shows the current status, if there is one, at each drawing."""

    monitor_interval = 0  # no thread of tqdm's

    def __init__(self, status: Callable[[], Status | None], lock: Any) -> None:
        self.set_lock(lock)
        self._status = status
        super().__init__(leave=False)

    def __str__(self) -> str:
        status = self._status()
        if status is None:
            return ""
        width = _width(self.fp)
        layout = status.layout(width, self.format_dict["elapsed"])
        return self.format_meter(
            status.share or 0.0, 1.0, 0.0, ncols=width, bar_format=layout, ascii=self.ascii
        )

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """Return a function that writes a text over the one before.

        Unlike tqdm's it writes no blanks beyond the width of a terminal that has become narrower.
        """
        before = 0

        def show(text: str) -> None:
            nonlocal before
            file.write("\r" + text.ljust(min(before, _width(file))))
            file.flush()
            before = len(text)

        return show


def _width(stream: TextIO) -> int:
    """Return how many columns may be used: some terminals wrap after the last one."""
    try:
        return (os.get_terminal_size(stream.fileno()).columns or _COLUMNS) - 1
    except OSError:
        return _COLUMNS - 1
