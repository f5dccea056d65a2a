"""Standard output, whose reader may leave, and standard error, where a write never ends the run."""

import fcntl
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from kapre_cli.cli.signals import ignore_signals, may_interrupt
from kapre_cli.errors import UsageError, wrap_os_errors
from kapre_cli.exit_codes import Stopped
from kapre_cli.osutil import discard, diverted, write_all
from kapre_cli.settings import OutputSettings
from kapre_cli.text import printable

_STDOUT = "standard output"


def open_standard_streams() -> None:
    """Open the standard streams that were closed when this process started.

    Otherwise the next opened file gets the number of one, and messages go into it. Messages are
    dropped then; writing to standard output, which was asked for, is an error.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, flags)  # until the process ends
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w"))  # noqa: SIM115


# Standard output


def echo(line: str) -> None:
    """Print a line at once, with unprintable characters escaped; raise OutputError on failure."""
    text = f"{printable(line)}\n"
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # a Python program has replaced it
        sys.stdout.write(text)
        return
    with wrap_os_errors(_STDOUT):
        sys.stdout.flush()
        write_all(descriptor, text.encode(sys.stdout.encoding, "backslashreplace"), _STDOUT)


def flush_stdout() -> None:
    """Flush standard output; if that fails, drop the rest: Python would try once more."""
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout.fileno())
        sys.stdout.flush()


def check_stdout_is_open(content: str, instead: str) -> None:
    """Raise UsageError if standard output is closed."""
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise UsageError(f"standard output is closed: {content} cannot go there; name {instead}")


@contextmanager
def stop_when_reader_leaves(descriptor: int) -> Iterator[None]:
    """Raise :class:`Stopped`, by SIGPIPE, in the block as soon as the reader of a pipe has left.

    The main thread may be computing or waiting for an input, both of which may take long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach this thread: writing fails then
        return
    is_over = False

    def stop(_number: int, frame: FrameType | None) -> None:
        if not may_interrupt(frame):
            return
        ignore_signals((signal.SIGPIPE,))
        # A block that is being stopped, or has noticed by itself, closes its files first.
        if not (is_over or isinstance(sys.exc_info()[1], Stopped | BrokenPipeError)):
            raise Stopped(signal.SIGPIPE)  # not mistaken for an error of a file

    main = threading.get_ident()
    closed, close = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # errors are always reported
        poll.register(closed, 0)
        if closed not in dict(poll.poll()):
            signal.pthread_kill(main, signal.SIGPIPE)

    before = signal.signal(signal.SIGPIPE, stop)
    watcher = threading.Thread(target=watch, name="reader of the output", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over = True
        os.close(close)
        watcher.join()
        os.close(closed)
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def stdout_for_arrays(output: OutputSettings) -> Iterator[int | None]:
    """Yield the descriptor of standard output if arrays are to go there, else ``None``.

    Descriptor 1 itself is redirected, away from all code that might print.

    Raises:
        UsageError: If it is a terminal, or closed.
        Stopped: If its reader leaves, by SIGPIPE.
    """
    if not output.is_stream:
        yield None
        return
    if os.isatty(1):
        raise UsageError(
            "standard output is a terminal, which cannot show arrays: pipe it into a program, "
            "redirect it into a file, or name an output"
        )
    check_stdout_is_open("arrays", "an output")
    sys.stdout.flush()
    with diverted(1) as descriptor, stop_when_reader_leaves(descriptor):
        yield descriptor


# Standard error


class _MessageFile(io.FileIO):
    """A file whose writes never fail; ``n_lost`` counts the failed ones of all instances."""

    n_lost = 0

    def write(self, data: Any) -> int:
        try:
            write_all(self.fileno(), bytes(data), "standard error")
        except OSError:  # a full disk, a reader that has left, a closed terminal
            _MessageFile.n_lost += 1
        return len(data)


def n_lost_messages() -> int:
    """Return how many messages of this run could not be written."""
    return _MessageFile.n_lost


@contextmanager
def stderr_to(descriptor: int) -> Iterator[None]:
    """Let ``sys.stderr`` write to a copy of ``descriptor``, and never fail."""
    before = sys.stderr
    sys.stderr = io.TextIOWrapper(
        _MessageFile(os.dup(descriptor), "w"),
        encoding=before.encoding,
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


@contextmanager
def never_failing_stderr() -> Iterator[None]:
    """Let writes to ``sys.stderr`` never fail, if it is a file of the system."""
    _MessageFile.n_lost = 0
    try:
        descriptor = sys.stderr.fileno()
    except (OSError, ValueError):  # a Python program has replaced it
        yield
        return
    with stderr_to(descriptor):
        yield
