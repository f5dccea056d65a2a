"""File systems that lack something: locks, fsync of folders, links, atomic renames, mmap."""

import errno
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.conftest import PROGRAM, ended_of, write_audio, write_silence
from tests.stress.runs import content
from tests.warm import Nursery

DISKS: dict[str, dict[str, str]] = {
    **{
        f"locks: {errno.errorcode[number]}": {
            "ODD_DISK": "locks",
            "ODD_DISK_LOCKS": str(number),
        }
        for number in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
    },
    **{
        f"fsync of folders: {errno.errorcode[number]}": {
            "ODD_DISK": "sync_folder",
            "ODD_DISK_SYNC": str(number),
        }
        for number in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF)
    },
    **{what: {"ODD_DISK": what} for what in ("free", "chmod", "link", "rename", "fallocate")},
    **{what: {"ODD_DISK": what} for what in ("link rename", "mmap", "short")},
    "all of it": {
        "ODD_DISK": "locks sync_folder free chmod link rename fallocate mmap short",
    },
}
OUTPUTS = ("x.h5", "x.npy", "x")
# Which number an operation fails with does not depend on the output: each meets one of them.
PAIRS = [
    (disk, output)
    for number, disk in enumerate(DISKS)
    for output in (OUTPUTS if ":" not in disk else (OUTPUTS[number % len(OUTPUTS)],))
]
WITHOUT_LOCKS = {"ODD_DISK": "locks", "ODD_DISK_LOCKS": str(errno.ENOSYS)}
LAYER = ("--n-dft", "64", "--n-mels", "8", "--sr", "8000")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a folder with two inputs."""
    write_audio(tmp_path / "a.wav", reference.noise(2, 9000), subtype="PCM_16")
    write_audio(tmp_path / "b.flac", reference.noise(1, 700), subtype="PCM_16")
    return tmp_path


@pytest.mark.parametrize(("disk", "output"), PAIRS)
def test_outputs_are_written_read_and_merged(
    disk: str, output: str, here: Path, odd_warm: Nursery, at_once: Any, on_odd_disk: Any
) -> None:
    odd = DISKS[disk]
    inputs = ("a.wav",) if output == "x.npy" else ("a.wav", "b.flac")

    def run(*command: object) -> str:
        ended = on_odd_disk(*command, cwd=here, **odd)
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err
        return ended.out + ended.err

    (here / "sound").mkdir()
    sound = at_once("melspectrogram", *inputs, *LAYER, "-o", f"sound/{output}", cwd=here)
    assert sound.code == 0, sound.err
    expected = content(here / f"sound/{output}")
    told = run("melspectrogram", *inputs, *LAYER, "-o", output, "--report", "r")
    assert ("has no locks" in told) == ("locks" in odd["ODD_DISK"])
    assert content(here / output) == expected
    run("melspectrogram", *inputs, *LAYER, "-o", output, "--overwrite", "--report", "r")
    assert content(here / output) == expected
    assert "is up to date" in run("melspectrogram", *inputs, *LAYER, "-o", output, "--resume")
    run("info", output)
    run("verify", output, "--against", ".")
    if output == "x.npy":
        run("plot", output, "-o", "p.png")
    read = (
        "import sys, kapre_cli\n"
        "with kapre_cli.open_features(sys.argv[1]) as features:\n"
        "    print({key: features[key][()].shape for key in features})"
    )
    ended = ended_of(odd_warm.start(output, code=read, cwd=here, environment={**os.environ, **odd}))
    assert (ended.code, "a.wav" in ended.out) == (0, True), ended.err
    if output != "x.npy":
        first, second, merged = f"1 {output}", f"2 {output}", here / "merged" / output
        merged.parent.mkdir()
        run("melspectrogram", "a.wav", *LAYER, "-o", first)
        run("melspectrogram", "b.flac", *LAYER, "-o", second)
        run("merge", first, second, "-o", merged)
        assert content(merged) == expected
    assert not list(here.glob("*.partial"))
    assert not list(here.glob(".*"))


@pytest.mark.parametrize("disk", ["link", "rename", "link rename", "all of it"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_stands_at_the_place_is_not_replaced(
    output: str, disk: str, here: Path, on_odd_disk: Any
) -> None:
    odd = DISKS[disk]
    (here / "mine").write_bytes(b"mine")
    (here / ("mine" if output == "x" else output)).write_bytes(b"mine")
    if output == "x":
        (here / output).mkdir()
        (here / "mine").rename(here / output / "thesis.txt")
    before = content(here / output)
    for more in ((), ("--overwrite",), ("--resume",)):
        ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", output, *more, cwd=here, **odd)
        assert ended.code == 2, ended.err
        assert content(here / output) == before
    assert not list(here.glob("*.partial"))


@pytest.mark.parametrize("output", ["x.h5", "x"])
def test_one_run_at_a_time_without_locks(
    output: str, here: Path, odd_warm: Nursery, on_odd_disk: Any
) -> None:
    odd = WITHOUT_LOCKS
    command = ("melspectrogram", "--files-from", "-", *LAYER, "-o", output)
    first = odd_warm.start(*command, cwd=here, environment={**os.environ, **odd}, session=True)
    try:
        first.stdin.write(b"a.wav\n")
        owner = here / f"{output}.partial" / "owner"
        limit = time.monotonic() + 60
        while not (here / f"{output}.partial" / "journal-1").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        machine = json.loads(owner.read_bytes())["machine"]
        if Path("/etc/machine-id").exists():
            assert Path("/etc/machine-id").read_text(encoding="ascii").strip() in machine
        for resume in ((), ("--resume",)):
            second = on_odd_disk(
                "melspectrogram", "a.wav", *LAYER, "-o", output, *resume, cwd=here, **odd
            )
            assert second.code == 2
            assert "another run is writing" in second.err
            assert f"remove '{output}.partial/owner'" in second.err
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(60)
        third = on_odd_disk(
            "melspectrogram", "a.wav", *LAYER, "-o", output, "--resume", cwd=here, **odd
        )
        assert third.code == 0, third.err
        assert not owner.exists()
    finally:
        first.kill()
        first.communicate(timeout=60)


TAKE = """
import os, sys, time
from pathlib import Path
from kapre_cli.errors import UsageError
from kapre_cli.outputs.locked_folders import RunLock

here, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if not rounds:
    RunLock(here, here)
    os.kill(os.getpid(), 9)
for k in range(rounds):
    folder = here / str(k)
    while not folder.exists():
        pass
    try:
        lock, told = RunLock(folder, folder), "in"
    except UsageError:
        lock, told = None, "out"
    (here / f"{k} {name}").write_text(told)
    while not (here / f"{k} end").exists():
        time.sleep(0.001)
    if lock:
        lock.release()
"""
ROUNDS = 60
RIVALS = 3


def test_of_several_runs_that_find_a_dead_owner_one_takes_its_place(
    tmp_path: Path, odd_disk: Path
) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(odd_disk), **WITHOUT_LOCKS}
    dead = tmp_path / "dead"
    dead.mkdir()
    take = [PROGRAM[0], "-c", TAKE]
    subprocess.run([*take, dead, "", "0"], env=environment, timeout=60, check=False)
    names = [str(number) for number in range(RIVALS)]
    rivals = [
        subprocess.Popen([*take, tmp_path, name, str(ROUNDS)], env=environment) for name in names
    ]
    try:
        limit = time.monotonic() + 120
        for k in range(ROUNDS):
            shutil.copytree(dead, tmp_path / "next")
            (tmp_path / "next").rename(tmp_path / str(k))
            told = [tmp_path / f"{k} {name}" for name in names]
            while not all(path.exists() and path.stat().st_size for path in told):
                assert time.monotonic() < limit
                time.sleep(0.001)
            assert sorted(path.read_text() for path in told) == ["in", *["out"] * (RIVALS - 1)], k
            (tmp_path / f"{k} end").touch()
            while (tmp_path / str(k) / "owner").exists():
                assert time.monotonic() < limit
                time.sleep(0.001)
            assert os.listdir(tmp_path / str(k)) == ["lock"]
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate(timeout=60)


@pytest.mark.parametrize("lacking", ["locks", "locks link"])
def test_a_full_disk_leaves_no_owner_behind(
    lacking: str, here: Path, odd_disk: Path, on_odd_disk: Any
) -> None:
    odd = {"LD_PRELOAD": str(odd_disk), **WITHOUT_LOCKS, "ODD_DISK": lacking}
    run = ("melspectrogram", "a.wav", *LAYER, "-o", "x.h5")
    full = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *PROGRAM, *run],
        cwd=here,
        env={**os.environ, **odd},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (full.returncode, b"Traceback" in full.stderr) == (1, False), full.stderr
    assert not list(here.glob("*.partial"))
    assert on_odd_disk(*run, cwd=here, **odd).code == 0


def test_what_a_killed_run_left_of_its_owner_is_removed(here: Path, on_odd_disk: Any) -> None:
    odd = WITHOUT_LOCKS
    (here / "x.h5.partial").mkdir()
    (here / "x.h5.partial/lock").touch()
    (here / "x.h5.partial/owner.0123456789abcdef").touch()
    ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", "x.h5", cwd=here, **odd)
    assert ended.code == 0, ended.err
    assert not list(here.glob("*.partial"))


AS_ANOTHER_USER = """
import codecs, json, os, sys
from pathlib import Path
from kapre_cli.outputs.locked_folders import RunLock

folder = Path(sys.argv[1])
codecs.lookup("ascii")
if os.geteuid() == 0:
    os.chmod(folder, 0o777)
    os.setuid(65534)
