"""Checks of single arguments, with messages like those of Keras; limits."""

import math
import operator
import re
from collections.abc import Collection
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import Any

from kapre_cli.errors import SettingsError
from kapre_cli.text import Argument, Text

_MAX_DIGITS = 400  # of an integer with an exponent: a short text could state millions
_FLOAT32 = (2.0**-126, (2.0 - 2.0**-23) * 2.0**127)  # the smallest normal number, the largest

_SHA256 = re.compile("[0-9a-f]{64}")

MAX_SR = 100_000_000  # Hz; far above any recorder of sound or ultrasound
MAX_CHANNELS = 1024  # as many as libsndfile takes
MAX_PATH_BYTES = 4096  # Linux opens no longer one
INT64 = (-(2**63), 2**63 - 1)  # the integers that every format stores


def invalid(name: str, rule: str, value: object) -> SettingsError:
    """Return the error for an argument whose value breaks a rule."""
    return SettingsError(
        Text(Argument(name), f" must be {rule}. Received: ", Argument(name, value))
    )


def integer(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> int:
    """Return an integer in a range as ``int``; NumPy's are accepted, bools are not."""
    with suppress(TypeError):
        number = operator.index(value)
        is_in_range = number >= at_least and (at_most is None or number <= at_most)
        if is_in_range and not isinstance(value, bool):
            return number
    rule = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
    raise invalid(name, f"an integer {rule}", value)


def whole_number(text: str) -> int:
    """Return the integer that a text states, such as ``16000.0`` or ``16e3``.

    Raise ValueError if it states none, or one of more digits than any float has.

    >>> whole_number("16000"), whole_number("16000.0"), whole_number("16e3")
    (16000, 16000, 16000)
    """
    with suppress(ValueError):
        return int(text)
    with suppress(InvalidOperation):
        number = Decimal(text)
        if number.is_finite() and number.adjusted() < _MAX_DIGITS and number == int(number):
            return int(number)
    raise ValueError(f"{text!r} is not a whole number")


def real(name: str, value: Any, *, above: float | None = None) -> float:
    """Return a finite number as ``float``, at least 0 or above ``above``."""
    rule = "a number from 0 up" if above is None else f"a number above {above:g}"
    number = _float(name, rule, value)
    if not math.isfinite(number) or (number < 0 if above is None else number <= above):
        raise invalid(name, rule, value)
    return number


def float32_above_zero(name: str, value: Any) -> float:
    """Return a number above 0 as ``float``, if it is a normal number in float32."""
    rule = f"a number from {_FLOAT32[0]:.8g} to {_FLOAT32[1]:.8g}, which float32 can hold"
    number = _float(name, rule, value)
    if not _FLOAT32[0] <= number <= _FLOAT32[1]:  # NaN is not
        raise invalid(name, rule, value)
    return number


def _float(name: str, rule: str, value: Any) -> float:
    """Return a real number as a ``float``; bools are rejected."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise invalid(name, rule, value)
    try:
        return float(value)
    except OverflowError:
        raise invalid(name, rule, value) from None


def boolean(name: str, value: Any) -> bool:
    """Return ``value``, which must be ``True`` or ``False``."""
    if not isinstance(value, bool):
        raise invalid(name, "True or False", value)
    return value


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Return ``value``, which must be one of ``choices``."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in choices):
        raise invalid(name, f"one of {tuple(choices)}", value)
    return value


def is_sha256(value: Any) -> bool:
    """Whether a value is the hexadecimal text of a SHA-256."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def settle(frozen: object, name: str, value: Any) -> Any:
    """Set a field of a frozen dataclass while the object is made; return the value."""
    object.__setattr__(frozen, name, value)
    return value


def within_int64(number: int) -> int:
    """Return the integer of 64 bits that is nearest to a number.

    >>> within_int64(7), within_int64(2**70) == 2**63 - 1
    (7, True)
    """
    return min(max(number, INT64[0]), INT64[1])
