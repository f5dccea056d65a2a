"""Writes docs/reference/command-line.md from the program's own commands and options.

    python docs/make_reference.py
    python docs/make_reference.py --check

Notes at the end of a section are kept: they stand between the comments "notes: HEADING" and
"end of notes". With --check nothing is written, and the exit code is 1 if the page is out of date.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from kapre_cli.cli import program
from kapre_cli.cli.command import examples, grouped, introduction
from kapre_cli.cli.options import Group

PAGE = Path(__file__).parent / "reference" / "command-line.md"

_NOTES = re.compile(r"^<!-- notes: ([^\n]*) -->\n(.*?)^<!-- end of notes -->$", re.M | re.S)
_CODE = re.compile(
    r"(kapre-extract COMMAND -h|find -print0|\*?\.(?:h5|hdf5|npy|png|pdf|svg)\b"
    r"|(?<![\w-])--[a-z][\w-]*|(?<![\w-])-(?=[:.]| for))"
)


def main() -> None:
    """Write the page, or check it."""
    old = PAGE.read_text(encoding="utf-8")
    notes = dict(_NOTES.findall(old))
    new = "\n\n".join(parts(notes)) + "\n"
    if notes:
        sys.exit(f"{PAGE} has notes of no section: {', '.join(notes)}")
    if sys.argv[1:] != ["--check"]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        sys.exit(f"{PAGE} is out of date: run python docs/make_reference.py")


def parts(notes: dict[str, str]) -> Iterator[str]:
    """Yield the blocks of the page.

    Args:
        notes: What is written by hand, by the heading of its section; it is taken out.
    """
    ctx = click.Context(program, info_name=program.name, **program.context_settings)
    yield "# Command line"
    yield (
        "<!-- docs/make_reference.py writes this page from the program. "
        "Only notes are written by hand. -->"
    )
    yield f"`{program.get_usage(ctx).removeprefix('Usage: ')}`"
    yield from map(marked_up, introduction(program))
    yield table(
        ("command", "meaning"),
        [
            (f"[`{name}`](#kapre-extract-{name})", marked_up(command.get_short_help_str(100)))
            for name, command in program.commands.items()
        ],
    )
    yield from noted("Command line", notes)
    for name, command in program.commands.items():
        yield from section(command, click.Context(command, info_name=name, parent=ctx))
        yield from noted(f"kapre-extract {name}", notes)
    yield "## Options of every command"
    extracting = program.commands["melspectrogram"]
    yield option_table(
        grouped(extracting, click.Context(extracting, parent=ctx))[Group.GENERAL], ctx
    )
    yield "`kapre-extract --version` prints the version of the program."
    yield from noted("Options of every command", notes)


def section(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """Yield what the program itself says of a command."""
    yield f"## {ctx.command_path}"
    yield from map(marked_up, introduction(command))
    for sentence, code in examples(command):
        yield marked_up(sentence)
        yield f"```sh\n{code}\n```"
    yield f"Usage: `{command.get_usage(ctx).removeprefix('Usage: ')}`"
    for group, options in grouped(command, ctx).items():
        if group is not Group.GENERAL:
            if group is not Group.OTHER:
                yield f"**{group.value}**"
            yield option_table(options, ctx)


def noted(heading: str, notes: dict[str, str]) -> Iterator[str]:
    """Yield the notes of a section, between their comments, if there are any."""
    if heading in notes:
        yield f"<!-- notes: {heading} -->"
        yield notes.pop(heading).strip()
        yield "<!-- end of notes -->"


def option_table(options: Sequence[click.Option], ctx: click.Context) -> str:
    """Return the table of some options."""
    rows = []
    for option in options:
        extra = option.get_help_extra(ctx)
        meaning = f"{option.help} Required." if option.required else option.help or ""
        names = (option.get_help_record(ctx) or ("",))[0].replace("|", r"\|")
        rows.append((f"`{names}`", marked_up(extra.get("default", "")), marked_up(meaning)))
    return table(("option", "default", "meaning"), rows)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))


def marked_up(text: str) -> str:
    """Return plain text in Markdown, options and suffixes as code."""
    code = _CODE.sub(r"`\1`", text)
    return re.sub(r"[*_|](?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\g<0>", code)


if __name__ == "__main__":
    main()
