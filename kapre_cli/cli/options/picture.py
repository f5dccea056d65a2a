"""The options of a picture."""

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import Parsed
from kapre_cli.cli.options.inputs import audio_options
from kapre_cli.cli.options.layer import feature_option, framing_options, mel_options
from kapre_cli.cli.options.running import quiet_option
from kapre_cli.errors import SettingsError
from kapre_cli.settings import MelspectrogramConfig

_LONGEST_SIDE = 100  # inches
_LARGEST = 1000  # square inches: a picture of 40 million pixels

_picture_option = partial(Option, group=Group.PICTURE)


class Range(NamedTuple):
    """From one number to another; ``None``: as far as there is something."""

    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return ":".join("" if one is None else f"{one:.15g}" for one in self)


class Size(NamedTuple):
    """Width and height in inches."""

    width: float
    height: float

    def __str__(self) -> str:
        return f"{self.width:.15g}x{self.height:.15g}"

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Return what ``text`` says: ``WIDTHxHEIGHT``.

        Raises:
            SettingsError: If that is no size, or too large a one.
        """
        width, _, height = text.lower().partition("x")
        try:
            size = cls(float(width), float(height))
        except ValueError:
            size = cls(math.nan, math.nan)
        if not all(math.isfinite(side) and side > 0 for side in size):
            raise SettingsError(f"{text!r} is not WIDTHxHEIGHT in inches, such as 7x4.5.")
        if max(size) > _LONGEST_SIDE or size.width * size.height > _LARGEST:
            raise SettingsError(
                f"{text!r} is too large: a side has at most {_LONGEST_SIDE} inches, and the "
                f"picture {_LARGEST:,} square inches."
            )
        return size


class _Range(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """``LOW:HIGH``, either of which may be left out; ``what`` names it in messages."""

    name = "range"

    def __init__(self, what: str, at_least: float = -math.inf) -> None:
        self._what = what
        self._at_least = at_least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Range):
            return value
        low, colon, high = str(value).partition(":")
        try:
            found = Range(*(float(one) if one.strip() else None for one in (low, high)))
        except ValueError:
            found = Range(math.nan)
        numbers = [one for one in found if one is not None]
        if not (colon and all(math.isfinite(one) and one >= self._at_least for one in numbers)):
            self.fail(f"{value!r} is not {self._what}.", param, ctx)
        if len(numbers) == 2 and not numbers[0] < numbers[1]:
            self.fail(f"{value!r} does not go from a number to a larger one.", param, ctx)
        return found


def picture_options() -> list[click.Parameter]:
    """Return what names a picture and its source, and the options that say what it shows."""
    return [
        click.Argument(["source"], type=click.Path(path_type=Path)),
        click.Argument(["keys"], nargs=-1, metavar="[KEY | RECORDING]..."),
        _picture_option(
            "-o",
            "--output",
            is_usual=True,
            required=True,
            type=click.Path(path_type=Path),
            help="The picture: *.png, *.pdf or *.svg.",
        ),
        _picture_option(
            "--overwrite",
            is_usual=True,
            is_flag=True,
            help="Replace an existing picture.",
        ),
        _picture_option(
            "--time",
            is_usual=True,
            type=_Range("START:END in seconds, such as 1.5:3, 10: or :60", 0),
            metavar="START:END",
            show_default="all",
            help="Time to show, in seconds. Either end may be left out.",
        ),
        _picture_option(
            "--freq",
            is_usual=True,
            type=_Range("LOW:HIGH in Hz, such as 2000:8000, 500: or :4000", 0),
            metavar="LOW:HIGH",
            show_default="all",
            help="Frequencies to show, in Hz. Either end may be left out.",
        ),
        _picture_option(
            "--decibel/--no-decibel",
            default=True,
            help="Show power or amplitude in decibels. They are relative to the largest value "
            "shown, down to -80.",
        ),
        _picture_option(
            "--range",
            is_usual=True,
            type=_Range("LOW:HIGH, such as -60:0, -50: or :0.5"),
            metavar="LOW:HIGH",
            show_default="-80:0 in decibels",
            help="Range of the colours. LOW and HIGH are values as the colour bar shows them; "
            "either may be left out.",
        ),
        _picture_option(
            "--cmap",
            metavar="NAME",
            default="magma",
            help="Colour map of matplotlib.",
        ),
        _picture_option(
            "--size",
            type=Parsed(Size, "size"),
            metavar="WxH",
            show_default="9 inches wide, as high as the panels need",
            help="Width and height of the picture in inches. An inch has 200 pixels.",
        ),
        feature_option(
            "--mel",
            is_usual=True,
            is_flag=True,
            help="Show mel bands of recordings. The options from --n-mels to --norm describe them.",
        ),
        *framing_options(MelspectrogramConfig, n_hop="a quarter of --n-dft"),
        *mel_options(),
        *audio_options(),
        quiet_option(),
    ]
