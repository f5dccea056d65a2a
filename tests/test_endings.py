"""How the program ends: every error in one line, lost messages, full and closed streams."""

import codecs
import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import kapre_cli
import kapre_cli.cli.extraction
import kapre_cli.cli.plot
import kapre_cli.engines.batches
import kapre_cli.extraction.decode
import kapre_cli.extraction.run
import kapre_cli.inspect.compare
import kapre_cli.inspect.summary
import kapre_cli.inspect.verify
import kapre_cli.merging
import kapre_cli.plotting.figure
from kapre_cli.formats.opening import open_features
from tests import reference
from tests.conftest import PROGRAM, files_below, write_audio

codecs.lookup("ascii")  # what is imported by an unprivileged process may be closed to it

PACKAGE = Path(kapre_cli.__file__).parent
LIMIT = 120  # seconds


@pytest.fixture
def here(tmp_path: Path, program: Any) -> Path:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    assert program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "old.h5").code == 0
    return tmp_path


def shell(command: str, folder: Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command in which ``kapre`` is the program."""
    named = command.replace("kapre ", f"'{sys.executable}' -m kapre_cli ")
    return subprocess.run(
        ["bash", "-c", named],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        **more,
    )


# Errors of the system


UNREADABLE = (
    "spectrogram a.wav -o closed/x.h5",
    "spectrogram a.wav -o closed/x.npy",
    "spectrogram a.wav -o closed --overwrite",
    "spectrogram a.wav -o closed/x.h5 --dry-run",
    "spectrogram a.wav -o closed/old.h5 --resume",
    "spectrogram a.wav -o shut --overwrite",
    "spectrogram a.wav -o shut --resume",
    "spectrogram a.wav -o x.h5 --report closed/r",
    "spectrogram a.wav -o x.h5 --report shut.wav --overwrite",
    "melspectrogram shut.wav -o x.h5",
    "spectrogram --files-from closed/list -o x.h5",
    "spectrogram a.wav -o x.h5 --config closed/c.toml",
    "spectrogram a.wav -o x.h5 --like closed/old.h5",
    "spectrogram a.wav -o x.h5 --like shut",
    "info shut.h5",
    "info shut",
    "verify closed/old.h5",
    "compare old.h5 shut.h5",
    "plot shut.h5 -o x.png",
    "plot shut.wav -o x.png",
    "plot shut -o x.png",
    "plot old.h5 -o closed/x.png",
    "merge shut.h5 -o x.h5",
    "merge old.h5 -o closed/x.h5",
    "merge old.h5 -o shut --overwrite",
)


@pytest.mark.parametrize("command", UNREADABLE)
def test_what_may_not_be_read_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, command: str, unprivileged: Path, program: Any
) -> None:
    monkeypatch.chdir(unprivileged)
    write_audio(Path("a.wav"), reference.noise(1, 3000))
    for output in ("old.h5", "shut"):
        assert program("spectrogram", "a.wav", "-o", output).code == 0
    Path("closed").mkdir()
    Path("closed/old.h5").write_bytes(Path("old.h5").read_bytes())
    for name in ("shut.h5", "shut.wav"):
        Path(name).write_text("x")
        Path(name).chmod(0)
    for folder in ("closed", "shut"):
        Path(folder).chmod(0)
    before = sorted(os.listdir())
    ended = program(*command.split())
    for folder in ("closed", "shut"):
        Path(folder).chmod(0o700)
    assert ended.code in (1, 2)
    assert ended.out == ""
    assert "ermission denied" in ended.err
    assert "Traceback" not in ended.err
    assert sorted(os.listdir()) == before


def test_too_little_memory_is_told_in_a_line(here: Path) -> None:
    command = (
        "ulimit -v 700000; export OPENBLAS_NUM_THREADS=1; "
        "kapre spectrogram a.wav -o x.h5 --n-dft 4194304 --jobs 1"
    )
    ended = shell(command, here)
    assert ended.returncode == 1, ended.stderr
    assert "kapre-extract: Error: there is not enough memory" in ended.stderr
    assert "use a smaller --batch-size or --n-dft" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (here / "x.h5").exists()


WITHOUT_PROCESSES = """
import importlib, os, pathlib, resource, sys
import kapre_cli
package = pathlib.Path(kapre_cli.__file__).parent
for path in sorted(package.rglob("*.py")):  # which nobody may not read, perhaps
    name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
    keras = ("keras", "spectrogram", "steps", "time_frequency")
    if not any(part in name for part in ("__", *keras)):
        importlib.import_module(name)
from kapre_cli.cli import main
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
if os.geteuid() == 0:  # whom the limit does not concern
    os.setgid(65534)
    os.setuid(65534)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("output", ["x.h5", "-"])
def test_no_process_for_a_worker_is_told_of(output: str, here: Path) -> None:
    here.chmod(0o777)
    (here / "a.wav").chmod(0o644)
    with (here / "arrays").open("wb") as arrays:
        ended = subprocess.run(
            [sys.executable, "-c", WITHOUT_PROCESSES, "spectrogram", "a.wav", "-o", output],
            cwd=here,
            stdout=arrays,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert re.fullmatch(  # threads count as well
        r"kapre-extract: Error: the system allows no more (processes; take|threads; use) fewer "
        r"--jobs\n",
        ended.stderr,
    )
    assert ended.returncode == 1
    assert files_below(here) == ["a.wav", "arrays", "old.h5"]


def test_a_closed_pipe_is_decided_upon_in_one_place() -> None:
    places = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"PIPE_CLOSED|\b141\b", path.read_text(encoding="utf-8"))
    ]
    assert places == ["exit_codes.py"]


