"""The frozen layers in NumPy: a run is over before TensorFlow would be imported.

The formulas are those of ``time_frequency``, step by step; tests compare both with one reference
and with each other. Frames are computed in small chunks, so that every step finds its values in
the processor's cache, in memory that is reused.
"""

import threading
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import Engine, Features
from kapre_cli.framing import largest_power_of_two, spans
from kapre_cli.layers import dsp
from kapre_cli.layers.filterbank import ROWS_MULTIPLE, BandSums, filterbank_of
from kapre_cli.osutil import n_processors
from kapre_cli.settings import LayerConfig, MelspectrogramConfig

_CHUNK_BYTES = 2**20  # of the windowed frames of a chunk
_MAX_CHUNK = 480  # frames
_BUFFER_VALUES = 2**10  # that NumPy converts to another type at once: they stay in the cache
_LONG_DFT = 2**12  # a chunk of longer frames may have a single one


class NumpyEngine(Engine):
    """Computes a frozen layer; ``n_threads`` is by default the number of usable processors."""

    has_fixed_shape: ClassVar[bool] = False

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int | None = None) -> None:
        # A float32 transform is within 2e-6 of the largest value: 0.01 dB at -80 dB, at times more.
        is_double = config.decibel or config.works_in_float64
        self._dtype = np.dtype(np.float64 if is_double else np.float32)
        # From a power of 2 on, float32 holds the squares wherever it holds the features.
        self._values_dtype = np.dtype(np.float32) if config.power >= 2.0 else self._dtype
        # NumPy transforms float32 in double precision, which takes half as long again, unless the
        # result is scaled. This norm divides it by n_dft, by which the window is multiplied.
        self._norm: Literal["backward", "forward"]
        self._norm = "backward" if is_double else "forward"
        scale = 1 if is_double else config.n_dft
        self._window = (scale * dsp.hann(config.n_dft)).astype(self._dtype)
        self._n_lot = frames_per_chunk(config.n_dft, self._dtype.itemsize)
        self._sums: BandSums | None = None
        if isinstance(config, MelspectrogramConfig):
            n_rows = 1 if self._n_lot % ROWS_MULTIPLE else ROWS_MULTIPLE
            self._sums = BandSums(filterbank_of(config), n_rows, self._values_dtype)
        self._takes_squares = self._sums is not None or config.power == 2.0
        self._exponent = config.power / 2.0 if self._takes_squares else config.power
        self._n_features = config.n_features
        self._local = threading.local()
        super().__init__(config, n_frames, n_threads or n_processors())

    def _compute(self, samples: Samples, features: Features) -> None:
        framing, n_chunk = self._framing, self._n_lot
        if not hasattr(self._local, "scratch"):
            sizes = n_chunk, framing.n_dft, self._n_features
            self._local.scratch = _Scratch(*sizes, self._dtype, self._values_dtype)
        windows = np.lib.stride_tricks.sliding_window_view(samples, framing.n_dft)
        frames = windows[:: framing.n_hop]
        with np.errstate(over="ignore", invalid="ignore"):  # finiteness is checked later
            np.setbufsize(_BUFFER_VALUES)  # up to the end of this block
            for first, count in spans(len(features), n_chunk):
                chunk = slice(first, first + count)
                self._compute_chunk(frames[chunk], features[chunk], self._local.scratch)

    def _compute_chunk(
        self, frames: npt.NDArray[np.float32], features: Features, scratch: "_Scratch"
    ) -> None:
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
            self._sums.add_up(scratch.values[:whole], scratch.bands[:whole])
            values = scratch.bands[:count]
        if self._exponent == 0.5:
            np.sqrt(values, out=features, casting="same_kind")
        elif self._exponent != 1.0:
            np.power(values, self._exponent, out=features, casting="same_kind")
        elif not is_done:
            features[:] = values


class _Scratch:
    """A thread's own arrays for the frames of a chunk: fresh memory is slow."""

    def __init__(
        self,
        n_chunk: int,
        n_dft: int,
        n_features: int,
        dtype: np.dtype[Any],
        values_dtype: np.dtype[Any],
    ) -> None:
        n_freq = n_dft // 2 + 1
        self.windowed = np.zeros((n_chunk, n_dft), dtype)
        self.spectra = np.zeros((n_chunk, n_freq), np.result_type(dtype, np.complex64))
        self.values = np.zeros((n_chunk, n_freq), values_dtype)
        self.bands = np.zeros((n_chunk, n_features), values_dtype)


def frames_per_chunk(n_dft: int, itemsize: int) -> int:
    """Return how many frames of ``n_dft`` values are computed together."""
    n_frames = _CHUNK_BYTES // (n_dft * itemsize)
    if n_dft > _LONG_DFT:
        return largest_power_of_two(n_frames)
    return min(max(n_frames // ROWS_MULTIPLE, 1) * ROWS_MULTIPLE, _MAX_CHUNK)
