"""The program beside its peers and beside what no program can do without, in one run.

    python -m tests.benchmarks.peers FOLDER
    python -m tests.benchmarks.peers --make music
    python -m tests.benchmarks.peers --short-file

Every contender makes the same of a folder of audio: for each file one dataset of an HDF5 file,
with the power in mel bands of all channels, in decibels below the file's maximum, floored at -80.
Each is a whole process, from its start to its end. They take turns, so that a machine that grows
slower or faster does so for all of them; what is printed are medians, as a Markdown table. The
machine must do nothing else: threads that wait for one another (``torch.stft`` on two) take twenty
times as long when a core is taken from one of them.

*Without imports* is the time of the whole process less that of another, in the same rounds, that
makes the same imports and ends. What is left over is the work, and grows with it.

The NumPy loops are no peers: twenty lines with no checks, which import nothing that takes long.

The floors are no contenders. *decode* reads every file and does nothing with it; *parts* does what
every program must, one part after another with everything in memory, and says what each takes
(see ``contenders/parts.py``). Half of their sum is what two cores could do if they never waited
for one another.

Memory is that of all processes of a contender together (see ``timing.py``).

``--make`` makes the audio in a temporary folder: ``short`` is 3,000 WAV files of 0.4 s, ``music``
48 FLAC files of 380 s in all, ``rates`` the same at three rates, which everybody resamples to
48 kHz (the program at soxr's very high quality, all others at its high one), ``hour-wav`` and
``hour-flac`` one file of noise at 44.1 kHz. ``--short-file`` times the program on a single short
file against ``import tensorflow`` and against ``import numpy, h5py, soundfile``.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soundfile

from tests.benchmarks import program
from tests.benchmarks.inputs import MAKERS, Material
from tests.benchmarks.report import PEER_LIBRARIES, PROGRAM_LIBRARIES, machine, table, tell
from tests.benchmarks.timing import Rounds, alternating

OURS = "kapre-extract"
LOOP = "NumPy loop"
POOL = "NumPy, 2 processes"
PARTS = "floor: parts"
IMPORTS = "imports of "  # and a contender's name


@dataclass(frozen=True)
class Contender:
    """A script to run beside the program.

    Attributes:
        name: What the table calls it.
        module: Its name in ``contenders``.
        libraries: What has to be installed for it.
        is_peer: Whether it is a library that does all of the work.
    """

    name: str
    module: str
    libraries: tuple[str, ...] = ()
    is_peer: bool = True


CONTENDERS = (
    Contender("librosa loop", "librosa_loop", ("librosa",)),
    Contender("librosa, 2 processes", "librosa_pool", ("librosa",)),
    Contender("torch.stft loop", "torch_stft", ("torch",)),
    Contender("torch.stft, 1 thread", "torch_one_thread", ("torch",)),
    Contender("keras layers", "keras_layers", ("keras", "tensorflow")),
    Contender(LOOP, "numpy_loop", is_peer=False),
    Contender(POOL, "numpy_pool", is_peer=False),
    Contender("floor: decode", "decoding", is_peer=False),
    Contender(PARTS, "parts", ("scipy",), is_peer=False),
)


def main() -> None:
    """Run what the command line asks for."""
    parser = _parser()
    given = parser.parse_args()
    if not (given.folder or given.make or given.short_file):
        parser.error("a folder, --make or --short-file is needed")
    with tempfile.TemporaryDirectory() as scratch:
        if given.folder or given.make:
            material = _material(given, Path(scratch) / "audio")
            _compare(material, given.program, given.only, given.rounds, Path(scratch) / "out.h5")
        if given.short_file:
            tell(_short_file(given.program, given.rounds, Path(scratch)))
    tell(machine((*PROGRAM_LIBRARIES, *PEER_LIBRARIES)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    audio = parser.add_mutually_exclusive_group()
    audio.add_argument("folder", nargs="?", type=Path, help="a folder of WAV and FLAC")
    audio.add_argument("--make", choices=sorted(MAKERS), help="make one")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    for name in ("--n-dft", "--n-hop", "--n-mels"):
        parser.add_argument(name, type=int, metavar="N", help="2048, 512, 128 for a folder")
    parser.add_argument("--sr", type=int, metavar="HZ", help="the rate all resample to")
    names = ", ".join(contender.name for contender in CONTENDERS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"parts of names: {names}")
    program.add_option(parser)
    parser.add_argument("--short-file", action="store_true", help="one short file by itself")
    return parser


def _material(given: argparse.Namespace, folder: Path) -> Material:
    """Return the audio that was asked for, and the layer."""
    if given.make:
        made = MAKERS[given.make](folder)
    else:
        made = Material(given.folder.absolute(), (2048, 512, 128))
    asked = (given.n_dft, given.n_hop, given.n_mels)
    n_dft, n_hop, n_mels = (mine or its for mine, its in zip(asked, made.layer, strict=True))
    return Material(made.folder, (n_dft, n_hop, n_mels), given.sr or made.sr)


def _compare(
    material: Material, command: Sequence[str], only: Sequence[str], rounds: int, output: Path
) -> None:
    """Run the contenders in turns, and print the tables."""
    commands = {OURS: program.extraction(command, material, output)}
    commands[IMPORTS + OURS] = list(program.IMPORTS)
    contenders = [c for c in CONTENDERS if not only or any(part in c.name for part in only)]
    for contender in contenders:
        missing = [library for library in contender.libraries if not find_spec(library)]
        if missing:
            tell(f"{contender.name} is left out: {' and '.join(missing)} not installed")
            continue
        commands[contender.name] = _theirs(material, contender, output)
        module = f"tests.benchmarks.contenders.{contender.module}"
        commands[IMPORTS + contender.name] = [sys.executable, "-c", f"import {module}"]
    took = alternating(commands, rounds, output)
    figures = {
        name: Figures.of(took[name], took[IMPORTS + name])
        for name in commands
        if not name.startswith(IMPORTS)
    }
    n_dft, n_hop, n_mels = material.layer
    tell(f"{material.in_words()}; n_dft {n_dft}, n_hop {n_hop}, {n_mels} mel bands")
    tell(f"Medians of {rounds} rounds in turns.\n")
    tell(_contenders_table(figures) + "\n")
    peers = [c.name for c in CONTENDERS if c.is_peer and c.name in figures]
    for line in _against_peers(figures, peers):
        tell(line)
    loops = [name for name in (LOOP, POOL) if name in figures]
    for name in loops:
        tell(f"Ours / {name}: {_ratio(figures[OURS].wall, figures[name].wall)}")
    if PARTS in took:
        parts = _parts(took[PARTS])
        cpu = sum(part.cpu for part in parts.values())
        work = figures[OURS].cpu_of_work
        tell(f"Processor time without imports / sum of the parts: {_ratio(work, cpu)}\n")
        tell(_parts_table(parts))
    tell()


def _theirs(material: Material, contender: Contender, output: Path) -> list[str]:
    module = f"tests.benchmarks.contenders.{contender.module}"
    rate = ["--sr", str(material.sr)] if material.sr else []
    what = [str(material.folder), str(output), *map(str, material.layer)]
    return [sys.executable, "-m", module, *what, *rate]


@dataclass(frozen=True)
class Figures:
    """What the table says of a contender, in seconds and bytes."""

    wall: float
    wall_of_work: float
    cpu: float
    cpu_of_work: float
    peak: int

    @classmethod
    def of(cls, whole: Rounds, imports: Rounds) -> "Figures":
        """Return the figures of a contender, given what its imports alone took."""
        return cls(
            wall=whole.wall,
            wall_of_work=whole.wall - imports.wall,
            cpu=whole.cpu,
            cpu_of_work=whole.cpu - imports.cpu,
            peak=whole.peak,
        )


def _contenders_table(figures: Mapping[str, Figures]) -> str:
    ours = figures[OURS]
    header = (
        "",
        "wall s",
        "ours / theirs",
        "wall without imports s",
        "ours / theirs",
        "CPU s",
        "CPU without imports s",
        "memory MB",
    )
    rows = [
        (
            name,
            f"{theirs.wall:.2f}",
            _ratio(ours.wall, theirs.wall),
            f"{theirs.wall_of_work:.2f}",
            _ratio(ours.wall_of_work, theirs.wall_of_work),
            f"{theirs.cpu:.2f}",
            f"{theirs.cpu_of_work:.2f}",
            f"{theirs.peak / 1e6:.0f}",
        )
        for name, theirs in figures.items()
    ]
    return table(header, rows)


def _against_peers(figures: Mapping[str, Figures], peers: Sequence[str]) -> list[str]:
    """Return the ratios to whichever peer is fastest."""
    if not peers:
        return []
    ours = figures[OURS]
    whole = min(peers, key=lambda name: figures[name].wall)
    work = min(peers, key=lambda name: figures[name].wall_of_work)
    of_whole = _ratio(ours.wall, figures[whole].wall)
    of_work = _ratio(ours.wall_of_work, figures[work].wall_of_work)
    return [
        f"Ours / fastest peer, whole processes: {of_whole} ({whole})",
        f"Ours / fastest peer, without imports: {of_work} ({work})",
    ]


@dataclass(frozen=True)
class Part:
    """Seconds that a part of the floor took."""

    wall: float
    cpu: float


def _parts(took: Rounds) -> dict[str, Part]:
    """Return the medians of what the floor said of its parts."""
    said = [json.loads(spent.printed) for spent in took.timed]
    return {
        name: Part(*(statistics.median(times[name][kind] for times in said) for kind in (0, 1)))
        for name in said[0]
    }


def _parts_table(parts: Mapping[str, Part]) -> str:
    whole = Part(sum(part.wall for part in parts.values()), sum(p.cpu for p in parts.values()))
    rows = {**parts, "sum": whole, "half the sum": Part(whole.wall / 2, whole.cpu / 2)}
    return table(
        ("part", "wall s", "CPU s"),
        [(name, f"{part.wall:.3f}", f"{part.cpu:.3f}") for name, part in rows.items()],
    )


def _short_file(command: Sequence[str], rounds: int, scratch: Path) -> str:
    """Return the line about a single short file."""
    path = scratch / "short.wav"
    noise = 0.1 * np.random.default_rng(0).standard_normal(3200)
    soundfile.write(path, noise, 8000, subtype="PCM_16")
    output = scratch / "short.h5"
    commands = {
        "program": program.extraction(command, Material(path, (256, 128, 40)), output),
        "tensorflow": [sys.executable, "-c", "import tensorflow"],
        "numpy, h5py, soundfile": [sys.executable, "-c", "import numpy, h5py, soundfile"],
    }
    took = {name: runs.wall for name, runs in alternating(commands, rounds, output).items()}
    ours = took.pop("program")
    return "".join(
        f"One short file / `import {name}`: {_ratio(ours, theirs)} "
        f"({ours:.2f} s, {theirs:.2f} s, medians of {rounds})\n"
        for name, theirs in took.items()
    )


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs > 0 else "-"


if __name__ == "__main__":
    main()
