"""Opening inputs so that nothing blocks, and reading their bytes."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from kapre_cli.audio.missing import hint_of_missing
from kapre_cli.audio.remedies import shell_name
from kapre_cli.errors import AudioReadError, KapreExtractError, input_error
from kapre_cli.osutil import Resource, open_to_read, read_at
from kapre_cli.text import quoted

_FRONT_BYTES = 2**16

_SPECIAL_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_MOST_LINKS = 40  # that systems follow
_ANNEXED = "annex/objects/"
_ERRORS_OF_SOCKETS = (errno.ENXIO, errno.EOPNOTSUPP)  # which cannot be opened at all


class ByteSource(Protocol):
    """Bytes that a header can be read from.

    Attributes:
        size: How many there are.
    """

    size: int

    @property
    def shell_name(self) -> str | None:
        """The name of their file as a shell takes it; ``None``: they came through a pipe."""

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return the bytes from ``position`` on: ``n_bytes``, or as many as there are."""


class RegularFile(Resource):
    """A regular file, open for reading.

    Its first bytes are read at once: they are all of a short file, and the header of any.

    Args:
        path: The file.
        front_bytes: How many bytes are read at once.
        is_stream: Whether it is what came through a pipe.

    Attributes:
        path: The file.
        is_stream: Whether it is what came through a pipe.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.
        is_held: Whether the bytes that have been read are the whole file.

    Raises:
        AudioReadError: If it cannot be opened or read, or is one that could block or never end.
    """

    def __init__(
        self, path: str, front_bytes: int = _FRONT_BYTES, *, is_stream: bool = False
    ) -> None:
        self.path, self.is_stream = path, is_stream
        self._fd = _open_without_waiting(path)
        try:
            status = os.fstat(self._fd)
            _require_regular(status.st_mode)
            self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
            with read_errors():
                self._front = read_at(self._fd, front_bytes, 0)
        except BaseException:
            self.close()
            raise
        self.is_held = len(self._front) == self.size

    @property
    def shell_name(self) -> str | None:
        """The file's name as a shell takes it; ``None``: it came through a pipe."""
        return None if self.is_stream else shell_name(self.path)

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return the bytes from ``position`` on: ``n_bytes``, or as many as there are."""
        if self.is_held or position + n_bytes <= len(self._front):
            return self._front[position : position + n_bytes]
        return read_at(self._fd, n_bytes, position)

    def require_unchanged(self) -> None:
        """Raise :class:`AudioReadError` if the file was written to since it was opened."""
        status = os.fstat(self._fd)
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise AudioReadError(
                "the file changed while it was read; extract it again when nothing writes to it"
            )

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Tail:
    """A file from some position on, as a :class:`ByteSource`.

    Args:
        file: The file.
        start: Where the tail begins.
    """

    def __init__(self, file: ByteSource, start: int) -> None:
        self.size = file.size - start
        self._file = file
        self._start = start

    @property
    def shell_name(self) -> str | None:
        """The name of the file."""
        return self._file.shell_name

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return the bytes from ``position`` on: ``n_bytes``, or as many as there are."""
        return self._file.at(self._start + position, n_bytes)


def _open_without_waiting(path: str) -> int:
    try:
        return open_to_read(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error, OSError) and error.errno in _ERRORS_OF_SOCKETS and _is_socket(path):
            raise AudioReadError("it is a socket, not a regular file") from error
        raise AudioReadError(f"cannot be opened: {_reason(path, error)}") from error


def _reason(path: str, error: Exception) -> str:
    """Say why a file cannot be opened, and what may have been meant."""
    if not isinstance(error, OSError):
        return str(error)
    hint = hint_of_missing(path) if isinstance(error, FileNotFoundError) else ""
    return _reason_of_link(path, error) or f"{error.strerror}{hint}"


def _reason_of_link(path: str, error: OSError) -> str:
    """Say which link on the way to a file leads nowhere; nothing if none does."""
    if error.errno not in (errno.ENOENT, errno.ELOOP):
        return ""
    names = [path, *map(str, Path(path).parents)]
    link = next((name for name in reversed(names) if _leads_nowhere(name)), None)
    if link is None:
        return ""
    what = "it is a link" if link == path else f"its folder {quoted(link)} is a link"
    if error.errno == errno.ELOOP:
        return (
            f"{what} to {quoted(os.readlink(link))} that leads back to itself; link to the "
            "recording instead"
        )
    last, target = link, os.readlink(link)
    for _ in range(_MOST_LINKS):
        last = os.path.join(os.path.dirname(last), target)
        if not _leads_nowhere(last):
            break
        target = os.readlink(last)
    if _ANNEXED in target:
        return (
            f"{what} to {quoted(target)}, the place of a recording that git-annex has not fetched; "
            f"run: git annex get {shell_name(link)}"
        )
    return (
        f"{what} to {quoted(target)}, which does not exist; bring that back, or link to where it "
        "is now"
    )


def _leads_nowhere(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def _require_regular(mode: int) -> None:
    for is_kind, kind in () if stat.S_ISREG(mode) else _SPECIAL_FILES:
        if is_kind(mode):
            raise AudioReadError(f"it is {kind}, not a regular file")


def _is_socket(path: str) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(os.stat(path).st_mode)
    return False


@contextmanager
def read_errors() -> Iterator[None]:
    """Turn any exception that reading a file raises into one that fails this file alone.

    Raises:
        AudioReadError: For an error of the operating system, a lack of memory, or anything else.
    """
    try:
        yield
    except KapreExtractError:
        raise
    except OSError as error:
        raise AudioReadError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise input_error(error) from error
