"""Spectrograms and mel-spectrograms of WAV and FLAC, as Keras layers compute them.

Importing this package imports neither TensorFlow nor NumPy: each public name is imported when it
is first used.

Attributes:
    open_features: Opens an output of ``kapre-extract``: a read-only mapping from key to array.
    load_layer: Makes the Keras layer of such an output.
    read_arrays: Reads the arrays of a stream, ``-o -``, one by one.
    Spectrogram: The Keras layer.
    Melspectrogram: The Keras layer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kapre_cli.osutil import check_posix
from kapre_cli.version import __version__

if TYPE_CHECKING:
    from kapre_cli.formats.npy_stream import read_arrays
    from kapre_cli.formats.opening import load_layer, open_features
    from kapre_cli.time_frequency import Melspectrogram, Spectrogram

__all__ = [
    "Melspectrogram",
    "Spectrogram",
    "__version__",
    "load_layer",
    "open_features",
    "read_arrays",
]

_HOMES = {
    "Melspectrogram": "kapre_cli.time_frequency",
    "Spectrogram": "kapre_cli.time_frequency",
    "load_layer": "kapre_cli.formats.opening",
    "open_features": "kapre_cli.formats.opening",
    "read_arrays": "kapre_cli.formats.npy_stream",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_posix()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
