"""The commands that read finished outputs, beside a plain h5py loop that copies them.

    python -m tests.benchmarks.outputs
    python -m tests.benchmarks.outputs --files 3000 100000 --rounds 3

For each number of files an output, a copy of it and its two halves are extracted from WAV of
0.1 s, a thousand in a folder; 3,000 files are the short ones of ``peers``. Then four commands and
the loop take turns, each a whole process:

- ``merge`` puts the two halves together;
- ``compare`` compares the output with its copy;
- ``verify`` checks the output;
- ``resume`` extracts with ``--resume`` when there is nothing left to do;
- the loop copies all datasets of the output, with their attributes, into a new file
  (``contenders/h5py_copy.py``). It checks nothing.

What is printed are medians and ratios of medians. ``numpy and h5py`` is a process that imports
these and ends: less than that no Python program takes.

Everything is made in a temporary folder and removed; 100,000 files take a gigabyte of disk and some
minutes to extract.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks import program
from tests.benchmarks.inputs import Material, many, short
from tests.benchmarks.report import machine, table, tell
from tests.benchmarks.timing import Rounds, alternating, spend

LOOP = "plain h5py loop"
SHORT_FILES = 3000


def main() -> None:
    """Measure each number of files, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--files", nargs="+", type=int, default=[SHORT_FILES], metavar="N")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    program.add_option(parser)
    given = parser.parse_args()
    for n_files in given.files:
        with tempfile.TemporaryDirectory() as scratch:
            commands, written = _commands(given.program, n_files, Path(scratch))
            took = alternating(commands, given.rounds, written)
        tell(f"{n_files:,} files. Medians of {given.rounds} rounds in turns.\n")
        tell(_table(took) + "\n")
    tell(machine(("numpy", "h5py")))


def _commands(
    command: Sequence[str], n_files: int, scratch: Path
) -> tuple[dict[str, list[str]], Path]:
    """Extract what is to be read; return the commands by name, and the file that they write."""
    folder = scratch / "audio"
    material = short(folder) if n_files == SHORT_FILES else many(folder, n_files)
    output, copy, written = (scratch / f"{name}.h5" for name in ("output", "copy", "written"))
    extract = _extraction(command, material, output)
    spend([*extract, "--overwrite"])
    shutil.copyfile(output, copy)
    halves = [scratch / f"half-{number}.h5" for number in (1, 2)]
    for number, half in enumerate(halves, 1):
        spend([*_extraction(command, material, half), "--shard", f"{number}/2"])
    loop = [sys.executable, "-m", "tests.benchmarks.contenders.h5py_copy"]
    commands = {
        LOOP: [*loop, str(output), str(written)],
        "merge": [*command, "merge", *map(str, halves), "-o", str(written)],
        "compare": [*command, "compare", str(output), str(copy)],
        "verify": [*command, "verify", str(output)],
        "resume": [*extract, "--resume"],
        "numpy and h5py": [sys.executable, "-c", "import numpy, h5py"],
    }
    return commands, written


def _extraction(command: Sequence[str], material: Material, output: Path) -> list[str]:
    extract = program.extraction(command, material, output)
    return [argument for argument in extract if argument != "--overwrite"]


def _table(took: Mapping[str, Rounds]) -> str:
    loop = took[LOOP]
    rows = [
        (
            name,
            f"{rounds.wall:.2f}",
            f"{rounds.wall / loop.wall:.2f}",
            f"{rounds.cpu:.2f}",
            f"{rounds.cpu / loop.cpu:.2f}",
            f"{rounds.peak / 1e6:.0f}",
        )
        for name, rounds in took.items()
    ]
    return table(("", "wall s", "wall / loop", "CPU s", "CPU / loop", "memory MB"), rows)


if __name__ == "__main__":
    main()