assert RunLock(folder, folder).is_by_file
owner = json.loads((folder / "owner").read_bytes())
(folder / "owner").write_text(json.dumps(owner | {"pid": 1, "started": "some time ago"}))
assert RunLock(folder, folder).is_by_file
assert json.loads((folder / "owner").read_bytes()) == owner
"""


def test_an_owner_whose_number_another_users_process_has_now_is_gone(odd_disk: Path) -> None:
    if os.geteuid() != 0 and os.stat("/proc/1").st_uid == os.geteuid():
        pytest.skip("process 1 is this user's own")
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM[0], "-c", AS_ANOTHER_USER, folder]
        environment = {**os.environ, "LD_PRELOAD": str(odd_disk), **WITHOUT_LOCKS}
        ended = subprocess.run(
            command, env=environment, capture_output=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()


@pytest.mark.parametrize(
    "number", [errno.ENOSYS, errno.EINVAL, errno.ESTALE, errno.EOPNOTSUPP], ids=errno.errorcode.get
)
def test_a_disk_that_cannot_say_how_much_is_free_is_written_to(
    number: int, here: Path, on_odd_disk: Any
) -> None:
    odd = {"ODD_DISK": "free", "ODD_DISK_FREE": str(number)}
    ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", "x.h5", cwd=here, **odd)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO], ids=errno.errorcode.get)
def test_a_lock_that_fails_leaves_no_folder(number: int, here: Path, on_odd_disk: Any) -> None:
    odd = {"ODD_DISK": "locks", "ODD_DISK_LOCKS": str(number)}
    ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", "x.h5", cwd=here, **odd)
    assert (ended.code, os.strerror(number) in ended.err) == (1, True), ended.err
    assert not list(here.glob("*.partial"))


def test_without_locks_temporary_folders_of_those_that_have_some_are_left(
    here: Path, on_odd_disk: Any
) -> None:
    scratch = here / "tmp"
    scratch.mkdir()
    write_silence(here / "long.wav", 1800)
    command = [*PROGRAM, "plot", "long.wav", "-o", "long.png"]
    variables = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=here, env=variables) as other:
        deadline = time.monotonic() + 60
        while not list(scratch.glob("kapre-extract-*/files/*")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        odd = {**WITHOUT_LOCKS, "TMPDIR": str(scratch)}
        ended = on_odd_disk("plot", "a.wav", "-o", "a.png", cwd=here, **odd)
        assert ended.code == 0, ended.err
        assert other.poll() is None
        assert list(scratch.glob("kapre-extract-*/files/*"))
        assert other.wait(timeout=120) == 0
    assert list(scratch.iterdir()) == []


def test_what_nfs_keeps_of_an_open_file_is_not_foreign(here: Path, at_once: Any) -> None:
    partial = here / "x.h5.partial"
    partial.mkdir()
    (partial / "lock").touch()
    (partial / ".nfs000000000000002a00000001").touch()
    ended = at_once("melspectrogram", "a.wav", *LAYER, "-o", "x.h5", cwd=here)
    assert ended.code == 0, ended.err
    assert os.listdir(partial) == [".nfs000000000000002a00000001"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_nothing_stays_where_removed_files_stay_until_they_are_closed(
    output: str, here: Path, on_odd_disk: Any
) -> None:
    odd = {"ODD_DISK": "nfs rename"}
    commands: list[tuple[str, ...]] = [
        ("melspectrogram", "a.wav", *LAYER, "-o", output, *rest)
        for rest in ((), ("b.flac", "--resume") if output != "x.npy" else ("--overwrite",))
    ]
    if output != "x.npy":
        commands += [
            ("merge", output, "-o", "y.h5"),
            ("merge", output, "-o", "y.h5", "--overwrite"),
        ]
    for command in commands:
        ended = on_odd_disk(*command, cwd=here, **odd)
        assert ended.code == 0, ended.err
        assert not [*here.rglob(".nfs*"), *here.glob("*.partial")], command


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_file_that_cannot_be_synced_is_never_passed_over(
    output: str, here: Path, on_odd_disk: Any
) -> None:
    odd = {"ODD_DISK": "sync_file"}
    ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", output, cwd=here, **odd)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "Input/output error" in ended.err
    assert not (here / output).exists()


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_whose_disk_fails_is_told(output: str, here: Path, on_odd_disk: Any) -> None:
    odd = {"ODD_DISK": "sync_folder", "ODD_DISK_SYNC": str(errno.EIO)}
    ended = on_odd_disk("melspectrogram", "a.wav", *LAYER, "-o", output, cwd=here, **odd)
    assert ended.code == 1
    assert "Input/output error" in ended.err
    assert not (here / output).exists()
    assert np.all([path.name in ("a.wav", "b.flac") for path in here.iterdir()])
