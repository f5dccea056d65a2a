"""What the tests share: real audio files, the program in this process and in one of its own."""

import codecs
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import soundfile

from kapre_cli import framing
from kapre_cli.cli import run
from kapre_cli.resume.journal import Journal
from tests.pages import PageRuns
from tests.warm import Nursery, Started, nursery

# On a busy machine an example may take any time; _limit ends a test that hangs.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

PROGRAM = (sys.executable, "-m", "kapre_cli")
TEST_SECONDS = 900  # no test takes a tenth of it on an idle machine


def reset_signals() -> None:
    """Undo what ``nohup`` and ``&`` do to processes: that they ignore signals, and so do children.

    Programs that the tests start have the default handlers then. This process survives SIGHUP.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            is_interrupt = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_interrupt else _go_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _go_on(_number: int, _frame: object) -> None:
    pass


reset_signals()


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    """End a test that hangs, and what it does to end itself, such as waiting for a process."""

    def end(_number: int, _frame: object) -> None:
        pytest.fail(f"the test did not end within {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, TEST_SECONDS, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Ended:
    """How a run of the program ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the program inside this process, where TensorFlow has been imported once."""
    monkeypatch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone

    def call(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture
def process() -> Callable[..., Ended]:
    """Run the program as a process of its own, as a user does."""

    def call(*arguments: object, cwd: Path | None = None, **environment: str) -> Ended:
        ended = subprocess.run(
            [*PROGRAM, *(os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments)],
            capture_output=True,
            cwd=cwd,
            env={**os.environ, **environment},
            timeout=120,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    return call


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a run: children of the process that forks them."""
    found = []
    with suppress(OSError, ValueError):  # it may have ended
        for server in _children(pid):
            found += _children(server)
    return found


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_workers(pid: int, n_times: int, number: int = signal.SIGKILL) -> list[int]:
    """Kill a worker of a run, and then as often the one that takes its place."""
    killed: list[int] = []
    deadline = time.monotonic() + 60
    while len(killed) < n_times and time.monotonic() < deadline:
        for worker in workers_of(pid):
            if worker not in killed and len(killed) < n_times:
                time.sleep(0.3)  # it is at work
                os.kill(worker, number)
                killed.append(worker)
        time.sleep(0.02)
    return killed


@pytest.fixture(scope="session")
def warm() -> Iterator[Nursery]:
    """Give what starts the program in processes of its own that start at once."""
    with nursery() as made:
        yield made


@pytest.fixture
def at_once(warm: Nursery) -> Callable[..., Ended]:
    """Run the program as a process of its own that starts at once."""
    return lambda *arguments, cwd=None, **environment: ended_of(
        warm.start(*arguments, cwd=cwd, environment={**os.environ, **environment})
    )


@pytest.fixture
def keras_at_once(warm_keras: Nursery) -> Callable[..., Ended]:
    """Run the program as a process of its own that has imported Keras."""
    return lambda *arguments, cwd=None, **environment: ended_of(
        warm_keras.start(*arguments, cwd=cwd, environment={**os.environ, **environment})
    )


def ended_of(run: Started, seconds: float = 120) -> Ended:
    """Wait for the end of a run, and return how it ended."""
    try:
        out, err = run.communicate(timeout=seconds)
    finally:
        run.kill()
    assert run.returncode is not None
    return Ended(run.returncode, out.decode(), err.decode())


@contextmanager
def blocks_of(n_values: int) -> Iterator[None]:
    """Let every input be cut into blocks of so few values that a short one has several."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(framing, "BLOCK_VALUES", n_values)
        yield


@contextmanager
def interrupted_after(
    n_blocks: int, error: BaseException | type[BaseException] = KeyboardInterrupt
) -> Iterator[None]:
    """Let an error come up once so many blocks are in the journal."""
    append, written = Journal.block, itertools.count()

    def block(journal: Journal, *arguments: Any) -> Any:
        if next(written) == n_blocks:
            raise error
        return append(journal, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Journal, "block", block)
        yield


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Give a folder to work in, and take away root's right to read what is closed to it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o777)
        as_root = os.geteuid() == 0
        codecs.lookup("ascii")  # Python's own folder may be closed to others
        if as_root:
            os.seteuid(65534)
        try:
            yield path
        finally:
            if as_root:
                os.seteuid(0)


def _built(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what is preloaded into the program."""
    if shutil.which("cc") is None:
        pytest.skip(f"there is no C compiler to build {name}.c with")
    built = tmp_path_factory.mktemp("preloaded") / f"{name}.so"
    source = Path(__file__).parent / "stress" / f"{name}.c"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", built, source, "-ldl"], check=True, timeout=60
    )
    return built


@pytest.fixture(scope="session")
def warm_keras() -> Iterator[Nursery]:
    """Give what starts Python, with Keras imported, in processes that start at once."""
    with nursery(with_keras=True) as made:
        yield made


@pytest.fixture(scope="session")
def page_runs(tmp_path_factory: pytest.TempPathFactory, warm_keras: Nursery) -> PageRuns:
    """Run the blocks of a page in a folder of its own, with the sample recordings."""
    return PageRuns(tmp_path_factory, warm_keras)


@pytest.fixture(scope="session")
def odd_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what lets a file system lack something."""
    return _built("odd_disk", tmp_path_factory)


@pytest.fixture(scope="session")
def odd_warm(odd_disk: Path) -> Iterator[Nursery]:
    """Give what starts the program on file systems that lack something, at once."""
    with nursery(odd_disk) as made:
        yield made


@pytest.fixture
def on_odd_disk(odd_warm: Nursery) -> Callable[..., Ended]:
    """Run the program on a file system that lacks something, as a process that starts at once."""
    return lambda *arguments, cwd=None, **environment: ended_of(
        odd_warm.start(*arguments, cwd=cwd, environment={**os.environ, **environment})
    )


@pytest.fixture(scope="session")
def late_signal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build what sends a signal just before a system call that waits."""
    return _built("late_signal", tmp_path_factory)


def write_audio(
    path: Path, signal: Any, sr: int = 8000, subtype: str | None = "FLOAT", **options: Any
) -> Path:
    """Write ``signal``, shape ``(channels, samples)``, as float WAV unless told otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".flac" and subtype == "FLOAT":
        subtype = "PCM_24"
    soundfile.write(path, np.asarray(signal).T, sr, subtype=subtype, **options)
    return path


def write_silence(path: Path, seconds: int, sr: int = 44100) -> Path:
    """Write a WAV of silence that takes no room on the disk, however long it is."""
    write_audio(path, np.zeros((1, 1)), sr=sr, subtype="PCM_16")
    n_bytes = 2 * sr * seconds
    content = bytearray(path.read_bytes()[:44])
    content[4:8] = (36 + n_bytes).to_bytes(4, "little")
    content[40:44] = n_bytes.to_bytes(4, "little")
    path.write_bytes(content)
    os.truncate(path, 44 + n_bytes)
    return path


def read_audio(path: Path) -> Any:
    """Return what a file holds in float64, shape ``(channels, samples)``, by soundfile itself."""
    samples, _ = soundfile.read(path, dtype="float64", always_2d=True)
    return samples.T


def files_below(folder: Path) -> Sequence[str]:
    """Return every file and folder below ``folder``, relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
