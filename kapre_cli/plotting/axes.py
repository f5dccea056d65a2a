"""Where frequencies and times stand on a picture, and which of them are written there."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kapre_cli import dsp
from kapre_cli.settings import LayerConfig, MelspectrogramConfig

_KILO_FROM = 10_000.0  # Hz; a scale that goes so far is written in kHz
_FEWEST_TICKS = 4

_MINUTES_FROM, _HOURS_FROM = 1200.0, 7200.0  # seconds that are shown at once


@dataclass(frozen=True)
class FrequencyAxis:
    """The axis along the bins or mel bands: even in Hz, or in mels and written in Hz.

    Attributes:
        span: Where the lowest bin or band begins and the highest one ends, in places on the axis.
        limits: The places that are shown.
        label: What the axis is called, with its unit.
        scale: What frequencies are divided by where they are written.
        htk: Which mel scale; ``None``: the places are Hz.
    """

    span: tuple[float, float]
    limits: tuple[float, float]
    label: str
    scale: float
    htk: bool | None = None

    def places(self, hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return where frequencies in Hz stand."""
        if self.htk is None:
            return np.asarray(hz, dtype=np.float64)
        return dsp.hz_to_mel(hz, htk=self.htk)

    def ticks(self, at_most: int) -> tuple[list[float], list[str]]:
        """Return the places at which frequencies are written, and what is written there."""
        low, high = self.limits
        if self.htk is None:
            values = _even(low, high, at_most)
        else:
            ends = dsp.mel_to_hz([low, high], htk=self.htk)
            bottom, top = (float(hz) for hz in ends)
            values = self._thinned(_one_two_five(bottom, top), at_most)
            if len(values) < min(_FEWEST_TICKS, at_most):
                values = self._thinned(_even(bottom, top, at_most), at_most)
        return [float(self.places(hz)) for hz in values], [f"{hz / self.scale:g}" for hz in values]

    def _thinned(self, values: Sequence[float], at_most: int) -> list[float]:
        """Return those that keep their distance, from the highest down."""
        apart = (self.limits[1] - self.limits[0]) / at_most
        kept: list[float] = []
        for hz in reversed(values):
            if not kept or float(self.places(kept[-1])) - float(self.places(hz)) >= apart:
                kept.append(hz)
        return kept[::-1]


def frequency_axis(config: LayerConfig, sr: float) -> FrequencyAxis:
    """Return the axis of a layer's features."""
    if isinstance(config, MelspectrogramConfig):
        assert config.fmax is not None  # noqa: S101 - for the type checker: settled when made
        low, high = (
            float(mel) for mel in dsp.hz_to_mel([config.fmin, config.fmax], htk=config.htk)
        )
        half = (high - low) / (config.n_mels + 1) / 2
        span = low + half, high - half
        return FrequencyAxis(span, span, *_unit(config.fmax), htk=config.htk)
    half = sr / config.n_dft / 2
    highest = (config.n_freq - 1) * sr / config.n_dft
    return FrequencyAxis((-half, highest + half), (0.0, highest), *_unit(highest))


def _unit(highest: float) -> tuple[str, float]:
    return ("Frequency (kHz)", 1000.0) if highest >= _KILO_FROM else ("Frequency (Hz)", 1.0)


def time_unit(limits: tuple[float, float]) -> tuple[str, float]:
    """Return what the time axis is called, and the seconds in its unit."""
    seconds = limits[1] - limits[0]
    if seconds < _MINUTES_FROM:
        return "Time (s)", 1.0
    return ("Time (min)", 60.0) if seconds < _HOURS_FROM else ("Time (h)", 3600.0)


def _even(low: float, high: float, at_most: int) -> list[float]:
    """Return round numbers from ``low`` to ``high``, evenly spaced, ``at_most`` of them or so."""
    rough = (high - low) / at_most
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _one_two_five(low: float, high: float) -> list[float]:
    """Return 10, 20, 50, 100, ... from ``low`` to ``high``."""

    def numbers() -> Iterator[float]:
        for decade in range(1, 9):
            yield from (float(factor * 10**decade) for factor in (1, 2, 5))

    return [hz for hz in numbers() if low <= hz <= high]
