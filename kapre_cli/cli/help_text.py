"""Help texts: options in groups, the usual ones alone, examples, terminals of any width."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from enum import Enum
from textwrap import dedent, wrap
from typing import Any, NamedTuple

import click

_WIDEST = 24  # characters of an option whose meaning stands beside it
_WIDEST_USUAL = 20  # the same for -h
_FEW = 10  # options that a command shows all at once


class Group(Enum):
    """Groups of options, in the order in which they are shown."""

    PICTURE = "Picture"
    OTHER = "Options"
    OUTPUT = "Output"
    FEATURES = "Features"
    AUDIO = "Audio"
    INPUTS = "Inputs"
    CHECKS = "What may pass"
    RUNNING = "Running"
    GENERAL = "General"


class Option(click.Option):
    """An option that belongs to a group.

    Args:
        names: As of :class:`click.Option`; so are ``attributes``. A default is shown.
        group: The heading under which the option is shown.
        is_usual: Whether ``-h`` shows it. The first sentence of its help, of about fifty
            characters, is shown there alone.
    """

    def __init__(
        self, *names: str, group: Group = Group.OTHER, is_usual: bool = False, **attributes: Any
    ) -> None:
        if "default" in attributes:
            attributes.setdefault("show_default", True)
        super().__init__(names, **attributes)
        self.group = group
        self.is_usual = is_usual

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return default and the like; a range, which errors state, is left out."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        if "default" in extra:
            extra["default"] = extra["default"].strip("()")
        return extra

    def brief(self) -> "Option":
        """Return the option as ``-h`` shows it."""
        one = copy(self)
        one.help = (self.help or "").partition(". ")[0].removesuffix(".") + "."
        if not self.default:
            one.secondary_opts = []  # --no-decibel, which is the default
        return one


class Formatter(click.HelpFormatter):
    """A formatter whose help is readable on narrow terminals."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        if width is None:
            from shutil import get_terminal_size  # Click itself imports it no earlier

            width = max(min(get_terminal_size().columns, max_width or 80) - 2, 30)
        super().__init__(indent_increment, width, max_width)

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = _WIDEST, col_spacing: int = 2
    ) -> None:
        """Write names and their meanings side by side; no word of them is broken."""
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
        """Write rows under headings, all with one column of names.

        Args:
            groups: The rows by heading.
            close: Whether no blank line stands between groups.
        """
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
    """A context whose help is formatted as here."""

    formatter_class = Formatter


class HelpfulCommand(click.Command):
    """A command whose ``-h`` shows the usual options, and whose ``--help`` shows all, in groups.

    Both show all if there are few.
    """

    context_class = Context

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

    def format_brief_help(self, ctx: click.Context, formatter: Formatter) -> None:
        """Write what ``-h`` shows."""
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(introduction(self)[0])
            for example in examples(self)[:1]:
                formatter.write_paragraph()
                formatter.write_text(f"\b\n  {example.code}")
        formatter.write_groups(option_rows(self, ctx, brief=True), close=True)
        n_options = sum(isinstance(one, click.Option) for one in self.get_params(ctx))
        formatter.write_paragraph()
        formatter.write_text(f"--help shows all {n_options} options.")


def _show_brief(ctx: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        formatter = ctx.make_formatter()
        assert isinstance(formatter, Formatter)  # noqa: S101 - for the type checker
        assert isinstance(ctx.command, HelpfulCommand)  # noqa: S101 - for the type checker
        ctx.command.format_brief_help(ctx, formatter)
        click.echo(formatter.getvalue(), nl=False)
        ctx.exit()


def _show_all(ctx: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


def _help_option(name: str, shown: str, callback: Callable[..., None]) -> Option:
    return Option(
        name,
        group=Group.GENERAL,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=callback,
        help=f"Show {shown} and exit.",
    )


_BRIEF = _help_option("-h", "the usual options", _show_brief)
_ALL = _help_option("--help", "all options", _show_all)


class Example(NamedTuple):
    """An example of a help text.

    Attributes:
        sentence: What the command does.
        code: The command as a shell takes it; several stand on lines of their own.
    """

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
    """Return the paragraphs of a help text that are no examples."""
    return [" ".join(one.split()) for one in _paragraphs(command) if not one.startswith("\b")]


def _paragraphs(command: click.Command) -> list[str]:
    return inspect.cleandoc(command.help or "").split("\n\n")


def grouped(command: click.Command, ctx: click.Context) -> dict[Group, list[click.Option]]:
    """Return the options of a command by their groups, the usual ones of a group first."""
    found: dict[Group, list[click.Option]] = {group: [] for group in Group}
    for option in command.get_params(ctx):
        if isinstance(option, Option):
            found[option.group].append(option)
        elif isinstance(option, click.Option):
            found[Group.GENERAL if option.expose_value is False else Group.OTHER].append(option)
    for options in found.values():
        options.sort(key=lambda one: not is_usual(one))
    return {group: options for group, options in found.items() if options}


def is_usual(option: click.Option) -> bool:
    """Say whether ``-h`` shows an option."""
    return isinstance(option, Option) and option.is_usual


def option_rows(
    command: click.Command, ctx: click.Context, *, brief: bool = False
) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of a help text by their headings.

    Args:
        command: The command.
        ctx: Its context.
        brief: Whether only the usual options are asked for.
    """
    rows = {}
    for group, options in grouped(command, ctx).items():
        if brief:
            options = [one.brief() for one in options if isinstance(one, Option) and one.is_usual]
        records = [one.get_help_record(ctx) for one in options]
        rows[group.value] = [record for record in records if record is not None]
    rows = {heading: found for heading, found in rows.items() if found}
    return rows if len(rows) > 1 else dict(zip([Group.OTHER.value], rows.values(), strict=False))
