"""How many inputs may fail before a run is stopped."""

from dataclasses import dataclass

from kapre_cli.errors import SettingsError

_ENOUGH = 20  # inputs of an open number that have ended before a share of them says something


@dataclass(frozen=True)
class MaxFailures:
    """A number of inputs, or a share of them, that may fail.

    Attributes:
        number: How many, or how many percent.
        is_percent: Which of the two.
    """

    number: float
    is_percent: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no number of inputs and no share."""
        if self.is_percent:
            if not 0 <= self.number <= 100:
                raise _refused(f"{self.number:.12g}%")
        elif not (self.number >= 0 and float(self.number).is_integer()):
            raise _refused(f"{self.number:.12g}")

    @classmethod
    def parse(cls, text: str) -> "MaxFailures":
        """Return what ``text`` says: ``N`` or ``N%``.

        Raises:
            SettingsError: If it is neither.

        >>> print(MaxFailures.parse("10"), MaxFailures.parse("2.5%"))
        10 2.5%
        """
        try:
            return cls(float(text.removesuffix("%")), text.endswith("%"))
        except ValueError:
            raise _refused(text) from None

    def is_exceeded(self, n_failed: int, n_ended: int, n_inputs: int | None) -> bool:
        """Whether more inputs have failed than may.

        Args:
            n_failed: How many have failed.
            n_ended: How many have ended, one way or another.
            n_inputs: How many there are. ``None`` while that is not known: a share is then one
                of those that have ended, from the 20th on.
        """
        if not self.is_percent:
            return n_failed > self.number
        if n_inputs is None and n_ended < _ENOUGH:
            return False
        of = n_ended if n_inputs is None else n_inputs
        return 100 * n_failed > self.number * of

    def __str__(self) -> str:
        return f"{self.number:.12g}{'%' if self.is_percent else ''}"


def _refused(text: str) -> SettingsError:
    return SettingsError(
        "`max_failures` must be a number of inputs, 0 or more, or a share from 0% to 100%. "
        f"Received: {text!r}"
    )
