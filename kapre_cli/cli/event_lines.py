"""Events of a run as lines of text."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kapre_cli.cli.options import error_text
from kapre_cli.errors import SampleRateError, UnexpectedError
from kapre_cli.events import (
    ArrayDamaged,
    ArraysRemoved,
    ArraysRetained,
    DetailEvent,
    Event,
    FaultFound,
    InputDetails,
    InputFailed,
    InputProgress,
    InputStarted,
    InputWritten,
    Note,
    NoteEvent,
    OtherVersions,
    OutputUnchanged,
    PhaseInputEnded,
    PhaseProgress,
    ReducedRange,
    RunStarted,
    UnexpectedFound,
    Warned,
    WarningEvent,
    WorkerDied,
    WorkKept,
)
from kapre_cli.run_result import RunResult
from kapre_cli.text import counted, duration, quoted

_NAMED = 3  # keys in a line
_MANY = 10  # failures of a kind that get a line of their own
_MOST_KINDS = 1000  # that are counted
_LONGEST_KIND = 300  # characters

_FREQUENT = frozenset({InputProgress, InputStarted, PhaseInputEnded, PhaseProgress})  # no lines

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
        if isinstance(event, InputFailed):
            self._failed(event)
        elif (text := event_text(event)) is None:
            return
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

    def _failed(self, event: InputFailed) -> None:
        if not event.is_own:
            return  # the error that stopped the run has a line
        self._print_line(f"failed: {quoted(event.path)}: {error_text(event.error)}")
        if isinstance(event.error, UnexpectedError):
            if self._verbose:
                self._print_line(event.error.trace)
            else:
                self._warn("--verbose shows where an unexpected exception was raised")
        self.failures.add(event.error)


def event_text(event: Event) -> str | None:
    """Return the text of an event, ``None`` for one that needs no line."""
    match event:
        case InputWritten(path, result):
            return None if result.note is None else f"{quoted(path)}: {result.note}"
        case Note(text) | Warned(text):
            return error_text(text)
        case RunStarted(versions, _):
            return ", ".join(f"{name} {number}" for name, number in versions.items())
        case InputDetails(key, is_reused, axes, shape, seconds):
            sizes = ", ".join(f"{axis} {n:,}" for axis, n in zip(axes, shape, strict=True))
            return f"{'kept' if is_reused else 'done'}: {quoted(key)}: {sizes}; {duration(seconds)}"
        case WorkerDied(how, keys):
            more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
            names = ", ".join(map(quoted, keys[:_NAMED]))
            return (
                f"a worker process died ({how}) before it had finished {names}{more}; "
                "each is tried once more, alone"
            )
        case ReducedRange(n_floored, n_inputs, amin):
            return (
                f"{n_floored:,} of {counted(n_inputs, 'input')} "
                f"{'has' if n_floored == 1 else 'have'} less than 80 dB of range: the largest "
                f"value is below 1e8 times amin ({amin:g}), to which smaller values are raised "
                "before the conversion to decibels. A smaller --amin gives the full range"
            )
        case OtherVersions(path, versions):
            return (
                f"the arrays in {quoted(path)} were computed with other versions "
                f"({', '.join(versions)}) and are kept; --overwrite computes all of them again"
            )
        case ArrayDamaged(key, is_recomputed, error):
            action = "is recomputed" if is_recomputed else "will be removed"
            return f"{quoted(key)} is damaged in the output and {action}: {error_text(error)}"
        case ArraysRemoved(path, keys, n_hidden):
            hidden = f"; {n_hidden:,} of them hidden: --hidden keeps those" if n_hidden else ""
            return (
                f"{counted(len(keys), 'array')} of {quoted(path)} will be removed, since no input "
                f"has its key: {_first(keys)}{hidden}"
            )
        case ArraysRetained(keys):
            return (
                f"{counted(len(keys), 'array')} of an earlier run "
                f"{'stays' if len(keys) == 1 else 'stay'}, since inputs cannot be read now: "
                f"{_first(keys)}"
            )
        case OutputUnchanged(path, is_complete):
            state = "left as it is: nothing new could be read"
            if is_complete:
                state = "up to date: nothing was computed"
            return f"{quoted(path)} is {state}"
        case FaultFound(key, reason):
            name = "" if key is None else f"{quoted(key)}: "
            return f"wrong: {name}{error_text(reason)}"
        case UnexpectedFound(name):
            return f"unexpected: {quoted(name)} is not of this output"
        case WorkKept():
            return _kept(event)
    return None


def _kept(work: WorkKept) -> str:
    if work.n_inputs is None:
        return (
            f"the finished work of {counted(work.n_done, 'input')} is kept in "
            f"{quoted(work.folder)}; the same command with --resume goes on with it"
        )
    parts = f" and parts of {work.n_begun:,} more" if work.n_begun else ""
    return (
        f"{work.n_done:,} of {counted(work.n_inputs, 'input')} done{parts}: kept in "
        f"{quoted(work.folder)}; the same command with --resume goes on"
    )


def _first(keys: Sequence[str]) -> str:
    return ", ".join(map(quoted, keys[:_NAMED])) + (", ..." if len(keys) > _NAMED else "")


def summary(result: RunResult) -> str:
    """Return the last line: the counts, which add up, and the length of the audio."""
    counts = f"{result.n_written:,} written, {result.n_failed:,} failed"
    if result.n_untried:
        counts += f", {result.n_untried:,} of them not tried"
    if result.n_skipped:
        counts += f", {result.n_skipped:,} skipped"
    audio = f"{duration(result.seconds)} of audio"
    return f"{counted(result.n_inputs, 'input')}: {counts} ({audio})"


class FailureCounts:
    """Counts failures by kind: other sample rates, and similar reasons."""

    def __init__(self) -> None:
        self._kinds = Counter[str]()
        self._rates = Counter[int]()
        self._wanted = 0

    def add(self, error: Exception) -> None:
        """Count one input."""
        if isinstance(error, SampleRateError):
            self._wanted = error.wanted
            self._rates[error.sr] += 1
            return
        reason = error_text(error)[:_LONGEST_KIND]
        kind = _NUMBER.sub("N", _NAME.sub("'...'", reason))
        if kind in self._kinds or len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] += 1

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
