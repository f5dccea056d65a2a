"""How far two arrays are apart, and where, block by block: neither need fit in memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.settings import LayerConfig, checks
from kapre_cli.storage.assembly import stored_array
from kapre_cli.storage.stored import Features, Look, StoredArray

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """How far a value ``a`` may be from ``b``: ``|a - b| <= atol + rtol * |b|``.

    Raises:
        ValueError: If one of the two is not a number from 0 up.
    """

    rtol: float = 0.0
    atol: float = 0.0

    def __post_init__(self) -> None:
        """Check both."""
        checks.real("rtol", self.rtol)
        checks.real("atol", self.atol)


EXACT = Tolerance()


class Apart(NamedTuple):
    """Two values that differ.

    Attributes:
        by: By how much; infinity if one of them alone is NaN.
        one: The value in the one array.
        other: The value in the other.
        place: Its index by the names of the axes.
    """

    by: float
    one: float
    other: float
    place: dict[str, int]


@dataclass
class Difference:
    """How far two arrays are apart. NaN is NaN's equal.

    Attributes:
        n_values: How many values each has.
        n_beyond: How many of them differ by more than is allowed.
        absolute: Those that differ most; ``None`` if none do.
        relative: Likewise, as a part of the other array's value.
        peak: The largest magnitude in the other array, NaN aside.
    """

    n_values: int = 0
    n_beyond: int = 0
    absolute: Apart | None = None
    relative: Apart | None = None
    peak: float = 0.0


def not_alike(one: StoredArray, other: StoredArray) -> str | None:
    """Say why the values of two arrays cannot be held against one another, ``None`` if they can."""
    if set(one.axes) != set(other.axes):
        return f"its axes are {', '.join(one.axes)} against {', '.join(other.axes)}"
    sizes = dict(zip(other.axes, other.shape, strict=True))
    differing = [
        f"{size:,} against {sizes[axis]:,} along {axis}"
        for axis, size in zip(one.axes, one.shape, strict=True)
        if size != sizes[axis]
    ]
    return f"its shape is another: {', '.join(differing)}" if differing else None


def difference(
    one: StoredArray,
    other: StoredArray,
    config: LayerConfig,
    tolerance: Tolerance,
    look: Look | None = None,
) -> Difference:
    """Return how far two arrays of one shape are apart; their axes may stand in another order.

    The layer is that of ``one``, whose values are shown to ``look``, part by part, once they have
    been compared.

    Raises:
        StoredDataError: If one of them cannot be read.
    """
    found = Difference()
    order = [other.axes.index(axis) for axis in one.axes]
    for index, values in stored_array(one, config).pieces():
        by_axis = dict(zip(one.axes, index, strict=True))
        others = other[tuple(by_axis[axis] for axis in other.axes)].transpose(order)
        starts = {axis: part.start or 0 for axis, part in by_axis.items()}
        _add(found, values, np.ascontiguousarray(others), starts, tolerance)
        if look is not None:
            look(values)
    return found


def _add(
    found: Difference,
    values: npt.NDArray[Any],
    others: npt.NDArray[Any],
    starts: dict[str, int],
    tolerance: Tolerance,
) -> None:
    """Take a block of both arrays into account; ``starts`` is where it begins, by axis."""
    found.n_values += values.size
    found.peak = float(np.fmax(found.peak, np.fmax.reduce(np.abs(others), axis=None)))
    if values.dtype == others.dtype and values.tobytes() == others.tobytes():
        return
    one, other = values.astype(np.float64), others.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # infinity less itself, nothing times it
        by: Floats = np.abs(one - other)
        allowed = tolerance.atol + tolerance.rtol * np.abs(other)
    by[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    by[np.isnan(by)] = np.inf
    found.n_beyond += np.count_nonzero((by > allowed) | np.isinf(by))
    found.absolute = _largest(found.absolute, by, one, other, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(by > 0, by / np.abs(other), 0.0)
    relative[np.isnan(relative)] = np.inf  # infinity against another
    found.relative = _largest(found.relative, relative, one, other, starts)


def _largest(
    before: Apart | None, by: Floats, one: Floats, other: Floats, starts: dict[str, int]
) -> Apart | None:
    place = np.unravel_index(int(by.argmax()), by.shape)
    if by[place] <= (before.by if before is not None else 0.0):
        return before
    named = {
        axis: start + int(where) for (axis, start), where in zip(starts.items(), place, strict=True)
    }
    return Apart(float(by[place]), float(one[place]), float(other[place]), named)


def apart_words(apart: Apart, features: Features, array: StoredArray) -> str:
    """Say by how much two values differ, and where they are in seconds and Hz."""
    seconds = array.facts.time_start + apart.place["time"] * array.facts.time_step
    hertz = features.frequency[apart.place[features.layer.feature_axis]]
    return (
        f"{apart.by:.3g} ({apart.one:.9g} against {apart.other:.9g}) at {seconds:.4f} s, "
        f"{hertz:,.1f} Hz, channel {apart.place['channel']}"
    )
