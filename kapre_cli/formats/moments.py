"""Mean and standard deviation of values that are read in blocks."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.framing import spans
from kapre_cli.settings import checks
from kapre_cli.text import quoted

FloatArray = npt.NDArray[np.float64]

ALL_BUT_FEATURES = ("time", "channel")
_PART_VALUES = 2**18


def axis_numbers(axis: str | Sequence[str] | None, axes: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of named axes; ``None`` is all of them.

    Raise ValueError if an array has no axis of that name.

    >>> axis_numbers(("channel", "time"), ("mel", "time", "channel"))
    (1, 2)
    """
    names = tuple(axes) if axis is None else (axis,) if isinstance(axis, str) else tuple(axis)
    for name in names:
        checks.choice("axis", name, axes)
    return tuple(sorted({axes.index(name) for name in names}))


class Moments:
    """Mean and standard deviation over some axes, of blocks that are added one by one.

    Sums are in float64, of differences from the mean of each block: the result does not lose
    precision where the mean is much larger than the standard deviation.
    """

    def __init__(self, axis: tuple[int, ...]) -> None:
        self._axis = axis
        self._shape: tuple[int, ...] | None = None
        self._count = 0
        self._mean: Any = 0.0
        self._squares: Any = 0.0  # of differences from the mean

    def add(self, block: npt.NDArray[Any]) -> None:
        """Add the values of a block; its axes that are kept have the same length in all blocks."""
        if not self._axis:
            self._add(block)
            return
        longest = max(self._axis, key=lambda axis: block.shape[axis])
        at_once = max(_PART_VALUES * block.shape[longest] // max(block.size, 1), 1)
        for first, count in spans(block.shape[longest], at_once):
            index = [slice(None)] * block.ndim
            index[longest] = slice(first, first + count)
            self._add(block[tuple(index)])

    def _add(self, block: npt.NDArray[Any]) -> None:
        values = block.astype(np.float64)
        count = prod(values.shape[axis] for axis in self._axis)
        mean = values.mean(self._axis, keepdims=True)
        values -= mean
        squares = np.square(values, out=values).sum(self._axis, keepdims=True)
        difference = mean - self._mean
        total = self._count + count
        self._squares = self._squares + squares + difference**2 * (self._count * count / total)
        self._mean = self._mean + difference * (count / total)
        self._count = total

    def result(self) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation; the axes that were averaged have length 1.

        Raise ValueError if nothing was added.
        """
        if not self._count:
            raise SettingsError("there are no values to take the mean of")
        return self._mean, np.sqrt(self._squares / self._count)


def mean_std_of(
    arrays: Iterable[Any], axis: str | Sequence[str] | None
) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of all values of some ``FeatureArray``.

    Raise ValueError if ``axis`` lacks an axis along which the arrays differ in length.
    """
    moments, first = Moments(()), None
    numbers: tuple[int, ...] = ()
    for array in arrays:
        if first is None:
            numbers = axis_numbers(axis, array.axes)
            moments, first = Moments(numbers), array
        for number, name in enumerate(array.axes):
            sizes = first.shape[number], array.shape[number]
            if number not in numbers and sizes[0] != sizes[1]:
                lengths = f"{sizes[0]:,} and {sizes[1]:,} along {name}"
                raise SettingsError(
                    f"{quoted(first.key)} and {quoted(array.key)} have the lengths {lengths}: "
                    f"`axis` must have {name!r}"
                )
        for block in array.blocks():
            moments.add(block)
    return moments.result()
