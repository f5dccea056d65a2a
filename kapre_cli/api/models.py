"""The layer of a saved Keras model, from its description: nothing in the file is run."""

import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.validation import check_buildable, validated_json
from kapre_cli.settings import LAYERS, LayerConfig, resolved_layer
from kapre_cli.text import quoted

SUFFIX = ".keras"

_DESCRIPTION = "config.json"
_MAX_BYTES = 2**24  # of a description
_PACKAGE = "kapre_cli>"  # with which Keras registers the layers


def layer_of_model(path: Path) -> LayerConfig:
    """Return the configuration of the only layer of this package in a model.

    Raises:
        FileNotFoundError: If there is no file at ``path``.
        StoredDataError: If it is no saved model; a ``ValueError`` too.
        UsageError: If it has no layer of this package or several, or if the layer has weights,
            which may have been trained; a ``ValueError`` too.
    """
    try:
        described = validated_json(_description(path))
        found = [_config_of(name, stored) for name, stored in _layers_in(described)]
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, ValueError) as error:
        raise StoredDataError(f"{quoted(path)} is no saved Keras model: {error}") from error
    if len(found) != 1:
        number = f"{len(found)} layers" if found else "no layer"
        raise UsageError(f"the model {quoted(path)} has {number} of this package, and must have 1")
    config = found[0]
    check_buildable(config)
    if config.n_weights:
        raise UsageError(
            f"the layer of the model {quoted(path)} has weights, which may have been trained, and "
            "an extraction would begin with new ones: call the layer of the loaded model instead"
        )
    return config


def _description(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive, archive.open(_DESCRIPTION) as file:
        text = file.read(_MAX_BYTES + 1)
    if len(text) > _MAX_BYTES:
        raise StoredDataError(f"its {_DESCRIPTION} is larger than {_MAX_BYTES:,} bytes")
    return text


def _layers_in(described: Any) -> Iterator[tuple[str, Any]]:
    """Yield class name and arguments of each layer of this package, at any depth."""
    pending = [described]
    while pending:
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, dict):
            name = one.get("class_name")
            is_ours = str(one.get("registered_name", "")).startswith(_PACKAGE)
            if is_ours and isinstance(name, str) and name in LAYERS:
                yield name, one.get("config")
            else:
                pending += one.values()


def _config_of(name: str, stored: Any) -> LayerConfig:
    if not isinstance(stored, dict):
        raise StoredDataError(f"its layer {name} has no arguments")
    kind = LAYERS[name]
    own = {one.name for one in fields(kind)}
    return resolved_layer(kind(**{key: value for key, value in stored.items() if key in own}))
