"""A run in a process of its own, so that a decoder that crashes takes nothing else with it.

The process that the user started forks before it has imported anything heavy, which takes a
millisecond, and waits. Should the process at work come down, another goes on from the journal;
an input that brings it down twice is failed by name.
"""

import mmap
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import click

from kapre_cli.cli import imports
from kapre_cli.cli.outlet import Outlet, outlet
from kapre_cli.cli.signals import Stopped, do_nothing, heard
from kapre_cli.errors import quoted
from kapre_cli.report import STOPPING, UNWATCHED, Gone, Watch
from kapre_cli.version import PROGRAM

Workload = Callable[[Watch], int]

_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
_AWAITED = (*STOPPING, signal.SIGCHLD)  # by the process that waits
_PAGE_BYTES = 2**14  # room for the longest path
_READERS = 64  # more share a page, and a crash may then be laid to another input once
_RESUME = "the same command with --resume goes on with what was kept"

_LENGTH = struct.Struct("<I")
_GONE = struct.Struct("<QQQdQ")
_REFUSED = struct.Struct("<Q")

# A terminal signals every process of a group, and so does timeout, beside the one it watches.
# What comes so soon after the first is the same request.
_SAME_REQUEST_SECONDS = 0.3


class SharedWatch(Watch):
    """Which inputs are being read, in memory that outlives the process that reads them."""

    def __init__(self) -> None:
        self._gone = mmap.mmap(-1, _GONE.size)
        self._refused = mmap.mmap(-1, _REFUSED.size)
        self._report_begun = mmap.mmap(-1, 1)
        self._pages = mmap.mmap(-1, _READERS * _PAGE_BYTES)  # taken up only as it is written to
        self._crashes: dict[str, tuple[str, ...]] = {}

    def reading(self, key: str | None, reader: int = 0) -> None:
        """Take note that an input, or none any more, is being read by one of several readers."""
        named = (key or "").encode()[: _PAGE_BYTES - _LENGTH.size]
        start = reader % _READERS * _PAGE_BYTES
        self._pages[start : start + _LENGTH.size + len(named)] = _LENGTH.pack(len(named)) + named

    def crashes(self, key: str) -> tuple[str, ...]:
        """Return the signals that the process died of while ``key`` was being read."""
        return self._crashes.get(key, ())

    def refused(self, n_refusals: int) -> None:
        """Take note that so many paths have been refused, and named with the reason."""
        _REFUSED.pack_into(self._refused, 0, n_refusals)

    def n_refused(self) -> int:
        """Return how many had been when the process came down."""
        (n_refusals,) = _REFUSED.unpack_from(self._refused)
        return int(n_refusals)

    def report_begun(self) -> None:
        """Record that the report file has been opened."""
        self._report_begun[0] = 1

    def has_begun_report(self) -> bool:
        """Whether the report file had been opened when the process came down."""
        return self._report_begun[0] == 1

    def went_out(self, gone: Gone) -> None:
        """Take note what has gone out whole."""
        _GONE.pack_into(self._gone, 0, *gone)

    def gone(self) -> Gone:
        """Return what had gone out whole when the process came down."""
        return Gone(*_GONE.unpack_from(self._gone))

    def crashed(self, how: str) -> list[str]:
        """Take note that the process came down; return the keys of the inputs it was reading."""
        keys = []
        for start in range(0, len(self._pages), _PAGE_BYTES):
            (length,) = _LENGTH.unpack(self._pages[start : start + _LENGTH.size])
            if length:
                named = self._pages[start + _LENGTH.size : start + _LENGTH.size + length]
                keys.append(named.decode(errors="replace"))
                self.reading(None, start // _PAGE_BYTES)
        for key in keys:
            self._crashes[key] = (*self.crashes(key), how)
        self.again = True
        return keys


def guarded(work: Workload, remedy: str = _RESUME, *, streams: bool = False) -> int:
    """Run ``work`` in a process of its own and return its exit code, in both processes.

    Args:
        work: What is to be done.
        remedy: What to do should its process end before it is done.
        streams: Whether it writes arrays to standard output.

    Raises:
        BrokenPipeError: If nobody reads these arrays any more.
    """
    before = signal.signal(signal.SIGCHLD, do_nothing)  # else it might not be awaited
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    parent = os.getpid()
    try:
        return _attempts(work, remedy, outlet() if streams else Outlet())
    finally:
        if os.getpid() == parent:
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
            while due := signal.sigpending() & {*_AWAITED}:
                signal.sigwait(due)  # what asks this process to end: it does
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _attempts(work: Workload, remedy: str, out: Outlet) -> int:
    """Do what :func:`guarded` does, with signals blocked in the process that waits."""
    watch = SharedWatch()
    while True:
        sys.stdout.flush()
        sys.stderr.flush()
        theirs, ours = os.pipe()
        out.open()
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            out.enter()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_AWAITED, signal.SIGPIPE))
            threading.Thread(target=_end_with_parent, args=(theirs,), daemon=True).start()
            imports.make_quick()
            with heard():
                return work(watch)
        os.close(theirs)
        out.carry()
        ended = _Attempt(pid).wait()
        os.close(ours)
        if not ended.stopped:
            try:
                out.close()
            except Stopped as stopped:
                stopped.left = remedy
                raise
        watch.n_sent = out.n_bytes
        if not (out.has_reader or ended.stopped):
            raise BrokenPipeError
        if ended.code is not None:
            return ended.code
        keys = watch.crashed(ended.name) if ended.number in _CRASHES else []
        if not keys or ended.stopped:
            _say(f"{_how(ended)}; {remedy}")
            return 128 + (ended.stopped or ended.number)
        # Whichever input is to blame, it has the process to itself when it is read again.
        once = all(len(watch.crashes(key)) == 1 for key in keys)
        again = "every input is now read alone" if once else "it is left out"
        _say(f"crashed ({ended.name}) while reading {' or '.join(map(quoted, keys))}; {again}")


