"""Progress of a run: amounts, speed and the time left, for a bar or a line."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kapre_cli import events
from kapre_cli.events import Event
from kapre_cli.inputs import Source
from kapre_cli.text import clock_time, counted, duration, in_bytes

Clock = Callable[[], float]

_SPEED_SECONDS = 60.0  # that the speed is averaged over
_MARK_SECONDS = 1.0
_FEWEST_CELLS = 6  # of a bar


class Speed:
    """Progress per second, averaged over the last minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, float]] = deque()

    def mark(self, done: float) -> None:
        """Record how much is done now."""
        now = self._clock()
        if not self._marks or now - self._marks[-1][0] >= _MARK_SECONDS:
            self._marks.append((now, done))
            while len(self._marks) > 2 and self._marks[1][0] <= now - _SPEED_SECONDS:
                self._marks.popleft()

    def forget(self) -> None:
        """Start again at the next mark."""
        self._marks.clear()

    def now(self, done: float) -> float | None:
        """Return the speed, ``None`` while it is not known."""
        if not self._marks:
            return None
        since, before = self._marks[0]
        elapsed = self._clock() - since
        return (done - before) / elapsed if elapsed > 0 and done > before else None


@dataclass(frozen=True)
class Status:
    """The progress of a phase of a run.

    Attributes:
        name: The phase; empty for computing.
        share: The fraction that is done; ``None`` while the phase waits for what ``name`` names.
        left: Seconds until its end, ``None`` if that is not known.
        details: The amounts and the speed, the most important first.
    """

    name: str
    share: float | None
    left: float | None
    details: tuple[str, ...]

    def line(self) -> str:
        """Return it as a message."""
        start = () if self.share is None else (self._left, self._percent)
        return f"progress: {', '.join(filter(None, (self.name, *start, *self.details)))}"

    def layout(self, width: int, elapsed: float) -> str:
        """Return a format of tqdm's, with ``{bar}`` in it if a bar fits.

        The time left and the share are first, then as many details as fit.
        """
        if self.share is None:
            return (self.name + self._details(", ", width - len(self.name), elapsed))[:width]
        start = f"{self._left} {self._percent:>4}"
        if self.name:
            start = f"{self.name}: {start}"
        room = width - len(start) - _FEWEST_CELLS - len("||")
        if room < 0:
            return start[:width]
        return f"{start}|{{bar}}|{self._details(' ', room, elapsed)}"

    def _details(self, separator: str, room: int, elapsed: float) -> str:
        """Return the details that fit, after separators, and the time since the start."""
        text = ""
        for detail in self.details:
            more = f"{', ' if text else separator}{detail}"
            text += more if len(text) + len(more) <= room else ""
        clock = f" [{clock_time(elapsed)}]"
        return text + (clock if len(text) + len(clock) <= room else "")

    @property
    def _left(self) -> str:
        return f"{'?' if self.left is None else clock_time(self.left)} left"

    @property
    def _percent(self) -> str:
        return f"{100 * (self.share or 0.0):.0f}%"


