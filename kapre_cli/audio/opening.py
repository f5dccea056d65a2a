"""Opening inputs so that nothing blocks."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kapre_cli.errors import AudioReadError

_SPECIAL_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_ERRORS_OF_SOCKETS = (errno.ENXIO, errno.EOPNOTSUPP)  # which cannot be opened at all


def open_regular(path: str) -> int:
    """Open a file for reading, unless it is one that could block or never end.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        AudioReadError: If it cannot be opened or is no regular file.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, OSError) and error.errno in _ERRORS_OF_SOCKETS and _is_socket(path):
            raise AudioReadError("it is a socket, not a regular file") from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise AudioReadError(f"cannot be opened: {reason}") from error
    mode = os.fstat(fd).st_mode
    for is_kind, kind in _SPECIAL_FILES:
        if is_kind(mode):
            os.close(fd)
            raise AudioReadError(f"it is {kind}, not a regular file")
    return fd


def _is_socket(path: str) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(os.stat(path).st_mode)
    return False


@contextmanager
def read_errors() -> Iterator[None]:
    """Turn what reading a file can run into into an error that says so.

    Raises:
        AudioReadError: For an error of the operating system or a want of memory.
    """
    try:
        yield
    except AudioReadError:
        raise
    except MemoryError as error:
        raise AudioReadError("there is not enough memory to read it") from error
    except OSError as error:
        raise AudioReadError(f"cannot be read: {error.strerror or error}") from error
