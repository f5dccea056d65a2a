"""``kapre-extract plot``: open or extract, draw, and publish the picture."""

import math
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from kapre_cli.cli.command import Command
from kapre_cli.cli.options import Group, Option, as_option, parsed
from kapre_cli.cli.run_options import (
    AUDIO,
    QUIET,
    audio_settings,
    feature_option,
    layer_config,
    layer_options,
    requested_rate,
)
from kapre_cli.cli.signals import executor, ignore_signals, interruptible_waits
from kapre_cli.errors import AudioReadError, StoredDataError, UsageError
from kapre_cli.exit_codes import ExitCode
from kapre_cli.settings import (
    DEFAULT_AMIN,
    LAYERS,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
)
from kapre_cli.settings.formats import recognized_format
from kapre_cli.text import Argument, counted, quoted

if TYPE_CHECKING:
    from kapre_cli.extraction.executor import Executor
    from kapre_cli.formats.features import Features
    from kapre_cli.plotting.image import View

_AUDIO_NAMES = tuple(one.name for one in fields(AudioSettings) if one.name != "channels")
_FRAMES = ("n_dft", "n_hop", "padding")
_BANDS = ("n_mels", "fmin", "fmax", "htk", "norm")
_RECORDING_OPTIONS = ("mel", *_FRAMES, *_BANDS, *_AUDIO_NAMES)
# The power of recordings is computed; other options decide how it is shown.
_POWER = {"power": 2.0, "decibel": False, "amin": DEFAULT_AMIN, "data_format": "channels_last"}

_LONGEST_SIDE = 100  # inches
_LARGEST = 1000  # square inches: a picture of 40 million pixels

_picture_option = partial(Option, group=Group.PICTURE)
_LAYER_OPTIONS = layer_options(LAYERS["Melspectrogram"])
_LAYER_OPTIONS["n_hop"].show_default = "a quarter of --n-dft"


class _Range(NamedTuple):
    """A range of numbers; ``None``: unbounded."""

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


def _range(expected: str, text: str, at_least: float = -math.inf) -> _Range:
    """Return the range of a text, ``LOW:HIGH``; messages call it ``expected``."""
    low, colon, high = text.partition(":")
    try:
        found = _Range(*(float(one) if one.strip() else None for one in (low, high)))
    except ValueError:
        found = _Range(math.nan, None)
    numbers = [one for one in found if one is not None]
    if not (colon and all(math.isfinite(one) and one >= at_least for one in numbers)):
        raise ValueError(f"{text!r} is not {expected}.")
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
    _picture_option("--overwrite", is_usual=True, help="Replace an existing picture."),
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
    _picture_option("--cmap", metavar="NAME", default="magma", help="Colour map of matplotlib."),
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
    *(_LAYER_OPTIONS[name] for name in (*_FRAMES, *_BANDS)),
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
    # Imports of NumPy, matplotlib or h5py are slow, and not needed for --help.
    from kapre_cli.formats.opening import is_output
    from kapre_cli.plotting.files import picture_format, save, validate_picture
    from kapre_cli.plotting.image import View

    source, output = options["source"], options["output"]
    is_audio = source.exists() and not is_output(source)
    with executor(remedy="there is no picture") if is_audio else interruptible_waits() as computing:
        named = [source, *map(Path, options["keys"])]
        existing = validate_picture(output, named, overwrite=options["overwrite"])
        ranges = {name: options[name] for name in ("time", "freq", "range") if options[name]}
        view = View(
            channels=options["channels"] or None,
            decibel=options["decibel"],
            cmap=options["cmap"],
            size=options["size"],
            **ranges,
        )
        with _silent_matplotlib():
            figure_of, render = _import_figure(view)
            with _arrays(named, options, view, computing) as (features, keys, view, noun):
                figure = figure_of(features, keys, view)
            picture = render(figure, picture_format(output))
        ignore_signals()  # publishing is quick
        save(output, picture, existing)
        if not options["quiet"]:
            click.echo(f"{counted(len(keys), noun)} drawn -> {quoted(output)}", err=True)
    return ExitCode.OK


@contextmanager
def _silent_matplotlib() -> Iterator[None]:
    """Suppress matplotlib's messages on its fonts and its cache."""
    import logging

    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _import_figure(view: "View") -> tuple[Any, Any]:
    """Return the two functions that need matplotlib, which is an extra."""
    try:
        from kapre_cli.plotting.figure import colour_map, figure_of, render
    except ModuleNotFoundError as error:
        raise UsageError(
            f"drawing needs matplotlib ({error}): pip install 'kapre-extract[plot]', "
            "or pip install matplotlib"
        ) from error
    colour_map(view.cmap)  # raises before the computation
    return figure_of, render


