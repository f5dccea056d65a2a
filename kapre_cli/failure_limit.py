"""How many inputs may fail before a run is stopped."""

from dataclasses import dataclass

from kapre_cli.errors import SettingsError
from kapre_cli.text import Argument, Text

_MIN_ENDED = 20  # inputs, before a share of an open number is compared


@dataclass(frozen=True)
class MaxFailures:
    """The number of inputs, or the percentage of them, that may fail."""

    number: float
    is_percent: bool = False

    def __post_init__(self) -> None:
        """Check the number."""
        if self.is_percent:
            if not 0 <= self.number <= 100:
                raise _invalid(f"{self.number:.12g}%")
        elif not (self.number >= 0 and float(self.number).is_integer()):
            raise _invalid(f"{self.number:.12g}")

    @classmethod
    def parse(cls, text: str) -> "MaxFailures":
        """Return the limit that ``text`` states: ``N`` or ``N%``.

        Raises:
            SettingsError: If it is neither.

        >>> print(MaxFailures.parse("10"), MaxFailures.parse("2.5%"))
        10 2.5%
        """
        try:
            return cls(float(text.removesuffix("%")), text.endswith("%"))
        except ValueError:
            raise _invalid(text) from None

    def is_exceeded(self, n_failed: int, n_ended: int, n_inputs: int | None) -> bool:
        """Return whether more inputs have failed than may.

        ``n_ended`` inputs have ended, of ``n_inputs``. While that is not known (``None``), a share
        is one of those that have ended, from the 20th on.
        """
        if not self.is_percent:
            return n_failed > self.number
        if n_inputs is None and n_ended < _MIN_ENDED:
            return False
        total = n_ended if n_inputs is None else n_inputs
        return 100 * n_failed > self.number * total

    def __str__(self) -> str:
        return f"{self.number:.12g}{'%' if self.is_percent else ''}"


def _invalid(text: str) -> SettingsError:
    return SettingsError(
        Text(
            Argument("max_failures"),
            " must be a number of inputs, 0 or more, or a share from 0% to 100%. "
            f"Received: {text!r}",
        )
    )
