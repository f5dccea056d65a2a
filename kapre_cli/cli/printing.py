"""Standard output, for commands whose product is text."""

import io
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from kapre_cli.errors import OutputError, printable, writing
from kapre_cli.report import ExitCode


def printing(command: Callable[..., int]) -> Callable[..., int]:
    """Let a command that prints end quietly once whoever reads it has left."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> int:
        try:
            return command(*arguments, **options)
        except BrokenPipeError:
            return ExitCode.PIPE_CLOSED

    return run


def put(line: str) -> None:
    """Print a line at once; what a terminal lacks, or should not see, is escaped.

    Raises:
        BrokenPipeError: If whoever read it has left.
        OutputError: If it cannot be written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with writing("standard output"):
            sys.stdout.write(f"{printable(line)}\n")
            sys.stdout.flush()
    except OutputError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise
