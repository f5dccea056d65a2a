"""The result of a run: counts, failures and their limit, the output."""

from dataclasses import dataclass
from pathlib import Path

from kapre_cli.errors import KapreExtractError, SettingsError, TooManyFailuresError
from kapre_cli.event_text import log
from kapre_cli.events import (
    NO_RESULT,
    InputFailed,
    InputResult,
    InputSkipped,
    InputWritten,
    Observer,
    WorkKept,
)
from kapre_cli.exit_codes import ExitCode
from kapre_cli.text import Argument, Text, counted, duration

_MIN_ENDED = 20  # inputs, before a share of an open number is compared


@dataclass(frozen=True)
class MaxFailures:
    """The number of inputs, or the percentage of them, that may fail."""

    number: float
    is_percent: bool = False

    def __post_init__(self) -> None:
        """Check the number."""
        if self.is_percent:
            if not 0 <= self.number <= 100:
                raise _invalid(f"{self.number:.12g}%")
        elif not (self.number >= 0 and float(self.number).is_integer()):
            raise _invalid(f"{self.number:.12g}")

    @classmethod
    def parse(cls, text: str) -> "MaxFailures":
        """Return the limit ``N`` or ``N%``; raise SettingsError for another text.

        >>> print(MaxFailures.parse("10"), MaxFailures.parse("2.5%"))
        10 2.5%
        """
        try:
            return cls(float(text.removesuffix("%")), text.endswith("%"))
        except ValueError:
            raise _invalid(text) from None

    def is_exceeded(self, n_failed: int, n_ended: int, n_inputs: int | None) -> bool:
        """Return whether more inputs have failed than may.

        ``n_ended`` inputs have ended, of ``n_inputs``. While that is not known (``None``), a share
        is one of those that have ended, from the 20th on.
        """
        if not self.is_percent:
            return n_failed > self.number
        if n_inputs is None and n_ended < _MIN_ENDED:
            return False
        return 100 * n_failed > self.number * (n_ended if n_inputs is None else n_inputs)

    def __str__(self) -> str:
        return f"{self.number:.12g}{'%' if self.is_percent else ''}"


def _invalid(text: str) -> SettingsError:
    rule = " must be a number of inputs, 0 or more, or a share from 0% to 100%. "
    return SettingsError(Text(Argument("max_failures"), f"{rule}Received: {text!r}"))


@dataclass
class RunResult:
    """Counts the inputs of a run, in one thread, while it passes events on.

    Attributes:
        emit: Receives the events of the run; without another observer they are logged.
        max_failures: How many inputs may fail; ``None``: all of them.
        is_detailed: Whether there are :class:`.InputDetails` events.
        failures: Failed inputs, in the order of failing; ``None``: they are not collected.
        n_expected: Number of inputs; ``None`` while that is not known.
        n_written: Inputs whose features are in the output, unless they were skipped.
        n_failed: Inputs without features.
        n_untried: Failed inputs that were not tried, since the run was stopped.
        n_skipped: Inputs whose features an earlier run has computed.
        n_read: Inputs that have been read to their end without failing, or need not be read.
        seconds: Seconds of audio of the written inputs.
        n_floored: Inputs, written or skipped, that ``amin`` leaves less than 80 dB of range.
        output: The output in its place, written by this run or an earlier one.
        kept: The kept work of a run that did not reach its end.
        is_broken: Whether the output, or something about it, could not be written.
    """

    emit: Observer = log
    max_failures: MaxFailures | None = None
    is_detailed: bool = False
    failures: list[InputFailed] | None = None
    n_expected: int | None = None
    n_written: int = 0
    n_failed: int = 0
    n_untried: int = 0
    n_skipped: int = 0
    n_read: int = 0
    seconds: float = 0.0
    n_floored: int = 0
    output: Path | None = None
    kept: WorkKept | None = None
    is_broken: bool = False

    def written(self, path: str, result: InputResult) -> None:
        """Count an input whose features are in the output."""
        self.n_written += 1
        self.n_floored += result.is_floored
        self.seconds += result.seconds or 0.0
        self.emit(InputWritten(path, result))

    def skipped(self, path: str, result: InputResult) -> None:
        """Count an input whose features an earlier run has computed."""
        self.n_skipped += 1
        self.n_floored += result.is_floored
        self.emit(InputSkipped(path, result))

    def failed(
        self,
        path: str,
        error: KapreExtractError,
        result: InputResult = NO_RESULT,
        n_alike: int = 1,
    ) -> None:
        """Count an input that failed by itself; see :class:`.InputFailed`."""
        self._failed(InputFailed(path, error, result, n_alike=n_alike))

    def stopped(
        self, path: str, error: KapreExtractError, result: InputResult, *, is_tried: bool
    ) -> None:
        """Count an input as failed whose features an error of the whole run has prevented."""
        self.n_untried += not is_tried
        self._failed(InputFailed(path, error, result, is_own=False, is_tried=is_tried))

    def _failed(self, failure: InputFailed) -> None:
        self.n_failed += 1
        if self.failures is not None:
            if failure.is_own:  # one that stops the run is being raised
                _drop_frames(failure.error)
            self.failures.append(failure)
        self.emit(failure)

    def check_failures(self, n_more: int = 0) -> None:
        """Raise TooManyFailuresError if more inputs have failed than allowed.

        ``n_more`` failed inputs are not counted yet.
        """
        allowed = self.max_failures
        if allowed is None:
            return
        n_failed = self.n_failed + n_more
        n_ended = max(self.n_inputs, self.n_failed + self.n_read) + n_more
        if allowed.is_exceeded(n_failed, n_ended, self.n_expected):
            raise TooManyFailuresError(n_failed, self.n_expected or n_ended, str(allowed))

    @property
    def n_inputs(self) -> int:
        """Number of inputs that have ended."""
        return self.n_written + self.n_failed + self.n_skipped

    def summary(self) -> str:
        """Return the last line: the counts, which add up, and the length of the audio."""
        counts = f"{self.n_written:,} written, {self.n_failed:,} failed"
        if self.n_untried:
            counts += f", {self.n_untried:,} of them not tried"
        if self.n_skipped:
            counts += f", {self.n_skipped:,} skipped"
        audio = f"{duration(self.seconds)} of audio"
        return f"{counted(self.n_inputs, 'input')}: {counts} ({audio})"

    @property
    def exit_code(self) -> ExitCode:
        """0 only if nothing failed."""
        return ExitCode.FAILED if self.n_failed or self.is_broken else ExitCode.OK


def _drop_frames(error: BaseException) -> None:
    """Release the variables of the functions that raised an error, such as samples."""
    errors = [error]
    for one in errors:  # and those that led to it, which are appended
        one.__traceback__ = None
        linked = (one.__cause__, one.__context__)
        errors += [other for other in linked if other is not None and other not in errors]
