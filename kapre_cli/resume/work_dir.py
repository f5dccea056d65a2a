"""The work folder: journals, and the output until it is complete."""

import os
import re
import signal
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

from kapre_cli.errors import OutputError, StoredDataError, UsageError, wrap_os_errors
from kapre_cli.exit_codes import STOP_SIGNALS
from kapre_cli.formats.array_chunks import crc32
from kapre_cli.osutil import (
    Resource,
    is_at,
    open_folder,
    open_or_create,
    open_to_read,
    read_into,
    rename_to_new,
    sync_folder,
)
from kapre_cli.outputs.existing import Existing, check_no_lone_companion
from kapre_cli.outputs.locked_folders import (
    LOCK,
    OWNER,
    RunLock,
    is_lock_file,
    is_marked,
    is_owner_file,
)
from kapre_cli.outputs.publishing import (
    OF_AN_OUTPUT,
    PARTIAL_SUFFIX,
    publish,
    publish_pair,
    remove_output_files,
)
from kapre_cli.resume.journal import BlockEntry, Frames
from kapre_cli.settings import Format, OutputSettings
from kapre_cli.settings.formats import built_in_formats
from kapre_cli.text import Argument, Text, quoted

_STAGING = "output"
_REPLACED = "replaced"
_JOURNAL = re.compile(r"journal-([1-9][0-9]{0,8})")
_REMOVED_WHILE_OPEN = ".nfs"  # NFS renames a removed file so while it is open


