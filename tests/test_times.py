"""Recordings whose clocks were wrong by centuries: read, stored and resumed like any other."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest

import kapre_cli
from kapre_cli.audio.reader import AudioFile
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.bad_inputs import ALL_ONES, fmt, rf64
from tests.bad_inputs import chunk as chunk_of
from tests.bad_inputs import data as data_of
from tests.conftest import blocks_of, write_audio

SMALL = ("--n-dft", 64, "--n-mels", 20)
YEAR = 365 * 86_400 * 10**9
LAST, FIRST = 2**63 - 1, -(2**63)

# Nanoseconds since 1970, and what is stored of them.
TIMES = {
    "in 2300": (330 * YEAR, LAST),
    "in 3000": (1030 * YEAR, LAST),
    "in 292,277": (2**62 * 10**9, LAST),
    "in 1969": (-7, -7),
    "in 1640": (-330 * YEAR, FIRST),
    "the last that fits": (LAST, LAST),
    "the first that fits": (FIRST, FIRST),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder in memory, where files may have any time."""
    memory = Path("/dev/shm")  # noqa: S108 - its files may have any time
    if not memory.is_dir():
        pytest.skip("this system has no /dev/shm, whose files may have any time of change")
    with tempfile.TemporaryDirectory(dir=memory, prefix="kapre-extract-tests-") as name:
        yield Path(name)


def set_time(path: Path, time: int) -> None:
    os.utime(path, ns=(time, time))
    if path.stat().st_mtime_ns != time:
        pytest.skip(f"this file system does not store the time {time}")


def stored_times(output: Path) -> set[int]:
    """Return the times of the only input by every way that they are stored."""
    with kapre_cli.open_features(output) as features:
        times = {array.metadata.source_mtime_ns for array in features.values()}
    if output.suffix == ".h5":
        with h5py.File(output) as file:
            times |= {int(time) for time in file["index"]["source_mtime_ns"]}
    elif output.is_dir():
        lines = (output / "manifest.jsonl").read_text().splitlines()
        times |= {json.loads(line)["source_mtime_ns"] for line in lines}
    return times


@pytest.mark.parametrize("name", ["out.h5", "out", "out.npy"])
@pytest.mark.parametrize(("time", "stored"), TIMES.values(), ids=TIMES.keys())
def test_any_time_of_change_is_stored_and_resumed(
    time: int, stored: int, name: str, folder: Path, program: Any
) -> None:
    path = write_audio(folder / "a.wav", reference.noise(1, 2000))
    set_time(path, time)
    arguments = ("melspectrogram", path, "-o", folder / name, *SMALL)
    ended = program(*arguments, "--dry-run")
    assert (ended.code, "1 to be written" in ended.out) == (0, True), ended
    ended = program(*arguments)
    assert ended.code == 0, ended.err
    assert stored_times(folder / name) == {stored}
    assert program("verify", folder / name).code == 0
    assert program("info", folder / name, "a.wav" if name != "out.npy" else "--json").code == 0
    for resume in ("--resume", "--resume=content"):
        ended = program(*arguments, resume)
        assert (ended.code, "0 written, 0 failed, 1 skipped" in ended.err) == (0, True), ended.err


@pytest.mark.parametrize("other", [330 * YEAR, 340 * YEAR])
def test_a_file_that_changed_is_computed_again_whatever_its_clock(
    other: int, folder: Path, program: Any
) -> None:
    path = write_audio(folder / "a.wav", reference.noise(1, 2000))
    set_time(path, 330 * YEAR)
    arguments = ("melspectrogram", path, "-o", folder / "out.h5", *SMALL)
    assert program(*arguments).code == 0
    write_audio(path, reference.noise(1, 2000, 1))  # of the same size
    set_time(path, other)
    ended = program(*arguments, "--resume")
    assert (ended.code, "1 written, 0 failed (" in ended.err) == (0, True), ended.err
    assert program("verify", folder / "out.h5", "--against", folder).code == 0


@pytest.mark.parametrize("other", [-330 * YEAR, -340 * YEAR])
def test_blocks_of_a_file_that_changed_are_not_used(other: int, folder: Path, program: Any) -> None:
    from tests.test_resume import interrupted

    path = write_audio(folder / "a.wav", reference.noise(1, 60_000))
    set_time(path, -330 * YEAR)
    arguments = ("melspectrogram", path, "-o", folder / "out.h5", *SMALL)
    assert "parts of 1 more" in interrupted(program, arguments, after=20).err
    write_audio(path, reference.noise(1, 60_000, 1))
    set_time(path, other)
    with blocks_of(2**11):
        ended = program(*arguments, "--resume")
    assert ended.code == 0, ended.err
    assert program("verify", folder / "out.h5", "--against", folder).code == 0


def test_a_promise_beyond_64_bits_is_stored_as_the_largest_number(
    tmp_path: Path, program: Any
) -> None:
    samples = bytes(range(200))
    sizes = chunk_of(b"ds64", (2**64 - 1).to_bytes(8, "little") * 2 + bytes(12))
    path = tmp_path / "a.wav"
    path.write_bytes(rf64(sizes, fmt(bits=8), data_of(samples, ALL_ONES)))
    with AudioFile(str(path), AudioSettings(sr=8000, allow_truncated=True)) as file:
        assert (file.n_samples, file.n_missing) == (200, LAST)
    arguments = ("melspectrogram", path, "-o", tmp_path / "out.h5", *SMALL)
    ended = program(*arguments)
    assert ended.code == 1
    assert "declares 18,446,744,073,709,551,615 samples, 200 are available" in ended.err
    ended = program(*arguments, "--allow-truncated")
    assert ended.code == 0, ended.err
    assert program("verify", tmp_path / "out.h5").code == 0
