"""Temporary folders, removed at the end, or, if their process is killed, by a later run."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kapre_cli.errors import UsageError, writing
from kapre_cli.storage.run_lock import LOCK, OWNER, RunLock, is_marked

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
    import shutil  # these are slow to import
    import tempfile

    place = Path(tempfile.gettempdir()) if parent is None else parent
    with ExitStack() as stack:
        with (
            writing(what)
            if what
            else writing(f"{place} (TMPDIR names another folder)", "used for temporary files")
        ):
            _sweep(place)
            prefix = _PREFIX if parent is None else f".{_PREFIX}"
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(RunLock(folder, folder).release)
            inner = folder / "files"
            inner.mkdir()
        yield inner


def _sweep(place: Path) -> None:
    """Remove the folders of processes that are gone: they are marked, and not locked."""
    names: list[str] = []
    with suppress(OSError):  # it may be written to and not listed
        names = os.listdir(place)
    for folder in (place / name for name in names if _NAME.fullmatch(name)):
        with suppress(OSError, UsageError):  # at work, just removed, or not ours
            status = os.lstat(folder)
            is_own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_own and is_marked(folder / LOCK):
                has_owner = os.path.lexists(folder / OWNER)
                lock = RunLock(folder, folder)
                # Where this process has no locks of the system, another one may have one.
                if has_owner or not lock.is_by_file:
                    import shutil  # slow to import

                    shutil.rmtree(folder, ignore_errors=True)
                lock.release()
