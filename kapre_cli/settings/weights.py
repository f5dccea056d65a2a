"""The trained weights of a layer: a value that settings hold and processes exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kapre_cli.errors import SettingsError
from kapre_cli.settings import checks
from kapre_cli.settings.layers import LayerConfig
from kapre_cli.text import in_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.floating[Any]]

MAX_WEIGHT_BYTES = 2**27  # the kernels of frames of 4,096 samples have half as many

_MAX_NAME = 1000  # characters of the name of a layer


@dataclass(frozen=True)
class Weights:
    """The trained weights of a layer.

    Attributes:
        layer_name: The name of the layer in its model.
        sha256: SHA-256 of the arrays, hexadecimal; see ``kapre_cli.layers.weights``.
        arrays: The weights by name, little-endian float32 or float64; empty where only the
            identity of stored weights is known.
    """

    layer_name: str
    sha256: str
    arrays: Mapping[str, "Array"] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Check the name and the checksum."""
        name = self.layer_name
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or "/" in name:
            raise checks.invalid("layer_name", "a name without /", name)
        if not checks.is_sha256(self.sha256):
            raise checks.invalid("sha256", "a SHA-256", self.sha256)

    @property
    def dtype(self) -> str:
        """The type in which the layer must be made to hold the arrays exactly."""
        is_double = any(one.dtype.itemsize > 4 for one in self.arrays.values())
        return "float64" if is_double else "float32"

    def to_dict(self) -> dict[str, str]:
        """Return what identifies the weights, ready for JSON."""
        return {"layer_name": self.layer_name, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, stored: Any) -> "Weights":
        """Return weights without arrays; raise ValueError unless :meth:`to_dict` wrote them."""
        names = ("layer_name", "sha256")
        if not isinstance(stored, dict) or set(stored) != set(names):
            raise checks.invalid("weights", f"exactly {names}", stored)
        return cls(**stored)


def check_weight_shapes(shapes: Mapping[str, tuple[int, ...]], layer: LayerConfig) -> None:
    """Raise SettingsError unless shapes by name are those of the weights of a layer."""
    if dict(shapes) != dict(layer.weight_shapes):
        raise SettingsError(
            f"The weights of this {layer.class_name} have the shapes {dict(layer.weight_shapes)}. "
            f"Received: {dict(shapes)}"
        )


def check_weight_bytes(n_bytes: int) -> None:
    """Raise SettingsError if weights of so many bytes are too large to be stored."""
    if n_bytes > MAX_WEIGHT_BYTES:
        raise SettingsError(
            f"The layer has {in_bytes(n_bytes)} of weights; outputs store at most "
            f"{in_bytes(MAX_WEIGHT_BYTES)}"
        )
