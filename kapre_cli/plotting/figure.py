"""The figure: a panel for each channel of each key, all with one colour scale."""

import io
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from kapre_cli.errors import UsageError
from kapre_cli.formats.features import Features
from kapre_cli.plotting.files import MAKER
from kapre_cli.plotting.image import (
    FIRST_KEYS,
    Image,
    Levels,
    PlotAxis,
    Rows,
    Selection,
    View,
    peaks,
    selection_of,
)
from kapre_cli.plotting.labels import (
    caption_of,
    displayable,
    feature_label,
    feature_ticks,
    time_ticks,
)
from kapre_cli.text import Argument, Text, quoted

MAX_PANELS = 64

# Inches.
_WIDTH = 9.0
_BESIDE_PANEL = 2.1  # width that is not a panel's, at most
_HIGHEST, _LOWEST, _ALL_PANELS = 3.2, 1.2, 6.4
_AROUND_KEY, _BETWEEN, _CAPTION = 0.75, 0.2, 0.35  # title and times; channels; below all
_MIN_WIDTH, _MIN_PANEL = 3.2, 0.45
_LONGEST_BAR, _BAR_WIDTH = 6.0, 0.14

_DPI = 200
_FILLED = 0.9  # of a panel's rows of pixels: every row of the image is visible

# The first candidate that differs from all colours of the map is used.
_NAN_COLOURS = ("#35b779", "#e41a1c", "#377eb8")
_EMPTY_COLOURS = ("#909090", "#6baed6", "#fdae61")
_MIN_DISTANCE = 0.3  # sum of the differences in red, green and blue

_NORMAL, _SMALL, _TINY = 10, 8, 7  # points
_LETTER = 0.6  # width of a letter in terms of its height
_GREY = "0.4"

_SETTINGS = {
    "svg.fonttype": "none",  # text as text
    "svg.hashsalt": MAKER,  # else identifiers in it are random
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
}
_METADATA: dict[str, dict[str, str | None]] = {  # without the time of the picture's making
    "png": {"Software": MAKER},
    "pdf": {"Creator": MAKER, "CreationDate": None},
    "svg": {"Creator": MAKER, "Date": None},
}


