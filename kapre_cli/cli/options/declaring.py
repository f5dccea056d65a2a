"""Types of options, and the library's own defaults."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from kapre_cli.errors import SettingsError
from kapre_cli.settings import STANDARD_OUTPUT
from kapre_cli.settings.checks import whole


class PathOrStream(click.Path):
    """A path, or ``-`` for standard output; a file that is called so is ``./-``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; one that would read as ``-`` alone is made absolute."""
        path = super().convert(value, param, ctx)
        return path.absolute() if path == STANDARD_OUTPUT and value != "-" else path


class WholeNumber(click.IntRange):
    """An integer from ``at_least`` up; ``16000.0`` and ``16e3`` are integers, too.

    ``why`` says in the message why there is nothing between two of them.
    """

    name = "whole number"

    def __init__(self, at_least: int, why: str = "") -> None:
        super().__init__(min=at_least)
        self._why = f"; {why}" if why else ""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """Return what stands for the number in help texts."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, of its text or as a file of options has it."""
        try:
            number = whole(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a whole number{self._why}.", param, ctx)
        return super().convert(number, param, ctx)


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """A value that a class of settings reads from its text.

    Args:
        kind: The class; its method ``parse`` takes the text.
        name: What the value is called.
    """

    def __init__(self, kind: Any, name: str) -> None:
        self._kind = kind
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, of its text or as it is."""
        try:
            return value if isinstance(value, self._kind) else self._kind.parse(str(value))
        except SettingsError as error:
            self.fail(str(error), param, ctx)


def defaults(settings: type[Any]) -> dict[str, Any]:
    """Return the defaults of a class of settings by the names of its fields."""
    return {field.name: field.default for field in fields(settings)}


def output_argument(name: str = "output", shown: str = "OUTPUT") -> click.Argument:
    """Return an argument that names an output."""
    return click.Argument([name], metavar=shown, type=click.Path(path_type=Path))
