"""Which exit code belongs to what has ended a run."""

import signal

import click

from kapre_cli.cli.signals import Stopped
from kapre_cli.errors import SettingsError, UsageError
from kapre_cli.report import ExitCode


def code_of(error: BaseException) -> ExitCode:
    """Return the exit code of a process that ends with ``error``."""
    if isinstance(error, Stopped):
        return ExitCode(128 + error.number)
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return ExitCode(128 + signal.SIGINT)
    if isinstance(error, (click.ClickException, SettingsError, UsageError)):
        return ExitCode.USAGE
    if isinstance(error, BrokenPipeError):
        return ExitCode.PIPE_CLOSED
    return ExitCode.FAILED