@contextmanager
def _arrays(
    named: Sequence[Path], options: Mapping[str, Any], view: "View", computing: "Executor | None"
) -> "Iterator[tuple[Features, list[str], View, str]]":
    """Open the arrays to draw; yield them, keys, view, and a noun for the keys."""
    from kapre_cli.formats.opening import is_output, open_features
    from kapre_cli.outputs.locked_folders import scratch_folder

    source, *others = named
    if not os.path.lexists(source):
        raise UsageError(f"there is nothing at {quoted(source)}; name an output or a recording")
    if source.exists() and is_output(source):  # a link may lead nowhere
        if given := _given(_RECORDING_OPTIONS):
            raise UsageError(
                f"{quoted(source)} is an output: recordings alone are computed with {given}"
            )
        with _opened(source) as features:
            yield features, _keys(features, options["keys"], quiet=options["quiet"]), view, "key"
        return
    for path in others:
        _check_is_recording(path, source)
    if (given := _given(_BANDS)) and not options["mel"]:
        raise UsageError(f"{given} describes mel bands: add --mel")
    with scratch_folder() as folder:
        _extract(named, options, view, folder / "audio.h5", computing)
        with open_features(folder / "audio.h5") as features:
            yield features, list(features), replace(view, channels=None), "recording"


def _opened(output: Path) -> "Features":
    from kapre_cli.formats.opening import open_features

    try:
        return open_features(output)
    except StoredDataError as error:
        try:
            os.listdir(output)
            is_other = recognized_format(output) is None
        except OSError:  # a file, or an unreadable folder
            is_other = False
        if not is_other:
            raise
        folder = shlex.quote(str(output))
        raise UsageError(
            f"{quoted(output)} is a folder, and no output; name the recordings in it "
            f"({folder}/*.wav), or extract them first: kapre-extract melspectrogram {folder} "
            "-o OUTPUT.h5"
        ) from error


def _check_is_recording(path: Path, first: Path) -> None:
    from kapre_cli.formats.opening import is_output

    if not os.path.lexists(path):
        raise UsageError(
            f"{quoted(first)} is a recording, not an output: it has no keys, and there is no file "
            f"{quoted(path)}"
        )
    if path.exists() and is_output(path):
        kind = "a folder" if path.is_dir() else "an output"
        raise UsageError(
            f"{quoted(path)} is {kind}, and {quoted(first)} a recording; name recordings alone, "
            "or an output and keys of it"
        )


def _extract(
    paths: Sequence[Path],
    options: Mapping[str, Any],
    view: "View",
    output: Path,
    computing: "Executor | None",
) -> None:
    """Compute the power of recordings."""
    from kapre_cli.api.extraction import Extraction
    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.inputs import discover
    from kapre_cli.plotting.image import PlotAxis
    from kapre_cli.run_result import RunResult

    def settings_at(sr: int) -> ExtractionSettings:
        # Four frames where the other commands have two.
        n_hop = options["n_hop"] or max(options["n_dft"] // 4, 1)
        config = LAYERS["Melspectrogram" if options["mel"] else "Spectrogram"]
        return ExtractionSettings(
            layer=layer_config(config, {**options, **_POWER, "n_hop": n_hop}, sr),
            audio=audio_settings(options, sr),
            output=OutputSettings(path=output, format="hdf5"),
        )

    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    inputs = discover(map(str, paths), os.path.commonpath(folders))
    sources = inputs.sources
    plan = Extraction(settings_at, inputs, sources, requested_rate(options))
    with Terminal(sources, quiet=options["quiet"]) as terminal:
        result = RunResult(terminal)
        settings = plan.settings(result)
        if settings is not None:
            PlotAxis(settings.layer, settings.audio.sr).limits(view.freq)  # before the work
            plan.run(settings, result, computing)
    if result.exit_code:
        raise AudioReadError(
            f"{counted(result.n_failed, 'recording')} of {len(sources)} cannot be drawn: "
            "there is no picture"
        )


def _keys(features: "Features", named: tuple[str, ...], *, quiet: bool) -> list[str]:
    """Return the keys to draw, each once."""
    from kapre_cli.formats.features import unknown_key
    from kapre_cli.plotting.image import FIRST_KEYS

    if not named:
        keys = list(islice(features, FIRST_KEYS))
        if len(keys) < len(features) and not quiet:
            click.echo(
                f"note: the first {len(keys)} of {len(features):,} keys are drawn; name others "
                "after the output",
                err=True,
            )
        return keys
    for key in named:
        if key not in features:
            file = "; recordings are drawn without an output" if os.path.isfile(key) else ""
            raise UsageError(f"{quoted(features.path)}: {unknown_key(key, features)}{file}")
    return list(dict.fromkeys(named))


def _given(names: Iterable[str]) -> str:
    """Return the options given on the command line; defaults of any kind do not count."""
    source_of = click.get_current_context().get_parameter_source
    given = [name for name in names if source_of(name) is ParameterSource.COMMANDLINE]
    return ", ".join(as_option(Argument(name)) for name in given)
