"""``kapre-extract verify``."""

from pathlib import Path

import click

from kapre_cli.cli.options.declaring import WholeNumber
from kapre_cli.cli.options.inspection import output_argument
from kapre_cli.cli.printing import PlainCommand, put


@click.command(cls=PlainCommand, short_help="Check that an output is whole and right.")
@output_argument()
@click.option(
    "--against",
    metavar="AUDIO",
    type=click.Path(path_type=Path),
    help="Compute a sample of the inputs anew from the audio in this folder, which their names "
    "are relative to, or from this file.",
)
@click.option(
    "--sample",
    metavar="N",
    type=WholeNumber(1),
    show_default="10",
    help="How many inputs, spread over the output, are computed anew.",
)
@click.option("--all", "every", is_flag=True, help="Compute every input anew.")
def verify(output: Path, against: Path | None, sample: int | None, every: bool) -> int:
    """Check that OUTPUT is whole: every array there, of the right shape, finite, undamaged.

    What is wrong is named. Exits with 0 if nothing is, else with 1.

    \b
    kapre-extract verify mels.h5
    kapre-extract verify mels.h5 --against recordings/ --all
    """  # noqa: D301 - Click needs the backspace itself
    if against is None and (sample is not None or every):
        raise click.UsageError("--sample and --all say how much is computed anew: add --against.")
    if sample is not None and every:
        raise click.UsageError("--sample and --all exclude one another.")
    from kapre_cli.cli.terminal import Terminal  # NumPy only where it is needed
    from kapre_cli.inspection.verify import SAMPLE
    from kapre_cli.inspection.verify import verify as verified

    number = None if every else sample or SAMPLE
    with Terminal() as terminal:
        verdict = verified(output, terminal.put, against, number, terminal)
    put(verdict.closing())
    return verdict.exit_code
