"""Messages and exit codes of errors, which are decided only here."""

import os
import signal

import click

from kapre_cli.cli.error_text import error_text
from kapre_cli.cli.signals import Stopped
from kapre_cli.errors import KapreExtractError, SettingsError, UsageError
from kapre_cli.report import ExitCode
from kapre_cli.text import quoted

_KERAS = ("keras", "tensorflow")  # needed only for --engine keras
_NO_THREAD = "can't start new thread"  # Python's RuntimeError


class PipeClosedError(Exception):
    """A broken pipe, as an error that Click does not handle itself."""


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code of a process that ends with ``error``."""
    if isinstance(error, Stopped):
        return ExitCode(128 + error.number)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return ExitCode(128 + signal.SIGINT)
    if isinstance(error, (click.ClickException, SettingsError, UsageError)):
        return ExitCode.USAGE
    kinds = (BrokenPipeError, PipeClosedError)
    if isinstance(error, kinds) or isinstance(error.__cause__, kinds):
        return ExitCode.PIPE_CLOSED
    return ExitCode.FAILED


def message_of(error: BaseException) -> str | None:
    """Return the user's message, ``None`` if the reader has left; raise a fault of the program."""
    if code_of(error) is ExitCode.PIPE_CLOSED:
        return None
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return str(Stopped(signal.SIGINT))
    if isinstance(error, Stopped):
        return str(error)
    return f"Error: {_reason(error)}"


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
