"""What is asked of the file system itself: durability, room, and swapping two names at once."""

import ctypes
import errno
import os
import sys
from pathlib import Path

from kapre_cli.errors import OutputError, quoted

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync(path: Path) -> None:
    """See a file or a folder through to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free on the disk of ``folder``."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def require_room(folder: Path, n_bytes: int, what: str) -> None:
    """Refuse to begin what cannot end: ``what`` needs ``n_bytes`` on the disk of ``folder``.

    Raises:
        OutputError: If fewer are free.
    """
    free = free_bytes(folder)
    if n_bytes > free:
        raise OutputError(
            f"{what} needs {in_bytes(n_bytes)} on the disk of {quoted(folder)}, "
            f"{in_bytes(free)} are free; free some, or name an output on another disk"
        )


def in_bytes(number: int) -> str:
    """Return a number of bytes in the unit that a reader would choose.

    >>> in_bytes(700), in_bytes(12_300_000_000)
    ('700 bytes', '12.3 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number} bytes"


def exchange(one: Path, other: Path) -> bool:
    """Swap what two names stand for in one step; return ``False`` where that cannot be had.

    Linux has it as ``renameat2``, which Python does not offer.

    Raises:
        OSError: If it can be had, and fails.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # the file system lacks it
        return False
    raise OSError(number, os.strerror(number), os.fspath(one))
