"""The scales and ticks of both axes: Hz or mels, seconds, minutes or hours."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator

from kapre_cli.plotting.frequencies import FrequencyAxis

_KILO_FROM = 10_000.0  # Hz; a scale that goes so far is written in kHz
_MOST_TICKS = 9
_FEWEST_BETWEEN = 2  # of 1, 2, 5, 10, ...; else there are other round numbers

_MOST_TIMES = 12
_MINUTES_FROM, _HOURS_FROM = 120.0, 7200.0  # seconds that are shown at once
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = [
    *(15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
]


class _Locator(Locator):
    """Places ticks where its axis shows something."""

    axis: Axis

    def __call__(self) -> Sequence[float]:
        """Return the ticks of what the axis shows."""
        return self.tick_values(*sorted(self.axis.get_view_interval()))


class MelLocator(_Locator):
    """Places ticks at the ends of a mel axis and at round numbers of Hz between them."""

    def __init__(self, axis: FrequencyAxis) -> None:
        self._to_scale = axis.to_scale

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between two frequencies, both included."""
        n_ticks = max(min(self.axis.get_tick_space(), _MOST_TICKS), 1)
        series = [10.0**decade * factor for decade in range(7) for factor in (1, 2, 5)]
        ticks = self._apart(vmin, vmax, series, n_ticks)
        if len(ticks) - 2 < min(_FEWEST_BETWEEN, n_ticks - 1):
            even = MaxNLocator(n_ticks, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
            ticks = self._apart(vmin, vmax, even, n_ticks)
        return sorted(ticks)

    def _apart(
        self, vmin: float, vmax: float, others: Sequence[float], n_ticks: int
    ) -> list[float]:
        """Return both ends and, from the highest down, the others that keep their distance."""
        kept = [vmin, vmax]
        apart = float(np.ptp(self._to_scale(kept))) / n_ticks
        for hz in others[::-1]:
            if vmin < hz < vmax:
                distances = np.abs(self._to_scale(kept) - self._to_scale(hz))
                kept += [float(hz)] if distances.min() >= apart else []
        return kept


class ClockLocator(_Locator):
    """Places ticks, on an axis of seconds, where a clock shows round numbers."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between two times."""
        least = (vmax - vmin) / _MOST_TIMES
        days = math.ceil(least / _DAY) * _DAY
        step = next((step for step in _STEPS if step >= least), days)
        return MultipleLocator(step).tick_values(vmin, vmax)


def time_ticks(axis: XAxis) -> None:
    """Write an axis of seconds as such, or as a clock shows them if it is long."""
    start, end = axis.get_view_interval()
    if end - start < _MINUTES_FROM:
        axis.set_label_text("Time (s)")
        axis.axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        return
    name, unit = ("min:s", 1) if end - start < _HOURS_FROM else ("h:min", _MINUTE)
    axis.set_label_text(f"Time ({name})")
    axis.set_major_locator(ClockLocator())
    axis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds / unit)))


def _clock(units: float) -> str:
    """Return a number of seconds, or of minutes, as ``90:05``."""
    return "{}:{:02}".format(*divmod(round(units), 60))


def frequency_ticks(axis: YAxis, frequencies: FrequencyAxis, limits: tuple[float, float]) -> None:
    """Give an axis its scale, and write it in Hz or kHz."""
    if frequencies.is_mel:
        axis.axes.set_yscale("function", functions=(frequencies.to_scale, frequencies.to_hz))
        axis.set_major_locator(MelLocator(frequencies))
    _, scale = _unit(limits)
    axis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz / scale:g}"))


def frequency_label(limits: tuple[float, float]) -> str:
    """Return what a frequency axis is called, with its unit."""
    return f"Frequency ({_unit(limits)[0]})"


def _unit(limits: tuple[float, float]) -> tuple[str, float]:
    return ("kHz", 1000.0) if limits[1] >= _KILO_FROM else ("Hz", 1.0)
