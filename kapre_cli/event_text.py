"""Events as texts, and an observer that logs them."""

from collections.abc import Sequence

from kapre_cli.events import (
    ArrayDamaged,
    ArraysRemoved,
    ArraysRetained,
    DetailEvent,
    Event,
    FaultFound,
    InputDetails,
    InputFailed,
    InputWritten,
    Note,
    NoteEvent,
    OtherVersions,
    OutputUnchanged,
    ReducedRange,
    RunStarted,
    UnexpectedFound,
    Warned,
    WorkerDied,
    WorkKept,
)
from kapre_cli.text import Argument, Text, counted, duration, quoted

_NAMED = 3  # keys in a line


def log(event: Event) -> None:
    """Log the text of an event: the observer of a caller that has none.

    Failures are errors, notes are information, details are for debugging, the rest are warnings.
    """
    import logging  # not needed for --help

    if (text := event_text(event)) is None:
        return
    level = logging.WARNING
    if isinstance(event, InputFailed):
        level = logging.ERROR
    elif isinstance(event, NoteEvent):
        level = logging.INFO
    elif isinstance(event, DetailEvent):
        level = logging.DEBUG
    logging.getLogger("kapre_cli").log(level, "%s", text)


def event_text(event: Event) -> Text | None:
    """Return the text of an event, ``None`` for one that needs no line.

    An input that fails by the error that stops the run needs none: that error has one. Segments
    that fail by one error of their recording have one together.
    """
    match event:
        case InputWritten(path, result):
            return None if result.note is None else Text(f"{quoted(path)}: {result.note}")
        case InputFailed(path, error, _, is_own, _, n_alike):
            of = f", {n_alike:,} segments" if n_alike > 1 else ""
            return Text(f"{quoted(path)}{of}: ", error) if is_own and n_alike else None
        case Note(text) | Warned(text):
            return Text(text)
        case RunStarted(versions, _):
            return Text(", ".join(f"{name} {number}" for name, number in versions.items()))
        case InputDetails(key, is_reused, axes, shape, seconds):
            sizes = ", ".join(f"{axis} {n:,}" for axis, n in zip(axes, shape, strict=True))
            state = "kept" if is_reused else "done"
            return Text(f"{state}: {quoted(key)}: {sizes}; {duration(seconds)}")
        case WorkerDied(how, keys):
            more = f" and {len(keys) - _NAMED:,} more" if len(keys) > _NAMED else ""
            names = ", ".join(map(quoted, keys[:_NAMED]))
            return Text(
                f"a worker process died ({how}) before it had finished {names}{more}; "
                "each is tried once more, alone"
            )
        case ReducedRange(n_floored, n_inputs, amin):
            return Text(
                f"{n_floored:,} of {counted(n_inputs, 'input')} "
                f"{'has' if n_floored == 1 else 'have'} less than 80 dB of range: the largest "
                f"value is below 1e8 times amin ({amin:g}), to which smaller values are raised "
                "before the conversion to decibels. A smaller ",
                Argument("amin"),
                " gives the full range",
            )
        case OtherVersions(path, versions):
            return Text(
                f"the arrays in {quoted(path)} were computed with other versions "
                f"({', '.join(versions)}) and are kept; ",
                Argument("overwrite", True),
                " computes all of them again",
            )
        case ArrayDamaged(key, is_recomputed, error):
            action = "is recomputed" if is_recomputed else "will be removed"
            return Text(f"{quoted(key)} is damaged in the output and {action}: ", error)
        case ArraysRemoved(path, keys, n_hidden):
            hidden = (f"; {n_hidden:,} of them hidden: ", Argument("hidden", True), " keeps those")
            return Text(
                f"{counted(len(keys), 'array')} of {quoted(path)} will be removed, since no input "
                f"has its key: {_first(keys)}",
                *(hidden if n_hidden else ()),
            )
        case ArraysRetained(keys):
            return Text(
                f"{counted(len(keys), 'array')} of an earlier run "
                f"{'stays' if len(keys) == 1 else 'stay'}, since inputs cannot be read now: "
                f"{_first(keys)}"
            )
        case OutputUnchanged(path, is_complete):
            state = "left as it is: nothing new could be read"
            if is_complete:
                state = "up to date: nothing was computed"
            return Text(f"{quoted(path)} is {state}")
        case FaultFound(key, reason):
            return Text("wrong: ", "" if key is None else f"{quoted(key)}: ", reason)
        case UnexpectedFound(name):
            return Text(f"unexpected: {quoted(name)} is not of this output")
        case WorkKept():
            return _kept(event)
    return None


def _kept(work: WorkKept) -> Text:
    if work.n_inputs is None:
        done = f"the finished work of {counted(work.n_done, 'input')} is kept"
        goes_on = " goes on with it"
    else:
        parts = f" and parts of {work.n_begun:,} more" if work.n_begun else ""
        done = f"{work.n_done:,} of {counted(work.n_inputs, 'input')} done{parts}: kept"
        goes_on = " goes on"
    same = f"{done} in {quoted(work.folder)}; the same command with "
    return Text(same, Argument("resume", True), goes_on)


def _first(keys: Sequence[str]) -> str:
    return ", ".join(map(quoted, keys[:_NAMED])) + (", ..." if len(keys) > _NAMED else "")
