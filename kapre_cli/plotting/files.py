"""Where a picture goes: what may stand there, and how it appears there, whole."""

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
from kapre_cli.outputs.publishing import publish
from kapre_cli.outputs.scratch import scratch_folder
from kapre_cli.text import quoted
from kapre_cli.version import PROGRAM

# What pictures of this program say of their maker, see ``figure.rendered``.
MAKER = PROGRAM
_MARKS = (
    f"Software\0{MAKER}".encode(),  # PNG
    f"/Creator ({MAKER})".encode(),  # PDF
    f"<dc:title>{MAKER}</dc:title>".encode(),  # SVG
)
_MOST_BYTES = 2**27

PICTURES = ("png", "pdf", "svg")


def check_picture(path: Path, sources: Iterable[Path], *, overwrite: bool) -> Stamp | None:
    """Refuse a picture that cannot be had, before any work is done.

    Args:
        path: Where it is to be.
        sources: What it is drawn from.
        overwrite: Whether a picture of this program that stands there may be replaced.

    Returns:
        What stands there, see :func:`save`.

    Raises:
        UsageError: If its suffix is no picture's, its folder does not exist or is an output,
            something stands there that may not be replaced, or it is what is drawn.
    """
    if kind_of(path) not in PICTURES:
        suffixes = ", ".join(f".{kind}" for kind in PICTURES)
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
        raise UsageError(f"the picture {quoted(path)} exists; --overwrite replaces it")
    return existing


def _is_ours(path: Path) -> bool:
    """Whether a picture says that this program made it."""
    try:
        with open_plain(path) as file:
            content = file.read(_MOST_BYTES)
    except (OSError, StoredDataError):
        return False
    return any(mark in content for mark in _MARKS)


def kind_of(path: Path) -> str:
    """Return what kind of picture a path's suffix stands for, in lower case.

    >>> kind_of(Path("song.PNG"))
    'png'
    """
    return path.suffix.lower().removeprefix(".")


def save(path: Path, content: bytes, existing: Stamp | None) -> None:
    """Put a picture in its place, whole; a link stands for what it leads to.

    Args:
        path: Its place.
        content: The picture.
        existing: What :func:`check_picture` found there, which alone is replaced.

    Raises:
        OutputError: If it cannot be written, or something else stands there now; what stood
            there is unchanged then.
    """
    target = Path(os.path.realpath(path))
    with wrap_os_errors(path), scratch_folder(target.parent, path) as folder:
        made = folder / "new"
        with open(made, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        publish(made, target, folder / "old", existing)