# Messages that cannot be written


GOOD = (
    "spectrogram a.wav -o x.h5",
    "spectrogram a.wav -o x.h5 --resume",
    "spectrogram a.wav -o x.h5 --verbose --report r.jsonl",
    "merge old.h5 -o x.h5",
)


@pytest.mark.parametrize("where", ["full", "pipe"])
@pytest.mark.parametrize("command", [*GOOD, "spectrogram bad.wav a.wav gone.wav -o x.h5"])
def test_messages_that_cannot_be_written_end_no_work(command: str, where: str, here: Path) -> None:
    (here / "bad.wav").write_bytes(b"no audio")
    with open("/dev/full", "w") as full:
        reading, pipe = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [*PROGRAM, *command.split()],
            cwd=here,
            stdout=subprocess.PIPE,
            stderr=full if where == "full" else pipe,
            check=False,
            timeout=LIMIT,
        )
        os.close(pipe)
    assert (ended.returncode, ended.stdout) == (1, b"")
    with open_features(here / "x.h5") as features:
        assert list(features) == ["a.wav"]
    assert not (here / "x.h5.partial").exists()
    if "--report" in command:
        assert '"exit_code": 1}' in (here / "r.jsonl").read_text().splitlines()[-1]


def test_who_asks_for_no_messages_misses_none(here: Path) -> None:
    for command in ("spectrogram a.wav -q -o x.h5 2> /dev/full", "merge old.h5 -o y.h5 2>&-"):
        ended = shell(f"kapre {command}", here)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (here / "x.h5").exists()
    assert (here / "y.h5").exists()


def test_a_stream_of_arrays_is_whole_without_messages(here: Path) -> None:
    whole = shell("kapre spectrogram a.wav -o - | sha256sum", here)
    assert whole.returncode == 0
    told = shell("set -o pipefail; kapre spectrogram a.wav -o - 2> /dev/full | sha256sum", here)
    assert (told.returncode, told.stdout) == (1, whole.stdout)


# What is printed


PRINTED = (
    "--help",
    "--version",
    "spectrogram --help",
    "plot -h",
    "spectrogram a.wav -o x.h5 --dry-run",
    "spectrogram a.wav -o x.h5 --show-config",
    "info old.h5",
    "info old.h5 a.wav",
    "info old.h5 --json",
    "info old.h5 --config",
    "verify old.h5",
    "compare old.h5 old.h5",
)


@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
@pytest.mark.parametrize("command", PRINTED)
def test_a_full_or_closed_standard_output_is_told_in_a_line(
    command: str, where: str, here: Path
) -> None:
    ended = shell(f"kapre {command} {where}", here)
    reason = "No space left on device" if "full" in where else "Bad file descriptor"
    name = "'?standard output'?"
    assert re.fullmatch(
        f"kapre-extract: Error: {name} cannot be written: {reason}\n", ended.stderr
    ), ended.stderr
    assert ended.returncode == 1
    assert files_below(here) == ["a.wav", "old.h5"]


