"""Events of a run: plain values, in the order in which they happen.

A function that works for a while takes an observer and calls it with each event, in one thread. An
exception that the observer raises ends the run. The text of an event is made where it is shown.
Seconds are seconds of audio.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from kapre_cli.errors import KapreExtractError
from kapre_cli.text import Text


class InputResult(NamedTuple):
    """Properties of an ended input, beside its path.

    Attributes:
        key: The name of its features; ``None`` if it is no input, such as a closed folder.
        shape: Shape of its array, if it has one.
        seconds: Seconds of audio in it.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
        note: A harmless peculiarity, if there is one.
        reference: The value at 0 dB of its array; ``None`` unless that is in decibels.
        reference_db: The same in decibels.
        is_floored: Whether ``amin`` leaves its array less than 80 dB of range.
    """

    key: str | None = None
    shape: tuple[int, ...] | None = None
    seconds: float | None = None
    work_seconds: float | None = None
    note: str | None = None
    reference: float | None = None
    reference_db: float | None = None
    is_floored: bool = False


NO_RESULT = InputResult()

# A run


class RunStarted(NamedTuple):
    """The run can no longer be rejected.

    Attributes:
        versions: Versions of the program and of libraries.
        n_inputs: Number of inputs; ``None`` if more may arrive.
    """

    versions: Mapping[str, str]
    n_inputs: int | None


class InputArrived(NamedTuple):
    """An input was named that was not known before.

    ``n_bytes`` is the size of its file, of a segment its length in microseconds.
    """

    key: str
    n_bytes: int


class InputsComplete(NamedTuple):
    """No more inputs arrive."""

    n_inputs: int


class WaitingForInputs(NamedTuple):
    """All inputs that have arrived are computed, and more may arrive."""


# The work on one input


class InputReused(NamedTuple):
    """An earlier run has computed all of an input."""

    key: str


class InputResumed(NamedTuple):
    """An earlier run has computed ``seconds`` of an input."""

    key: str
    seconds: float


class InputStarted(NamedTuple):
    """An input is opened."""

    key: str


class InputProgress(NamedTuple):
    """``seconds`` more of an input were computed.

    This run computes ``due`` seconds of it; the whole input has ``length``.
    """

    key: str
    due: float
    seconds: float
    length: float


class InputEnded(NamedTuple):
    """The work on an input has ended: all its frames are computed, or it has failed."""

    key: str


class InputDetails(NamedTuple):
    """All frames of an input are computed, or reused; only in a detailed run."""

    key: str
    is_reused: bool
    axes: Sequence[str]
    shape: tuple[int, ...]
    seconds: float


class WorkerDied(NamedTuple):
    """A worker process died, of ``how``; the inputs ``keys`` are retried, each alone."""

    how: str
    keys: Sequence[str]


# The result of each input: one of these


class InputWritten(NamedTuple):
    """The features of an input are in the output."""

    path: str
    result: InputResult


class InputSkipped(NamedTuple):
    """The features of an input, which an earlier run has computed, are in the output."""

    path: str
    result: InputResult


class InputFailed(NamedTuple):
    """An input has no features in the output.

    Attributes:
        is_own: Whether the error is of this input; else it stopped the whole run.
        is_tried: Whether the input was opened.
        n_alike: How many segments of the file fail by this error; 0 if an earlier event counts
            this one.
    """

    path: str
    error: KapreExtractError
    result: InputResult = NO_RESULT
    is_own: bool = True
    is_tried: bool = True
    n_alike: int = 1


# Phases after computing


class PhaseStarted(NamedTuple):
    """A phase over arrays starts; ``seconds`` is their sum, if that is known."""

    name: Literal["writing", "reading back", "checking"]
    n_inputs: int
    seconds: float | None = None


class PhaseProgress(NamedTuple):
    """``seconds`` more of an input were written or checked."""

    seconds: float


class PhaseInputEnded(NamedTuple):
    """One more input, of this length, was written or checked."""

    seconds: float = 0.0


# Faults of an output that is verified


class FaultFound(NamedTuple):
    """A fault of the array ``key``, or of the output as a whole (``None``)."""

    key: str | None
    reason: Text | str


class UnexpectedFound(NamedTuple):
    """A file or an object that does not belong to the output."""

    name: str


# Notes need no action, warnings may


class Note(NamedTuple):
    """Something harmless and unusual, in a sentence."""

    text: Text | str


class Warned(NamedTuple):
    """Something that may be wrong, in a sentence; it may be emitted several times."""

    text: Text | str


class ReducedRange(NamedTuple):
    """``n_floored`` inputs are so quiet that ``amin`` leaves less than 80 dB of range."""

    n_floored: int
    n_inputs: int
    amin: float


class OtherVersions(NamedTuple):
    """The arrays at ``path`` stay; they were computed with these other versions."""

    path: object
    versions: Sequence[str]


class ArrayDamaged(NamedTuple):
    """An array of the earlier output is damaged; it is recomputed or removed."""

    key: str
    is_recomputed: bool
    error: KapreExtractError


class ArraysRemoved(NamedTuple):
    """Arrays of the earlier output are removed, since no input has their key."""

    path: object
    keys: Sequence[str]
    n_hidden: int


class ArraysRetained(NamedTuple):
    """Arrays of an earlier run stay, since their inputs cannot be read now."""

    keys: Sequence[str]


class OutputUnchanged(NamedTuple):
    """Nothing is written; ``is_complete``: the earlier output has all inputs."""

    path: object
    is_complete: bool


class WorkKept(NamedTuple):
    """The finished work of a run is kept in ``folder``, for a run that resumes.

    Attributes:
        n_begun: Inputs of which only parts are computed.
        n_inputs: All inputs; ``None``: the run has tried all of them.
    """

    folder: object
    n_done: int
    n_begun: int = 0
    n_inputs: int | None = None


NoteEvent = (
    Note
    | OtherVersions
    | ArrayDamaged
    | ArraysRemoved
    | ArraysRetained
    | OutputUnchanged
    | InputWritten
)
WarningEvent = Warned | ReducedRange
DetailEvent = RunStarted | InputDetails
InputEvent = InputArrived | InputReused | InputResumed | InputStarted | InputProgress | InputEnded
ResultEvent = InputWritten | InputSkipped | InputFailed
PhaseEvent = PhaseStarted | PhaseProgress | PhaseInputEnded
FaultEvent = FaultFound | UnexpectedFound
StateEvent = InputsComplete | WaitingForInputs | WorkerDied | WorkKept
Event = (
    InputEvent
    | ResultEvent
    | PhaseEvent
    | FaultEvent
    | StateEvent
    | NoteEvent
    | WarningEvent
    | DetailEvent
)

Observer = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Ignore an event."""
