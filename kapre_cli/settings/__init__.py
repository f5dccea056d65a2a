"""What to compute, from what, and to where: frozen values, checked when made.

Only the standard library is used here, so that the command line can check its options,
and a reader its metadata, without importing NumPy or TensorFlow.
"""

from kapre_cli.settings.layers import (
    DATA_FORMATS,
    DEFAULT_AMIN,
    LAYERS,
    PADDINGS,
    LayerConfig,
    layer_from_dict,
    layer_to_dict,
)
from kapre_cli.settings.raw import RAW_ENCODINGS, RawFormat
from kapre_cli.settings.run import (
    COMPRESSIONS,
    DTYPES,
    ENGINE_CHOICES,
    ENGINES,
    FILE_FORMATS,
    FORMATS,
    NON_FINITE,
    RESUMES,
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
    resolved_engine,
)
from kapre_cli.settings.shard import Shard

__all__ = [
    "COMPRESSIONS",
    "DATA_FORMATS",
    "DEFAULT_AMIN",
    "DTYPES",
    "ENGINES",
    "ENGINE_CHOICES",
    "FILE_FORMATS",
    "FORMATS",
    "LAYERS",
    "NON_FINITE",
    "PADDINGS",
    "RAW_ENCODINGS",
    "RESUMES",
    "STANDARD_OUTPUT",
    "AudioSettings",
    "ExtractionSettings",
    "LayerConfig",
    "OutputSettings",
    "RawFormat",
    "Shard",
    "layer_from_dict",
    "layer_to_dict",
    "resolved_engine",
]
