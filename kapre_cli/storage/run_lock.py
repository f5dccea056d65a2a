"""One run at a time for each output: a lock of the system, or a file that names its owner.

Some file systems have no locks (Lustre without flock, NFS without its lock daemon, some in user
space). There the file ``owner`` is created exclusively. A process that is killed leaves it behind;
the next run on the same machine sees that the process is gone.
"""

import errno
import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from kapre_cli.descriptors import write_all
from kapre_cli.errors import UsageError, quoted

MARKER = b"kapre-extract: work in progress\n"  # what the file `lock` begins with

LOCK = "lock"
OWNER = "owner"

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_MOST_BYTES = 2**12


class RunLock:
    """Keeps other runs out of a folder until it is released, or this process ends.

    Args:
        folder: The folder. It exists.
        what: What is locked, for messages: an output's path.

    Attributes:
        is_by_file: Whether the file system has no locks, and the file ``owner`` stands for one.

    Raises:
        UsageError: If another run has the lock.
        FileNotFoundError: If the folder is removed meanwhile.
        OSError: If the lock's file cannot be made.
    """

    def __init__(self, folder: Path, what: Path) -> None:
        self._what = what
        self._path = folder / LOCK
        self._owner = folder / OWNER
        self.is_by_file = False
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        try:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._refused() from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                self._take_by_file()
            else:
                self._require_no_owner()
            if not _is_same_file(self._fd, self._path):  # a run that ended just now removed it
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
            if os.fstat(self._fd).st_size == 0:
                os.pwrite(self._fd, MARKER, 0)
        except BaseException:
            self.release()
            raise

    def _take_by_file(self) -> None:
        self._require_no_owner()
        try:
            fd = os.open(self._owner, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise self._refused() from None
        try:
            write_all(fd, json.dumps(_this_process()).encode(), self._owner)
        finally:
            os.close(fd)
        self.is_by_file = True

    def _require_no_owner(self) -> None:
        """Remove the file of an owner that is gone.

        Raises:
            UsageError: If there is an owner that may still be at work.
        """
        owner = _read_owner(self._owner)
        if owner is None:
            return
        if _is_gone(owner):
            with suppress(FileNotFoundError):
                os.unlink(self._owner)
            return
        if owner.get("machine") == _this_process()["machine"]:
            raise self._refused()
        raise UsageError(
            f"another run is writing {quoted(self._what)}: process {owner.get('pid')} on "
            f"{quoted(owner.get('machine'))}, whose file system has no locks; wait for it, or, if "
            f"it no longer runs, remove {quoted(self._owner)}"
        )

    def _refused(self) -> UsageError:
        return UsageError(
            f"another run is writing {quoted(self._what)}; wait for it, or name another output"
        )

    def remove_files(self) -> None:
        """Remove the lock's files; another run may then make its own."""
        self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other runs in."""
        if self.is_by_file:
            self.is_by_file = False
            with suppress(FileNotFoundError):
                os.unlink(self._owner)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


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


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, Any]:
    """Return what tells this process from all others, on this machine and elsewhere."""
    machine = socket.gethostname()
    with suppress(OSError):  # containers of one name have process numbers of their own
        machine += f" {os.readlink('/proc/self/ns/pid')}"
    return {"machine": machine, "pid": os.getpid(), "started": _started(os.getpid())}


def _started(pid: int) -> str:
    """Return when a process was started, in the system's own count.

    Returns:
        Empty if it cannot be told; ``ended`` for a process that has ended and that nobody asked
        how, as it stays in a container without an init.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _read_owner(path: Path) -> dict[str, Any] | None:
    """Return what the file of an owner says, ``None`` if there is none.

    One that says nothing yet has just been made, or its process was killed as it made it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = os.read(fd, _MOST_BYTES)
    finally:
        os.close(fd)
    try:
        owner = json.loads(text)
    except (ValueError, RecursionError):
        owner = None
    return owner if isinstance(owner, dict) else {"machine": "a machine without a name"}


def _is_gone(owner: dict[str, Any]) -> bool:
    """Whether the process that an owner's file names is known to have ended."""
    pid = owner.get("pid")
    if owner.get("machine") != _this_process()["machine"] or not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    started = owner.get("started")
    return bool(started) and _started(pid) not in ("", started)
