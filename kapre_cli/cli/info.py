"""``kapre-extract info``."""

from pathlib import Path

import click

from kapre_cli.cli.options.inspection import output_argument
from kapre_cli.cli.printing import PlainCommand, put
from kapre_cli.errors import NotAnOutputError, UsageError, quoted


@click.command(cls=PlainCommand, short_help="Say what is in an output, or of single inputs in it.")
@output_argument()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(output: Path, keys: tuple[str, ...], as_json: bool) -> int:
    """Say what is in OUTPUT: layer, settings, sizes, and the inputs that differ from the rest.

    With KEYs, what is known of these inputs. No array is read. Of a recording, what its header
    says.

    \b
    kapre-extract info mels.h5
    kapre-extract info mels.h5 "site a/night 1.wav"
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.inspection.summary import summary  # NumPy only where it is needed
    from kapre_cli.inspection.telling import input_lines, summary_lines
    from kapre_cli.storage.metadata import dumps

    try:
        told = summary(output, keys)
    except NotAnOutputError:
        return _of_recording(output, keys, as_json=as_json)
    if as_json:
        put(dumps(told.to_dict()))
        return 0
    if keys:
        parts = [input_lines(one, told.root.layer.axes) for one in told.inputs]
    else:
        parts = [summary_lines(told)]
    put("\n\n".join("\n".join(part) for part in parts))
    return 0


def _of_recording(path: Path, keys: tuple[str, ...], *, as_json: bool) -> int:
    """Print what the header of a recording says."""
    from kapre_cli.inspection.recording import recording
    from kapre_cli.storage.metadata import dumps

    if keys:
        raise UsageError(f"{quoted(path)} is a recording, not an output: it has no keys")
    told = recording(path)
    put(dumps(told.to_dict()) if as_json else "\n".join(told.lines()))
    return 0
