"""The classes of the commands: help texts, and hints on unknown options."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from kapre_cli.cli.defaults import SHOWS_CONFIG, config_text
from kapre_cli.cli.help_text import Context, Formatter, Group, Option, brief_help, option_rows
from kapre_cli.cli.option_names import explain_unknown_option
from kapre_cli.errors import KapreExtractError, OutputError, wrap_os_errors
from kapre_cli.exit_codes import Stopped
from kapre_cli.settings import RESUMES

_FEW = 10  # options that a command shows all at once


@contextmanager
def _pipe_closed_as_stop() -> Iterator[None]:
    """Raise ``Stopped(SIGPIPE)`` for a broken pipe, which Click would end with exit code 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise Stopped(signal.SIGPIPE) from error


class Command(click.Command):
    """A command whose ``-h`` shows the usual options, and whose ``--help`` shows all, in groups.

    Both show all if there are few. Errors suggest an option for an unknown one. Help that cannot be
    printed fails like all other output.
    """

    context_class = Context

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments; options that only print do so here."""
        try:
            with _pipe_closed_as_stop():
                return super().make_context(*arguments, **options)
        except OSError as error:
            if isinstance(error, KapreExtractError) or error.filename is not None:
                raise
            raise OutputError(f"'standard output' cannot be written: {error.strerror}") from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the error about an unknown option names a likely one."""
        given = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise explain_unknown_option(error, ctx, given) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command, or print its options as ``--show-config`` asks."""
        with _pipe_closed_as_stop():
            if not ctx.meta.get(SHOWS_CONFIG):
                return super().invoke(ctx)
            with wrap_os_errors("standard output"):
                click.echo(config_text(ctx).encode())
            return None

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the names of the option that usage errors point to."""
        return ctx.help_option_names if self._has_few() else _BRIEF.opts

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that usage errors point to."""
        return super().get_help_option(ctx) if self._has_few() else _BRIEF

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, those that show help last."""
        params = super().get_params(ctx)
        return params if self._has_few() else [*params, _ALL]

    def _has_few(self) -> bool:
        return sum(isinstance(one, click.Option) for one in self.params) <= _FEW

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write all options in their groups."""
        assert isinstance(formatter, Formatter)  # noqa: S101 - for the type checker
        formatter.write_groups(option_rows(self, ctx), close=False)


class ExtractingCommand(Command):
    """A command whose ``--resume`` takes a value only if that is attached, as in ``--resume=x``.

    Click would take the next argument, an input, for the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Attach the default value to a bare ``--resume``."""
        end = args.index("--") if "--" in args else len(args)
        bare = f"--resume={RESUMES[0]}"
        options = [bare if argument == "--resume" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def _show(ctx: click.Context, option: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        click.echo(brief_help(ctx) if option is _BRIEF else f"{ctx.get_help()}\n", nl=False)
        ctx.exit()


_help_option = partial(
    Option, group=Group.GENERAL, is_eager=True, expose_value=False, callback=_show
)
_BRIEF = _help_option("-h", help="Show the usual options and exit.")
_ALL = _help_option("--help", help="Show all options and exit.")
