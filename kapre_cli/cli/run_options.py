"""Options of layers, inputs, audio, output and running, and their settings."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import partial
from typing import Any, get_type_hints

import click

from kapre_cli.cli.options import Group, Option, PathOrStream, WholeNumber, parsed
from kapre_cli.run_result import MaxFailures
from kapre_cli.settings import (
    DTYPES,
    ENGINE_CHOICES,
    NON_FINITE,
    RAW_ENCODINGS,
    REFERENCES,
    RESUMES,
    AudioSettings,
    ClipSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
    RawFormat,
    Shard,
)
from kapre_cli.settings.formats import (
    all_formats,
    built_in_formats,
    compressions,
    format_of,
    output_path,
)
from kapre_cli.settings.layers import CommandOption, command_options

_OF_ANY_LAYER = ("power", "decibel", "amin", "data_format")  # shown after those of one layer

feature_option = partial(Option, group=Group.FEATURES)
_output_option = partial(Option, group=Group.OUTPUT)
_audio_option = partial(Option, group=Group.AUDIO)
_input_option = partial(Option, group=Group.INPUTS)
_check_option = partial(Option, group=Group.CHECKS)
_run_option = partial(Option, group=Group.RUNNING)


# Inputs

INPUTS = [
    # Not required by Click: a list may name them all.
    click.Argument(["inputs"], nargs=-1, type=click.Path()),
    _input_option(
        "--files-from",
        metavar="LIST",
        type=click.Path(),
        help="Read names of inputs from this file, one a line. -: standard input. A list from "
        "a pipe is processed while it is written.",
    ),
    _input_option(
        "-0", "--null", help="Names in --files-from end in NUL, as find -print0 writes them."
    ),
    _input_option(
        "--root",
        type=click.Path(),
        help="Folder that keys are relative to. The key of an input is its name in the output.",
    ),
    _input_option(
        "--hidden",
        help="Include hidden files and folders. Those are names that begin with a dot, recycle "
        "bins, lost+found and the like.",
    ),
    _input_option(
        "--segments",
        metavar="TABLE",
        type=click.Path(),
        multiple=True,
        show_default="whole recordings",
        help="Extract the segments of recordings that this table names, or the tables in this "
        "folder; repeatable. Tables are CSV with the columns path, start and end, and if they have "
        "them label and channel; selection tables of Raven; or label tracks of Audacity. Without "
        "INPUTS, the recordings are those that the tables name.",
    ),
    _input_option(
        "--clip",
        metavar="SECONDS",
        type=click.FloatRange(min=0.0, min_open=True),
        show_default="whole recordings",
        help="Cut every recording into clips of this length. The last one may be shorter.",
    ),
    _input_option(
        "--overlap",
        metavar="SECONDS",
        type=click.FloatRange(min=0.0),
        show_default="0",
        help="Overlap of successive clips of --clip.",
    ),
    _input_option(
        "--reference",
        type=click.Choice(REFERENCES),
        default=ExtractionSettings.reference,
        help="Value at 0 dB of a segment or clip in decibels. segment: its own largest value. "
        "recording: that of its recording.",
    ),
    _input_option(
        "--shard",
        metavar="I/N",
        type=parsed(Shard.parse),
        show_default="all inputs",
        help="Process part I of N parts of the inputs, I from 1. The parts have about the same "
        "size; merge joins their outputs.",
    ),
]

# Which samples are used, and which inputs are accepted

AUDIO = [
    _audio_option(
        "--sr",
        is_usual=True,
        metavar="HZ",
        type=WholeNumber(1, "sample rates of files are whole numbers of Hz"),
        show_default="the first input's",
        help="Sample rate of the run. An input of another rate fails, unless --resample is given.",
    ),
    _audio_option(
        "--resample", is_usual=True, help="Convert inputs of other sample rates to --sr."
    ),
    _audio_option(
        "--channel",
        "channels",
        is_usual=True,
        type=WholeNumber(0),
        multiple=True,
        show_default="all",
        help="Channel to use, from 0; repeatable. Channels keep the order in which they are given.",
    ),
    _audio_option("--mono", help="Average all channels, or those of --channel, into one."),
    _input_option(
        "--raw-format",
        metavar="ENCODING,RATE,CHANNELS",
        type=parsed(RawFormat.parse),
        show_default="inputs have headers",
        help="Format of inputs without a header, for instance s16le,44100,2. "
        f"Encodings: {', '.join(RAW_ENCODINGS)}.",
    ),
    _check_option(
        "--allow-truncated",
        help="Accept files with fewer or more samples than their headers state. n_missing in "
        "the metadata is the difference.",
    ),
    _check_option(
        "--non-finite",
        type=click.Choice(NON_FINITE),
        default=AudioSettings.non_finite,
        help="Treatment of NaN and infinite samples. fail: their file fails. zero: they become "
        "0. keep: they stay.",
    ),
    _check_option(
        "--verify-audio/--no-verify-audio",
        default=AudioSettings.verify_audio,
        help="Compare FLAC samples with the MD5 in their header.",
    ),
    _check_option(
        "--max-samples",
        type=WholeNumber(1),
        show_default="no limit",
        help="Reject files with more samples per channel than this.",
    ),
]

# The output


def output_option(*, is_stream: bool) -> Option:
    """Return the option of the output; ``is_stream``: it may be standard output."""
    kinds, stream = ".h5, .npy or a folder", " It is never one of the inputs."
    if is_stream:
        kinds = ".h5, .npy, a folder or -"
        stream = " -: .npy arrays one after another on standard output."
    return _output_option(
        "-o",
        "--output",
        is_usual=True,
        required=is_stream,  # the error of merge itself shows where the output's name goes
        type=click.Path(),  # as it is written: a / at its end matters
        help=f"Output: {kinds}. *.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single "
        "input. A name without a suffix, or with a / at its end: a folder of .npy files."
        f"{stream}",
    )


class ExtensibleChoice(click.Choice[str]):
    """A choice that installed packages may extend; they are searched if necessary."""

    def __init__(self, built_in: Iterable[str], listed: Callable[[], Iterable[str]]) -> None:
        self._built_in = tuple(built_in)
        self._listed = listed
        self.case_sensitive = True

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """All choices."""
        return tuple(self._listed())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the choice that a text names."""
        return value if value in self._built_in else super().convert(value, param, ctx)


