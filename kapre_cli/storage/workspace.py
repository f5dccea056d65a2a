"""Where an output is made until it is complete, and how it takes its place."""

import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from kapre_cli.closing import Closing
from kapre_cli.errors import UsageError, quoted, writing
from kapre_cli.settings import OutputSettings
from kapre_cli.sources import Source
from kapre_cli.storage.npy import ROOT_NAME, sidecar_of

PARTIAL_SUFFIX = ".partial"

_JOURNAL = "journal"
_LOCK = "lock"
_STAGED = "output"
_REPLACED = "replaced"


def check_output(output: OutputSettings, sources: Iterable[Source]) -> None:
    """Refuse an output that cannot be had, before any work is done.

    Raises:
        UsageError: If its folder does not exist, if something stands there that may not be
            replaced, or if it is one of the inputs.
    """
    path = output.path
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {quoted(path.parent)} for the output {quoted(path.name)} does not exist; "
            "make it first"
        )
    if output.format == "npy-directory":
        _check_directory(path, overwrite=output.overwrite)
    else:
        _check_file(path, is_npy=output.format == "npy", overwrite=output.overwrite)
    if os.path.lexists(path):
        for source in sources:
            if os.path.exists(source.path) and os.path.samefile(source.path, path):
                raise UsageError(f"the output {quoted(path)} is one of the inputs")


def _check_file(path: Path, *, is_npy: bool, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"the output {quoted(path)} is a folder; a file was asked for")
    for taken in (path, sidecar_of(path)) if is_npy else (path,):
        if os.path.lexists(taken) and not overwrite:
            raise UsageError(_exists(taken))


def _check_directory(path: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise UsageError(
            f"the output {quoted(path)} is a file; a folder of .npy files was asked for "
            "(.h5, .hdf5 and .npy are written as one file)"
        )
    if not any(path.iterdir()):
        return
    if not (path / ROOT_NAME).is_file():
        raise UsageError(
            f"the folder {quoted(path)} is not empty and not an output of kapre-extract; "
            "it is left alone"
        )
    if not overwrite:
        raise UsageError(_exists(path))


def _exists(path: Path) -> str:
    return f"the output {quoted(path)} exists; --overwrite replaces it once the new one is complete"


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
        if self.folder.is_dir() and not ours.issuperset(os.listdir(self.folder)):
            raise UsageError(
                f"{quoted(self.folder)} is in the way: the output is made there, and it holds "
                "files that are not this program's"
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
            OutputError: If it cannot be moved; what stood there before then still does.
        """
        target = self._output.path
        with writing(target):
            if self._output.format == "npy-directory":
                self._publish_directory(target)
            else:
                _sync(self.staged)
                if sidecar_of(self.staged).exists():
                    os.replace(sidecar_of(self.staged), sidecar_of(target))
                os.replace(self.staged, target)
            _sync(target.parent)

    def _publish_directory(self, target: Path) -> None:
        """Put the new directory where the old one was; a directory cannot replace a full one."""
        if (target / ROOT_NAME).is_file():
            os.replace(target, self.folder / _REPLACED)
        os.replace(self.staged, target)

    def close(self) -> None:
        """Remove the folder and let go of the lock."""
        try:
            self._clear()
            (self.folder / _LOCK).unlink(missing_ok=True)
            self.folder.rmdir()
        finally:
            os.close(self._lock)


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
