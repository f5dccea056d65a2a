"""The ``plot`` command: open or extract, draw, and move the picture into its place."""

import logging
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kapre_cli.cli.executors import executor
from kapre_cli.cli.inputs import sample_rate
from kapre_cli.cli.layer_options import BANDS, FRAMING, layer_config, warn_of_layer
from kapre_cli.cli.run_options import audio_settings
from kapre_cli.cli.signals import ignore_signals, interruptible_waits
from kapre_cli.errors import AudioReadError, StoredDataError, UsageError
from kapre_cli.exit_codes import ExitCode
from kapre_cli.extract.executor import Executor
from kapre_cli.formats.npy_writer import MANIFEST_NAME, ROOT_NAME
from kapre_cli.formats.opening import Features, is_output, open_features
from kapre_cli.inputs import discover
from kapre_cli.outputs.scratch import scratch_folder
from kapre_cli.plotting.files import check_picture, kind_of, save
from kapre_cli.plotting.image import PlotAxis
from kapre_cli.plotting.view import FIRST_KEYS, View
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    DEFAULT_AMIN,
    LAYERS,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
)
from kapre_cli.text import counted, quoted

_KEYS_NAMED = 5  # in a message
_TAKEN = tuple(one.name for one in fields(AudioSettings) if one.name != "channels")
_OF_AUDIO = ("mel", *FRAMING, *BANDS, *_TAKEN)

# The power of audio is computed; other options say how it is shown.
_POWER = {"power": 2.0, "decibel": False, "amin": DEFAULT_AMIN, "data_format": "channels_last"}


def plotting(options: Mapping[str, Any]) -> int:
    """Draw a picture and return the exit code."""
    source, output = options["source"], options["output"]
    is_audio = source.exists() and not is_output(source)
    with executor(remedy="there is no picture") if is_audio else interruptible_waits() as computing:
        named = [source, *map(Path, options["keys"])]
        existing = check_picture(output, named, overwrite=options["overwrite"])
        shown: dict[str, Any] = {
            name: tuple(options[name]) for name in ("time", "freq", "range") if options[name]
        }
        shown |= {name: options[name] for name in ("decibel", "cmap", "size")}
        view = View(channels=options["channels"] or None, **shown)
        with _silent_matplotlib():
            figure_of, rendered = _drawing(view)
            with _shown(named, options, view, computing) as (features, keys, view, what):
                figure = figure_of(features, keys, view)
            picture = rendered(figure, kind_of(output))
        ignore_signals()  # the picture will be in its place in a moment
        save(output, picture, existing)
        if not options["quiet"]:
            click.echo(f"{counted(len(keys), what)} drawn -> {quoted(output)}", err=True)
    return ExitCode.OK


@contextmanager
def _silent_matplotlib() -> Iterator[None]:
    """Suppress matplotlib's messages on its fonts and its cache."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _drawing(view: View) -> tuple[Any, Any]:
    """Return the two functions that need matplotlib, which is an extra."""
    try:
        from kapre_cli.plotting.figure import colour_map, figure_of, rendered
    except ModuleNotFoundError as error:
        raise UsageError(
            f"drawing needs matplotlib ({error}): pip install 'kapre-extract[plot]', "
            "or pip install matplotlib"
        ) from error
    colour_map(view.cmap)  # raises before the computation
    return figure_of, rendered


@contextmanager
def _shown(
    named: Sequence[Path], options: Mapping[str, Any], view: View, computing: Executor | None
) -> Iterator[tuple[Features, list[str], View, str]]:
    """Open the arrays to draw; yield them, the keys, the view, and a noun for the keys."""
    source, *others = named
    if not os.path.lexists(source):
        raise UsageError(f"there is nothing at {quoted(source)}; name an output or a recording")
    if source.exists() and is_output(source):  # a link may lead nowhere
        if asked := _given(_OF_AUDIO):
            raise UsageError(
                f"{quoted(source)} is an output: {asked} would say what is computed of audio, and "
                "here all is"
            )
        with _opened(source) as features:
            yield features, _keys(features, options["keys"], quiet=options["quiet"]), view, "key"
        return
    for path in others:
        _check_is_recording(path, source)
    if (asked := _given(BANDS)) and not options["mel"]:
        raise UsageError(f"{asked} describes mel bands: add --mel")
    with scratch_folder() as folder:
        _extract(named, options, view, folder / "audio.h5", computing)
        with open_features(folder / "audio.h5") as features:
            yield features, list(features), replace(view, channels=None), "recording"


def _opened(output: Path) -> Features:
    try:
        return open_features(output)
    except StoredDataError as error:
        try:
            is_other = not {ROOT_NAME, MANIFEST_NAME} & set(os.listdir(output))
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
    if not os.path.lexists(path):
        raise UsageError(
            f"{quoted(first)} is a recording, not an output: it has no keys, and there is no file "
            f"{quoted(path)}"
        )
    if path.exists() and is_output(path):
        what = "a folder" if path.is_dir() else "an output"
        raise UsageError(
            f"{quoted(path)} is {what}, and {quoted(first)} a recording; name recordings alone, "
            "or an output and keys of it"
        )


def _extract(
    paths: Sequence[Path],
    options: Mapping[str, Any],
    view: View,
    output: Path,
    computing: Executor | None,
) -> None:
    """Compute the power of recordings."""
    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.extract.run import extract

    folders = [os.path.dirname(os.path.abspath(path)) for path in paths]
    sources = discover(map(str, paths), os.path.commonpath(folders)).sources
    with Terminal(sources, quiet=options["quiet"]) as terminal:
        result = RunResult(terminal)
        sr = sample_rate(options, sources, sources, result, terminal.say)
        if sr is not None:
            # Four frames where the other commands have two.
            n_hop = options["n_hop"] or max(options["n_dft"] // 4, 1)
            config = LAYERS["Melspectrogram" if options["mel"] else "Spectrogram"]
            settings = ExtractionSettings(
                layer=layer_config(config, {**options, **_POWER, "n_hop": n_hop}, sr),
                audio=audio_settings(options, sr),
                output=OutputSettings(path=output, format="hdf5"),
            )
            PlotAxis(settings.layer, sr).limits(view.freq)  # before the work
            warn_of_layer(settings.layer, result)
            extract(sources, settings, result, computing)
    if result.exit_code:
        raise AudioReadError(
            f"{counted(result.n_failed, 'recording')} of {len(sources)} cannot be drawn: "
            "there is no picture"
        )


def _keys(features: Features, named: tuple[str, ...], *, quiet: bool) -> list[str]:
    """Return the keys to draw, each once."""
    if not named:
        keys = list(islice(features, FIRST_KEYS))
        if len(keys) < len(features) and not quiet:
            click.echo(
                f"note: drawn are the first {len(keys)} of {len(features):,} keys; others can be "
                "named behind the output",
                err=True,
            )
        return keys
    for key in named:
        if key not in features:
            first = [quoted(key) for key in islice(features, _KEYS_NAMED)]
            more = ", ..." if len(features) > len(first) else ""
            file = "; recordings are drawn without an output" if os.path.isfile(key) else ""
            raise UsageError(
                f"{quoted(features.path)} has no key {quoted(key)}; it has "
                f"{counted(len(features), 'key')}: {', '.join(first)}{more}{file}"
            )
    return list(dict.fromkeys(named))


def _given(names: Iterable[str]) -> str:
    """Return the options given on the command line; defaults of any kind do not count."""
    source_of = click.get_current_context().get_parameter_source
    given = [name for name in names if source_of(name) is ParameterSource.COMMANDLINE]
    return ", ".join(f"--{name.replace('_', '-')}" for name in given)
