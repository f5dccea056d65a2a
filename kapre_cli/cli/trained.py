"""A layer that no option changes: that of a model, ``--layer``, or of an output, ``--like``."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from kapre_cli.cli.run_options import feature_option
from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.settings import LayerConfig, Weights
from kapre_cli.settings.layers import command_options
from kapre_cli.text import Argument, Text, quoted
from kapre_cli.version import PROGRAM

_META = "kapre_cli.fixed_layer"

LAYER = feature_option(
    "--layer",
    metavar="MODEL.keras[:NAME]",
    type=str,
    help="Use this layer of a saved Keras model, with the weights that it was trained to. NAME "
    "chooses one of several layers. Other options of the layer cannot be given.",
)


class FixedLayer(NamedTuple):
    """A layer as a model or an output has it.

    Attributes:
        config: Its arguments.
        weights: Its trained weights; ``None`` if it has none.
        origin: The path of the model or the output, quoted.
    """

    config: LayerConfig
    weights: Weights | None
    origin: str


def set_fixed_layer(ctx: click.Context, layer: FixedLayer) -> None:
    """Make a layer that of the current command, unless ``--layer`` names one."""
    ctx.meta[_META] = layer


def has_fixed_layer(ctx: click.Context) -> bool:
    """Whether the layer of the current command is one that no options make."""
    return _META in ctx.meta


def fixed_layer(config: type[LayerConfig], options: Mapping[str, Any]) -> FixedLayer | None:
    """Return the layer of the current command that no option changes, if it has one.

    Raise UsageError if it is invalid, of another command, or if its arguments are given, too.
    """
    ctx = click.get_current_context()
    name = options.get("layer")
    found: FixedLayer | None = ctx.meta.get(_META) if name is None else _of_model(name)
    if found is None:
        return None
    if type(found.config) is not config:
        kind = type(found.config)
        again = f"{PROGRAM} {kind.command} --layer {shlex.quote(name or '')}"
        raise UsageError(f"the layer of {found.origin} is a {kind.class_name}; use {again}")
    _check_not_given(ctx, found)
    return found


def _of_model(name: str) -> FixedLayer:
    # NumPy and the library of HDF5 are imported only where a model is read.
    from kapre_cli.formats.keras_model import is_model, layer_of_model

    if not is_model(name):
        raise UsageError(
            Text(
                *(Argument("layer"), " takes a model that Keras 3 has saved, MODEL.keras or "),
                f"MODEL.keras:NAME. Received: {quoted(name)}",
            )
        )
    try:
        return FixedLayer(*layer_of_model(name), quoted(name))
    except StoredDataError as error:
        raise UsageError(Text(error)) from error
    except FileNotFoundError as error:
        raise UsageError(f"there is no model {quoted(error.filename)}") from error


def _check_not_given(ctx: click.Context, fixed: FixedLayer) -> None:
    """Raise UsageError if the command line or a variable sets an argument of the layer."""
    for name, option in command_options(type(fixed.config)).items():
        parameter = option.name or name
        source = ctx.get_parameter_source(parameter)
        if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            value = Argument(parameter, getattr(fixed.config, name))
            raise UsageError(
                Text(
                    *(Argument(parameter), f" cannot change the layer of {fixed.origin}, which "),
                    *("has ", value, "; leave it out"),
                )
            )
