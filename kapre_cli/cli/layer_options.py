"""The options of layers, made from the fields of their configurations, and back."""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any, get_type_hints

import click

from kapre_cli.cli.options import Group, Option, WholeNumber, parsed
from kapre_cli.events import Warned
from kapre_cli.run_result import RunResult
from kapre_cli.settings import LayerConfig
from kapre_cli.settings.layers import CommandOption, command_options

FRAMING = ("n_dft", "n_hop", "padding")  # options of every layer that say where its frames lie
BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")  # options that describe mel bands
_OF_ANY_LAYER = ("power", "decibel", "amin", "data_format")  # stand behind those of one layer

feature_option = partial(Option, group=Group.FEATURES)


def layer_options(config: type[LayerConfig]) -> dict[str, Option]:
    """Return the options of a layer's arguments, by their names with underscores."""
    hints = get_type_hints(config)
    defaults = {one.name: one.default for one in fields(config)}
    made = {
        option.name or name: _option(option.name or name, option, hints[name], defaults[name])
        for name, option in command_options(config).items()
    }
    return made | {name: made.pop(name) for name in _OF_ANY_LAYER if name in made}


def _option(name: str, option: CommandOption, hint: Any, default: Any) -> Option:
    attributes: dict[str, Any] = {"help": option.help, "is_usual": option.is_usual}
    spelled = f"--{name.replace('_', '-')}"
    if option.metavar is not None:
        attributes["metavar"] = option.metavar
    if default is None and option.default_text is not None:
        attributes["show_default"] = option.default_text
    else:
        attributes["default"] = default
    if hint is bool:
        spelled = f"{spelled}/--no-{spelled[2:]}"
    elif option.parse is not None:
        attributes["type"] = parsed(option.parse)
    elif option.choices:
        attributes["type"] = click.Choice(option.choices)
    elif hint in (int, int | None):
        attributes["type"] = WholeNumber(int(option.at_least or 0))
    elif option.above is not None:
        attributes["type"] = click.FloatRange(min=option.above, min_open=True)
    else:
        attributes["type"] = click.FloatRange(min=option.at_least)
    return feature_option(spelled, **attributes)


def layer_config(config: type[LayerConfig], options: Mapping[str, Any], sr: int) -> LayerConfig:
    """Return a layer's arguments from the options of a command line."""
    arguments: dict[str, Any] = {
        name: options[option.name or name] for name, option in command_options(config).items()
    }
    if "sr" in {one.name for one in fields(config)}:
        arguments["sr"] = sr
    return config(**arguments)


def warn_of_layer(config: LayerConfig, result: RunResult) -> None:
    """Warn of unusual arguments, with remedies; --verbose lists empty mel bands."""
    for warning in config.warnings(lists_bands=result.is_detailed):
        result.emit(Warned(warning))
