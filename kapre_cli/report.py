"""Counts, failures, messages and exit code of a run."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from kapre_cli.errors import TooManyFailuresError, UnexpectedError, quoted
from kapre_cli.failures import Failures
from kapre_cli.outcomes import FAILED, NOTHING, SKIPPED, WRITTEN, Known, Recorder
from kapre_cli.tolerance import MaxFailures

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they ask the process to end


class ExitCode(IntEnum):
    """Exit codes of the program."""

    OK = 0
    FAILED = 1  # an input failed, or the output could not be written
    USAGE = 2
    HUNG_UP = 129  # 128 + SIGHUP
    INTERRUPTED = 130  # 128 + SIGINT
    PIPE_CLOSED = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM


class Progress:
    """Receives the progress of a run; this base class ignores it.

    Seconds are seconds of audio.
    """

    def arrived(self, key: str, n_bytes: int) -> None:
        """Add an input that was not known before."""

    def all_arrived(self) -> None:
        """Record that no more inputs come."""

    def kept(self, key: str) -> None:
        """Record that an earlier run has computed an input."""

    def begun(self, key: str, seconds: float) -> None:
        """Record that an earlier run has computed ``seconds`` of an input."""

    def computed(self, key: str, due: float, seconds: float, length: float) -> None:
        """Record that ``seconds`` more of an input have been computed.

        This run computes ``due`` seconds of it; the whole input has ``length``.
        """

    def ended(self, key: str) -> None:
        """Record that an input has been computed or has failed."""

    def waits(self) -> None:
        """Record that all inputs that have arrived are computed, and more are awaited."""

    def stage(self, name: str, n_inputs: int, seconds: float | None = None) -> None:
        """Begin a stage behind computing: "writing", "reading back" or "checking"."""

    def moved(self, seconds: float) -> None:
        """Record that ``seconds`` more of an input have been written or checked."""

    def checked(self, seconds: float = 0.0) -> None:
        """Record that one more input, of this length, has been written or checked."""


SILENT = Progress()


@dataclass
class Report:
    """Counts the inputs of a run, which uses it in one thread.

    Attributes:
        say: Called with each message for the user as it arises.
        max_failures: How many inputs may fail; ``None``: all of them.
        n_expected: Number of inputs; ``None`` while that is not known.
        verbose: Whether to print more, such as versions and finished inputs.
        n_written: Inputs whose features are in the output, unless they were skipped.
        n_failed: Inputs without features.
        n_untried: Failed inputs that were not tried, since the run was stopped.
        n_skipped: Inputs whose features an earlier run has computed.
        n_read: Inputs that have been read to their end without failing, or need not be read.
        seconds: Seconds of audio of the written inputs.
        n_floored: Inputs, written or skipped, that ``amin`` leaves less than 80 dB of range.
        kept: The kept work of a run that did not reach its end, in a sentence.
        is_there: Whether the output is in its place, written by this run or an earlier one.
        broken: Whether the output, or something about it, could not be written.
    """

    say: Callable[[str], None]
    recorder: Recorder | None = None
    max_failures: MaxFailures | None = None
    n_expected: int | None = None
    verbose: bool = False
    n_written: int = 0
    n_failed: int = 0
    n_untried: int = 0
    n_skipped: int = 0
    n_read: int = 0
    seconds: float = 0.0
    n_floored: int = 0
    kept: str | None = None
    is_there: bool = False
    broken: bool = False
    warned: set[str] = field(default_factory=set)
    _failures: Failures = field(default_factory=Failures, repr=False)

    def was_read(self) -> None:
        """Count an input that has been read to its end without failing, or need not be read."""
        self.n_read += 1

    def written(self, path: str, known: Known) -> None:
        """Count an input whose features are in the output."""
        self.n_written += 1
        self.n_floored += known.is_floored
        self.seconds += known.seconds or 0.0
        if known.note is not None:
            self.say(f"note: {quoted(path)}: {known.note}")
        self._record(path, WRITTEN, None, known)

    def failed(self, path: str, reason: object, known: Known = NOTHING) -> None:
        """Record a failed input and log its reason."""
        self.say(f"failed: {quoted(path)}: {reason}")
        if isinstance(reason, UnexpectedError):
            if self.verbose:
                self.say(reason.trace)
            else:
                self.warn("--verbose shows where an unexpected exception was raised")
        self._failures.add(str(reason))
        self.unwritten(path, reason, known)

    def unwritten(
        self, path: str, reason: object, known: Known = NOTHING, *, tried: bool = True
    ) -> None:
        """Count an input, ``tried`` or not, as failed for a reason that is reported elsewhere."""
        self.n_failed += 1
        self.n_untried += not tried
        self._record(path, FAILED, f"{'' if tried else 'not tried: '}{reason}", known)

    def begin(self) -> None:
        """Open the record when the run can no longer be rejected; raise OutputError on failure."""
        if self.recorder is not None:
            self.recorder.begin()

    def skipped(self, path: str, known: Known) -> None:
        """Count an input whose features an earlier run has computed."""
        self.n_skipped += 1
        self.n_floored += known.is_floored
        self._record(path, SKIPPED, None, known)

    def _record(self, path: str, status: str, reason: str | None, known: Known) -> None:
        if self.recorder is not None:
            self.recorder.input(path, status, reason, known)

    def require_few_failures(self, n_more: int = 0) -> None:
        """Raise TooManyFailuresError if more inputs have failed than allowed.

        ``n_more`` failed inputs are not counted yet.
        """
        allowed = self.max_failures
        if allowed is None:
            return
        n_failed = self.n_failed + n_more
        n_ended = max(self.n_inputs, self.n_failed + self.n_read) + n_more
        if allowed.is_exceeded(n_failed, n_ended, self.n_expected):
            number = self.n_expected or n_ended
            raise TooManyFailuresError(
                f"{n_failed:,} of {counted(number, 'input')} failed, and --max-failures allows "
                f"{allowed}: the run was stopped"
            )

    def close(self, exit_code: int) -> None:
        """Write the totals, the last line of the record, which is opened now at the latest."""
        self.begin()
        if self.recorder is not None:
            self.recorder.sums(
                exit_code,
                inputs=self.n_inputs,
                written=self.n_written,
                failed=self.n_failed,
                not_tried=self.n_untried,
                skipped=self.n_skipped,
                seconds=self.seconds,
            )

    def warn(self, message: str) -> None:
        """Print a warning, once."""
        if message not in self.warned:
            self.warned.add(message)
            self.say(f"warning: {message}")

    def warn_of_floor(self, amin: float) -> None:
        """Warn if inputs are so quiet that the floor of decibels reduces their range."""
        if self.n_floored:
            have = "has" if self.n_floored == 1 else "have"
            self.warn(
                f"{self.n_floored:,} of {counted(self.n_inputs, 'input')} {have} less than 80 dB "
                f"of range: the largest value is below 1e8 times amin ({amin:g}), to which smaller "
                "values are raised before decibels are taken. A smaller --amin gives the full range"
            )

    @property
    def n_inputs(self) -> int:
        """Number of inputs that have ended."""
        return self.n_written + self.n_failed + self.n_skipped

    @property
    def exit_code(self) -> ExitCode:
        """0 only if nothing failed."""
        return ExitCode.FAILED if self.n_failed or self.broken else ExitCode.OK

    def failures_by_kind(self) -> Iterator[str]:
        """Yield a line for each kind of failure that many inputs have in common."""
        yield from self._failures.lines()

    def summary(self) -> str:
        """Return the closing line: the counts, which add up, and the length of the audio."""
        counts = [f"{self.n_written:,} written", f"{self.n_failed:,} failed"]
        if self.n_untried:
            counts.append(f"{self.n_untried:,} of them not tried")
        if self.n_skipped:
            counts.append(f"{self.n_skipped:,} skipped")
        inputs, audio = counted(self.n_inputs, "input"), f"{duration(self.seconds)} of audio"
        return f"{inputs}: {', '.join(counts)} ({audio})"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if it is not 1.

    >>> counted(1, "input"), counted(3, "input")
    ('1 input', '3 inputs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a length of time in seconds, minutes or hours.

    >>> duration(4.25), duration(300), duration(36_000)
    ('4.2 s', '5.0 min', '10.0 h')
    """
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.1f} {unit}"
    return f"{seconds / 3600:,.1f} h"
