"""Signals that ask the process to end, as exceptions; executors of commands."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import click

from kapre_cli.exit_codes import STOP_SIGNALS, Stopped
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.extraction.executor import Executor

Handler = Callable[[int, object], None]

RESUME = "the same command with --resume goes on with what was kept"

_HANDLED = (*STOP_SIGNALS, signal.SIGPIPE)
# Modules in whose functions an exception could leave a lock locked, or be lost in a callback.
_FRAGILE = ("kapre_cli.formats.hdf5_target", "threading", "weakref", "_weakrefset")
# Modules that import others: modules in C may crash if an exception is raised meanwhile.
_IMPORTING = ("importlib._bootstrap", "_frozen_importlib")
# A terminal signals every process of a group, and timeout signals its group and its child.
# A signal so soon after the first is the same request.
_SAME_REQUEST_SECONDS = 0.3
_HANDLER_SECONDS = 0.05  # a main thread that does not wait has run the handler by then


class _MainThread:
    """Decides whether a signal may raise an exception in the main thread now.

    Attributes:
        base: The main thread's frame from which :func:`interruptible_waits` resends signals;
            ``None``: signals are not resent.
    """

    def __init__(self) -> None:
        self.base: FrameType | None = None
        self._position: tuple[FrameType | None, int] = (None, 0)
        self._since = 0.0

    def may_interrupt(self, frame: FrameType | None) -> bool:
        """Return whether an exception may be raised in ``frame``.

        A main thread that has not moved for long is waiting, and may be interrupted anywhere.
        """
        while frame is not None and frame.f_globals is globals():
            frame = frame.f_back  # a second signal, within the handler of the first
        if frame is None or self.base is None:
            return True
        outer: FrameType | None = frame
        while outer is not None and outer is not self.base:
            if outer.f_globals.get("__name__") in _IMPORTING:
                return False
            outer = outer.f_back
        position, now = (frame, frame.f_lasti), time.monotonic()
        if position != self._position:
            self._position, self._since = position, now
        waits = now - self._since > _HANDLER_SECONDS / 2
        return waits or frame.f_globals.get("__name__") not in _FRAGILE


_main_thread = _MainThread()
may_interrupt = _main_thread.may_interrupt


@dataclass(frozen=True)
class _ExitNow:
    """Handler of a second request: ends the process without removing its files."""

    remedy: str
    first: float  # time of the first request

    def __call__(self, number: int, _frame: object) -> None:
        if time.monotonic() - self.first > _SAME_REQUEST_SECONDS:
            sys.stderr.write(f"{PROGRAM}: stopped at once; {self.remedy}\n")
            os._exit(128 + number)


_remedies: list[str] = []  # for a second request, which has no effect without one


@contextmanager
def exit_on_second_signal(remedy: str) -> Iterator[None]:
    """Let a second request end the process at once, with ``remedy`` in its message.

    Only for this program's own process.
    """
    _remedies.append(remedy)
    try:
        yield
    finally:
        _remedies.clear()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread at the first of ``STOP_SIGNALS``.

    Further ones have no effect, so that files can be removed, but see
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
    """Let further signals have no effect, within :func:`stop_on_signals`.

    They are not ignored by the system: Python would complain of one that has just arrived.
    """
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if callable(signal.getsignal(number)):
                signal.signal(number, handler)


@contextmanager
def interruptible_waits() -> Iterator[None]:
    """Ensure that signals are handled while the main thread waits, say for a pipe.

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
            while number[0] in _HANDLED and _is_pending(number[0]):
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


def _is_pending(number: int) -> bool:
    """Return whether a signal has a handler of this program that has not run."""
    handler = signal.getsignal(number)
    return callable(handler) and handler is not do_nothing and not isinstance(handler, _ExitNow)


@contextmanager
def executor(
    n_jobs: int | None = None, remedy: str = RESUME, inherited: Collection[int] = ()
) -> Iterator["Executor"]:
    """Yield an executor. Signals interrupt waits within, and must not before.

    Args:
        n_jobs: Maximum number of workers; ``None``: one for each processor.
        remedy: What to do should a second request end the process at once.
        inherited: Descriptors of this process that workers read from.
    """
    if not click.get_current_context().obj:  # no worker may be forked
        from kapre_cli.extraction.executor import InProcess

        with InProcess() as in_process, interruptible_waits():
            yield in_process
        return
    from kapre_cli.extraction.local_workers import LocalWorkers
    from kapre_cli.osutil import n_processors

    with (
        LocalWorkers(n_jobs or n_processors(), inherited) as workers,
        interruptible_waits(),
        exit_on_second_signal(remedy),
    ):
        yield workers
