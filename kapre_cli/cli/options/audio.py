"""The options that say what is taken of every input."""

from typing import Any

import click

from kapre_cli.cli.options.declaring import Decorator, WholeNumber, defaults, together
from kapre_cli.errors import SettingsError
from kapre_cli.settings import NON_FINITE, RAW_ENCODINGS, AudioSettings, RawFormat


class _Raw(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """How samples lie in a file without a header."""

    name = "raw format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, RawFormat) else RawFormat.parse(value)
        except SettingsError as error:
            self.fail(str(error), param, ctx)


def audio_options() -> Decorator[Any]:
    """Return the options that say what is taken of every input."""
    default = defaults(AudioSettings)
    return together(
        click.option(
            "--sr",
            metavar="HZ",
            type=WholeNumber(1, "sample rates of files are whole numbers of Hz"),
            show_default="the first input's",
            help="Sample rate in Hz that inputs must have.",
        ),
        click.option(
            "--resample", is_flag=True, help="Convert inputs of another rate to the run's rate."
        ),
        click.option(
            "--channel",
            "channels",
            type=WholeNumber(0),
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
            type=WholeNumber(1),
            show_default="no limit",
            help="Fail files of more samples than this in each channel.",
        ),
        click.option(
            "--raw-format",
            metavar="ENCODING,RATE,CHANNELS",
            type=_Raw(),
            show_default="inputs have headers",
            help="What the inputs, which have no header then, hold: s16le,44100,2 for instance. "
            f"Encodings: {', '.join(RAW_ENCODINGS)}.",
        ),
    )
