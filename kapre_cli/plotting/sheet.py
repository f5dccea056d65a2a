"""The sheet: a panel for each channel of each key, all of one scale, and the file that it makes.

Lengths are in pixels, so that a column of an image is a column of the picture.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kapre_cli.errors import UsageError
from kapre_cli.plotting.axes import FrequencyAxis, frequency_axis, time_unit
from kapre_cli.plotting.files import MAKER
from kapre_cli.plotting.levels import Levels
from kapre_cli.plotting.reduction import Image, peaks
from kapre_cli.plotting.titles import title_of
from kapre_cli.plotting.view import Part, View, part_of
from kapre_cli.storage.stored import Features

MAX_PANELS = 64

_DPI = 200
_LEFT, _WIDTH, _RIGHT = 180, 1400, 300
_TITLE, _GAP, _BELOW = 70, 24, 110  # above a key, between its channels, below it
_HIGHEST, _LOWEST = 640, 150  # of a panel
_ALL_PANELS = 1300  # together, unless that makes them too high or too low
_TICK_HEIGHT = 45
_BAR = 30
_HIGHEST_BAR = 900

_COLOURS = "magma"  # perceptually uniform
_NAN_COLOUR = "#35b779"  # a green, which magma does not have

_METADATA: dict[str, dict[str, str | None]] = {  # without the time of the picture's making
    "png": {"Software": MAKER},
    "pdf": {"Creator": MAKER, "CreationDate": None},
    "svg": {"Creator": MAKER, "Date": None},
}


@dataclass(frozen=True)
class _Group:
    """The panels of one key: what they show, and their images."""

    part: Part
    images: Image


def sheet(features: Features, keys: Sequence[str], view: View) -> Figure:
    """Return a figure of the arrays of some keys, a panel for each channel.

    Every recording has a time axis of its own; the colours are those of one scale.

    Args:
        features: An open output.
        keys: Which of its arrays to draw, in this order.
        view: What is shown of them.

    Raises:
        UsageError: If something is asked for that is not there, or more than a sheet can hold.
        StoredDataError: If an array cannot be read.
    """
    levels = Levels(features.layer, view.decibel)
    parts = [part_of(features[key], features.settings, view) for key in keys]
    n_panels = sum(len(part.channels) for part in parts)
    if n_panels > MAX_PANELS:
        raise UsageError(
            f"there would be {n_panels:,} panels, one for each channel of each key; a sheet holds "
            f"{MAX_PANELS}: name fewer keys, or channels with --channel"
        )
    height = min(max(_ALL_PANELS // n_panels, _LOWEST), _HIGHEST)
    groups = [_Group(part, levels.shown(peaks(part, height, _WIDTH))) for part in parts]
    axis = frequency_axis(features.layer, features.settings.sr)
    with _own_settings():
        return _Drawing(groups, levels, axis, height).figure


class _Drawing:
    """Draws a sheet, from the top down."""

    def __init__(
        self, groups: Sequence[_Group], levels: Levels, axis: FrequencyAxis, height: int
    ) -> None:
        self._levels = levels
        self._axis = axis
        self._panel = height
        self._limits = levels.limits([group.images for group in groups])
        n_panels = sum(len(group.images) for group in groups)
        self._size = (
            _LEFT + _WIDTH + _RIGHT,
            len(groups) * (_TITLE + _BELOW - _GAP) + n_panels * (height + _GAP),
        )
        self.figure = Figure(
            figsize=(self._size[0] / _DPI, self._size[1] / _DPI), dpi=_DPI, facecolor="white"
        )
        top = 0
        for group in groups:
            top = self._group(group, top)
        self._colour_bar(any(bool(np.isnan(group.images).any()) for group in groups))

    def _axes(self, left: int, top: int, width: int, height: int) -> Axes:
        across, down = self._size
        place = (left / across, 1 - (top + height) / down, width / across, height / down)
        return self.figure.add_axes(place)

    def _group(self, group: _Group, top: int) -> int:
        """Draw the panels of a key, and return where they end."""
        top += _TITLE
        first = top
        for name, image in zip(group.part.names, group.images, strict=True):
            panel = self._axes(_LEFT, top, _WIDTH, self._panel)
            self._image(panel, group.part, image)
            if top == first:
                title, fonts = title_of(group.part.array.key)
                panel.set_title(title, loc="left", fontsize=10, family=fonts, parse_math=False)
            if len(group.images) > 1:
                panel.tick_params(labelbottom=False)
            if len(group.images) > 1 or name not in ("channel 0", "mono"):
                panel.text(
                    1.008, 0.5, name, fontsize=8, rotation=270, va="center",
                    transform=panel.transAxes,
                )  # fmt: skip
            top += self._panel + _GAP
        last = top - _GAP
        panel.tick_params(labelbottom=True)
        panel.set_xlabel(time_unit(group.part.limits)[0])
        across, down = self._size
        middle = 1 - (first + last) / 2 / down
        self.figure.text(
            50 / across, middle, self._axis.label, rotation=90, ha="center", va="center"
        )
        return last + _BELOW

    def _image(self, panel: Axes, part: Part, image: Image) -> None:
        _, second = time_unit(part.limits)
        panel.imshow(
            image,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            cmap=_colours(),
            vmin=self._limits[0],
            vmax=self._limits[1],
            extent=(part.seconds[0] / second, part.seconds[1] / second, *self._axis.span),
        )
        panel.set_xlim(part.limits[0] / second, part.limits[1] / second)
        panel.set_ylim(*self._axis.limits)
        panel.set_yticks(*self._axis.ticks(max(self._panel // _TICK_HEIGHT, 2)))
        panel.ticklabel_format(axis="x", style="plain", useOffset=False)
        panel.tick_params(labelsize=8)

    def _colour_bar(self, has_nan: bool) -> None:
        height = min(self._size[1] - _TITLE - _BELOW, _HIGHEST_BAR)
        bar = self._axes(_LEFT + _WIDTH + 90, _TITLE, _BAR, height)
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(*self._limits), _colours())
        self.figure.colorbar(scale, cax=bar, label=self._levels.label)
        bar.tick_params(labelsize=8)
        if has_nan:
            bar.set_xlabel("NaN", fontsize=8, color=_NAN_COLOUR, fontweight="bold")


def _colours() -> Any:
    return mpl.colormaps[_COLOURS].with_extremes(bad=_NAN_COLOUR)


def rendered(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of a picture, the same for equal figures.

    Args:
        figure: The figure.
        kind: ``"png"``, ``"pdf"`` or ``"svg"``.
    """
    content = io.BytesIO()
    with _own_settings():
        figure.savefig(content, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    return content.getvalue()


@contextmanager
def _own_settings() -> Iterator[None]:
    """Draw as matplotlib does by itself, whatever the user's own settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = "kapre-extract"  # else identifiers in it are random
        yield
