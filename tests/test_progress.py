"""How far a run is: estimates, what every stage tells, and lines where there is no terminal."""

import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli import events
from kapre_cli.api.progress import ArrayPhase, ComputePhase, Speed, Status
from kapre_cli.cli.terminal import Terminal
from kapre_cli.errors import AudioReadError
from kapre_cli.events import Event, Note, Observer, PhaseStarted, ignore
from kapre_cli.extraction.run import extract
from kapre_cli.inputs import Source
from kapre_cli.inspect.compare import compare
from kapre_cli.inspect.verify import verify
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.merging import merge
from kapre_cli.run_result import RunResult
from kapre_cli.settings import AudioSettings, ExtractionSettings, OutputSettings
from tests import reference
from tests.conftest import write_audio

# How many seconds of audio there are


def known(**sizes: int) -> ComputePhase:
    return ComputePhase(sizes.items())


def test_the_length_is_known_once_all_is_open() -> None:
    length = known(a=100, b=300, c=100)
    assert (length.total, length.done) == (None, 0)
    length.computed("a", 10, 1, 10)
    assert length.total == 50  # the others are taken to be alike
    length.computed("b", 10, 1, 10)
    assert length.total == pytest.approx(20 + 20 / 400 * 100)
    length.computed("b", 10, 1, 10)  # each of its blocks says so
    length.computed("c", 1, 1, 1)
    assert (length.total, length.done) == (21, 4)


def test_what_is_not_to_be_computed_has_no_length() -> None:
    length = known(a=100, kept=10_000, b=100)
    length.ended("kept")
    length.computed("a", 10, 1, 10)
    assert length.total == 20
    length.ended("b")
    length.ended("b")
    assert length.total == 10
    length.ended("a")  # it failed: the rest of it is not computed
    assert length.total == length.done == 1


def test_what_is_computed_of_an_input_says_nothing_of_the_length_of_others() -> None:
    length = known(a=100, b=100, c=200)
    length.resumed("a", 90)
    length.resumed("b", 20)
    length.computed("a", 10, 5, 100)  # 90 of its 100 seconds are kept
    assert length.total == 10 + 80 + 200
    length.computed("b", 80, 40, 100)
    assert length.total == 10 + 80 + 200
    length.computed("c", 200, 1, 200)
    assert (length.total, length.done) == (290, 46)


@given(
    inputs=st.lists(st.tuples(st.integers(1, 10**9), st.booleans()), min_size=1, max_size=20),
    data=st.data(),
)
def test_inputs_that_are_alike_are_foreseen_exactly(
    inputs: list[tuple[int, bool]], data: st.DataObject
) -> None:
    length = known(**{str(number): size for number, (size, _) in enumerate(inputs)})
    due = sum(size for size, _ in inputs)
    opened = 0
    for number in data.draw(st.permutations(range(len(inputs)))):
        size, is_kept = inputs[number]
        if is_kept:
            length.ended(str(number))
            due -= size
        else:
            length.computed(str(number), size / 1000, size / 2000, size / 1000)
            opened += size
        assert length.total == (pytest.approx(due / 1000) if opened else None)


# How fast, and how long still


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_after_a_resumption_comes_from_what_is_computed_now() -> None:
    clock = Clock()
    stage = ComputePhase([(f"{number}", 100) for number in range(106)], clock=clock)
    for number in range(50):
        clock.now += 60  # an hour goes by while what was kept is read and checked
        stage.reused(f"{number}")
    stage.resumed("50", 90)
    clock.now += 600  # the part that is kept is decoded once more
    lefts = []
    for second in range(1, 300):
        clock.now += 1
        key, due = ("50", 10) if second <= 10 else (f"{51 + (second - 11) // 100}", 100)
        stage.computed(key, due, 1, 100)
        status = stage.status()
        if second > 1:
            assert status.left is not None
            lefts.append(status.left + second)
        assert status.details[0].endswith(" of 91.8 min of audio")  # 10 s and 55 times 100 s
        assert status.details[1] == "0/56 inputs (50 kept)"
    assert min(lefts) == pytest.approx(5510)
    assert max(lefts) == pytest.approx(5510)


