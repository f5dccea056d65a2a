"""The folder in which an output is made until it is complete."""

import os
import signal
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kapre_cli.errors import OutputError, UsageError, wrap_os_errors
from kapre_cli.exit_codes import STOP_SIGNALS
from kapre_cli.osutil import Resource, is_at, open_folder, rename_to_new, sync_folder
from kapre_cli.outputs.existing import Existing, check_no_lone_companion
from kapre_cli.outputs.publishing import (
    OF_AN_OUTPUT,
    PARTIAL_SUFFIX,
    publish,
    publish_pair,
    remove_output_files,
)
from kapre_cli.outputs.run_lock import LOCK, OWNER, RunLock, is_lock_file, is_marked, is_owner_file
from kapre_cli.resume.journals import Journals, is_journal
from kapre_cli.settings import Format, OutputSettings
from kapre_cli.settings.formats import built_in_formats
from kapre_cli.text import quoted

_STAGING = "output"
_REPLACED = "replaced"
_REMOVED_WHILE_OPEN = ".nfs"  # NFS renames a removed file so while it is open


class WorkDir(Resource):
    """The folder ``<output>.partial``, beside the output, that belongs to one run at a time.

    The journals in it outlive a run that does not finish, so that another can resume it; they are
    removed with the folder once the output is in its place. A folder of that name that this program
    did not make, or that another user made, is rejected and left as it is. So is a folder that
    somebody puts in its place during the run.

    Attributes:
        staging: Where the output is assembled.
        keeps_journals: Whether the journals are kept when the run ends.
        published: Whether the output is in its place.
        note: A sentence for the user on the file system, if any.

    Raises:
        UsageError: If another run works on the same output, or another program's file is there.
        OutputError: If the folder cannot be made.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self.folder = output.path.with_name(output.path.name + PARTIAL_SUFFIX)
        self.staging = self.folder / _STAGING
        self._replaced = self.folder / _REPLACED
        self._format = output.file_format
        self._formats: list[Format] = [self._format, *built_in_formats()]  # of a killed run
        self._made_aside = {
            path.name
            for own in (self.staging, self._replaced)
            for one in self._formats
            for path in (own, *one.companions(own))
        }
        self.keeps_journals = True
        self.published = False
        self.note: str | None = None
        with ExitStack() as held, wrap_os_errors(self.folder):
            self._lock = self._locked()
            held.callback(self._lock.release)
            self.journals = held.enter_context(Journals(self.folder))
            self._parent = open_folder(output.path.parent)
            held.callback(os.close, self._parent)
            try:
                self.check_in_place()
                _check_ours(self.folder, self._made_aside)
                self._recover()
                check_no_lone_companion(output)
                for left in self._clear():
                    raise UsageError(f"{quoted(left)} is not this program's file; move it away")
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
            except BaseException:
                with suppress(OSError):  # the first error is the one to report
                    names = os.listdir(self._lock.folder)
                    if self._is_in_place() and all(map(is_lock_file, names)):
                        self._remove_folder()
                raise
            self._held = held.pop_all()
            self._is_open = True
        if self._lock.is_by_file:
            self.note = (
                f"the file system of {quoted(output.path.parent)} has no locks: "
                f"{quoted(self.folder / OWNER)} keeps other runs away instead"
            )

    def _locked(self) -> RunLock:
        while True:
            _check_ours(self.folder, self._made_aside)
            with suppress(FileExistsError):
                self.folder.mkdir(0o700)
            try:
                return RunLock(self.folder, self._output.path)
            except FileNotFoundError:  # the run before has just removed its folder: retry
                continue
            except BaseException:
                with suppress(OSError):  # others may have put something into it
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
                            f"which is kept in {quoted(self.folder)}; move it away"
                        )
                    os.unlink(companion)  # of the new array, which was never moved
                rename_to_new(aside, companion)
        rename_to_new(older, target)

    def _clear(self) -> list[Path]:
        """Remove all a run has left but its journals; return unexpected files, which stay."""
        unexpected: list[Path] = []
        for left in map(self.folder.joinpath, self._made_aside):
            if left.is_dir() and not left.is_symlink():
                unexpected += remove_output_files(left, self._format)
            else:
                left.unlink(missing_ok=True)
        return unexpected

    def publish(self, existing: Existing) -> None:
        """Move the complete output to its place, where only ``existing`` may be replaced.

        Raise OutputError if it cannot be moved, or something else is there now; that, and an older
        output, stays. It is also raised with the output in its place, if the disk cannot be synced.
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
                "the output has no place to go to"
            )
        if not self._is_in_place():
            now = self.place
            where = f", and is now {quoted(now)}: move it back" if now else ""
            raise OutputError(
                f"the work folder {quoted(self.folder)} was moved or replaced while the run was "
                f"on{where}; what stands in its place is left as it is"
            )

    def _is_in_place(self) -> bool:
        return is_at(self._lock.folder, self.folder)

    def close(self) -> None:
        """Remove temporary files, and the folder unless work is kept; release the lock."""
        if not self._is_open:
            return
        self._is_open = False
        with self._held:
            if self._is_in_place():  # a folder that was moved is left as it is
                with wrap_os_errors(self.folder, "removed"):
                    self._recover()
                    self._clear()
                    if not self.keeps_journals:
                        self.journals.remove_all()
                        self._remove_folder()

    def _remove_folder(self) -> None:
        self._lock.remove_files()
        self._lock.release()
        # Only now: network file systems keep a removed file as long as it is open. Should
        # another run have made a lock meanwhile, or somebody else a file, the folder stays.
        with suppress(FileNotFoundError):
            try:
                self.folder.rmdir()
            except OSError:
                if not any(self.folder.iterdir()):
                    raise


def _check_ours(folder: Path, made_aside: Collection[str]) -> None:
    """Raise UsageError for a folder that is not this program's, or another user's."""
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return
    in_the_way = f"{quoted(folder)} is in the way: the output is made in a folder of that name, and"
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{in_the_way} what stands there is not this program's; move it away")
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
    names = sorted(one for one in os.listdir(folder) if not one.startswith(_REMOVED_WHILE_OPEN))
    for name in names:
        if not (name in made_aside or is_journal(name) or is_lock_file(name)):
            raise UsageError(
                f"{in_the_way} {quoted(name)} in it is not this program's; move it away"
            )
    for name in names:
        with suppress(FileNotFoundError):  # a run that ends at this moment
            status = os.lstat(folder / name)
            is_plain = stat.S_ISREG(status.st_mode) and (
                status.st_nlink == 1 or is_owner_file(name)
            )
            if not (is_plain or (name in made_aside and stat.S_ISDIR(status.st_mode))):
                raise UsageError(
                    f"{in_the_way} {quoted(name)} in it is a link or no regular file, which this "
                    "program does not make; move it away"
                )
    if not names:
        return
    if not is_marked(folder / LOCK, in_part=all(map(is_lock_file, names))):
        raise UsageError(f"{in_the_way} the one there has no mark of this program; move it away")


@contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP while the output is moved into place.

    It takes a moment, and a run stopped in between would be reported as if there were no output.
    Signals of this time are lost: when it is over nothing is left to stop.
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
