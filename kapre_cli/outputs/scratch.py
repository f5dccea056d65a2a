"""Temporary folders, removed at the end, or, if their process is killed, by a later run."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kapre_cli.errors import UsageError, wrap_os_errors
from kapre_cli.outputs.run_lock import LOCK, OWNER, RunLock, is_marked

_PREFIX = "kapre-extract-"
_NAME = re.compile(rf"\.?{_PREFIX}[a-z0-9_]{{8}}")


@contextmanager
def scratch_folder(parent: Path | None = None, what: Path | None = None) -> Iterator[Path]:
    """Make an empty folder, and remove it with its content at the end.

    It is hidden in ``parent``, or else in the folder for temporary files. Folders that killed
    processes of this program have left there are removed too. Raise OutputError if it cannot be
    made; the message names ``what``, the file that is written with its help.
    """
    import shutil  # these are slow to import
    import tempfile

    place = Path(tempfile.gettempdir()) if parent is None else parent
    with ExitStack() as stack:
        with (
            wrap_os_errors(what)
            if what
            else wrap_os_errors(
                f"{place} (TMPDIR names another folder)", "used for temporary files"
            )
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
    """Remove the folders of ended processes: they are marked, and not locked."""
    names: list[str] = []
    with suppress(OSError):  # a folder may be writable but not listable
        names = os.listdir(place)
    for folder in (place / name for name in names if _NAME.fullmatch(name)):
        with suppress(OSError, UsageError):  # in use, just removed, or not ours
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
