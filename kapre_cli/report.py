"""What became of every input: counts, failures, messages and the exit code."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from kapre_cli.errors import quoted

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they ask the process to end


class ExitCode(IntEnum):
    """How the program ends, as its callers see it."""

    OK = 0
    FAILED = 1  # an input failed, or the output could not be written
    USAGE = 2
    HUNG_UP = 129  # 128 + SIGHUP
    INTERRUPTED = 130  # 128 + SIGINT
    PIPE_CLOSED = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM


class Progress:
    """Told how far the work has come, by any thread; this one keeps it to itself."""

    def arrived(self, key: str, n_bytes: int) -> None:
        """Take note that a list has named one more input, of so many bytes."""

    def computed(self, key: str, due: float, seconds: float) -> None:
        """Take note that ``seconds`` more of an input have been computed, of all that are due."""

    def ended(self, key: str) -> None:
        """Take note that an input has been computed, has failed, or needs no computing."""

    def waits(self) -> None:
        """Take note that all that has come is computed, and more is waited for."""

    def writing(self, n_inputs: int) -> None:
        """Take note that all has been computed and the output is being put together."""

    def wrote(self) -> None:
        """Take note that the output has one more input."""

    def checking(self, n_inputs: int) -> None:
        """Take note that so many inputs of outputs are going to be looked at."""

    def checked(self) -> None:
        """Take note that one more has been looked at."""


SILENT = Progress()


class Watch:
    """Knows which inputs have brought the process down, and is told which one is being read.

    This one is for a process that nobody watches.

    Attributes:
        again: Whether the process has come down before in this run, and goes on now.
    """

    again = False

    def reading(self, key: str | None, reader: int = 0) -> None:
        """Take note that an input, or none any more, is being read by one of several readers."""

    def crashes(self, key: str) -> tuple[str, ...]:  # noqa: ARG002
        """Return how the process came down each time while an input was being read."""
        return ()


UNWATCHED = Watch()


@dataclass
class Report:
    """The tally of a run. Any thread may add to it.

    Attributes:
        say: Called with each message for the user as it arises.
        verbose: Whether to say what goes as it should.
        n_written: Inputs whose features are in the output.
        n_failed: Inputs that gave none; each has been named with its reason.
        n_skipped: Inputs whose features were there already.
        seconds: Seconds of audio behind the inputs that were written.
        kept: What has been kept of a run that did not reach its end, in a sentence.
        is_there: Whether what was to be written is in its place, by this run or an earlier one.
        broken: Whether the output, or something about it, could not be written.
        warned: The warnings that have been passed on.
    """

    say: Callable[[str], None]
    verbose: bool = False
    n_written: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    seconds: float = 0.0
    kept: str | None = None
    is_there: bool = False
    broken: bool = False
    warned: set[str] = field(default_factory=set)
    _adding: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def written(self, seconds: float) -> None:
        """Count an input whose features are stored."""
        with self._adding:
            self.n_written += 1
            self.seconds += seconds

    def failed(self, path: str, reason: object) -> None:
        """Count an input that failed, and name it with its reason."""
        with self._adding:
            self.n_failed += 1
            self.say(f"failed: {quoted(path)}: {reason}")

    def failed_before(self) -> None:
        """Count an input that failed, and was named, before the run went on."""
        with self._adding:
            self.n_failed += 1

    def skipped(self) -> None:
        """Count an input whose features were there already."""
        with self._adding:
            self.n_skipped += 1

    def unwritten(self, n_inputs: int) -> None:
        """Count the inputs, of ``n_inputs``, that have not ended as failed: there is no output."""
        self.n_failed, self.n_written, self.n_skipped, self.seconds = n_inputs, 0, 0, 0.0

    def warn(self, message: str) -> None:
        """Pass on a warning, once."""
        with self._adding:
            if message not in self.warned:
                self.warned.add(message)
                self.say(f"warning: {message}")

    @property
    def n_inputs(self) -> int:
        """Every input that has ended, one way or another."""
        return self.n_written + self.n_failed + self.n_skipped

    @property
    def exit_code(self) -> ExitCode:
        """0 only if nothing failed."""
        return ExitCode.FAILED if self.n_failed or self.broken else ExitCode.OK

    def summary(self) -> str:
        """Return the closing line: the counts, which add up, and the hours of audio."""
        counts = [f"{self.n_written:,} written", f"{self.n_failed:,} failed"]
        if self.n_skipped:
            counts.append(f"{self.n_skipped:,} skipped")
        inputs, audio = counted(self.n_inputs, "input"), f"{duration(self.seconds)} of audio"
        return f"{inputs}: {', '.join(counts)} ({audio})"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the right form.

    >>> counted(1, "input"), counted(3, "input")
    ('1 input', '3 inputs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a length of time in the unit that a reader would choose.

    >>> duration(4.25), duration(300), duration(36_000)
    ('4.2 s', '5.0 min', '10.0 h')
    """
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.1f} {unit}"
    return f"{seconds / 3600:,.1f} h"
