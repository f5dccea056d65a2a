"""Options from an earlier output: ``--like``, and the file that ``info --config`` prints."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kapre_cli.cli.config import add_defaults, all_commands, config_line
from kapre_cli.cli.options import Group, Option, long_names
from kapre_cli.cli.run_options import layer_config
from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.settings import LayerConfig
from kapre_cli.settings.layers import command_options
from kapre_cli.text import Argument, Text, quoted
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_cli.formats.metadata import OutputMetadata
    from kapre_cli.settings import AudioSettings

_NOT_TAKEN = "shard"  # which inputs an output has, and no setting of it


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
        if type(metadata.layer) is not self.config:
            named = f"{PROGRAM} {_command_of(ctx, path, metadata.layer).name}"
            raise UsageError(
                f"{quoted(path)} has features of another layer, {metadata.layer.class_name}; use "
                f"{named} --like {shlex.quote(str(path))}"
            )
        options = long_names(ctx.command)
        values = option_values(path, metadata, ctx.command)
        defaults = {options[name].name or "": value for name, value in values.items()}
        add_defaults(ctx, path, defaults, overrides=True)


def settings_text(path: Path) -> str:
    """Return a ``--config`` file with layer and settings of an output.

    Raise UsageError if it is missing or cannot be made by a command, StoredDataError if it is
    invalid.
    """
    metadata = _metadata_of(path)
    parent = click.get_current_context().find_root()
    command = _command_of(parent, path, metadata.layer)
    ctx = command.context_class(command, info_name=command.name, parent=parent)
    options = long_names(command)
    values = option_values(path, metadata, command)
    lines = (config_line(ctx, options[name], value) for name, value in values.items())
    return "\n".join((f"[{command.name}]", *lines))


def option_values(path: Path, metadata: "OutputMetadata", command: click.Command) -> dict[str, Any]:
    """Return layer and settings of an output by the long names of a command's options.

    ``None`` is an option that is not set.
    Raise UsageError if no option sets an argument of the layer that has not its default.
    """
    _check_has_options(path, metadata)
    layer = _values_of(metadata.layer)
    settings = _values_of(metadata) | _values_of(metadata.audio)
    for name, option in command_options(type(metadata.layer)).items():
        settings[option.name or name] = layer[name]
    del settings[_NOT_TAKEN]
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


def _check_has_options(path: Path, metadata: "OutputMetadata") -> None:
    """Raise UsageError unless the options of a layer's command make the same layer."""
    layer = metadata.layer
    given = {
        option.name or name: getattr(layer, name)
        for name, option in command_options(type(layer)).items()
    }
    made = layer_config(type(layer), given, metadata.audio.sr)
    for one in fields(layer):
        value = getattr(layer, one.name)
        if value != getattr(made, one.name):
            raise UsageError(
                f"{quoted(path)} has features of a layer with {Argument(one.name, value)}, which "
                f"no option sets; {_in_python(path)}"
            )


def _metadata_of(path: Path) -> "OutputMetadata":
    from kapre_cli.inspect import opened  # imports NumPy and the library of the format

    with opened(path) as features:
        return features.root


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
