"""Options from an earlier output: ``--like``, and the file that ``info --config`` prints."""

import shlex
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kapre_cli.cli.config import add_defaults, all_commands, config_line
from kapre_cli.cli.options import Group, Option, long_names
from kapre_cli.cli.run_options import layer_config
from kapre_cli.cli.trained import FixedLayer, set_fixed_layer
from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.settings import LayerConfig
from kapre_cli.settings.layers import command_options
from kapre_cli.text import Argument, Text, quoted
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.formats.metadata import OutputMetadata
    from kapre_cli.settings import AudioSettings

_NOT_TAKEN = (
    "shard",  # which inputs an output has, and no setting of it
    "layer",  # an option of another meaning
)


class LikeOption(Option):
    """The option ``--like`` of the command of a layer.

    Args:
        config: The configuration of the layer.
    """

    def __init__(self, config: type[LayerConfig]) -> None:
        super().__init__(
            "--like",
            group=Group.FEATURES,
            metavar="OUTPUT",
            type=click.Path(path_type=Path),
            is_eager=True,  # before the options that it has defaults for
            expose_value=False,
            callback=self._read,
            help="Take layer and settings from an earlier output, so that the new one matches it. "
            "The command line and the environment take precedence; it overrides --config.",
        )
        self.config = config

    def _read(self, ctx: click.Context, _option: click.Parameter, path: Path | None) -> None:
        if path is None or ctx.resilient_parsing:
            return
        try:
            metadata = _metadata_of(path)
        except StoredDataError as error:
            raise UsageError(Text(error)) from error
        layer = metadata.layer
        if type(layer) is not self.config:
            named = f"{PROGRAM} {_command_of(ctx, path, layer).name}"
            raise UsageError(
                f"{quoted(path)} has features of another layer, {layer.class_name}; use "
                f"{named} --like {shlex.quote(str(path))}"
            )
        if metadata.weights is not None or _without_option(metadata) is not None:
            set_fixed_layer(ctx, FixedLayer(layer, metadata.weights, quoted(path)))
        options = long_names(ctx.command)
        values = option_values(metadata, ctx.command)
        defaults = {options[name].name or "": value for name, value in values.items()}
        add_defaults(ctx, path, defaults, overrides=True)


def settings_text(path: Path) -> str:
    """Return a ``--config`` file with layer and settings of an output.

    Raise UsageError if it is missing or no options make its layer, StoredDataError if it is
    invalid.
    """
    metadata = _metadata_of(path)
    parent = click.get_current_context().find_root()
    command = _command_of(parent, path, metadata.layer)
    ctx = command.context_class(command, info_name=command.name, parent=parent)
    check_made_by_options(path, metadata)
    options = long_names(command)
    values = option_values(metadata, command)
    lines = (config_line(ctx, options[name], value) for name, value in values.items())
    return "\n".join((f"[{command.name}]", *lines))


def option_values(metadata: "OutputMetadata", command: click.Command) -> dict[str, Any]:
    """Return layer and settings of an output by the long names of a command's options.

    ``None`` is an option that is not set.
    """
    layer = _values_of(metadata.layer)
    settings = _values_of(metadata) | _values_of(metadata.audio)
    for name, option in command_options(type(metadata.layer)).items():
        settings[option.name or name] = layer[name]
    for name in _NOT_TAKEN:
        del settings[name]
    return {
        name: settings[option.name]
        for name, option in long_names(command).items()
        if option.name in settings
    }


def _values_of(settings: "LayerConfig | AudioSettings | OutputMetadata") -> dict[str, Any]:
    """Return settings by name; ``"none"`` is the None of one whose default is another value."""
    values = {one.name: (getattr(settings, one.name), one.default) for one in fields(settings)}
    return {
        name: "none" if value is None and default is not None else value
        for name, (value, default) in values.items()
    }


def check_made_by_options(path: Path, metadata: "OutputMetadata") -> None:
    """Raise UsageError unless the options of a command make the layer of an output."""
    argument = _without_option(metadata)
    if metadata.weights is not None:
        has = "trained weights"
    elif argument is None:
        return
    else:
        has = str(argument)
    raise UsageError(
        f"{quoted(path)} has features of a layer with {has}, which no option sets; --like takes "
        f"them, and {_in_python(path)}"
    )


def _without_option(metadata: "OutputMetadata") -> Argument | None:
    """Return an argument of the layer that no option sets, with its value, if there is one."""
    layer = metadata.layer
    given = {
        option.name or name: getattr(layer, name)
        for name, option in command_options(type(layer)).items()
    }
    made = layer_config(type(layer), given, metadata.audio.sr)
    for one in fields(layer):
        value = getattr(layer, one.name)
        if value != getattr(made, one.name):
            return Argument(one.name, value)
    return None


def _metadata_of(path: Path) -> "OutputMetadata":
    """Return the metadata of an output, with the arrays of weights."""
    from kapre_cli.inspect import opened  # imports NumPy and the library of the format

    with opened(path) as features:
        return replace(features.root, weights=features.weights)


def _command_of(ctx: click.Context, path: Path, layer: LayerConfig) -> click.Command:
    """Return the command of a layer; raise UsageError if it has none."""
    for command in all_commands(ctx.find_root().command).values():
        for option in command.params:
            if isinstance(option, LikeOption) and option.config is type(layer):
                return command
    raise UsageError(
        f"{quoted(path)} has features of the layer {layer.class_name}, which has no command; "
        f"{_in_python(path)}"
    )


def _in_python(path: Path) -> str:
    return f"kapre_cli.load_layer({quoted(path)}) loads it in Python"
