"""The class of all options, types that Click lacks, the spelling of arguments."""

from collections.abc import Callable
from copy import copy
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import click

from kapre_cli.settings import LAYERS, STANDARD_OUTPUT
from kapre_cli.settings.checks import whole_number
from kapre_cli.settings.layers import command_options
from kapre_cli.text import Argument, Text

VARIABLE_PREFIX = "KAPRE_EXTRACT_"


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


def long_name(option: click.Option) -> str:
    """Return the name of an option on the command line, without the dashes.

    >>> long_name(click.Option(["-o", "--n-dft/--no-dft", "x"]))
    'n-dft'
    """
    return max(option.opts, key=len).lstrip("-")


def long_names(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by their long names."""
    return {long_name(one): one for one in command.params if isinstance(one, click.Option)}


class Option(click.Option):
    """An option that belongs to a group, and has a variable.

    The variable of ``--n-dft`` is ``KAPRE_EXTRACT_N_DFT`` in all commands. Click's
    ``auto_envvar_prefix`` would build it from the name of the command's parameter.

    Args:
        names: As of :class:`click.Option`; so are ``attributes``. A default is shown. An option
            with neither type nor default is a flag. One with ``allow_from_autoenv=False`` has no
            variable.
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
        if self.allow_from_autoenv:
            self.envvar = VARIABLE_PREFIX + long_name(self).upper().replace("-", "_")
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
        option = copy(self)
        option.help = (self.help or "").partition(". ")[0].removesuffix(".") + "."
        if not self.default:
            option.secondary_opts = []  # --no-decibel, which is the default
        return option


def as_option(argument: Argument) -> str:
    """Spell an argument as an option of the program, or as in Python if it is none.

    >>> as_option(Argument("n_dft", 512)), as_option(Argument("overwrite", True))
    ('--n-dft 512', '--overwrite')
    >>> as_option(Argument("return_decibel_melgram", False))
    '--no-decibel'
    """
    name = _option_names().get(argument.name, argument.name).replace("_", "-")
    value = argument.value
    ctx = click.get_current_context(silent=True)
    if ctx is not None and not _is_option(name, ctx.find_root().command):
        return str(argument)
    if value is ... or value is True:
        return f"--{name}"
    if value is False:
        return f"--no-{name}"
    values = value if isinstance(value, tuple) else (value,)
    texts = (f"{one:.15g}" if isinstance(one, float) else str(one) for one in values)
    return " ".join(f"--{name} {text}" for text in texts)


@cache
def _option_names() -> dict[str, str]:
    """Return the names of options by those of arguments; built-in layers are first."""
    names = {"channels": "channel"}
    for config in LAYERS:
        for name, option in command_options(config).items():
            names.setdefault(name, option.name or name)
    return names


def _is_option(name: str, program: click.Command) -> bool:
    commands = program.commands.values() if isinstance(program, click.Group) else [program]
    return any(name in long_names(command) for command in commands)


def error_text(error: object) -> str:
    """Return the text of an error, or another text; arguments are spelled as options.

    >>> from kapre_cli.errors import SampleRateError
    >>> print(error_text(SampleRateError(44100, 8000)))
    sample rate is 44,100 Hz, this run uses 8,000 Hz (use --resample, or --sr 44100)
    """
    return Text(error).spelled(as_option)


class PathOrStream(click.Path):
    """A path, or ``-`` for standard output; a file of that name is ``./-``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path; one that would read as ``-`` alone is made absolute."""
        path = super().convert(value, param, ctx)
        return path.absolute() if path == STANDARD_OUTPUT and value != "-" else path


class WholeNumber(click.IntRange):
    """An integer from ``at_least`` up; ``16000.0`` and ``16e3`` are integers, too.

    ``why`` is the reason that messages give for whole numbers.
    """

    name = "whole number"

    def __init__(self, at_least: int, why: str = "") -> None:
        super().__init__(min=at_least)
        self._why = f"; {why}" if why else ""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """Return the number's placeholder in help texts."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, from text or from a value in a file of options."""
        try:
            number = whole_number(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a whole number{self._why}.", param, ctx)
        return super().convert(number, param, ctx)


def parsed(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Return a type of options whose values ``parse`` reads from their text.

    The message of a ``ValueError`` is shown; Click 8.3 drops it.
    """

    def convert(value: Any) -> Any:
        try:
            return parse(str(value))
        except ValueError as error:
            raise click.BadParameter(error_text(error)) from None

    return convert
