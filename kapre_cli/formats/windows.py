"""Windows of fixed length over arrays on disk, to train with."""

import copy
import operator
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.moments import ALL_BUT_FEATURES, FloatArray, Moments, axis_numbers
from kapre_cli.formats.window_labels import Labels, LabelSource
from kapre_cli.formats.window_reader import Arrays, FrameReader
from kapre_cli.inputs import recording_of
from kapre_cli.settings import checks
from kapre_cli.text import counted

if TYPE_CHECKING:
    from kapre_cli.formats.keras_loader import KerasWindows
    from kapre_cli.formats.loaders import TorchWindows

SHORT = ("drop", "pad")
SPLITS = ("recording", "folder")

_BATCH_VALUES = 2**20


@dataclass(frozen=True)
class WindowSettings:
    """How windows are cut.

    Attributes:
        n_frames: Frames of a window.
        n_hop: Frames from the start of a window to that of the next.
        pads: Whether an array that is shorter than a window is one window, padded at its end.
        fill: The value that it is padded with.
        channel: The channel of the recording; ``None``: all.
    """

    n_frames: int
    n_hop: int
    pads: bool
    fill: float
    channel: int | None


def window_settings(
    root: OutputMetadata, seconds: float, hop: float | None, short: str, channel: int | None
) -> WindowSettings:
    """Return how windows of some seconds are cut; raise ValueError for less than a frame."""
    layer = root.layer
    _, step = layer.framing.times(1, root.audio.sr)
    hop = seconds if hop is None else hop
    frames = {}
    for name, value in (("seconds", seconds), ("hop", hop)):
        frames[name] = round(checks.real(name, value, above=0) / step)
        if frames[name] < 1:
            raise checks.invalid(name, f"at least a frame, {step:.6g} s", value)
    checks.choice("short", short, SHORT)
    if channel is not None:
        channel = checks.integer("channel", channel, at_least=0)
    lowest = layer.values.lowest
    return WindowSettings(
        n_frames=frames["seconds"],
        n_hop=frames["hop"],
        pads=short == "pad",
        fill=lowest if np.isfinite(lowest) else 0.0,
        channel=channel,
    )


def windows_of(
    arrays: Arrays,
    inputs: Mapping[str, InputMetadata],
    settings: WindowSettings,
    labels: LabelSource | None,
    classes: Sequence[str] | None,
) -> "Windows":
    """Return the windows of some inputs of an open output."""
    reader = FrameReader(arrays, inputs, settings.channel)
    return Windows(reader, settings, None if labels is None else Labels(labels, inputs, classes))


