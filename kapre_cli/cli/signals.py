"""Signals that ask the process to end, as exceptions: finished work is kept, files are removed."""

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

_HANDLED = (*STOP_SIGNALS, signal.SIGPIPE)
# Modules in whose functions an exception could leave a lock taken, or be lost in a callback.
_FRAGILE = ("kapre_cli.formats.hdf5_target", "threading", "weakref", "_weakrefset")
# Modules that import others: modules in C may crash if an exception is raised meanwhile.
_IMPORTING = ("importlib._bootstrap", "_frozen_importlib")
# A terminal signals every process of a group, and timeout signals its group and its child.
# A signal so soon after the first is the same request.
_SAME_REQUEST_SECONDS = 0.3
_HANDLER_SECONDS = 0.05  # a main thread that does not wait has run the handler by then


class _MainThread:
    """Tells whether a signal may raise an exception at the main thread's current place.

    Attributes:
        base: The main thread's frame from which :func:`interruptible_waits` resends signals;
            ``None``: signals are not resent.
    """

    def __init__(self) -> None:
        self.base: FrameType | None = None
        self._place: tuple[FrameType | None, int] = (None, 0)
        self._since = 0.0

    def may_interrupt(self, frame: FrameType | None) -> bool:
        """Return whether an exception may be raised; a thread that has not moved for long waits."""
        while frame is not None and frame.f_globals is globals():
            frame = frame.f_back  # a second signal, within the handler of the first
        if frame is None or self.base is None:
            return True
        outer: FrameType | None = frame
        while outer is not None and outer is not self.base:
            if outer.f_globals.get("__name__") in _IMPORTING:
                return False
            outer = outer.f_back
        place, now = (frame, frame.f_lasti), time.monotonic()
        if place != self._place:
            self._place, self._since = place, now
        waits = now - self._since > _HANDLER_SECONDS / 2
        return waits or frame.f_globals.get("__name__") not in _FRAGILE


_main_thread = _MainThread()
may_interrupt = _main_thread.may_interrupt


@dataclass(frozen=True)
class _ExitNow:
    """Handler of a second request: ends the process before its files are removed or closed."""

    remedy: str
    first: float  # when the first request came

    def __call__(self, number: int, _frame: object) -> None:
        if time.monotonic() - self.first > _SAME_REQUEST_SECONDS:
            sys.stderr.write(f"{PROGRAM}: stopped at once; {self.remedy}\n")
            os._exit(128 + number)


_remedies: list[str] = []  # for a second request, which has no effect without one


@contextmanager
def exit_on_second_signal(remedy: str) -> Iterator[None]:
    """Let a second request end the process at once; only for this program's own process.

    The message names ``remedy``, which is what to do then.
    """
    _remedies.append(remedy)
    try:
        yield
    finally:
        _remedies.clear()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread at the first signal of ``STOP_SIGNALS``.

    Further ones have no effect, because removing files takes a moment, but see
    :func:`exit_on_second_signal`. A signal that was ignored before, as by ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if not may_interrupt(frame):
            return
        handler = _ExitNow(_remedies[0], time.monotonic()) if _remedies else do_nothing
        ignore_signals(STOP_SIGNALS, handler)
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


def ignore_signals(numbers: Iterable[int] = _HANDLED, handler: Handler = do_nothing) -> None:
    """Let signals have no effect any more, within :func:`stop_on_signals`: the work is done.

    They are not ignored by the system: Python would complain of one that has just arrived.
    """
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if callable(signal.getsignal(number)):
                signal.signal(number, handler)


@contextmanager
def interruptible_waits() -> Iterator[None]:
    """Ensure that signals are handled although the main thread waits, for example for a pipe.

    Python runs a handler between two steps of the main thread. A signal that arrives after the last
    step and before the system call that waits is recorded, and nothing wakes the call. So a thread
    sends it again until its handler has run and has been replaced.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    main = threading.get_ident()
    recorded, record = os.pipe()
    os.set_blocking(record, False)

    def resend() -> None:
        while number := os.read(recorded, 1):
            time.sleep(_HANDLER_SECONDS)
            while number[0] in _HANDLED and _is_due(number[0]):
                signal.pthread_kill(main, number[0])
                time.sleep(_HANDLER_SECONDS)

    before = signal.set_wakeup_fd(record, warn_on_full_buffer=False)
    thread = threading.Thread(target=resend, name="signals", daemon=True)
    thread.start()
    _main_thread.base = sys._getframe(2)
    try:
        yield
    finally:
        _main_thread.base = None
        signal.set_wakeup_fd(before)
        os.close(record)
        thread.join()
        os.close(recorded)


def _is_due(number: int) -> bool:
    """Return whether a signal has a handler of this program that has not run."""
    handler = signal.getsignal(number)
    return callable(handler) and handler is not do_nothing and not isinstance(handler, _ExitNow)
