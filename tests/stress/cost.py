"""What durability and checks cost: the program against a plain run, whole process by process."""

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.conftest import PROGRAM

SHORT_FILES = 3000


@dataclass(frozen=True)
class Task:
    """Inputs and a layer.

    Attributes:
        name: What it is.
        folder: Where the inputs are.
        layer: ``n_dft``, ``n_hop`` and ``n_mels``.
        rounds: How often each side is run.
    """

    name: str
    folder: Path
    layer: tuple[int, int, int]
    rounds: int


def make_short(folder: Path) -> Task:
    """Make 3,000 WAV files of 0.4 s at 8 kHz."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(SHORT_FILES):
        samples = 0.1 * generator.standard_normal(3200)
        soundfile.write(folder / f"clip {number:04d}.wav", samples, 8000, subtype="PCM_16")
    return Task(f"{SHORT_FILES:,} WAV of 0.4 s", folder, (256, 128, 40), 7)


def make_long(folder: Path, hours: float, kind: str = "flac") -> Task:
    """Make one FLAC or WAV at 44.1 kHz: a minute of coloured noise, over and over."""
    folder.mkdir()
    sr = 44100
    noise = np.random.default_rng(0).standard_normal(60 * sr)
    minute = 0.02 * np.convolve(noise, np.hanning(32), "same").astype(np.float32)
    with soundfile.SoundFile(folder / f"long.{kind}", "w", sr, 1, "PCM_16") as file:
        for number in range(round(60 * hours)):
            file.write(np.roll(minute, 1000 * number))
    return Task(f"{hours:g} h of {kind.upper()}", folder, (2048, 512, 128), 3)


def ratio(task: Task, scratch: Path) -> str:
    """Return the figures of one task: alternating runs, medians, and their ratio."""
    n_dft, n_hop, n_mels = map(str, task.layer)
    output = scratch / "out.h5"
    options = ["--n-dft", n_dft, "--n-hop", n_hop, "--n-mels", n_mels]
    safe = [*PROGRAM, "melspectrogram", str(task.folder), "-o", str(output), *options]
    plain = [sys.executable, "-m", "tests.stress.plain", str(task.folder), str(output)]
    seconds: dict[str, list[float]] = {"safe": [], "plain": []}
    for _ in range(task.rounds):
        for name, command in (("plain", [*plain, n_dft, n_hop, n_mels]), ("safe", safe)):
            output.unlink(missing_ok=True)
            seconds[name].append(_timed(command))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return (
        f"{medians['safe'] / medians['plain']:.3f} ({medians['safe']:.2f} s against "
        f"{medians['plain']:.2f} s, medians of {task.rounds})"
    )


def _timed(command: Sequence[str]) -> float:
    begun = time.monotonic()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300
    )
    return time.monotonic() - begun


def run(scratch: Path, hours: float) -> dict[str, object]:
    """Return how long the program takes, as a multiple of the plain run."""
    figures: dict[str, object] = {}
    for make in (make_short, lambda folder: make_long(folder, hours)):
        task = make(scratch / "inputs")
        figures[f"cost, {task.name}"] = ratio(task, scratch)
        shutil.rmtree(task.folder)
    return figures