class Journals(Resource):
    """The journals of one folder; raise OutputError if one cannot be opened.

    Each is kept open, so that only this very file is read or removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fds: dict[str, int] = {}  # by name, in the order of creation
        self._last = 0
        with wrap_os_errors(folder, "read"):
            self._folder = open_folder(folder)
        try:
            for name in sorted(filter(_JOURNAL.fullmatch, os.listdir(self._folder)), key=_number):
                with wrap_os_errors(folder / name, "read"):
                    self._fds[name] = open_to_read(name, folder=self._folder, follow_links=False)
                self._last = _number(name)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """Names of the journals, in the order of creation."""
        return [*self._fds]

    def create(self) -> Path:
        """Create an empty journal, return its path; raise OutputError if it exists."""
        self._last += 1
        path = self.folder / f"journal-{self._last}"
        with wrap_os_errors(path):
            try:
                fd = open_or_create(path.name, folder=self._folder, exclusive=True)
            except FileExistsError as error:
                raise OutputError(
                    f"{quoted(path)} appeared during the run; it is left as it is: move it away"
                ) from error
        self._fds[path.name] = fd
        return path

    def open(self, name: str) -> int:
        """Return the descriptor of a journal; the caller may not close it."""
        return self._fds[name]

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block; raise StoredDataError if it changed, OutputError if unreadable."""
        block = np.empty(entry.shape, dtype="<f4")
        path = f"{self.folder}/{entry.journal}"  # making a pathlib path takes as long as reading
        with wrap_os_errors(path, "read back"):
            n_read = read_into(self._fds[entry.journal], block.data.cast("B"), entry.position)
        if n_read != block.nbytes or crc32(block.data) != entry.crc32:
            cause = "does not hold what was written to it, so its disk may be faulty; "
            remedy = (Argument("resume", True), " recomputes what was lost")
            raise StoredDataError(Text(f"{quoted(path)} {cause}", *remedy))
        return block

    def sync(self) -> None:
        """Sync all journals to the disk; raise OutputError if that fails."""
        for name, fd in self._fds.items():
            with wrap_os_errors(self.folder / name):
                os.fsync(fd)

    def remove(self, name: str) -> None:
        """Remove a journal, unless its file has been replaced by another."""
        fd = self._fds.pop(name)
        is_in_place = is_at(fd, name, self._folder)
        os.close(fd)  # network file systems keep a removed file as long as it is open
        if is_in_place:
            with wrap_os_errors(self.folder / name, "removed"), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def remove_all(self) -> None:
        """Remove all journals, as :meth:`remove` does."""
        for name in self.names:
            self.remove(name)

    def close(self) -> None:
        """Close the journals."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


class WorkDir(Resource):
    """The folder ``<output>.partial`` beside the output, of one run at a time.

    The journals in it outlive a run that does not finish, so that another can resume it; they are
    removed with the folder once the output is published. A folder of that name that this program
    did not make, or that another user made, is rejected and left as it is. So is a folder that
    replaces it during the run. Raise UsageError for these, or if another run works on the output,
    OutputError if the folder cannot be made.

    Attributes:
        staging: The path at which the output is assembled.
        keeps_journals: Whether the journals are kept when the run ends.
        published: Whether the output was moved to its path.
        note: A sentence for the user on the file system, if any.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self.folder = output.path.with_name(output.path.name + PARTIAL_SUFFIX)
        self.staging = self.folder / _STAGING
        self._replaced = self.folder / _REPLACED
        self._format = output.file_format
        self._formats: list[Format] = [self._format, *built_in_formats()]  # of a killed run
        self._own_names = {
            path.name
            for own in (self.staging, self._replaced)
            for one in self._formats
            for path in (own, *one.companions(own))
        }
        self.keeps_journals = True
        self.published = False
        self.note: str | None = None
        with ExitStack() as stack, wrap_os_errors(self.folder):
            self._lock = self._locked()
            stack.callback(self._lock.release)
            self.journals = stack.enter_context(Journals(self.folder))
            self._parent = open_folder(output.path.parent)
            stack.callback(os.close, self._parent)
            try:
                self.check_in_place()
                _check_ours(self.folder, self._own_names)
                self._recover()
                check_no_lone_companion(output)
                for path in self._clear():
                    raise UsageError(f"{quoted(path)} is not this program's file; move it away")
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
            except BaseException:
                with suppress(OSError):  # the first error is the one to report
                    names = os.listdir(self._lock.folder)
                    if self._is_in_place() and all(map(is_lock_file, names)):
                        self._remove_folder()
                raise
            self._resources = stack.pop_all()
            self._is_open = True
        if self._lock.is_by_file:
            self.note = (
                f"the file system of {quoted(output.path.parent)} has no locks: "
                f"{quoted(self.folder / OWNER)} excludes other runs instead"
            )

    def _locked(self) -> RunLock:
        while True:
            _check_ours(self.folder, self._own_names)
            with suppress(FileExistsError):
                self.folder.mkdir(0o700)
            try:
                return RunLock(self.folder, self._output.path)
            except FileNotFoundError:  # the run before has just removed its folder: retry
                continue
            except BaseException:
                with suppress(OSError):  # it is not empty
                    self.folder.rmdir()
                raise

    @property
    def place(self) -> Path | None:
        """Where the folder is now, even if it was moved; ``None`` if unknown."""
        if self._is_in_place():
            return self.folder
        try:
            now = Path(os.readlink(f"/proc/self/fd/{self._lock.folder}"))
        except OSError:
            return None
        return now if is_at(self._lock.folder, now) else None

    def _recover(self) -> None:
        """Put an older output back that a run moved aside before it was killed."""
        target, older = self._output.path, self._replaced
        if not os.path.lexists(older):
            return
        if os.path.lexists(target):
            if os.path.lexists(self.staging):
                raise UsageError(
                    f"{quoted(older)} is the older output, which a run that was killed had moved "
                    f"away; {quoted(target)} has appeared since then: move one of them away"
                )
            return  # the new output is in its place
        for one in self._formats:
            for aside, companion in zip(one.companions(older), one.companions(target), strict=True):
                if not os.path.lexists(aside):
                    continue
                if os.path.lexists(companion):
                    if not one.is_companion(companion):
                        raise UsageError(
                            f"{quoted(companion)} is in the way of the older output's metadata, "
                            f"which is in {quoted(self.folder)}; move it away"
                        )
                    os.unlink(companion)  # of the new array, which was never moved
                rename_to_new(aside, companion)
        rename_to_new(older, target)

    def _clear(self) -> list[Path]:
        """Remove all files of a run but its journals; return unexpected files, which stay."""
        unexpected: list[Path] = []
        for path in map(self.folder.joinpath, self._own_names):
            if path.is_dir() and not path.is_symlink():
                unexpected += remove_output_files(path)
            else:
                path.unlink(missing_ok=True)
        return unexpected

    def publish(self, existing: Existing) -> None:
        """Move the complete output to its path, where only ``existing`` may be replaced.

        Raise OutputError if it cannot be moved, or another file is at its path; that, and an older
        output, stays. It is also raised after the move, if the disk cannot be synced.
        """
        target = self._output.path
        self.check_in_place()
        with wrap_os_errors(target):
            paths = self.staging, target, self._replaced
            if self._format.companion_suffix:
                made, placed, replaced = ((one, *self._format.companions(one)) for one in paths)
                publish_pair(made, placed, replaced, existing)
            else:
                publish(*paths, existing.output, OF_AN_OUTPUT, self._format)
            self.published = True
            sync_folder(target.parent)
        self.keeps_journals = False

    def check_in_place(self) -> None:
        """Raise OutputError if this folder, or the one above, was moved."""
        above = self.folder.parent
        if not is_at(self._parent, above, follow_links=True):
            raise OutputError(
                f"the folder {quoted(above)} was moved or removed during the run: "
                "the output cannot be written there"
            )
        if not self._is_in_place():
            now = self.place
            where = f", and is now {quoted(now)}: move it back" if now else ""
            raise OutputError(
                f"the work folder {quoted(self.folder)} was moved or replaced during the run"
                f"{where}; the file or folder that is now at its path is left as it is"
            )

    def _is_in_place(self) -> bool:
        return is_at(self._lock.folder, self.folder)

    def close(self) -> None:
        """Remove temporary files, and the folder unless work is kept; release the lock."""
        if not self._is_open:
            return
        self._is_open = False
        with self._resources, wrap_os_errors(self.folder, "removed"):
            if self._is_in_place():  # a folder that was moved is left as it is
                self._recover()
                self._clear()
                if not self.keeps_journals:
                    self.journals.remove_all()
                    self._remove_folder()

    def _remove_folder(self) -> None:
        self._lock.remove_files()
        self._lock.release()
        # After the release: network file systems keep a removed file as long as it is open. The
        # folder stays if another run has made a lock in it meanwhile, or somebody else a file.
        with suppress(FileNotFoundError):
            try:
                self.folder.rmdir()
            except OSError:
                if not any(self.folder.iterdir()):
                    raise


