"""Counts, failures, messages and exit code of a run."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from kapre_cli.errors import SampleRateError, TooManyFailuresError, UnexpectedError
from kapre_cli.exit_codes import ExitCode
from kapre_cli.failure_limit import MaxFailures
from kapre_cli.result_log import FAILED, NOTHING, SKIPPED, WRITTEN, InputResult, ResultLog
from kapre_cli.text import counted, duration, quoted

_MANY = 10  # failures of a kind that are worth a line of their own
_MOST_KINDS = 1000  # that are kept apart
_LONGEST_KIND = 300  # characters

# What differs from one input to the next: names, and numbers.
_NAME = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""")
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")


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


class Failures:
    """Counts why inputs have failed."""

    def __init__(self) -> None:
        self._kinds = Counter[str]()
        self._rates = Counter[int]()
        self._wanted = 0

    def add(self, reason: str) -> None:
        """Count one input."""
        rates = SampleRateError.rates_in(reason)
        if rates is not None:
            sr, self._wanted = rates
            self._rates[sr] += 1
            return
        kind = _NUMBER.sub("N", _NAME.sub("'...'", reason[:_LONGEST_KIND]))
        if kind in self._kinds or len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] += 1

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind that has many, the most frequent first."""
        if self._rates.total() >= _MANY:
            yield self._of_rates()
        for kind, number in self._kinds.most_common():
            if number >= _MANY:
                yield f"{number:,} inputs failed: {kind}"

    def _of_rates(self) -> str:
        rates = self._rates.most_common()
        each = ", ".join(f"{sr:,} Hz in {number:,}" for sr, number in rates)
        which = "their rate" if len(rates) == 1 else "the rate of most of them"
        return (
            f"{self._rates.total():,} inputs failed: other sample rates than this run's "
            f"{self._wanted:,} Hz ({each}); --resample converts them, --sr {rates[0][0]} makes a "
            f"run at {which}"
        )


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
    result_log: ResultLog | None = None
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

    def written(self, path: str, known: InputResult) -> None:
        """Count an input whose features are in the output."""
        self.n_written += 1
        self.n_floored += known.is_floored
        self.seconds += known.seconds or 0.0
        if known.note is not None:
            self.say(f"note: {quoted(path)}: {known.note}")
        self._record(path, WRITTEN, None, known)

    def failed(self, path: str, reason: object, known: InputResult = NOTHING) -> None:
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
        self, path: str, reason: object, known: InputResult = NOTHING, *, tried: bool = True
    ) -> None:
        """Count an input, ``tried`` or not, as failed for a reason that is reported elsewhere."""
        self.n_failed += 1
        self.n_untried += not tried
        self._record(path, FAILED, f"{'' if tried else 'not tried: '}{reason}", known)

    def begin(self) -> None:
        """Open the record when the run can no longer be rejected; raise OutputError on failure."""
        if self.result_log is not None:
            self.result_log.begin()

    def skipped(self, path: str, known: InputResult) -> None:
        """Count an input whose features an earlier run has computed."""
        self.n_skipped += 1
        self.n_floored += known.is_floored
        self._record(path, SKIPPED, None, known)

    def _record(self, path: str, status: str, reason: str | None, known: InputResult) -> None:
        if self.result_log is not None:
            self.result_log.input(path, status, reason, known)

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
        if self.result_log is not None:
            self.result_log.sums(
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