@pytest.mark.parametrize("command", PRINTED)
def test_a_reader_that_has_left_ends_it_quietly(command: str, here: Path) -> None:
    reading, pipe = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*PROGRAM, *command.split()],
        cwd=here,
        stdout=pipe,
        stderr=subprocess.PIPE,
        check=False,
        timeout=LIMIT,
    )
    os.close(pipe)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_report_is_not_lost_to_a_closed_standard_output(here: Path) -> None:
    ended = shell("kapre spectrogram a.wav -o x.h5 --report - >&-", here)
    assert ended.returncode == 2
    assert ended.stderr == (
        "kapre-extract: Error: standard output is closed, so the report cannot be "
        "written to it; name a file for it\n"
    )
    full = shell("kapre spectrogram a.wav -o x.h5 --report - > /dev/full", here)
    assert full.returncode == 1
    assert "'standard output' cannot be written: No space left on device; it ends" in full.stderr
    assert (here / "x.h5").exists()


# Called from Python, and on other systems


CALLS = {
    "a run": (["spectrogram", "a.wav", "-o", "x.h5"], 0),
    "a run that fails": (["spectrogram", "gone.wav", "-o", "x.h5"], 1),
    "a usage error": (["spectrogram", "a.wav"], 2),
    "help": (["--help"], 0),
    "an output read": (["info", "old.h5"], 0),
}


@pytest.mark.parametrize("way", [">>", "1<>"])
@pytest.mark.parametrize(
    ("command", "into", "what"),
    [
        ("kapre spectrogram a.wav -o -", "a.wav", "the input 'a.wav'"),
        ("kapre spectrogram . --report - -o x.h5", "b.wav", "the input './b.wav'"),
        ("kapre spectrogram --files-from list --report - -o x.h5", "list", "the list of inputs"),
    ],
)
def test_standard_output_is_no_input(
    command: str, into: str, what: str, way: str, here: Path
) -> None:
    shutil.copyfile(here / "a.wav", here / "b.wav")
    (here / "list").write_text("a.wav\n")
    before = {name: (here / name).read_bytes() for name in files_below(here)}
    ended = shell(f"{command} {way}{into}", here)
    assert ended.returncode == 2
    assert f"standard output is {what}, which would be overwritten" in ended.stderr
    assert {name: (here / name).read_bytes() for name in files_below(here)} == before


@pytest.mark.parametrize("what", ["removed", "moved", "replaced"])
def test_a_report_that_is_gone_at_the_end_is_told(what: str, here: Path) -> None:
    change = {
        "removed": "rm r.jsonl",
        "moved": "mv r.jsonl elsewhere",
        "replaced": "mv r.jsonl elsewhere; echo mine >r.jsonl",
    }[what]
    os.mkfifo(here / "names")
    ended = shell(
        "kapre spectrogram --files-from names -o x.h5 --report r.jsonl & exec 3>names; "
        "echo a.wav >&3; until grep -q program r.jsonl; do sleep 0.05; done 2>/dev/null; "
        f"{change}; exec 3>&-; wait $!; echo $?",
        here,
    )
    assert ended.stdout == "1\n"
    assert "the report 'r.jsonl' was moved, replaced or removed during the run" in ended.stderr
    if what == "replaced":
        assert (here / "r.jsonl").read_text() == "mine\n"


CALLER = """
import os, signal, subprocess, sys
import kapre_cli.extraction.run
from kapre_cli.cli import main

def fail(*_):
    raise ValueError("planted")

if sys.argv[1] == "fault":
    kapre_cli.extraction.run.Journals.create = fail
before = [signal.getsignal(n) for n in range(1, 32)]
try:
    main(["spectrogram", "a.wav", "-o", "x.h5"])
except SystemExit as error:
    print("ended with", error.code)
assert [signal.getsignal(n) for n in range(1, 32)] == before
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
print("one caller goes on")
"""


@pytest.mark.parametrize(("what", "code"), [("nothing", 0), ("fault", 1)])
def test_main_leaves_its_caller_one_process_and_its_signals(
    what: str, code: int, here: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CALLER, what],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert ended.stdout == f"ended with {code}\none caller goes on\n"
    assert ("ValueError: planted" in ended.stderr) == (what == "fault")


