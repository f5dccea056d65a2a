"""Bytes to a descriptor that may lead into a pipe, and what else a descriptor tells."""

import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from kapre_cli.errors import OutputError, writing


def write_all(descriptor: int, data: bytes | memoryview, name: object) -> None:
    """Write all of ``data``, however slowly it is read.

    Args:
        descriptor: Where it goes.
        data: Bytes.
        name: What the place is called in messages.

    Raises:
        BrokenPipeError: If nobody reads them any more.
        OutputError: If they cannot be written for another reason.
    """
    left = memoryview(data)
    try:
        with writing(name):
            while left:
                try:
                    left = left[os.write(descriptor, left) :]
                except BlockingIOError:  # another program has made it so
                    select.select([], [descriptor], [])
    except OutputError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise


def discard(descriptor: int) -> None:
    """Let a descriptor lead nowhere: what is written to it is lost."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def diverted(descriptor: int) -> Iterator[int]:
    """Give a copy of a descriptor, which itself leads nowhere meanwhile."""
    copy = os.dup(descriptor)
    discard(descriptor)
    try:
        yield copy
    finally:
        os.dup2(copy, descriptor)
        os.close(copy)


def is_regular(descriptor: int) -> bool:
    """Whether a descriptor leads into a file that keeps what is written."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
