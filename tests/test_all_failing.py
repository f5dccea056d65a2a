"""Runs of which every input fails: the reasons, no output, and what stood at its place stays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kapre_cli
from tests import reference
from tests.bad_inputs import HALF, data, floats, fmt, riff
from tests.conftest import write_audio

OPTIONS = ("--sr", 8000, "--n-dft", 64)
OUTPUTS = ("x.npy", "x.h5", "x", "-")

# What is wrong, the reason in part, and options under which it is.
WRONG = {
    "truncated": (HALF, "truncated: the header declares 1,000 samples, 500 are available", ()),
    "no audio": (b"<html>", "it is a web page (HTML)", ()),
    "of another rate": (riff(fmt(sr=16_000), data()), "sample rate is 16,000 Hz", ()),
    "found out at the end": (floats((-1, np.nan)), "NaN or infinite samples, the first at", ()),
    # Found out when the array is put together.
    "too large for its type": (
        floats((500, 3e3)),
        "does not fit float16",
        ("--dtype", "float16", "--power", 2),
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", WRONG)
def test_every_input_fails_with_its_reason_alone(
    name: str, output: str, here: Path, program: Any
) -> None:
    content, reason, options = WRONG[name]
    (here / "a.wav").write_bytes(content)
    arguments = ("spectrogram", "a.wav", "-o", output, *OPTIONS, *options)
    for more in ((), ("--report", "r.jsonl")):
        ended = program(*arguments, *more)
        failure, summary = ended.err.splitlines()
        assert failure.startswith("failed: 'a.wav': ")
        assert reason in failure
        place = " -> standard output" if output == "-" else "; no output is written or changed"
        assert summary == f"1 input: 0 written, 1 failed (0.0 s of audio){place}"
        assert (ended.code, ended.out) == (1, "")
    *_, record, sums = map(json.loads, (here / "r.jsonl").read_text().splitlines())
    assert (record["status"], sums["failed"], sums["exit_code"]) == ("failed", 1, 1)
    assert reason in record["reason"]
    assert sorted(below(here)) == ["a.wav", "r.jsonl"]


@pytest.mark.parametrize("output", ["x.npy", "x.h5", "x"])
@pytest.mark.parametrize("option", ["--overwrite", "--resume", "--resume=content"])
@pytest.mark.parametrize("name", WRONG)
def test_what_stood_at_the_output_stays(
    name: str, option: str, output: str, here: Path, program: Any
) -> None:
    content, reason, options = WRONG[name]
    write_audio(here / "a.wav", reference.noise(1, 1000))
    arguments = ("spectrogram", "a.wav", "-o", output, *OPTIONS, *options)
    assert program(*arguments).code == 0
    (here / "a.wav").write_bytes(content)
    before = below(here)
    ended = program(*arguments, option)
    failures = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
    assert len(failures) == 2
    assert reason in failures[0]
    assert failures[1].startswith("1 input: 0 written, 1 failed (0.0 s of audio)")
    assert ended.code == 1
    assert below(here) == before
    with kapre_cli.open_features(here / output) as features:
        assert len(features) == 1


def test_a_shard_whose_single_array_fails_writes_none(here: Path, program: Any) -> None:
    (here / "a.wav").write_bytes(HALF)
    ended = program("spectrogram", "a.wav", "-o", "x.npy", *OPTIONS, "--shard", "1/1")
    assert len(ended.err.splitlines()) == 2
    assert ended.err.splitlines()[1].endswith(
        "1 failed (0.0 s of audio); no output is written or changed"
    )
    assert list(below(here)) == ["a.wav"]
    assert program("spectrogram", "a.wav", "-o", "x.h5", *OPTIONS, "--shard", "1/1").code == 1
    with kapre_cli.open_features(here / "x.h5") as features:
        assert len(features) == 0
