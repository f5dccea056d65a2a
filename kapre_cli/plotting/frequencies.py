"""Where the bins or mel bands of a layer lie, and which of them each row of an image shows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import UsageError
from kapre_cli.layers import dsp
from kapre_cli.layers.filterbank import filterbank_of
from kapre_cli.plotting.view import Bounds
from kapre_cli.settings import LayerConfig, MelspectrogramConfig

_LEAST_RANGE = 1e-9  # of the highest frequency; less is no range to matplotlib

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrequencyAxis:
    """The frequency axis of a layer's features: even in Hz, or in mels for a mel layer.

    Attributes:
        config: The layer.
        sr: Sample rate in Hz.
    """

    config: LayerConfig
    sr: float

    @property
    def is_mel(self) -> bool:
        """Whether it is even in mels."""
        return isinstance(self.config, MelspectrogramConfig)

    def to_scale(self, hz: npt.ArrayLike) -> FloatArray:
        """Return frequencies in the unit in which the axis is even."""
        if isinstance(self.config, MelspectrogramConfig):
            return dsp.hz_to_mel(hz, htk=self.config.htk)
        return np.asarray(hz, dtype=np.float64)

    def to_hz(self, places: npt.ArrayLike) -> FloatArray:
        """Return what :meth:`to_scale` was given."""
        if isinstance(self.config, MelspectrogramConfig):
            return dsp.mel_to_hz(places, htk=self.config.htk)
        return np.asarray(places, dtype=np.float64)

    @property
    def edges(self) -> FloatArray:
        """Where each bin or band begins, and the last one ends, in the unit of the axis.

        That is halfway between two centres. The outermost reach to the ends of the layer's range.
        """
        config = self.config
        low, high = self.to_scale(self._ends)
        if isinstance(config, MelspectrogramConfig):
            edges = np.linspace(low, high, 2 * config.n_mels + 3)[1::2]
        else:
            edges = (np.arange(config.n_freq + 1) - 0.5) * self.sr / config.n_dft
        edges[[0, -1]] = low, high
        return edges

    @property
    def _ends(self) -> tuple[float, float]:
        """The lowest and the highest frequency of the features, in Hz."""
        config = self.config
        if isinstance(config, MelspectrogramConfig):
            assert config.fmax is not None  # noqa: S101 - for the type checker: settled when made
            return config.fmin, config.fmax
        return 0.0, (config.n_freq - 1) * self.sr / config.n_dft

    def limits(self, freq: Bounds) -> tuple[float, float]:
        """Return the lowest and the highest frequency that is shown, in Hz.

        Raises:
            UsageError: If the features do not reach so far.
        """
        lowest, highest = self._ends
        low = lowest if freq[0] is None else freq[0]
        high = highest if freq[1] is None else freq[1]
        is_range = lowest <= low < high <= highest
        if not (is_range and high - low > _LEAST_RANGE * highest):
            raise UsageError(
                f"the features reach from {lowest:,g} to {highest:,g} Hz; frequencies from "
                f"{low:,g} to {high:,g} Hz cannot be shown"
            )
        return low, high

    def rows(self, limits: tuple[float, float], n_rows: int) -> "Rows":
        """Return which bins or bands each of ``n_rows`` rows between two frequencies shows.

        A row shows the one at its middle, and those from there to the middle of the next row.
        """
        edges = self.edges
        low, high = self.to_scale(limits)
        middles = np.linspace(low, high, 2 * n_rows + 1)[1::2]
        bands = np.searchsorted(edges, [low, *middles[1:]], side="right") - 1
        starts, numbers = np.unique(bands, return_inverse=True)
        shown = slice(int(starts[0]), int(np.searchsorted(edges, high)))
        empty = np.zeros(len(edges) - 1, bool)
        if isinstance(self.config, MelspectrogramConfig):
            empty[dsp.empty_bands(filterbank_of(self.config))] = True
        offsets = starts - shown.start
        return Rows(shown, offsets, numbers, np.logical_and.reduceat(empty[shown], offsets))


@dataclass(frozen=True)
class Rows:
    """The rows of an image.

    Attributes:
        features: The bins or bands that are shown.
        starts: Where each cell of neighbouring bins or bands begins, counted from the first shown.
        numbers: Which cell each row shows, from the lowest frequency up.
        is_empty: Which cells have nothing but mel bands that no frequency bin falls into.
    """

    features: slice
    starts: npt.NDArray[np.intp]
    numbers: npt.NDArray[np.intp]
    is_empty: npt.NDArray[np.bool_]
