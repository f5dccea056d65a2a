"""One run at a time for each output: a lock of the system, or a file that names its owner.

Some file systems have no locks (Lustre without flock, NFS without its lock daemon, some in user
space). There the file ``owner`` is the lock: it names the process that works in its folder. It
appears whole or not at all, and only where there is none. A process that is killed leaves it
behind; the next run on the same machine sees that the process is gone, and replaces the file. It
does so under a second name that one process at a time can have, so that of two runs that find a
dead owner only one takes its place.
"""

import errno
import fcntl
import json
import os
import re
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from kapre_cli.errors import OutputError, UsageError, wrap_os_errors
from kapre_cli.osutil import NO_LINKS, is_at
from kapre_cli.text import quoted

MARKER = b"kapre-extract: work in progress\n"  # the content of the file `lock`

LOCK = "lock"
OWNER = "owner"

_NEXT = "owner.next"
_WRITTEN = re.compile(r"owner\.[0-9a-f]{16}")  # until it is complete
_MOST_BYTES = 2**12
_ATTEMPTS = 5

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class RunLock:
    """Keeps other runs out of a folder until it is released, or this process ends.

    All work is done in this very folder, even if another is put in its place: ``folder`` becomes
    its descriptor. ``what`` is the locked output's path, for messages. ``is_by_file`` tells whether
    the file system has no locks, and the file ``owner`` is the lock.

    Raises:
        UsageError: If another run has the lock.
        FileNotFoundError: If the folder is removed meanwhile.
        OSError: If the lock's file cannot be made, or the folder is a link.
    """

    def __init__(self, folder: Path, what: Path) -> None:
        self._fd = -1
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self.folder = os.open(folder, flags)
        self._path = folder
        self._what = what
        self.is_by_file = False
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(LOCK, flags, 0o600, dir_fd=self.folder)
            is_locked = try_lock(self._fd)
            if is_locked is None:
                self._take_by_file()
            elif is_locked:
                self._remove_gone(OWNER)
            else:
                raise UsageError(
                    f"another run is writing {quoted(what)}; wait for it, or name another output"
                )
            if not is_at(self._fd, LOCK, self.folder):  # a run that ended just now removed it
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / LOCK))
            if self._is_unmarked and os.pwrite(self._fd, MARKER, 0) < len(MARKER):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException as error:
            is_failure = isinstance(error, (OSError, OutputError))
            if is_failure and self._fd >= 0 and self._is_unmarked:  # made just now
                self.remove_files()
            self.release()
            raise

    @property
    def _is_unmarked(self) -> bool:
        return os.fstat(self._fd).st_size < len(MARKER)

    def remove_files(self) -> None:
        """Remove the lock's files; another run may then make its own."""
        for name in os.listdir(self.folder):
            if name != OWNER and is_owner_file(name):  # left by killed processes
                self._remove(name)
        self._remove(LOCK)

    def release(self) -> None:
        """Release the lock."""
        if self.folder < 0:
            return
        if self.is_by_file:
            self.is_by_file = False
            self._remove(OWNER)
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self.folder)
        self._fd = self.folder = -1

    def _take_by_file(self) -> None:
        """Create the file ``owner``, or replace that of a process that is gone."""
        mine = json.dumps(_this_process()).encode()
        for _ in range(_ATTEMPTS):
            if not self._create(OWNER, mine):
                gone = self._gone(OWNER)
                if gone is not None:
                    self._replace(gone, mine)
            if self._read(OWNER) == mine:
                self.is_by_file = True
                return
        raise self._refused(OWNER, {})

    def _replace(self, gone: bytes, mine: bytes) -> None:
        """Replace the owner that is gone, unless another process is about to do so."""
        if not self._create(_NEXT, mine):
            self._remove_gone(_NEXT)
            return
        is_still_there = False
        try:
            is_still_there = self._gone(OWNER) == gone
        finally:
            if not is_still_there:
                self._remove(_NEXT)
        if is_still_there:
            with suppress(FileNotFoundError):
                os.rename(_NEXT, OWNER, src_dir_fd=self.folder, dst_dir_fd=self.folder)

    def _create(self, name: str, content: bytes) -> bool:
        """Create a file that is whole when it appears; return ``False`` if there is one."""
        written = f"{OWNER}.{os.urandom(8).hex()}"
        self._write(written, content)
        here = self.folder
        try:
            try:
                os.link(written, name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                self._write(name, content)
        except FileExistsError:
            return False
        finally:
            self._remove(written)
        return True

    def _write(self, name: str, content: bytes) -> None:
        """Write a new file, or leave none."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self.folder)
        try:
            with wrap_os_errors(self._path / name), os.fdopen(fd, "wb") as file:
                file.write(content)
        except BaseException:
            self._remove(name)
            raise

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.folder)

    def _read(self, name: str) -> bytes | None:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=self.folder)
        except FileNotFoundError:
            return None
        try:
            return os.read(fd, _MOST_BYTES)
        finally:
            os.close(fd)

    def _gone(self, name: str) -> bytes | None:
        """Return a file's content if its process is gone; ``None`` if there is no file.

        Raise UsageError if the process may be at work.
        """
        content = self._read(name)
        if content is None:
            return None
        owner = None
        with suppress(ValueError, RecursionError):
            owner = json.loads(content)
        if not isinstance(owner, dict):  # its process was killed while writing it
            owner = {}
        if not _is_gone(owner):
            raise self._refused(name, owner)
        return content

    def _remove_gone(self, name: str) -> None:
        if self._gone(name) is not None:
            self._remove(name)

    def _refused(self, name: str, owner: dict[str, Any]) -> UsageError:
        is_here = owner.get("machine") == _this_process()["machine"]
        machine = "this machine" if is_here else quoted(owner.get("host", "an unknown machine"))
        process = f": process {owner['pid']} on {machine}" if "pid" in owner else ""
        return UsageError(
            f"another run is writing {quoted(self._what)}{process}; wait for it, or name another "
            "output. The file system has no locks: if that run no longer runs, remove "
            f"{quoted(self._path / name)}"
        )


def try_lock(fd: int, how: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file until it is closed; return ``None`` where there are no locks.

    Return whether it is locked now, and by no other process. Several processes may have a
    ``LOCK_SH``.
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


def is_marked(lock: Path, *, in_part: bool = False) -> bool:
    """Whether this program made a lock's file, which is no link nor linked elsewhere.

    ``in_part``: it may have been killed before the mark was whole.
    """
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        status = os.fstat(fd)
        is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        mark = os.read(fd, len(MARKER) + 1)
        return is_plain and (mark == MARKER or (in_part and MARKER.startswith(mark)))
    finally:
        os.close(fd)


def is_owner_file(name: str) -> bool:
    """Whether a file may be ``owner`` or one that will be renamed to it."""
    return name in (OWNER, _NEXT) or _WRITTEN.fullmatch(name) is not None


def _this_process() -> dict[str, Any]:
    """Return what tells this process from all others, on this machine and elsewhere."""
    host = machine = socket.gethostname()
    with suppress(OSError):  # machines may share a name
        machine += (
            f" {Path('/etc/machine-id').read_text(encoding='ascii', errors='replace').strip()}"
        )
    with suppress(OSError):  # containers of one name have process numbers of their own
        machine += f" {os.readlink('/proc/self/ns/pid')}"
    pid = os.getpid()
    return {"host": host, "machine": machine, "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str:
    """Return when a process was started, in the system's own count; empty if unknown.

    ``ended``: it has ended, but was never waited for, as in a container without an init.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _is_gone(owner: dict[str, Any]) -> bool:
    """Whether the process that an owner's file names is known to have ended."""
    pid = owner.get("pid")
    if owner.get("machine") != _this_process()["machine"] or not isinstance(pid, int) or pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OverflowError:
        return False
    except PermissionError:  # the number belongs to another user's process now, or did all along
        pass
    started = owner.get("started")
    return bool(started) and _started(pid) not in ("", started)