class Windows(Sequence[Any]):
    """Windows of one length over the arrays of an output, read when they are indexed.

    ``windows[i]`` is one of them, an array with the axes of the output, or a pair of the array and
    its label; ``windows[2:10]``, or a list or an array of numbers, is a batch of them in one array
    with a new first axis, or a pair of two such arrays. Each is a copy.

    The windows of an array begin at its first frame and follow each other by the hop; frames after
    the last full window are in none. An array that is shorter than a window has none, or one that
    is padded at its end.

    It can be pickled, and shared by threads. Returned by ``Features.windows``.

    Attributes:
        shape: The shape of a window.
        dtype: The type of the values, that of the output; float32 of normalized windows.
        n_frames: Frames of a window.
        classes: The texts that labels 0, 1, ... stand for; ``None`` if labels are no texts.
    """

    def __init__(
        self,
        reader: FrameReader,
        settings: WindowSettings,
        labels: Labels | None,
    ) -> None:
        self._reader = reader
        self._settings = settings
        self._labels = labels
        self._scale: tuple[FloatArray, FloatArray] | None = None
        self.n_frames = settings.n_frames
        self.dtype = reader.dtype
        self.classes = None if labels is None else labels.classes
        self.axes = reader.axes
        self.shape = reader.shape(settings.n_frames)
        self._select(np.arange(len(reader.keys)))

    def _select(self, numbers: npt.NDArray[np.int64]) -> None:
        """Take the windows of some arrays of the reader."""
        n_time, settings = self._reader.n_time[numbers], self._settings
        counts = np.where(
            n_time >= settings.n_frames,
            (n_time - settings.n_frames) // settings.n_hop + 1,
            int(settings.pads),
        )
        self._numbers = numbers
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self._first = array("q", ends.tobytes())  # which bisect searches quickly

    def __len__(self) -> int:
        return self._first[-1]

    def __getitem__(self, index: Any) -> Any:
        try:
            number = operator.index(index)
        except TypeError:
            return self._batch(self._indices(index))
        place, frame = self._place(number)
        window = np.empty(self.shape, self.dtype)
        self._store(self._values(place, frame), window)
        if self._scale is not None:
            _divide(window, self._scale[1])
        if self._labels is None:
            return window
        return window, self._labels_of([place], [frame])[0]

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))

    def _indices(self, index: Any) -> npt.NDArray[np.int64]:
        """Return the numbers of the windows that a slice, a list or an array selects."""
        n = len(self)
        if isinstance(index, slice):
            return np.arange(*index.indices(n), dtype=np.int64)
        given = np.asarray(index)
        if given.dtype == bool and given.shape == (n,):
            return np.flatnonzero(given)
        if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
            raise IndexError("windows are indexed by integers, slices, and lists of integers")
        indices = given.astype(np.int64)
        if indices.size and not (-n <= indices.min() and indices.max() < n):
            raise IndexError(f"a number in {index!r} is out of range: there are {n:,} windows")
        indices[indices < 0] += n
        return indices

    def _place(self, index: int) -> tuple[int, int]:
        """Return the number of a window's array, and its first frame."""
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"window {index} is out of range: there are {n:,}")
        index %= n
        at = bisect_right(self._first, index) - 1
        return self._numbers.item(at), (index - self._first[at]) * self._settings.n_hop

    def _batch(self, indices: npt.NDArray[np.int64]) -> Any:
        firsts = np.frombuffer(self._first, np.int64)
        at = np.searchsorted(firsts, indices, side="right") - 1
        frames = (indices - firsts[at]) * self._settings.n_hop
        numbers = self._numbers[at]
        windows = np.empty((len(indices), *self.shape), self.dtype)
        views = self._reader.views(numbers, frames, self.shape)
        if (self._reader.n_time[numbers] < self.n_frames).any():
            views = map(self._values, numbers.tolist(), frames.tolist())
        for values, window in zip(views, windows, strict=True):
            self._store(values, window)
        if self._scale is not None:
            _divide(windows, self._scale[1])
        if self._labels is None:
            return windows
        return windows, self._labels_of(numbers.tolist(), frames.tolist())

    def _values(self, number: int, frame: int) -> npt.NDArray[Any]:
        """Return the values of a window, not to be changed; a short one is padded."""
        n_time = self._reader.n_time.item(number)
        if n_time >= self.n_frames:
            return self._reader.view(number, frame, self.shape)
        values = np.full(self.shape, self._settings.fill, self._reader.dtype)
        index = tuple(slice(n_time if axis == "time" else None) for axis in self.axes)
        values[index] = self._reader.view(number, 0, self._reader.shape(n_time))
        return values

    def _store(self, values: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
        """Copy values into a window, less the mean if it is normalized."""
        if self._scale is None:
            target[...] = values
        else:
            np.subtract(values, self._scale[0], out=target, casting="same_kind")

    def _labels_of(self, numbers: list[int], frames: list[int]) -> npt.NDArray[Any]:
        labels = self._labels
        assert labels is not None  # noqa: S101 - for the type checker: callers have looked
        if labels.function is None:
            return labels.values[numbers]
        found = []
        for number, frame in zip(numbers, frames, strict=True):
            start, end = self._seconds(number, frame)
            metadata = self._reader.metadata(number)
            found.append(labels.function(self._reader.keys[number], start, end, metadata))
        return labels.array(found)

    def _seconds(self, number: int, frame: int) -> tuple[float, float]:
        """Return start and end of a window; a frame is half a step on either side of its centre."""
        step = self._reader.step
        start = self._reader.starts.item(number) + (frame - 0.5) * step
        return max(start, 0.0), start + self.n_frames * step

    def key(self, index: int) -> str:
        """Return the key of the input that a window is of."""
        return self._reader.keys[self._place(index)[0]]

    def start(self, index: int) -> float:
        """Return where a window starts, in seconds from the start of the recording.

        The first frame's centre is half a step later. No window starts before 0.
        """
        return self._seconds(*self._place(index))[0]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the inputs, in order, those included that are too short for a window."""
        return tuple(self._reader.keys[number] for number in self._numbers.tolist())

    def split(
        self, fraction: float = 0.8, by: str = "recording", seed: int = 0
    ) -> tuple["Windows", "Windows"]:
        """Divide the windows into two parts that have no recording in common.

        Which part a recording is in depends on the recordings and on ``seed``, not on their order
        nor on the windows. One more recording moves at most one other.

        Args:
            fraction: How many of the recordings are in the first part, between 0 and 1. Either part
                has at least one.
            by: ``"recording"``, or ``"folder"`` to keep all recordings of a first folder together.
            seed: Another seed gives another division.

        Returns:
            Two ``Windows``.

        Raises:
            ValueError: If an argument is out of range, or there are fewer than two recordings.
        """
        checks.choice("by", by, SPLITS)
        checks.integer("seed", seed, at_least=0)
        fraction = checks.real("fraction", fraction, above=0)
        if fraction >= 1:
            raise checks.invalid("fraction", "a number between 0 and 1", fraction)
        groups = [self._group(number, by) for number in self._numbers.tolist()]
        names = sorted(set(groups), key=lambda name: sha256(f"{seed}/{name}".encode()).digest())
        if len(names) < len(SPLITS):
            raise SettingsError(f"{counted(len(names), by)} cannot be divided into two parts")
        first = {*names[: min(max(round(fraction * len(names)), 1), len(names) - 1)]}
        is_first = np.array([group in first for group in groups])
        return self._part(self._numbers[is_first]), self._part(self._numbers[~is_first])

    def _group(self, number: int, by: str) -> str:
        is_segment = bool(self._reader.is_segment[number])
        key = recording_of(self._reader.keys[number], is_segment=is_segment)
        if by == "recording":
            return key
        folder, slash, _ = key.partition("/")
        return folder if slash else ""

    def _part(self, numbers: npt.NDArray[np.int64]) -> "Windows":
        part = copy.copy(self)
        part._select(numbers)
        return part

    def mean_std(
        self, axis: str | Sequence[str] | None = ALL_BUT_FEATURES
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the values of all windows, in float64.

        Args:
            axis: The names of the axes that are averaged over, besides the windows. ``None``: all.
                By default each feature has a mean of its own.

        Returns:
            Two arrays with the axes of a window; those that are averaged over have length 1.

        Raises:
            ValueError: If there are no windows, or ``axis`` has another name.
        """
        moments = Moments((0, *(1 + number for number in axis_numbers(axis, self.axes))))
        at_once = max(_BATCH_VALUES // max(int(np.prod(self.shape)), 1), 1)
        unlabelled = copy.copy(self)
        unlabelled._labels = None
        for first in range(0, len(self), at_once):
            moments.add(unlabelled[first : first + at_once])
        mean, std = moments.result()
        return mean[0], std[0]

    def normalized(self, mean: npt.ArrayLike, std: npt.ArrayLike) -> "Windows":
        """Return the same windows with the values ``(x - mean) / std``, in float32.

        Where ``std`` is 0, for instance in an empty mel band, the difference is not divided.

        Args:
            mean: Numbers that NumPy broadcasts to a window, such as those of :meth:`mean_std`.
            std: Likewise, from 0 up.

        Raises:
            ValueError: If they have another shape, or the windows are normalized already.
        """
        if self._scale is not None:
            raise SettingsError("the windows are normalized already")
        scale = []
        for name, given in (("mean", mean), ("std", std)):
            values = np.asarray(given, np.float64)
            try:
                np.broadcast_to(values, self.shape)
            except ValueError:
                rule = f"of a shape that fits to windows of {self.shape}"
                raise checks.invalid(name, rule, values.shape) from None
            scale.append(values)
        if (scale[1] < 0).any():
            raise checks.invalid("std", "from 0 up", float(scale[1].min()))
        scale[1] = np.where(scale[1] == 0, 1.0, scale[1])
        made = copy.copy(self)
        made._scale = scale[0], scale[1]
        made.dtype = np.dtype(np.float32)
        return made

    def as_keras(
        self,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> "KerasWindows":
        """Return the windows in batches as a ``keras.utils.PyDataset``, for every backend.

        The order follows from ``seed`` and from how many epochs the data set has ended.
        ``model.fit`` shuffles the batches of any data set once more, by Python's ``random``:
        ``fit(..., shuffle=False)`` leaves the order to ``seed`` alone.

        Args:
            batch_size: Windows of a batch; the last one may have fewer.
            shuffle: Whether the windows are shuffled in each epoch.
            seed: Another seed gives other orders.
            workers: How many threads or processes read batches, if more than 1.
            use_multiprocessing: Whether these are processes.
            max_queue_size: How many batches are read ahead.

        Raises:
            ImportError: If Keras is not installed.
        """
        from kapre_cli.formats.loaders import BatchOrder

        try:
            from kapre_cli.formats.keras_loader import KerasWindows
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        order = BatchOrder(len(self), batch_size, shuffle=shuffle, seed=seed)
        return KerasWindows(
            self,
            order,
            workers=workers,
            use_multiprocessing=use_multiprocessing,
            max_queue_size=max_queue_size,
        )

    def as_tf(self, batch_size: int = 32, shuffle: bool = False, seed: int = 0) -> Any:
        """Return the windows in batches as a ``tf.data.Dataset``.

        Each time that it is iterated over is an epoch. The arguments are those of :meth:`as_keras`.

        Raises:
            ImportError: If TensorFlow is not installed.
            ValueError: If there are no windows.
        """
        from kapre_cli.formats.loaders import BatchOrder, tf_dataset

        order = BatchOrder(len(self), batch_size, shuffle=shuffle, seed=seed)
        try:
            return tf_dataset(self, order)
        except ModuleNotFoundError as error:
            raise _missing(error) from error

    def as_torch(self) -> "TorchWindows":
        """Return the windows as a map-style data set for ``torch.utils.data.DataLoader``.

        It gives NumPy arrays, which the loader makes tensors of. PyTorch is not imported here.
        """
        from kapre_cli.formats.loaders import TorchWindows

        return TorchWindows(self)

    def __repr__(self) -> str:
        windows = counted(len(self), "window")
        return f"<{windows} of {dict(zip(self.axes, self.shape, strict=True))} {self.dtype}>"


def _divide(windows: npt.NDArray[Any], std: FloatArray) -> None:
    np.divide(windows, std, out=windows, casting="same_kind")


def _missing(error: ModuleNotFoundError) -> ImportError:
    return ImportError(
        f"{error}; windows can be indexed without, and are data of PyTorch with `as_torch`",
        name=error.name,
    )
