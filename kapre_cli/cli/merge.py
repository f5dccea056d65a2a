"""``kapre-extract merge``."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from kapre_cli.cli.command import Command
from kapre_cli.cli.error_text import error_text
from kapre_cli.cli.options import Group, Option
from kapre_cli.cli.run_options import OVERWRITE, QUIET, SCALES, format_option, output_option
from kapre_cli.cli.signals import ignore_signals, interruptible_waits
from kapre_cli.errors import OutputError, StoredDataError, UsageError
from kapre_cli.exit_codes import Stopped
from kapre_cli.run_result import RunResult
from kapre_cli.settings import OutputSettings
from kapre_cli.settings.formats import format_of, output_path
from kapre_cli.text import counted, quoted
from kapre_cli.version import PROGRAM

_SHOWN = 4  # inputs, in a message


@click.command(
    cls=Command,
    params=[
        click.Argument(["inputs"], nargs=-1, required=True, type=click.Path(path_type=Path)),
        output_option(is_stream=False),
        OVERWRITE,
        format_option(is_stream=False),
        SCALES,
        Option(
            "--allow-missing",
            group=Group.CHECKS,
            help="Merge shards although some of them are missing.",
        ),
        QUIET,
    ],
    short_help="Merge outputs into one.",
)
@interruptible_waits()
def merge(
    inputs: tuple[Path, ...],
    output: str | None,
    format_: str | None,
    dimension_scales: bool,
    overwrite: bool,
    allow_missing: bool,
    quiet: bool,
) -> int:
    """Merge INPUTS, outputs of one layer and the same settings, into one output.

    All shards of a run give the same bytes as a run without shards, in any order. An existing
    output is never replaced if it has arrays that INPUTS lack.

    \b
    Two shards of a run, and the output of both:
      kapre-extract melspectrogram sample_audio -o part-1.h5 --shard 1/2
      kapre-extract melspectrogram sample_audio -o part-2.h5 --shard 2/2
      kapre-extract merge part-*.h5 -o all.h5
    """  # noqa: D301 - Click needs the backspace itself
    if output is None:
        raise click.UsageError(f"Missing option '-o': {_with_output(inputs)}")
    if output == "-":
        raise click.UsageError(
            "Outputs cannot be merged into standard output (-). A folder called - is ./-"
        )
    from kapre_cli import merge as merging
    from kapre_cli.cli.terminal import Terminal  # not needed for --help

    settings = OutputSettings(
        path=output_path(output),
        format=format_ or format_of(output, streams=False),
        dimension_scales=dimension_scales,
        overwrite=overwrite,
    )
    with Terminal(quiet=quiet) as terminal:
        result = RunResult(terminal)
        try:
            merging.merge(settings, inputs, result, allow_missing=allow_missing)
        except UsageError:  # a recording among the inputs is a StoredDataError too
            raise
        except (OutputError, StoredDataError) as error:
            terminal.say(f"{PROGRAM}: Error: {error_text(error)}")
            result.is_broken = True
        except Stopped:
            if not result.output:
                raise  # else the output is in its place: there was nothing left to stop
        ignore_signals()
    end = "no output is written or changed"
    if result.output:
        end = f"{counted(result.n_written, 'array')} -> {quoted(output)}"
    if not quiet:
        click.echo(f"{counted(len(inputs), 'output')}: {end}", err=True)
    return result.exit_code


def _with_output(inputs: Sequence[Path]) -> str:
    """Return the corrected command; a first name that does not exist was the output."""
    output = "OUTPUT"
    if len(inputs) > 1 and not inputs[0].exists():
        output, inputs = shlex.quote(str(inputs[0])), inputs[1:]
    named = " ".join(shlex.quote(str(path)) for path in inputs[:_SHOWN])
    more = " ..." if len(inputs) > _SHOWN else ""
    return f"name the output with -o: {PROGRAM} merge {named}{more} -o {output}"
