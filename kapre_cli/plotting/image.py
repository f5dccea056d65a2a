"""The view, and arrays of any size as images of bounded size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import UsageError
from kapre_cli.formats.arrays import FeatureArray
from kapre_cli.framing import spans
from kapre_cli.layers.axes import FeatureAxis
from kapre_cli.settings import AudioSettings, LayerConfig
from kapre_cli.settings.layers import DECIBEL_RANGE
from kapre_cli.text import counted, quoted

FIRST_KEYS = 4  # are drawn if none is named

_MIN_RANGE = 1e-9  # of the highest coordinate; less is no range to matplotlib
_BLOCK_VALUES = 2**22

Image = npt.NDArray[np.float32]
Bounds = tuple[float | None, float | None]

_UNBOUNDED: Bounds = (None, None)


# The view


@dataclass(frozen=True, kw_only=True)
class View:
    """What is shown of every array, and how. A bound of ``None`` is that of the array.

    Attributes:
        channels: The recording's channels, counted from 0, in this order. ``None``: all of them.
        time: From when to when, in seconds from the start of the recording.
        freq: The lowest and the highest frequency, in Hz, or coordinate of other features.
        range: The values of the darkest and of the brightest colour, in the colour bar's unit.
        decibel: Show features that are not decibels in decibels below the largest that is shown.
        cmap: The name of a colour map of matplotlib.
        size: Width and height of the figure in inches. ``None``: what its panels need.
    """

    channels: tuple[int, ...] | None = None
    time: Bounds = _UNBOUNDED
    freq: Bounds = _UNBOUNDED
    range: Bounds = _UNBOUNDED
    decibel: bool = True
    cmap: str = "magma"
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Selection:
    """The shown part of an array.

    Attributes:
        channels: Indices along the array's channel axis.
        names: Names of the channels: their numbers in the recording.
        first: The first frame.
        n_frames: Number of frames.
        seconds: Start of the first frame's step of time and end of the last one's, in seconds.
        limits: The part of that which the axis shows.
    """

    array: FeatureArray
    channels: tuple[int, ...]
    names: tuple[str, ...]
    first: int
    n_frames: int
    seconds: tuple[float, float]
    limits: tuple[float, float]


def selection_of(array: FeatureArray, settings: AudioSettings, view: View) -> Selection:
    """Return the part of an array that a view shows.

    A frame represents half a step of time on either side of its centre.

    Raises:
        UsageError: If the array has no such channel, or nothing at that time.
    """
    metadata = array.metadata
    n_time = array.shape[array.axes.index("time")]
    step, length = metadata.time_step, metadata.n_samples / metadata.sr
    start, end = view.time[0] or 0.0, view.time[1]
    upto = "its end" if end is None else f"{end:g} s"
    nothing = f"it has nothing from {start:g} s to {upto}"
    lasts = f"is {length:.6g} s long"
    if metadata.start is not None and metadata.end is not None:
        length = min(length, metadata.end)
        start = max(start, metadata.start)
        lasts = f"lasts from {metadata.start:.6g} s to {length:.6g} s"
    end = length if end is None else min(end, length)
    if start >= end:
        raise UsageError(f"{quoted(array.key)} {lasts}: {nothing}")
    before = metadata.time_start - step / 2  # start of frame 0's step of time
    first = min(max(math.floor((start - before) / step), 0), n_time - 1)
    last = min(max(math.ceil((end - before) / step) - 1, first), n_time - 1)
    seconds = before + first * step, before + (last + 1) * step
    limits = max(seconds[0], start), min(seconds[1], end)
    channels, names = _channels(array, settings, view.channels)
    limits = limits if limits[0] < limits[1] else seconds
    return Selection(array, channels, names, first, last - first + 1, seconds, limits)


def _channels(
    array: FeatureArray, settings: AudioSettings, requested: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the indices of the requested channels in an array, and their names."""
    n_channels = array.shape[array.axes.index("channel")]
    if settings.mono:
        if requested is not None:
            raise UsageError(
                f"{quoted(array.key)} has the average of its channels, and none by itself"
            )
        return (0,), ("mono",)
    stored = settings.channels or tuple(range(n_channels))
    if array.metadata.channel is not None:
        stored = (array.metadata.channel,)
    names = tuple(f"channel {number}" for number in (stored if requested is None else requested))
    if requested is None:
        return tuple(range(n_channels)), names
    for number in requested:
        if number not in stored:
            has = ", ".join(map(str, stored[:8])) + (", ..." if len(stored) > 8 else "")
            raise UsageError(
                f"{quoted(array.key)} has no channel {number}; it has "
                f"{counted(n_channels, 'channel')}, counted from 0: {has}"
            )
    return tuple(stored.index(number) for number in requested), names


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
    """Return the largest value in each cell of a grid over a selection.

    The array is read once, a block of frames after the other. NaN stays visible: a cell that
    holds one is NaN.

    The result has the shape ``(channels, cells, columns)``, the lowest frequency and the first
    frame first. There are at most ``n_columns`` columns, and no more than frames. At most
    ``block_values`` values are read at once.
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
        block = array.read(tuple(shown[axis] for axis in range(3)))
        block = block.transpose(channel, feature, time)[list(selection.channels)]
        block = block.astype(np.float32, copy=False)
        block = np.maximum.reduceat(block, rows.starts, axis=1)
        column_of = np.arange(first, first + count) * n_columns // selection.n_frames
        columns, starts = np.unique(column_of, return_index=True)
        found = np.maximum.reduceat(block, starts, axis=2)
        image[..., columns] = np.maximum(image[..., columns], found)
    return image


# Colours


@dataclass(frozen=True)
class Levels:
    """The scale of colours; UsageError if decibels are not to be shown as such.

    ``is_of_segments``: 0 dB is the maximum of each segment, not of its recording.
    """

    config: LayerConfig
    view: View
    is_of_segments: bool = False

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
        if self._in_decibels:
            return "Level (dB re maximum shown)"
        label = self.config.values.label
        return label.replace("recording's", "segment's") if self.is_of_segments else label

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
