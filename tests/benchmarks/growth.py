"""What the program takes as its work grows: in files, and in the length of one file.

    python -m tests.benchmarks.growth
    python -m tests.benchmarks.growth --files 1 1000 100000 --minutes

Files are WAV of 0.1 s, a thousand in a folder; lengths are those of one FLAC file at 44.1 kHz. Each
step is a whole process; one that is over soon is repeated, and the median taken. What a file or an
hour takes is the time above that of the smallest step, so neither imports nor what is done once are
in it: if it stays the same from step to step, the cost grows in proportion to the work. Memory is
looked at once a second, beside the kernel's own high-water mark of the largest process.

Inputs and outputs are made in a temporary folder and removed after each step. The largest steps
take a gigabyte or two of disk.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import program
from tests.benchmarks.inputs import Material, long, many
from tests.benchmarks.report import PROGRAM_LIBRARIES, machine, table, tell
from tests.benchmarks.timing import Spent, spend

FILES = (1, 10, 100, 1000, 10_000, 100_000)
MINUTES = (1, 10, 60, 600)

_ENOUGH_SECONDS = 30.0  # a step that has taken so long is not repeated
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Step:
    """Medians of what the program took for some amount of work.

    Attributes:
        amount: How much work: files, or minutes.
        wall: Seconds.
        cpu: Seconds of all cores.
        peak: Bytes of memory.
        rounds: How often it was run.
    """

    amount: int
    wall: float
    cpu: float
    peak: int
    rounds: int


def main() -> None:
    """Measure each step, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--files", nargs="*", type=int, default=FILES, metavar="N")
    parser.add_argument("--minutes", nargs="*", type=int, default=MINUTES, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, help="of a step, at most")
    program.add_option(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure = Measure(given.program, given.rounds, Path(scratch))
        if given.files:
            steps = [measure.step(n, many) for n in sorted(given.files)]
            tell(_table(steps, "files", 1e6, "µs", "a file") + "\n")
        if given.minutes:
            steps = [measure.step(n, long) for n in sorted(given.minutes)]
            tell(_table(steps, "minutes", 60.0, "s", "an hour") + "\n")
    tell(machine(PROGRAM_LIBRARIES))


class Measure:
    """Runs the program.

    Args:
        command: The program.
        rounds: How often a step is run at most.
        scratch: An empty folder to work in.
    """

    def __init__(self, command: Sequence[str], rounds: int, scratch: Path) -> None:
        self._command = command
        self._rounds = rounds
        self._scratch = scratch
        self._is_warm = False

    def step(self, amount: int, make: Callable[[Path, int], Material]) -> Step:
        """Return what some amount of work takes."""
        inputs, output = self._scratch / "inputs", self._scratch / "out.h5"
        command = program.extraction(self._command, make(inputs, amount), output)
        if not self._is_warm:
            spend(command)
            self._is_warm = True
        spent: list[Spent] = []
        while not spent or (
            len(spent) < self._rounds and sum(each.wall for each in spent) < _ENOUGH_SECONDS
        ):
            output.unlink(missing_ok=True)
            spent.append(spend(command, look_every=_LOOK_SECONDS))
        output.unlink()
        shutil.rmtree(inputs)
        step = Step(
            amount=amount,
            wall=statistics.median(each.wall for each in spent),
            cpu=statistics.median(each.cpu for each in spent),
            peak=max(each.peak for each in spent),
            rounds=len(spent),
        )
        sys.stderr.write(f"{amount:,}: {step.wall:.2f} s\n")
        return step


def _table(steps: Sequence[Step], unit: str, factor: float, seconds: str, each: str) -> str:
    """Return the table of some steps.

    Args:
        steps: The smallest first.
        unit: What their amounts count.
        factor: What turns seconds per amount into the figure to be printed.
        seconds: The unit of that figure,
        each: and of what.
    """
    first = steps[0]

    def row(step: Step) -> list[str]:
        more = step.amount - first.amount
        per = [(step.wall - first.wall) / more, (step.cpu - first.cpu) / more] if more else []
        return [
            f"{step.amount:,}",
            f"{step.wall:.2f}",
            f"{step.wall - first.wall:.2f}",
            *([f"{factor * value:,.1f}" for value in per] or ["", ""]),
            f"{step.peak / 1e6:.0f}",
            str(step.rounds),
        ]

    header = (
        unit,
        "wall s",
        "above the smallest s",
        f"{seconds} {each}",
        f"CPU {seconds} {each}",
        "memory MB",
        "runs",
    )
    return table(header, [row(step) for step in steps])


if __name__ == "__main__":
    main()
