"""Options that say which samples of an input are used, and which inputs are accepted."""

from typing import Any

import click

from kapre_cli.cli.help_text import Group
from kapre_cli.cli.options.declaring import (
    Decorator,
    Parsed,
    WholeNumber,
    defaults,
    option,
    together,
)
from kapre_cli.settings import NON_FINITE, RAW_ENCODINGS, AudioSettings, RawFormat


def audio_options() -> Decorator[Any]:
    """Return the options that say which samples are used, and which inputs are accepted."""
    default = defaults(AudioSettings)
    return together(
        option(
            "--sr",
            group=Group.AUDIO,
            is_usual=True,
            metavar="HZ",
            type=WholeNumber(1, "sample rates of files are whole numbers of Hz"),
            show_default="the first input's",
            help="Sample rate of the run. An input of another rate fails, unless --resample is "
            "given.",
        ),
        option(
            "--resample",
            group=Group.AUDIO,
            is_usual=True,
            is_flag=True,
            help="Convert inputs of other sample rates to --sr.",
        ),
        option(
            "--channel",
            "channels",
            group=Group.AUDIO,
            is_usual=True,
            type=WholeNumber(0),
            multiple=True,
            metavar="N",
            show_default="all",
            help="Channel to use, from 0; repeatable. Channels keep the order in which they are "
            "given.",
        ),
        option(
            "--mono",
            group=Group.AUDIO,
            is_flag=True,
            help="Average all channels, or those of --channel, into one.",
        ),
        option(
            "--raw-format",
            group=Group.INPUTS,
            metavar="ENCODING,RATE,CHANNELS",
            type=Parsed(RawFormat, "raw format"),
            show_default="inputs have headers",
            help="Format of inputs without a header, for instance s16le,44100,2. "
            f"Encodings: {', '.join(RAW_ENCODINGS)}.",
        ),
        option(
            "--allow-truncated",
            group=Group.CHECKS,
            is_flag=True,
            help="Accept files with fewer or more samples than their headers state. n_missing in "
            "the metadata is the difference.",
        ),
        option(
            "--non-finite",
            group=Group.CHECKS,
            type=click.Choice(NON_FINITE),
            default=default["non_finite"],
            show_default=True,
            help="Treatment of NaN and infinite samples. fail: their file fails. zero: they become "
            "0. keep: they stay.",
        ),
        option(
            "--verify-audio/--no-verify-audio",
            group=Group.CHECKS,
            default=default["verify_audio"],
            show_default=True,
            help="Compare FLAC samples with the MD5 in their header.",
        ),
        option(
            "--max-frames",
            group=Group.CHECKS,
            metavar="N",
            type=WholeNumber(1),
            show_default="no limit",
            help="Reject files with more samples per channel than this.",
        ),
    )
