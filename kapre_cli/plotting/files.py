"""Where a picture goes: what may stand there, and how it appears there, whole."""

import os
from contextlib import suppress
from pathlib import Path

from kapre_cli.errors import UsageError, quoted, writing

PICTURES = ("png", "pdf", "svg")


def check_picture(path: Path, source: Path, *, overwrite: bool) -> None:
    """Refuse a picture that cannot be had, before any work is done.

    Args:
        path: Where it is to be.
        source: What it is drawn from.
        overwrite: Whether a file that stands there may be replaced.

    Raises:
        UsageError: If its suffix is no picture's, its folder does not exist, something stands
            there that may not be replaced, or it is what is drawn.
    """
    if kind_of(path) not in PICTURES:
        suffixes = ", ".join(f".{kind}" for kind in PICTURES)
        raise UsageError(f"the picture {quoted(path)} has none of the suffixes {suffixes}")
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {quoted(path.parent)} for the picture {quoted(path.name)} does not "
            "exist; make it first"
        )
    if path.is_dir():
        raise UsageError(f"the picture {quoted(path)} is a folder; a file was asked for")
    if path.exists() and path.samefile(source):
        raise UsageError(f"the picture {quoted(path)} is what would be drawn")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"the picture {quoted(path)} exists; --overwrite replaces it")


def kind_of(path: Path) -> str:
    """Return what kind of picture a path's suffix stands for, in lower case.

    >>> kind_of(Path("song.PNG"))
    'png'
    """
    return path.suffix.lower().removeprefix(".")


def save(path: Path, content: bytes) -> None:
    """Put a picture in its place, whole; a link stands for what it leads to.

    Raises:
        OutputError: If it cannot be written; what stood there is unchanged then.
    """
    target = Path(os.path.realpath(path))
    made = target.with_name(f".{os.getpid()}.partial{target.suffix}")
    with writing(path):
        try:
            with open(made, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(made, target)
        except BaseException:
            with suppress(OSError):
                made.unlink()
            raise
