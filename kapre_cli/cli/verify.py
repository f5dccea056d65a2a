"""``kapre-extract verify``."""

from pathlib import Path

import click

from kapre_cli.cli.commands import Command
from kapre_cli.cli.executors import executor
from kapre_cli.cli.help_text import Option
from kapre_cli.cli.options import WholeNumber, output_argument
from kapre_cli.cli.signals import heard
from kapre_cli.cli.standard_output import put


@click.command(
    cls=Command,
    params=[
        output_argument(),
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
        Option("--all", "every", is_flag=True, help="Recompute every input."),
    ],
    short_help="Check that an output is complete and correct.",
)
def verify(output: Path, against: Path | None, sample: int | None, every: bool) -> int:
    """Check that OUTPUT is complete, undamaged and consistent with its metadata.

    Every array is read. The exit code is 1 if anything is wrong, and each fault has a line.

    \b
    An output by itself:
      kapre-extract verify mels.h5

    \b
    Compared with what its recordings give now:
      kapre-extract verify mels.h5 --against sample_audio --all
    """  # noqa: D301 - Click needs the backspace itself
    if against is None and (sample is not None or every):
        raise click.UsageError(
            "--sample and --all say how many inputs are recomputed: add --against."
        )
    if sample is not None and every:
        raise click.UsageError("--sample and --all exclude one another.")
    with heard() if against is None else executor(remedy="nothing was changed") as computing:
        from kapre_cli.cli.terminal import Terminal  # NumPy only where it is needed
        from kapre_cli.inspection import verify as inspection

        number = None if every else sample or inspection.SAMPLE
        with Terminal() as terminal:
            verdict = inspection.verify(output, terminal.put, against, number, terminal, computing)
        put(verdict.closing())
        return verdict.exit_code
