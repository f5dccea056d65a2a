"""Where an output is made until it is complete, and how it takes its place."""

import fcntl
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kapre_cli.closing import Closing
from kapre_cli.errors import UsageError, quoted, writing
from kapre_cli.settings import OutputSettings
from kapre_cli.storage.npy import ROOT_NAME, sidecar_of

PARTIAL_SUFFIX = ".partial"

_JOURNAL = "journal"
_LOCK = "lock"
_STAGED = "output"
_REPLACED = "replaced"


class Workspace(Closing):
    """The folder ``<output>.partial``, beside the output, that belongs to one run.

    It is removed when the run ends, whatever became of it. What a killed run left there is
    removed by the next one.

    Args:
        output: Where the output will be.

    Attributes:
        journal: Where finished work is kept.
        staged: Where the output is put together.

    Raises:
        UsageError: If another run is at work on the same output.
        OutputError: If the folder cannot be made.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self.folder = output.path.with_name(output.path.name + PARTIAL_SUFFIX)
        self.journal = self.folder / _JOURNAL
        self.staged = self.folder / _STAGED
        with writing(self.folder):
            self._lock = self._locked()
            self._clear()

    def _locked(self) -> int:
        """Make the folder and lock it: the system lets go of the lock when the process ends."""
        self._require_ours()
        path = self.folder / _LOCK
        while True:
            self.folder.mkdir(exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
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
            os.close(lock)  # the run before removed its folder just then: once more

    def _require_ours(self) -> None:
        ours = {_JOURNAL, _LOCK, _REPLACED, _STAGED, sidecar_of(Path(_STAGED)).name}
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

    def _clear(self) -> None:
        """Remove what this run, or one that was killed, has left in the folder."""
        target, replaced = self._output.path, self.folder / _REPLACED
        if replaced.is_dir() and not os.path.lexists(target):
            os.replace(replaced, target)  # killed between the two moves of publish()
        for path in (self.journal, self.staged, sidecar_of(self.staged), replaced):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def publish(self) -> None:
        """Move the complete output into its place.

        Raises:
            OutputError: If it cannot be moved.
        """
        target = self._output.path
        with writing(target):
            if self._output.format == "npy-directory":
                self._publish_directory(target)
            else:
                _sync(self.staged)
                if sidecar_of(self.staged).exists():
                    self._publish_with_sidecar(target)
                else:
                    os.replace(self.staged, target)
            _sync(target.parent)

    def _publish_directory(self, target: Path) -> None:
        """Put the new directory where the old one was; a directory cannot replace a full one."""
        if (target / ROOT_NAME).is_file():
            os.replace(target, self.folder / _REPLACED)
        os.replace(self.staged, target)

    def _publish_with_sidecar(self, target: Path) -> None:
        """Replace an array and its facts, or neither."""
        sidecar, replaced = sidecar_of(target), self.folder / _REPLACED
        if sidecar.exists():
            os.replace(sidecar, replaced)
        try:
            os.replace(sidecar_of(self.staged), sidecar)
            os.replace(self.staged, target)
        except OSError:
            if replaced.exists():
                os.replace(replaced, sidecar)
            raise

    def close(self) -> None:
        """Remove the folder and let go of the lock."""
        if self._lock < 0:
            return
        try:
            with writing(self.folder, "removed"):
                self._clear()
                (self.folder / _LOCK).unlink(missing_ok=True)
                self.folder.rmdir()
        finally:
            os.close(self._lock)
            self._lock = -1


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no interruption in between: what is begun here takes a moment, and is done or not."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach another thread
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    """See a file or a folder through to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
