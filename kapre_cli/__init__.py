"""Spectrograms and mel-spectrograms of WAV and FLAC, as Keras layers compute them.

Importing this package imports neither TensorFlow nor NumPy: each public name is imported when it
is first used.

Attributes:
    extract: Extracts the features of recordings into an output.
    iter_features: Yields the features of recordings, one after another.
    compute: Returns the features of one recording, or of samples.
    spectrogram: The same, with the arguments of the layer.
    melspectrogram: Likewise.
    open_features: Opens an output: a read-only mapping from key to array.
    load_layer: Makes the Keras layer of an output.
    read_arrays: Reads the arrays of a stream, ``-o -``, one by one.
    verify: Checks an output.
    compare: Compares two outputs.
    merge: Merges outputs into one.
    plot: Returns a figure of features.
    convert_weights: Converts weights of layers of kapre 0.1.
    Spectrogram: The Keras layer.
    Melspectrogram: The Keras layer.
    SpectrogramConfig: The arguments of the layer, without Keras.
    MelspectrogramConfig: Likewise.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kapre_cli.osutil import check_posix
from kapre_cli.version import __version__

if TYPE_CHECKING:
    from kapre_cli.api.outputs import compare, merge, plot, verify
    from kapre_cli.api.run import Failure, Result, extract, iter_features
    from kapre_cli.api.single import compute, melspectrogram, spectrogram
    from kapre_cli.formats.arrays import FeatureArray
    from kapre_cli.formats.features import Features
    from kapre_cli.formats.npy_stream import read_arrays
    from kapre_cli.formats.opening import load_layer, open_features
    from kapre_cli.layers.configs import MelspectrogramConfig, SpectrogramConfig
    from kapre_cli.layers.kapre_weights import convert_weights
    from kapre_cli.time_frequency import Melspectrogram, Spectrogram

_HOMES = {
    "kapre_cli.api.outputs": ("compare", "merge", "plot", "verify"),
    "kapre_cli.api.run": ("Failure", "Result", "extract", "iter_features"),
    "kapre_cli.api.single": ("compute", "melspectrogram", "spectrogram"),
    "kapre_cli.formats.arrays": ("FeatureArray",),
    "kapre_cli.formats.features": ("Features",),
    "kapre_cli.formats.npy_stream": ("read_arrays",),
    "kapre_cli.formats.opening": ("load_layer", "open_features"),
    "kapre_cli.layers.configs": ("MelspectrogramConfig", "SpectrogramConfig"),
    "kapre_cli.layers.kapre_weights": ("convert_weights",),
    "kapre_cli.time_frequency": ("Melspectrogram", "Spectrogram"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Failure",
    "FeatureArray",
    "Features",
    "Melspectrogram",
    "MelspectrogramConfig",
    "Result",
    "Spectrogram",
    "SpectrogramConfig",
    "__version__",
    "compare",
    "compute",
    "convert_weights",
    "extract",
    "iter_features",
    "load_layer",
    "melspectrogram",
    "merge",
    "open_features",
    "plot",
    "read_arrays",
    "spectrogram",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_posix()
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
