"""Help texts: options in groups, the usual ones alone, examples, terminals of any width."""

import inspect
from collections.abc import Iterable, Mapping
from copy import copy
from enum import Enum
from textwrap import dedent, wrap
from typing import Any, NamedTuple

import click

_WIDEST = 24  # characters of an option whose meaning stands beside it
_WIDEST_USUAL = 20  # the same for -h


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
        names: As of :class:`click.Option`; so are ``attributes``. A default is shown. An option
            with neither type nor default is a flag.
        group: The heading under which the option is shown.
        is_usual: Whether ``-h`` shows it, with the first sentence of its help, of about fifty
            characters.
    """

    def __init__(
        self, *names: str, group: Group = Group.OTHER, is_usual: bool = False, **attributes: Any
    ) -> None:
        if "default" in attributes:
            attributes.setdefault("show_default", True)
        elif "type" not in attributes:
            attributes["is_flag"] = True
        super().__init__(names, **attributes)
        self.group = group
        self.is_usual = is_usual

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return the default and the like, without the range, which errors state."""
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
        """Write rows under headings, in one column of names; blank lines between if not close."""
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
    """A sentence on a command, and the command lines as a shell takes them."""

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
    """Return the options of a command by their groups, the usual ones of a group first."""
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
