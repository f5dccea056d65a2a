"""The commands on outputs: ``info``, ``verify``, ``compare`` and ``merge``."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from kapre_cli.cli.command import Command
from kapre_cli.cli.like import settings_text
from kapre_cli.cli.options import Group, Option, WholeNumber, as_option, error_text
from kapre_cli.cli.run_options import OVERWRITE, QUIET, SCALES, format_option, output_option
from kapre_cli.cli.signals import executor, ignore_signals, interruptible_waits
from kapre_cli.cli.streams import echo
from kapre_cli.errors import NotAnOutputError, OutputError, StoredDataError, UsageError
from kapre_cli.exit_codes import Stopped
from kapre_cli.run_result import RunResult
from kapre_cli.settings import OutputSettings
from kapre_cli.settings.formats import format_of, output_path
from kapre_cli.text import counted, quoted
from kapre_cli.version import PROGRAM

_SHOWN = 4  # inputs, in a message


def _output_argument(name: str = "output", metavar: str = "OUTPUT") -> click.Argument:
    return click.Argument([name], metavar=metavar, type=click.Path(path_type=Path))


@click.command(
    cls=Command,
    params=[
        _output_argument(),
        click.Argument(["keys"], nargs=-1, metavar="[KEY]..."),
        Option("--json", "as_json", help="Print one JSON object."),
        Option(
            "--config",
            "as_config",
            allow_from_autoenv=False,  # the variable names a file
            help="Print layer and settings as a TOML file for --config of the command that "
            "extracts.",
        ),
    ],
    short_help="Summarize an output, or inspect a recording.",
)
@interruptible_waits()
def info(output: Path, keys: tuple[str, ...], as_json: bool, as_config: bool) -> int:
    """Summarize OUTPUT: layer, settings, sizes, and inputs that differ from the rest.

    KEYs select single inputs. If OUTPUT is a recording, its header is shown. No array is read.

    \b
    What an output contains:
      kapre-extract info mels.h5

    \b
    One of its inputs:
      kapre-extract info mels.h5 "four microphones.wav"

    \b
    Its settings, as a file for --config:
      kapre-extract info mels.h5 --config

    \b
    A recording:
      kapre-extract info sample_audio/bird.flac
    """  # noqa: D301 - Click needs the backspace itself
    if as_config and (as_json or keys):
        raise click.UsageError(
            "--config prints the settings of a whole output; give it without --json and KEYs."
        )
    from kapre_cli.formats.metadata import dumps
    from kapre_cli.inspect import summary  # NumPy only where it is needed

    if as_config:
        echo(settings_text(output))
        return 0
    try:
        description = summary.summary(output, keys)
        if keys:
            parts = [summary.input_lines(one, description["axes"]) for one in description["inputs"]]
        else:
            parts = [summary.summary_lines(description)]
    except NotAnOutputError:
        if keys:
            raise UsageError(
                f"{quoted(output)} is a recording, not an output: it has no keys"
            ) from None
        description = summary.recording(output, error_text)
        parts = [summary.recording_lines(description)]
    echo(dumps(description) if as_json else "\n\n".join("\n".join(part) for part in parts))
    return 0


@click.command(
    cls=Command,
    params=[
        _output_argument(),
        Option(
            "--against",
            metavar="AUDIO",
            type=click.Path(path_type=Path),
            help="Recompute inputs from this audio, and compare. It is the folder that the keys "
            "are relative to, or a file.",
        ),
        Option(
            "--sample",
            type=WholeNumber(1),
            show_default="10",
            help="Number of inputs to recompute, evenly spaced over the output.",
        ),
        Option("--all", "recompute_all", help="Recompute every input."),
    ],
    short_help="Check that an output is complete and correct.",
)
def verify(output: Path, against: Path | None, sample: int | None, recompute_all: bool) -> int:
    """Check that OUTPUT is complete, undamaged and consistent with its metadata.

    Every array is read. The exit code is 1 if anything is wrong, and each fault has a line.

    \b
    An output by itself:
      kapre-extract verify mels.h5

    \b
    Compared with what its recordings give now:
      kapre-extract verify mels.h5 --against sample_audio --all
    """  # noqa: D301 - Click needs the backspace itself
    if against is None and (sample is not None or recompute_all):
        raise click.UsageError(
            "--sample and --all are about the inputs to recompute: add --against."
        )
    if sample is not None and recompute_all:
        raise click.UsageError("--sample and --all exclude one another.")
    with (
        interruptible_waits()
        if against is None
        else executor(remedy="nothing was changed") as computing
    ):
        from kapre_cli.cli.terminal import Terminal  # NumPy only where it is needed
        from kapre_cli.event_text import event_text
        from kapre_cli.events import Event, FaultEvent
        from kapre_cli.inspect import verify as inspection

        number = None if recompute_all else sample or inspection.SAMPLE
        with Terminal() as terminal:

            def show(event: Event) -> None:
                if isinstance(event, FaultEvent) and (text := event_text(event)) is not None:
                    terminal.echo(text.spelled(as_option))
                else:
                    terminal(event)

            result = inspection.verify(output, against, number, show, computing)
        echo(result.summary())
        return result.exit_code


@click.command(
    cls=Command,
    params=[
        _output_argument("one", "A"),
        _output_argument("other", "B"),
        Option(
            "--rtol",
            metavar="R",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Relative tolerance: the allowed difference, as a fraction of the value in B.",
        ),
        Option(
            "--atol",
            metavar="D",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Absolute tolerance, which is added to that of --rtol.",
        ),
    ],
    short_help="Compare two outputs.",
)
@interruptible_waits()
def compare(one: Path, other: Path, rtol: float, atol: float) -> int:
    """Compare the outputs A and B, of any formats, input by input.

    The exit code is 0 if both have the same inputs and, within the tolerance, the same values;
    else it is 1. Settings and versions that differ are shown.

    \b
    An output and an earlier one:
      kapre-extract melspectrogram sample_audio -o new.h5
      kapre-extract compare mels.h5 new.h5

    \b
    With a tolerance of a millionth of each value:
      kapre-extract compare mels.h5 new.h5 --rtol 1e-6
    """  # noqa: D301 - Click needs the backspace itself
    from kapre_cli.cli.terminal import Terminal  # NumPy only where it is needed
    from kapre_cli.inspect.compare import Tolerance, comparison_lines
    from kapre_cli.inspect.compare import compare as compared

    tolerance = Tolerance(rtol, atol)
    with Terminal() as terminal:
        found = compared(one, other, tolerance, terminal)
    echo("\n".join(comparison_lines(found)))
    return found.exit_code


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
    from kapre_cli import merging
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
            terminal.print_error(error)
            result.is_broken = True
        except Stopped:
            if not result.output:
                raise  # else the output is complete: nothing was left to stop
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
