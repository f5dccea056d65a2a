"""Text on standard output, and the base classes of all commands."""

import sys
from typing import Any

import click

from kapre_cli.cli.help_text import HelpfulCommand
from kapre_cli.cli.option_names import explained
from kapre_cli.cli.signals import heard
from kapre_cli.descriptors import write_all
from kapre_cli.errors import KapreExtractError, OutputError, printable, quoted, writing

_STDOUT = "standard output"


def put(line: str) -> None:
    """Print a line at once; characters that a terminal lacks or should not get are escaped.

    Raises:
        OutputError: If it cannot be written.
    """
    text = f"{printable(line)}\n"
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # a program in Python has put something else there
        sys.stdout.write(text)
        return
    with writing(_STDOUT):
        sys.stdout.flush()
        write_all(descriptor, text.encode(sys.stdout.encoding, "backslashreplace"), _STDOUT)


class Command(HelpfulCommand):
    """A command whose errors name the option that an unknown one may stand for.

    Help that cannot be printed fails as all other output does.
    """

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments; options that only print do so here."""
        try:
            return super().make_context(*arguments, **options)
        except OSError as error:
            if isinstance(error, KapreExtractError) or error.filename is not None:
                raise
            raise OutputError(f"{quoted(_STDOUT)} cannot be written: {error.strerror}") from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the error about an unknown option names a likely one."""
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise explained(error, ctx, given) from None


class PlainCommand(Command):
    """A command that does all its work in this process."""

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; signals that end the process take effect at once."""
        with heard():
            return super().invoke(ctx)
