"""Folders that one run at a time may use: their locks, and temporary folders.

Some file systems have no locks (Lustre without flock, NFS without its lock daemon, some in user
space). There the file ``owner`` is the lock: it names the process that works in its folder. It
appears atomically and replaces no other. A process that is killed leaves the file; the next run on
the same machine finds that the process has ended, and replaces the file by way of a second name.
One process at a time can have that name, so that of two such runs only one replaces the file.
"""

import errno
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from kapre_cli.errors import UsageError, wrap_os_errors
from kapre_cli.osutil import (
    is_at,
    link,
    open_folder,
    open_or_create,
    open_to_read,
    try_lock,
    write_at,
)
from kapre_cli.text import quoted

MARKER = b"kapre-extract: work in progress\n"  # the content of the file `lock`

LOCK = "lock"
OWNER = "owner"

_NEXT = "owner.next"
_OWNER_FILES = re.compile(r"owner(\.next|\.[0-9a-f]{16})?")  # the last one until it is complete
_MAX_OWNER_BYTES = 2**12
_ATTEMPTS = 5
_SCRATCH = "kapre-extract-"
_SCRATCH_NAME = re.compile(rf"\.?{_SCRATCH}[a-z0-9_]{{8}}")


class RunLock:
    """Keeps other runs out of a folder until it is released, or this process ends.

    All work is done in this very folder, even if another replaces it: ``folder`` becomes its
    descriptor. ``what`` is the locked output's path, for messages. ``is_by_file``: the file system
    has no locks, and the file ``owner`` is the lock.

    Raises:
        UsageError: If another run has the lock.
        FileNotFoundError: If the folder is removed meanwhile.
        OSError: If the lock's file cannot be made, or the folder is a link.
    """

    def __init__(self, folder: Path, what: Path) -> None:
        self._fd = -1
        self.folder = open_folder(folder, follow_links=False)
        self._path = folder
        self._what = what
        self.is_by_file = False
        try:
            self._fd = open_or_create(LOCK, 0o600, folder=self.folder)
            is_locked = try_lock(self._fd)
            if is_locked is None:
                self._lock_by_file()
            elif is_locked:
                self._remove_if_ended(OWNER)
            else:
                raise UsageError(
                    f"another run is writing {quoted(what)}; wait for it, or name another output"
                )
            if not is_at(self._fd, LOCK, self.folder):  # a run that ended just now removed it
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / LOCK))
            if self._is_unmarked:
                write_at(self._fd, MARKER, 0)
        except BaseException as error:
            if isinstance(error, OSError) and self._fd >= 0 and self._is_unmarked:
                self.remove_files()  # made just now
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

    def _lock_by_file(self) -> None:
        """Create the file ``owner``, or replace that of a process that has ended."""
        own = json.dumps(_this_process()).encode()
        for _ in range(_ATTEMPTS):
            if not self._create(OWNER, own):
                ended = self._ended_owner(OWNER)
                if ended is not None:
                    self._replace(ended, own)
            if self._read(OWNER) == own:
                self.is_by_file = True
                return
        raise self._rejection(OWNER, {})

    def _replace(self, ended: bytes, own: bytes) -> None:
        """Replace an owner that has ended, unless another process is about to do so."""
        if not self._create(_NEXT, own):
            self._remove_if_ended(_NEXT)
            return
        is_unchanged = False
        try:
            is_unchanged = self._ended_owner(OWNER) == ended
        finally:
            if not is_unchanged:
                self._remove(_NEXT)
        if is_unchanged:
            with suppress(FileNotFoundError):
                os.rename(_NEXT, OWNER, src_dir_fd=self.folder, dst_dir_fd=self.folder)

    def _create(self, name: str, content: bytes) -> bool:
        """Create a complete file atomically; return ``False`` if it exists."""
        written = f"{OWNER}.{os.urandom(8).hex()}"
        self._write(written, content)
        try:
            if not link(written, name, self.folder):
                self._write(name, content)
        except FileExistsError:
            return False
        finally:
            self._remove(written)
        return True

    def _write(self, name: str, content: bytes) -> None:
        """Write a new file, or leave none."""
        fd = open_or_create(name, 0o600, folder=self.folder, exclusive=True)
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
        try:
            fd = open_to_read(name, folder=self.folder, follow_links=False)
        except FileNotFoundError:
            return None
        try:
            return os.read(fd, _MAX_OWNER_BYTES)
        finally:
            os.close(fd)

    def _ended_owner(self, name: str) -> bytes | None:
        """Return a file's content if its process has ended; ``None`` if it is missing.

        Raise UsageError if the process may be running.
        """
        content = self._read(name)
        if content is None:
            return None
        owner = None
        with suppress(ValueError, RecursionError):
            owner = json.loads(content)
        if not isinstance(owner, dict):  # its process was killed while writing it
            owner = {}
        if not _has_ended(owner):
            raise self._rejection(name, owner)
        return content

    def _remove_if_ended(self, name: str) -> None:
        if self._ended_owner(name) is not None:
            self._remove(name)

    def _rejection(self, name: str, owner: dict[str, Any]) -> UsageError:
        is_here = owner.get("machine") == _this_process()["machine"]
        machine = "this machine" if is_here else quoted(owner.get("host", "an unknown machine"))
        process = f": process {owner['pid']} on {machine}" if "pid" in owner else ""
        return UsageError(
            f"another run is writing {quoted(self._what)}{process}; wait for it, or name another "
            "output. The file system has no locks: if that run no longer runs, remove "
            f"{quoted(self._path / name)}"
        )


