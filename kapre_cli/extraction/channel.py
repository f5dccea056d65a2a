"""Messages between processes: pickled values over a pair of sockets."""

import pickle
import socket
import struct
from contextlib import suppress
from threading import Lock
from typing import Any

from kapre_cli.closing import Closing

_LENGTH = struct.Struct("<Q")
_RECEIVED_BYTES = 2**20

# A signal for a process that has ended would be taken for one of the reader of standard output.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)


class Channel(Closing):
    """One end, of a pair of sockets, of a connection to a process of this program."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = Lock()

    def fileno(self) -> int:
        """Return the descriptor of this end, which can be read when a message comes."""
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, from any thread; wait while the other side does not read.

        Raises:
            OSError: If the other side has ended.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._socket.sendall(_LENGTH.pack(len(data)) + data, NO_SIGNAL)

    def receive(self) -> Any:
        """Return the next message; wait until there is one.

        Raises:
            EOFError: If the other side has ended.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301 - from a process of our own

    def _read(self, n_bytes: int) -> bytes:
        parts, left = [], n_bytes
        while left:
            try:
                part = self._socket.recv(min(left, _RECEIVED_BYTES))
            except ConnectionError:  # it ended before it had read all that was sent to it
                part = b""
            if not part:
                raise EOFError("the other process has ended")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Send nothing more; what the other side sends can still be received."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close this end; the other side finds that out."""
        self._socket.close()