class ComputePhase:
    """The phase that computes, measured in seconds of audio.

    The length of an unopened input is estimated from its bytes and the lengths of opened ones.
    What earlier runs have computed does not count.

    ``sources`` are key and amount of each known input, see :attr:`.Source.amount`; more may
    arrive if it ``grows``.
    ``stream`` is standard input, if that is an input.
    """

    def __init__(
        self,
        sources: Iterable[tuple[str, int]],
        *,
        grows: bool = False,
        stream: Source | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.done = 0.0
        self._speed = Speed(clock)
        self._resumed: dict[str, float] = {}  # of each input that earlier runs have done a part of
        self._left: dict[str, float] = {}  # of each input that is being computed
        self._unopened: dict[str, int] = {}
        self._bytes_unopened = 0
        self._bytes_opened = 0
        self._seconds_opened = 0.0
        self._n_inputs = 0
        self._n_ended = 0
        self._n_reused = 0
        for key, n_bytes in sources:
            self.arrived(key, n_bytes)
        self._grows = self._is_waiting = grows
        self._stream = stream

    def arrived(self, key: str, n_bytes: int) -> None:
        """Add an input that has arrived."""
        self._stream = None
        self._is_waiting = False
        self._unopened[key] = max(n_bytes, 1)
        self._bytes_unopened += self._unopened[key]
        self._n_inputs += 1

    def complete(self, _n_inputs: int) -> None:
        """Record that no more inputs arrive."""
        self._grows = self._is_waiting = False

    def reused(self, key: str) -> None:
        """Leave out an input that an earlier run has computed."""
        self._open(key)
        self._n_inputs -= 1
        self._n_reused += 1

    def resumed(self, key: str, seconds: float) -> None:
        """Leave out the part of an input that an earlier run has computed."""
        self._resumed[key] = seconds

    def computed(self, key: str, to_compute: float, seconds: float, length: float) -> None:
        """Record computed seconds, of the seconds to compute of an input of this length."""
        self._is_waiting = False
        if key in self._unopened:
            self._bytes_opened += self._open(key)
            self._seconds_opened += length
            self._left[key] = to_compute
        if key in self._left:
            self._left[key] -= seconds
        self.done += seconds
        self._speed.mark(self.done)

    def ended(self, key: str) -> None:
        """Count an input that has been computed or has failed."""
        self._open(key)
        self._left.pop(key, None)
        self._n_ended += 1

    def _open(self, key: str) -> int:
        """Exclude an input from the estimate; return its bytes."""
        n_bytes = self._unopened.pop(key, 0)
        self._bytes_unopened -= n_bytes
        self._resumed.pop(key, None)
        return n_bytes

    @property
    def total(self) -> float | None:
        """All seconds of audio to compute; ``None`` as long as they cannot be estimated."""
        if not self._bytes_opened:
            return None
        unopened = self._bytes_unopened * self._seconds_opened / self._bytes_opened
        unopened = max(unopened - sum(self._resumed.values()), 0.0)
        return self.done + max(sum(self._left.values()), 0.0) + unopened

    def waiting(self) -> None:
        """Record that all inputs that have arrived are computed, and more may arrive."""
        self._is_waiting = self._grows
        self._speed.forget()

    def status(self) -> Status:
        """Return the current status."""
        if self._stream is not None:
            so_far = f"{in_bytes(self._stream.size)} so far"
            return Status("waiting for standard input", None, None, (so_far,))
        ended = f"{self._n_ended:,}/" if self._n_inputs else ""
        inputs = f"{ended}{counted(self._n_inputs, 'input')}"
        if self._grows:
            inputs += " so far"
        if self._n_reused:
            inputs += f" ({self._n_reused:,} kept)"
        if self._is_waiting:
            return Status("waiting for the list of inputs", None, None, (inputs,))
        return _status("", self.done, self.total, self._speed.now(self.done), inputs)


class ArrayPhase:
    """A phase that goes through arrays, measured in seconds of their audio.

    ``seconds`` is the sum; ``None``: it is not known, and inputs are counted.
    """

    def __init__(
        self, name: str, n_inputs: int, seconds: float | None, *, clock: Clock = time.monotonic
    ) -> None:
        self._name = name
        self._n_inputs = n_inputs
        self._seconds = seconds
        self._n_ended = 0
        self._seconds_ended = 0.0  # of the inputs that have ended
        self._seconds_open = 0.0  # done of the others
        self._speed = Speed(clock)
        self._speed.mark(0.0)

    def advanced(self, seconds: float) -> None:
        """Record that ``seconds`` more are done, of inputs that have not ended."""
        self._seconds_open += seconds
        self._speed.mark(self._done)

    def ended(self, seconds: float) -> None:
        """Record that an input of this length has ended."""
        self._seconds_open = max(self._seconds_open - seconds, 0.0)
        self._seconds_ended += seconds
        self._n_ended += 1
        self._speed.mark(self._done)

    @property
    def _done(self) -> float:
        if self._seconds is None:
            return self._n_ended
        return min(self._seconds_ended + self._seconds_open, self._seconds)

    def status(self) -> Status:
        """Return the current status."""
        inputs = f"{self._n_ended:,}/{counted(self._n_inputs, 'input')}"
        is_audio = self._seconds is not None
        total = self._seconds if is_audio else self._n_inputs
        speed = self._speed.now(self._done)
        return _status(self._name, self._done, total, speed, inputs, is_audio=is_audio)


class RunProgress:
    """The phase that a run is in, kept up to date by its events.

    ``sources`` are the known inputs, ``None`` if no audio is read; more may arrive if it ``grows``.
    """

    def __init__(
        self,
        sources: Sequence[Source] | None = None,
        *,
        grows: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._phase: ComputePhase | ArrayPhase | None = None
        # Handlers of the frequent events, whose fields are their arguments.
        self._handlers: dict[type[Event], Callable[..., None]] = {}
        if sources is not None:
            files = [(source.key, source.amount) for source in sources if not source.is_stream]
            stream = next((source for source in sources if source.is_stream), None)
            computing = ComputePhase(files, grows=grows, stream=stream, clock=clock)
            self._phase = computing
            self._handlers = {
                events.InputArrived: computing.arrived,
                events.InputsComplete: computing.complete,
                events.InputReused: computing.reused,
                events.InputResumed: computing.resumed,
                events.InputProgress: computing.computed,
                events.InputEnded: computing.ended,
            }

    def takes(self, event: Event) -> bool:
        """Record a frequent event; return whether it was one."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return False
        handler(*event)
        return True

    def wait(self) -> None:
        """Record that all inputs that have arrived are computed, and more may arrive."""
        if isinstance(self._phase, ComputePhase):
            self._phase.waiting()

    def start(self, event: events.PhaseStarted) -> None:
        """Begin a phase that goes through arrays."""
        self._phase = phase = ArrayPhase(*event, clock=self._clock)
        self._handlers[events.PhaseProgress] = phase.advanced
        self._handlers[events.PhaseInputEnded] = phase.ended

    def status(self) -> Status | None:
        """Return the current status, ``None`` before the first phase."""
        return None if self._phase is None else self._phase.status()


def _status(
    name: str,
    done: float,
    total: float | None,
    speed: float | None,
    inputs: str,
    *,
    is_audio: bool = True,
) -> Status:
    details = [inputs]
    if is_audio and total is not None:
        details.insert(0, f"{duration(done)} of {duration(total)} of audio")
    if is_audio and speed is not None:
        details.append(f"{speed:,.{0 if speed >= 10 else 1}f} x real time")
    share = min(done / total, 1.0) if total else 0.0
    left = None if total is None or speed is None else max(total - done, 0.0) / speed
    return Status(name, share, left, tuple(details))