def _check_ours(folder: Path, own_names: Collection[str]) -> None:
    """Raise UsageError for a folder that is not this program's, or another user's."""
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return
    in_the_way = f"{quoted(folder)} is in the way: the output is made in a folder of that name, and"
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{in_the_way} this file is not this program's; move it away")
    if status.st_uid != os.geteuid():
        # Some network file systems and mounted disks give all files to one user.
        from tempfile import TemporaryFile  # slow to import

        with TemporaryFile(dir=folder.parent) as file:
            owner = os.fstat(file.fileno()).st_uid
        if status.st_uid != owner:
            raise UsageError(
                f"{in_the_way} the one there belongs to another user (number {status.st_uid}); "
                "move it away, or name another output"
            )
    names = _names_in(folder)
    for name in names:
        if not (name in own_names or _JOURNAL.fullmatch(name) or is_lock_file(name)):
            raise UsageError(
                f"{in_the_way} {quoted(name)} in it is not this program's; move it away"
            )
    for name in names:
        with suppress(FileNotFoundError):  # a run that ends at this moment
            status = os.lstat(folder / name)
            is_linked = status.st_nlink != 1 and not is_owner_file(name)
            is_plain = stat.S_ISREG(status.st_mode) and not is_linked
            if not (is_plain or (name in own_names and stat.S_ISDIR(status.st_mode))):
                raise UsageError(
                    f"{in_the_way} {quoted(name)} in it is a link or no regular file, which this "
                    "program does not make; move it away"
                )
    if names and not is_marked(folder / LOCK, in_part=all(map(is_lock_file, names))):
        if _names_in(folder) != names:  # another run has ended, or begun, meanwhile
            _check_ours(folder, own_names)
            return
        raise UsageError(f"{in_the_way} the one there has no mark of this program; move it away")


def _names_in(folder: Path) -> list[str]:
    """Return the names of a folder's files; none if it is gone."""
    with suppress(FileNotFoundError):
        return sorted(one for one in os.listdir(folder) if not one.startswith(_REMOVED_WHILE_OPEN))
    return []


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP while the output is moved into place.

    A run stopped in this moment would be reported as if there were no output. The signals are lost:
    nothing is left to stop afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)
