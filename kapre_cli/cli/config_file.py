"""``--config``: options in a TOML file, at its top or in a table called as the command."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kapre_cli.cli.option_names import near_hint, option_hint
from kapre_cli.cli.options.declaring import WholeNumber
from kapre_cli.errors import UsageError, quoted

_MOST_BYTES = 2**18
# The parser keeps every beginning of a dotted key: one of n parts takes memory for n * n.
_MOST_DOTS = 64
_MOST_BITS = 2**9  # of an integer: no decimal fraction holds many more
_MOST_SHOWN = 100  # characters

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}

Options = dict[str, click.Option]


def config_defaults(path: Path, name: str, options: Mapping[str, Options]) -> dict[str, Any]:
    """Return what a file says of the options of one command, by the names of their parameters.

    Args:
        path: The file.
        name: The command.
        options: The options of every command by their long names.

    Raises:
        UsageError: If the file cannot be read, names an option that no command has, or one twice,
            or has a value of another type; the message names the file and the option.
    """
    stored = _read(path)
    every = {key: option for known in options.values() for key, option in known.items()}
    owners = {key: [one for one in options if key in options[one]] for key in every}
    top = {key: value for key, value in stored.items() if key not in options}
    tables = {f"{key}.": value for key, value in stored.items() if key in options}
    found: dict[str, Any] = {}
    for place, values in {"": top, **tables}.items():
        command = place[:-1]
        if not isinstance(values, dict):
            raise UsageError(
                f"{quoted(path)}: {command} is a command; write its options in a table [{command}]"
            )
        known = options[command] if command else every
        seen = set()
        for written, value in values.items():
            key = written.replace("_", "-")
            if key not in known:
                hint = option_hint(written, known, owners, str) or near_hint(written, known, str)
                raise UsageError(
                    f"{quoted(path)}: there is no option {quoted(place + written)}"
                    f"{f'; {hint}' if hint else ''}"
                )
            if key in seen:
                raise UsageError(f"{quoted(path)}: {place}{key} is there twice")
            seen.add(key)
            _require_type(path, place + key, value, known[key])
            if command in ("", name) and key in options[name]:
                found[options[name][key].name or ""] = value
    return found


def _read(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):  # not needed for --help
        import tomllib
    else:
        import tomli as tomllib

    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{quoted(path)} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise UsageError(
            f"{quoted(path)} has more than {_MOST_BYTES:,} bytes, which no file of options has; "
            "name another"
        )
    # Only where no string has several lines is one that begins with # a comment for certain.
    has_comments = not (b'"""' in content or b"'''" in content)
    for number, line in enumerate(content.split(b"\n"), 1):
        is_comment = has_comments and line.lstrip(b" \t").startswith(b"#")
        if line.count(b".") > _MOST_DOTS and not is_comment:
            raise UsageError(
                f"{quoted(path)}: line {number} has more than {_MOST_DOTS} dots, which no option "
                "needs"
            )
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{quoted(path)} is not TOML: {error}") from error


def _require_type(path: Path, name: str, value: Any, option: click.Option) -> None:
    kinds, rule = _kinds(option)
    values = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(one, int) and one.bit_length() > _MOST_BITS for one in values):
        raise UsageError(
            f"{quoted(path)}: {name} is a number of more than {_MOST_BITS} bits; "
            "write a smaller one"
        )
    if any(isinstance(one, str) and "\0" in one for one in values):
        raise UsageError(f"{quoted(path)}: {name} has a NUL in it, which no name has; remove it")
    is_list = isinstance(value, list)
    if is_list != option.multiple or not all(type(one) in kinds for one in values):
        raise UsageError(f"{quoted(path)}: {name} must be {rule}, not {_shown(value)}")


def _shown(value: Any) -> str:
    """Return a value as a message can have it, whatever its size."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and any(isinstance(one, (list, dict)) for one in value):
        return "a list of lists or tables"
    shown = toml(value)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."


def _kinds(option: click.Option) -> tuple[tuple[type, ...], str]:
    """Return the types that an option's value may have in a file, and what it must be."""
    if option.is_flag:
        return (bool,), "true or false"
    if isinstance(option.type, WholeNumber):  # 16000.0 is one, which its type decides
        return (int, float), "a list of integers" if option.multiple else "an integer"
    if isinstance(option.type, (click.types.FloatParamType, click.FloatRange)):
        return (int, float), "a number"
    if isinstance(option.type, (click.Choice, click.Path, click.types.StringParamType)):
        return (str,), "a string"
    return (str, int, float), "a string or a number"


def toml(value: Any) -> str:
    r"""Return a value as TOML: a boolean, a number, a list, or else text.

    The standard library reads TOML, and does not write it.

    Raises:
        UsageError: If it is text that is no Unicode, such as a path that is not UTF-8.

    >>> print(toml(True), toml(0.5), toml([1, 2]), toml('a "b"'))
    true 0.5 [1, 2] "a \"b\""
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    text = os.fspath(value) if isinstance(value, os.PathLike) else str(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{quoted(text)} is not UTF-8, and TOML can hold nothing else") from None
    escaped = (_ESCAPES.get(c, c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)
    return f'"{"".join(escaped)}"'