class NotebookFigure(Figure):
    """A figure that a notebook shows, even where pyplot has not been imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def figure_of(
    features: Features, keys: Sequence[str] | str | None = None, view: View | None = None
) -> Figure:
    """Return a matplotlib figure of the arrays of some keys, a panel for each channel.

    Every recording has its own time axis; all share one colour scale. pyplot is not used, and
    matplotlib's settings are not changed.

    Args:
        features: An open output.
        keys: Which of its arrays to draw, in this order. ``None``: the first four.
        view: What to show of them, and how. ``None``: all of it, as the command does.

    Raises:
        KeyError: If there is no such key.
        UsageError: If there are no keys, or the view asks for something that does not exist, or
            for more than a figure can hold; a ``ValueError`` too.
        StoredDataError: If an array cannot be read.
    """
    view = view or View()
    keys = [keys] if isinstance(keys, str) else keys
    keys = list(islice(features, FIRST_KEYS)) if keys is None else list(dict.fromkeys(keys))
    if not keys:
        cause = "no key is named" if len(features) else "it has no arrays"
        raise UsageError(f"there is nothing to draw of {quoted(features.path)}: {cause}")
    are_segments = all(features[key].metadata.start is not None for key in keys)
    is_own = are_segments and features.root.reference == "segment"
    levels = Levels(features.layer, view, is_own)
    colours = colour_map(view.cmap)
    axis = PlotAxis(features.layer, features.settings.sr)
    limits = axis.limits(view.freq)
    selections = [selection_of(features[key], features.settings, view) for key in keys]
    sizes = _Sizes(
        len(selections), sum(len(selection.channels) for selection in selections), view.size
    )
    rows = axis.rows(limits, sizes.n_rows)
    images = [levels.shown(peaks(selection, rows, sizes.n_columns)) for selection in selections]
    panels = _Panels(axis, limits, rows, colours, Normalize(*levels.limits(images)))
    with _default_style():
        figure = _draw_panels(selections, images, panels, sizes)
        figure.supylabel(feature_label(axis, limits), fontsize=_NORMAL)
        _add_texts(figure, panels.legend(images), caption_of(features), sizes)
        bar = figure.colorbar(
            ScalarMappable(panels.norm, colours),
            ax=figure.axes[: sizes.n_beside_bar],
            aspect=sizes.bar / _BAR_WIDTH,
            pad=0.02,
        )
        bar.set_label(levels.label, fontsize=_font_size(levels.label, sizes.bar, _NORMAL))
        bar.ax.tick_params(labelsize=_SMALL)
    return figure


def colour_map(name: str) -> Colormap:
    """Return a colour map with a colour for NaN; raise UsageError if it is unknown."""
    if name not in mpl.colormaps:
        near = " or ".join(map(quoted, get_close_matches(name, mpl.colormaps)))
        hint = f"; did you mean {near}?" if near else ", such as 'viridis' or 'gray_r'"
        raise UsageError(f"matplotlib has no colour map {quoted(name)}{hint}")
    colours = mpl.colormaps[name]
    return colours.with_extremes(bad=_distinct(colours, _NAN_COLOURS))


def _distinct(colours: Colormap, candidates: Sequence[str]) -> str:
    """Return the first candidate unlike all colours, else the most different one."""
    used = colours(np.linspace(0, 1, 64))[:, :3]
    distances = [float(np.abs(used - to_rgb(one)).sum(axis=1).min()) for one in candidates]
    least = min(_MIN_DISTANCE, max(distances))
    return next(one for one, far in zip(candidates, distances, strict=True) if far >= least)


class _Sizes:
    """The sizes of a figure.

    Attributes:
        width, height: Those of the figure in inches.
        panel: Minimum height of a panel in inches.
        n_columns: Columns of an image that a panel has pixels for, at least.
        n_rows: Rows of an image that a panel has pixels for, at least.
        n_beside_bar: Number of panels beside the colour bar.
        bar: Approximate length of the colour bar in inches.

    Raises:
        UsageError: If there are more panels than the figure can hold.
    """

    def __init__(self, n_keys: int, n_panels: int, size: tuple[float, float] | None) -> None:
        if n_panels > MAX_PANELS:
            cause = f"there would be {n_panels:,} panels, one for each channel of each key; a sheet"
            remedy = f" holds {MAX_PANELS}: name fewer keys, or channels with "
            raise UsageError(Text(cause, remedy, Argument("channels")))
        around = _CAPTION + n_keys * _AROUND_KEY + (n_panels - n_keys) * _BETWEEN
        panel = min(max(_ALL_PANELS / n_panels, _LOWEST), _HIGHEST)
        self.width, self.height = size or (_WIDTH, around + n_panels * panel)
        least = around + n_panels * _MIN_PANEL
        if self.width < _MIN_WIDTH or self.height < least:
            raise UsageError(
                f"{self.width:g} x {self.height:g} inches are too small: the panels and what is "
                f"written around them take {_MIN_WIDTH:g} x {least:.1f} inches"
            )
        self.n_panels = n_panels
        self.panel = (self.height - around) / n_panels
        self.n_columns = round((self.width - _BESIDE_PANEL) * _DPI)
        self.n_rows = round(self.panel * _FILLED * _DPI)
        self.n_beside_bar = max(round(_LONGEST_BAR * n_panels / self.height), 1)
        self.bar = min(_LONGEST_BAR, self.height - _CAPTION - _AROUND_KEY)


@dataclass(frozen=True)
class _Panels:
    """Properties of all panels; ``limits`` are the coordinates at the ends of `axis`."""

    axis: PlotAxis
    limits: tuple[float, float]
    rows: Rows
    colours: Colormap
    norm: Normalize

    def draw(self, panel: Axes, selection: Selection, image: Image) -> None:
        """Draw one channel."""
        feature_ticks(panel.yaxis, self.axis, self.limits)
        panel.set_xlim(*selection.limits)
        panel.set_ylim(*self.limits)
        low, high = self.axis.positions.to_scale(self.limits)
        options: dict[str, Any] = {
            # The rows are even in the unit of the axis: after its scale and before its limits.
            "extent": (*selection.seconds, low, high),
            "transform": panel.transLimits + panel.transAxes,
            "aspect": "auto",
            "origin": "lower",
            "interpolation": "nearest",
        }
        panel.imshow(image[self.rows.numbers], cmap=self.colours, norm=self.norm, **options)
        if self.rows.is_empty.any():
            empty = np.ma.masked_equal(self.rows.is_empty[self.rows.numbers, np.newaxis], False)
            panel.imshow(empty, cmap=ListedColormap([self._empty_colour]), **options)
        panel.tick_params(labelsize=_SMALL)

    def legend(self, images: Sequence[Image]) -> list[Patch]:
        """Return the legend of the colours that stand for no value."""
        has_nan = any(bool(np.isnan(image).any()) for image in images)
        nan = [Patch(color=self.colours.get_bad(), label="NaN")] if has_nan else []
        if not self.rows.is_empty.any():
            return nan
        return [*nan, Patch(color=self._empty_colour, label=self.axis.positions.empty_label)]

    @property
    def _empty_colour(self) -> str:
        return _distinct(self.colours, _EMPTY_COLOURS)


def _draw_panels(
    selections: Sequence[Selection], images: Sequence[Image], panels: _Panels, sizes: _Sizes
) -> Figure:
    layout = ConstrainedLayoutEngine(hspace=0)
    figure = NotebookFigure((sizes.width, sizes.height), dpi=_DPI, facecolor="white", layout=layout)
    following = iter(figure.subplots(sizes.n_panels, 1, squeeze=False)[:, 0])
    for selection, image in zip(selections, images, strict=True):
        some = list(islice(following, len(image)))
        for panel, name, channel in zip(some, selection.names, image, strict=True):
            panels.draw(panel, selection, channel)
            panel.tick_params(labelbottom=panel is some[-1])
            if len(image) > 1 or name not in ("channel 0", "mono"):
                panel.annotate(
                    name,
                    (1, 0.5),
                    xytext=(5, 0),
                    xycoords="axes fraction",
                    textcoords="offset points",
                    rotation=270,
                    va="center",
                    fontsize=_font_size(name, sizes.panel, _SMALL),
                )
        time_ticks(some[-1].xaxis)
        longest = int(72 * (sizes.width - _BESIDE_PANEL) / (_LETTER * _NORMAL))
        title, fonts = displayable(selection.array.key, longest)
        some[0].set_title(title, loc="left", fontsize=_NORMAL, family=fonts, parse_math=False)
    return figure


def _font_size(text: str, length: float, size: float) -> float:
    """Return the font size, in points, at which a text fits into ``length`` inches."""
    return min(72 * length / (_LETTER * len(text)), size)


def _add_texts(figure: Figure, legend: list[Patch], caption: str, sizes: _Sizes) -> None:
    """Add caption and legend of the figure."""
    longest = int(72 * sizes.width / (_LETTER * _TINY))
    text, fonts = displayable(caption, 4 * longest)
    figure.supxlabel(
        textwrap.fill(text, longest),
        x=0.01,
        ha="left",
        fontsize=_TINY,
        color=_GREY,
        family=fonts,
        parse_math=False,
    )
    if legend:
        figure.axes[0].legend(
            handles=legend,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0,
            ncols=len(legend),
            fontsize=_SMALL,
            frameon=False,
        )


def render(figure: Figure, file_format: str) -> bytes:
    """Return a figure as the bytes of a PNG, PDF or SVG, the same for equal figures."""
    content = io.BytesIO()
    with _default_style():
        figure.savefig(content, format=file_format, dpi=_DPI, metadata=_METADATA[file_format])
    return content.getvalue()


def _default_style() -> AbstractContextManager[Any]:
    """Draw with defaults of matplotlib and this module, not the user's settings."""
    return mpl.style.context(["default", _SETTINGS])
