"""Keras' image data format, read without importing Keras."""

import json
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from kapre_cli.settings.layers import LayerConfig

Config = TypeVar("Config", bound=LayerConfig)

_KEY = "image_data_format"
_DEFAULT = "channels_last"


def keras_image_data_format() -> str:
    """Return the value of ``keras.config.image_data_format()``, without importing Keras.

    Keras keeps its settings in ``keras.json``, in the folder that the environment names as
    ``KERAS_HOME`` or in ``~/.keras``.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        active: str = keras.config.image_data_format()
        return active
    configured: Any = {}
    with suppress(OSError, ValueError):
        configured = json.loads((_folder() / "keras.json").read_text())
    stored = configured.get(_KEY) if isinstance(configured, dict) else None
    return stored if isinstance(stored, str) else _DEFAULT


def resolved(layer: Config) -> Config:
    """Return the layer's arguments with ``"default"`` replaced by Keras' image data format."""
    if layer.image_data_format != "default":
        return layer
    resolved: dict[str, Any] = {"image_data_format": keras_image_data_format()}
    return replace(layer, **resolved)


def _folder() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108 - Keras's
