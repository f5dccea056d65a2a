"""Messages and progress of a run for a person, on standard error."""

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any, TextIO

from kapre_cli.cli.progress import Clock, Computing, Counting, Status
from kapre_cli.cli.streams import echo, stderr_to
from kapre_cli.inputs import Source
from kapre_cli.interpreter import silence_tensorflow
from kapre_cli.osutil import Resource, diverted
from kapre_cli.text import printable

if TYPE_CHECKING:
    from kapre_cli.cli.bar import Bar

NOTE = "note: "  # the prefix of messages that need no action

LINE_SECONDS = 60.0  # from one line to the next where there is no terminal
_BAR_SECONDS = 0.2  # from one drawing to the next where there is one


class Terminal(Computing, Resource):
    """Keeps standard error to this program's own messages, and shows progress.

    The progress is a bar on a terminal, elsewhere a line a minute.

    TensorFlow's C++ code writes to file descriptor 2 regardless of its settings, so during a run
    that descriptor leads nowhere and messages go through a copy of it.

    Args:
        sources: The known inputs. ``None``: no audio is read.
        grows: Whether more inputs may arrive.
        quiet: Suppress bar, lines and notes.
        interval: Seconds from one line to the next.
    """

    _bar: "Bar | None" = None

    def __init__(
        self,
        sources: Sequence[Source] | None = None,
        *,
        grows: bool = False,
        quiet: bool = False,
        interval: float = LINE_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        known = () if quiet or sources is None else sources
        files = [(source.key, source.size) for source in known if not source.is_stream]
        stream = next((source for source in known if source.is_stream), None)
        super().__init__(files, grows=grows, stream=stream, clock=clock)
        self._quiet = quiet
        silence_tensorflow()
        self._redirections = ExitStack()
        descriptor = self._redirections.enter_context(diverted(2))
        self._redirections.enter_context(stderr_to(descriptor))
        self._clock = clock
        self._stage: Computing | Counting | None = None if sources is None else self
        self._closing = threading.Event()
        self._showing: threading.Thread | None = None
        self._interval = interval
        if sys.stderr.isatty() and not quiet:
            from kapre_cli.cli.bar import Bar  # tqdm only where there is a terminal to draw on

            self._bar, self._interval = Bar(self._shown, self._lock), _BAR_SECONDS
        if sources is not None:
            self._show()

    def _show(self) -> None:
        """Draw the bar now and from now on, or print a line at intervals."""
        if self._bar is not None:
            self._bar.refresh()
        if self._showing is None and not self._quiet:
            self._showing = threading.Thread(target=self._keep_showing, name="shown", daemon=True)
            with suppress(RuntimeError):  # no more threads are allowed: those at work matter more
                self._showing.start()

    def _keep_showing(self) -> None:
        while not self._closing.wait(self._interval):
            with self._lock:
                if self._closing.is_set():
                    return
                status = self._shown()
                if self._bar is not None:
                    self._bar.refresh()
                elif status is not None:
                    self.say(status.line())

    def _above_bar(self, stream: TextIO) -> AbstractContextManager[Any]:
        return self._lock if self._bar is None else self._bar.external_write_mode(file=stream)

    def _shown(self) -> Status | None:
        with self._lock:
            return None if self._stage is None else self._stage.status()

    def say(self, message: str) -> None:
        """Print one message on a line of its own, above the bar."""
        if self._quiet and message.startswith(NOTE):
            return
        with self._above_bar(sys.stderr):
            sys.stderr.write(f"{printable(message)}\n")  # at once: others may write there as well

    def waits(self) -> None:
        """Show the state: no event will for a while."""
        with self._lock:
            super().waits()
            self._show()

    def stage(self, name: str, n_inputs: int, seconds: float | None = None) -> None:
        """Begin a stage."""
        if not self._quiet:
            with self._lock:
                self._stage = Counting(name, n_inputs, seconds, clock=self._clock)
                self._show()

    def moved(self, seconds: float) -> None:
        """Count some seconds of audio."""
        if isinstance(self._stage, Counting):
            with self._lock:
                self._stage.moved(seconds)

    def checked(self, seconds: float = 0.0) -> None:
        """Count an input."""
        if isinstance(self._stage, Counting):
            with self._lock:
                self._stage.ended(seconds)

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
