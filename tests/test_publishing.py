"""Outputs take their place only where nothing stands, whoever else is at work beside them."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kapre_cli
from kapre_cli.outputs.locked_folders import MARKER, is_marked
from kapre_cli.resume import work_dir
from kapre_cli.settings import OutputSettings
from tests import reference
from tests.conftest import files_below, write_audio, write_silence
from tests.stress.runs import content
from tests.warm import Nursery, Started

LAYER = ("--n-dft", "64", "--n-mels", "8", "--sr", "8000")
SECONDS = 60.0
ROUNDS = 8


def _input_of(run: Started) -> str:
    return run.args[1]


@contextmanager
def at_work(warm: Nursery, here: Path, output: str, *more: str) -> Iterator[Started]:
    """Start a run that has begun, and waits for more inputs until its standard input ends."""
    command = ("melspectrogram", "--files-from", "-", *LAYER, "-o", output, *more)
    run = warm.start(*command, cwd=here, session=True)
    try:
        run.stdin.write(b"a.wav\n")
        limit = time.monotonic() + SECONDS
        journal = here / f"{output}.partial" / "journal-1"
        while not (journal.exists() and journal.stat().st_size):
            assert time.monotonic() < limit
            time.sleep(0.005)
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=SECONDS)


def test_a_run_that_ends_while_another_looks_at_its_folder_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "x.h5.partial"
    folder.mkdir()
    (folder / "lock").write_bytes(MARKER)
    (folder / "output").touch()

    def ended(lock: Path, *, in_part: bool = False) -> bool:
        if (folder / "output").exists():
            shutil.rmtree(folder)  # as the other run does at its end
        return is_marked(lock, in_part=in_part)

    monkeypatch.setattr(work_dir, "is_marked", ended)
    with work_dir.WorkDir(OutputSettings(path=tmp_path / "x.h5", format="hdf5")):
        assert is_marked(folder / "lock")


@pytest.mark.parametrize("output", ["x.h5", "x.npy", "x"])
def test_of_two_runs_started_together_one_has_the_output(
    output: str, tmp_path: Path, warm: Nursery
) -> None:
    random.seed(0)
    names = ("a.wav", "b.wav")
    for k, name in enumerate(names):
        write_audio(tmp_path / name, reference.noise(1, 3000, seed=k))
    for number in range(ROUNDS):
        target = f"{number} {output}"
        runs = []
        for name in random.sample(names, 2):
            runs.append(warm.start("melspectrogram", name, *LAYER, "-o", target, cwd=tmp_path))
            time.sleep(random.uniform(0, 0.05))  # noqa: S311
        told = [run.communicate(timeout=SECONDS)[1].decode() for run in runs]
        assert {run.returncode for run in runs} == {0, 2}, told
        winner = next(run for run in runs if run.returncode == 0)
        refusal = next(text for run, text in zip(runs, told, strict=True) if run.returncode == 2)
        assert "another run is writing" in refusal or "exists; --resume" in refusal
        with kapre_cli.open_features(tmp_path / target) as features:
            assert list(features) == [_input_of(winner)]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("command", "output"),
    [
        *(("melspectrogram", one) for one in ("x.h5", "x.npy", "x")),
        ("merge", "x.h5"),
        ("merge", "x"),
    ],
)
def test_an_output_published_between_the_check_and_the_lock_stays(
    command: str, output: str, tmp_path: Path, odd_warm: Nursery, at_once: Any
) -> None:
    for k, name in enumerate("ab"):
        write_audio(tmp_path / f"{name}.wav", reference.noise(1, 3000, seed=k))
        at_once("melspectrogram", f"{name}.wav", *LAYER, "-o", f"{name}.h5", cwd=tmp_path)
    more = LAYER if command == "melspectrogram" else ()
    suffix = "wav" if command == "melspectrogram" else "h5"
    runs = [(command, f"{name}.{suffix}", *more, "-o", output) for name in "ab"]
    go = tmp_path / "go"
    late = odd_warm.start(
        *runs[0], cwd=tmp_path, environment={**os.environ, "ODD_DISK_WAIT": str(go)}
    )
    try:
        limit = time.monotonic() + SECONDS
        while not (tmp_path / "go.reached").exists():
            assert time.monotonic() < limit
            time.sleep(0.005)
        assert at_once(*runs[1], cwd=tmp_path).code == 0
        before = content(tmp_path / output)
        go.touch()
        _, told = late.communicate(timeout=SECONDS)
    finally:
        late.kill()
        late.communicate(timeout=SECONDS)
    assert late.returncode == 2, told
    assert f"the output '{output}' exists" in told.decode()
    assert content(tmp_path / output) == before
    assert not list(tmp_path.glob("*.partial"))


def test_of_two_merges_started_together_one_has_the_output(
    tmp_path: Path, warm: Nursery, at_once: Any
) -> None:
    random.seed(0)
    for k, name in enumerate(("a", "b")):
        write_audio(tmp_path / f"{name}.wav", reference.noise(1, 3000, seed=k))
        at_once("melspectrogram", f"{name}.wav", *LAYER, "-o", f"{name}.h5", cwd=tmp_path)
    for number in range(ROUNDS):
        runs = []
        for name in random.sample(("a", "b"), 2):
            runs.append(warm.start("merge", f"{name}.h5", "-o", f"{number}.h5", cwd=tmp_path))
            time.sleep(random.uniform(0, 0.04))  # noqa: S311
        told = [run.communicate(timeout=SECONDS)[1].decode() for run in runs]
        assert {run.returncode for run in runs} == {0, 2}, told
        winner = next(run for run in runs if run.returncode == 0)
        with kapre_cli.open_features(tmp_path / f"{number}.h5") as features:
            assert [f"{key[0]}.h5" for key in features] == [_input_of(winner)]


@pytest.mark.parametrize("output", ["out/x.h5", "out/x"])
def test_a_folder_renamed_during_the_run_is_told_with_where_the_work_is(
    output: str, tmp_path: Path, warm: Nursery, at_once: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    (tmp_path / "out").mkdir()
    with at_work(warm, tmp_path, output) as run:
        (tmp_path / "out").rename(tmp_path / "moved")
        _, told = run.communicate(timeout=SECONDS)
    assert run.returncode == 1
    messages = told.decode()
    assert "Traceback" not in messages
    assert "was moved or removed during the run" in messages
    place = f"moved/{Path(output).name}.partial"
    assert f"1 of 1 input done: kept in '{tmp_path / place}'" in messages
    assert (tmp_path / place / "journal-1").stat().st_size > 0
    assert not (tmp_path / "out").exists()
    resumed = at_once(
        "melspectrogram",
        "a.wav",
        *LAYER,
        "-o",
        f"moved/{Path(output).name}",
        "--resume",
        cwd=tmp_path,
    )
    assert resumed.code == 0, resumed.err
    assert files_below(tmp_path / "moved") in (
        ["x.h5"],
        ["x", "x/a.wav.npy", *(f"x/{name}" for name in ("kapre-extract.json", "manifest.jsonl"))],
    )


def test_another_folder_in_the_place_of_the_renamed_one_gets_nothing(
    tmp_path: Path, warm: Nursery
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    (tmp_path / "out").mkdir()
    with at_work(warm, tmp_path, "out/x.h5") as run:
        (tmp_path / "out").rename(tmp_path / "moved")
        (tmp_path / "out").mkdir()
        (tmp_path / "out/thesis.txt").write_bytes(b"mine")
        _, told = run.communicate(timeout=SECONDS)
    assert run.returncode == 1, told
    assert b"Traceback" not in told
    assert files_below(tmp_path / "out") == ["thesis.txt"]
    assert (tmp_path / "moved/x.h5.partial/journal-1").exists()


def test_a_removed_folder_is_told(tmp_path: Path, warm: Nursery) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    (tmp_path / "out").mkdir()
    with at_work(warm, tmp_path, "out/x.h5") as run:
        shutil.rmtree(tmp_path / "out")
        _, told = run.communicate(timeout=SECONDS)
    assert run.returncode == 1, told
    assert b"Traceback" not in told
    assert b"kept in" not in told


def test_a_report_that_another_run_is_writing_is_left_to_it(
    tmp_path: Path, warm: Nursery, at_once: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    run = ("melspectrogram", "a.wav", *LAYER, "--report", "r")
    with at_work(warm, tmp_path, "x.h5", "--report", "r") as first:
        for more in (("--overwrite",), ("--resume",)):
            second = at_once(*run, "-o", "y.h5", *more, cwd=tmp_path)
            assert second.code == 2, second.err
            assert "another run is writing the report 'r'; wait for it" in second.err
            assert not (tmp_path / "y.h5").exists()
        _, told = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, told
    assert len((tmp_path / "r").read_bytes().splitlines()) == 3
    assert at_once(*run, "-o", "y.h5", "--overwrite", cwd=tmp_path).code == 0


@pytest.mark.parametrize("disk", ["", "rename", "link rename"])
@pytest.mark.parametrize(
    ("output", "changed"),
    [("x.h5", "x.h5"), ("x", "x/manifest.jsonl"), ("p.png", "p.png"), ("r", "r")],
)
def test_what_changes_at_the_last_moment_stays(
    output: str, changed: str, disk: str, tmp_path: Path, at_once: Any, on_odd_disk: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    more = ("--report", "r") if output == "r" else ()
    command = (
        ("plot", "a.wav", "-o", output)
        if output == "p.png"
        else ("melspectrogram", "a.wav", *LAYER, "-o", "o.h5" if output == "r" else output, *more)
    )
    assert at_once(*command, cwd=tmp_path).code == 0
    late = on_odd_disk(
        *command,
        "--overwrite",
        cwd=tmp_path,
        ODD_DISK=disk,
        ODD_DISK_MEANWHILE=f"echo mine > new && mv new {changed}",
    )
    assert late.code == 1, late.err
    assert f"{output}' was changed during the run; it is left as it is: move it" in late.err
    assert ("--resume" in late.err.partition("it is left")[2].partition("\n")[0]) == ("x" in output)
    assert (tmp_path / changed).read_bytes() == b"mine\n"


@pytest.mark.parametrize("output", ["p.png", "p.svg"])
def test_what_a_killed_plot_leaves_is_removed_by_the_next(
    output: str, tmp_path: Path, warm: Nursery, at_once: Any
) -> None:
    write_silence(tmp_path / "long.wav", 300)
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    own = tmp_path / "kapre-extract-mynotes_"
    own.mkdir()
    (own / "thesis.txt").write_bytes(b"mine")
    before = set(files_below(tmp_path))
    command = ("plot", "long.wav", "-o", output)
    run = warm.start(
        *command, cwd=tmp_path, environment={**os.environ, "TMPDIR": str(tmp_path)}, session=True
    )
    try:
        limit = time.monotonic() + SECONDS
        while not [path for path in tmp_path.glob("kapre-extract-*/files/*") if path != own]:
            assert time.monotonic() < limit
            assert run.poll() is None, run.communicate(timeout=SECONDS)
            time.sleep(0.005)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=SECONDS)
    assert set(files_below(tmp_path)) > before
    ended = at_once("plot", "a.wav", "-o", output, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert ended.code == 0, ended.err
    assert set(files_below(tmp_path)) == before | {output}
