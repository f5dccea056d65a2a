"""Saved Keras models, written by hand: those that somebody has tampered with, or torn."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PLACE = "layers/spectrogram/vars"


def layer_entry(name: str = "stft", **arguments: Any) -> dict[str, Any]:
    """Return a Spectrogram as the description of a model has it."""
    own = {"name": name, "trainable": True, "n_dft": 16, "trainable_kernel": True}
    return entry("Spectrogram", own | arguments, "kapre_cli>Spectrogram")


def entry(kind: str, values: Mapping[str, Any], registered: str | None = None) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": dict(values),
        "registered_name": registered,
    }


def kernels(file: h5py.File, n_dft: int = 16, place: str = PLACE) -> None:
    """Write weights as Keras writes them."""
    for number in range(2):
        values = np.full((n_dft, 1, n_dft // 2 + 1), 0.25 + number, "f4")
        file[f"{place}/{number}"] = values


def write_model(
    path: Path,
    layers: Sequence[Any] | None = None,
    weights: Callable[[h5py.File], object] | bytes | None = kernels,
    description: bytes | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write a sequential model: entries of layers, and what fills the file of its weights."""
    described = entry("Sequential", {"name": "model", "layers": layers or [layer_entry()]})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.9.0"}')
        deflated = zipfile.ZIP_DEFLATED
        archive.writestr("config.json", description or json.dumps(described), deflated)
        if weights is not None:
            archive.writestr("model.weights.h5", _bytes_of(weights), compression)
    return path


def _bytes_of(weights: Callable[[h5py.File], object] | bytes) -> bytes:
    if isinstance(weights, bytes):
        return weights
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        weights(file)
    return content.getvalue()
