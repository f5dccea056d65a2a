"""What a terminal shows: the time left, seconds of audio done, of all, and how fast."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests import reference
from tests.conftest import PROGRAM, write_audio, write_silence

MINUTES = 40
BAR = re.compile(
    r"(?P<left>[\d:]+|\?) left +(?P<percent>\d+)%\|[^|]*\|"
    r"( (?P<done>[\d.,]+ \w+) of (?P<all>[\d.,]+ \w+) of audio,)?"
    r" (?P<inputs>[\d,/]+ inputs?( so far)?( \([\d,]+ kept\))?)"
    r"(, (?P<speed>[\d,.]+) x real time)? \[(?P<elapsed>[\d:]+)\]"
)

# What a person sees


def shown_by(
    command: Sequence[str],
    folder: Path,
    enough: Callable[[str], bool] = lambda _: False,
    columns: int = 120,
    narrower: int | None = None,
) -> tuple[int, str]:
    """Run a command in a terminal, interrupt it when it has shown enough; say how it ended.

    Args:
        command: The command.
        folder: Where it runs.
        enough: Whether that is so.
        columns: How wide the terminal is.
        narrower: How wide it is once enough has been shown, instead of an interruption.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    running = subprocess.Popen(command, cwd=folder, stderr=slave, stdout=slave, stdin=slave)
    os.close(slave)
    seen, is_asked = b"", False
    try:
        while part := os.read(master, 4096):
            seen += part
            if not is_asked and enough(seen.decode(errors="replace")):
                if narrower is None:
                    os.kill(running.pid, signal.SIGINT)
                else:
                    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, narrower, 0, 0))
                    seen += RESIZED.encode()
                is_asked = True
    except OSError:  # Linux ends a terminal whose other side has gone with EIO
        pass
    os.close(master)
    return running.wait(timeout=60), seen.decode()


RESIZED = "<the terminal is narrower now>"


def seconds(shown: str) -> float:
    """Return a length of time that the bar shows."""
    number, unit = shown.replace(",", "").split()
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def clock(shown: str) -> int:
    """Return the seconds that a clock shows."""
    *hours, minutes, rest = map(int, shown.split(":"))
    return 3600 * sum(hours) + 60 * minutes + rest


def tells_the_time_left(bar: re.Match[str], rest: float) -> bool:
    """Whether the time left is that of so many seconds of audio, all of them rounded."""
    speed = float(bar["speed"].replace(",", ""))
    half = 0.5 if speed >= 10 else 0.05  # of the last digit of the speed
    rounded = 6  # seconds, for two lengths in tenths of a minute
    least, most = (rest - rounded) / (speed + half), (rest + rounded) / (speed - half)
    return least - 1 < clock(bar["left"]) < most + 1


COMMAND = [*PROGRAM, "melspectrogram", "audio", "-o", "out.h5", "--n-dft", "1024"]


def test_the_bar_counts_audio(tmp_path: Path) -> None:
    write_silence(tmp_path / "audio/long.wav", 60 * MINUTES)
    write_audio(tmp_path / "audio/a.wav", reference.noise(1, 44100), 44100, subtype="PCM_16")
    (tmp_path / "audio/bad.wav").write_bytes(b"no audio")

    # It takes seconds more than are waited for: it has not ended when it is interrupted.
    command = [*COMMAND, "--n-hop", "128"]

    def under_way(shown: str) -> list[re.Match[str]]:
        bars = [bar for bar in BAR.finditer(shown) if bar["speed"]]
        return [bar for bar in bars if seconds(bar["done"]) > 60 * MINUTES / 10]

    def has_shown_enough(shown: str) -> bool:
        bars = under_way(shown)
        return len(bars) > 2 and int(bars[-1]["percent"]) >= 25

    code, shown = shown_by(command, tmp_path, has_shown_enough)
    assert code == 130
    first = next(BAR.finditer(shown))
    assert (first["percent"], first["all"], first["left"]) == ("0", None, "?")
    assert first["inputs"] == "0/3 inputs"
    bars = under_way(shown)
    done = [seconds(bar["done"]) for bar in bars]
    assert done == sorted(done)
    for bar in bars:
        assert bar["all"] == f"{MINUTES}.0 min"
        assert abs(int(bar["percent"]) - seconds(bar["done"]) / (0.6 * MINUTES)) < 2
        assert bar["inputs"] == "2/3 inputs"  # the one that failed, and the one of a second
        assert tells_the_time_left(bar, 60 * MINUTES - seconds(bar["done"])), bar[0]
    # What an earlier run has done is neither done nor to be done, and says nothing of the others.
    n_done = seconds(bars[-1]["done"])
    write_silence(tmp_path / "audio/more.wav", 60 * MINUTES)
    n_due = 2 * 60 * MINUTES - n_done

    def tells_all(shown: str) -> bool:
        return len([bar for bar in BAR.finditer(shown) if bar["speed"]]) > 2

    code, shown = shown_by([*command, "--resume"], tmp_path, tells_all)
    assert code == 130
    bars = [bar for bar in BAR.finditer(shown) if bar["speed"]]
    for bar in bars:
        assert bar["inputs"] in ("0/3 inputs (1 kept)", "1/3 inputs (1 kept)")  # the bad one
        assert 60 * MINUTES < seconds(bar["all"]) <= n_due + 60  # more is kept than was shown
        assert tells_the_time_left(bar, seconds(bar["all"]) - seconds(bar["done"])), bar[0]
    assert seconds(bars[0]["done"]) < n_done


def drawings(shown: str) -> list[str]:
    """Return each drawing of the bar, without the blanks that wipe the one before out."""
    found = [part.split("\n")[0].rstrip() for part in shown.split("\r")]
    return [one for one in found if " left" in one]


@pytest.mark.parametrize("columns", [80, 60, 40, 20, 10])
def test_the_bar_fits_and_begins_with_the_time_left(columns: int, tmp_path: Path) -> None:
    write_silence(tmp_path / "audio/a.wav", 300)
    code, shown = shown_by(COMMAND, tmp_path, columns=columns)
    assert code == 0
    seen = drawings(shown)
    assert seen
    for one in seen:
        assert len(one) < columns
        start = r"(\w+( \w+)?: )?(\?|\d\d:\d\d) left +\d+%"
        assert re.match(start, one) if columns > 30 else re.match(r"[\w?]", one)
    assert columns < 40 or any(re.search(r" \d/1 input", one) for one in seen)
    assert columns < 80 or any(" of 5.0 min of audio" in one for one in seen)


def test_a_terminal_may_become_narrower(tmp_path: Path) -> None:
    write_silence(tmp_path / "audio/a.wav", 900)

    def is_under_way(shown: str) -> bool:
        return "x real time" in shown

    code, shown = shown_by(COMMAND, tmp_path, is_under_way, columns=118, narrower=40)
    assert code == 0
    before, after = shown.split(RESIZED)
    assert max(map(len, drawings(before))) > 80
    _, *parts = after.split("\r")[1:]  # one may have been under way
    assert len(parts) > 2
    assert max(len(part) for part in parts if " left" in part) < 40  # blanks as well


def test_the_first_drawing_says_what_is_waited_for(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 50_000))
    script = '(sleep 0.7; head -c 100000 a.wav; sleep 0.7; tail -c +100001 a.wav) | "$@"'
    command = ["bash", "-c", script, "bash", *PROGRAM, "spectrogram", "-", "-o", "out.h5"]
    code, shown = shown_by(command, tmp_path)
    assert code == 0
    first, *others = re.findall(r"waiting for standard input, (.*?) so far", shown)
    assert first == "0 bytes"
    assert "100.0 kB" in others
