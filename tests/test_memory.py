"""Memory does not grow with the length of a file."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kapre_cli
from tests.conftest import PROGRAM, write_audio, write_silence

SR, N_CHANNELS, SECONDS = 44100, 4, 450
N_HOP, N_MELS = 128, 128
# 318 MB of features, and as much of samples: neither can be held whole beside what may wait to be
# computed (128 MiB), and looking at an output holds a part of it.
COMPUTING_MIB, LOOKING_MIB = 350, 190
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mib(command: list[str], folder: Path) -> float:
    """Run a command and return its peak resident memory.

    A small process starts it: a process has been as large as the one that it was forked from.
    """
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return int(ended.stdout.splitlines()[-1]) / per_mib


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make minutes in four channels: a click now and then, zeros that take no room."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    write_audio(path, np.zeros((N_CHANNELS, 1)), sr=SR, subtype="PCM_16")
    frame_bytes = 2 * N_CHANNELS
    n_bytes = frame_bytes * SR * SECONDS
    content = bytearray(path.read_bytes()[:44])
    content[4:8] = (36 + n_bytes).to_bytes(4, "little")
    content[40:44] = n_bytes.to_bytes(4, "little")
    with path.open("wb") as file:
        file.write(content)
        for second in range(0, SECONDS, 150):
            file.seek(44 + frame_bytes * SR * second)
            file.write(b"\x00\x40" * N_CHANNELS)
    os.truncate(path, 44 + n_bytes)
    return path


@pytest.mark.parametrize(
    ("output", "decibel"),
    [
        ("out.h5", "--decibel"),
        ("out.h5", "--no-decibel"),
        ("out.npy", "--decibel"),
        ("out", "--no-decibel"),
    ],
)
def test_a_long_recording_in_four_channels_takes_little_memory(
    output: str, decibel: str, long: Path, tmp_path: Path
) -> None:
    options = ["--n-dft", "512", "--n-hop", str(N_HOP), "--n-mels", str(N_MELS), decibel]
    command = [*PROGRAM, "melspectrogram", str(long), "-o", output, *options]
    assert peak_mib(command, tmp_path) <= COMPUTING_MIB
    with kapre_cli.open_features(tmp_path / output) as features:
        (array,) = features.values()
        assert sorted(array.shape) == [N_CHANNELS, N_MELS, -(-SR * SECONDS // N_HOP)]
    if (output, decibel) == ("out.h5", "--decibel"):
        for look in (["verify", output], ["compare", output, output]):
            assert peak_mib([*PROGRAM, *look], tmp_path) <= LOOKING_MIB


def test_merging_takes_memory_for_a_few_blocks(tmp_path: Path, program: Any) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc: what a process takes after its start cannot be told")
    # 79 MB of features, as they are and in chunks.
    write_silence(tmp_path / "a.wav", 900)
    for name, more in {"plain": (), "packed": ("--compression", "lzf")}.items():
        part, merged = str(tmp_path / f"{name}.h5"), str(tmp_path / f"{name} all.h5")
        assert program("melspectrogram", tmp_path / "a.wav", "-o", part, *more).code == 0
        code = (
            "from kapre_cli.cli import run; "
            f"assert run(['merge', {part!r}, '-o', {merged!r}]) == 0; "
            "print(open('/proc/self/status').read())"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, timeout=300
        )
        (peak,) = re.findall(rb"VmHWM:\s+(\d+) kB", ended.stdout)
        assert int(peak) / 2**10 <= 110  # more than half of it is NumPy and h5py
        assert Path(merged).stat().st_size == Path(part).stat().st_size
