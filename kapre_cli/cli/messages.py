"""Messages on standard error. One that cannot be written is lost; it never ends the run."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kapre_cli.osutil import write_all


class _Descriptor(io.FileIO):
    """A file whose writes never fail; ``n_lost`` counts the failed ones of all instances."""

    n_lost = 0

    def write(self, data: Any) -> int:
        try:
            write_all(self.fileno(), bytes(data), "standard error")
        except OSError:  # a full disk, a reader that has left, a closed terminal
            _Descriptor.n_lost += 1
        return len(data)


def n_lost() -> int:
    """Return how many messages of this run could not be written."""
    return _Descriptor.n_lost


@contextmanager
def messages_to(descriptor: int) -> Iterator[None]:
    """Let ``sys.stderr`` write to a copy of ``descriptor``, and never fail."""
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
    """Let writes to ``sys.stderr`` never fail, if it is a file of the system."""
    _Descriptor.n_lost = 0
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):  # a Python program has replaced it
        yield
        return
    with messages_to(descriptor):
        yield
