"""The layers: their configurations, their signal processing in NumPy, and as Keras layers.

Importing this package imports neither NumPy nor Keras.
"""

from kapre_cli.layers.configs import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.settings.layers import Coordinate, Finish, LayerConfig, Values, argument

__all__ = [
    "Coordinate",
    "Finish",
    "LayerConfig",
    "MelspectrogramConfig",
    "SpectrogramConfig",
    "Values",
    "argument",
]
