"""Weights of layers of kapre 0.1 and das.kapre, as weights of the layers here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.text import Argument, Text, quoted

Weight = npt.NDArray[np.floating[Any]]

_REAL, _IMAGINARY, _MEL = "kernel_real", "kernel_imaginary", "mel_filterbank"
_KERNEL_NAMES = {"real_kernels": _REAL, "imag_kernels": _IMAGINARY}
_SUFFIX = re.compile(r"(_\d+)?(:\d+)?$")  # of a name that Keras 2 has made unique


def convert_weights(
    old: Sequence[npt.ArrayLike] | Mapping[str, npt.ArrayLike],
) -> dict[str, Weight]:
    """Convert weights of a layer of kapre 0.1 or das.kapre to those of a layer here.

    A layer with the converted weights returns what the old one returned, but for the order of its
    axes. What has to be set is what the new layer has::

        layer.build((None, 1, None))
        layer.set_weights([new[weight.name] for weight in layer.weights])

    Args:
        old: What ``get_weights()`` of the old layer has returned, or arrays by their names in an
            ``.h5`` file, such as ``real_kernels:0``. It holds the real and the imaginary kernel,
            of shape ``(n_dft, 1, 1, n_freq)``, or the mel matrix, of shape ``(n_freq, n_mels)``, or
            all three. In a list the real kernel comes before the imaginary one. In a mapping the
            kernels are known by their names, and the mel matrix is the array of two axes.

    Returns:
        New arrays by the names of the layer's weights, those that were given:
        ``kernel_real`` and ``kernel_imaginary``, of shape ``(n_dft, 1, n_freq)``, and
        ``mel_filterbank``, of shape ``(n_freq, n_mels)``. The imaginary kernel has the other sign:
        it is that of sines here, that of negative sines in kapre.

    Raises:
        ValueError: If these are no weights of one such layer, or some are NaN or infinite.

    >>> import numpy as np
    >>> kernel = np.ones((4, 1, 1, 3), "float32")
    >>> new = convert_weights({"real_kernels:0": kernel, "imag_kernels:0": kernel})
    >>> {name: weight.shape for name, weight in new.items()}
    {'kernel_real': (4, 1, 3), 'kernel_imaginary': (4, 1, 3)}
    """
    found: dict[str, tuple[str, Weight]] = {}
    for label, name, array in _arrays_of(old):
        _check(label, name, array)
        if name in found:
            raise _invalid("hold the weights of one layer", f"{found[name][0]} and {label}")
        found[name] = label, array
    if not found:
        raise _invalid("hold the weights of a layer", "no array")
    if (_REAL in found) != (_IMAGINARY in found):
        label, _ = found[_REAL if _REAL in found else _IMAGINARY]
        raise _invalid("hold both kernels", f"{label} without the other one")
    _check_sizes(found)

    new: dict[str, Weight] = {}
    if _REAL in found:
        new[_REAL] = found[_REAL][1][:, 0].copy()
        new[_IMAGINARY] = -found[_IMAGINARY][1][:, 0]
    if _MEL in found:
        new[_MEL] = found[_MEL][1].copy()
    return new


def _arrays_of(old: Any) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    """Yield each array with a label for messages and its name here, '' if it has none."""
    if isinstance(old, Mapping):
        for key, value in old.items():
            text = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
            name = _KERNEL_NAMES.get(_SUFFIX.sub("", text.rpartition("/")[2]), "")
            array = np.asarray(value)
            yield quoted(text), _MEL if not name and array.ndim == 2 else name, array
    elif isinstance(old, Sequence) and not isinstance(old, (str, bytes)):
        kernels = iter((_REAL, _IMAGINARY))
        for number, value in enumerate(old):
            array = np.asarray(value)
            yield f"array {number}", _MEL if array.ndim == 2 else next(kernels, _REAL), array
    else:
        raise _invalid("be a list of arrays or a mapping from names to arrays", type(old).__name__)


def _check(label: str, name: str, array: npt.NDArray[Any]) -> None:
    """Check that an array is a kernel or a mel matrix of finite numbers."""
    is_valid = array.ndim == 2 and array.size > 0
    if name != _MEL:
        n_dft = len(array) if array.ndim == 4 else 0
        is_valid = n_dft >= 2 and array.shape == (n_dft, 1, 1, n_dft // 2 + 1)
    if not name or not is_valid:
        raise _invalid(
            "hold kernels of shape (n_dft, 1, 1, n_dft // 2 + 1) and a mel matrix of shape "
            "(n_freq, n_mels)",
            f"{label} of shape {array.shape}",
        )
    if array.dtype.kind != "f":
        raise _invalid("hold floating-point numbers", f"{label} of dtype {array.dtype}")
    if n_bad := int(np.count_nonzero(~np.isfinite(array))):
        received = f"{n_bad:,} of {array.size:,} values of {label} are NaN or infinite"
        raise _invalid("hold finite numbers", received)


def _check_sizes(found: Mapping[str, tuple[str, Weight]]) -> None:
    """Check that all arrays have the same number of frequency bins."""
    n_freq = {array.shape[0 if name == _MEL else -1] for name, (_, array) in found.items()}
    if len(n_freq) > 1:
        shapes = ", ".join(f"{label} of shape {array.shape}" for label, array in found.values())
        raise _invalid("hold arrays of the same number of frequency bins", shapes)


def _invalid(rule: str, received: str) -> SettingsError:
    """Return the error for weights that break a rule."""
    return SettingsError(Text(Argument("old"), f" must {rule}. Received: {received}"))
