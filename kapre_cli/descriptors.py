"""Bytes to a descriptor that may lead into a pipe."""

import os
import select
from collections.abc import Callable

from kapre_cli.errors import OutputError, writing


def write_all(
    descriptor: int,
    data: bytes | memoryview,
    name: object,
    at_once: int = 2**20,
    wrote: Callable[[int], None] = lambda _: None,
) -> None:
    """Write all of ``data``, however slowly it is read.

    Args:
        descriptor: Where it goes.
        data: Bytes.
        name: What the place is called in messages.
        at_once: How many bytes are handed over at once, at most.
        wrote: Called with the number of bytes each time that some have been taken.

    Raises:
        BrokenPipeError: If nobody reads them any more.
        OutputError: If they cannot be written for another reason.
    """
    left = memoryview(data)
    try:
        with writing(name):
            while left:
                try:
                    n_bytes = os.write(descriptor, left[:at_once])
                except BlockingIOError:  # another program has made it so
                    select.select([], [descriptor], [])
                    continue
                wrote(n_bytes)
                left = left[n_bytes:]
    except OutputError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise
