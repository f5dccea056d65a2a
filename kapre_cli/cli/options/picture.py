"""The options of a picture."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import click

from kapre_cli.cli.options.audio import audio_options
from kapre_cli.cli.options.declaring import Decorator, together
from kapre_cli.cli.options.layer import framing_options, mel_options
from kapre_cli.cli.options.voice import quiet_option
from kapre_cli.settings import MelspectrogramConfig


class TimeRange(NamedTuple):
    """A range of time in seconds.

    Attributes:
        start: Where it starts.
        end: Where it ends; ``None``: where the recording does.
    """

    start: float = 0.0
    end: float | None = None

    def __str__(self) -> str:
        return f"{self.start}:{'' if self.end is None else self.end}"


class _Range(click.ParamType):  # type: ignore[type-arg]  # generic only since Click 8.5
    """``START:END`` in seconds, either of which may be left out."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        start, colon, end = value.partition(":")
        try:
            seconds = TimeRange(float(start or 0), float(end) if end else None)
        except ValueError:
            seconds = TimeRange(math.nan)
        if not (colon and 0 <= seconds.start < math.inf):
            self.fail(
                f"{value!r} is not START:END in seconds, such as 1.5:3, 10: or :60.", param, ctx
            )
        if seconds.end is not None and not seconds.start < seconds.end:
            self.fail(f"{value!r} does not end after it starts.", param, ctx)
        return seconds


def picture_options() -> Decorator[Any]:
    """Return what names a picture and its source, and the options that say what it shows."""
    return together(
        click.argument("source", type=click.Path(path_type=Path)),
        click.argument("keys", nargs=-1, metavar="[KEY]..."),
        click.option(
            "-o",
            "--output",
            required=True,
            type=click.Path(path_type=Path),
            help="The picture: *.png, *.pdf or *.svg.",
        ),
        click.option("--overwrite", is_flag=True, help="Replace an existing picture."),
        click.option(
            "--time",
            type=_Range(),
            metavar="START:END",
            show_default="all",
            help="Seconds of the recording to show; either may be left out.",
        ),
        click.option(
            "--decibel/--no-decibel",
            default=True,
            show_default=True,
            help="Show power or amplitude in decibels below the largest value shown, down to -80.",
        ),
        click.option(
            "--mel",
            is_flag=True,
            help="Of audio: show mel bands, which the options from --n-mels to --norm describe.",
        ),
        framing_options(MelspectrogramConfig),
        mel_options(),
        audio_options(),
        quiet_option(),
    )
