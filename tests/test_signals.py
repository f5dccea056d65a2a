"""Signals to a real process: it stops soon, keeps its work, says how to go on; crashes too."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import kapre_cli
from tests import reference
from tests.conftest import PROGRAM, workers_of, write_audio, write_silence
from tests.stress.runs import HERE, counts
from tests.stress.runs import Ended as RunEnded

REPOSITORY = Path(__file__).parents[1]
HOURS = 2
GOES_ON = "the same command with --resume goes on"
OPTIONS = ("--n-dft", "1024", "--n-mels", "64")


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two hours of silence that take no room on the disk."""
    return write_silence(tmp_path_factory.mktemp("hours") / "hours.wav", 3600 * HOURS)


@contextmanager
def at_work(hours: Path, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that has begun to compute, and see that nothing of it is left over."""

    def kept() -> int:
        return sum(one.stat().st_size for one in folder.glob("out.h5.partial/journal-*"))

    before = kept()
    with subprocess.Popen(
        [*PROGRAM, "melspectrogram", str(hours), "-o", "out.h5", *OPTIONS, *more],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            _wait_until(lambda: kept() > before + 5e6)
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)


def _wait_until(happened: object, seconds: float = 60) -> None:
    assert callable(happened)
    for _ in range(int(seconds * 50)):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def _workers(running: subprocess.Popen[str]) -> list[int]:
    """Return the processes that do the work."""
    return workers_of(running.pid)


def _ended(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code of a process, and its messages."""
    _, messages = running.communicate(timeout=60)
    return running.returncode, messages


@pytest.mark.parametrize(
    ("number", "to_group", "code", "word"),
    [
        (signal.SIGINT, True, 130, "interrupted"),  # Ctrl-C in a terminal
        (signal.SIGTERM, False, 143, "terminated"),
        (signal.SIGHUP, True, 129, "hung up"),
    ],
)
def test_a_signal_stops_the_run_and_keeps_its_work(
    number: int, to_group: bool, code: int, word: str, hours: Path, tmp_path: Path
) -> None:
    with at_work(hours, tmp_path) as running:
        (worker,) = _workers(running)
        (os.killpg if to_group else os.kill)(running.pid, number)
        ended, messages = _ended(running)
    assert ended == code
    assert messages.splitlines() == [
        f"0 of 1 input done and parts of 1 more: kept in 'out.h5.partial'; {GOES_ON}",
        f"kapre-extract: {word}: no output was written or changed",
    ]
    assert not Path(f"/proc/{worker}").exists()
    assert sorted(os.listdir(tmp_path)) == ["out.h5.partial"]
    assert sorted(os.listdir(tmp_path / "out.h5.partial")) == ["journal-1", "lock"]


def test_a_second_request_stops_it_at_once(hours: Path, tmp_path: Path) -> None:
    with at_work(hours, tmp_path) as running:
        (worker,) = _workers(running)
        os.kill(worker, signal.SIGSTOP)  # it cannot tidy up
        _wait_until(lambda: ") T " in Path(f"/proc/{worker}/stat").read_text())
        os.kill(running.pid, signal.SIGINT)
        time.sleep(1.5)  # what comes sooner may be taken for the same request
        assert running.poll() is None
        os.kill(running.pid, signal.SIGINT)
        code, messages = _ended(running)  # though the other one never ends
    assert code == 130
    assert messages == (
        "kapre-extract: stopped at once; the same command with --resume goes on with what was "
        "kept\n"
    )


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "term")]
)
@pytest.mark.parametrize("call", ["read"])
def test_a_signal_just_before_a_call_that_waits_is_heard(
    call: str, number: int, code: int, word: str, late_signal: Path, tmp_path: Path
) -> None:
    late = {"LD_PRELOAD": str(late_signal), "LATE_SIGNAL_AT": call, "LATE_SIGNAL": str(int(number))}
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", "-", "-o", "out.h5"],
        cwd=tmp_path,
        env={**os.environ, **late},
        stdin=subprocess.PIPE,  # nothing ever comes
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            assert running.wait(timeout=60) == code
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        assert running.stderr is not None
        said = running.stderr.read()
    assert said.startswith(f"kapre-extract: {word}")
    assert said.endswith(": no output was written or changed\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["renameat2", "write"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("spectrogram", "a.wav", "-o", "x.h5"), "1 input: 1 written, 0 failed (0.4 s of audio)"),
        (("merge", "old.h5", "-o", "x.h5"), "1 output: 1 array"),
        (("plot", "old.h5", "-o", "x.png"), "1 key drawn"),
    ],
)
def test_a_signal_behind_the_last_step_changes_nothing(
    command: Sequence[str], said: str, number: int, call: str, late_signal: Path, tmp_path: Path
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    made = subprocess.run(
        [*PROGRAM, "spectrogram", "a.wav", "-o", "old.h5"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert made.returncode == 0
    late = {"LATE_SIGNAL_AT": call, "LATE_SIGNAL": str(int(number))}
    ended = subprocess.run(
        [*PROGRAM, *command],
        cwd=tmp_path,
        env={**os.environ, "LD_PRELOAD": str(late_signal), **late},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (0, f"{said} -> {command[-1]!r}\n")
    assert (tmp_path / command[-1]).exists()


def test_an_interrupt_while_modules_are_loaded_leaves_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    ended = subprocess.run(
        [*PROGRAM, "--help"],
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


LOADING = """
import signal, sys
import outer  # which calls what follows: as long as a script of the user's is loaded
"""
OUTER = """
import signal
from kapre_cli.cli.signals import interruptible_waits, stop_on_signals
from kapre_cli.exit_codes import Stopped
try:
    with stop_on_signals(), interruptible_waits():
        import inner
        while True:
            pass
except Stopped as stopped:
    print(inner.end, stopped.number)
"""


def test_a_signal_while_a_module_is_loaded_waits_for_its_end(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(
        "import signal, time\nsignal.raise_signal(15)\ntime.sleep(0.3)\nend = 'whole'"
    )
    (tmp_path / "outer.py").write_text(OUTER)
    ended = subprocess.run(
        [sys.executable, "-c", LOADING],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == ("whole 15\n", "")


# Runs the program in this process, and asks it to end in the middle of a wait for another thread:
# where its lock has been let go and is not yet taken again.
AT_A_LOCK = '''
import signal, sys, threading
from kapre_cli.cli import run
LET_GO = """
def let_go(really):
    state = really()
    if threading.current_thread() is threading.main_thread() and not asked:
        asked.append(True)
        signal.raise_signal(NUMBER)
    return state
"""
inside = {"__name__": "threading", "signal": signal, "threading": threading, "asked": []}
inside["NUMBER"] = int(sys.argv[1])
exec(LET_GO, inside)
made = threading.Condition.__init__
def make(self, lock=None):
    made(self, lock)
    if "/extraction/" in sys._getframe(1).f_code.co_filename:
        really = self._release_save
        self._release_save = lambda: inside["let_go"](really)
threading.Condition.__init__ = make
code = run(sys.argv[2:])
assert inside["asked"]
sys.exit(code)
'''


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_wait_leaves_no_lock_behind(
    number: int, hours: Path, tmp_path: Path
) -> None:
    command = ("melspectrogram", str(hours), "-o", "out.h5", "-j", "2", *OPTIONS)
    ended = subprocess.run(
        [sys.executable, "-c", AT_A_LOCK, str(int(number)), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 128 + number, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.endswith(": no output was written or changed\n")
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize(
    "place", ["resume.work_dir.WorkDir.close", "resume.previous_run.PreviousRun.close"]
)
def test_once_the_output_is_in_its_place_nothing_is_told_as_interrupted(
    place: str, tmp_path: Path
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    module, name, method = f"kapre_cli.{place}".rsplit(".", 2)
    code = f"""
import os, signal, sys
from {module} import {name}
from kapre_cli.cli import run
really = {name}.{method}
def interrupted(self):
    os.kill(os.getpid(), signal.SIGINT)
    really(self)
{name}.{method} = interrupted
sys.exit(run(["spectrogram", "a.wav", "-o", "out.h5"]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.stderr == "1 input: 1 written, 0 failed (0.4 s of audio) -> 'out.h5'\n"
    assert ended.returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["a.wav", "out.h5"]


def test_a_run_goes_on_after_kill_9_and_a_lock_is_never_stale(tmp_path: Path) -> None:
    audio = write_silence(tmp_path / "audio.wav", 3600)
    (tmp_path / "here").mkdir()
    with at_work(audio, tmp_path / "here") as running:
        (worker,) = _workers(running)
        os.killpg(running.pid, signal.SIGSTOP)  # it is at work however long the other one takes
        second = subprocess.run(
            [*PROGRAM, "melspectrogram", str(audio), "-o", "out.h5", *OPTIONS, "--resume"],
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert second.returncode == 2
        assert "another run is writing 'out.h5'; wait for it" in second.stderr
        os.killpg(running.pid, signal.SIGCONT)
        os.kill(running.pid, signal.SIGKILL)
        running.wait(timeout=60)
        _wait_until(lambda: not Path(f"/proc/{worker}").exists(), 5)
    with at_work(audio, tmp_path / "here", "--resume") as running:
        code, messages = _ended(running)
    assert (code, messages) == (0, "1 input: 1 written, 0 failed (60.0 min of audio) -> 'out.h5'\n")


def test_a_worker_that_is_killed_is_told_of(hours: Path, tmp_path: Path) -> None:
    with at_work(hours, tmp_path) as running:
        (worker,) = _workers(running)
        os.kill(worker, signal.SIGKILL)
        code, messages = _ended(running)
    assert code == 0
    assert messages.startswith(
        "a worker process died (SIGKILL, perhaps because memory ran out) before it had finished "
        "'hours.wav'; each is tried once more, alone\n"
    )


def test_a_signal_to_the_process_that_computes_is_not_for_it_from_the_first(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    code = """
import os, signal
from kapre_cli.cli import main
really, forked = os.fork, []
def fork():
    pid = really()
    forked.append(pid)
    if forked == [0, 0]:  # the child of the process at work
        os.kill(os.getpid(), signal.SIGINT)
    return pid
os.fork = fork
main(["spectrogram", "a.wav", "-o", "out.h5"])
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.stderr == "1 input: 1 written, 0 failed (0.4 s of audio) -> 'out.h5'\n"
    assert ended.returncode == 0


def test_a_decoder_that_crashes_takes_its_own_file_with_it_and_no_other(tmp_path: Path) -> None:
    shim = tmp_path / "shim.so"
    source = HERE / "shim.c"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True, timeout=300
    )
    folder = tmp_path / "audio"
    for number in range(4):
        write_audio(folder / f"{number}.wav", reference.noise(1, 3000, number))
    (folder / "1.wav").rename(folder / "1 crash.wav")
    (folder / "0 bad.wav").write_bytes(b"no audio")
    command = [*PROGRAM, "spectrogram", "audio", "-o", "out.h5"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "SHIM_CRASH_ON_READ": "1 crash.wav"},
        check=False,
        timeout=300,
    )
    assert ended.returncode == 1
    lines = [line for line in ended.stderr.splitlines() if "0 bad.wav" not in line]
    assert re.fullmatch(  # others may have been unfinished beside it
        r"a worker process died \(SIGSEGV\) before it had finished .*'1 crash.wav'.*; "
        "each is tried once more, alone",
        lines[0],
    )
    assert lines[1].startswith("failed: 'audio/1 crash.wav': the worker process died twice (SIGSEG")
    assert counts(RunEnded(1, ended.stderr, 0)) == (5, 3, 2, 0)
    assert ended.stderr.count("failed: 'audio/0 bad.wav'") == 1
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["0.wav", "2.wav", "3.wav"]


def ignoring(numbers: Sequence[int], *command: str) -> list[str]:
    """Return a command that runs another as ``nohup`` and ``&`` do: these signals are ignored."""
    code = (
        f"import os, signal; [signal.signal(n, signal.SIG_IGN) for n in {[*map(int, numbers)]}]; "
        f"os.execv({command[0]!r}, {command!r})"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_stays_so(number: int, hours: Path, tmp_path: Path) -> None:
    command = (*PROGRAM, "melspectrogram", str(hours), "-o", "out.h5", *OPTIONS)
    journal = tmp_path / "out.h5.partial" / "journal-1"
    with subprocess.Popen(
        ignoring([number], *command), cwd=tmp_path, start_new_session=True
    ) as running:
        _wait_until(lambda: journal.exists() and journal.stat().st_size > 5e6)
        os.killpg(running.pid, number)
        time.sleep(0.5)
        assert running.poll() is None
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(timeout=30) == 143


def test_programs_that_tests_start_ignore_no_signal() -> None:
    """Also if the tests run in the background."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    show = "import signal; print([signal.getsignal(n) == signal.SIG_IGN for n in {numbers}])"
    code = (
        "import subprocess, sys; import tests.conftest; "
        f"subprocess.run([sys.executable, '-c', {show.format(numbers=[*map(int, numbers)])!r}],"
        "timeout=60)"
    )
    ended = subprocess.run(
        ignoring(numbers, sys.executable, "-c", code),
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stdout == "[False, False, False, False]\n"
