"""Check an existing output: only what this program made is replaced.

Publishing checks that once more, see ``publishing``.
"""

import os
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.opening import open_features
from kapre_cli.settings import Format, OutputSettings
from kapre_cli.settings.formats import built_in_formats, is_output_folder
from kapre_cli.text import Argument, Text, quoted

_OTHER_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads to itself",
}


class Stamp(NamedTuple):
    """Kind, size and time of change, the same as long as nothing was changed.

    For a folder they are those of a file that every change by this program replaces.
    """

    kind: int
    size: int
    mtime_ns: int


class Existing(NamedTuple):
    """The stamps of an output and its companion as checked; ``None`` if missing."""

    output: Stamp | None = None
    companion: Stamp | None = None


def stamp_of(path: Path, format_: Format | None = None) -> Stamp | None:
    """Return the stamp of ``path``; ``None`` if nothing exists there.

    Links are not followed. ``format_`` is that of a folder.
    """
    status = _status(path)
    if status is None:
        return None
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        files = format_.folder_files if format_ is not None else ()
        status = _status(path / files[0]) if files else None
    return Stamp(kind, status.st_size, status.st_mtime_ns) if status else Stamp(kind, 0, 0)


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def existing_output(output: OutputSettings, *, resumable: bool = True) -> Existing:
    """Return an output's stamps; raise UsageError if it may not be replaced.

    The message names ``resume`` if the output is ``resumable`` by the command.
    """
    path, format_ = output.path, output.file_format
    check_kind(output)
    for companion in filter(os.path.lexists, format_.companions(path)):
        if not format_.is_companion(companion):
            raise UsageError(
                f"{quoted(companion)} is in the way: the metadata of {quoted(path.name)} is stored "
                "in a file of that name, and kapre-extract did not make this one; move it away, or "
                "name another output"
            )
    if is_occupied(path):
        _check_ours(path, format_)
        if not (output.overwrite or output.resume is not None):
            resume = (Argument("resume", True), " brings it up to date, ") if resumable else ()
            raise UsageError(
                Text(
                    f"the output {quoted(path)} exists; ",
                    *resume,
                    Argument("overwrite", True),
                    " replaces it once the new one is complete",
                )
            )
        if not format_.is_folder:
            _check_no_unexpected_files(path)
    return Existing(stamp_of(path, format_), *map(stamp_of, format_.companions(path)))


def check_folder_exists(what: str, path: Path) -> None:
    """Raise UsageError if the folder of ``path`` does not exist."""
    if not os.path.isdir(path.parent):
        raise UsageError(
            f"the folder {quoted(path.parent)} for the {what} {quoted(path.name)} does not exist; "
            "make it first"
        )


def check_outside_outputs(what: str, path: Path) -> None:
    """Raise UsageError if ``path`` would lie in a folder that is an output."""
    above = Path(os.path.realpath(path.parent))
    for folder in (above, *above.parents):
        if is_output_folder(folder):
            raise UsageError(
                f"the {what} {quoted(path)} would lie in {quoted(folder)}, which is an output of "
                "kapre-extract and has no other files; name another folder"
            )


def check_no_lone_companion(output: OutputSettings) -> None:
    """Raise UsageError for metadata without its array, unless it may be replaced."""
    if output.overwrite or output.resume is not None or os.path.lexists(output.path):
        return
    for companion in filter(os.path.lexists, output.file_format.companions(output.path)):
        raise UsageError(
            Text(
                f"{quoted(companion)} is in the way: the metadata of an array that is missing; "
                "move it away, or add ",
                Argument("overwrite", True),
                ", which replaces it once the new array is complete",
            )
        )


def check_kind(output: OutputSettings) -> None:
    """Raise UsageError for a file where a folder is asked for, or the other way round."""
    path, format_ = output.path, output.file_format
    if not format_.is_folder:
        check_regular(path, "output")
    elif os.path.lexists(path) and not path.is_dir():
        *others, last = (
            suffix for one in built_in_formats() if not one.is_folder for suffix in one.suffixes
        )
        raise UsageError(
            f"the output {quoted(path)} is a file; {format_.summary} was asked for "
            f"({', '.join(others)} and {last} are written as one file)"
        )


