"""The layer of a run: a configuration, a Keras layer, that of an output or a model."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from kapre_cli.formats.keras_model import is_model, layer_of_model
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.opening import open_features
from kapre_cli.layers.weights import trained_weights
from kapre_cli.settings import LayerConfig, Weights

Layer = Any  # a LayerConfig, a Keras layer of this package, or a path


class ResolvedLayer(NamedTuple):
    """What a run needs to know of its layer.

    Attributes:
        config: Its arguments.
        weights: Its trained weights; ``None`` if it has none.
        like: The metadata of the output that it was taken from, if it was.
    """

    config: LayerConfig
    weights: Weights | None = None
    like: OutputMetadata | None = None


def resolved(layer: Layer) -> ResolvedLayer:
    """Return arguments and weights of a layer; of an output, its metadata too.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        StoredDataError: If it is neither an output nor a saved model.
        UsageError: If a model has no such layer, or several and none is named.
        SettingsError: If weights are too large, or not finite.
        TypeError: If ``layer`` is nothing of that kind.
    """
    if isinstance(layer, (str, os.PathLike)):
        if is_model(os.fspath(layer)):
            return ResolvedLayer(*layer_of_model(os.fspath(layer)))
        with open_features(Path(layer)) as features:
            return ResolvedLayer(features.layer, features.weights, features.root)
    if isinstance(layer, LayerConfig):
        return ResolvedLayer(layer)
    config = getattr(layer, "config", None)
    if not isinstance(config, LayerConfig):
        raise TypeError(
            "`layer` must be a layer of this package, its configuration, or the path of an "
            f"output or a model. Received: {layer!r}"
        )
    if not (config.weight_shapes and layer.built):
        return ResolvedLayer(config)
    names = [one.name for one in layer.weights]
    arrays = dict(zip(names, layer.get_weights(), strict=True))
    return ResolvedLayer(config, trained_weights(layer.name, arrays, config))
