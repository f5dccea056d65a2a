"""The format of audio without a header."""

from dataclasses import dataclass
from typing import Any

from kapre_cli.errors import SettingsError
from kapre_cli.settings import checks
from kapre_cli.settings.checks import MAX_CHANNELS, MAX_SR

_KINDS = {"u": "u", "s": "i", "f": "f"}  # as ffmpeg and sox write them, as NumPy does
_ORDERS = {"le": "<", "be": ">"}

RAW_ENCODINGS = (
    *("u8", "s8"),
    *(f"{kind}{order}" for kind in ("s16", "s24", "s32", "f32", "f64") for order in _ORDERS),
)


@dataclass(frozen=True)
class RawFormat:
    """The format of a file that is nothing but interleaved samples.

    Attributes:
        encoding: One of ``RAW_ENCODINGS``: kind, bits and byte order of a sample.
        sr: Sample rate in Hz.
        n_channels: Number of channels.

    >>> RawFormat.parse("s24be,48000,2").number
    '>i3'
    """

    encoding: str
    sr: int
    n_channels: int

    def __post_init__(self) -> None:
        """Check every value."""
        checks.choice("encoding", self.encoding, RAW_ENCODINGS)
        object.__setattr__(self, "sr", checks.integer("sr", self.sr, at_least=1, at_most=MAX_SR))
        n_channels = checks.integer("n_channels", self.n_channels, at_least=1, at_most=MAX_CHANNELS)
        object.__setattr__(self, "n_channels", n_channels)

    @classmethod
    def parse(cls, text: Any) -> "RawFormat":
        """Return the format that a text like ``s16le,44100,2`` describes.

        Raises:
            SettingsError: If it describes none.
        """
        parts = [part.strip() for part in text.split(",")] if isinstance(text, str) else []
        if len(parts) != 3:
            raise checks.invalid("raw_format", "ENCODING,RATE,CHANNELS", text)
        encoding, sr, n_channels = parts
        try:
            numbers = checks.whole_number(sr), checks.whole_number(n_channels)
        except ValueError as error:
            rule = f"ENCODING,RATE,CHANNELS with whole numbers ({error})"
            raise checks.invalid("raw_format", rule, text) from None
        try:
            return cls(encoding.lower(), *numbers)
        except SettingsError as error:  # of a part, which is no argument of the caller
            raise SettingsError(str(error)) from None

    def __str__(self) -> str:
        return f"{self.encoding},{self.sr},{self.n_channels}"

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return int(self.encoding[1:].rstrip("lbe"))

    @property
    def order(self) -> str:
        """Byte order, as :mod:`struct` writes it."""
        return _ORDERS.get(self.encoding[-2:], "<")

    @property
    def number(self) -> str:
        """How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits."""
        return f"{self.order}{_KINDS[self.encoding[0]]}{self.bits // 8}"

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.bits // 8 * self.n_channels
