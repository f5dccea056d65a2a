"""Where an output is made until it is complete, and how it takes its place."""

import errno
import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kapre_cli.closing import Closing
from kapre_cli.errors import UsageError, quoted, writing
from kapre_cli.report import STOPPING
from kapre_cli.settings import OutputSettings
from kapre_cli.storage.disk import exchange, sync
from kapre_cli.storage.npy import sidecar_of

PARTIAL_SUFFIX = ".partial"

_JOURNAL = "journal"
_LOCK = "lock"
_STAGED = "output"
_REPLACED = "replaced"


class Workspace(Closing):
    """The folder ``<output>.partial``, beside the output, that belongs to one run at a time.

    The journal in it outlives a run that does not reach its end, so that another can go on; it
    is removed with the folder once the output is in its place.

    Args:
        output: Where the output will be.

    Attributes:
        folder: The folder.
        journal: Where finished work is kept.
        staged: Where the output is put together.
        keep: Whether the journal is worth keeping when the run ends.
        published: Whether the output is in its place.
        healed: Whether an older output was put back that a killed run had moved away.

    Raises:
        UsageError: If another run is at work on the same output.
        OutputError: If the folder cannot be made.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self.folder = output.path.with_name(output.path.name + PARTIAL_SUFFIX)
        self.journal = self.folder / _JOURNAL
        self.staged = self.folder / _STAGED
        self._replaced = self.folder / _REPLACED
        self.keep = True
        self.published = False
        self.healed = False
        with writing(self.folder):
            self._lock = self._locked()
            self._heal()
            self._clear()
            sync(self.folder)
            sync(self.folder.parent)

    def _locked(self) -> int:
        """Make the folder and lock it: the system lets go of the lock when the process ends."""
        self._require_ours()
        path = self.folder / _LOCK
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except FileNotFoundError:  # the run before removed its folder just then: once more
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(lock, path):
                    return lock
            except BlockingIOError:
                os.close(lock)
                raise UsageError(
                    f"another run is writing {quoted(self._output.path)}; wait for it, "
                    "or name another output"
                ) from None
            os.close(lock)  # likewise

    def _require_ours(self) -> None:
        staged = (_STAGED, _REPLACED)
        ours = {_JOURNAL, _LOCK, *staged, *(sidecar_of(Path(name)).name for name in staged)}
        in_the_way = (
            not ours.issuperset(os.listdir(self.folder))
            if self.folder.is_dir()
            else os.path.lexists(self.folder)
        )
        if in_the_way:
            raise UsageError(
                f"{quoted(self.folder)} is in the way: the output is made in a folder of that "
                "name, and what stands there is not this program's; move it away"
            )

    def _heal(self) -> None:
        """Put an older output back that a run moved away before it was killed."""
        target, older = self._output.path, self._replaced
        if not os.path.lexists(older) or os.path.lexists(target):
            return
        if sidecar_of(older).exists():
            os.replace(sidecar_of(older), sidecar_of(target))
        os.replace(older, target)
        self.healed = True

    def _clear(self) -> None:
        """Remove all but the journal of what a run has left in the folder."""
        for path in (self.staged, self._replaced):
            for left in (path, sidecar_of(path)):
                if left.is_dir() and not left.is_symlink():
                    shutil.rmtree(left)
                else:
                    left.unlink(missing_ok=True)

    def publish(self) -> None:
        """Move the complete output into its place; the workspace is then of no more use.

        Raises:
            OutputError: If it cannot be moved; an older output is still there then. Or, with
                the output in its place, if that cannot be seen through to the disk.
        """
        target = self._output.path
        with writing(target):
            if self._output.format == "npy-directory":
                self._publish_directory(target)
            elif self._output.format == "npy":
                self._publish_pair(target)
            else:
                os.replace(self.staged, target)
            self.published = True
            sync(target.parent)
        self.keep = False

    def _publish_directory(self, target: Path) -> None:
        """Put the new directory where an old one may be; a directory cannot replace a full one."""
        if not os.path.lexists(target) or not any(target.iterdir()):
            os.replace(self.staged, target)
        elif not exchange(self.staged, target):
            os.replace(target, self._replaced)
            self._or_put_back([(self.staged, target)])

    def _publish_pair(self, target: Path) -> None:
        """Put an array and its facts in place; no moment sees an array beside another's facts."""
        sidecar = sidecar_of(target)
        for path, older in ((target, self._replaced), (sidecar, sidecar_of(self._replaced))):
            if os.path.lexists(path):
                os.replace(path, older)
        self._or_put_back([(sidecar_of(self.staged), sidecar), (self.staged, target)])

    def _or_put_back(self, moves: list[tuple[Path, Path]]) -> None:
        """Make moves, or, should one fail, put the older output back."""
        try:
            for source, target in moves:
                os.replace(source, target)
        except OSError:
            with suppress(OSError):  # why the moves failed is what the reader needs to know
                self._heal()
            raise

    def close(self) -> None:
        """Remove what is of no more use, the folder too unless work is kept; let go of the lock."""
        if self._lock < 0:
            return
        try:
            with writing(self.folder, "removed"):
                self._heal()
                self._clear()
                if not self.keep:
                    self.journal.unlink(missing_ok=True)
                    (self.folder / _LOCK).unlink(missing_ok=True)
        finally:
            os.close(self._lock)
            self._lock = -1
        if not self.keep:
            # Only now: network file systems keep a removed file as long as it is open. Should
            # another run have made a lock meanwhile, the folder is its own.
            with writing(self.folder, "removed"), suppress(FileNotFoundError):
                try:
                    self.folder.rmdir()
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no interruption in between: what is begun here takes a moment, and is done or not."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in STOPPING]
    try:
        yield
    finally:
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
