"""The process that computes: the same bits as here, told of when it fails, never left over."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli.pipeline.compute import HereComputer
from kapre_cli.pipeline.transform import tape_frames
from kapre_cli.report import STOPPING
from kapre_cli.settings import MelspectrogramConfig, SpectrogramConfig, layer_to_dict
from tests import reference

# It is forked by an interpreter that has imported next to nothing, as the program does it: this
# one has TensorFlow in it.
BEGIN = """
import os, signal, sys, time
from kapre_cli.cli.imports import make_quick
from kapre_cli.errors import ComputingError
from kapre_cli.pipeline.apart import ApartComputer
from kapre_cli.settings import SpectrogramConfig
CONFIG = SpectrogramConfig(n_dft=64, n_hop=16)

def wait_for_the_end(computer):  # and leave it to the computer to ask how it ended
    os.waitid(os.P_PID, computer._pid, os.WEXITED | os.WNOWAIT)

def computed(computer, number):
    computer.submit(number)
    return computer.collect()
"""


def said_by(code: str, *arguments: object, **options: Any) -> list[str]:
    """Run code in an interpreter of its own and return the lines that it printed."""
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@contextmanager
def forked(code: str, **options: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Give an interpreter whose code prints a process's number and goes on, and that number."""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code], stdout=subprocess.PIPE, text=True, **options
    ) as running:
        assert running.stdout is not None
        try:
            yield running, int(running.stdout.readline())
        finally:
            running.kill()


def seconds_until_gone(pid: int, at_most: float = 20) -> float:
    """Wait for the end of a process that is nobody's child any more."""
    begun = time.monotonic()
    while time.monotonic() < begun + at_most:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return time.monotonic() - begun
        if state == "Z":  # nothing but its exit code is left of it
            return time.monotonic() - begun
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("it is still there")


# What it computes


def test_it_gives_the_same_bits_as_this_process(tmp_path: Path) -> None:
    configs = [
        SpectrogramConfig(n_dft=400, n_hop=130, power_spectrogram=0.7),
        MelspectrogramConfig(sr=8000, n_dft=256, n_mels=200),  # some of them empty
    ]
    n_frames, n_tapes = tape_frames(configs[0], 48), 7  # more than there is room for at once
    tapes = [reference.noise(n_tapes, one.framing.n_samples(n_frames)) for one in configs]
    for number, samples in enumerate(tapes):
        np.save(tmp_path / f"tapes{number}.npy", samples)
    (tmp_path / "layers.json").write_text(json.dumps([*map(layer_to_dict, configs)]))
    code = """
import json
from kapre_cli.settings import layer_from_dict
folder, n_frames = sys.argv[1], int(sys.argv[2])
computers = [ApartComputer(make_quick), ApartComputer(make_quick)]
with open(folder + "/layers.json") as file:
    configs = map(layer_from_dict, json.load(file))
for computer, config in zip(computers, configs):
    assert computer.has_room_for(config, n_frames)
    computer.warm_up()
    computer.start(config, n_frames)

import numpy as np
for number, computer in enumerate(computers):
    with computer:
        tapes = np.load(f"{folder}/tapes{number}.npy")
        n_rooms, features = len(computer.tapes), []
        for i, tape in enumerate(tapes):
            if i >= n_rooms:
                features.append(computer.collect().copy())
            computer.tapes[i % n_rooms][:] = tape
            computer.submit(i % n_rooms)
        while len(features) < len(tapes):
            features.append(computer.collect().copy())
        np.save(f"{folder}/features{number}.npy", features)
        print(n_rooms, *computer.warnings)
"""
    said = said_by(code, tmp_path, n_frames)
    for number, (config, samples) in enumerate(zip(configs, tapes, strict=True)):
        found = np.load(tmp_path / f"features{number}.npy")
        assert found.shape == (n_tapes, n_frames, config.n_features)
        with HereComputer(config, n_frames) as computer:
            n_rooms, *warned = said[number].split(" ", 1)
            assert (int(n_rooms) < n_tapes, tuple(warned)) == (True, tuple(computer.warnings))
            for tape, features in zip(samples, found, strict=True):
                computer.tapes[0][:] = tape
                computer.submit(0)
                assert features.tobytes() == computer.collect().tobytes()
    assert "25 of 200 mel bands are empty" in said[1]


# When it fails


