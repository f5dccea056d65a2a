"""Many failures of one kind, said in one line."""

import re
from collections import Counter
from collections.abc import Iterator

from kapre_cli.errors import SampleRateError

_MANY = 10  # failures of a kind that are worth a line of their own
_MOST_KINDS = 1000  # that are kept apart
_LONGEST_KIND = 300  # characters

# What differs from one input to the next: names, and numbers.
_NAME = re.compile(r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\"""")
_NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")


class Failures:
    """Counts why inputs have failed."""

    def __init__(self) -> None:
        self._kinds = Counter[str]()
        self._rates = Counter[int]()
        self._wanted = 0

    def add(self, reason: str) -> None:
        """Count one input."""
        rates = SampleRateError.rates_in(reason)
        if rates is not None:
            sr, self._wanted = rates
            self._rates[sr] += 1
            return
        kind = _NUMBER.sub("N", _NAME.sub("'...'", reason[:_LONGEST_KIND]))
        if kind in self._kinds or len(self._kinds) < _MOST_KINDS:
            self._kinds[kind] += 1

    def lines(self) -> Iterator[str]:
        """Yield a line for each kind that has many, the most frequent first."""
        if self._rates.total() >= _MANY:
            yield self._of_rates()
        for kind, number in self._kinds.most_common():
            if number >= _MANY:
                yield f"{number:,} inputs failed: {kind}"

    def _of_rates(self) -> str:
        rates = self._rates.most_common()
        each = ", ".join(f"{sr:,} Hz in {number:,}" for sr, number in rates)
        which = "their rate" if len(rates) == 1 else "the rate of most of them"
        return (
            f"{self._rates.total():,} inputs failed: other sample rates than this run's "
            f"{self._wanted:,} Hz ({each}); --resample converts them, --sr {rates[0][0]} makes a "
            f"run at {which}"
        )
