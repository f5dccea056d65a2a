"""How options are declared: in groups, with the library's own defaults."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from kapre_cli.settings import STANDARD_OUTPUT

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]


class PathOrStream(click.Path):
    """A path, or ``-`` for standard output; a file that is called so is ``./-``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; one that would read as ``-`` alone is made absolute."""
        path = super().convert(value, param, ctx)
        return path.absolute() if path == STANDARD_OUTPUT and value != "-" else path


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Return one decorator that gives a command all of these options, in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def defaults(settings: type[Any]) -> dict[str, Any]:
    """Return the defaults of a class of settings by the names of its fields."""
    return {field.name: field.default for field in fields(settings)}