def is_lock_file(name: str) -> bool:
    """Whether a file in a folder may be one of a lock's."""
    return name == LOCK or is_owner_file(name)


def is_marked(lock: Path, *, in_part: bool = False) -> bool:
    """Whether this program made a lock's file, which is no link nor linked elsewhere.

    ``in_part``: the mark may be incomplete, as a killed process leaves it.
    """
    try:
        fd = open_to_read(lock, follow_links=False)
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
    return _OWNER_FILES.fullmatch(name) is not None


def _this_process() -> dict[str, Any]:
    """Return what identifies this process, on this machine and among others."""
    host = machine = socket.gethostname()
    with suppress(OSError):  # machines may share a name
        text = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace")
        machine += f" {text.strip()}"
    with suppress(OSError):  # containers of one name have process numbers of their own
        machine += f" {os.readlink('/proc/self/ns/pid')}"
    pid = os.getpid()
    return {"host": host, "machine": machine, "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str:
    """Return when a process was started, in the system's own count; empty if unknown.

    ``ended``: it has ended, but was never waited for, as in a container without an init.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    fields = status.rpartition(")")[2].split()
    return "ended" if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _has_ended(owner: dict[str, Any]) -> bool:
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
    except PermissionError:  # the number is that of another user's process, now or from the start
        pass
    started = owner.get("started")
    return bool(started) and _started(pid) not in ("", started)


@contextmanager
def scratch_folder(parent: Path | None = None, what: Path | None = None) -> Iterator[Path]:
    """Make an empty folder, and remove it with its content at the end.

    It is hidden in ``parent``, or else in the folder for temporary files. Folders that killed
    processes of this program have left beside it are removed too. Raise OutputError if it cannot be
    made; the message names ``what``, the file that is written in it.
    """
    import shutil  # these are slow to import
    import tempfile

    place = Path(tempfile.gettempdir()) if parent is None else parent
    errors = wrap_os_errors(f"{place} (TMPDIR names another folder)", "used for temporary files")
    with ExitStack() as stack:
        with errors if what is None else wrap_os_errors(what):
            _sweep(place)
            prefix = _SCRATCH if parent is None else f".{_SCRATCH}"
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(RunLock(folder, folder).release)
            inner = folder / "files"
            inner.mkdir()
        yield inner


def _sweep(place: Path) -> None:
    """Remove the folders of ended processes: they are marked, and not locked."""
    names: list[str] = []
    with suppress(OSError):  # a folder may be writable but not listable
        names = os.listdir(place)
    for folder in (place / name for name in names if _SCRATCH_NAME.fullmatch(name)):
        with suppress(OSError, UsageError):  # in use, just removed, or another user's
            status = os.lstat(folder)
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_own and is_marked(folder / LOCK):
                has_owner = os.path.lexists(folder / OWNER)
                lock = RunLock(folder, folder)
                # Where this process has no system locks, another may hold one, without an owner.
                if has_owner or not lock.is_by_file:
                    import shutil  # slow to import

                    shutil.rmtree(folder, ignore_errors=True)
                lock.release()
