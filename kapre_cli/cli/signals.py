"""Signals that ask the process to end, as exceptions, so that its work is kept and tidied up."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from kapre_cli.exit_codes import STOP_SIGNALS, Stopped
from kapre_cli.version import PROGRAM

Handler = Callable[[int, object], None]

_HEARD = (*STOP_SIGNALS, signal.SIGPIPE)
# Modules in whose functions an exception could leave a lock taken, or be lost in a callback.
_FRAGILE = ("kapre_cli.formats.hdf5_target", "threading", "weakref", "_weakrefset")
# Modules that load others: modules in C may crash if an exception is raised meanwhile.
_LOADING = ("importlib._bootstrap", "_frozen_importlib")
# A terminal signals every process of a group, and so does timeout, beside the one it watches.
# A signal so soon after the first is the same request.
_SAME_REQUEST_SECONDS = 0.3
_SECONDS_TO_BE_HEARD = 0.05  # a main thread that does not wait has run the handler by then


class _Interruption:
    """Whether a signal may raise an exception at the main thread's current place.

    Attributes:
        base: The main thread's frame when signals began to be repeated until they are heard.
            ``None``: they are not repeated.
    """

    def __init__(self) -> None:
        self.base: FrameType | None = None
        self._place: tuple[FrameType | None, int] = (None, 0)
        self._since = 0.0

    def may_be(self, frame: FrameType | None) -> bool:
        """Return whether it may; a thread that has not moved for long waits, so it may."""
        while frame is not None and frame.f_globals is globals():
            frame = frame.f_back  # a second signal, within the handler of the first
        if frame is None or self.base is None:
            return True
        outer: FrameType | None = frame
        while outer is not None and outer is not self.base:
            if outer.f_globals.get("__name__") in _LOADING:
                return False
            outer = outer.f_back
        place, now = (frame, frame.f_lasti), time.monotonic()
        if place != self._place:
            self._place, self._since = place, now
        waits = now - self._since > _SECONDS_TO_BE_HEARD / 2
        return waits or frame.f_globals.get("__name__") not in _FRAGILE


_interruption = _Interruption()
may_interrupt = _interruption.may_be


@dataclass(frozen=True)
class _Hurry:
    """Handles a second request: end the process before its files are removed or closed."""

    remedy: str
    first: float  # when the first request came

    def __call__(self, number: int, _frame: object) -> None:
        if time.monotonic() - self.first > _SAME_REQUEST_SECONDS:
            sys.stderr.write(f"{PROGRAM}: stopped at once; {self.remedy}\n")
            os._exit(128 + number)


_remedies: list[str] = []  # for a second request; if there is none, it changes nothing


@contextmanager
def ending_at_once(remedy: str) -> Iterator[None]:
    """Let a second request end the process at once; only for this program's own process.

    The message names ``remedy``, which is what to do then.
    """
    _remedies.append(remedy)
    try:
        yield
    finally:
        _remedies.clear()


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread at the first signal of ``STOP_SIGNALS``.

    Further ones are ignored, because tidying up takes a moment, but see :func:`ending_at_once`. A
    signal that was ignored before, as by ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if not may_interrupt(frame):
            return
        pass_over(STOP_SIGNALS, _Hurry(_remedies[0], time.monotonic()) if _remedies else do_nothing)
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def do_nothing(_number: int, _frame: object) -> None:
    """Handle a signal without any effect."""


def pass_over(numbers: Iterable[int] = _HEARD, handler: Handler = do_nothing) -> None:
    """Let signals have no effect any more, within :func:`stoppable`: the work is done.

    They are not ignored by the system: Python would complain of one that has just arrived.
    """
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if callable(signal.getsignal(number)):
                signal.signal(number, handler)


@contextmanager
def heard() -> Iterator[None]:
    """Ensure that signals are handled although the main thread waits, for example for a pipe.

    Python runs a handler between two steps of the main thread. A signal that arrives after the last
    step and before the system call that waits is noted, and nothing wakes the call. So a thread
    sends it again until its handler has run and has been replaced.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    main = threading.get_ident()
    came, comes = os.pipe()
    os.set_blocking(comes, False)

    def repeat() -> None:
        while noted := os.read(came, 1):
            time.sleep(_SECONDS_TO_BE_HEARD)
            while noted[0] in _HEARD and _is_due(noted[0]):
                signal.pthread_kill(main, noted[0])
                time.sleep(_SECONDS_TO_BE_HEARD)

    before = signal.set_wakeup_fd(comes, warn_on_full_buffer=False)
    repeater = threading.Thread(target=repeat, name="signals", daemon=True)
    repeater.start()
    _interruption.base = sys._getframe(2)
    try:
        yield
    finally:
        _interruption.base = None
        signal.set_wakeup_fd(before)
        os.close(comes)
        repeater.join()
        os.close(came)


def _is_due(number: int) -> bool:
    """Return whether a signal has a handler of this program that has not run."""
    handler = signal.getsignal(number)
    return callable(handler) and handler is not do_nothing and not isinstance(handler, _Hurry)
