"""The options of the commands, each declared once; defaults and choices are the library's own."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click

from kapre_cli.settings import (
    COMPRESSIONS,
    DATA_FORMATS,
    DTYPES,
    ENGINES,
    FORMATS,
    NON_FINITE,
    PADDINGS,
    RESUMES,
    AudioSettings,
    LayerConfig,
    MelspectrogramConfig,
    OutputSettings,
)

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]


class _Norm(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """``slaney``, ``none``, or a number, ``inf`` included."""

    name = "norm"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or value == "slaney":
            return value
        if value == "none":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not 'slaney', 'none' or a number.", param, ctx)


class ExtractingCommand(click.Command):
    """A command whose ``--resume`` takes a value only if that is attached, as in ``--resume=x``.

    Click would take the next argument, an input, for the value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Attach the value that a bare ``--resume`` stands for."""
        end = args.index("--") if "--" in args else len(args)
        bare = f"--resume={RESUMES[0]}"
        options = [bare if argument == "--resume" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def _together(*options: Decorator[Any]) -> Decorator[Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _defaults(settings: type[Any]) -> dict[str, Any]:
    return {field.name: field.default for field in fields(settings)}


def layer_options(config: type[LayerConfig]) -> Decorator[Any]:
    """Return the options that describe a layer, with the layer's own defaults."""
    default = _defaults(config)
    return _together(
        click.option(
            "--n-dft",
            metavar="N",
            type=click.IntRange(min=2),
            default=default["n_dft"],
            show_default=True,
            help="Samples in a frame; a power of two is fastest.",
        ),
        click.option(
            "--n-hop",
            metavar="N",
            type=click.IntRange(min=1),
            show_default="half of --n-dft",
            help="Samples from frame to frame.",
        ),
        click.option(
            "--padding",
            type=click.Choice(PADDINGS),
            default=default["padding"],
            show_default=True,
            help="same: a frame at every hop, zeros laid around the signal. "
            "valid: only frames wholly inside the signal.",
        ),
        click.option(
            "--power",
            metavar="P",
            type=click.FloatRange(min=0, min_open=True),
            default=default[config.power_name],
            show_default=True,
            help="Exponent of the magnitudes: 2 for power, 1 for amplitude.",
        ),
        click.option(
            "--decibel/--no-decibel",
            default=default[config.decibel_name],
            show_default=True,
            help="10*log10 of the result, relative to the input's own largest value, floored at "
            "-80.",
        ),
        click.option(
            "--data-format",
            type=click.Choice(("default", *DATA_FORMATS)),
            default=default["image_data_format"],
            show_default=True,
            help="Where the channel axis stands; default: as Keras is configured.",
        ),
    )


def mel_options() -> Decorator[Any]:
    """Return the options that only the mel layer has."""
    default = _defaults(MelspectrogramConfig)
    return _together(
        click.option(
            "--n-mels",
            metavar="N",
            type=click.IntRange(min=1),
            default=default["n_mels"],
            show_default=True,
            help="Number of mel bands.",
        ),
        click.option(
            "--fmin",
            metavar="HZ",
            type=click.FloatRange(min=0),
            default=default["fmin"],
            show_default=True,
            help="Lower edge of the lowest band in Hz.",
        ),
        click.option(
            "--fmax",
            metavar="HZ",
            type=click.FloatRange(min=0, min_open=True),
            show_default="half the sample rate",
            help="Upper edge of the highest band in Hz.",
        ),
        click.option(
            "--htk/--no-htk",
            default=default["htk"],
            show_default=True,
            help="HTK's mel scale instead of Slaney's.",
        ),
        click.option(
            "--norm",
            type=_Norm(),
            metavar="slaney|none|P",
            default=default["norm"],
            show_default=True,
            help="slaney: bands of equal area. none: peaks of 1. A number or inf: divide "
            "each band by that p-norm of its weights.",
        ),
    )


def audio_options() -> Decorator[Any]:
    """Return the options that say what is taken of every input."""
    default = _defaults(AudioSettings)
    return _together(
        click.option(
            "--sr",
            metavar="HZ",
            type=click.IntRange(min=1),
            show_default="the first input's",
            help="Sample rate in Hz that inputs must have.",
        ),
        click.option(
            "--resample", is_flag=True, help="Convert inputs of another rate to the run's rate."
        ),
        click.option(
            "--channel",
            "channels",
            type=click.IntRange(min=0),
            multiple=True,
            metavar="N",
            show_default="all, in order",
            help="Take this channel, counted from 0; repeatable.",
        ),
        click.option("--mono", is_flag=True, help="Average the channels taken into one."),
        click.option(
            "--allow-truncated",
            is_flag=True,
            help="Take what there is of files that hold fewer or more frames than their headers "
            "promise; they are marked in the facts.",
        ),
        click.option(
            "--non-finite",
            type=click.Choice(NON_FINITE),
            default=default["non_finite"],
            show_default=True,
            help="NaN and infinite samples: fail their file, take them as 0, or keep them.",
        ),
        click.option(
            "--verify-audio/--no-verify-audio",
            default=default["verify_audio"],
            show_default=True,
            help="Hold FLAC samples against the MD5 in their header.",
        ),
        click.option(
            "--max-frames",
            metavar="N",
            type=click.IntRange(min=1),
            show_default="no limit",
            help="Fail files of more samples than this in each channel.",
        ),
    )


def output_options() -> Decorator[Any]:
    """Return the inputs' argument and the options that say where features go."""
    default = _defaults(OutputSettings)
    return _together(
        click.argument("inputs", nargs=-1, required=True, type=click.Path()),
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(path_type=Path),
            help="*.h5 or *.hdf5: one HDF5 file. *.npy: the array of a single input. "
            "Anything else: a folder of .npy files.",
        ),
        click.option(
            "--format",
            "format_",
            type=click.Choice(FORMATS),
            show_default="by the suffix of --output",
            help="The output's format.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(DTYPES),
            default=default["dtype"],
            show_default=True,
            help="Type in which the float32 results are stored.",
        ),
        click.option(
            "--compression",
            type=click.Choice(COMPRESSIONS),
            default=default["compression"],
            show_default=True,
            help="Compression of HDF5 output.",
        ),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace an existing output, once the new one is complete.",
        ),
        click.option(
            "--resume",
            type=click.Choice(RESUMES),
            metavar="[=content]",
            help="Go on with an interrupted run, or bring an output up to date: keep the inputs "
            "whose path, size and time of change are the same (=content: whose bytes are).",
        ),
        click.option(
            "--root",
            type=click.Path(),
            help="Name every input by its path below this folder.",
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            metavar="FRAMES",
            show_default="by --n-dft and --n-hop",
            help="Frames computed at once, rounded up to a multiple of 16: speed and memory, "
            "never the result.",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default=ENGINES[0],
            show_default=True,
            help="numpy: compute what the layer does, without the seconds that importing "
            "TensorFlow takes. keras: run the layer itself. They agree but for rounding.",
        ),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(min=1),
            metavar="N",
            show_default="as suits the inputs",
            help="Inputs read and decoded at once: speed and memory, never the result.",
        ),
    )
