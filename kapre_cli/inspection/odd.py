"""The odd ones out: inputs that differ from the rest of their output."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

from kapre_cli.settings import LayerConfig
from kapre_cli.storage.metadata import InputFacts

Known = Sequence[tuple[str, InputFacts]]

MANY_TIMES = 10  # as long as the median, or as short: longer and shorter ones are odd


class Odd(NamedTuple):
    """In what one input differs from the rest.

    Attributes:
        key: Its key.
        fact: ``source_sr``, ``n_channels``, ``n_missing``, ``n_non_finite``,
            ``n_silent_channels``, ``note``, ``n_samples`` (fewer than a frame has) or ``seconds``
            (many times longer or shorter than the median).
        value: What it is.
        usual: What it is for most, or should be; of ``n_samples`` the length of a frame, of
            ``seconds`` the median.
    """

    key: str
    fact: str
    value: float | str
    usual: float | str


def odd_ones(known: Known, config: LayerConfig) -> Iterator[Odd]:
    """Yield what sets inputs apart from the rest, fact by fact, in the order of the inputs."""
    for fact in ("source_sr", "n_channels"):
        yield from _unlike_most(known, fact)
    for fact in ("n_missing", "n_non_finite", "n_silent_channels"):
        for key, facts in known:
            if value := getattr(facts, fact):
                yield Odd(key, fact, value, 0)
    for key, facts in known:
        if facts.note:
            yield Odd(key, "note", facts.note, "")
    for key, facts in known:
        if facts.n_samples < config.n_dft:
            yield Odd(key, "n_samples", facts.n_samples, config.n_dft)
    seconds = {key: facts.n_samples / facts.sr for key, facts in known}
    if seconds:
        median = median_low(seconds.values())
        for key, value in seconds.items():
            if not median / MANY_TIMES <= value <= median * MANY_TIMES:
                yield Odd(key, "seconds", value, median)


def _unlike_most(known: Known, fact: str) -> Iterator[Odd]:
    """Yield the inputs in which a fact is another than in more than half of them, if it is."""
    counts = Counter(getattr(facts, fact) for _, facts in known)
    for usual, number in counts.most_common(1):
        if 2 * number > len(known):
            for key, facts in known:
                value = getattr(facts, fact)
                if value != usual:
                    yield Odd(key, fact, value, usual)
