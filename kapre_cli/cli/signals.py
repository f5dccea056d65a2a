"""Signals that ask the process to end, as exceptions, so that its work is kept and tidied up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kapre_cli.report import STOPPING

_STOPPED_BY = {
    signal.SIGHUP: "hung up",
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
}


class Stopped(BaseException):
    """The process was asked to end.

    Attributes:
        number: Number of the signal that asked.
        left: What the run that it stopped has left.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.left = "no output was written or changed"

    def __str__(self) -> str:
        return f"{_STOPPED_BY[signal.Signals(self.number)]}: {self.left}"


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise :class:`Stopped` in the main thread at the first signal of ``STOPPING``.

    Further ones are ignored: tidying up takes a moment and is not to be disturbed. A signal that
    was ignored before, as ``nohup`` has it, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return
    stopped = False

    def stop(number: int, _frame: object) -> None:
        nonlocal stopped
        if stopped:
            return
        stopped = True
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
