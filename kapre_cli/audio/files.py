"""Opening inputs without blocking, and reading and hashing their bytes."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from kapre_cli.audio.remedies import hint_of_missing, shell_name
from kapre_cli.errors import AudioReadError, KapreExtractError, input_error
from kapre_cli.osutil import Resource, open_to_read, read_at
from kapre_cli.text import quoted

_FRONT_BYTES = 2**16
_BUFFER_BYTES = 2**18

_SPECIAL_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_MAX_LINKS = 40  # that systems follow
_ANNEXED = "annex/objects/"
_ERRORS_OF_SOCKETS = (errno.ENXIO, errno.EOPNOTSUPP)  # which cannot be opened at all


class ByteSource(Protocol):
    """``size`` bytes that a header can be read from."""

    size: int

    @property
    def shell_name(self) -> str | None:
        """The file's name, quoted for a shell; ``None``: its bytes are those of a pipe."""

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return ``n_bytes`` bytes from ``position`` on: fewer or none at the end."""


class RegularFile(Resource):
    """A regular file, open for reading.

    Its first bytes are read at once: all of a short file, the header of most others.

    Args:
        path: The file.
        front_bytes: How many bytes are read at once.
        is_stream: Whether it holds the bytes of a pipe.

    Attributes:
        path: The file.
        is_stream: Whether it holds the bytes of a pipe.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.
        is_buffered: Whether the whole file has been read.

    Raises:
        AudioReadError: If it cannot be opened or read, or is not a regular file.
    """

    def __init__(
        self, path: str, front_bytes: int = _FRONT_BYTES, *, is_stream: bool = False
    ) -> None:
        self.path, self.is_stream = path, is_stream
        self._fd = _open_without_waiting(path)
        try:
            status = os.fstat(self._fd)
            _check_regular(status.st_mode)
            self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
            with read_errors():
                self._front = read_at(self._fd, front_bytes, 0)
        except BaseException:
            self.close()
            raise
        self.is_buffered = len(self._front) == self.size

    @property
    def shell_name(self) -> str | None:
        """The file's name, quoted for a shell; ``None``: its bytes are those of a pipe."""
        return None if self.is_stream else shell_name(self.path)

    def at(self, position: int, n_bytes: int) -> bytes:
        """Return ``n_bytes`` bytes from ``position`` on: fewer or none at the end."""
        if self.is_buffered or position + n_bytes <= len(self._front):
            return self._front[position : position + n_bytes]
        return read_at(self._fd, n_bytes, position)

    def check_unchanged(self) -> None:
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


def _open_without_waiting(path: str) -> int:
    try:
        return open_to_read(path)
    except ValueError as error:  # a NUL in the path
        raise AudioReadError(f"cannot be opened: {error}") from error
    except OSError as error:
        if error.errno in _ERRORS_OF_SOCKETS and _is_socket(path):
            raise AudioReadError("it is a socket, not a regular file") from error
        hint = hint_of_missing(path) if isinstance(error, FileNotFoundError) else ""
        reason = _reason_of_link(path, error) or f"{error.strerror}{hint}"
        raise AudioReadError(f"cannot be opened: {reason}") from error


def _reason_of_link(path: str, error: OSError) -> str:
    """Name the dangling link in the path of a file; empty if there is none."""
    if error.errno not in (errno.ENOENT, errno.ELOOP):
        return ""
    names = [path, *map(str, Path(path).parents)]
    link = next((name for name in reversed(names) if _is_dangling(name)), None)
    if link is None:
        return ""
    subject = "it is a link" if link == path else f"its folder {quoted(link)} is a link"
    if error.errno == errno.ELOOP:
        return (
            f"{subject} to {quoted(os.readlink(link))} that leads back to itself; link to the "
            "recording instead"
        )
    last, target = link, os.readlink(link)
    for _ in range(_MAX_LINKS):
        last = os.path.join(os.path.dirname(last), target)
        if not _is_dangling(last):
            break
        target = os.readlink(last)
    if _ANNEXED in target:
        return (
            f"{subject} to {quoted(target)}, a recording that git-annex has not fetched; "
            f"run: git annex get {shell_name(link)}"
        )
    return (
        f"{subject} to {quoted(target)}, which does not exist; restore it, or link to where "
        "it is now"
    )


