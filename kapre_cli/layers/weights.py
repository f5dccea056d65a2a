"""Trained weights of a layer from arrays, and their checksum."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.settings import LayerConfig, Weights
from kapre_cli.settings.weights import check_weight_bytes, check_weight_shapes
from kapre_cli.text import quoted

Array = npt.NDArray[np.floating[Any]]


def trained_weights(layer_name: str, arrays: Mapping[str, Any], layer: LayerConfig) -> Weights:
    """Return the weights of a layer; those of half precision become float32.

    Raises:
        SettingsError: If they are not those of the layer, too large, or not finite.
    """
    check_weight_shapes({name: np.shape(array) for name, array in arrays.items()}, layer)
    kept: dict[str, Array] = {}
    for name in layer.weight_shapes:
        array = np.asarray(arrays[name])
        kept[name] = np.ascontiguousarray(array, "<f8" if array.dtype.itemsize > 4 else "<f4")
        if not np.isfinite(kept[name]).all():
            raise SettingsError(
                f"The weight {quoted(name)} of the layer {quoted(layer_name)} is NaN or infinite "
                "in places: its training has diverged"
            )
    check_weight_bytes(sum(one.nbytes for one in kept.values()))
    return Weights(layer_name, sha256_of_arrays(kept), kept)


def sha256_of_arrays(arrays: Mapping[str, Array]) -> str:
    """Return the SHA-256 of arrays, in order.

    Of each are hashed a line with its name, type and shape, then its bytes in C order.
    """
    digest = sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
