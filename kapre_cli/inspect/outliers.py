"""Find outliers: inputs that differ from the rest of their output."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.settings import LayerConfig

InputResult = Sequence[tuple[str, InputMetadata]]

MANY_TIMES = 10  # inputs so many times longer or shorter than the median are outliers
_EXPECTED: dict[str, int | str] = {
    "n_missing": 0,
    "n_non_finite": 0,
    "n_silent_channels": 0,
    "note": "",
}


class Outlier(NamedTuple):
    """One property in which an input differs from the rest.

    Attributes:
        name: ``source_sr``, ``n_channels``, ``n_missing``, ``n_non_finite``,
            ``n_silent_channels``, ``note``, ``n_samples`` (fewer than a frame has) or ``seconds``
            (many times longer or shorter than the median).
        usual: The value of most inputs, or the expected one; for ``n_samples`` the length of a
            frame, for ``seconds`` the median.
    """

    key: str
    name: str
    value: float | str
    usual: float | str


def outliers(known: InputResult, config: LayerConfig) -> Iterator[Outlier]:
    """Yield the outliers by property, in the order of the inputs."""
    for name in ("source_sr", "n_channels", *_EXPECTED):
        values = [getattr(metadata, name) for _, metadata in known]
        usual = _EXPECTED[name] if name in _EXPECTED else _most_frequent(values)
        if usual is not None:
            for (key, _), value in zip(known, values, strict=True):
                if value != usual:
                    yield Outlier(key, name, value, usual)
    for key, metadata in known:
        if metadata.n_samples < config.n_dft:
            yield Outlier(key, "n_samples", metadata.n_samples, config.n_dft)
    median = median_low(metadata.seconds for _, metadata in known) if known else 0.0
    for key, metadata in known:
        if not median / MANY_TIMES <= metadata.seconds <= median * MANY_TIMES:
            yield Outlier(key, "seconds", metadata.seconds, median)


def _most_frequent(values: Sequence[int]) -> int | None:
    """Return the value of more than half of the inputs, ``None`` without one."""
    for value, number in Counter(values).most_common(1):
        if 2 * number > len(values):
            return value
    return None