def test_estimates_are_steady() -> None:
    clock = Clock()
    stage = ComputePhase([("a", 1000)], clock=clock)
    ends = []
    for number in range(600):  # ten times real time, by fits and starts
        clock.now += (0.1, 0.2, 1.7, 2.0)[number % 4]
        stage.computed("a", 6000, 10, 6000)
        left = stage.status().left
        if clock.now > 1030:
            assert left is not None
            ends.append(clock.now + left)
    assert max(ends) - min(ends) < 0.06 * 600


def test_the_speed_is_that_of_the_last_minute() -> None:
    clock = Clock()
    speed = Speed(clock)
    done = 0.0
    for per_second in (100.0, 10.0):
        for _ in range(120):
            speed.mark(done)
            clock.now += 1
            done += per_second
        assert speed.now(done) == pytest.approx(per_second, rel=0.02)
    clock.now += 600  # a disk that hangs
    stalled = speed.now(done)
    assert stalled is not None
    assert stalled < 1


def test_a_stage_is_measured_by_its_audio() -> None:
    clock = Clock()
    stage = ArrayPhase("checking", 2, 100.0, clock=clock)
    assert stage.status() == Status(
        "checking", 0.0, None, ("0.0 s of 100.0 s of audio", "0/2 inputs")
    )
    clock.now += 3
    stage.advanced(30)
    assert stage.status().share == 0.3
    assert stage.status().left == pytest.approx(7)
    stage.ended(90)
    assert stage.status().share == 0.9
    stage.advanced(10)
    stage.ended(10)
    status = stage.status()
    assert (status.share, status.left) == (1.0, 0.0)
    assert status.details == ("100.0 s of 100.0 s of audio", "2/2 inputs", "33 x real time")


def test_a_stage_whose_audio_is_not_known_is_measured_by_its_inputs() -> None:
    clock = Clock()
    stage = ArrayPhase("writing", 4, None, clock=clock)
    clock.now += 10
    stage.ended(50)
    assert stage.status() == Status("writing", 0.25, 30.0, ("1/4 inputs",))
    assert stage.status().line() == "progress: writing, 00:30 left, 25%, 1/4 inputs"


