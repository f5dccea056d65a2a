"""What the frozen layers compute, in NumPy: a run would be over before TensorFlow is imported.

The formulas are those of ``time_frequency``, step by step; tests hold both against one reference
and against each other. Frames go through in small lots that stay in the processor's cache from the
window to the last step, without which this would take several times as long.
"""

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli import dsp
from kapre_cli.audio.samples import Samples
from kapre_cli.filterbank import BandSums, filterbank_of
from kapre_cli.pipeline.transform import Computer, Features
from kapre_cli.settings import LayerConfig, MelspectrogramConfig

_LOT_VALUES = 2**17  # samples of the frames of a lot: half a megabyte
_MOST_FRAMES = 256  # of a lot


class Kernel:
    """Computes the frames of a tape; a frame's bits do not depend on its company.

    Args:
        config: The layer's arguments; its padding and decibels are not applied here.
    """

    def __init__(self, config: LayerConfig) -> None:
        self.framing = config.framing
        self._n_features = config.n_features
        self._exponent = config.power / 2.0
        self._dtype = np.dtype(np.float64 if config.works_in_float64 else np.float32)
        self._window = dsp.hann(config.n_dft).astype(self._dtype)
        self._sums: list[BandSums] = []
        if isinstance(config, MelspectrogramConfig):
            filterbank = filterbank_of(config)
            self._sums = [BandSums(filterbank, first, self._dtype) for first in (0, 1)]
        self._n_lot = min(max(_LOT_VALUES // config.n_dft, 1), _MOST_FRAMES)
        self._own = threading.local()

    def __call__(self, samples: Samples, features: Features) -> None:
        """Compute every frame of a tape.

        Args:
            samples: The tape.
            features: Where the result goes, shape ``(n_frames, n_features)``.
        """
        n_dft, n_hop = self.framing.n_dft, self.framing.n_hop
        frames = np.lib.stride_tricks.sliding_window_view(samples, n_dft)[::n_hop]
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told of later
            for first in range(0, len(features), self._n_lot):
                lot = frames[first : first + self._n_lot]
                features[first : first + len(lot)] = self._lot(lot)

    def _lot(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the features of some frames."""
        room = self._room()
        windowed, power = room.windowed[: len(frames)], room.power[: len(frames)]
        np.multiply(frames, self._window, out=windowed, dtype=self._dtype)
        spectra = np.fft.rfft(windowed).astype(room.spectra_dtype, copy=False)
        parts = spectra.view(self._dtype).reshape(*spectra.shape, 2)
        np.multiply(parts, parts, out=parts)
        np.add(parts[..., 0], parts[..., 1], out=power)
        values = power
        if self._sums:
            values = room.bands[: len(frames)]
            for sums in self._sums:
                sums.add(power, room.weighted[: len(frames)], values)
        return _raised(values, self._exponent)

    def _room(self) -> "_Room":
        """Return this thread's own room."""
        if not hasattr(self._own, "room"):
            self._own.room = _Room(self._n_lot, self.framing.n_dft, self._n_features, self._dtype)
        room: _Room = self._own.room
        return room


class _Room:
    """Arrays that are used again and again, for fresh memory is slow."""

    def __init__(self, n_lot: int, n_dft: int, n_features: int, dtype: np.dtype[Any]) -> None:
        self.windowed = np.zeros((n_lot, n_dft), dtype)
        self.power = np.zeros((n_lot, n_dft // 2 + 1), dtype)
        self.weighted = np.zeros_like(self.power)
        self.bands = np.zeros((n_lot, n_features), dtype)
        self.spectra_dtype = np.result_type(dtype, np.complex64)


def _raised(values: npt.NDArray[Any], exponent: float) -> npt.NDArray[Any]:
    """Return ``values ** exponent``."""
    if exponent == 1.0:
        return values
    return np.sqrt(values) if exponent == 0.5 else np.power(values, exponent)


class KernelComputer(Computer):
    """Runs the kernel in as many threads as there are processors.

    Args:
        config: The layer's arguments.
        n_frames: Frames of a tape.
    """

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int) -> None:
        self._kernel = Kernel(config)
        super().__init__(config, n_frames, n_threads)

    def _compute(self, samples: Samples, features: Features) -> None:
        self._kernel(samples, features)
