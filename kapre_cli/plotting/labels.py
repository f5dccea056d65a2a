"""The text of a figure: titles, captions, and the ticks of both axes."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, MultipleLocator

from kapre_cli.formats.features import Features
from kapre_cli.layers.axes import FeatureAxis
from kapre_cli.plotting.image import PlotAxis
from kapre_cli.version import PROGRAM

_DEFAULT = "DejaVu Sans"  # part of matplotlib
_NO_FONT = "Last Resort"  # part of matplotlib; has a box for every character

_KILO_FROM = 10_000.0  # Hz; a scale up to this frequency or beyond is in kHz
_MAX_TICKS = 9
_MIN_BETWEEN = 2  # of 1, 2, 5, 10, ...; with fewer, other round numbers are used

_MAX_TIMES = 12
_MINUTES_FROM, _HOURS_FROM = 120.0, 7200.0  # seconds that are shown at once
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = [
    *(15, 30, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
]


def displayable(text: str, longest: int) -> tuple[str, list[str]]:
    """Return a text that can be displayed, and the fonts that have its characters.

    Control characters, and those that no installed font has, are escaped. The middle of a text that
    is too long is omitted.
    """
    half = longest // 2
    short = text if len(text) <= longest else f"{text[: half - 1]} … {text[-half:]}"
    missing = set(filter(str.isprintable, short))
    fonts = [_DEFAULT]
    files = {font.name: font.fname for font in reversed(font_manager.fontManager.ttflist)}
    for name in (_DEFAULT, *sorted(files)):
        if missing and not name.startswith(_NO_FONT):
            found = missing & set(map(chr, FT2Font(files[name]).get_charmap()))
            missing -= found
            fonts += [name] if found else []
    shown = (c if c.isprintable() and c not in missing else _escaped(c) for c in short)
    return "".join(shown), list(dict.fromkeys(fonts))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def caption_of(features: Features) -> str:
    """Return how features were computed, by the names of the layer's arguments."""
    audio = features.settings
    resampled = ", resampled" if audio.resample else ""
    version = features.versions.get(PROGRAM, "")
    arguments = ", ".join(features.layer.caption())
    return f"{arguments}; {audio.sr:,} Hz{resampled}; {PROGRAM} {version}"


# Ticks


class _Locator(Locator):
    """Places ticks within the visible part of an axis."""

    axis: Axis

    def __call__(self) -> Sequence[float]:
        """Return the ticks of the visible part."""
        return self.tick_values(*sorted(self.axis.get_view_interval()))


class ScaleLocator(_Locator):
    """Places ticks at the ends of a non-linear axis, and at round numbers between."""

    def __init__(self, positions: FeatureAxis) -> None:
        self._to_scale = positions.to_scale

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between two coordinates, both included."""
        n_ticks = max(min(self.axis.get_tick_space(), _MAX_TICKS), 1)
        series = [10.0**decade * factor for decade in range(7) for factor in (1, 2, 5)]
        ticks = self._spaced(vmin, vmax, series, n_ticks)
        if len(ticks) - 2 < min(_MIN_BETWEEN, n_ticks - 1):
            even = MaxNLocator(n_ticks, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
            ticks = self._spaced(vmin, vmax, even, n_ticks)
        return sorted(ticks)

    def _spaced(
        self, vmin: float, vmax: float, others: Sequence[float], n_ticks: int
    ) -> list[float]:
        """Return both ends and the other ticks that are far enough from their neighbours."""
        ticks = [vmin, vmax]
        min_distance = float(np.ptp(self._to_scale(ticks))) / n_ticks
        for value in others[::-1]:
            if vmin < value < vmax:
                distances = np.abs(self._to_scale(ticks) - self._to_scale(value))
                ticks += [float(value)] if distances.min() >= min_distance else []
        return ticks


class ClockLocator(_Locator):
    """Places ticks, on an axis of seconds, where a clock shows round numbers."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks between two times."""
        least = (vmax - vmin) / _MAX_TIMES
        days = math.ceil(least / _DAY) * _DAY
        step = next((step for step in _STEPS if step >= least), days)
        return MultipleLocator(step).tick_values(vmin, vmax)


def time_ticks(axis: XAxis) -> None:
    """Label an axis of seconds in seconds, or as a clock if it is long."""
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


def feature_ticks(axis: YAxis, shown: PlotAxis, limits: tuple[float, float]) -> None:
    """Set scale and ticks of the feature axis."""
    positions = shown.positions
    if not positions.is_linear:
        axis.axes.set_yscale("function", functions=(positions.to_scale, positions.from_scale))
        axis.set_major_locator(ScaleLocator(positions))
    elif not shown.coordinate.unit:
        axis.set_major_locator(MaxNLocator(integer=True))
    _, factor = _unit(shown, limits)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / factor:g}"))


def feature_label(shown: PlotAxis, limits: tuple[float, float]) -> str:
    """Return the name of the feature axis, with its unit."""
    unit, _ = _unit(shown, limits)
    return shown.coordinate.name.capitalize() + (f" ({unit})" if unit else "")


def _unit(shown: PlotAxis, limits: tuple[float, float]) -> tuple[str, float]:
    unit = shown.coordinate.unit
    return ("kHz", 1000.0) if unit == "Hz" and limits[1] >= _KILO_FROM else (unit, 1.0)
