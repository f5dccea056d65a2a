"""Keras 3 layers that turn audio into spectrograms and mel-spectrograms.

The public import path of the layers, which are written with ``keras.ops`` and tested on TensorFlow.
"""

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

__all__ = [
    "EmptyMelBandsWarning",
    "LayerWarning",
    "Melspectrogram",
    "Spectrogram",
    "conv_output_length",
]
