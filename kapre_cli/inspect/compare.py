"""Compare two outputs key by key and value by value, in chunks of arrays."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.events import Observer, PhaseInputEnded, PhaseStarted, ignore
from kapre_cli.exit_codes import ExitCode
from kapre_cli.formats.arrays import StoredArray, stored_array
from kapre_cli.formats.features import Features
from kapre_cli.formats.values import ChunkVisitor
from kapre_cli.inspect import opened, reason_of, seconds_of, total_of
from kapre_cli.settings import LayerConfig, checks
from kapre_cli.text import counted, printable, quoted

_N_WORST = 5  # listed inputs of those that differ by more than the tolerance

Floats = npt.NDArray[np.float64]
Pair = tuple[Any, Any]


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


class Deviation(NamedTuple):
    """Two values at a position, and their difference; infinity if only one is NaN."""

    by: float
    one: float
    other: float
    position: dict[str, int]


@dataclass
class ArrayDiff:
    """The difference of two arrays. NaN equals NaN.

    Attributes:
        n_beyond: Number of values that differ by more than the tolerance.
        absolute: The values that differ most; ``None`` if none do.
        relative: Likewise, as a fraction of the other array's value.
        peak: The largest magnitude in the other array, without NaN.
    """

    n_values: int = 0
    n_beyond: int = 0
    absolute: Deviation | None = None
    relative: Deviation | None = None
    peak: float = 0.0


def why_incomparable(one: StoredArray, other: StoredArray) -> str | None:
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
    visit: ChunkVisitor | None = None,
) -> ArrayDiff:
    """Compare two arrays of one shape by chunks; the order of their axes may differ.

    ``config`` is the layer of ``one``, whose chunks are passed to ``visit`` after the comparison.
    Raise StoredDataError if an array cannot be read.
    """
    diff = ArrayDiff()
    order = [other.axes.index(axis) for axis in one.axes]
    for slices, values in stored_array(one, config).chunks():
        by_axis = dict(zip(one.axes, slices, strict=True))
        others = other.read(tuple(by_axis[axis] for axis in other.axes)).transpose(order)
        starts = {axis: part.start or 0 for axis, part in by_axis.items()}
        _add(diff, values, np.ascontiguousarray(others), starts, tolerance)
        if visit is not None:
            visit(values)
    return diff


def _add(
    diff: ArrayDiff,
    values: npt.NDArray[Any],
    others: npt.NDArray[Any],
    starts: dict[str, int],
    tolerance: Tolerance,
) -> None:
    """Add a chunk of both arrays, which starts at ``starts`` along each axis."""
    diff.n_values += values.size
    diff.peak = float(np.fmax(diff.peak, np.fmax.reduce(np.abs(others), axis=None)))
    if values.dtype == others.dtype and values.tobytes() == others.tobytes():
        return
    one, other = values.astype(np.float64), others.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf, 0 * inf
        by: Floats = np.abs(one - other)
        allowed = tolerance.atol + tolerance.rtol * np.abs(other)
    by[(one == other) | (np.isnan(one) & np.isnan(other))] = 0.0
    by[np.isnan(by)] = np.inf
    diff.n_beyond += np.count_nonzero((by > allowed) | np.isinf(by))
    diff.absolute = _larger(diff.absolute, by, one, other, starts)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(by > 0, by / np.abs(other), 0.0)
    relative[np.isnan(relative)] = np.inf  # inf / inf
    diff.relative = _larger(diff.relative, relative, one, other, starts)


def _larger(
    before: Deviation | None, by: Floats, one: Floats, other: Floats, starts: dict[str, int]
) -> Deviation | None:
    index = np.unravel_index(int(by.argmax()), by.shape)
    if by[index] <= (before.by if before is not None else 0.0):
        return before
    position = {
        axis: start + int(i) for (axis, start), i in zip(starts.items(), index, strict=True)
    }
    return Deviation(float(by[index]), float(one[index]), float(other[index]), position)


def deviation_text(deviation: Deviation, features: Features, array: StoredArray) -> str:
    """Return by how much two values differ, and where they are on the axes."""
    seconds = array.metadata.time_start + deviation.position["time"] * array.metadata.time_step
    layer = features.layer
    position = layer.coordinate.text(features.coordinate[deviation.position[layer.feature_axis]])
    return (
        f"{deviation.by:.3g} ({deviation.one:.9g} against {deviation.other:.9g}) "
        f"at {seconds:.4f} s, {position}, channel {deviation.position['channel']}"
    )


class Largest(NamedTuple):
    """The largest difference of the two arrays of an input, as number and as text."""

    by: float
    text: str


_NO_DIFFERENCE = Largest(0.0, "")
_size = attrgetter("by")


@dataclass
class Comparison:
    """How two outputs differ.

    Attributes:
        settings: Arguments and settings that differ, with both values; so are ``versions``.
        n_within: Number of inputs with differences within the tolerance.
        n_beyond: Number of inputs with larger differences.
        incomparable: Keys of arrays that cannot be compared, with the reasons.
        worst: The largest differences beyond the tolerance, the largest first.
        absolute: The input with the values that differ most.
        relative: Likewise, as a fraction of the other's value.
    """

    one: Path
    other: Path
    tolerance: Tolerance
    settings: dict[str, Pair] = field(default_factory=dict)
    versions: dict[str, Pair] = field(default_factory=dict)
    only_in_one: list[str] = field(default_factory=list)
    only_in_other: list[str] = field(default_factory=list)
    n_same: int = 0
    n_within: int = 0
    n_beyond: int = 0
    incomparable: dict[str, str] = field(default_factory=dict)
    worst: list[Largest] = field(default_factory=list)
    absolute: Largest = _NO_DIFFERENCE
    relative: Largest = _NO_DIFFERENCE

    @property
    def are_equal(self) -> bool:
        """Whether both have the same inputs and, within the tolerance, the same values."""
        differ = self.n_beyond or self.incomparable or self.only_in_one or self.only_in_other
        return not differ

    @property
    def exit_code(self) -> ExitCode:
        """0 only if both are equal."""
        return ExitCode.OK if self.are_equal else ExitCode.FAILED

    def add(self, key: str, diff: ArrayDiff, text: Callable[[Deviation], str]) -> None:
        """Add an input that both have; ``text`` describes how two values differ."""
        if diff.absolute is None or diff.relative is None:
            self.n_same += 1
            return
        name, by, by_text = quoted(key), diff.absolute.by, text(diff.absolute)
        relative = Largest(diff.relative.by, f"{name}: {text(diff.relative)}")
        self.absolute = max(self.absolute, Largest(by, f"{name}: {by_text}"), key=_size)
        self.relative = max(self.relative, relative, key=_size)
        if not diff.n_beyond:
            self.n_within += 1
            return
        self.n_beyond += 1
        line = f"{name}: {diff.n_beyond:,} of {diff.n_values:,} values, by up to {by_text}"
        self.worst = heapq.nlargest(_N_WORST, [*self.worst, Largest(by, line)], key=_size)


def compare(
    one: Path, other: Path, tolerance: Tolerance = EXACT, emit: Observer = ignore
) -> Comparison:
    """Compare two outputs, of any formats.

    Raise UsageError if one of them is missing, StoredDataError if it is invalid.
    """
    found = Comparison(one, other, tolerance)
    with opened(one) as first, opened(other) as second:
        found.settings = _differing(first.root.named, second.root.named)
        found.versions = _differing(first.versions, second.versions)
        found.only_in_one = [key for key in first if key not in second]
        found.only_in_other = [key for key in second if key not in first]
        common = [key for key in first if key in second]
        seconds = seconds_of(first)
        emit(PhaseStarted("checking", len(common), total_of(seconds, common)))
        for key in common:
            try:
                a, b = first[key], second[key]
                if a.has_bytes_of(b):
                    found.n_same += 1
                elif (why := why_incomparable(a, b)) is None:
                    diff = difference(a, b, first.layer, tolerance, a.progress_visitor(emit))
                    found.add(key, diff, partial(deviation_text, features=first, array=a))
                else:
                    found.incomparable[key] = why
            except StoredDataError as error:
                found.incomparable[key] = reason_of(error, key)
            emit(PhaseInputEnded(seconds.get(key, 0.0)))
    return found


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Pair]:
    """Return the pairs of values that differ, by name; a missing value is ``None``."""
    names = dict.fromkeys((*one, *other))
    both = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield how two outputs differ, line by line; the last one has the counts."""
    for heading, pairs in (
        ("other settings:", found.settings),
        ("other versions, no difference by themselves:", found.versions),
    ):
        if pairs:
            yield heading
        for name, (one, other) in pairs.items():
            yield f"  {printable(name)}: {printable(str(one))} against {printable(str(other))}"
    for path, keys in ((found.one, found.only_in_one), (found.other, found.only_in_other)):
        yield from _first(f"only in {quoted(path)}", map(quoted, keys), len(keys))
    incomparable = (f"{quoted(key)}: {why}" for key, why in found.incomparable.items())
    yield from _first("not comparable", incomparable, len(found.incomparable))
    tolerances = {"atol": found.tolerance.atol, "rtol": found.tolerance.rtol}
    allowed = " + ".join(f"{name} {value:g}" for name, value in tolerances.items() if value)
    beyond = f"beyond {allowed}" if allowed else "different"
    yield from _first(beyond, (one.text for one in found.worst), found.n_beyond)
    if found.absolute.text:
        yield f"largest difference: {found.absolute.text}"
        yield f"largest relative difference: {found.relative.text}"
    n_in_both = found.n_same + found.n_within + found.n_beyond + len(found.incomparable)
    n_alone = len(found.only_in_one) + len(found.only_in_other)
    counts = [f"{found.n_same:,} the same"]
    counts += [f"{found.n_within:,} within {allowed}"] if found.n_within else []
    counts += [f"{found.n_beyond:,} {beyond}"] if found.n_beyond else []
    counts += [f"{len(found.incomparable):,} not comparable"] if found.incomparable else []
    alone = f"; {n_alone:,} in one alone" if n_alone else ""
    yield f"{counted(n_in_both, 'input')} in both: {', '.join(counts)}{alone}"


def _first(heading: str, lines: Iterable[str], number: int) -> Iterator[str]:
    """Yield a heading, the first few lines and the number of others; nothing for 0."""
    if number:
        yield f"{heading}: {counted(number, 'input')}"
    for line in islice(lines, _N_WORST):
        yield f"  {line}"
    if number > _N_WORST:
        yield f"  and {number - _N_WORST:,} more"
