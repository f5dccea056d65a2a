"""Exit codes, and the message of every error that ends the program: decided here alone.

Exit code 141, for a reader of standard output that has left, has two sources. A write to the broken
pipe raises BrokenPipeError; a thread that watches the pipe raises ``Stopped(SIGPIPE)``. Both end
without a message, as a program does that SIGPIPE kills.
"""

import os
import signal
from enum import IntEnum

from kapre_cli.errors import (
    InputMemoryError,
    KapreExtractError,
    KeptWorkError,
    LostWorkError,
    NotResumableError,
    OtherSettingsError,
    ProcessLimitError,
    SampleRateError,
    SettingsError,
    TooManyFailuresError,
    UsageError,
)
from kapre_cli.text import quoted

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # they ask the process to end

_STOPPED_BY = {
    signal.SIGHUP: "hung up",
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGPIPE: "the reader of standard output has left",
}
_REMEDIES: dict[type[BaseException], str] = {
    InputMemoryError: ": read fewer inputs at once (--jobs 1) or free some memory",
    KeptWorkError: "; --resume goes on with it, --overwrite starts over",
    LostWorkError: "; --resume recomputes what was lost",
    NotResumableError: "; --overwrite replaces it",
    OtherSettingsError: "; give those to resume it, or add --overwrite to replace it",
    ProcessLimitError: "; take fewer --jobs",
}
_KERAS = ("keras", "tensorflow")  # needed only for --engine keras
_NO_THREAD = "can't start new thread"  # Python's RuntimeError


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


# Errors that end the program with a message; any other one is a fault of the program.
REPORTED = (
    *(KapreExtractError, Stopped, KeyboardInterrupt),
    *(OSError, MemoryError, RuntimeError, ImportError),
)


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


def message_of(error: BaseException) -> str | None:
    """Return the message for the user, ``None`` if the reader of standard output has left.

    Raises:
        BaseException: ``error`` itself, if it is a fault of the program.
    """
    if exit_code_of(error) is ExitCode.PIPE_CLOSED:
        return None
    if isinstance(error, KeyboardInterrupt):
        return str(Stopped(signal.SIGINT))
    if isinstance(error, Stopped):
        return str(error)
    return f"Error: {_reason(error)}"


def error_text(error: BaseException) -> str:
    """Return the text of an error of this package, with the option that is a remedy, if any.

    >>> print(error_text(SampleRateError(44100, 8000)))
    sample rate is 44,100 Hz, this run uses 8,000 Hz (use --resample, or --sr 44100)
    """
    if isinstance(error, SampleRateError):
        return f"{error} (use --resample, or --sr {error.sr})"
    if isinstance(error, TooManyFailuresError):
        return str(error).replace("`max_failures`", "--max-failures")
    return f"{error}{_REMEDIES.get(type(error), '')}"


def _reason(error: BaseException) -> str:
    if isinstance(error, KapreExtractError):
        return error_text(error)
    if isinstance(error, MemoryError):
        detail = f": {error}" if str(error) else ""
        return f"there is not enough memory{detail}; take a smaller --batch-size or --n-dft"
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return "the system allows no more threads; take fewer --jobs"
    if isinstance(error, ModuleNotFoundError) and error.name in _KERAS:
        return (
            f"the module {quoted(error.name)} is not installed, which running the Keras layer "
            "needs: python -m pip install keras tensorflow; or take --engine numpy"
        )
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return f"a library cannot be loaded, perhaps because memory ran out: {error}"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        name = error.filename
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        return reason if name is None else f"{quoted(name)}: {reason}"
    raise error