def test_a_standard_output_that_does_not_block_takes_all(here: Path) -> None:
    """Its reader begins only when it is full, or the program has ended."""
    for number in range(200):
        os.link(here / "a.wav", here / f"{number:0200}.wav")
    assert shell("kapre spectrogram . -o many.h5 --n-dft 64", here).returncode == 0
    command = [*PROGRAM, "info", "many.h5", *(f"{number:0200}.wav" for number in range(200))]
    expected = subprocess.run(
        command, cwd=here, capture_output=True, check=True, timeout=LIMIT
    ).stdout
    assert len(expected) > 2**16
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen(command, cwd=here, stdout=writer) as running:
        os.close(writer)
        for _ in range(100 * LIMIT):
            (n_bytes,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))
            if n_bytes >= 2**16 or running.poll() is not None:
                break
            time.sleep(0.01)
        with open(reader, "rb") as pipe:
            assert pipe.read() == expected
    assert running.returncode == 0


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("thread", [False, True], ids=["main thread", "another thread"])
def test_main_raises_system_exit(call: str, thread: bool, here: Path) -> None:
    arguments, code = CALLS[call]
    script = f"""
import sys, threading
from kapre_cli.cli import main
def call():
    before = sys.stdout, sys.stderr
    try:
        main({arguments!r})
    except SystemExit as ended:
        print("ended with", int(ended.code), (sys.stdout, sys.stderr) == before)
if {thread}:
    worker = threading.Thread(target=call)
    worker.start()
    worker.join(60)
else:
    call()
print("and went on")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-2:] == [f"ended with {code} True", "and went on"]
    assert ended.stdout.count("and went on") == 1
    assert "Traceback" not in ended.stderr
    assert (here / "x.h5").exists() == (call == "a run")


def without_posix(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run Python code as on Windows, as far as that matters: no ``fcntl``, no SIGHUP."""
    windows = (
        "import runpy, signal, sys; del signal.SIGHUP, signal.pthread_sigmask; "
        "sys.modules['fcntl'] = None; sys.platform = 'win32'; "
    )
    return subprocess.run(
        [sys.executable, "-c", windows + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["spectrogram", "a.wav", "-o", "x.h5"], []])
def test_windows_is_told_in_a_line(arguments: Sequence[str], here: Path) -> None:
    code = f"sys.argv[1:] = {arguments!r}; runpy.run_module('kapre_cli', run_name='__main__')"
    ended = without_posix(code, here)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "kapre-extract: Error: this system (win32) has no POSIX file locks; on Windows, use WSL2\n"
    )


@pytest.mark.parametrize(
    "code",
    [
        "from kapre_cli import open_features",
        "from kapre_cli import read_arrays",
        "import kapre_cli; kapre_cli.Melspectrogram()",
    ],
)
def test_windows_is_told_to_python_programs(code: str, here: Path) -> None:
    ended = without_posix(code, here)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "ImportError: this system (win32) has no POSIX file locks; on Windows, use WSL2"
    )
    assert without_posix("import kapre_cli; kapre_cli.__version__", here).stderr == ""


def test_the_installed_command_begins_where_windows_is_told() -> None:
    project = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'kapre-extract = "kapre_cli.__main__:main"' in project


# Libraries that are not installed


@pytest.fixture(params=["keras", "tensorflow"])
def without(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which a library is not installed."""
    path = tmp_path / "without"
    path.mkdir()
    missing = (
        f'raise ModuleNotFoundError("No module named {request.param!r}", name="{request.param}")'
    )
    (path / f"{request.param}.py").write_text(missing)
    return {**os.environ, "PYTHONPATH": f"{path}:{PACKAGE.parent}"}


def test_a_run_without_keras_says_what_to_install(here: Path, without: dict[str, str]) -> None:
    for output in ("x.h5", "-"):
        ended = shell(f"kapre spectrogram a.wav -o {output} --engine keras", here, env=without)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "is not installed" in ended.stderr
        assert "python -m pip install keras tensorflow" in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert not list(here.glob("x.*"))
    assert shell("kapre spectrogram a.wav -o x.h5", here, env=without).returncode == 0


def test_features_are_read_without_keras_and_the_layer_says_what_to_install(
    here: Path, without: dict[str, str]
) -> None:
    code = (
        "import kapre_cli\n"
        "print(kapre_cli.open_features('old.h5')['a.wav'].shape)\n"
        "try:\n"
        "    kapre_cli.load_layer('old.h5')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    (here / "code.py").write_text(code)
    ended = shell(f"'{sys.executable}' code.py", here, env=without)
    assert ended.returncode == 0, ended.stderr
    assert "python -m pip install keras tensorflow" in ended.stdout.splitlines()[1]
