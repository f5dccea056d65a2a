"""The file of a picture: validation of its path, and atomic writing."""

import os
from collections.abc import Iterable
from pathlib import Path

from kapre_cli.errors import StoredDataError, UsageError, wrap_os_errors
from kapre_cli.osutil import open_plain
from kapre_cli.outputs.existing import (
    Stamp,
    check_folder_exists,
    check_outside_outputs,
    check_regular,
    stamp_of,
)
from kapre_cli.outputs.locked_folders import scratch_folder
from kapre_cli.outputs.publishing import publish
from kapre_cli.text import Argument, Text, quoted
from kapre_cli.version import PROGRAM

# The program's name in the metadata of its pictures, see ``figure.render``.
MAKER = PROGRAM
_MARKS = (
    f"Software\0{MAKER}".encode(),  # PNG
    f"/Creator ({MAKER})".encode(),  # PDF
    f"<dc:title>{MAKER}</dc:title>".encode(),  # SVG
)
_MAX_BYTES = 2**27

PICTURES = ("png", "pdf", "svg")


def validate_picture(path: Path, sources: Iterable[Path], *, overwrite: bool) -> Stamp | None:
    """Check that a picture can be written, before any work is done.

    Args:
        path: Path of the picture.
        sources: The outputs or recordings that it shows.
        overwrite: Whether an existing picture of this program may be replaced.

    Returns:
        The existing file, see :func:`save`.

    Raises:
        UsageError: If its suffix is not a picture's, its folder does not exist or is an output,
            an existing file may not be replaced, or it is one of the sources.
    """
    if picture_format(path) not in PICTURES:
        suffixes = ", ".join(f".{file_format}" for file_format in PICTURES)
        raise UsageError(f"the picture {quoted(path)} has none of the suffixes {suffixes}")
    check_folder_exists("picture", path)
    target = Path(os.path.realpath(path))
    check_outside_outputs("picture", target)
    check_regular(target, "picture", path)
    existing = stamp_of(target)
    if existing is None:
        return None
    if any(os.path.exists(source) and target.samefile(source) for source in sources):
        raise UsageError(f"the picture {quoted(path)} is what would be drawn")
    if existing.size and not _is_ours(target):
        raise UsageError(
            f"the picture {quoted(path)} exists, and kapre-extract did not make it; it is left "
            "alone: move it away, or name another picture"
        )
    if not overwrite:
        exists = f"the picture {quoted(path)} exists; "
        raise UsageError(Text(exists, Argument("overwrite", True), " replaces it"))
    return existing


def _is_ours(path: Path) -> bool:
    """Whether the metadata of a picture name this program."""
    try:
        with open_plain(path) as file:
            content = file.read(_MAX_BYTES)
    except (OSError, StoredDataError):
        return False
    return any(mark in content for mark in _MARKS)


def picture_format(path: Path) -> str:
    """Return the suffix of a path, without the dot and in lower case.

    >>> picture_format(Path("song.PNG"))
    'png'
    """
    return path.suffix.lower().removeprefix(".")


def save(path: Path, content: bytes, existing: Stamp | None) -> None:
    """Write a picture atomically; a symbolic link is followed.

    Args:
        path: Path of the picture.
        content: The bytes of the picture.
        existing: The file that :func:`validate_picture` found; no other one is replaced.

    Raises:
        OutputError: If it cannot be written, or another file is at its path by now. An existing
            file is unchanged then.
    """
    target = Path(os.path.realpath(path))
    with wrap_os_errors(path), scratch_folder(target.parent, path) as folder:
        temporary = folder / "new"
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, target, folder / "old", existing)
