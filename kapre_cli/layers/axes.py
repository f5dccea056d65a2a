"""Coordinates of feature axes: frequency bins, mel bands and numbered features."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kapre_cli.layers import dsp
from kapre_cli.layers.dsp import MelBands

FloatArray = npt.NDArray[np.float64]


class FeatureAxis(ABC):
    """Where the features of a layer lie, and the scale on which a plot shows them.

    Attributes:
        values: The coordinate of each feature, ascending.
        ends: The lowest and the highest coordinate that the features cover.
        is_linear: Whether the scale is the coordinate itself.
        empty_label: What a plot's legend calls features that are always 0.
    """

    values: FloatArray
    ends: tuple[float, float]
    is_linear = True
    empty_label = "empty"

    def to_scale(self, values: npt.ArrayLike) -> FloatArray:
        """Return coordinates on the scale on which a plot is even."""
        return np.asarray(values, dtype=np.float64)

    def from_scale(self, scaled: npt.ArrayLike) -> FloatArray:
        """Return the coordinates of values on the scale, the inverse of :meth:`to_scale`."""
        return np.asarray(scaled, dtype=np.float64)

    @property
    @abstractmethod
    def edges(self) -> FloatArray:
        """The edges of the features on the scale, shape ``(n + 1,)``."""

    @property
    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Which features are 0 whatever the input."""
        return np.zeros(len(self.values), bool)


class NumberAxis(FeatureAxis):
    """Features that are numbered from 0."""

    def __init__(self, n: int) -> None:
        self.values = np.arange(n, dtype=np.float64)
        self.ends = -0.5, n - 0.5

    @property
    def edges(self) -> FloatArray:
        """Halfway between two numbers."""
        return np.arange(len(self.values) + 1, dtype=np.float64) - 0.5


class BinAxis(FeatureAxis):
    """The bins of a transform of ``n_dft`` samples at ``sr`` Hz, even in Hz."""

    def __init__(self, sr: float, n_dft: int) -> None:
        self.values = dsp.dft_frequencies(sr, n_dft)
        self.ends = 0.0, (len(self.values) - 1) * sr / n_dft
        self._sr, self._n_dft = sr, n_dft

    @property
    def edges(self) -> FloatArray:
        """Halfway between two bins; the outermost ones end at 0 Hz and the highest bin."""
        edges = (np.arange(len(self.values) + 1) - 0.5) * self._sr / self._n_dft
        edges[[0, -1]] = self.ends
        return edges


class MelAxis(FeatureAxis):
    """Mel bands between two frequencies in Hz, even in mels.

    ``bands`` returns their weights; ``None``: they have been trained, and none is empty.
    """

    is_linear = False
    empty_label = "empty mel band"

    def __init__(
        self,
        n_mels: int,
        fmin: float,
        fmax: float,
        *,
        htk: bool,
        bands: Callable[[], MelBands] | None,
    ) -> None:
        self.values = dsp.mel_edges(n_mels, fmin, fmax, htk=htk)[1:-1]
        self.ends = fmin, fmax
        self._htk, self._bands = htk, bands

    def to_scale(self, values: npt.ArrayLike) -> FloatArray:
        """Return frequencies in Hz as mels."""
        return dsp.hz_to_mel(values, htk=self._htk)

    def from_scale(self, scaled: npt.ArrayLike) -> FloatArray:
        """Return mels as frequencies in Hz."""
        return dsp.mel_to_hz(scaled, htk=self._htk)

    @property
    def edges(self) -> FloatArray:
        """Halfway between two centres, in mels; the outermost reach to the ends."""
        low, high = self.to_scale(self.ends)
        edges = np.linspace(low, high, 2 * len(self.values) + 3)[1::2]
        edges[[0, -1]] = low, high
        return edges

    @property
    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Which bands no frequency bin falls into."""
        if self._bands is None:
            return super().is_empty
        return self._bands().is_empty
