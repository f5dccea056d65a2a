"""The bytes of a file as a decoder is to see them, hashed as they lie on the disk."""

import hashlib
import os
from typing import Any

from kapre_cli.audio.opening import RegularFile, read_errors

_BUFFER_BYTES = 2**18


class HashingReader:
    """A file that begins with other bytes, for decoders that read through callbacks.

    libsndfile reads FLAC in pieces of 8 KiB; the buffer makes that cost no more than reading
    the file itself. What is read forward is hashed on the way, while it is in the cache.

    Args:
        file: The file.
        head: What the decoder sees in place of the bytes before ``start``.
        start: Where the file's own bytes begin to show.
        end: Where they end; ``None``: at the end of the file.

    Attributes:
        size: Bytes that the decoder sees.
        failure: What went wrong inside a callback, which has no one to raise it to.
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
        self._digest = hashlib.sha256()
        self._n_hashed = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def tell_in_file(self) -> int:
        """Return the position as one in the file; it is not before the file's own bytes."""
        return self._position + self._shift

    def readinto(self, target: Any) -> int:
        """Fill a buffer from the position on and return how many bytes came: fewer at the end."""
        part = self.take(len(target))
        target[: len(part)] = part
        return len(part)

    def take(self, n_bytes: int) -> memoryview:
        """Return the next bytes without copying them; fewer at the end. They stay as they are."""
        at = self._position - self._buffer_start
        part = self._buffer[at : at + n_bytes] if at >= 0 else self._buffer[:0]
        if len(part) < n_bytes:
            self._buffer = memoryview(self._bytes(self._position, max(n_bytes, _BUFFER_BYTES)))
            self._buffer_start = self._position
            part = self._buffer[:n_bytes]
        self._position += len(part)
        return part

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next ``n_bytes`` bytes, or as many as there are."""
        target = bytearray(self.size - self._position if n_bytes < 0 else n_bytes)
        return bytes(target[: self.readinto(target)])

    def _bytes(self, position: int, n_bytes: int) -> bytes:
        """Return bytes as the decoder sees them, straight from the file."""
        head = self._head[position : position + n_bytes]
        start = position + len(head) + self._shift
        length = min(n_bytes - len(head), self._end - start)
        if length <= 0:
            return head
        block = self._file.at(start, length)
        if self._file.is_held:  # then it is hashed in one go
            return head + block if head else block
        if start > self._n_hashed:
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
        """Read what is left of the file and return the SHA-256 of all of it in hexadecimal."""
        self._hash_up_to(self._file.size)
        return self._digest.hexdigest()

    def raise_failure(self) -> None:
        """Raise what went wrong inside a callback, if anything did."""
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