def format_option(*, is_stream: bool) -> Option:
    """Return the option that selects one of the output formats."""
    return _output_option(
        "--format",
        "format_",
        type=ExtensibleChoice(
            (one.name for one in built_in_formats() if is_stream or not one.is_stream),
            lambda: (one.name for one in all_formats(streams=is_stream)),
        ),
        show_default="by the suffix of --output",
        help="Format of the output.",
    )


OVERWRITE = _output_option(
    "--overwrite",
    is_usual=True,
    help="Replace an existing output. It stays until the new one is complete.",
)
SCALES = _output_option(
    "--dimension-scales",
    help="Give HDF5 output dimension scales. Programs that read netCDF (xarray, MATLAB, "
    "Panoply) take seconds and Hz from them.",
)
OUTPUT = [
    output_option(is_stream=True),
    OVERWRITE,
    _output_option(
        "--resume",
        is_usual=True,
        type=click.Choice(RESUMES),
        metavar="[=content]",
        help="Continue an interrupted run, or update an output. Arrays are kept of inputs "
        "whose path, size and modification time are unchanged (=content: whose bytes are "
        "unchanged).",
    ),
    format_option(is_stream=True),
    _output_option(
        "--dtype",
        type=click.Choice(DTYPES),
        default=OutputSettings.dtype,
        help="Data type in which the arrays are stored.",
    ),
    _output_option(
        "--compression",
        type=ExtensibleChoice(
            (name for one in built_in_formats() for name in one.compressions), compressions
        ),
        default=OutputSettings.compression,
        help="Compression of HDF5 output.",
    ),
    SCALES,
]

# Running

