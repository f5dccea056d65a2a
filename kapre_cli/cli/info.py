"""``kapre-extract info``."""

from pathlib import Path

import click

from kapre_cli.cli.commands import PlainCommand
from kapre_cli.cli.help_text import Option
from kapre_cli.cli.options import output_argument
from kapre_cli.cli.standard_output import put
from kapre_cli.errors import NotAnOutputError, UsageError, quoted


@click.command(
    cls=PlainCommand,
    params=[
        output_argument(),
        click.Argument(["keys"], nargs=-1, metavar="[KEY]..."),
        Option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ],
    short_help="Summarize an output, or inspect a recording.",
)
def info(output: Path, keys: tuple[str, ...], as_json: bool) -> int:
    """Summarize OUTPUT: layer, settings, sizes, and the inputs that differ from the rest.

    KEYs select single inputs. If OUTPUT is a recording, its header is shown. No array is read.

    \b
    What an output contains:
      kapre-extract info mels.h5

    \b
    One of its inputs:
      kapre-extract info mels.h5 "four microphones.wav"

    \b
    A recording:
      kapre-extract info sample_audio/bird.flac
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.inspection.summary import summary  # NumPy only where it is needed
    from kapre_cli.inspection.telling import input_lines, summary_lines
    from kapre_cli.storage.metadata import dumps

    try:
        told = summary(output, keys)
    except NotAnOutputError:
        from kapre_cli.inspection.recording import recording

        if keys:
            raise UsageError(
                f"{quoted(output)} is a recording, not an output: it has no keys"
            ) from None
        header = recording(output)
        put(dumps(header.to_dict()) if as_json else "\n".join(header.lines()))
        return 0
    if as_json:
        put(dumps(told.to_dict()))
        return 0
    if keys:
        parts = [input_lines(one, told.root.layer.axes) for one in told.inputs]
    else:
        parts = [summary_lines(told)]
    put("\n\n".join("\n".join(part) for part in parts))
    return 0