def is_occupied(path: Path) -> bool:
    """Whether anything but an empty folder exists at ``path``."""
    is_folder = path.is_dir() and not path.is_symlink()
    return any(path.iterdir()) if is_folder else os.path.lexists(path)


def check_regular(path: Path, what: str, named: Path | None = None) -> None:
    """Raise UsageError for a folder, device, pipe or socket where a file is asked for."""
    status = _status(path)
    kind = _OTHER_KINDS.get(stat.S_IFMT(status.st_mode)) if status else None
    if kind is not None:
        raise UsageError(
            f"the {what} {quoted(named or path)} is {kind}, which is not replaced; name a file"
        )


def _check_ours(path: Path, format_: Format) -> None:
    """Reject an output that this program did not make; an empty file may be replaced."""
    if format_.is_folder:
        check_unmixed(path, format_)
        return
    if os.lstat(path).st_size == 0:
        return
    try:
        is_ours = format_.is_ours(path)
    except (OSError, StoredDataError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the output {quoted(path)} exists and cannot be read ({reason}); it is left alone: "
            "move it away, or name another output"
        ) from error
    if not is_ours:
        raise UsageError(
            f"the output {quoted(path)} exists, and kapre-extract did not make it; it is left "
            "alone: move it away, or name another output"
        )
    for companion in format_.companions(path):
        _check_pair(path, companion, format_)


def _check_pair(path: Path, companion: Path, format_: Format) -> None:
    """Reject an array that its metadata does not describe; its values may be damaged."""
    try:
        with format_.open(path) as features:
            for stored in features.values():
                if stored.dtype != np.dtype(features.root.dtype):
                    raise StoredDataError(f"it is of {stored.dtype}, not {features.root.dtype}")
    except (StoredDataError, OSError) as error:
        raise UsageError(
            f"the output {quoted(path)} is not the array that {quoted(companion.name)} "
            f"describes ({error}); it is left alone: move both away, or name another output"
        ) from error


def _check_no_unexpected_files(path: Path) -> None:
    """Reject a file with unexpected objects; a damaged one counts as having none."""
    unexpected = None
    with suppress(FileNotFoundError):
        now = os.stat(path)
        state = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        unexpected = _first_unexpected(path, state)
    if unexpected is not None:
        raise UsageError(
            f"{quoted(unexpected)} in the output {quoted(path)} was not made by this program; "
            "move it into another file, since the whole file would be replaced"
        )


@lru_cache(maxsize=4)
def _first_unexpected(path: Path, _state: tuple[int, ...]) -> str | None:
    """Return an unexpected object's name; the cache saves a second search."""
    try:
        with open_features(path) as features:
            return next(features.unexpected_files(), None)
    except (StoredDataError, FileNotFoundError):
        return None


def check_unmixed(path: Path, format_: Format, moved_from: Path | None = None) -> None:
    """Raise UsageError for a folder that is no output, or has unexpected files.

    The message names the folder as ``moved_from`` if it is given.
    """
    name = moved_from or path
    try:
        is_ours = format_.is_ours(path)
    except (OSError, StoredDataError):
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"the folder {quoted(name)} is not empty and not an output of kapre-extract; "
            "it is left alone: name another output"
        )
    try:
        with format_.open(path) as features:
            unexpected = [*features.unexpected_files(), *features.replaced_arrays()]
    except (StoredDataError, OSError) as error:
        raise UsageError(
            f"the folder {quoted(name)} is not a complete output of kapre-extract ({error}); "
            "it is left alone: remove it if it is of no use"
        ) from error
    for file in unexpected:
        raise UsageError(
            f"{quoted(name / file)} in the output was not made by this program; "
            "move it away, since the whole folder would be replaced"
        )
