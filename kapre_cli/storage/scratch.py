"""Temporary files and folders.

A folder is removed at the end, or, if its process is killed, by a later run.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from kapre_cli.errors import OutputError, UsageError, writing
from kapre_cli.storage.run_lock import LOCK, RunLock, is_marked

_PREFIX = "kapre-extract-"
_NAME = re.compile(rf"\.?{_PREFIX}[a-z0-9_]{{8}}")


@contextmanager
def scratch_folder(parent: Path | None = None, what: Path | None = None) -> Iterator[Path]:
    """Give an empty folder, and remove it with all that is in it at the end.

    What killed processes of this program have left in the same place is removed too.

    Args:
        parent: Where it is made, under a hidden name. ``None``: in the folder for temporary files.
        what: What is to be written by its help, for the message if it cannot be made.

    Raises:
        OutputError: If it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    with (
        writing(what)
        if what
        else writing(f"{place} (TMPDIR names another folder)", "used for temporary files")
    ):
        _sweep(place)
        prefix = _PREFIX if parent is None else f".{_PREFIX}"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = RunLock(folder, folder)
        inner = folder / "files"
        inner.mkdir()
    try:
        yield inner
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_errors() -> Iterator[None]:
    """Turn what using a temporary file can run into into an error that says so.

    Raises:
        OutputError: For an error of the operating system.
    """
    try:
        yield
    except (OutputError, BrokenPipeError):  # of where its content goes
        raise
    except OSError as error:
        raise OutputError(
            f"a temporary file cannot be used: {error.strerror or error}; "
            "TMPDIR names the folder that it is made in"
        ) from error


def temporary_file() -> IO[bytes]:
    """Return a file without a name: its room on the disk is free again once it is closed."""
    return tempfile.TemporaryFile(buffering=0)


def _sweep(place: Path) -> None:
    """Remove the folders of processes that are gone: they are marked, and not locked."""
    for folder in map(Path, _candidates(place)):
        with suppress(OSError, UsageError):  # at work, just removed, or not ours
            if not _is_left_by_us(folder):
                continue
            lock = RunLock(folder, folder)
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()


def _candidates(place: Path) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.path for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:  # it may be written to and not listed
        return []


def _is_left_by_us(folder: Path) -> bool:
    status = os.lstat(folder)
    is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return is_own and is_marked(folder / LOCK)
