"""Move a finished output into place, atomically.

No file of another program is lost. Only an output that the run has checked, under its lock, is
replaced. Where the system can swap two names in one step, the old output is compared with its stamp
after the swap, and swapped back if it differs; elsewhere it is moved aside and compared. A replaced
output stays in the run's own folder, and is removed with it.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from kapre_cli.errors import OutputError, StoredDataError, UsageError
from kapre_cli.formats.opening import open_features
from kapre_cli.osutil import exchange, rename_to_new
from kapre_cli.outputs.existing import Existing, Stamp, check_unmixed, is_occupied, stamp_of
from kapre_cli.settings import Format
from kapre_cli.settings.formats import all_formats
from kapre_cli.text import Argument, Text, quoted

PARTIAL_SUFFIX = ".partial"  # of the work folder, beside the output
_RESUME = ("go on with ", Argument("resume", True))
OF_AN_OUTPUT = Text("move it away and ", *_RESUME, ", or name another output")
OF_ANOTHER_FILE = Text("move it away, or name another file")


def publish(
    made: Path,
    target: Path,
    replaced: Path,
    expected: Stamp | None,
    remedy: Text = OF_ANOTHER_FILE,
    format_: Format | None = None,
) -> None:
    """Move a finished file or folder from ``made`` to ``target``.

    ``format_`` is that of an output. The older output is checked twice, the second time where no
    other program finds it any more. It may be at ``made`` or at ``replaced`` afterwards, which are
    on the same file system. Raise OutputError, with the ``remedy``, if its stamp is not
    ``expected`` (``None``: there is none), or it or ``made`` has an unexpected file; nothing is
    moved then.
    """
    folder_format = format_ if format_ is not None and format_.is_folder else None
    if folder_format is not None:
        with folder_format.open(made) as features:
            for name in features.unexpected_files():
                file = f"{quoted(made / name)} was not made by this program; move it away, and "
                raise OutputError(Text(file, *_RESUME))
    if not os.path.lexists(target):
        _move_to_new(made, target, remedy)
        return
    check_old = partial(_check_old, target, expected, remedy, folder_format)
    check_old(target)
    if not exchange(made, target):
        _replace([(target, replaced, check_old)], [(made, target)], remedy)
        return
    try:
        check_old(made)
    except OutputError:
        exchange(made, target)
        raise


def publish_pair(
    made: Sequence[Path], target: Sequence[Path], replaced: Sequence[Path], expected: Existing
) -> None:
    """Move an output and its companion to their places, as :func:`publish` does.

    At no moment is an output beside the companion of another.
    """
    old = [
        (path, aside, partial(_check_old, path, stamp, OF_AN_OUTPUT, None))
        for path, aside, stamp in zip(target, replaced, expected, strict=True)
    ]
    for path, _, check_old in old:
        check_old(path)
    output, companion = zip(made, target, strict=True)
    _replace(old, [companion, output], OF_AN_OUTPUT)


def _replace(
    old: Sequence[tuple[Path, Path, Callable[[Path], None]]],
    new: Sequence[tuple[Path, Path]],
    remedy: Text,
) -> None:
    """Move old files aside, check them there, and move new ones in: all or nothing."""
    undo: list[tuple[Path, Path]] = []
    try:
        for path, aside, check_old in old:
            if os.path.lexists(path):
                os.rename(path, aside)
                undo.append((aside, path))
                check_old(aside)
        for source, path in new:
            _move_to_new(source, path, remedy)
            undo.append((path, source))
    except (OSError, OutputError):
        for source, path in reversed(undo):
            with suppress(OSError):  # the first error is the one to report
                rename_to_new(source, path)
        raise


def remove_output_files(folder: Path) -> list[Path]:
    """Remove an output of any format in a run's own folder, and empty folders.

    Return the other files, which stay.
    """
    unexpected: set[Path] | None = None
    formats: list[Format] = []  # of an incomplete output
    try:
        with open_features(folder) as features:
            unexpected = {folder / name for name in features.unexpected_files()}
    except (OSError, StoredDataError):
        formats += all_formats(streams=False)
    remaining: list[Path] = []
    for above, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(above, name)
            if unexpected is None:
                file = path.relative_to(folder).as_posix()
                is_ours = any(
                    file in one.folder_files or one.is_array_file(file) for one in formats
                )
            else:
                is_ours = unexpected.isdisjoint((path, *path.parents))
            if is_ours and not path.is_symlink():
                path.unlink()
            else:
                remaining.append(path)
        with suppress(OSError):  # not empty: its files are returned
            os.rmdir(above)
    return remaining


def _move_to_new(source: Path, target: Path, remedy: Text) -> None:
    """Move to a new path; a folder may also replace an empty folder."""
    try:
        rename_to_new(source, target)
    except FileExistsError as error:
        if source.is_dir() and not is_occupied(target):
            os.rename(source, target)  # replaces only an empty folder
            return
        text = f"{quoted(target)} appeared during the run; it is left as it is: "
        raise OutputError(Text(text, remedy)) from error


def _check_old(
    target: Path, expected: Stamp | None, remedy: Text, folder_format: Format | None, path: Path
) -> None:
    """Raise OutputError unless ``path`` has the old output of ``target``, or is free.

    A folder may not have unexpected files either.
    """
    if folder_format is not None and not is_occupied(path):
        return
    found = stamp_of(path, folder_format)
    if found is not None and found != expected:
        what = "appeared" if expected is None else "was changed"
        text = f"{quoted(target)} {what} during the run; it is left as it is: "
        raise OutputError(Text(text, remedy))
    if folder_format is None:
        return
    try:
        check_unmixed(path, folder_format, target)
    except UsageError as error:
        text = "the output changed during the run, and stays as it is: "
        raise OutputError(Text(text, error, "; then ", *_RESUME)) from error