def unguarded(
    work: Workload,
    remedy: str = _RESUME,  # noqa: ARG001
    *,
    streams: bool = False,  # noqa: ARG001
) -> int:
    """Run ``work`` in this process."""
    with heard():
        return work(UNWATCHED)


class _Attempt:
    """The process at work, as the one that waits for it sees it.

    Attributes:
        code: Its exit code, ``None`` if a signal ended it.
        number: The signal that ended it.
        stopped: The signal that first asked this process to end, 0 if none did.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._asked = 0.0
        self.code: int | None = None
        self.number = 0
        self.stopped = 0

    @property
    def name(self) -> str:
        """The name of the signal that ended it."""
        return signal.Signals(self.number).name

    def wait(self) -> "_Attempt":
        """Wait until it ends, and pass on to it what asks this process to end.

        Signals stay blocked and are taken one by one: none is missed between a look and a wait.
        """
        heeded = [n for n in _AWAITED if signal.getsignal(n) is not signal.SIG_IGN]
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                break
            number = signal.sigwait(heeded)
            if number != signal.SIGCHLD:
                self._pass_on(number)
        if os.WIFSIGNALED(status):
            self.number = os.WTERMSIG(status)
        else:
            self.code = os.WEXITSTATUS(status)
        return self

    def _pass_on(self, number: int) -> None:
        now = time.monotonic()
        with suppress(ProcessLookupError):  # it has ended just now, asked by a terminal itself
            if not self.stopped:
                self.stopped, self._asked = number, now
                os.kill(self._pid, number)
            elif now - self._asked > _SAME_REQUEST_SECONDS:
                os.kill(self._pid, signal.SIGKILL)  # asked twice: at once


def _how(ended: _Attempt) -> str:
    if ended.stopped:
        return "stopped at once"
    if ended.number == signal.SIGKILL:
        return "the worker process was killed (SIGKILL), perhaps because memory ran out"
    return f"the worker process crashed ({ended.name})"


def _end_with_parent(theirs: int) -> None:
    """End this process when the one that waits for it is no more, killed for instance."""
    os.read(theirs, 1)
    os._exit(128 + signal.SIGKILL)


def _say(message: str) -> None:
    click.echo(f"{PROGRAM}: {message}", err=True)
