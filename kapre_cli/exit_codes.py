"""Exit codes: which error ends the program with which is decided here alone.

Not beside the errors, which are imported on systems without these signals, to say so.

Exit code 141, for a reader of standard output that has left, has two sources. A write to the broken
pipe raises BrokenPipeError; a thread that watches the pipe raises ``Stopped(SIGPIPE)``. Both end
without a message, as a program does that SIGPIPE kills.
"""

import signal
from enum import IntEnum

from kapre_cli.errors import SettingsError, UsageError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they ask the process to end

_STOPPED_BY = {
    signal.SIGHUP: "hung up",
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGPIPE: "the reader of standard output has left",
}


class ExitCode(IntEnum):
    """Exit codes of the program."""

    OK = 0
    FAILED = 1  # an input failed, or the output could not be written
    USAGE = 2
    HUNG_UP = 128 + signal.SIGHUP
    INTERRUPTED = 128 + signal.SIGINT
    PIPE_CLOSED = 128 + signal.SIGPIPE
    TERMINATED = 128 + signal.SIGTERM


class Stopped(BaseException):
    """A signal asked the process to end.

    Attributes:
        outcome: What the stopped run has written, as the message ends.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.outcome = "no output was written or changed"

    def __str__(self) -> str:
        return f"{_STOPPED_BY[signal.Signals(self.number)]}: {self.outcome}"


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of a process that ends with ``error``.

    >>> exit_code_of(BrokenPipeError())
    <ExitCode.PIPE_CLOSED: 141>
    """
    if isinstance(error, Stopped):
        return ExitCode(128 + error.number)
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return ExitCode.PIPE_CLOSED
    if isinstance(error, (SettingsError, UsageError)):
        return ExitCode.USAGE
    return ExitCode.FAILED


def is_pipe_closed(error: BaseException) -> bool:
    """Return whether the reader of standard output has left, which needs no message."""
    return exit_code_of(error) is ExitCode.PIPE_CLOSED
