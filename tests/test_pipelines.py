"""From one pipe into another: standard input and lists that grow, to standard output."""

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import kapre_cli
from kapre_cli.exit_codes import ExitCode
from tests import reference
from tests.conftest import PROGRAM, files_below, write_audio
from tests.test_report import read
from tests.warm import Nursery

OPTIONS = ("--n-dft", "64", "--n-hop", "50")
NAMES = ("a.wav", "b.flac", "two\nlines.wav", "caf\udce9.wav", "sub/d.wav")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a few short recordings, some of odd names."""
    folder = tmp_path_factory.mktemp("audio")
    for number, name in enumerate(NAMES):
        signal_ = reference.noise(1 + number % 3, 3000 + number, number)
        made = write_audio(folder / f"made{Path(name).suffix}", signal_)
        (folder / name).parent.mkdir(exist_ok=True)
        os.rename(made, folder / name)
    return folder


class Run:
    """A run between two pipes, of which the test holds the other ends.

    Args:
        warm: Starts it.
        folder: Where it runs; an empty folder ``tmp`` in there is for its temporary files.
        arguments: Of the command.
        code: What to run in place of the program.
    """

    def __init__(
        self, warm: Nursery, folder: Path, *arguments: object, code: str | None = None
    ) -> None:
        (folder / "tmp").mkdir(exist_ok=True)
        self.running = warm.start(
            *("spectrogram", *arguments, *OPTIONS),
            cwd=folder,
            environment={**os.environ, "TMPDIR": str(folder / "tmp")},
            session=True,
            code=code,
        )
        self.stdin = self.running.stdin
        self.stdout = io.BufferedReader(self.running.stdout)

    def name(self, *names: str) -> None:
        """Write names into the list."""
        self.stdin.write("".join(f"{name}\n" for name in names).encode())

    def ended(self) -> tuple[int, list[str]]:
        """Wait until it ends, whatever is still open; return its exit code and what it said."""
        code = self.running.wait(timeout=60)
        return code, self.running.stderr.read().decode().splitlines()


Begin = Callable[..., Run]


@pytest.fixture
def begin(tmp_path: Path, warm: Nursery) -> Iterator[Begin]:
    runs: list[Run] = []

    def call(*arguments: object, code: str | None = None) -> Run:
        runs.append(Run(warm, tmp_path, *arguments, code=code))
        return runs[-1]

    yield call
    for run in runs:
        if run.running.poll() is None:
            os.killpg(run.running.pid, signal.SIGKILL)
            run.running.wait(timeout=60)
        for stream in (run.stdin, run.stdout, run.running.stderr):
            stream.close()


def in_shell(script: str, folder: Path, *arguments: object) -> list[str]:
    """Run a pipeline with the program as ``"$@"``; return what it and then all codes print."""
    command = [*PROGRAM, "spectrogram", *map(str, arguments), *OPTIONS]
    ended = subprocess.run(
        ["bash", "-c", f'{script}; echo "${{PIPESTATUS[@]}}"', "bash", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def arrays_of(output: Path) -> dict[str, npt.NDArray[Any]]:
    with kapre_cli.open_features(output) as features:
        return {key: stored[:] for key, stored in features.items()}


def require_equal(
    arrays: dict[str, npt.NDArray[Any]], expected: dict[str, npt.NDArray[Any]]
) -> None:
    assert sorted(arrays) == sorted(expected)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, expected[key], strict=True)


# What comes


def test_whatever_find_prints_comes_out_as_from_the_folder(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    assert program("spectrogram", audio, "-o", tmp_path / "out.h5", *OPTIONS).code == 0
    listing = ("--files-from", "-", "-0", "-o", "-", "--report", tmp_path / "r.jsonl")
    script = f'find . -type f -print0 | "$@" 2> "{tmp_path}/said" > "{tmp_path}/stream"'
    assert in_shell(script, audio, *listing) == ["0", "0"]
    assert (tmp_path / "said").read_text().startswith("5 inputs: 5 written, 0 failed")
    records, _ = read(tmp_path / "r.jsonl")
    with (tmp_path / "stream").open("rb") as file:
        arrays = list(kapre_cli.read_arrays(file))
    keys = [record["key"] for record in records]  # in the order of the arrays
    require_equal(dict(zip(keys, arrays, strict=True)), arrays_of(tmp_path / "out.h5"))


def test_what_ffmpeg_pipes_comes_out_as_from_its_file(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    script = 'ffmpeg -v error -i b.flac -f wav -c pcm_s24le - | "$@" 2> /dev/null > "$STREAM"'
    stream = tmp_path / "stream"
    assert in_shell(f'STREAM="{stream}"; {script}', audio, "-", "-o", "-") == ["0", "0"]
    (array,) = kapre_cli.read_arrays(io.BytesIO(stream.read_bytes()))
    assert program("spectrogram", audio / "b.flac", "-o", tmp_path / "out", *OPTIONS).code == 0
    np.testing.assert_array_equal(array, np.load(tmp_path / "out/b.flac.npy"), strict=True)


def test_the_stream_and_a_list_go_together(begin: Begin, tmp_path: Path) -> None:
    for number, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / name, reference.noise(1 + number, 3000, number))
    os.mkfifo(tmp_path / "list")
    run = begin("-", "--files-from", "list", "-o", "-", "--report", "r.jsonl")
    with (tmp_path / "list").open("w") as listed:
        run.stdin.write((tmp_path / "b.wav").read_bytes())
        run.stdin.close()
        arrays = kapre_cli.read_arrays(run.stdout)
        assert next(arrays).shape[2] == 2
        print("a.wav", file=listed, flush=True)
        assert next(arrays).shape[2] == 1
    assert list(arrays) == []
    assert run.ended()[0] == 0
    records, _ = read(tmp_path / "r.jsonl")
    assert [(one["key"], one["source"]) for one in records] == [("stdin", "-"), ("a.wav", "a.wav")]


# How it ends


NEW_NAMES = """
import itertools, os
for number in itertools.count():
    os.symlink("a.wav", f"{number}.wav")
    print(f"{number}.wav", flush=True)
