"""``kapre-extract plot``."""

import math
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from kapre_cli.cli.command import Command
from kapre_cli.cli.layer_options import BANDS, FRAMING, feature_option, layer_options
from kapre_cli.cli.options import Group, Option, parsed
from kapre_cli.cli.run_options import AUDIO, QUIET
from kapre_cli.settings import LAYERS

_LONGEST_SIDE = 100  # inches
_LARGEST = 1000  # square inches: a picture of 40 million pixels

_picture_option = partial(Option, group=Group.PICTURE)
_FRAMING, _MEL = (layer_options(LAYERS[name]) for name in ("Spectrogram", "Melspectrogram"))
_FRAMING["n_hop"].show_default = "a quarter of --n-dft"


class _Range(NamedTuple):
    """From one number to another; ``None``: unbounded."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        return ":".join("" if one is None else f"{one:.15g}" for one in self)


class _Size(NamedTuple):
    """Width and height in inches."""

    width: float
    height: float

    def __str__(self) -> str:
        return f"{self.width:.15g}x{self.height:.15g}"


def _range(what: str, text: str, at_least: float = -math.inf) -> _Range:
    """Return the range of a text, ``LOW:HIGH``; messages call it ``what``."""
    low, colon, high = text.partition(":")
    try:
        found = _Range(*(float(one) if one.strip() else None for one in (low, high)))
    except ValueError:
        found = _Range(math.nan, None)
    numbers = [one for one in found if one is not None]
    if not (colon and all(math.isfinite(one) and one >= at_least for one in numbers)):
        raise ValueError(f"{text!r} is not {what}.")
    if len(numbers) == 2 and not numbers[0] < numbers[1]:
        raise ValueError(f"{text!r} does not go from a number to a larger one.")
    return found


def _size(text: str) -> _Size:
    """Return the size of a text, ``WIDTHxHEIGHT``."""
    width, _, height = text.lower().partition("x")
    try:
        size = _Size(float(width), float(height))
    except ValueError:
        size = _Size(math.nan, math.nan)
    if not all(math.isfinite(side) and side > 0 for side in size):
        raise ValueError(f"{text!r} is not WIDTHxHEIGHT in inches, such as 7x4.5.")
    if max(size) > _LONGEST_SIDE or size.width * size.height > _LARGEST:
        raise ValueError(
            f"{text!r} is too large: a side has at most {_LONGEST_SIDE} inches, and the "
            f"picture {_LARGEST:,} square inches."
        )
    return size


_OPTIONS = [
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
        help="Replace an existing picture.",
    ),
    _picture_option(
        "--time",
        is_usual=True,
        type=parsed(partial(_range, "START:END in seconds, such as 1.5:3, 10: or :60", at_least=0)),
        metavar="START:END",
        show_default="all",
        help="Time to show, in seconds. Either end may be left out.",
    ),
    _picture_option(
        "--freq",
        is_usual=True,
        type=parsed(
            partial(_range, "LOW:HIGH in Hz, such as 2000:8000, 500: or :4000", at_least=0)
        ),
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
        type=parsed(partial(_range, "LOW:HIGH, such as -60:0, -50: or :0.5")),
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
        type=parsed(_size),
        metavar="WxH",
        show_default="9 inches wide, as high as the panels need",
        help="Width and height of the picture in inches. An inch has 200 pixels.",
    ),
    feature_option(
        "--mel",
        is_usual=True,
        help="Show mel bands of recordings. The options from --n-mels to --norm describe them.",
    ),
    *(_FRAMING[name] for name in FRAMING),
    *(_MEL[name] for name in BANDS),
    *AUDIO,
    QUIET,
]


@click.command(cls=Command, params=_OPTIONS, short_help="Plot an output or recordings.")
def plot(**options: Any) -> int:
    """Plot arrays of an output, or recordings.

    If SOURCE is an output, KEYs select its arrays; the first four are the default. If SOURCE is a
    recording, further RECORDINGs may follow. Their power is computed first, and the options from
    --mel on describe how.

    \b
    An array of an output:
      kapre-extract plot mels.h5 bird.flac -o bird.png --time 0.2:1

    \b
    A recording, in a range of frequencies:
      kapre-extract plot sample_audio/bird.flac -o song.pdf --n-dft 1024 --freq 2000:8000

    \b
    Two recordings, in mel bands, from -60 dB to 0 dB:
      kapre-extract plot sample_audio/pond/* -o pond.png --mel --range -60:0
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.plotting import plotting  # not needed for --help

    return plotting(options)
