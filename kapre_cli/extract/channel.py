"""Messages between processes: pickled values over a pair of sockets."""

import pickle
import socket
import struct
from contextlib import suppress
from threading import Lock
from typing import Any

from kapre_cli.osutil import Resource

_LENGTH = struct.Struct("<Q")

# SIGPIPE from an ended process would be mistaken for that of standard output's reader.
NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)


class Channel(Resource):
    """One end of a socket pair to another process of this program."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._sending = Lock()

    def fileno(self) -> int:
        """Return the descriptor of this end, readable when a message arrives."""
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, from any thread; raise OSError if the other side has ended.

        The call blocks while the other side does not read.
        """
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._socket.sendall(_LENGTH.pack(len(data)) + data, NO_SIGNAL)

    def receive(self) -> Any:
        """Wait for the next message and return it; raise EOFError if the other side has ended."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301 - from a process of our own

    def _read(self, n_bytes: int) -> bytearray:
        data = bytearray(n_bytes)
        left = memoryview(data)
        while left:
            n_read = 0
            with suppress(ConnectionError):  # it ended without reading all messages
                n_read = self._socket.recv_into(left)
            if not n_read:
                raise EOFError("the other process has ended")
            left = left[n_read:]
        return data

    def end(self) -> None:
        """Send nothing more; what the other side sends can still be received."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close this end; the other side notices."""
        self._socket.close()
