"""Keras 3 layers that turn audio into spectrograms and mel-spectrograms.

The only door to Keras. The layers are written with ``keras.ops`` and tested on TensorFlow.
"""

from typing import Any

try:
    import keras  # noqa: F401 - with the library that it computes with
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the layers need Keras 3, and the module {error.name!r} is not installed: "
        "python -m pip install keras tensorflow",
        name=error.name,
    ) from error

from kapre_cli.framing import conv_output_length
from kapre_cli.layers.melspectrogram import EmptyMelBandsWarning, Melspectrogram
from kapre_cli.layers.spectrogram import LayerWarning, Spectrogram
from kapre_cli.layers.steps import resolved
from kapre_cli.settings import LayerConfig

__all__ = [
    "EmptyMelBandsWarning",
    "LayerWarning",
    "Melspectrogram",
    "Spectrogram",
    "conv_output_length",
    "layer_of",
    "resolved",
]

_LAYERS = {layer.config_class: layer for layer in (Spectrogram, Melspectrogram)}


def layer_of(config: LayerConfig, **kwargs: Any) -> Spectrogram:
    """Return the layer that a configuration describes.

    Args:
        config: The layer's own arguments.
        **kwargs: The arguments of every Keras layer: ``name``, ``dtype``, ``trainable``.
    """
    return _LAYERS[type(config)](**config.to_dict(), **kwargs)
