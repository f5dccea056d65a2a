"""The difference of two arrays, block by block: neither need fit in memory."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.formats.array_chunks import stored_array
from kapre_cli.formats.features import ChunkVisitor, Features, StoredArray
from kapre_cli.settings import LayerConfig, checks

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tolerance:
    """The allowed difference of ``a`` from ``b``: ``|a - b| <= atol + rtol * |b|``.

    Both are numbers from 0 up, else ValueError is raised.
    """

    rtol: float = 0.0
    atol: float = 0.0

    def __post_init__(self) -> None:
        checks.real("rtol", self.rtol)
        checks.real("atol", self.atol)


EXACT = Tolerance()


class Apart(NamedTuple):
    """Two values that differ.

    Attributes:
        by: The difference; infinity if only one of them is NaN.
        place: Index by the names of the axes.
    """

    by: float
    one: float
    other: float
    place: dict[str, int]


@dataclass
class Difference:
    """How far two arrays are apart. NaN equals NaN.

    Attributes:
        n_beyond: Number of values that differ by more than the tolerance.
        absolute: The values that differ most; ``None`` if none do.
        relative: Likewise, as a fraction of the other array's value.
        peak: The largest magnitude in the other array, NaN aside.
    """

    n_values: int = 0
    n_beyond: int = 0
    absolute: Apart | None = None
    relative: Apart | None = None
    peak: float = 0.0


def not_alike(one: StoredArray, other: StoredArray) -> str | None:
    """Return why the values of two arrays cannot be compared, ``None`` if they can."""
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
    look: ChunkVisitor | None = None,
) -> Difference:
    """Return how far two arrays of one shape are apart; their axes may stand in another order.

    The layer is that of ``one``. Each of its parts is passed to ``look`` after the comparison.
    StoredDataError is raised if an array cannot be read.
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
    """Add a block of both arrays, which begins at ``starts`` along each axis."""
    found.n_values += values.size
    found.peak = float(np.fmax(found.peak, np.fmax.reduce(np.abs(others), axis=None)))
    if values.dtype == others.dtype and values.tobytes() == others.tobytes():
        return
    one, other = values.astype(np.float64), others.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf, 0 * inf
        by: Floats = np.abs(one - other)
        allowed = tolerance.atol + tolerance.rtol * np.abs(other)
    by[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    by[np.isnan(by)] = np.inf
    found.n_beyond += np.count_nonzero((by > allowed) | np.isinf(by))
    found.absolute = _largest(found.absolute, by, one, other, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(by > 0, by / np.abs(other), 0.0)
    relative[np.isnan(relative)] = np.inf  # inf / inf
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
    """Return by how much two values differ, and where they are on the axes."""
    seconds = array.metadata.time_start + apart.place["time"] * array.metadata.time_step
    layer = features.layer
    position = layer.coordinate.text(features.coordinate[apart.place[layer.feature_axis]])
    return (
        f"{apart.by:.3g} ({apart.one:.9g} against {apart.other:.9g}) at {seconds:.4f} s, "
        f"{position}, channel {apart.place['channel']}"
    )
