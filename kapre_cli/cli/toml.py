"""Values as TOML writes them. The standard library reads TOML, and does not write it."""

import os
from typing import Any

from kapre_cli.errors import UsageError, quoted

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml(value: Any) -> str:
    r"""Return a value as TOML: a boolean, a number, a list, or else text.

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
    return _text(os.fspath(value) if isinstance(value, os.PathLike) else str(value))


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{quoted(text)} is not UTF-8, and TOML can hold nothing else") from None
    return f'"{"".join(map(_character, text))}"'


def _character(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
