"""Messages and progress of a run for a person, on standard error."""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any, TextIO

from kapre_cli import events
from kapre_cli.api.progress import Clock, RunProgress, Status
from kapre_cli.cli.event_lines import EventLines
from kapre_cli.cli.options import error_text
from kapre_cli.cli.streams import echo, stderr_to
from kapre_cli.events import Event
from kapre_cli.inputs import Source
from kapre_cli.interpreter import silence_tensorflow
from kapre_cli.osutil import Resource, diverted
from kapre_cli.text import printable
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.cli.bar import Bar

LINE_SECONDS = 60.0  # from one line to the next where there is no terminal
_BAR_SECONDS = 0.2  # from one drawing to the next where there is one


class Terminal(Resource):
    """An observer of a run that prints messages and shows progress on standard error.

    The progress is a bar on a terminal, elsewhere a line a minute; a thread shows it.

    TensorFlow's C++ code writes to file descriptor 2 regardless of its settings, so during a run
    that descriptor leads nowhere and messages go through a copy of it.

    ``sources`` are the known inputs, ``None`` if no audio is read; more may arrive if it ``grows``.
    ``quiet`` suppresses bar, lines and notes, ``verbose`` adds details.
    """

    _bar: "Bar | None" = None

    def __init__(
        self,
        sources: Sequence[Source] | None = None,
        *,
        grows: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        interval: float = LINE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._quiet = quiet
        self._lines = EventLines(self.print_line, quiet=quiet, verbose=verbose)
        self.failures = self._lines.failures
        self._lock = threading.RLock()  # guards what the showing thread reads
        known = () if quiet and sources is not None else sources
        self._progress = RunProgress(known, grows=grows, clock=clock)
        silence_tensorflow()
        self._redirections = ExitStack()
        descriptor = self._redirections.enter_context(diverted(2))
        self._redirections.enter_context(stderr_to(descriptor))
        self._closing = threading.Event()
        self._showing: threading.Thread | None = None
        self._interval = interval
        if sys.stderr.isatty() and not quiet:
            from kapre_cli.cli.bar import Bar  # tqdm only where there is a terminal to draw on

            self._bar, self._interval = Bar(self._status, self._lock), _BAR_SECONDS
        if sources is not None:
            self._show()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            if self._progress.takes(event):
                return
        if isinstance(event, events.WaitingForInputs):
            self._wait()
        elif isinstance(event, events.PhaseStarted):
            self._start_phase(event)
        else:
            self._lines(event)

    def _wait(self) -> None:
        """Show the state now, since no event follows soon."""
        with self._lock:
            self._progress.wait()
            self._show()

    def _start_phase(self, event: events.PhaseStarted) -> None:
        if not self._quiet:
            with self._lock:
                self._progress.start(event)
                self._show()

    def _show(self) -> None:
        """Draw the bar now and from now on, or print a line at intervals."""
        if self._bar is not None:
            self._bar.refresh()
        if self._showing is None and not self._quiet:
            self._showing = threading.Thread(
                target=self._keep_showing, name="progress", daemon=True
            )
            with suppress(RuntimeError):  # no more threads are allowed: the others matter more
                self._showing.start()

    def _keep_showing(self) -> None:
        while not self._closing.wait(self._interval):
            with self._lock:
                if self._closing.is_set():
                    return
                status = self._status()
                if self._bar is not None:
                    self._bar.refresh()
                elif status is not None:
                    self.print_line(status.line())

    def _status(self) -> Status | None:
        with self._lock:
            return self._progress.status()

    def _above_bar(self, stream: TextIO) -> AbstractContextManager[Any]:
        return self._lock if self._bar is None else self._bar.external_write_mode(file=stream)

    def print_line(self, message: str) -> None:
        """Print one message on a line of its own, above the bar."""
        with self._above_bar(sys.stderr):
            sys.stderr.write(f"{printable(message)}\n")  # one write: other processes write too

    def print_error(self, error: Exception, more: str = "") -> None:
        """Print an error that does not end the process, and how the run goes on."""
        self.print_line(f"{PROGRAM}: Error: {error_text(error)}{more}")

    def echo(self, line: str) -> None:
        """Print a line on standard output, above the bar."""
        with self._above_bar(sys.stdout):
            echo(line)

    def close(self) -> None:
        """Restore standard error."""
        with self._lock:
            self._closing.set()
            if self._bar is not None:
                self._bar.close()
        if self._showing is not None and self._showing.is_alive():
            self._showing.join(timeout=1.0)
        self._redirections.close()
