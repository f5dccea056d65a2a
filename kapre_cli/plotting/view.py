"""The view: which channels, times and frequencies a figure shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kapre_cli.errors import UsageError
from kapre_cli.formats.features import StoredArray
from kapre_cli.settings import AudioSettings
from kapre_cli.text import counted, quoted

Bounds = tuple[float | None, float | None]
FIRST_KEYS = 4  # are drawn if none is named

_UNBOUNDED: Bounds = (None, None)


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
        array: The array.
        channels: Indices along the array's channel axis.
        names: Names of the channels: their numbers in the recording.
        first: The first frame.
        n_frames: Number of frames.
        seconds: Start of the first frame's step of time and end of the last one's, in seconds.
        limits: The part of that which the axis shows.
    """

    array: StoredArray
    channels: tuple[int, ...]
    names: tuple[str, ...]
    first: int
    n_frames: int
    seconds: tuple[float, float]
    limits: tuple[float, float]


def selection_of(array: StoredArray, settings: AudioSettings, view: View) -> Selection:
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
    end = length if end is None else min(end, length)
    if start >= end:
        raise UsageError(
            f"{quoted(array.key)} is {length:.6g} s long: it has nothing from {start:g} s to {upto}"
        )
    before = metadata.time_start - step / 2  # start of frame 0's step of time
    first = min(max(math.floor((start - before) / step), 0), n_time - 1)
    last = min(max(math.ceil((end - before) / step) - 1, first), n_time - 1)
    seconds = before + first * step, before + (last + 1) * step
    limits = max(seconds[0], start), min(seconds[1], end)
    channels, names = _channels(array, settings, view.channels)
    return Selection(
        array,
        channels,
        names,
        first,
        last - first + 1,
        seconds,
        limits if limits[0] < limits[1] else seconds,
    )


def _channels(
    array: StoredArray, settings: AudioSettings, requested: Sequence[int] | None
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
