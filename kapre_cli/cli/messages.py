"""Messages on standard error. One that cannot be written is lost; it never ends the work."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kapre_cli.descriptors import write_all


class _Descriptor(io.FileIO):
    """A file that takes all bytes, whether they can be written or not.

    Attributes:
        n_lost: How many writes have failed since :func:`lossy_messages`, in all of them.
    """

    n_lost = 0

    def write(self, data: Any) -> int:
        try:
            write_all(self.fileno(), bytes(data), "standard error")
        except OSError:  # a full disk, a reader that has left, a terminal that is gone
            _Descriptor.n_lost += 1
        return len(data)


def n_lost() -> int:
    """Return how many times a message of this run could not be written."""
    return _Descriptor.n_lost


@contextmanager
def messages_to(descriptor: int) -> Iterator[None]:
    """Let ``sys.stderr`` be a stream over a copy of ``descriptor`` that writing to never fails."""
    before = sys.stderr
    sys.stderr = io.TextIOWrapper(
        _Descriptor(os.dup(descriptor), "w"),
        encoding=before.encoding,
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


@contextmanager
def lossy_messages() -> Iterator[None]:
    """Let ``sys.stderr`` be a stream that writing to never fails, if it is a file of the system."""
    _Descriptor.n_lost = 0
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):  # a program in Python has put something else there
        yield
        return
    with messages_to(descriptor):
        yield
