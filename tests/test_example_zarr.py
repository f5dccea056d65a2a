"""The example of a format in another package: found by its entry point, and used like our own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli import open_features
from tests import reference
from tests.conftest import write_audio, write_silence
from tests.models import write_model

REPOSITORY = Path(__file__).parent.parent
EXAMPLE = REPOSITORY / "examples" / "zarr_format"
MEL = ("--n-dft", "256", "--n-mels", "16")


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Put the example on the path of Python, with the entry point that its project declares."""
    project = (EXAMPLE / "pyproject.toml").read_text()
    group, entry = re.findall(r'entry-points\."(.*?)"\]\n(.*?)\n', project)[0]
    place = tmp_path_factory.mktemp("site-packages")
    folder = place / "kapre_zarr-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: kapre-zarr\nVersion: 0.1.0\n")
    (folder / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    path = os.pathsep.join(map(str, (REPOSITORY, EXAMPLE, place)))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with recordings: short, long and with several channels."""
    folder = tmp_path_factory.mktemp("zarr")
    (folder / "audio" / "site").mkdir(parents=True)
    write_audio(folder / "audio/a.wav", reference.noise(1, 300))
    write_audio(folder / "audio/site/b.wav", reference.noise(3, 9000, seed=1))
    write_audio(folder / "audio/site/long.wav", reference.noise(1, 4_500_000, seed=2))
    return folder


@pytest.fixture(scope="module")
def program(environment: dict[str, str], work: Path) -> Callable[..., Ran]:
    def call(*arguments: object) -> Ran:
        command = [sys.executable, "-m", "kapre_cli", *map(str, arguments)]
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=work, env=environment, timeout=300
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture(scope="module")
def outputs(program: Callable[..., Ran], work: Path) -> Path:
    """Extract the same features into a Zarr group and an HDF5 file."""
    for name in ("x.zarr", "x.h5"):
        ran = program("melspectrogram", "audio", "-o", name, *MEL)
        assert (ran.code, "3 written" in ran.err) == (0, True), ran.err
    assert {one.name for one in work.iterdir()} >= {"x.zarr", "x.h5"}
    return work


@pytest.mark.usefixtures("outputs")
def test_the_arrays_are_those_of_hdf5(program: Callable[..., Ran]) -> None:
    compared = program("compare", "x.zarr", "x.h5")
    assert compared.code == 0, compared.err
    assert "3 the same" in compared.out


def test_zarr_and_xarray_read_it(outputs: Path) -> None:
    import xarray
    import zarr

    group: Any = zarr.open_group(str(outputs / "x.zarr"), mode="r")
    with open_features(outputs / "x.h5") as features:
        for key, stored in features.items():
            array = group[f"features/{key}"]
            np.testing.assert_array_equal(array[...], stored[:])
            metadata = dict(array.attrs)
            assert metadata.pop("_ARRAY_DIMENSIONS")[0] == "mel"
            assert metadata == stored.metadata.to_dict()
        assert dict(group.attrs) == json.loads(json.dumps(features.root.to_dict()))
    assert group["features/site/long.wav"].chunks[1] < group["features/site/long.wav"].shape[1]
    with xarray.open_zarr(outputs / "x.zarr", group="features/site", consolidated=False) as site:
        assert dict(site["b.wav"].sizes) == {"mel": 16, "time_71": 71, "channel_3": 3}


def test_info_and_help_name_it(outputs: Path, program: Callable[..., Ran]) -> None:
    assert program("info", "x.zarr").out.startswith("'x.zarr': one Zarr group, ")
    described = json.loads(program("info", "x.zarr", "--json").out)
    n_bytes = sum(one.stat().st_size for one in (outputs / "x.zarr").rglob("*") if one.is_file())
    assert (described["format"], described["n_inputs"]) == ("zarr", 3)
    assert described["bytes"] == n_bytes
    assert "npy-stream|zarr]" in program("melspectrogram", "--help").out
    assert "npy-directory|zarr]" in program("merge", "--help").out
    planned = program("melspectrogram", "audio", "-o", "new.zarr", *MEL, "--dry-run")
    assert (planned.code, "3 to be written" in planned.out) == (0, True)
    assert not list(outputs.glob("new.zarr*"))
    unknown = program("melspectrogram", "audio", "-o", "x.nc")
    assert (unknown.code, "*.zarr (one Zarr group)" in unknown.err) == (2, True)


def test_verify_computes_it_again_and_finds_damage(
    outputs: Path, program: Callable[..., Ran]
) -> None:
    ran = program("verify", "x.zarr", "--against", "audio", "--all")
    assert (ran.code, "3 correct, 0 wrong; 3 recomputed" in ran.out) == (0, True), ran.err
    assert program("melspectrogram", "audio/a.wav", "-o", "bad.zarr", *MEL).code == 0
    chunk = next((outputs / "bad.zarr/features").rglob("0.0.0"))
    chunk.write_bytes(bytes(chunk.stat().st_size))
    (outputs / "bad.zarr/note.txt").write_text("somebody's")
    ran = program("verify", "bad.zarr")
    assert ran.code == 1
    assert "is damaged" in ran.out + ran.err
    assert "note.txt" in ran.out + ran.err


def test_verify_names_an_array_without_valid_metadata(
    outputs: Path, program: Callable[..., Ran]
) -> None:
    assert program("melspectrogram", "audio", "-o", "lost.zarr", *MEL).code == 0
    features = outputs / "lost.zarr/features"
    (features / "a.wav/.zarray").unlink()
    described = features / "site/b.wav/.zarray"
    described.write_text(json.dumps({**json.loads(described.read_text()), "compressor": "gzip"}))
    ran = program("verify", "lost.zarr")
    assert (ran.code, "1 correct, 2 wrong" in ran.out) == (1, True), ran.err
    assert "'a.wav': cannot be read: " in ran.out
    assert "'site/b.wav': " in ran.out
    described = outputs / "lost.zarr/coordinate/.zarray"
    described.write_text(json.dumps({**json.loads(described.read_text()), "shape": [2**50]}))
    ran = program("info", "lost.zarr")
    assert (ran.code, "its `frequency` is not that of its layer" in ran.err) == (1, True), ran.err


def test_outputs_of_both_formats_are_merged(outputs: Path, program: Callable[..., Ran]) -> None:
    for n, name in ((1, "1.zarr"), (2, "2.zarr"), (2, "2.h5")):
        command = ("melspectrogram", "audio", "-o", name, "--shard", f"{n}/2", *MEL)
        assert program(*command).code == 0
    assert program("merge", "2.zarr", "1.zarr", "-o", "merged.zarr").code == 0
    assert program("merge", "1.zarr", "2.h5", "-o", "merged.h5").code == 0
    assert (outputs / "merged.h5").read_bytes() == (outputs / "x.h5").read_bytes()
    files = {one.relative_to(outputs / "x.zarr") for one in (outputs / "x.zarr").rglob("*")}
    for file in files:
        if (outputs / "x.zarr" / file).is_file():
            merged = (outputs / "merged.zarr" / file).read_bytes()
            assert merged == (outputs / "x.zarr" / file).read_bytes(), file
    again = program("merge", "1.zarr", "-o", "merged.zarr", "--overwrite", "--allow-missing")
    assert (again.code, "none of the inputs has" in again.err) == (2, True)


def test_a_picture_is_drawn_of_it(outputs: Path, program: Callable[..., Ran]) -> None:
    assert program("plot", "x.zarr", "site/b.wav", "-o", "x.png").code == 0
    assert (outputs / "x.png").read_bytes().startswith(b"\x89PNG")


def test_python_reads_it_and_makes_its_layer(outputs: Path, environment: dict[str, str]) -> None:
    code = (
        "from kapre_cli import load_layer, open_features\n"
        "with open_features('x.zarr') as features:\n"
        "    print(features['site/b.wav'].axes, features['site/b.wav'][:, 2:5].shape)\n"
        "print(load_layer('x.zarr').n_mels)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=outputs,
        env=environment,
        timeout=300,
        check=True,
    )
    assert ended.stdout == "('mel', 'time', 'channel') (16, 3, 3)\n16\n"


def test_another_folder_is_not_replaced(outputs: Path, program: Callable[..., Ran]) -> None:
    import zarr

    group = zarr.open_group(str(outputs / "foreign.zarr"), mode="w")
    group.attrs.update({"of": "somebody"})
    (outputs / "notes.zarr").mkdir()
    (outputs / "notes.zarr/notes.txt").write_text("somebody's")
    for name in ("foreign.zarr", "notes.zarr"):
        ran = program("melspectrogram", "audio", "-o", name, *MEL, "--overwrite")
        assert (ran.code, "not an output of kapre-extract" in ran.err) == (2, True), ran.err
    assert program("melspectrogram", "audio/a.wav", "-o", "own.zarr", *MEL).code == 0
    ran = program("melspectrogram", "audio/a.wav", "-o", "own.zarr", *MEL)
    assert (ran.code, "exists" in ran.err) == (2, True)
    (outputs / "own.zarr/features/mine.txt").write_text("somebody's")
    ran = program("melspectrogram", "audio/a.wav", "-o", "own.zarr", *MEL, "--overwrite")
    assert (ran.code, "mine.txt' in the output" in ran.err) == (2, True)
    (outputs / "own.zarr/features/mine.txt").unlink()
    ran = program("melspectrogram", "audio/site/b.wav", "-o", "own.zarr", *MEL, "--overwrite")
    assert ran.code == 0, ran.err
    assert not (outputs / "own.zarr/features/a.wav").exists()
    inside = program("melspectrogram", "audio/a.wav", "-o", "own.zarr/x.h5", *MEL)
    assert (inside.code, "which is an output of" in inside.err) == (2, True)
    scales = program("melspectrogram", "audio", "-o", "s.zarr", *MEL, "--dimension-scales")
    assert "Only the format hdf5 can have dimension scales" in scales.err


def test_compressed_and_resumed_with_one_more_input(
    outputs: Path, program: Callable[..., Ran]
) -> None:
    command = ("-o", "gzip.zarr", *MEL, "--compression", "gzip")
    assert program("melspectrogram", "audio/a.wav", *command).code == 0
    ran = program("melspectrogram", "audio/a.wav", "audio/site/b.wav", *command, "--resume")
    assert "1 written, 0 failed, 1 skipped" in ran.err
    described = json.loads(
        (outputs / "gzip.zarr/features/audio/a.wav/.zarray").read_text(encoding="ascii")
    )
    assert described["compressor"]["id"] == "gzip"
    assert program("verify", "gzip.zarr").code == 0


def test_a_killed_run_is_resumed(
    outputs: Path, program: Callable[..., Ran], environment: dict[str, str]
) -> None:
    write_silence(outputs / "silence.wav", 3600)
    command = ("melspectrogram", "silence.wav", *MEL, "--jobs", "1")
    running = subprocess.Popen(
        [sys.executable, "-m", "kapre_cli", *command, "-o", "killed.zarr"],
        cwd=outputs,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    journal = outputs / "killed.zarr.partial/journal-1"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size > 2 * 10**7):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    assert not (outputs / "killed.zarr").exists()
    refused = program(*command, "-o", "killed.zarr")
    assert (refused.code, "--resume goes on with it" in refused.err) == (2, True)
    assert program(*command, "-o", "killed.zarr", "--resume").code == 0
    assert program(*command, "-o", "killed.h5").code == 0
    assert "1 the same" in program("compare", "killed.zarr", "killed.h5").out
    assert not (outputs / "killed.zarr.partial").exists()


def test_the_remains_of_an_incomplete_group_are_removed(
    outputs: Path, program: Callable[..., Ran]
) -> None:
    """A run that is killed while it assembles leaves a group without its metadata."""
    assert program("melspectrogram", "audio/a.wav", "-o", "torn.zarr", *MEL).code == 0
    work_dir = outputs / "torn.zarr.partial"
    work_dir.mkdir(mode=0o700)
    (work_dir / "lock").write_bytes(b"kapre-extract: work in progress\n")
    (outputs / "torn.zarr").rename(work_dir / "output")
    (work_dir / "output/.zattrs").unlink()
    assert program("melspectrogram", "audio/a.wav", "-o", "torn.zarr", *MEL).code == 0
    assert not work_dir.exists()
    assert program("verify", "torn.zarr").code == 0


def test_nothing_in_the_package_names_it() -> None:
    for path in (REPOSITORY / "kapre_cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8").replace("[project.entry-points", "")
        assert "zarr" not in text.lower() or path.name == "registry.py", path


def test_the_weights_of_a_trained_layer_are_stored(
    program: Callable[..., Ran], outputs: Path, environment: dict[str, str]
) -> None:
    write_model(outputs / "trained.keras")
    ran = program("spectrogram", "audio/a.wav", "-o", "t.zarr", "--layer", "trained.keras")
    assert ran.code == 0, ran.err
    ran = program("verify", "t.zarr")
    assert (ran.code, ran.out) == (0, "'t.zarr': 1 input: 1 correct, 0 wrong\n")
    code = (
        "import kapre_cli; features = kapre_cli.open_features('t.zarr');"
        "print(*(one.sum() for one in features.weights.arrays.values()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=outputs,
        env=environment,
        timeout=120,
        check=True,
    )
    assert ended.stdout.split() == ["36.0", "180.0"]
    (outputs / "t.zarr/weights/kernel_real/0.0.0").write_bytes(bytes(4 * 16 * 9))
    ran = program("verify", "t.zarr")
    assert (ran.code, "its weights are damaged" in ran.out + ran.err) == (1, True)