def _is_dangling(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)


def _check_regular(mode: int) -> None:
    for is_kind, kind in _SPECIAL_FILES:
        if is_kind(mode):
            raise AudioReadError(f"it is {kind}, not a regular file")


def _is_socket(path: str) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(os.stat(path).st_mode)
    return False


@contextmanager
def read_errors() -> Iterator[None]:
    """Turn any exception while a file is read into an AudioReadError of that file."""
    try:
        yield
    except KapreExtractError:
        raise
    except OSError as error:
        raise AudioReadError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise input_error(error) from error


class HashingReader:
    """A binary file object that hashes what it reads and may replace the header.

    libsndfile reads FLAC in chunks of 8 KiB, which the buffer makes cheap. The file's own bytes are
    hashed as they are read, while they are in the cache.

    Args:
        file: The file.
        head: Bytes that replace those before ``start``.
        start: Where the file's own bytes begin.
        end: Where they end; ``None``: at the end of the file.

    Attributes:
        size: Number of bytes that the decoder reads.
        failure: An exception that was raised inside a callback and cannot pass through C code.
    """

    def __init__(
        self, file: RegularFile, head: bytes = b"", start: int = 0, end: int | None = None
    ) -> None:
        self._file = file
        self._head = head
        self._shift = start - len(head)
        self._end = max(file.size if end is None else min(end, file.size), start)
        self.size = self._end - self._shift
        self.failure: BaseException | None = None
        self._position = 0
        self._buffer = memoryview(b"")
        self._buffer_start = 0
        from hashlib import sha256  # slow to import, and not needed for --help

        self._digest = sha256()
        self._n_hashed = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def tell_in_file(self) -> int:
        """Return the position in the file itself, once it is among the file's own bytes."""
        return self._position + self._shift

    def readinto(self, target: Any) -> int:
        """Fill a buffer and return the number of bytes read: fewer at the end."""
        block = self.read_view(len(target))
        target[: len(block)] = block
        return len(block)

    def read_view(self, n_bytes: int) -> memoryview:
        """Return the next bytes, fewer at the end, as a view that stays unchanged."""
        at = self._position - self._buffer_start
        block = self._buffer[at : at + n_bytes] if at >= 0 else self._buffer[:0]
        if len(block) < n_bytes:
            self._buffer = memoryview(self._bytes(self._position, max(n_bytes, _BUFFER_BYTES)))
            self._buffer_start = self._position
            block = self._buffer[:n_bytes]
        self._position += len(block)
        return block

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next ``n_bytes`` bytes: fewer at the end; all of them if negative."""
        target = bytearray(self.size - self._position if n_bytes < 0 else n_bytes)
        return bytes(target[: self.readinto(target)])

    def _bytes(self, position: int, n_bytes: int) -> bytes:
        """Return bytes as the decoder reads them, without the buffer."""
        head = self._head[position : position + n_bytes]
        start = position + len(head) + self._shift
        length = min(n_bytes - len(head), self._end - start)
        if length <= 0:
            return head
        block = self._file.at(start, length)
        if not self._file.is_buffered:  # otherwise it is hashed at once later
            self._hash_up_to(start)
            self._digest.update(memoryview(block)[self._n_hashed - start :])
            self._n_hashed = max(self._n_hashed, start + len(block))
        return head + block if head else block

    def _hash_up_to(self, end: int) -> None:
        while self._n_hashed < end:
            length = min(_BUFFER_BYTES, end - self._n_hashed)
            block = self._file.at(self._n_hashed, length)
            if not block:
                break
            self._digest.update(block)
            self._n_hashed += len(block)

    def sha256(self) -> str:
        """Read the rest of the file and return the SHA-256 of all of it in hexadecimal."""
        self._hash_up_to(self._file.size)
        return self._digest.hexdigest()

    def raise_failure(self) -> None:
        """Raise the exception of a callback, if there is one."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, without decoding it.

    Raises:
        AudioReadError: If it cannot be opened or read, or is no regular file.
    """
    with RegularFile(path) as file, read_errors():
        return HashingReader(file).sha256()