statuses = st.builds(
    Status,
    name=st.sampled_from(["", "writing", "reading back", "waiting for standard input"]),
    share=st.none() | st.floats(0, 1),
    left=st.none() | st.floats(0, 1e7),
    details=st.lists(
        st.sampled_from(["1.0 min of 2.0 h of audio", "12/106 inputs", "9 x real time"]),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


@given(statuses, st.integers(1, 200), st.floats(0, 1e6))
def test_a_layout_fits(status: Status, width: int, elapsed: float) -> None:
    layout = status.layout(width, elapsed)
    assert len(layout.replace("{bar}", "#")) <= width
    if status.share is not None and width >= 22 + len(status.name):
        assert f"left {100 * status.share:>3.0f}%" in layout
    if "{bar}" in layout:
        assert len(layout.replace("{bar}", "")) + 6 <= width


@pytest.mark.parametrize("width", [39, 59, 79])
def test_time_left_and_share_come_first(width: int) -> None:
    status = Status("", 0.36, 4503.0, ("43.0 min of 2.0 h of audio", "12/106 inputs"))
    assert status.layout(width, 60).startswith("1:15:03 left  36%|{bar}| ")


# The events of every phase


class Recording:
    """Records each phase: inputs and seconds announced, and those that ended."""

    def __init__(self) -> None:
        self.phases: list[PhaseStarted] = []
        self.ends: list[list[float]] = []
        self.total = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, PhaseStarted):
            self.phases.append(event)
            self.ends.append([])
        elif isinstance(event, events.InputProgress):
            self.total += event.seconds
            assert event.seconds <= event.due <= event.length + 1e-9
        elif isinstance(event, events.PhaseInputEnded):
            self.ends[-1].append(event.seconds)


LENGTHS = (0.5, 2.0)  # seconds, of one channel and of two
TOTAL = sum(LENGTHS)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for number, seconds in enumerate(LENGTHS):
        signal = reference.noise(number + 1, int(8000 * seconds), number)
        write_audio(tmp_path / f"audio/{number}.wav", signal)
    return tmp_path / "audio"


def extracted(audio: Path, output: str, observer: Observer, *numbers: int) -> Path:
    """Extract spectrograms of some of the inputs."""
    path = audio.parent / output
    settings = ExtractionSettings(
        layer=SpectrogramConfig(n_dft=64, image_data_format="channels_last"),
        audio=AudioSettings(sr=8000),
        output=OutputSettings(path=path, format="hdf5" if path.suffix else "npy-directory"),
    )
    sources = [Source(str(audio / f"{number}.wav"), f"{number}.wav") for number in numbers]
    result = RunResult(observer, failures=[])
    extract(sources, settings, result)
    assert (result.n_written, result.failures) == (len(numbers), [])
    return path


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_every_stage_of_a_run_adds_up(name: str, audio: Path) -> None:
    seen = Recording()
    output = extracted(audio, name, seen, 0, 1)
    assert seen.total == pytest.approx(TOTAL)
    assert [phase[:2] for phase in seen.phases] == [("writing", 2), ("reading back", 2)]
    verify(output, audio, None, seen)
    compare(output, output, emit=seen)
    assert [phase[:2] for phase in seen.phases[2:]] == 3 * [("checking", 2)]
    assert [phase.seconds for phase in seen.phases] == 5 * [pytest.approx(TOTAL)]
    assert seen.ends == 5 * [pytest.approx(list(LENGTHS))]


def test_every_stage_of_a_merge_counts_its_inputs(audio: Path) -> None:
    parts = [extracted(audio, f"{number}.h5", ignore, number) for number in (0, 1)]
    seen = Recording()
    output = OutputSettings(path=audio.parent / "all.h5", format="hdf5")
    merge(output, parts, RunResult(seen))
    assert seen.phases == [("writing", 2, None), ("reading back", 2, pytest.approx(TOTAL))]
    assert seen.ends == 2 * [pytest.approx(list(LENGTHS))]


def test_long_arrays_move_by_parts(audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapre_cli.framing.BLOCK_VALUES", 2**11)
    monkeypatch.setattr("kapre_cli.formats.values.BLOCK_VALUES", 2**12)
    monkeypatch.setattr("kapre_cli.formats.hdf5_values.BLOCK_VALUES", 2**12)
    monkeypatch.setattr("kapre_cli.formats.hdf5_headers._WINDOW_BYTES", 2**12)
    monkeypatch.setattr("kapre_cli.formats.hdf5_headers._PART_BYTES", 2**14)
    moves: list[float] = []

    def record(event: Event) -> None:
        if isinstance(event, events.PhaseProgress):
            moves.append(event.seconds)

    write_audio(audio / "2.wav", reference.noise(2, 100_000))
    output = extracted(audio, "out.h5", record, 2)
    verify(output, audio, None, record)
    compare(output, output, emit=record)
    assert sum(moves) == pytest.approx(4 * 12.5)  # what is written is read back meanwhile
    assert max(moves) < 12.5 / 3


def test_what_an_earlier_run_has_done_is_kept_and_not_computed(
    audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Event] = []
    arguments = ("spectrogram", audio, "--n-dft", 64, "-o", audio.parent / "out.h5")
    assert program(*arguments).code == 0
    write_audio(audio / "2.wav", reference.noise(1, 4000, 2))
    (audio / "3.wav").write_bytes(b"no audio")

    def watched(sources: Any, settings: Any, result: RunResult, *more: Any, **named: Any) -> None:
        result.emit = seen.append
        extract(sources, settings, result, *more, **named)

    monkeypatch.setattr("kapre_cli.extraction.run.extract", watched)
    assert program(*arguments, "--resume").code == 1
    reused = [event.key for event in seen if isinstance(event, events.InputReused)]
    ended = [event.key for event in seen if isinstance(event, events.InputEnded)]
    assert (reused, sorted(ended)) == (["0.wav", "1.wav"], ["2.wav", "3.wav"])
    seconds = [event.seconds for event in seen if isinstance(event, events.InputProgress)]
    assert sum(seconds) == pytest.approx(0.5)
    written = [event for event in seen if isinstance(event, events.InputWritten)]
    skipped = [event for event in seen if isinstance(event, events.InputSkipped)]
    failed = [event for event in seen if isinstance(event, events.InputFailed)]
    assert [event.result.key for event in written] == ["2.wav"]
    assert [event.result.key for event in skipped] == ["0.wav", "1.wav"]
    assert [event.result.key for event in failed] == ["3.wav"]
    assert isinstance(failed[0].error, AudioReadError)


# Lines where there is no terminal


class Messages:
    """What goes to standard error while this is entered."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "Messages":
        self._before = os.dup(2)
        with self._path.open("wb") as file:
            os.dup2(file.fileno(), 2)
        return self

    def __exit__(self, *_: object) -> None:
        os.dup2(self._before, 2)
        os.close(self._before)
        assert "\r" not in self._path.read_text()

    def line(self, start: str) -> str:
        """Return the first line that begins so, once it is there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in self._path.read_text().splitlines(keepends=True):
                if line.startswith(start) and line.endswith("\n"):
                    return line[:-1]
            time.sleep(0.01)
        pytest.fail(f"no line begins with {start!r}: {self._path.read_text()[:2000]!r}")


@pytest.fixture
def messages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Messages]:
    """Catch messages; nothing else is printed."""
    yield Messages(tmp_path / "messages")
    assert capfd.readouterr() == ("", "")


INTERVAL = 0.01


def test_a_line_says_how_far_the_work_is(tmp_path: Path, messages: Messages) -> None:
    files = [tmp_path / f"{number}.wav" for number in range(4)]
    for file in files:
        file.write_bytes(bytes(1000))
    sources = [Source(str(file), file.name) for file in files]
    clock = Clock()
    with messages, Terminal(sources, interval=INTERVAL, clock=clock) as terminal:
        assert messages.line("progress: ") == "progress: ? left, 0%, 0/4 inputs"
        terminal(events.InputReused("0.wav"))
        terminal(events.InputProgress("1.wav", 3600, 600, 3600))
        clock.now += 10
        terminal(events.InputProgress("1.wav", 3600, 1200, 3600))
        terminal(events.InputEnded("2.wav"))
        clock.now += 10
        assert messages.line("progress: 01:30 left") == (
            "progress: 01:30 left, 25%, 30.0 min of 2.0 h of audio, 1/3 inputs (1 kept), "
            "60 x real time"
        )
        terminal(PhaseStarted("writing", 2, 7200))
        terminal(events.PhaseInputEnded(1800))
        clock.now += 20
        assert messages.line("progress: writing, 01:00") == (
            "progress: writing, 01:00 left, 25%, 30.0 min of 2.0 h of audio, 1/2 inputs, "
            "90 x real time"
        )
        terminal(PhaseStarted("reading back", 2, 7200))
        assert messages.line("progress: reading back") == (
            "progress: reading back, ? left, 0%, 0.0 s of 2.0 h of audio, 0/2 inputs"
        )
        terminal(Note("this"))
        assert messages.line("note: ") == "note: this"


def test_a_line_says_what_is_waited_for(tmp_path: Path, messages: Messages) -> None:
    spool = tmp_path / "spool"
    spool.write_bytes(b"")
    source = Source("-", "stdin", str(spool))
    with messages, Terminal([source], interval=INTERVAL) as terminal:
        waiting = "progress: waiting for standard input, "
        assert messages.line(waiting) == f"{waiting}0 bytes so far"
        spool.write_bytes(bytes(12_000))
        assert messages.line(f"{waiting}12") == f"{waiting}12.0 kB so far"
        terminal(events.InputArrived("stdin", 12_000))
        assert messages.line("progress: ? left") == "progress: ? left, 0%, 0/1 input"
    with messages, Terminal((), grows=True, interval=INTERVAL) as terminal:
        waiting = "progress: waiting for the list of inputs, "
        assert messages.line(waiting) == f"{waiting}0 inputs so far"
        terminal(events.InputArrived("a.wav", 10))
        terminal(events.InputArrived("b.wav", 10))
        assert (
            messages.line("progress: ? left, 0%, 0/2") == "progress: ? left, 0%, 0/2 inputs so far"
        )
        terminal(events.InputEnded("a.wav"))
        terminal(events.InputEnded("b.wav"))
        terminal(events.WaitingForInputs())
        assert messages.line(f"{waiting}2") == f"{waiting}2/2 inputs so far"
        terminal(events.InputsComplete(2))
        assert messages.line("progress: ? left, 0%, 2/2") == "progress: ? left, 0%, 2/2 inputs"


@pytest.mark.parametrize("phase", ["checking", "writing"])
def test_a_line_says_how_far_outputs_have_been_looked_at(
    phase: Literal["checking", "writing"], messages: Messages
) -> None:
    clock = Clock()
    with messages, Terminal(interval=INTERVAL, clock=clock) as terminal:
        terminal(PhaseStarted(phase, 10))
        clock.now += 5
        terminal(events.PhaseInputEnded())
        clock.now += 5
        assert messages.line(f"progress: {phase}, 01:30") == (
            f"progress: {phase}, 01:30 left, 10%, 1/10 inputs"
        )


def test_a_quiet_run_and_a_short_one_have_no_line(capfd: pytest.CaptureFixture[str]) -> None:
    for options in ({"quiet": True, "interval": INTERVAL}, {}):
        with Terminal((), **options) as terminal:  # type: ignore[arg-type]
            terminal(events.InputArrived("a.wav", 10))
            terminal(events.InputProgress("a.wav", 1, 1, 1))
            terminal(PhaseStarted("writing", 1, 1.0))
            time.sleep(10 * INTERVAL)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_once_it_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with Terminal((), interval=1e-4) as terminal:
            terminal(events.InputArrived("a.wav", 10))
        capfd.readouterr()
        assert capfd.readouterr() == ("", "")


LINE = re.compile(
    r"progress: (((writing|reading back|checking), )?([\d:]+|\?) left, \d+%,|waiting for )"
    r".* \d+(/\d+)? inputs?.*"
)


def test_every_command_prints_lines_where_there_is_no_terminal(
    audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio.parent)
    monkeypatch.setattr("kapre_cli.cli.terminal.Terminal", partial(Terminal, interval=1e-4))
    for number in range(2, 20):
        write_audio(audio / f"{number}.wav", reference.noise(1, 20_000, number))
    Path("list").write_text("audio/0.wav\naudio/1.wav\n")
    for command, n_others in (
        ("spectrogram audio -o a.h5", 1),
        ("spectrogram audio -o a.h5 --resume", 2),
        ("spectrogram audio -o b", 1),
        ("merge a.h5 -o c.h5", 1),
        ("verify a.h5 --against audio", 0),
        ("compare a.h5 b", 0),
    ):
        ended = program(*command.split())
        assert ended.code == 0, ended.err
        assert "progress: " not in ended.out
        messages = ended.err.splitlines()
        lines = [line for line in messages if line.startswith("progress: ")]
        assert lines
        assert len(messages) == len(lines) + n_others
        assert all(map(LINE.fullmatch, lines))
    ended = program("spectrogram", "audio", "-o", "d.h5", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