@pytest.mark.parametrize("when", ["first", "last"])
@pytest.mark.parametrize("warmed_up", [False, True])
def test_a_layer_that_cannot_be_made_is_told_with_its_reason(when: str, warmed_up: bool) -> None:
    code = f"""
def without_tensorflow():
    sys.modules["tensorflow"] = None

with ApartComputer(without_tensorflow) as computer:
    try:
        if {warmed_up}:
            computer.warm_up()
        if {warmed_up and when == "last"}:
            wait_for_the_end(computer)
        computer.start(CONFIG, 16)
        if {when == "last"}:
            wait_for_the_end(computer)
        computed(computer, 0)
    except ComputingError as error:
        print(error)
"""
    (said,) = said_by(code)
    assert said.startswith("the layer cannot be computed: ModuleNotFoundError: ")
    assert "tensorflow" in said


@pytest.mark.parametrize("when", ["before it is ready", "before a tape", "before the features"])
def test_its_death_is_told(when: str) -> None:
    code = f"""
with ApartComputer(make_quick) as computer:
    computer.start(CONFIG, 16)
    try:
        if {when != "before it is ready"}:
            computed(computer, 0)
        if {when == "before the features"}:
            os.kill(computer._pid, signal.SIGSTOP)
            computer.submit(1)
        os.kill(computer._pid, signal.SIGKILL)
        if {when == "before a tape"}:
            wait_for_the_end(computer)
        computer.submit(1)
        computer.collect()
    except ComputingError as error:
        print(error)
"""
    assert said_by(code) == [
        "the process that computes came down (SIGKILL, perhaps for want of memory)"
    ]


def test_it_is_not_for_it_to_be_asked_to_end() -> None:
    code = f"""
with ApartComputer(make_quick) as computer:
    computer.start(CONFIG, 16)
    before = computed(computer, 0).copy()
    for number in {[int(number) for number in STOPPING]}:
        os.kill(computer._pid, number)
    time.sleep(0.1)
    print((computed(computer, 0) == before).all())
"""
    assert said_by(code) == ["True"]


# How it ends


@pytest.mark.parametrize("busy", ["", "computer.warm_up(); time.sleep(0.5)"])
def test_closing_ends_it_at_once(busy: str) -> None:
    code = f"""
computer = ApartComputer(make_quick)
{busy}
pid, begun = computer._pid, time.monotonic()
computer.close()
print(time.monotonic() - begun < 0.5, os.path.exists(f"/proc/{{pid}}"))
computer.close()
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child is left")
"""
    assert said_by(code) == ["True False", "no child is left"]


@pytest.mark.parametrize(
    ("doing", "at_most"),
    [
        ("", 1),
        ("computer.warm_up(); time.sleep(0.5)", 15),  # seconds that importing takes
        ("computer.start(CONFIG, 16); computed(computer, 0)", 1),
    ],
    ids=["idle", "importing", "ready"],
)
def test_it_ends_when_its_parent_is_killed(doing: str, at_most: float) -> None:
    code = f"""
computer = ApartComputer(make_quick)
{doing}
print(computer._pid, flush=True)
time.sleep(60)
"""
    with forked(code) as (running, pid):
        assert Path(f"/proc/{pid}").exists()
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert seconds_until_gone(pid) < at_most


def test_it_holds_no_file_that_it_was_not_meant_to_have(tmp_path: Path) -> None:
    code = f"""
import mmap
held = open({str(tmp_path / "lock")!r}, "w")
mapped = mmap.mmap(-1, 4096)
low = os.dup(held.fileno())
high = os.dup2(held.fileno(), 200)
os.close(low)  # a hole, for the pipes to lie on both sides of a file
computer = ApartComputer(make_quick)
print(computer._pid, flush=True)
time.sleep(60)
"""
    ours, theirs = socket.socketpair()
    with ours, theirs, forked(code, pass_fds=[theirs.fileno()], stdin=theirs) as (_, pid):
        folder = Path(f"/proc/{pid}/fd")
        for _ in range(250):
            held = {int(one.name): os.readlink(one) for one in folder.iterdir()}
            if len(held) == 5:
                break
            time.sleep(0.02)
    pipes = [held.pop(fd) for fd in sorted(held) if fd > 2]
    assert held == dict.fromkeys(range(3), os.devnull)
    assert len(set(pipes)) == 2
    assert all(one.startswith("pipe:") for one in pipes)
