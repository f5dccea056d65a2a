"""Events of a run as lines of text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator

from kapre_cli.cli.options import as_option, error_text
from kapre_cli.errors import SampleRateError, UnexpectedError
from kapre_cli.event_text import event_text
from kapre_cli.events import (
    DetailEvent,
    Event,
    InputEnded,
    InputFailed,
    InputProgress,
    InputStarted,
    NoteEvent,
    PhaseInputEnded,
    PhaseProgress,
    WarningEvent,
)

_MANY = 10  # failures of a kind that get a line of their own
_MOST_KINDS = 1000  # that are counted
_LONGEST_KIND = 300  # characters

# They have no lines.
_FREQUENT = frozenset({InputEnded, InputProgress, InputStarted, PhaseInputEnded, PhaseProgress})

# The parts of a reason that differ between inputs.
_NAME = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""")
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")


class EventLines:
    """An observer that prints a line for each event of interest to a person.

    ``quiet`` leaves notes out, ``verbose`` adds details. ``failures`` counts failed inputs by kind.
    """

    def __init__(
        self, print_line: Callable[[str], None], *, quiet: bool = False, verbose: bool = False
    ) -> None:
        self._print_line = print_line
        self._quiet = quiet
        self._verbose = verbose
        self._warned: set[str] = set()
        self.failures = FailureCounts()

    def __call__(self, event: Event) -> None:
        """Print an event, a warning only once."""
        if type(event) in _FREQUENT:
            return
        if (found := event_text(event)) is None:
            return
        text = found.spelled(as_option)
        if isinstance(event, InputFailed):
            self._failed(event, text)
        elif isinstance(event, NoteEvent):
            if not self._quiet:
                self._print_line(f"note: {text}")
        elif isinstance(event, WarningEvent):
            self._warn(text)
        elif self._verbose or not isinstance(event, DetailEvent):
            self._print_line(text)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._print_line(f"warning: {text}")

    def _failed(self, event: InputFailed, text: str) -> None:
        self._print_line(f"failed: {text}")
        if isinstance(event.error, UnexpectedError):
            if self._verbose:
                self._print_line(event.error.trace)
            else:
                self._warn("--verbose shows where an unexpected exception was raised")
        self.failures.add(event.error, event.n_alike)


class FailureCounts:
    """Counts failures by kind: other sample rates, and similar reasons."""

    def __init__(self) -> None:
        self._kinds = Counter[str]()
        self._rates = Counter[int]()
        self._wanted = 0

    def add(self, error: Exception, number: int = 1) -> None:
        """Count inputs that fail by one error."""
        if isinstance(error, SampleRateError):
            self._wanted = error.wanted
            self._rates[error.sr] += number
            return
        reason = error_text(error)[:_LONGEST_KIND]
        kind = _NUMBER.sub("N", _NAME.sub("'...'", reason))
        if kind in self._kinds or len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] += number

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind of many failures, the most frequent first."""
        if self._rates.total() >= _MANY:
            yield self._other_rates()
        for kind, number in self._kinds.most_common():
            if number >= _MANY:
                yield f"{number:,} inputs failed: {kind}"

    def _other_rates(self) -> str:
        rates = self._rates.most_common()
        each = ", ".join(f"{sr:,} Hz in {number:,}" for sr, number in rates)
        which = "their rate" if len(rates) == 1 else "the rate of most of them"
        return (
            f"{self._rates.total():,} inputs failed: other sample rates than this run's "
            f"{self._wanted:,} Hz ({each}); --resample converts them, --sr {rates[0][0]} makes a "
            f"run at {which}"
        )
