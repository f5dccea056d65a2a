"""File systems that lack something: locks, fsync of folders, links, atomic renames, mmap."""

import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.conftest import PROGRAM, write_audio
from tests.stress.runs import content

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
LAYER = ("--n-dft", "64", "--n-mels", "8", "--sr", "8000")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a folder with two inputs."""
    write_audio(tmp_path / "a.wav", reference.noise(2, 9000), subtype="PCM_16")
    write_audio(tmp_path / "b.flac", reference.noise(1, 700), subtype="PCM_16")
    return tmp_path


@pytest.fixture(params=DISKS)
def odd(request: pytest.FixtureRequest, odd_disk: Path) -> dict[str, str]:
    """Give the environment in which a disk lacks something."""
    return {"LD_PRELOAD": str(odd_disk), **DISKS[request.param]}


@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_are_written_read_and_merged(
    output: str, here: Path, odd: Mapping[str, str], process: Any
) -> None:
    inputs = ("a.wav",) if output == "x.npy" else ("a.wav", "b.flac")

    def run(*command: object) -> str:
        ended = process(*command, cwd=here, **odd)
        assert ended.code == 0, ended.err
        assert "Traceback" not in ended.err
        return ended.out + ended.err

    (here / "sound").mkdir()
    sound = process("melspectrogram", *inputs, *LAYER, "-o", f"sound/{output}", cwd=here)
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
    ended = subprocess.run(
        [PROGRAM[0], "-c", read, output],
        cwd=here,
        env={**os.environ, **odd},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, b"a.wav" in ended.stdout) == (0, True), ended.stderr
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
    output: str, disk: str, here: Path, odd_disk: Path, process: Any
) -> None:
    odd = {"LD_PRELOAD": str(odd_disk), **DISKS[disk]}
    (here / "mine").write_bytes(b"mine")
    (here / ("mine" if output == "x" else output)).write_bytes(b"mine")
    if output == "x":
        (here / output).mkdir()
        (here / "mine").rename(here / output / "thesis.txt")
    before = content(here / output)
    for more in ((), ("--overwrite",), ("--resume",)):
        ended = process("melspectrogram", "a.wav", *LAYER, "-o", output, *more, cwd=here, **odd)
        assert ended.code == 2, ended.err
        assert content(here / output) == before
    assert not list(here.glob("*.partial"))


@pytest.mark.parametrize("output", ["x.h5", "x"])
def test_one_run_at_a_time_without_locks(
    output: str, here: Path, odd_disk: Path, process: Any
) -> None:
    odd = {"LD_PRELOAD": str(odd_disk), "ODD_DISK": "locks", "ODD_DISK_LOCKS": str(errno.ENOSYS)}

    command = [*PROGRAM, "melspectrogram", "--files-from", "-", *LAYER, "-o", output]
    first = subprocess.Popen(
        command, cwd=here, env={**os.environ, **odd}, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        assert first.stdin is not None
        first.stdin.write(b"a.wav\n")
        first.stdin.flush()
        owner = here / f"{output}.partial" / "owner"
        limit = time.monotonic() + 60
        while not (here / f"{output}.partial" / "journal").exists():
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert owner.exists()
        for resume in ((), ("--resume",)):
            second = process(
                "melspectrogram", "a.wav", *LAYER, "-o", output, *resume, cwd=here, **odd
            )
            assert second.code == 2
            assert "another run is writing" in second.err
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(60)
        third = process(
            "melspectrogram", "a.wav", *LAYER, "-o", output, "--resume", cwd=here, **odd
        )
        assert third.code == 0, third.err
        assert not owner.exists()
    finally:
        first.kill()
        first.communicate(timeout=60)


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_file_that_cannot_be_synced_is_never_passed_over(
    output: str, here: Path, odd_disk: Path, process: Any
) -> None:
    odd = {"LD_PRELOAD": str(odd_disk), "ODD_DISK": "sync_file"}
    ended = process("melspectrogram", "a.wav", *LAYER, "-o", output, cwd=here, **odd)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "Input/output error" in ended.err
    assert not (here / output).exists()


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_folder_whose_disk_fails_is_told(
    output: str, here: Path, odd_disk: Path, process: Any
) -> None:
    odd = {"LD_PRELOAD": str(odd_disk), "ODD_DISK": "sync_folder", "ODD_DISK_SYNC": str(errno.EIO)}
    ended = process("melspectrogram", "a.wav", *LAYER, "-o", output, cwd=here, **odd)
    assert ended.code == 1
    assert "Input/output error" in ended.err
    assert not (here / output).exists()
    assert np.all([path.name in ("a.wav", "b.flac") for path in here.iterdir()])
