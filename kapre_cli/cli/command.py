"""The class of all commands, and its help: options in groups, or the usual ones."""

import inspect
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from textwrap import dedent, wrap
from typing import Any, NamedTuple

import click

from kapre_cli.cli.config import SHOWS_CONFIG, config_text, sources_text
from kapre_cli.cli.hints import explain_unknown_option
from kapre_cli.cli.options import Group, Option
from kapre_cli.errors import KapreExtractError, OutputError, SettingsError, wrap_os_errors
from kapre_cli.exit_codes import Stopped
from kapre_cli.text import Text

_FEW = 10  # options that a command shows all at once
_WIDEST = 24  # characters of an option whose meaning is beside it
_WIDEST_USUAL = 20  # the same for -h


class Formatter(click.HelpFormatter):
    """A formatter whose help is readable on narrow terminals."""

    def __init__(self, width: int | None = None, max_width: int | None = None) -> None:
        if width is None:
            from shutil import get_terminal_size  # Click itself imports it no earlier

            width = max(min(get_terminal_size().columns, max_width or 80) - 2, 30)
        super().__init__(width=width, max_width=max_width)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = _WIDEST, col_spacing: int = 2
    ) -> None:
        """Write names and their meanings side by side, without breaking words."""
        rows = [*rows]
        column = self._column([name for name, _ in rows], col_max)
        indent = " " * (self.current_indent + column + col_spacing)
        for name, text in rows:
            start = f"{'':{self.current_indent}}{name}"
            if len(name) > column:
                self.write(f"{start}\n")
                start = ""
            width = self.width - len(indent)
            for line in wrap(text, width, break_long_words=False, break_on_hyphens=False):
                self.write(f"{start:{len(indent)}}{line}\n")
                start = ""

    def write_groups(self, groups: Mapping[str, list[tuple[str, str]]], *, close: bool) -> None:
        """Write rows under headings, in one column of names, with blank lines or close."""
        names = [name for rows in groups.values() for name, _ in rows]
        column = self._column(names, _WIDEST_USUAL if close else _WIDEST)
        for number, (heading, rows) in enumerate(groups.items()):
            if not (close and number):
                self.write_paragraph()
            self.write_heading(heading)
            with self.indentation():
                self.write_dl([(name.ljust(column), text) for name, text in rows], column)

    def _column(self, names: Iterable[str], widest: int) -> int:
        widest = min(widest, self.width * 3 // 8)
        return max((len(name) for name in names if len(name) <= widest), default=widest)


class Context(click.Context):
    """A context whose help is formatted by :class:`Formatter`."""

    formatter_class = Formatter


class Example(NamedTuple):
    """A sentence on a command, and command lines for a shell."""

    sentence: str
    code: str


def examples(command: click.Command) -> list[Example]:
    r"""Return the examples of a command.

    Each is a paragraph that Click does not wrap: a sentence, and commands below it.

    >>> examples(click.Command("x", help="Do this.\n\n\b\nA file:\n  x a.wav\n\nDo that."))
    [Example(sentence='A file:', code='x a.wav')]
    """
    found = [one.splitlines()[1:] for one in _paragraphs(command) if one.startswith("\b")]
    return [Example(sentence, dedent("\n".join(code))) for sentence, *code in found]


def introduction(command: click.Command) -> list[str]:
    """Return the paragraphs of a help text that are not examples."""
    return [" ".join(one.split()) for one in _paragraphs(command) if not one.startswith("\b")]


def _paragraphs(command: click.Command) -> list[str]:
    return inspect.cleandoc(command.help or "").split("\n\n")


def grouped(command: click.Command, ctx: click.Context) -> dict[Group, list[click.Option]]:
    """Return the options of a command by group, the usual ones of a group first."""
    options = [one for one in command.get_params(ctx) if isinstance(one, click.Option)]
    options.sort(key=lambda one: not getattr(one, "is_usual", False))
    found: dict[Group, list[click.Option]] = {group: [] for group in Group}
    for option in options:  # Click's own options have no group
        found[getattr(option, "group", Group.GENERAL)].append(option)
    return {group: options for group, options in found.items() if options}


def option_rows(
    command: click.Command, ctx: click.Context, *, brief: bool = False
) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of a help text by their headings."""
    rows = {}
    for group, options in grouped(command, ctx).items():
        if brief:
            options = [one.brief() for one in options if isinstance(one, Option) and one.is_usual]
        records = [one.get_help_record(ctx) for one in options]
        if found := [record for record in records if record is not None]:
            rows[group.value] = found
    return rows if len(rows) > 1 else dict(zip([Group.OTHER.value], rows.values(), strict=False))


def brief_help(ctx: click.Context) -> str:
    """Return the help that ``-h`` shows."""
    command, formatter = ctx.command, Formatter(max_width=ctx.max_content_width)
    command.format_usage(ctx, formatter)
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(introduction(command)[0])
        for example in examples(command)[:1]:
            formatter.write_paragraph()
            formatter.write_text(f"\b\n  {example.code}")
    formatter.write_groups(option_rows(command, ctx, brief=True), close=True)
    n_options = sum(isinstance(one, click.Option) for one in command.get_params(ctx))
    formatter.write_paragraph()
    formatter.write_text(f"--help shows all {n_options} options.")
    return formatter.getvalue()


@contextmanager
def _pipe_closed_as_stop() -> Iterator[None]:
    """Raise ``Stopped(SIGPIPE)`` for a broken pipe, for which Click would exit with 1."""
    try:
        yield
    except BrokenPipeError as error:
        raise Stopped(signal.SIGPIPE) from error


class Command(click.Command):
    """A command whose ``-h`` shows the usual options, and whose ``--help`` all.

    Both show all of a few options. Errors suggest an option for an unknown one. Help that cannot be
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
                try:
                    return super().invoke(ctx)
                except SettingsError as error:
                    error.args = (Text(error, sources_text(ctx, error)),)
                    raise
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


def _show(ctx: click.Context, option: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        click.echo(brief_help(ctx) if option is _BRIEF else f"{ctx.get_help()}\n", nl=False)
        ctx.exit()


_help_option = partial(
    Option,
    group=Group.GENERAL,
    is_eager=True,
    expose_value=False,
    allow_from_autoenv=False,
    callback=_show,
)
_BRIEF = _help_option("-h", help="Show the usual options and exit.")
_ALL = _help_option("--help", help="Show all options and exit.")
