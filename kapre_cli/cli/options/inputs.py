"""Options that name the inputs, say which samples are used, and which inputs are accepted."""

from functools import partial

import click

from kapre_cli.cli.help_text import Group, Option
from kapre_cli.cli.options.declaring import Parsed, WholeNumber, defaults
from kapre_cli.settings import NON_FINITE, RAW_ENCODINGS, AudioSettings, RawFormat, Shard

_input_option = partial(Option, group=Group.INPUTS)
_audio_option = partial(Option, group=Group.AUDIO)
_check_option = partial(Option, group=Group.CHECKS)


def input_options() -> list[click.Parameter]:
    """Return the argument that names the inputs, and the options that choose and name them."""
    return [
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
            "-0",
            "--null",
            is_flag=True,
            help="Names in --files-from end in NUL, as find -print0 writes them.",
        ),
        _input_option(
            "--root",
            type=click.Path(),
            help="Folder that keys are relative to. The key of an input is its name in the output.",
        ),
        _input_option(
            "--hidden",
            is_flag=True,
            help="Include hidden files and folders. Those are names that begin with a dot, recycle "
            "bins, lost+found and the like.",
        ),
        _input_option(
            "--shard",
            metavar="I/N",
            type=Parsed(Shard, "shard"),
            show_default="all inputs",
            help="Process part I of N parts of the inputs, I from 1. The parts have about the same "
            "size; merge joins their outputs.",
        ),
    ]


def audio_options() -> list[click.Parameter]:
    """Return the options that say which samples are used, and which inputs are accepted."""
    default = defaults(AudioSettings)
    return [
        _audio_option(
            "--sr",
            is_usual=True,
            metavar="HZ",
            type=WholeNumber(1, "sample rates of files are whole numbers of Hz"),
            show_default="the first input's",
            help="Sample rate of the run. An input of another rate fails, unless --resample is "
            "given.",
        ),
        _audio_option(
            "--resample",
            is_usual=True,
            is_flag=True,
            help="Convert inputs of other sample rates to --sr.",
        ),
        _audio_option(
            "--channel",
            "channels",
            is_usual=True,
            type=WholeNumber(0),
            multiple=True,
            show_default="all",
            help="Channel to use, from 0; repeatable. Channels keep the order in which they are "
            "given.",
        ),
        _audio_option(
            "--mono",
            is_flag=True,
            help="Average all channels, or those of --channel, into one.",
        ),
        _input_option(
            "--raw-format",
            metavar="ENCODING,RATE,CHANNELS",
            type=Parsed(RawFormat, "raw format"),
            show_default="inputs have headers",
            help="Format of inputs without a header, for instance s16le,44100,2. "
            f"Encodings: {', '.join(RAW_ENCODINGS)}.",
        ),
        _check_option(
            "--allow-truncated",
            is_flag=True,
            help="Accept files with fewer or more samples than their headers state. n_missing in "
            "the metadata is the difference.",
        ),
        _check_option(
            "--non-finite",
            type=click.Choice(NON_FINITE),
            default=default["non_finite"],
            help="Treatment of NaN and infinite samples. fail: their file fails. zero: they become "
            "0. keep: they stay.",
        ),
        _check_option(
            "--verify-audio/--no-verify-audio",
            default=default["verify_audio"],
            help="Compare FLAC samples with the MD5 in their header.",
        ),
        _check_option(
            "--max-frames",
            type=WholeNumber(1),
            show_default="no limit",
            help="Reject files with more samples per channel than this.",
        ),
    ]
