"""Worker processes that die: a run loses nothing but time, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import kapre_cli
from kapre_cli.errors import OutputError
from kapre_cli.extraction.executor import InProcess, previews
from kapre_cli.extraction.local_workers import LocalWorkers
from kapre_cli.extraction.run import extract
from kapre_cli.extraction.tasks import (
    Channel,
    Message,
    Task,
    TaskInput,
    TaskSettings,
    WorkerLost,
)
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.inputs import discover
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
)
from tests import reference
from tests.conftest import PROGRAM, workers_of, write_audio, write_silence

LIMIT = 120  # seconds
OPTIONS = ("--n-dft", "64", "--n-hop", "2")


@contextmanager
def running(*arguments: object, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the program; it does not outlive the test."""
    command = [*PROGRAM, *map(str, arguments)]
    with subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True) as run:
        try:
            yield run
        finally:
            run.kill()


def ended(run: subprocess.Popen[str]) -> tuple[int, list[str]]:
    _, said = run.communicate(timeout=LIMIT)
    return run.returncode, said.splitlines()


def at_work(run: subprocess.Popen[str], folder: Path, output: str = "out.h5") -> list[int]:
    """Return the workers of a run, once one of them has finished a block."""
    deadline = time.monotonic() + LIMIT
    while not any(path.stat().st_size for path in folder.glob(f"{output}.partial/journal-*")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return workers_of(run.pid)


def is_dead(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not awaited does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def is_of_program(pid: str) -> bool:
    with suppress(OSError):
        return b"spectrogram" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make recordings that take a second or two each, in all."""
    for number in range(6):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(1, 400_000, number))
    return tmp_path / "audio"


@pytest.mark.usefixtures("audio")
def test_a_worker_that_is_killed_costs_nothing_but_time(tmp_path: Path) -> None:
    command = ("spectrogram", "audio", *OPTIONS)
    with running(*command, "-o", "whole.h5", cwd=tmp_path) as run:
        assert ended(run)[0] == 0
    with running(*command, "-o", "killed.h5", cwd=tmp_path) as run:
        killed = at_work(run, tmp_path, "killed.h5")[0]
        os.kill(killed, signal.SIGKILL)
        code, said = ended(run)
    assert code == 0
    assert said[0].startswith("a worker process died (SIGKILL, perhaps because memory ran out)")
    assert said[-1].startswith("6 inputs: 6 written, 0 failed")
    assert not is_there(killed)
    assert (tmp_path / "killed.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_what_a_killed_worker_has_computed_is_not_computed_again(tmp_path: Path) -> None:
    write_silence(tmp_path / "long.wav", 3600)
    journals = tmp_path / "out.h5.partial"
    with running("spectrogram", "long.wav", "-o", "out.h5", "--n-dft", 1024, cwd=tmp_path) as run:
        first = journals / "journal-1"
        while not (first.exists() and first.stat().st_size > 10**8):
            assert run.poll() is None
            time.sleep(0.01)
        for worker in workers_of(run.pid):
            os.kill(worker, signal.SIGKILL)
        sizes: list[int] = []
        while run.poll() is None:
            with suppress(OSError):
                sizes.append((journals / "journal-2").stat().st_size)
            time.sleep(0.01)
        assert ended(run)[0] == 0
        n_bytes = 4 * 513 * -(-44100 * 3600 // 512)
        assert 0 < max(sizes) < n_bytes - 8e7
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        features["long.wav"].verify()


@pytest.mark.usefixtures("audio")
def test_workers_end_with_the_run_that_is_killed(tmp_path: Path) -> None:
    command = ("spectrogram", "audio", *OPTIONS)
    with running(*command, "-o", "out.h5", cwd=tmp_path) as run:
        workers = at_work(run, tmp_path)
        run.kill()
        run.wait(timeout=LIMIT)
    deadline = time.monotonic() + LIMIT
    while any(map(is_there, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with running(*command, "-o", "out.h5", "--resume", cwd=tmp_path) as run:
        assert ended(run)[0] == 0
    with running(*command, "-o", "whole.h5", cwd=tmp_path) as run:
        assert ended(run)[0] == 0
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.usefixtures("audio")
def test_without_a_process_that_forks_finished_work_is_kept(tmp_path: Path) -> None:
    command = ("spectrogram", "audio", "-o", "out.h5", *OPTIONS)
    with running(*command, cwd=tmp_path) as run:
        workers = at_work(run, tmp_path)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        # Importing h5py starts `uname` for a moment.
        (server,) = (int(one) for one in children if is_of_program(one))
        os.kill(server, signal.SIGKILL)
        os.kill(workers[0], signal.SIGKILL)
        code, said = ended(run)
    assert code == 1
    cause = "the process that starts the workers has ended, perhaps because memory ran out"
    assert f"kapre-extract: Error: {cause}" in said
    assert not any(map(is_there, workers))
    with running(*command, "--resume", cwd=tmp_path) as run:
        assert ended(run)[0] == 0


def run_changed(change: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, after ``change``, which is code in Python."""
    code = f"{change}\nimport sys\nfrom kapre_cli.cli import main\nmain(sys.argv[1:])"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT)


CRASHING_PREVIEW = """
import signal, sys
from kapre_cli.extraction import decode
really = decode.read_header
def crashing(path, *arguments, **options):
    if path.endswith("3.wav"):
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decode.read_header = crashing
"""


@pytest.mark.usefixtures("audio")
def test_a_crash_in_a_dry_run_fails_one_input(tmp_path: Path) -> None:
    command = ("spectrogram", "audio", "-o", "x.h5", "--dry-run")
    done = run_changed(CRASHING_PREVIEW, *command, cwd=tmp_path)
    assert done.returncode == 1
    *_, closing = done.stdout.splitlines()
    assert closing == "6 inputs: 5 to be written, 1 would fail -> 'x.h5'; nothing was done"
    assert "failed: 'audio/3.wav': the worker process died twice (SIGSEGV) while" in done.stdout
    assert not (tmp_path / "x.h5").exists()


CRASHING_READER = """
import signal, sys, time
from kapre_cli.extraction import decode as decoding
really = decoding.AudioReader
def crashing(path, *arguments, **options):
    if "crash" in path:
        time.sleep("123" in path)  # others are tried alone meanwhile
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decoding.AudioReader = crashing
"""


TALKING_READER = """
import sys
from kapre_cli.extraction import decode as decoding
really = decoding.AudioReader
def talking(path, *arguments, **options):
    print("something of a library", flush=True)
    print("and of another", file=sys.stderr, flush=True)
    return really(path, *arguments, **options)
decoding.AudioReader = talking
"""


@pytest.mark.usefixtures("audio")
def test_what_libraries_print_in_a_worker_disturbs_nothing(tmp_path: Path) -> None:
    command = ("spectrogram", "audio", "-o", "x.h5", "--n-dft", "64")
    done = run_changed(TALKING_READER, *command, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == ""
    assert [line for line in done.stderr.splitlines() if not line.startswith("progress: ")] == [
        "6 inputs: 6 written, 0 failed (5.0 min of audio) -> 'x.h5'"
    ]


def test_inputs_that_crash_harm_no_other_in_whose_company_they_are(tmp_path: Path) -> None:
    one = write_audio(tmp_path / "000.wav", reference.noise(1, 800))
    for number in range(1, 300):
        name = f"{number:03d}-crash.wav" if number in (20, 123) else f"{number:03d}.wav"
        (tmp_path / name).hardlink_to(one)
    command = ("spectrogram", ".", "-o", "x.h5", "--jobs", "2")
    done = run_changed(CRASHING_READER, *command, cwd=tmp_path)
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    crashing = ["./020-crash.wav", "./123-crash.wav"]
    assert sorted(line.split("'")[1] for line in failed) == crashing
    assert all("died twice (SIGSEGV)" in line for line in failed)
    assert done.returncode == 1


def settings_of(path: Path) -> ExtractionSettings:
    return ExtractionSettings(
        layer=SpectrogramConfig(n_dft=64, image_data_format="channels_last"),
        audio=AudioSettings(sr=8000),
        output=OutputSettings(path=path, format="hdf5"),
    )


def test_an_executor_serves_one_run_after_another(audio: Path, tmp_path: Path) -> None:
    sources = discover([str(audio)]).sources
    with InProcess() as executor:
        for number in range(2):
            settings = settings_of(tmp_path / f"{number}.h5")
            seen = previews(sources, TaskSettings(settings, OutputMetadata.of(settings)), executor)
            assert [one.n_samples for one in seen] == 6 * [400_000]
            result = RunResult(failures=[])
            extract(sources, settings, result, executor)
            assert (result.n_written, result.failures) == (6, [])
    first, second = ((tmp_path / f"{number}.h5").read_bytes() for number in range(2))
    assert first == second


def test_messages_of_any_size_come_whole_and_in_order() -> None:
    import socket
    import threading

    ours, theirs = map(Channel, socket.socketpair())
    sent = [b"", "text", list(range(100_000)), OutputError("why"), b"x" * 10**7]
    thread = threading.Thread(target=lambda: any(map(ours.send, sent)))
    thread.start()
    received = [theirs.receive() for _ in sent]
    thread.join(timeout=LIMIT)
    assert [repr(one) for one in received] == [repr(one) for one in sent]
    ours.end()
    theirs.send("last")
    assert ours.receive() == "last"
    with pytest.raises(EOFError):
        theirs.receive()
    ours.close()
    theirs.close()


def test_a_worker_that_had_died_before_is_not_blamed_on_a_retry(tmp_path: Path) -> None:
    """As if memory ran out: several workers are killed, one of them without a task."""
    source = discover([os.fspath(write_audio(tmp_path / "a.wav", reference.noise(1, 800)))]).sources
    output = OutputSettings(path=tmp_path / "x", format="npy-directory")
    settings = ExtractionSettings(
        layer=SpectrogramConfig(n_dft=64, image_data_format="channels_last"),
        audio=AudioSettings(sr=8000),
        output=output,
    )
    common = TaskSettings(settings, OutputMetadata.of(settings), is_durable=False)
    messages: list[Message] = []
    before = {*workers_of(os.getpid())}
    with LocalWorkers(1) as executor:
        executor.begin(common, messages.append, 1)
        assert executor.idle_worker(alone=True) == 0
        (worker,) = {*workers_of(os.getpid())} - before
        os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + LIMIT
        # Its descriptors are closed with its last thread.
        while len(os.listdir(f"/proc/{worker}/task")) > 1 or not is_dead(worker):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        retry = TaskInput(0, source[0], is_retry=True)
        executor.submit(0, Task([retry], os.fspath(tmp_path / "journal-1")))
        executor.wait(timeout=LIMIT)
    (lost,) = messages
    assert isinstance(lost, WorkerLost)
    assert [*lost.inputs] == [retry]
