"""The layer of a run: a configuration, a Keras layer, that of an output or a model."""

import os
from pathlib import Path
from typing import Any

from kapre_cli.api.models import SUFFIX, layer_of_model
from kapre_cli.errors import UsageError
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.opening import open_features
from kapre_cli.settings import LayerConfig
from kapre_cli.text import quoted

Layer = Any  # a LayerConfig, a Keras layer of this package, or a path


def resolved(layer: Layer) -> tuple[LayerConfig, OutputMetadata | None]:
    """Return a layer's configuration; for the path of an output, its metadata too.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        StoredDataError: If it is neither an output nor a saved model.
        UsageError: If the layer has weights, which may have been trained, or a model has no layer
            of this package, or several.
        TypeError: If ``layer`` is nothing of that kind.
    """
    if isinstance(layer, (str, os.PathLike)):
        if Path(layer).suffix == SUFFIX:
            return layer_of_model(Path(layer)), None
        with open_features(Path(layer)) as features:
            return features.layer, features.root
    if isinstance(layer, LayerConfig):
        return layer, None
    config = getattr(layer, "config", None)
    if not isinstance(config, LayerConfig):
        raise TypeError(
            "`layer` must be a layer of this package, its configuration, or the path of an "
            f"output or a model. Received: {layer!r}"
        )
    if config.n_weights and layer.built:
        raise UsageError(
            f"the layer {quoted(layer.name)} has weights, which may have been trained, and an "
            "extraction would begin with new ones: call the layer itself, or give its `config`"
        )
    return config, None
