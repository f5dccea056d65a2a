"""``-o -``: arrays one after another in a pipe, in order, each whole, whatever happens around."""

import io
import json
import os
import pty
import re
import resource
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import kapre_cli
from kapre_cli.errors import OutputError, StoredDataError
from kapre_cli.extraction import sinks as assembly
from kapre_cli.extraction.executor import InProcess
from kapre_cli.extraction.run import stream
from kapre_cli.extraction.tasks import Task
from kapre_cli.framing import Framing
from kapre_cli.inputs import FileList, Inputs, InputStream, Source, discover
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
)
from tests import reference
from tests.conftest import PROGRAM, kill_workers, workers_of, write_audio, write_silence
from tests.stress.runs import HERE

OPTIONS = ("--n-dft", "64", "--n-hop", "2")
N_LONG, N_CHANNELS = 20_000, 8
BAD = {"1 bad.wav": b"no audio", "3 empty.wav": b""}
NAMES = ("0.wav", "1.wav", "2.wav", "2 long.flac", "3.flac", "4.wav", "5.wav")
LOUD = "4 loud.wav"  # float16 does not hold it
N_SHORT = 30


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make short inputs of one to three channels, a long one of many blocks, some that fail."""
    folder = tmp_path_factory.mktemp("stream") / "audio"
    for number, name in enumerate(NAMES):
        write_audio(folder / name, reference.noise(1 + number % 3, 900 + 411 * number, number))
    write_audio(folder / "2 long.flac", reference.noise(N_CHANNELS, N_LONG, 20))
    assert len([*Framing(64, 2, "same").blocks(N_LONG // 2, 33, N_CHANNELS)]) > 1
    for number in range(N_SHORT):
        signal_ = reference.noise(1, 200 + 37 * number, 100 + number)
        write_audio(folder / "short" / f"{number:02}.wav", signal_, subtype="PCM_16")
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    write_audio(folder / LOUD, 1e4 * reference.noise(1, 3000))
    return folder


def piped(
    *arguments: object, cwd: Path, stdout: Any = subprocess.PIPE, **environment: str
) -> tuple[subprocess.CompletedProcess[bytes], list[str]]:
    """Run the program with its standard output in a pipe; give what it said too, line by line."""
    ended = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        timeout=120,
        check=False,
    )
    return ended, ended.stderr.decode().splitlines()


def loaded(content: bytes) -> list[npt.NDArray[Any]]:
    """Return the arrays of a stream as NumPy reads them."""
    file, arrays = io.BytesIO(content), []
    while file.tell() < len(content):
        arrays.append(np.load(file, allow_pickle=False))
    return arrays


# What comes


@pytest.mark.parametrize(
    "options",
    [
        ["spectrogram", "--decibel", "--jobs", "3"],
        ["spectrogram", "--data-format", "channels_first", "--jobs", "1"],
        ["melspectrogram", "--n-mels", "20", "--decibel", "--power", "1", "--dtype", "float64"],
        ["melspectrogram", "--n-mels", "20", "--data-format", "channels_first"],
        ["spectrogram", "--dtype", "float16", "--batch-size", "48"],
    ],
    ids=lambda options: " ".join(options),
)
def test_the_arrays_are_those_of_a_folder(
    options: list[str], audio: Path, tmp_path: Path, program: Any
) -> None:
    command = (options[0], str(audio), *OPTIONS, *options[1:])
    into_folder = program(*command, "-o", tmp_path / "out")
    ended, lines = piped(*command, "-o", "-", cwd=tmp_path)
    with kapre_cli.open_features(tmp_path / "out") as features:
        expected = [stored[:] for stored in features.values()]
    arrays = loaded(ended.stdout)
    assert len(arrays) == len(NAMES) + N_SHORT + ("float16" not in options)
    assert [array.shape for array in arrays] == [array.shape for array in expected]
    for array, whole in zip(arrays, expected, strict=True):
        assert array.dtype == whole.dtype
        assert array.tobytes() == whole.tobytes()
    assert ended.returncode == into_folder.code == 1
    # What went wrong is told in the order of the inputs.
    failed = sorted(line for line in into_folder.err.splitlines() if line.startswith("failed"))
    assert lines[:-1] == failed
    assert lines[-1] == (
        into_folder.err.splitlines()[-1].replace(repr(str(tmp_path / "out")), "standard output")
    )


def test_arrays_are_read_from_a_pipe_as_they_come(audio: Path) -> None:
    files = [audio / name for name in NAMES]
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", *files, "-o", "-", *OPTIONS], stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        arrays = list(kapre_cli.read_arrays(running.stdout))
    assert [array.shape[2] for array in arrays] == [1, 2, 3, 8, 2, 3, 1]
    assert running.returncode == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[:-1], "ends within an array of shape (2,): 1 bytes of it are missing"),
        (lambda whole: whole[:40], "does not go on with an array"),
        (lambda whole: whole[:4], "does not go on with an array"),
        (lambda whole: whole + b"more than this", "does not go on with an array"),
        (lambda _: b"\x93NUMPY\x01\x00" + object_header(), "no array of this program"),
    ],
)
def test_a_stream_that_breaks_off_is_noticed(content: Any, message: str) -> None:
    file = io.BytesIO()
    np.save(file, np.arange(2.0))
    with pytest.raises(StoredDataError) as raised:
        list(kapre_cli.read_arrays(io.BytesIO(content(file.getvalue()))))
    assert message in str(raised.value).replace("not go on with an array of", "no array of")


def object_header() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    return file.getvalue()[8:]


def test_nothing_else_gets_into_the_stream_and_nothing_is_left(audio: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    ended, lines = piped(
        *("spectrogram", audio / "2 long.flac", "-o", "-", *OPTIONS, "--decibel"),
        *("--data-format", "channels_first"),
        cwd=tmp_path,
        TMPDIR=str(tmp_path / "temporary"),
    )
    (array,) = loaded(ended.stdout)
    assert array.shape == (N_CHANNELS, N_LONG // 2, 33)
    assert lines == ["1 input: 1 written, 0 failed (2.5 s of audio) -> standard output"]
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "temporary"]


# The library's function, with a pipe in this process


def settings_of(**more: Any) -> ExtractionSettings:
    return ExtractionSettings(
        layer=SpectrogramConfig(n_dft=64, n_hop=2, image_data_format="channels_first"),
        audio=AudioSettings(sr=8000),
        output=OutputSettings(path=STANDARD_OUTPUT, format="npy-stream"),
        **more,
    )


def sent(sources: Any, **more: Any) -> tuple[bytes, RunResult, list[int]]:
    """Return what is read of a stream, the tally of the run, and how many inputs were held."""
    result = RunResult()
    reading, wrap_os_errors = os.pipe()
    parts = []

    def read() -> None:
        while part := os.read(reading, 2**16):
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        executor = Counting(result)
        stream(sources, settings_of(**more), result, wrap_os_errors, executor=executor)
    finally:
        os.close(wrap_os_errors)
        reader.join(timeout=60)
        os.close(reading)
    return b"".join(parts), result, executor.n_held


class Counting(InProcess):
    """Counts the inputs that have been given to a worker and have not been reported."""

    def __init__(self, result: RunResult) -> None:
        super().__init__()
        self._result = result
        self._n_submitted = 0
        self.n_held: list[int] = []

    def submit(self, worker: int, task: Task) -> None:
        self._n_submitted += len(task.inputs)
        self.n_held.append(self._n_submitted - self._result.n_inputs)
        super().submit(worker, task)


def test_others_do_not_run_far_ahead_of_the_one_whose_turn_it_is(
    audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = discover([str(audio)]).sources
    expected, _, n_held = sent(sources)
    assert max(n_held) > 8
    for n_inputs, n_bytes in ((2, 2**28), (8, 1)):
        monkeypatch.setattr(assembly.StreamSink, "ahead_inputs", n_inputs)
        monkeypatch.setattr(assembly.StreamSink, "ahead_bytes", n_bytes)
        content, _, n_held = sent(sources)
        assert content == expected
        assert max(n_held) == n_inputs


def arriving(listed: Path) -> InputStream:
    """Return the inputs that are written into a named pipe."""
    names = FileList(str(listed), null=False)
    return InputStream(Inputs(()), names, None, lambda _: None, lambda path, _: pytest.fail(path))


def test_an_array_goes_out_while_the_next_input_is_waited_for(audio: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list")
    sources = arriving(tmp_path / "list")
    reading, wrap_os_errors = os.pipe()
    arrays = []

    def read() -> None:
        with (tmp_path / "list").open("w") as listed, os.fdopen(reading, "rb") as file:
            print(audio / "0.wav", audio / "1 bad.wav", sep="\n", file=listed, flush=True)
            for array in kapre_cli.read_arrays(file):
                arrays.append(array)
                if not listed.closed:
                    print(audio / "1.wav", file=listed)
                    listed.close()

    reader = threading.Thread(target=read)
    reader.start()
    result = RunResult()
    stream(sources, settings_of(jobs=2), result, wrap_os_errors)
    os.close(wrap_os_errors)
    reader.join(timeout=60)
    assert [array.shape[0] for array in arrays] == [1, 2]
    assert (result.n_written, result.n_failed, result.n_expected) == (2, 1, 3)


# How it ends


def test_a_reader_that_leaves_ends_it_quietly(audio: Path, tmp_path: Path) -> None:
    command = " ".join([*PROGRAM, "spectrogram", f"'{audio}'", "-o", "-", *OPTIONS])
    ended = subprocess.run(
        ["bash", "-c", f"{command} 2> err | head -c 100 | wc -c; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=300,
    )
    assert ended.stdout.split() == [b"100", b"141"]
    assert "Error" not in (tmp_path / "err").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["err"]


def test_a_reader_that_leaves_is_noticed_while_nothing_is_written(
    audio: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "list")
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", "--files-from", tmp_path / "list", "-o", "-", *OPTIONS],
        cwd=audio,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        with (tmp_path / "list").open("w") as listed:
            print("0.wav", file=listed, flush=True)
            assert running.stdout is not None
            assert next(kapre_cli.read_arrays(running.stdout)).shape[2] == 1
            running.stdout.close()
            assert running.wait(timeout=60) == 141
        assert running.stderr is not None
        assert running.stderr.read() == b""


def test_it_is_stopped_in_the_middle_of_an_array(audio: Path, tmp_path: Path) -> None:
    files = [audio / "0.wav", audio / "2 long.flac"]
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", *files, "-o", "-", *OPTIONS, "--report", "r.jsonl"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        arrays = kapre_cli.read_arrays(running.stdout)
        next(arrays)
        begun = running.stdout.read(1000)  # no pipe holds the rest
        running.send_signal(signal.SIGINT)
        with pytest.raises(StoredDataError, match="ends within an array"):
            list(kapre_cli.read_arrays(io.BytesIO(begun + running.stdout.read())))
        said = running.stderr.read().decode()
    assert (running.returncode, said) == (
        130,
        "kapre-extract: interrupted: 1 array sent\n",
    )
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line.get("key") for line in lines] == [None, "0.wav", None]
    assert (lines[-1]["inputs"], lines[-1]["exit_code"]) == (1, 130)


def test_a_process_that_is_killed_is_told_of_without_a_promise(tmp_path: Path) -> None:
    write_silence(tmp_path / "hours.wav", 7200)
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", "hours.wav", "-o", "-"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        killed = kill_workers(running.pid, 2)
        _, said = running.communicate(timeout=60)
    assert len({*killed}) == 2
    assert running.returncode == 1
    lines = said.decode().splitlines()
    why = "SIGKILL, perhaps because memory ran out"
    assert lines[0] == (
        f"a worker process died ({why}) before it had finished 'hours.wav'; "
        "each is tried once more, alone"
    )
    assert lines[1].startswith(f"failed: 'hours.wav': the worker process died twice ({why}) while")


@pytest.mark.parametrize("mode", ["pipe", "ab"])
def test_a_decoder_that_crashes_takes_its_own_array_with_it_and_no_other(
    mode: str, audio: Path, tmp_path: Path
) -> None:
    shim = tmp_path / "shim.so"
    source = HERE / "shim.c"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True, timeout=300
    )
    # More inputs than may wait for their turn: some have gone out when it comes to the crash.
    many = [tmp_path / f"m{number}.wav" for number in range(assembly.StreamSink.ahead_inputs + 100)]
    for path in many:
        path.symlink_to(audio / "short/00.wav")
    (tmp_path / "crash.wav").write_bytes((audio / "4.wav").read_bytes())
    good = [*many, *(audio / name for name in NAMES)]
    paths = [audio / "1 bad.wav", *many, tmp_path / "crash.wav", *(audio / name for name in NAMES)]
    (tmp_path / "stream").write_bytes(b"before")
    with (tmp_path / "stream").open("ab") as file:
        ended, lines = piped(
            *("spectrogram", *paths, "-o", "-", *OPTIONS, "--jobs", 2, "--report", "r.jsonl"),
            cwd=tmp_path,
            stdout=file if mode == "ab" else subprocess.PIPE,
            LD_PRELOAD=str(shim),
            SHIM_CRASH_ON_READ="crash.wav",
        )
    expected, _ = piped("spectrogram", *good, "-o", "-", *OPTIONS, cwd=tmp_path)
    sent_off = ended.stdout or (tmp_path / "stream").read_bytes().removeprefix(b"before")
    assert sent_off == expected.stdout
    assert ended.returncode == 1
    assert len([line for line in lines if "1 bad.wav': it is not WAV" in line]) == 1
    assert len([line for line in lines if "died (SIGSEGV)" in line]) == 1
    assert lines[-1].startswith(f"{len(paths):,} inputs: {len(good):,} written, 2 failed (")
    _, *records, sums = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
    assert [record["source"] for record in records] == [str(path) for path in paths]
    assert [record["status"] for record in records].count("failed") == 2
    assert (sums["inputs"], sums["written"], sums["failed"]) == (len(paths), len(good), 2)
    for name in ("seconds", "work_seconds"):
        written = [record[name] for record in records if record["status"] == "written"]
        assert sums[name] == pytest.approx(sum(written))


def peak_mib(pid: int) -> float:
    """Return the most memory that a process of the run ``pid`` has had so far."""
    peaks = []
    for process in (pid, *workers_of(pid)):
        status = Path(f"/proc/{process}/status").read_text()
        peaks += re.findall(r"VmHWM:\s+(\d+) kB", status)
    assert len(peaks) > 1
    return max(map(int, peaks)) / 2**10


def test_a_slow_reader_costs_no_memory(tmp_path: Path) -> None:
    write_silence(tmp_path / "audio.wav", 2400)
    due = 128 + 4 * 513 * -(-44100 * 2400 // 512)  # 424 MB
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", "audio.wav", "-o", "-", "--n-dft", "1024"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:
        assert running.stdout is not None
        left = due - len(running.stdout.read(10**6))
        time.sleep(1)
        while left > 10**6:  # more than the pipes hold: the last of it has not been written
            left -= len(running.stdout.read(min(left - 10**6, 2**24)))
        peak = peak_mib(running.pid)
        assert len(running.stdout.read()) == left
    assert running.returncode == 0
    assert peak <= 400


def test_a_temporary_file_that_cannot_be_had_is_told_of(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    result = RunResult()
    sources = [Source(str(audio / "0.wav"), "0.wav")]
    with pytest.raises(OutputError, match=r"TMPDIR names another folder.*: No such file"):
        stream(sources, settings_of(), result, 1)


def test_a_full_temporary_folder_is_told_of(audio: Path) -> None:
    limit = 1_000_000  # bytes, past which the system lets no file grow
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "2 long.flac", "-o", "-", *OPTIONS],
        cwd=audio,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
        timeout=300,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
    said = ended.stderr.decode().splitlines()
    assert said[0].endswith(
        " cannot be written: File too large; TMPDIR names another folder for it"
    )
    assert said[1:] == ["1 input: 0 written, 1 failed (0.0 s of audio) -> standard output"]


def test_a_full_disk_behind_standard_output_fails_what_has_not_gone_out(
    audio: Path, tmp_path: Path
) -> None:
    command = [*PROGRAM, "spectrogram", *NAMES, "1 bad.wav", "-o", "-", *OPTIONS]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*command, "--report", tmp_path / "r.jsonl"],
            cwd=audio,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=300,
        )
    assert ended.returncode == 1
    said = ended.stderr.decode().splitlines()
    reason = "'standard output' cannot be written: No space left on device"
    assert f"kapre-extract: Error: {reason}" in said
    assert said[-1].startswith("8 inputs: 0 written, 8 failed")
    _, *records, sums = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
    assert sorted(record["source"] for record in records) == sorted((*NAMES, "1 bad.wav"))
    reasons = {record["reason"] for record in records if record["source"] in NAMES}
    assert {one.removeprefix("not tried: ") for one in reasons} == {reason}
    assert (sums["failed"], sums["exit_code"]) == (8, 1)


# What is refused


def test_a_terminal_is_no_place_for_arrays(audio: Path) -> None:
    master, slave = pty.openpty()
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "0.wav", "-o", "-"],
        cwd=audio,
        stdout=slave,
        stderr=subprocess.PIPE,
        check=False,
        timeout=300,
    )
    os.close(slave)
    os.close(master)
    assert ended.returncode == 2
    assert ended.stderr.decode() == (
        "kapre-extract: Error: standard output is a terminal, which cannot show arrays: pipe it "
        "into a program, redirect it into a file, or name an output\n"
    )


def test_a_closed_standard_output_is_refused(audio: Path) -> None:
    command = " ".join([*PROGRAM, "spectrogram", "0.wav", "-o", "-"])
    ended = subprocess.run(
        ["bash", "-c", f"{command} >&-"], cwd=audio, capture_output=True, check=False, timeout=300
    )
    assert ended.returncode == 2
    assert b"standard output is closed, so arrays cannot be written to it" in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "-", "--format", "npy"], "Only the format npy-stream goes to standard output (-)"),
        (
            ["-o", "x", "--format", "npy-stream"],
            "Only the format npy-stream goes to standard output (-)",
        ),
        (["-o", "-", "--overwrite"], "Standard output (-) cannot be replaced or resumed"),
        (["-o", "-", "--resume"], "Standard output (-) cannot be replaced or resumed"),
        (["-o", "-", "--compression", "gzip"], "Only the format hdf5 can be compressed"),
        (["-o", "-", "--report", "-"], "Standard output (-) cannot take the features and the rep"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], message: str, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio)
    ended = program("spectrogram", "0.wav", *options)
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())


def test_a_file_that_is_called_so_is_another_thing(
    audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = program("spectrogram", audio / "0.wav", "-o", "./-", "--format", "npy")
    assert (ended.code, ended.out) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["-", "-.json"]


def test_the_reader_of_arrays_in_parts_gets_them_all() -> None:
    file = io.BytesIO()
    long = np.arange(700_000, dtype="<f4").reshape(7, 100_000)  # more than is read at once
    arrays = [np.arange(6, dtype="<f4").reshape(1, 2, 3), np.empty(0, "<f4"), long]
    for array in arrays:
        np.save(file, array)
    file.seek(0)
    for array, read in zip(arrays, kapre_cli.read_arrays(file), strict=True):
        np.testing.assert_array_equal(array, read, strict=True)
