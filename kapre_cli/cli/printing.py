"""Standard output, for commands whose product is text."""

import io
import sys
from typing import Any

import click

from kapre_cli.errors import KapreExtractError, OutputError, printable, quoted, writing

_STDOUT = "standard output"


def put(line: str) -> None:
    """Print a line at once; what a terminal lacks, or should not see, is escaped.

    Raises:
        OutputError: If it cannot be written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with writing(_STDOUT):
        sys.stdout.write(f"{printable(line)}\n")
        sys.stdout.flush()


class Command(click.Command):
    """A command whose ``--help``, if it cannot be printed, fails as all other output does."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments. The options that only print do so in here."""
        try:
            return super().make_context(*arguments, **options)
        except OSError as error:
            if isinstance(error, KapreExtractError) or error.filename is not None:
                raise
            raise OutputError(f"{quoted(_STDOUT)} cannot be written: {error.strerror}") from error
