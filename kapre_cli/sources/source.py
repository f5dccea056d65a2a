"""One input, and a path that gives none."""

import os
from dataclasses import dataclass

from kapre_cli.settings.limits import MAX_PATH_BYTES

TOO_LONG = f"its name is longer than the {MAX_PATH_BYTES:,} bytes a path may have"


@dataclass(frozen=True)
class Source:
    """One input: where it is read from, and the name its features will have.

    Attributes:
        path: The path as it was given or found; ``-`` for standard input.
        key: A relative POSIX path without ``.`` and ``..``; see :func:`.keys.key_of`.
        spooled: Where the bytes of standard input are kept, if that is what it is.
    """

    path: str
    key: str
    spooled: str | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it came through standard input: only its bytes say what it is."""
        return self.spooled is not None

    @property
    def file(self) -> str:
        """The path under which its bytes are read."""
        return self.path if self.spooled is None else self.spooled

    @property
    def size(self) -> int:
        """Bytes of the file now; 0 if that cannot be told."""
        try:
            return os.path.getsize(self.file)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return 0


def is_too_long(path: str) -> bool:
    """Whether a path is longer than any that can be opened."""
    return len(os.fsencode(path)) > MAX_PATH_BYTES


@dataclass(frozen=True)
class Refusal:
    """A path that gives no input, and why."""

    path: str
    reason: str
