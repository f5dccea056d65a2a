"""Names, counts, sizes, durations and arguments as text, safe on a terminal."""

from collections.abc import Callable
from typing import NamedTuple

_LONGEST_NAME = 2**12  # of a path that can be opened
_SHOWN_OF_LONGER = 200


class Argument(NamedTuple):
    """An argument in a text, with its value; ``...``: without one.

    >>> print(Argument("n_dft"), Argument("n_dft", 512), Argument("padding", "same"))
    `n_dft` n_dft=512 padding='same'
    """

    name: str
    value: object = ...

    def __str__(self) -> str:
        return f"`{self.name}`" if self.value is ... else f"{self.name}={self.value!r}"


class Text:
    """A text that names arguments: as Python spells them, or as a command line does.

    Args:
        parts: Strings, arguments, texts, and errors whose message is a text.

    >>> text = Text("use ", Argument("overwrite", True))
    >>> print(text)
    use overwrite=True
    >>> text.spelled(lambda argument: f"--{argument.name}")
    'use --overwrite'
    """

    def __init__(self, *parts: object) -> None:
        self.parts: tuple[str | Argument, ...] = ()
        for part in parts:
            of_error = part.args[0] if isinstance(part, Exception) and len(part.args) == 1 else part
            if isinstance(of_error, Text):
                self.parts += of_error.parts
            else:
                self.parts += (part if isinstance(part, Argument) else str(part),)

    def __str__(self) -> str:
        return self.spelled(str)

    def __repr__(self) -> str:
        return repr(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def spelled(self, spell: Callable[[Argument], str]) -> str:
        """Return the text; ``spell`` writes its arguments."""
        return "".join(part if isinstance(part, str) else spell(part) for part in self.parts)


def quoted(name: object) -> str:
    r"""Return a path or key in quotes, safe to print on a terminal.

    Control characters and bytes that are not UTF-8 are shown escaped, everything else as it is.

    >>> print(quoted("site a/night 1.wav"))
    'site a/night 1.wav'
    >>> print(quoted("two\nlines \x1b[31m.wav"))
    'two\nlines \x1b[31m.wav'
    >>> print(quoted("a/" * 5000)[-30:])
    a/a/a/'... (10,000 characters)
    """
    text = str(name)
    if len(text) > _LONGEST_NAME:
        return f"{text[:_SHOWN_OF_LONGER]!r}... ({len(text):,} characters)"
    return repr(text)


def printable(message: str) -> str:
    r"""Return a message safe to print: unprintable characters are escaped.

    >>> print(printable("No such option: --\x1b[31m"))
    No such option: --\x1b[31m
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in message
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if it is not 1.

    >>> counted(1, "input"), counted(3, "input")
    ('1 input', '3 inputs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def in_bytes(number: int) -> str:
    """Return a number of bytes in a readable unit.

    >>> in_bytes(700), in_bytes(12_300_000_000)
    ('700 bytes', '12.3 GB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number} bytes"


def duration(seconds: float) -> str:
    """Return a length of time in seconds, minutes or hours.

    >>> duration(4.25), duration(300), duration(36_000)
    ('4.2 s', '5.0 min', '10.0 h')
    """
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / divisor:.1f} {unit}"
    return f"{seconds / 3600:,.1f} h"


def length(seconds: float) -> str:
    """Return a length of time, in milliseconds below a second.

    >>> length(0.0123), length(90)
    ('12.3 ms', '90.0 s')
    """
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else duration(seconds)


def clock_time(seconds: float) -> str:
    """Return a time as a clock shows it.

    >>> clock_time(75), clock_time(3675)
    ('01:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
