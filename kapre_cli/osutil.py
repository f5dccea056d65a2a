"""The operating system: descriptors, durable files, locks, atomic renames.

All calls that only POSIX has are here, so that a port to another system is this module.
"""

import errno
import os
import select
import stat
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from kapre_cli.errors import OutputError, StoredDataError, wrap_os_errors
from kapre_cli.text import in_bytes, quoted

with suppress(ImportError):  # Windows has none; see check_posix
    import fcntl
    import resource


_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_LACKING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
# Some file systems know no links to files, or forbid them to some users.
_NO_LINKS = (*_LACKING, errno.EPERM, errno.EACCES, errno.EMLINK)
# Network and user-space file systems have no fsync for folders, and some folders may be written
# and not read. Skipping it loses nothing that these systems would keep.
_FOLDER_CANNOT_SYNC = (*_LACKING, errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR)
_FREE_BYTES_UNKNOWN = (*_LACKING, errno.ESTALE)
_NO_LOCKS = (*_LACKING, errno.ENOLCK)

# Opening never waits, as it would for the writer of a named pipe, and no child inherits a file.
# Windows, where this module must still be imported, has neither.
_OPEN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def check_posix() -> None:
    """Raise ImportError if this system has no POSIX file locks."""
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


def max_open_files() -> int:
    """Return how many files this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


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


def open_to_read(
    path: str | os.PathLike[str], *, folder: int | None = None, follow_links: bool = True
) -> int:
    """Return a descriptor of a file, relative to the open ``folder``; never wait.

    Raise OSError if that fails, or ``path`` is a link that is not to be followed.
    """
    flags = os.O_RDONLY | _OPEN | (0 if follow_links else os.O_NOFOLLOW)
    return os.open(path, flags, dir_fd=folder)


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file, never wait; raise StoredDataError for anything else."""
    file = open_to_read(path)
    if not is_regular(file):
        os.close(file)
        raise StoredDataError(f"{quoted(path)} is not a plain file")
    return os.fdopen(file, "rb")


def open_folder(path: Path, *, follow_links: bool = True) -> int:
    """Return a descriptor of a folder, which stays that of this folder if it is moved."""
    flags = os.O_RDONLY | os.O_DIRECTORY | _OPEN | (0 if follow_links else os.O_NOFOLLOW)
    return os.open(path, flags)


def open_or_create(
    path: str | os.PathLike[str],
    mode: int = 0o666,
    *,
    folder: int | None = None,
    exclusive: bool = False,
) -> int:
    """Open a file to read and write, made if missing; no link is followed.

    With ``exclusive`` raise FileExistsError if it exists.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | _OPEN | (os.O_EXCL if exclusive else 0)
    return os.open(path, flags, mode, dir_fd=folder)


def read_at(descriptor: int, n_bytes: int, position: int, at_least: int | None = None) -> bytes:
    """Return up to ``n_bytes`` from a position, ``at_least`` so many before the end.

    A system call may return less than it is asked for; ``at_least`` is ``n_bytes`` by default.
    """
    data = os.pread(descriptor, n_bytes, position)
    while len(data) < (n_bytes if at_least is None else at_least):
        more = os.pread(descriptor, n_bytes - len(data), position + len(data))
        if not more:
            break
        data += more
    return data


def read_into(descriptor: int, buffer: memoryview, position: int) -> int:
    """Fill a buffer of bytes from a position; return the number of bytes read.

    One system call reads 2 GiB at most, and may read less.
    """
    left = buffer
    while left and (n_read := os.preadv(descriptor, [left], position)):
        left, position = left[n_read:], position + n_read
    return len(buffer) - len(left)


def write_at(descriptor: int, data: bytes | memoryview, position: int) -> int:
    """Write all of ``data`` at a position; return the position after it."""
    left = memoryview(data)
    while left:
        n_written = os.pwrite(descriptor, left, position)
        left, position = left[n_written:], position + n_written
    return position


def write_fully(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``, however slowly it is read; raise OSError if that fails."""
    left = memoryview(data).cast("B")
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # another program has made it non-blocking
            select.select([], [descriptor], [])


def write_all(descriptor: int, data: bytes | memoryview, name: object) -> None:
    """Write all of ``data``; messages call the descriptor ``name``.

    Raises:
        BrokenPipeError: If nobody reads the data any more.
        OutputError: If it cannot be written for another reason.
    """
    with wrap_os_errors(name):
        write_fully(descriptor, data)


def discard(descriptor: int) -> None:
    """Redirect a descriptor to the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


@contextmanager
def diverted(descriptor: int) -> Iterator[int]:
    """Redirect a descriptor to the null device in a block; yield a copy of it."""
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
    fd = open_to_read(path)
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
        if error.errno in _FREE_BYTES_UNKNOWN:
            return None
        raise
    if disk.f_blocks == 0:  # some network file systems report nothing but zeros
        return None
    return disk.f_bavail * disk.f_frsize


def check_free_bytes(folder: Path, n_bytes: int, subject: str) -> None:
    """Raise OutputError if fewer than ``n_bytes`` are free on the disk of ``folder``."""
    free = free_bytes(folder)
    if free is not None and n_bytes > free:
        raise OutputError(
            f"{subject} needs {in_bytes(n_bytes)} on the disk of {quoted(folder)}, "
            f"{in_bytes(free)} are free; free some, or name an output on another disk"
        )


def rename_to_new(source: Path, target: Path) -> None:
    """Rename a file or folder to a new name; raise FileExistsError if it exists.

    Where the system cannot do both at once, a file gets a second name before it loses the first;
    a file system without links leaves a moment between the check and the renaming.
    """
    if _renameat2(source, target, _RENAME_NOREPLACE):
        return
    if not source.is_dir() and link(source, target):
        os.unlink(source)
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    os.rename(source, target)


def link(source: str | Path, target: str | Path, folder: int | None = None) -> bool:
    """Give a file a second, new name, both in the open ``folder`` if there is one.

    Return ``False`` where the file system has no links; raise FileExistsError if the name exists.
    """
    try:
        os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return ``False`` where the system cannot."""
    return _renameat2(one, other, _RENAME_EXCHANGE)


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """Call Linux' ``renameat2``; return ``False`` if it is unsupported."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # not needed for --help

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
        found = os.stat(path, dir_fd=folder, follow_symlinks=follow_links)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Lock an open file until it is closed; return ``None`` where there are no locks.

    Return whether it is locked now, and by no other process. Several processes may have a shared
    lock.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_writable(descriptor: int) -> bool:
    """Whether a descriptor is open for writing."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def longest_name(folder: Path) -> int:
    """Return the bytes that a name in ``folder`` may have."""
    return os.pathconf(folder, "PC_NAME_MAX")


def longest_path(folder: Path) -> int:
    """Return the bytes that the path of a file on the disk of ``folder`` may have."""
    return os.pathconf(folder, "PC_PATH_MAX") - 1
