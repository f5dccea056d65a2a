"""Standard output: lines of text, or features. Its reader may leave."""

import fcntl
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from kapre_cli.cli.signals import may_interrupt, pass_over
from kapre_cli.errors import UsageError, wrap_os_errors
from kapre_cli.exit_codes import Stopped
from kapre_cli.osutil import diverted, write_all
from kapre_cli.settings import OutputSettings
from kapre_cli.text import printable

_STDOUT = "standard output"


def put(line: str) -> None:
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


def require_open_stdout(what: str, instead: str) -> None:
    """Raise UsageError if standard output is closed."""
    if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise UsageError(f"standard output is closed: {what} cannot go there; name {instead}")


@contextmanager
def while_read(descriptor: int) -> Iterator[None]:
    """Raise :class:`Stopped`, by SIGPIPE, in the block as soon as the reader of a pipe has left.

    The main thread may be computing or waiting for an input, both of which may take long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals never reach this thread: writing fails then
        return
    is_over = False

    def end(_number: int, frame: FrameType | None) -> None:
        if not may_interrupt(frame):
            return
        pass_over((signal.SIGPIPE,))
        # A block that is being stopped, or has noticed by itself, is left to tidy up.
        if not (is_over or isinstance(sys.exc_info()[1], Stopped | BrokenPipeError)):
            raise Stopped(signal.SIGPIPE)  # not mistaken for an error of a file

    main = threading.get_ident()
    ours, theirs = os.pipe()

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # errors are always reported
        poll.register(ours, 0)
        seen = dict(poll.poll())
        if ours not in seen:
            signal.pthread_kill(main, signal.SIGPIPE)

    before = signal.signal(signal.SIGPIPE, end)
    watcher = threading.Thread(target=watch, name="reader of the output", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over = True
        os.close(theirs)
        watcher.join()
        os.close(ours)
        signal.signal(signal.SIGPIPE, before)


@contextmanager
def standard_output(output: OutputSettings) -> Iterator[int | None]:
    """Yield the descriptor that arrays go to, if they are to go to standard output.

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
    require_open_stdout("arrays", "an output")
    sys.stdout.flush()
    with diverted(1) as descriptor, while_read(descriptor):
        yield descriptor