"""


@pytest.mark.parametrize(
    ("feeder", "arguments", "reader", "n_read"),
    [
        ("$PYTHON -c $NEW_NAMES 2> /dev/null", "--files-from -", "head -c 2000", 2000),
        ("yes a.wav", "--files-from -", "head -c 100", 100),
        ("yes a.wav", "--files-from -", "sleep 0.5", 0),
        ("cat /dev/zero", "- --raw-format s16le,8000,1", "true", 0),
    ],
    ids=["new names", "one name", "one name read", "samples"],
)
def test_what_never_ends_ends_when_its_reader_leaves(
    feeder: str, arguments: str, reader: str, n_read: int, tmp_path: Path
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    (tmp_path / "tmp").mkdir()
    for name, value in (("$PYTHON", sys.executable), ("$NEW_NAMES", NEW_NAMES)):
        feeder = feeder.replace(name, shlex.quote(value))
    script = f'{feeder} | TMPDIR=tmp "$@" | {reader} | wc -c'
    n_bytes, *codes = in_shell(script, tmp_path, *arguments.split(), "-o", "-")
    assert (int(n_bytes), codes[1]) == (n_read, "141")
    assert files_below(tmp_path / "tmp") == []


# A queue of one input: whoever names the next waits until that has gone out.
NARROW = """
import sys
from kapre_cli.cli import main
from kapre_cli.extraction import sinks as assembly
assembly.StreamSink.ahead_inputs = 1
main(sys.argv[1:])
"""
WAITING = {
    "for standard input": ("-",),
    "for a rate": ("--files-from", "-"),
    "for a name": ("--files-from", "-", "--sr", "8000"),
    "for the end of a list": ("--files-from", "-", "--shard", "1/2"),
    "for room": ("--files-from", "-", "--sr", "8000", "--jobs", "2"),
}


def wait_until_idle(group: int) -> None:
    """Wait until the processes of a group, one of them at least, have used no CPU for a second."""
    deadline = time.monotonic() + 60
    before, since = None, time.monotonic()
    while time.monotonic() < deadline:
        used = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == group:
                    used.append((path, fields[11], fields[12]))
        if used != before or not used:
            before, since = used, time.monotonic()
        elif time.monotonic() - since > 1:
            return
        time.sleep(0.05)
    raise AssertionError(f"the processes of {group} are never idle")


@pytest.mark.parametrize("waiting", WAITING)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGPIPE])
def test_a_run_that_waits_ends_at_once(
    number: int, waiting: str, begin: Begin, tmp_path: Path
) -> None:
    run = begin(*WAITING[waiting], "-o", "-", code=NARROW)
    n_gone = 0
    if waiting == "for room":
        write_audio(tmp_path / "a.wav", reference.noise(1, 300_000))
        write_audio(tmp_path / "b.wav", reference.noise(1, 300_000))
        run.name("a.wav", "./b.wav", "gone.wav")
        next(kapre_cli.read_arrays(run.stdout))
        run.stdout.read(1000)  # of the next one, of which no pipe holds the rest
        n_gone = 1
    elif waiting == "for standard input":
        run.stdin.write(bytes(2**18))  # more than a pipe holds: it has begun to read
        run.stdin.flush()
    else:
        wait_until_idle(run.running.pid)
    if number == signal.SIGINT:
        os.killpg(run.running.pid, number)
    else:
        run.stdout.close()
    code, said = run.ended()
    assert code == 128 + number
    told = f"kapre-extract: interrupted: {n_gone} array{'' if n_gone == 1 else 's'} sent"
    if waiting == "for the end of a list":
        told = "kapre-extract: interrupted: no output was written or changed"
    assert said == ([told] if number == signal.SIGINT else [])
    assert files_below(tmp_path / "tmp") == []


# Reports, and when too much fails


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[str, ...]:
    """Make what a list may name: good recordings, and what fails for one reason or another."""
    for number, name in enumerate(("a.wav", "b.wav", "other/a.wav", "-")):
        write_audio(tmp_path / name, reference.noise(1, 3000, number), format="WAV")
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    return ("a.wav", "bad.wav", f"{tmp_path}/other/a.wav", "r.jsonl", "gone.wav", "b.wav", "-")


REASONS = {
    "bad.wav": "it is not WAV or FLAC",
    "a.wav": "would both be stored as 'a.wav'",
    "r.jsonl": "the report 'r.jsonl' is one of the inputs",
    "gone.wav": "cannot be opened: No such file or directory",
}
REFUSED = ("r.jsonl", "a.wav")  # that never were inputs


@pytest.mark.parametrize("output", ["out.h5", "out", "-"])
def test_what_a_growing_list_names_in_vain_is_in_the_report(
    output: str, begin: Begin, mixed: tuple[str, ...], tmp_path: Path
) -> None:
    run = begin("--files-from", "-", "-o", output, "--report", "r.jsonl")
    run.name(*mixed)
    run.stdin.close()
    arrays = list(kapre_cli.read_arrays(run.stdout))
    code, said = run.ended()
    records, sums = read(tmp_path / "r.jsonl")
    assert (code, sums["exit_code"]) == (1, 1)
    assert (sums["written"], sums["failed"], sums["skipped"]) == (3, 4, 0)
    assert said[-1].startswith("7 inputs: 3 written, 4 failed")
    written = [record["key"] for record in records if record["status"] == "written"]
    assert written == ["a.wav", "b.wav", "-"]
    assert len(arrays) == (3 if output == "-" else 0)
    for record in records:
        if record["status"] == "failed":
            name = Path(record["source"]).name
            assert REASONS[name] in record["reason"]
            assert f"failed: {record['source']!r}: {record['reason']}" in said
            assert record["key"] == (None if name in REFUSED else name)


@pytest.mark.parametrize("output", ["out.h5", "-"])
@pytest.mark.parametrize("names", [(0, 1), (1,), (0, 2)], ids=["later", "first", "refused"])
def test_a_growing_list_is_not_waited_for_when_too_much_has_failed(
    names: tuple[int, ...], output: str, begin: Begin, mixed: tuple[str, ...], tmp_path: Path
) -> None:
    run = begin("--files-from", "-", "-o", output, "--report", "r.jsonl", "--max-failures", "0")
    for number in names:
        run.name(mixed[number])
        time.sleep(0.5)  # until nothing is left to be done
    code, said = run.ended()  # though the list is still open
    records, sums = read(tmp_path / "r.jsonl")
    assert (code, sums["exit_code"]) == (1, 1)
    assert sums["failed"] == len(records) - sums["written"] > 0
    (told,) = (line for line in said if "Error" in line)
    assert told.startswith("kapre-extract: Error: 1 of ")
    assert told.endswith("--max-failures allows 0: the run was stopped")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    ("n_good", "n_bad", "stops"), [(80, 22, False), (3, 2, True), (20, 9, True)]
)
@pytest.mark.parametrize("output", ["out.h5", "-"])
def test_a_share_of_a_growing_list_is_one_of_what_has_ended_and_then_of_all(
    n_good: int, n_bad: int, stops: bool, output: str, begin: Begin, tmp_path: Path
) -> None:
    """Whether an output is written at the end or not, what is ready for it counts."""
    write_audio(tmp_path / "a.wav", reference.noise(1, 300))
    for number in range(n_good):
        (tmp_path / f"{number}.wav").symlink_to("a.wav")
    run = begin("--files-from", "-", "-o", output, "--max-failures", "25%", "--jobs", "1")
    run.name(*(f"{number}.wav" for number in range(n_good + n_bad)))
    time.sleep(0.5)  # until nothing is left to be done, and nobody knows that all have come
    run.stdin.close()
    run.stdout.read()
    code, said = run.ended()
    assert code == 1
    assert any("--max-failures allows 25%" in line for line in said) == stops
    assert (tmp_path / "out.h5").exists() == (output != "-" and not stops)


CRASHING = """
import os, signal, sys
from kapre_cli.cli import main
from kapre_cli.extraction import sinks as assembly
from kapre_cli.extraction import decode as decoding
assembly.StreamSink.ahead_inputs = 2
really = decoding.AudioReader
def crashing(path, *arguments, **options):
    if path == "crash.wav" and len(os.listdir("crashes")) < N_CRASHES:
        open(f"crashes/{os.getpid()}", "x").close()
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decoding.AudioReader = crashing
main(sys.argv[1:])
"""


@pytest.mark.parametrize("output", ["out", "-"])
@pytest.mark.parametrize("n_crashes", [1, 2])
def test_after_a_crash_nothing_of_a_growing_list_is_lost_or_told_twice(
    n_crashes: int, output: str, begin: Begin, mixed: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "crashes").mkdir()
    write_audio(tmp_path / "crash.wav", reference.noise(2, 4000, 9))
    options = ("--files-from", "-", "-o", output, "--report", "r.jsonl", "--jobs", "2")
    run = begin(*options, code=CRASHING.replace("N_CRASHES", str(n_crashes)))
    names = (*mixed[:3], "b.wav", "crash.wav", "-")
    run.name(*names[:-1])
    while len(os.listdir(tmp_path / "crashes")) < n_crashes:
        assert run.running.poll() is None
        time.sleep(0.02)
    run.name(names[-1])
    run.stdin.close()
    arrays = list(kapre_cli.read_arrays(run.stdout))
    ended, said = run.ended()
    assert ended == 1
    good = ["a.wav", "b.wav", *(["crash.wav"] if n_crashes == 1 else []), "-"]
    records, sums = read(tmp_path / "r.jsonl")
    assert [one["key"] for one in records if one["status"] == "written"] == good
    assert (sums["written"], sums["failed"]) == (len(good), 6 - len(good))
    assert len([line for line in said if line.startswith("failed: ")]) == 6 - len(good)
    assert len([line for line in said if "died (SIGSEGV) before" in line]) == 1
    if output == "-":
        shapes = [record["shape"] for record in records if record["status"] == "written"]
        assert [list(array.shape) for array in arrays] == shapes


# Dry runs, and what is refused


def test_a_dry_run_reads_what_is_piped_and_leaves_nothing(
    begin: Begin, mixed: tuple[str, ...], tmp_path: Path
) -> None:
    before = [*files_below(tmp_path), "tmp"]
    run = begin("--files-from", "-", "-o", "out.h5", "--dry-run")
    run.name("a.wav", "gone.wav")
    run.name("b.wav")
    run.stdin.close()
    told = run.stdout.read().decode().splitlines()
    assert run.ended() == (1, [])
    assert told[0].startswith("failed: 'gone.wav': cannot be opened")
    assert told[1:3] == ["'a.wav': 60 x 33 x 1", "'b.wav': 60 x 33 x 1"]
    assert told[-1] == "3 inputs: 2 to be written, 1 would fail -> 'out.h5'; nothing was done"
    run = begin("-", "-o", "-", "--dry-run", "--raw-format", "s16le,8000,2")
    run.stdin.write(bytes(40_000))
    run.stdin.close()
    told = run.stdout.read().decode().splitlines()
    assert run.ended() == (0, [])
    axes = "time, frequency, channel"
    assert told == [
        "'stdin': 200 x 33 x 2",
        f"axes {axes}; 1.2 s of audio at 8,000 Hz; 52.8 kB (52,800 bytes) of float32",
        "1 input: 1 to be written, 0 would fail -> standard output; nothing was done",
    ]
    assert files_below(tmp_path) == sorted(before)
    assert mixed[0] in before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--files-from list -o list --format hdf5 --overwrite", "the output 'list' is the list of"),
        ("--files-from list -o x.h5 --report list", "the report 'list' is the list of inputs"),
        ("- -o - --report a.wav", "the report 'a.wav' is standard input"),
        ("- -o a.wav --format hdf5 --overwrite", "the output 'a.wav' is standard input"),
    ],
)
def test_nothing_is_written_over_what_is_read(arguments: str, message: str, tmp_path: Path) -> None:
    audio = write_audio(tmp_path / "a.wav", reference.noise(1, 300)).read_bytes()
    (tmp_path / "list").write_text("a.wav\n")
    with (tmp_path / "a.wav").open("rb") as file:
        ended = subprocess.run(
            [*PROGRAM, "spectrogram", *arguments.split()],
            cwd=tmp_path,
            stdin=file,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert (ended.returncode, ended.stdout) == (ExitCode.USAGE, "")
    assert message in ended.stderr
    assert (tmp_path / "a.wav").read_bytes() == audio
    assert (tmp_path / "list").read_text() == "a.wav\n"
    assert files_below(tmp_path) == ["a.wav", "list"]
