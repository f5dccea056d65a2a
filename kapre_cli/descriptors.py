"""Write to descriptors, which may lead into pipes, redirect them and query them."""

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from kapre_cli.errors import OutputError, writing


def write_all(descriptor: int, data: bytes | memoryview, name: object) -> None:
    """Write all of ``data``, however slowly it is read; messages call the descriptor ``name``.

    Raises:
        BrokenPipeError: If nobody reads the data any more.
        OutputError: If it cannot be written for another reason.
    """
    left = memoryview(data)
    try:
        with writing(name):
            while left:
                try:
                    left = left[os.write(descriptor, left) :]
                except BlockingIOError:  # another program has made it non-blocking
                    select.select([], [descriptor], [])
    except OutputError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise


def discard(descriptor: int) -> None:
    """Redirect a descriptor to the null device."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def diverted(descriptor: int) -> Iterator[int]:
    """Redirect a descriptor to the null device for the time of a block; yield a copy of it."""
    copy = os.dup(descriptor)
    discard(descriptor)
    try:
        yield copy
    finally:
        os.dup2(copy, descriptor)
        os.close(copy)


def is_regular(descriptor: int) -> bool:
    """Return whether a descriptor leads into a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
