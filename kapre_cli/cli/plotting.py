"""What ``plot`` does: open or extract, draw, and put the picture in its place."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from kapre_cli.cli.from_options import BANDS, audio_settings, layer_config
from kapre_cli.cli.layer_notes import warn_of_layer
from kapre_cli.cli.sample_rate import asked_rate
from kapre_cli.cli.signals import pass_over
from kapre_cli.errors import AudioReadError, UsageError, quoted
from kapre_cli.plotting.files import check_picture, kind_of, save
from kapre_cli.plotting.view import View
from kapre_cli.report import ExitCode, Report, counted
from kapre_cli.settings import (
    DEFAULT_AMIN,
    AudioSettings,
    ExtractionSettings,
    MelspectrogramConfig,
    OutputSettings,
    SpectrogramConfig,
)
from kapre_cli.sources import Source, key_of
from kapre_cli.storage.features import Features, is_output, open_features
from kapre_cli.storage.scratch import scratch_folder

_KEYS_SHOWN = 4  # if none is named
_KEYS_NAMED = 5  # in a message
_TAKEN = tuple(one.name for one in fields(AudioSettings) if one.name != "channels")
_OF_AUDIO = ("mel", "n_dft", "n_hop", "padding", *BANDS, *_TAKEN)

# What is computed of audio; how it is shown is another matter.
_POWER = {
    "power": 2.0,
    "decibel": False,
    "amin": DEFAULT_AMIN,
    "data_format": "channels_last",
}


def plotting(options: Mapping[str, Any]) -> int:
    """Draw a picture and return the exit code."""
    source, output = options["source"], options["output"]
    existing = check_picture(output, source, overwrite=options["overwrite"])
    sheet, rendered = _drawing()
    start, end = options["time"] or (0.0, None)
    with _features(source, options) as (features, channels):
        keys = _keys(features, options["keys"], quiet=options["quiet"])
        view = View(channels=channels, start=start, end=end, decibel=options["decibel"])
        figure = sheet(features, keys, view)
    pass_over()  # the picture is in its place in a moment
    save(output, rendered(figure, kind_of(output)), existing)
    if not options["quiet"]:
        click.echo(f"{counted(len(keys), 'key')} drawn -> {quoted(output)}", err=True)
    return ExitCode.OK


def _drawing() -> tuple[Any, Any]:
    """Return the two functions that need matplotlib, which is an extra.

    Raises:
        UsageError: If it is not there.
    """
    try:
        from kapre_cli.plotting.sheet import rendered, sheet
    except ModuleNotFoundError as error:
        raise UsageError(
            f"drawing needs matplotlib ({error}): pip install 'kapre-extract[plot]', "
            "or pip install matplotlib"
        ) from error
    return sheet, rendered


@contextmanager
def _features(
    source: Path, options: Mapping[str, Any]
) -> Iterator[tuple[Features, tuple[int, ...] | None]]:
    """Open what is to be drawn, and say which of its channels are."""
    if not os.path.lexists(source):
        raise UsageError(f"there is nothing at {quoted(source)}; name an output or a recording")
    asked = [name for name in _OF_AUDIO if _is_given(name)]
    if source.exists() and is_output(source):  # a link may lead nowhere
        if asked:
            raise UsageError(
                f"{quoted(source)} is an output: {_named(asked)} would say what is computed of "
                "audio, and here all is"
            )
        with open_features(source) as features:
            yield features, options["channels"] or None
        return
    if options["keys"]:
        if options["raw_format"] is None:
            _stated_rate(source)  # else it is no recording either
        raise UsageError(f"{quoted(source)} is a recording, not an output: it has no keys")
    asked = [name for name in BANDS if _is_given(name)]
    if asked and not options["mel"]:
        raise UsageError(f"{_named(asked)} describes mel bands: add --mel")
    with scratch_folder() as folder:
        output = folder / "audio.h5"
        _extract(source, options, output)
        with open_features(output) as features:
            yield features, None


def _extract(path: Path, options: Mapping[str, Any], output: Path) -> None:
    """Compute the power of one recording.

    Raises:
        AudioReadError: If the recording cannot be read; the message says why.
    """
    from kapre_cli.cli.terminal import Terminal
    from kapre_cli.pipeline.extract import extract

    sr = asked_rate(options) or _stated_rate(path)
    config = MelspectrogramConfig if options["mel"] else SpectrogramConfig
    settings = ExtractionSettings(
        layer=layer_config(config, {**options, **_POWER}, sr),
        audio=audio_settings(options, sr),
        output=OutputSettings(path=output, format="hdf5"),
    )
    source = Source(str(path), key_of(path.name))
    with Terminal([source], quiet=options["quiet"]) as terminal:
        report = Report(say=terminal.say)
        warn_of_layer(settings.layer, report)
        extract([source], settings, report, terminal)
    if report.exit_code:
        raise AudioReadError(f"{quoted(path)} cannot be drawn")


def _stated_rate(path: Path) -> int:
    """Return the sample rate in the header of a recording.

    Raises:
        AudioReadError: If it cannot be read; the message says why.
    """
    from kapre_cli.audio import promise

    try:
        return promise(str(path)).sr
    except AudioReadError as error:
        raise AudioReadError(f"{quoted(path)}: {error}") from error


def _keys(features: Features, named: tuple[str, ...], *, quiet: bool) -> list[str]:
    """Return the keys to be drawn, each once."""
    if not named:
        keys = [key for key, _ in zip(features, range(_KEYS_SHOWN), strict=False)]
        if len(keys) < len(features) and not quiet:
            click.echo(
                f"note: drawn are the first {len(keys)} of {len(features):,} keys; others can be "
                "named behind the output",
                err=True,
            )
        return keys
    for key in named:
        if key not in features:
            first = [quoted(key) for key, _ in zip(features, range(_KEYS_NAMED), strict=False)]
            more = ", ..." if len(features) > len(first) else ""
            raise UsageError(
                f"{quoted(features.path)} has no key {quoted(key)}; it has "
                f"{counted(len(features), 'key')}: {', '.join(first)}{more}"
            )
    return list(dict.fromkeys(named))


def _is_given(name: str) -> bool:
    """Whether an option stands on the command line; defaults of any kind do not count."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _named(options: list[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in options)
