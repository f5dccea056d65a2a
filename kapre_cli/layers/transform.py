"""The transform of frames in NumPy.

A run with it often ends before TensorFlow would be imported. The formulas are those of the Keras
layers, step by step; tests compare both with one reference and with each other. Frames are computed
in small chunks, in reused memory, so that every step finds its values in the processor's cache.
"""

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.framing import largest_power_of_two
from kapre_cli.layers import dsp
from kapre_cli.layers.dsp import MelBands
from kapre_cli.layers.filterbank import ROWS_MULTIPLE, BandSums

_CHUNK_BYTES = 2**20  # of the windowed frames of a chunk
_MAX_CHUNK = 480  # frames
_LONG_DFT = 2**12  # a chunk of longer frames may have a single one

Floats = npt.NDArray[np.float32]


class FrameTransform(ABC):
    """Computes the features of frames, a chunk of them at a time, in several threads.

    Attributes:
        n_chunk: Frames of a chunk, at most.
    """

    n_chunk: int

    @abstractmethod
    def scratch(self) -> Any:
        """Return memory for the intermediate values of a chunk, for one thread."""

    @abstractmethod
    def compute(self, frames: Floats, features: Floats, scratch: Any) -> None:
        """Compute the features of a chunk of frames.

        The features of a frame must be bit-identical whatever the other frames of its chunk are.
        NumPy's warnings of overflow are off: values that are not finite are found later.

        Args:
            frames: Shape ``(n_frames, n_dft)``, ``n_chunk`` frames or fewer; not to be written to.
            features: The result, shape ``(n_frames, n_features)``.
            scratch: What :meth:`scratch` has returned for this thread.
        """


class _Scratch(NamedTuple):
    """A thread's own arrays for the frames of a chunk: fresh memory is slow."""

    windowed: npt.NDArray[Any]
    spectra: npt.NDArray[Any]
    values: npt.NDArray[Any]
    bands: npt.NDArray[Any]


class PowerTransform(FrameTransform):
    """Powers of Fourier magnitudes, or of their sums in mel bands.

    Args:
        exponent: Exponent of ``|X|^2``.
        is_double: Whether to compute in float64.
        bands: The mel bands in which ``|X|^2`` is summed first; ``None``: it is not.
    """

    def __init__(
        self, n_dft: int, exponent: float, *, is_double: bool, bands: MelBands | None = None
    ) -> None:
        self._dtype = np.dtype(np.float64 if is_double else np.float32)
        # From the squares on, float32 holds these wherever it holds the features.
        self._values_dtype = np.dtype(np.float32) if exponent >= 1.0 else self._dtype
        # NumPy transforms float32 in double precision, which takes half as long again, unless the
        # result is scaled. This norm divides it by n_dft, by which the window is multiplied.
        self._norm: Literal["backward", "forward"] = "backward" if is_double else "forward"
        scale = 1 if is_double else n_dft
        self._window = (scale * dsp.hann(n_dft)).astype(self._dtype)
        self.n_chunk = frames_per_chunk(n_dft, self._dtype.itemsize)
        self._sums: BandSums | None = None
        self._n_bands = 0
        if bands is not None:
            n_rows = 1 if self.n_chunk % ROWS_MULTIPLE else ROWS_MULTIPLE
            self._sums = BandSums(bands, n_rows, self._values_dtype)
            self._n_bands = len(bands.starts)
        # |X| costs a square root: |X|^2 is computed where bands sum it, or it is the result.
        self._takes_squares = self._sums is not None or exponent == 1.0
        self._exponent = exponent if self._takes_squares else 2.0 * exponent

    def scratch(self) -> _Scratch:
        """Return memory for the intermediate values of a chunk, for one thread."""
        n_dft = len(self._window)
        n_freq = n_dft // 2 + 1
        return _Scratch(
            np.zeros((self.n_chunk, n_dft), self._dtype),
            np.zeros((self.n_chunk, n_freq), np.result_type(self._dtype, np.complex64)),
            np.zeros((self.n_chunk, n_freq), self._values_dtype),
            np.zeros((self.n_chunk, self._n_bands), self._values_dtype),
        )

    def compute(self, frames: Floats, features: Floats, scratch: _Scratch) -> None:
        """Compute the features of a chunk of frames."""
        count = len(frames)
        windowed, spectra = scratch.windowed[:count], scratch.spectra[:count]
        np.multiply(frames, self._window, out=windowed)
        np.fft.rfft(windowed, norm=self._norm, out=spectra)

        is_done = self._sums is None and self._exponent == 1.0
        values = features if is_done else scratch.values[:count]
        if self._takes_squares:
            squares = spectra.view(self._dtype).reshape(*spectra.shape, 2)
            np.multiply(squares, squares, out=squares)
            np.add(squares[..., 0], squares[..., 1], out=values, casting="same_kind")
        else:
            np.abs(spectra, out=values, casting="same_kind")

        if self._sums is not None:
            whole = -(-count // self._sums.n_rows) * self._sums.n_rows
            self._sums.sum_bands(scratch.values[:whole], scratch.bands[:whole])
            values = scratch.bands[:count]
        if self._exponent == 0.5:
            np.sqrt(values, out=features, casting="same_kind")
        elif self._exponent != 1.0:
            np.power(values, self._exponent, out=features, casting="same_kind")
        elif not is_done:
            features[:] = values


def frames_per_chunk(n_dft: int, itemsize: int) -> int:
    """Return how many frames of ``n_dft`` values are computed together."""
    n_frames = _CHUNK_BYTES // (n_dft * itemsize)
    if n_dft > _LONG_DFT:
        return largest_power_of_two(n_frames)
    return min(max(n_frames // ROWS_MULTIPLE, 1) * ROWS_MULTIPLE, _MAX_CHUNK)
