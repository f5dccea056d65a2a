"""Standard output of the process at work, as the process that waits for it sees it.

A process that comes down cannot say how much it has written last: a thread of it may have been at
it just then. Whoever stays knows, so that another process goes on at the very byte.
"""

import fcntl
import os
import select
import signal
import stat
import threading

from kapre_cli.report import STOPPING

_CARRIED_BYTES = 2**16


class Outlet:
    """A place that is of no interest.

    Attributes:
        has_reader: Whether somebody reads what is written, as far as that can be told.
    """

    has_reader = True

    @property
    def n_bytes(self) -> int:
        """How many bytes have been written."""
        return 0

    def open(self) -> None:
        """Get ready for a process that is to be made."""

    def enter(self) -> None:
        """Let this process, which has just been made, write."""

    def carry(self) -> None:
        """Wait for what the process that has just been made writes."""

    def close(self) -> None:
        """See that all is carried on that an ended process has written."""


class FileOutlet(Outlet):
    """A file, which is written to directly and whose end moves with every byte."""

    def __init__(self) -> None:
        self._start = self._position()

    @staticmethod
    def _position() -> int:
        if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_APPEND:
            return os.fstat(1).st_size
        return os.lseek(1, 0, os.SEEK_CUR)

    @property
    def n_bytes(self) -> int:
        """How many bytes have been written."""
        return self._position() - self._start


class PipeOutlet(Outlet):
    """A pipe or socket, reached through another pipe, and a thread that carries and counts.

    If the reader leaves, so does this one: the process at work sees no difference.
    """

    def __init__(self) -> None:
        self.has_reader = True
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """How many bytes have been written."""
        return self._n_bytes

    def open(self) -> None:
        """Make the pipe to the process that is to be made."""
        self._inner, self._into = os.pipe()

    def enter(self) -> None:
        """Put the pipe in place of standard output."""
        os.dup2(self._into, 1)
        os.close(self._into)
        os.close(self._inner)

    def carry(self) -> None:
        """Carry on what comes, in a thread."""
        os.close(self._into)
        self._thread = threading.Thread(target=self._carry, name="outlet", daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        try:
            poll = select.poll()
            poll.register(self._inner, select.POLLIN)
            poll.register(1, 0)  # errors are told unasked
            while 1 not in dict(poll.poll()):
                part = memoryview(os.read(self._inner, _CARRIED_BYTES))
                if not part:
                    return
                self._n_bytes += len(part)
                while part:
                    part = part[self._write(part) :]
            self.has_reader = False
        except OSError:
            self.has_reader = False
        finally:
            os.close(self._inner)

    @staticmethod
    def _write(part: memoryview) -> int:
        try:
            return os.write(1, part)
        except BlockingIOError:  # another program has made it so
            select.select([], [1], [])
            return 0

    def close(self) -> None:
        """Wait until all has been carried on, or this process is asked to end."""
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def outlet() -> Outlet:
    """Return what standard output is."""
    mode = os.fstat(1).st_mode
    if stat.S_ISREG(mode):
        return FileOutlet()
    return PipeOutlet() if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else Outlet()
