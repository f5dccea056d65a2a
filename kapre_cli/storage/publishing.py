"""How finished work takes its place: at once, and only where it may.

What stands at a place is compared with what the run found there, under its lock, before it began.
Where the system can swap two names in one step the old one is looked at after the swap, and put
back if it is something else. So no moment is left in which another program's file could be lost.
"""

import os
from contextlib import suppress
from pathlib import Path

from kapre_cli.errors import OutputError, StoredDataError, UsageError, quoted
from kapre_cli.storage.disk import exchange, rename_to_new
from kapre_cli.storage.existing import Existing, Stamp, is_something, require_unmixed, stamp_of
from kapre_cli.storage.npy import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.storage.npy_features import open_npy_directory


def publish_file(made: Path, target: Path, expected: Stamp | None) -> None:
    """Move a finished file to its place.

    Args:
        made: The file, on the same file system.
        target: Its place.
        expected: What stood there when the run began and may be replaced; ``None``: nothing.

    Raises:
        OutputError: If something else stands there now; it stays.
        OSError: If the file cannot be moved.
    """
    found = stamp_of(target)
    if found is None:
        _move_to_new(made, target)
        return
    _require_expected(found, expected, target)
    if not exchange(made, target):
        os.replace(made, target)
        return
    old = stamp_of(made)
    if old != expected:  # it was replaced in between
        exchange(made, target)
        _require_expected(old, expected, target)
    os.unlink(made)


def publish_directory(made: Path, target: Path, replaced: Path, expected: Stamp | None) -> None:
    """Move a finished folder of .npy files to its place.

    Args:
        made: The folder, on the same file system.
        target: Its place.
        replaced: Where the older output may be moved to meanwhile.
        expected: What stood there when the run began and may be replaced; ``None``: nothing.

    Raises:
        OutputError: If something else stands there now, or in it, or was put into ``made``; it
            stays.
        OSError: If the folder cannot be moved.
    """
    for name in open_npy_directory(made).strays():
        raise OutputError(
            f"{quoted(made / name)} is not of this program's making; move it away, and go on with "
            "--resume"
        )
    if not os.path.lexists(target):
        _move_to_new(made, target)
        return
    _require_same_directory(target, target, expected)
    if exchange(made, target):
        try:
            _require_same_directory(made, target, expected)
        except OutputError:
            exchange(made, target)
            raise
        remove_output_files(made)
        return
    os.rename(target, replaced)
    try:
        _require_same_directory(replaced, target, expected)
        _move_to_new(made, target)
    except (OSError, OutputError):
        with suppress(OSError):  # why it failed is what the reader needs to know
            rename_to_new(replaced, target)
        raise
    remove_output_files(replaced)


def publish_pair(made: Path, target: Path, replaced: Path, expected: Existing) -> None:
    """Move an array and its metadata to their places.

    No moment sees an array beside the metadata of another.

    Args:
        made: The array; its metadata stands beside it.
        target: The array's place.
        replaced: Where an older array, with its metadata, is moved to meanwhile.
        expected: What stood at both places when the run began and may be replaced.

    Raises:
        OutputError: If something else stands there now; it stays.
        OSError: If they cannot be moved.
    """
    old = (
        (target, replaced, expected.output),
        (sidecar_of(target), sidecar_of(replaced), expected.sidecar),
    )
    new = ((sidecar_of(made), sidecar_of(target)), (made, target))
    for place, _, stamp in old:
        _require_expected(stamp_of(place), stamp, place)
    undo: list[tuple[Path, Path]] = []
    try:
        for place, aside, stamp in old:
            if os.path.lexists(place):
                os.rename(place, aside)
                undo.append((aside, place))
                _require_expected(stamp_of(aside), stamp, place)
        for source, place in new:
            _move_to_new(source, place)
            undo.append((place, source))
    except (OSError, OutputError):
        for source, place in reversed(undo):
            with suppress(OSError):
                rename_to_new(source, place)
        raise
    for _, aside, _ in old:
        aside.unlink(missing_ok=True)


def put_back(replaced: Path, target: Path) -> None:
    """Put an older output back that a run moved away before it was killed.

    Args:
        replaced: Where the older output is; nothing stands at its own place.
        target: Its own place.

    Raises:
        OSError: If it cannot be moved.
    """
    sidecar = sidecar_of(replaced)
    if os.path.lexists(sidecar):
        new = sidecar_of(target)
        if os.path.lexists(new):
            os.unlink(new)  # of the array that never came: the caller has looked at it
        rename_to_new(sidecar, new)
    rename_to_new(replaced, target)


def remove_output_files(folder: Path) -> None:
    """Remove an output in a folder of a run's own: its files, and folders that are empty then.

    Whatever else lies there stays, with the folders above it.

    Raises:
        OSError: If a file cannot be removed.
    """
    known = _known_files(folder)
    for place, folders, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            is_known = relative in known if known else _looks_like_ours(relative)
            if is_known and not path.is_symlink():
                path.unlink()
        for name in folders:
            path = Path(place, name)
            if not path.is_symlink():
                with suppress(OSError):  # not empty: it says so itself when the folder is used
                    path.rmdir()
    with suppress(OSError):
        folder.rmdir()


def _known_files(folder: Path) -> set[str]:
    """Return the files of a whole output; none if it is not whole."""
    try:
        with open_npy_directory(folder) as features:
            return {ROOT_NAME, MANIFEST_NAME, *(key + NPY_SUFFIX for key in features)}
    except (OSError, StoredDataError):
        return set()


def _looks_like_ours(relative: str) -> bool:
    return relative in (ROOT_NAME, MANIFEST_NAME) or relative.endswith(NPY_SUFFIX)


def _move_to_new(source: Path, target: Path) -> None:
    """Move to a place where nothing, or at most an empty folder in a folder's place, stands."""
    try:
        rename_to_new(source, target)
    except FileExistsError as error:
        if source.is_dir() and not is_something(target):
            os.rename(source, target)  # which replaces no folder but an empty one
            return
        raise OutputError(
            f"{quoted(target)} appeared while the run was on; it is left as it is: move it away "
            "and go on with --resume, or name another output"
        ) from error


def _require_expected(found: Stamp | None, expected: Stamp | None, target: Path) -> None:
    """Refuse to replace what is not what the run found when it began; nothing may have gone."""
    if found is not None and found != expected:
        what = "appeared" if expected is None else "was changed"
        raise OutputError(
            f"{quoted(target)} {what} while the run was on; it is left as it is: move it away "
            "and go on with --resume, or name another output"
        )


def _require_same_directory(folder: Path, target: Path, expected: Stamp | None) -> None:
    """Refuse to replace a folder that is another now, or has got other files.

    Args:
        folder: Where it is now.
        target: Its own place, for messages.
        expected: What it was.
    """
    if not is_something(folder):
        return
    _require_expected(stamp_of(folder), expected, target)
    try:
        require_unmixed(folder)
    except UsageError as error:
        raise OutputError(
            f"the output changed while the run was on, and stays as it is: "
            f"{str(error).replace(quoted(folder)[:-1], quoted(target)[:-1])}; "
            "then go on with --resume"
        ) from error
