"""Settings of a run: layer, audio, output. Frozen values, checked when made.

Only the standard library is used here, so that the command line can check its options,
and a reader its metadata, without importing NumPy or TensorFlow.
"""

from kapre_cli.settings.formats import (
    DTYPES,
    FORMATS,
    RESUMES,
    STANDARD_OUTPUT,
    Format,
    OutputSettings,
    get_format,
)
from kapre_cli.settings.layers import (
    DATA_FORMATS,
    DEFAULT_AMIN,
    LAYERS,
    PADDINGS,
    LayerConfig,
    layer_from_dict,
    layer_to_dict,
)
from kapre_cli.settings.run import (
    ENGINE_CHOICES,
    ENGINES,
    NON_FINITE,
    RAW_ENCODINGS,
    REFERENCES,
    AudioSettings,
    ClipSettings,
    ExtractionSettings,
    RawFormat,
    Shard,
    resolved_engine,
    resolved_layer,
)
from kapre_cli.settings.weights import Weights

__all__ = [
    "DATA_FORMATS",
    "DEFAULT_AMIN",
    "DTYPES",
    "ENGINES",
    "ENGINE_CHOICES",
    "FORMATS",
    "LAYERS",
    "NON_FINITE",
    "PADDINGS",
    "RAW_ENCODINGS",
    "REFERENCES",
    "RESUMES",
    "STANDARD_OUTPUT",
    "AudioSettings",
    "ClipSettings",
    "ExtractionSettings",
    "Format",
    "LayerConfig",
    "OutputSettings",
    "RawFormat",
    "Shard",
    "Weights",
    "get_format",
    "layer_from_dict",
    "layer_to_dict",
    "resolved_engine",
    "resolved_layer",
]
