"""Arrays of any size as images of bounded size: rows, columns and colours."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import UsageError
from kapre_cli.framing import spans
from kapre_cli.layers.axes import FeatureAxis
from kapre_cli.plotting.view import Bounds, Selection, View
from kapre_cli.settings import LayerConfig
from kapre_cli.settings.layers import DECIBEL_RANGE

_MIN_RANGE = 1e-9  # of the highest coordinate; less is no range to matplotlib
_BLOCK_VALUES = 2**22

Image = npt.NDArray[np.float32]


# Rows


@dataclass(frozen=True)
class Rows:
    """The rows of an image.

    Attributes:
        features: The features that are shown.
        starts: First feature of each cell of neighbouring features, counted from the first shown.
        numbers: The cell of each row, from the lowest coordinate up.
        is_empty: Which cells have only features that are always 0, as empty mel bands are.
    """

    features: slice
    starts: npt.NDArray[np.intp]
    numbers: npt.NDArray[np.intp]
    is_empty: npt.NDArray[np.bool_]


class PlotAxis:
    """The feature axis of a layer, and the part of it that a plot shows.

    Attributes:
        coordinate: What the coordinate is called.
        positions: Where the features lie.
    """

    def __init__(self, config: LayerConfig, sr: float) -> None:
        self.coordinate = config.coordinate
        self.positions: FeatureAxis = config.feature_positions(sr)

    def limits(self, bounds: Bounds) -> tuple[float, float]:
        """Return the lowest and the highest coordinate that is shown.

        Raises:
            UsageError: If the features do not reach so far.
        """
        lowest, highest = self.positions.ends
        low = lowest if bounds[0] is None else bounds[0]
        high = highest if bounds[1] is None else bounds[1]
        is_range = lowest <= low < high <= highest
        if not (is_range and high - low > _MIN_RANGE * highest):
            unit = f" {self.coordinate.unit}" if self.coordinate.unit else ""
            raise UsageError(
                f"the features reach from {lowest:,g} to {highest:,g}{unit}; "
                f"{self.coordinate.plural} from {low:,g} to {high:,g}{unit} cannot be shown"
            )
        return low, high

    def rows(self, limits: tuple[float, float], n_rows: int) -> Rows:
        """Return which features each of ``n_rows`` rows between two coordinates shows.

        A row shows the feature at its middle, and those up to the middle of the next row.
        """
        edges = self.positions.edges
        low, high = self.positions.to_scale(limits)
        middles = np.linspace(low, high, 2 * n_rows + 1)[1::2]
        cells = np.searchsorted(edges, [low, *middles[1:]], side="right") - 1
        starts, numbers = np.unique(cells, return_inverse=True)
        shown = slice(int(starts[0]), int(np.searchsorted(edges, high)))
        offsets = starts - shown.start
        empty = np.logical_and.reduceat(self.positions.is_empty[shown], offsets)
        return Rows(shown, offsets, numbers, empty)


def peaks(
    selection: Selection, rows: Rows, n_columns: int, block_values: int = _BLOCK_VALUES
) -> Image:
    """Return the largest value in each cell of a grid laid over the shown part of an array.

    The array is read once, a block of frames after the other. NaN stays visible: a cell that
    holds one is NaN.

    Args:
        selection: The part that is shown.
        rows: Where the cells begin along the frequencies.
        n_columns: Cells along the time, at most; there are no more than frames.
        block_values: Values that are read at once, at most.

    Returns:
        Shape ``(channels, cells, columns)``, the lowest frequency and the first frame first.
    """
    array = selection.array
    time, channel = array.axes.index("time"), array.axes.index("channel")
    feature = 3 - time - channel
    n_columns = min(n_columns, selection.n_frames)
    image = np.full((len(selection.channels), len(rows.starts), n_columns), -np.inf, np.float32)
    n_features = rows.features.stop - rows.features.start
    at_most = max(block_values // (array.shape[channel] * n_features), 1)
    for first, count in spans(selection.n_frames, at_most):
        frames = slice(selection.first + first, selection.first + first + count)
        shown = {channel: slice(None), feature: rows.features, time: frames}
        block = array[tuple(shown[axis] for axis in range(3))].transpose(channel, feature, time)
        block = block[list(selection.channels)].astype(np.float32, copy=False)
        block = np.maximum.reduceat(block, rows.starts, axis=1)
        column_of = np.arange(first, first + count) * n_columns // selection.n_frames
        columns, starts = np.unique(column_of, return_index=True)
        found = np.maximum.reduceat(block, starts, axis=2)
        image[..., columns] = np.maximum(image[..., columns], found)
    return image


# Colours


@dataclass(frozen=True)
class Levels:
    """The scale of the colours.

    Attributes:
        config: The layer whose features are shown.
        view: What is shown of them.

    Raises:
        UsageError: If the features are decibels and are not to be shown as such.
    """

    config: LayerConfig
    view: View

    def __post_init__(self) -> None:
        """Check that the features can be shown as requested."""
        if self.config.decibel and not self.view.decibel:
            raise UsageError("these features are decibels: they cannot be shown otherwise")

    @property
    def _in_decibels(self) -> bool:
        """Whether decibels are taken here, of features that are none."""
        return self.view.decibel and self.config.values.per_decade is not None

    @property
    def label(self) -> str:
        """The quantity and its unit, for the colour bar."""
        return "Level (dB re maximum shown)" if self._in_decibels else self.config.values.label

    def shown(self, image: Image) -> Image:
        """Return what is shown of the features of one recording.

        Decibels taken here are those of power, whatever power the features are.
        """
        per_decade = self.config.values.per_decade
        if per_decade is None or not self._in_decibels:
            return image
        floor = min(-DECIBEL_RANGE, self.view.range[0] or 0.0)
        highest = _highest(image)
        if highest <= 0:  # silence
            return np.where(np.isnan(image), image, np.float32(floor))
        with np.errstate(divide="ignore"):
            decibels = per_decade * np.log10(image.astype(np.float64) / highest)
        return np.maximum(decibels, floor).astype(np.float32)

    def limits(self, images: list[Image]) -> tuple[float, float]:
        """Return the values of the darkest and the brightest colour.

        Raises:
            UsageError: If the view sets one of them beyond the other.
        """
        if self._in_decibels:
            low, high = -DECIBEL_RANGE, 0.0
        else:
            low, high = self.config.values.lowest, self.config.values.highest
        if np.isinf(high):
            high = max(map(_highest, images)) or 1.0
        if np.isinf(low):
            low = min(map(_lowest, images))
        low = low if self.view.range[0] is None else self.view.range[0]
        high = high if self.view.range[1] is None else self.view.range[1]
        if low >= high:
            raise UsageError(
                f"the colours cannot go from {low:g} up to {high:g}; name both ends of their range"
            )
        return low, high


def _highest(image: Image) -> float:
    """Return the largest number, 0 if there is none above 0."""
    return float(np.max(image, initial=0, where=np.isfinite(image)))


def _lowest(image: Image) -> float:
    """Return the smallest number, 0 if there is none below 0."""
    return float(np.min(image, initial=0, where=np.isfinite(image)))
