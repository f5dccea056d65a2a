"""SIGTERM as an exception, so that a terminated run tidies up like an interrupted one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class Terminated(BaseException):
    """The process was asked to end."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raise :class:`Terminated` in the main thread when SIGTERM arrives."""

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
