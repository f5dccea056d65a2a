"""One run at a time for each output: a lock of the system, or a file that names its owner.

Some file systems have no locks (Lustre without flock, NFS without its lock daemon, some in user
space). There an :class:`OwnerFile` stands for one.
"""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from kapre_cli.errors import OutputError, UsageError, quoted
from kapre_cli.storage.disk import is_at
from kapre_cli.storage.owner_file import OwnerFile, is_owner_file

MARKER = b"kapre-extract: work in progress\n"  # what the file `lock` begins with

LOCK = "lock"

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class RunLock:
    """Keeps other runs out of a folder until it is released, or this process ends.

    Args:
        folder: The folder. It exists. What is done in it is done in this very folder, should
            somebody put another in its place.
        what: What is locked, for messages: an output's path.

    Attributes:
        folder: A descriptor of the folder.

    Raises:
        UsageError: If another run has the lock.
        FileNotFoundError: If the folder is removed meanwhile.
        OSError: If the lock's file cannot be made, or the folder is a link.
    """

    def __init__(self, folder: Path, what: Path) -> None:
        self._fd = -1
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self.folder = os.open(folder, flags)
        self._owner = OwnerFile(self.folder, folder, what)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(LOCK, flags, 0o600, dir_fd=self.folder)
            is_locked = try_lock(self._fd)
            if is_locked is None:
                self._owner.take()
            elif is_locked:
                self._owner.require_none()
            else:
                raise UsageError(
                    f"another run is writing {quoted(what)}; wait for it, or name another output"
                )
            if not is_at(self._fd, LOCK, self.folder):  # a run that ended just now removed it
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / LOCK))
            if os.fstat(self._fd).st_size == 0:
                os.pwrite(self._fd, MARKER, 0)
        except BaseException as error:
            is_failure = isinstance(error, (OSError, OutputError))
            if is_failure and self._fd >= 0 and os.fstat(self._fd).st_size == 0:  # made just now
                self.remove_files()
            self.release()
            raise

    @property
    def is_by_file(self) -> bool:
        """Whether the file system has no locks, and a file stands for one."""
        return self._owner.is_taken

    def remove_files(self) -> None:
        """Remove the lock's files; another run may then make its own."""
        self._owner.remove_leftovers()
        with suppress(FileNotFoundError):
            os.unlink(LOCK, dir_fd=self.folder)

    def release(self) -> None:
        """Let other runs in."""
        if self.folder < 0:
            return
        self._owner.release()
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self.folder)
        self._fd = self.folder = -1


def try_lock(fd: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file until it is closed.

    Args:
        fd: A descriptor of it.
        how: ``LOCK_EX``, or ``LOCK_SH`` for a lock that several processes may have.

    Returns:
        Whether it is locked now, and by no other process; ``None`` where there are no locks.

    Raises:
        OSError: If it cannot be locked for another reason.
    """
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_lock_file(name: str) -> bool:
    """Whether a file in a folder may be one of a lock's."""
    return name == LOCK or is_owner_file(name)


def is_marked(lock: Path) -> bool:
    """Whether a lock's file was made by this program, and is neither a link nor linked elsewhere.

    Raises:
        OSError: If that cannot be told.
    """
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        status = os.fstat(fd)
        is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        return is_plain and os.read(fd, len(MARKER) + 1) == MARKER
    finally:
        os.close(fd)
