"""Checks of single arguments, worded as Keras words them: the rule, then what was received."""

import math
import operator
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import Any

from kapre_cli.errors import SettingsError

_MOST_DIGITS = 400  # of an integer with an exponent, as any float: a short text can say millions
_FLOAT32 = (2.0**-126, (2.0 - 2.0**-23) * 2.0**127)  # the smallest normal number, the largest


def refuse(name: str, rule: str, value: object) -> SettingsError:
    """Return the error that says which rule ``value`` of the argument ``name`` breaks."""
    return SettingsError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Return ``value`` as an ``int`` of the given range; NumPy's integers are taken, bools not."""
    rule = f"an integer of at least {at_least}"
    if at_most is not None:
        rule = f"an integer from {at_least} to {at_most}"
    if isinstance(value, bool):
        raise refuse(name, rule, value)
    try:
        number = operator.index(value)
    except TypeError:
        raise refuse(name, rule, value) from None
    if number < at_least or (at_most is not None and number > at_most):
        raise refuse(name, rule, value)
    return number


def whole(text: str) -> int:
    """Return the integer that a text says, with a fraction of zeros or an exponent too.

    Raises:
        ValueError: If it says none, or one of more digits than anything has.

    >>> whole("16000"), whole("16000.0"), whole("16e3")
    (16000, 16000, 16000)
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = Decimal(text)
        if number.is_finite() and number.adjusted() < _MOST_DIGITS and number == int(number):
            return int(number)
    except InvalidOperation:
        pass
    raise ValueError(f"{text!r} is not a whole number")


def real(name: str, value: Any, *, at_least: float = 0.0, above: float | None = None) -> float:
    """Return ``value`` as a finite ``float``, at least ``at_least`` or above ``above``."""
    rule = f"a number above {above:g}" if above is not None else f"a number from {at_least:g} up"
    number = _float(name, rule, value)
    if not math.isfinite(number) or (number <= above if above is not None else number < at_least):
        raise refuse(name, rule, value)
    return number


def float32_above_zero(name: str, value: Any) -> float:
    """Return ``value`` as a ``float`` above 0 that is a normal number in float32 as well."""
    rule = f"a number from {_FLOAT32[0]:.8g} to {_FLOAT32[1]:.8g}, which float32 can hold"
    number = _float(name, rule, value)
    if not _FLOAT32[0] <= number <= _FLOAT32[1]:  # NaN is not
        raise refuse(name, rule, value)
    return number


def _float(name: str, rule: str, value: Any) -> float:
    """Return a real number as a ``float``; bools are not taken."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise refuse(name, rule, value)
    try:
        return float(value)
    except OverflowError:
        raise refuse(name, rule, value) from None


def boolean(name: str, value: Any) -> bool:
    """Return ``value``, which must be ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise refuse(name, "True or False", value)
    return value


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Return ``value``, which must be one of ``choices``."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in choices):
        raise refuse(name, f"one of {tuple(choices)}", value)
    return value
