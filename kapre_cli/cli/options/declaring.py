"""How options are declared: in groups, with the library's own defaults."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]


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
