"""The bar: seconds of audio done, of all, how fast, and for how long still."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.cli.terminal import _Length
from tests import reference
from tests.conftest import PROGRAM, write_audio, write_silence

HOURS = 2
BAR = re.compile(
    r"(?P<percent>\d+)%\|.*?\| (?P<done>[\d.,]+ \w+) of (?P<all>[\d.,]+ \w+|\?) of audio, "
    r"(?P<speed>[\d,]+) x real time, (?P<inputs>\d+/\d+) inputs "
    r"\[(?P<elapsed>[\d:]+)<(?P<left>\S+)\]"
)

# How many seconds there are


def test_the_length_is_known_once_all_is_open() -> None:
    length = _Length({"a": 100, "b": 300, "c": 100})
    assert length.total == 0
    length.opened("a", 10)
    assert length.total == 50  # the others are taken to be alike
    length.opened("b", 10)
    assert length.total == pytest.approx(20 + 20 / 400 * 100)
    length.opened("b", 10)  # each of its blocks says so
    length.opened("c", 1)
    assert length.total == 21


def test_what_is_not_to_be_computed_has_no_length() -> None:
    length = _Length({"a": 100, "kept": 10_000, "b": 100})
    length.dropped("kept")
    length.opened("a", 10)
    assert length.total == 20
    length.dropped("b")
    length.dropped("b")
    length.dropped("a")  # it has been computed
    assert length.total == 10


@given(
    inputs=st.lists(st.tuples(st.integers(1, 10**9), st.booleans()), min_size=1, max_size=20),
    data=st.data(),
)
def test_inputs_that_are_alike_are_foreseen_exactly(
    inputs: list[tuple[int, bool]], data: st.DataObject
) -> None:
    length = _Length({str(number): size for number, (size, _) in enumerate(inputs)})
    due = sum(size for size, _ in inputs)
    opened = 0
    for number in data.draw(st.permutations(range(len(inputs)))):
        size, is_kept = inputs[number]
        if is_kept:
            length.dropped(str(number))
            due -= size
        else:
            length.opened(str(number), size / 1000)
            opened += size
        assert length.total == pytest.approx(due / 1000 if opened else 0)


# What a person sees


def shown_by(
    command: list[str], folder: Path, enough: Callable[[str], bool] = lambda _: False
) -> tuple[int, str]:
    """Run a command in a terminal, interrupt it when it has shown enough; say how it ended."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    running = subprocess.Popen(command, cwd=folder, stderr=slave, stdout=slave, stdin=slave)
    os.close(slave)
    seen, is_asked = b"", False
    try:
        while part := os.read(master, 4096):
            seen += part
            if not is_asked and enough(seen.decode(errors="replace")):
                os.kill(running.pid, signal.SIGINT)
                is_asked = True
    except OSError:  # Linux ends a terminal whose other side has gone with EIO
        pass
    os.close(master)
    return running.wait(timeout=60), seen.decode()


def seconds(shown: str) -> float:
    """Return a length of time that the bar shows."""
    number, unit = shown.replace(",", "").split()
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def test_the_bar_counts_audio(tmp_path: Path) -> None:
    write_silence(tmp_path / "audio/hours.wav", 3600 * HOURS)
    write_audio(tmp_path / "audio/a.wav", reference.noise(1, 44100), 44100, subtype="PCM_16")
    (tmp_path / "audio/bad.wav").write_bytes(b"no audio")
    command = [*PROGRAM, "melspectrogram", "audio", "-o", "out.h5", "--n-dft", "1024"]

    def is_half_done(shown: str) -> bool:
        return any(int(bar["percent"]) >= 50 for bar in BAR.finditer(shown))

    code, shown = shown_by(command, tmp_path, is_half_done)
    assert code == 130
    _, first, *bars = BAR.finditer(shown)
    assert (first["percent"], first["all"], first["left"]) == ("0", "?", "?")
    assert (first["done"], first["inputs"]) == ("0.0 s", "0/3")
    done = [seconds(bar["done"]) for bar in bars]
    assert done == sorted(done)
    assert [bar["done"] for bar in bars if " min" in bar["done"]]
    under_way = [bar for bar in bars if seconds(bar["done"]) > 1800]
    assert len(under_way) > 2
    for bar in under_way:
        assert bar["all"] == "2.0 h"
        assert abs(int(bar["percent"]) - seconds(bar["done"]) / 72) < 2
        assert bar["inputs"] == "2/3"  # the one that failed, and the one of a second
        minutes, spent = map(int, bar["elapsed"].split(":"))
        spent += 60 * minutes
        speed = float(bar["speed"].replace(",", ""))
        assert seconds(bar["done"]) / (spent + 1.1) <= speed * 1.01
        assert spent == 0 or speed <= seconds(bar["done"]) / spent * 1.01
        assert re.fullmatch(r"\d\d:\d\d", bar["left"])
        left = int(bar["left"][-2:]) + 60 * int(bar["left"][:2])
        assert abs(left - (7200 - seconds(bar["done"])) / speed) < 1.5
    # What an earlier run has done is not to be done again.
    code, shown = shown_by([*command, "--resume"], tmp_path)
    assert code == 1  # the bad one
    *_, last = BAR.finditer(shown)
    assert int(last["percent"]) > 80  # the very last is rarely drawn
    assert last["left"] in ("00:00", "00:01")
    assert seconds(last["done"]) <= 3600 + 360
    assert "3 inputs: 1 written, 1 failed, 1 skipped (2.0 h of audio)" in shown
