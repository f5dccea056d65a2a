"""The operating system: descriptors, durable files, atomic renames. POSIX alone."""

import ctypes
import errno
import os
import select
import stat
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from kapre_cli.errors import OutputError, wrap_os_errors
from kapre_cli.text import in_bytes, quoted

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_LACKING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
# Some file systems know no links to files, or forbid them to some users.
NO_LINKS = (*_LACKING, errno.EPERM, errno.EACCES, errno.EMLINK)
# Network and user-space file systems have no fsync for folders, and some folders may be written
# and not read. Skipping it loses nothing that these systems would keep.
_FOLDER_CANNOT_SYNC = (*_LACKING, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR)
_CANNOT_TELL_FREE = (*_LACKING, errno.ESTALE)


def require_posix() -> None:
    """Check that this system has what every part of the package needs.

    Raises:
        ImportError: If it has not.
    """
    try:
        import fcntl  # noqa: F401 - Windows has none
    except ImportError:
        raise ImportError(
            f"this system ({sys.platform}) has no POSIX file locks; on Windows, use WSL2"
        ) from None


def n_processors() -> int:
    """Return how many processors this process may use, as a job scheduler allots them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Resource(AbstractContextManager[Any]):
    """A context manager that closes itself at the end of a ``with`` statement."""

    @abstractmethod
    def close(self) -> None:
        """Release resources."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def write_all(descriptor: int, data: bytes | memoryview, name: object) -> None:
    """Write all of ``data``, however slowly it is read; messages call the descriptor ``name``.

    Raises:
        BrokenPipeError: If nobody reads the data any more.
        OutputError: If it cannot be written for another reason.
    """
    left = memoryview(data)
    with wrap_os_errors(name):
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # another program has made it non-blocking
                select.select([], [descriptor], [])


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


def sync_file(path: Path) -> None:
    """Write a file through to the disk; raise OSError if that fails."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Write a folder's names through, where supported; raise OSError if that fails."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in _FOLDER_CANNOT_SYNC:
            raise


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes on the disk of ``folder``; ``None`` if unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        if error.errno in _CANNOT_TELL_FREE:
            return None
        raise
    if disk.f_blocks == 0:  # some network file systems report nothing but zeros
        return None
    return disk.f_bavail * disk.f_frsize


def require_free_bytes(folder: Path, n_bytes: int, what: str) -> None:
    """Raise OutputError if fewer than ``n_bytes`` are free on the disk of ``folder``."""
    free = free_bytes(folder)
    if free is not None and n_bytes > free:
        raise OutputError(
            f"{what} needs {in_bytes(n_bytes)} on the disk of {quoted(folder)}, "
            f"{in_bytes(free)} are free; free some, or name an output on another disk"
        )


def rename_to_new(source: Path, target: Path) -> None:
    """Rename a file or folder to a new name; raise FileExistsError if it exists.

    Where the system cannot do both at once, a file gets a second name before it loses the first;
    a file system without links leaves a moment between the check and the renaming.
    """
    if _renameat2(source, target, _RENAME_NOREPLACE):
        return
    if not source.is_dir():
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        else:
            os.unlink(source)
            return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    os.rename(source, target)


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return ``False`` where the system cannot."""
    return _renameat2(one, other, _RENAME_EXCHANGE)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Call Linux' ``renameat2``, which Python lacks; return ``False`` if it is unsupported."""
    if not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = (os.fsencode(source), os.fsencode(target))
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _LACKING:
        return False
    raise OSError(number, os.strerror(number), os.fspath(target))


def is_at(
    fd: int, path: str | Path, folder: int | None = None, *, follow_links: bool = False
) -> bool:
    """Whether an open file or folder is at ``path``, relative to the open ``folder``.

    With ``follow_links`` a link to it may be there.
    """
    try:
        there = os.stat(path, dir_fd=folder, follow_symlinks=follow_links)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(fd))