QUIET = _run_option("-q", "--quiet", help="Print only failures, warnings and errors.")
RUNNING = [
    _check_option(
        "--max-failures",
        type=parsed(MaxFailures.parse),
        metavar="N|N%",
        show_default="no limit",
        help="Stop when more inputs than this have failed. Finished work is kept for --resume, "
        "and no output is written.",
    ),
    _run_option(
        "--dry-run",
        help="Print what would be computed and written, and do nothing else. Only the headers "
        "of the inputs are read.",
    ),
    _run_option(
        "-j",
        "--jobs",
        type=WholeNumber(1),
        show_default="one for each processor",
        help="Number of worker processes that decode and compute. It changes speed and "
        "memory, never the result.",
    ),
    _run_option(
        "--engine",
        type=click.Choice(ENGINE_CHOICES),
        default=ENGINE_CHOICES[0],
        help="Library that computes the transform. numpy: NumPy, which does not wait for "
        "TensorFlow to be imported. keras: the Keras layer itself. They agree up to rounding. "
        "auto: numpy, unless the layer has trained weights.",
    ),
    _run_option(
        "--batch-size",
        type=WholeNumber(1),
        metavar="FRAMES",
        show_default="chosen by --n-dft and --n-hop",
        help="Number of frames that are computed at once. It is rounded up to a multiple of "
        "16, and changes speed and memory, never the result.",
    ),
    _run_option(
        "--report",
        type=PathOrStream(),
        help="Write a report to this file: a line of JSON for each finished input, and one "
        "with the totals. -: standard output.",
    ),
    QUIET,
    _run_option("-v", "--verbose", help="Print versions and a line for each finished input."),
]


def output_settings(options: Mapping[str, Any]) -> OutputSettings:
    """Return the settings of the output."""
    names = [one.name for one in fields(OutputSettings) if one.name not in ("path", "format")]
    return OutputSettings(
        path=output_path(options["output"]),
        format=options["format_"] or format_of(options["output"]),
        **{name: options[name] for name in names},
    )


def requested_rate(options: Mapping[str, Any], layer: LayerConfig | None = None) -> int | None:
    """Return the sample rate in Hz that options or a layer state, ``None``: the inputs decide."""
    if options["sr"] is None and layer is not None and layer.required_sr is not None:
        return int(layer.required_sr)
    if options["sr"] is None and options["raw_format"] is not None:
        return int(options["raw_format"].sr)
    return options["sr"]


def clip_settings(options: Mapping[str, Any]) -> ClipSettings | None:
    """Return how recordings are cut into clips; ``None``: they are not."""
    if options["clip"] is None:
        return None
    return ClipSettings(clip=options["clip"], overlap=options["overlap"] or 0.0)


def audio_settings(options: Mapping[str, Any], sr: int) -> AudioSettings:
    """Return the settings of the inputs."""
    chosen = {one.name: options[one.name] for one in fields(AudioSettings) if one.name != "sr"}
    return AudioSettings(**{**chosen, "sr": sr, "channels": options["channels"] or None})


# Layers


def layer_options(config: type[LayerConfig]) -> dict[str, Option]:
    """Return the options of a layer's arguments, by their names with underscores."""
    hints = get_type_hints(config)
    defaults = {one.name: one.default for one in fields(config)}
    made = {
        option.name or name: _option(option.name or name, option, hints[name], defaults[name])
        for name, option in command_options(config).items()
    }
    last = {name: made.pop(name) for name in _OF_ANY_LAYER if name in made}
    return made | last


def _option(name: str, option: CommandOption, hint: Any, default: Any) -> Option:
    attributes: dict[str, Any] = {"help": option.help, "is_usual": option.is_usual}
    spelled = f"--{name.replace('_', '-')}"
    if option.metavar is not None:
        attributes["metavar"] = option.metavar
    if default is None and option.default_text is not None:
        attributes["show_default"] = option.default_text
    else:
        attributes["default"] = default
    if hint is bool:
        spelled = f"{spelled}/--no-{spelled[2:]}"
    elif option.parse is not None:
        attributes["type"] = parsed(option.parse)
    elif option.choices:
        attributes["type"] = click.Choice(option.choices)
    elif hint in (int, int | None):
        attributes["type"] = WholeNumber(int(option.at_least or 0))
    elif option.above is not None:
        attributes["type"] = click.FloatRange(min=option.above, min_open=True)
    else:
        attributes["type"] = click.FloatRange(min=option.at_least)
    return feature_option(spelled, **attributes)


def layer_config(config: type[LayerConfig], options: Mapping[str, Any], sr: int) -> LayerConfig:
    """Return a layer's arguments from the options of a command line."""
    arguments: dict[str, Any] = {
        name: options[option.name or name] for name, option in command_options(config).items()
    }
    if "sr" in {one.name for one in fields(config)}:
        arguments["sr"] = sr
    return config(**arguments)
