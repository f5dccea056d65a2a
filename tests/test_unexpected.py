"""Exceptions that nobody foresaw, raised while one input is read or computed: it fails alone."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import kapre_cli
from kapre_cli.audio.headers import read_flac
from kapre_cli.engines.batches import NumpyEngine
from kapre_cli.engines.keras_engine import KerasEngine
from kapre_cli.extraction import sinks
from kapre_cli.extraction.assembly import final_array
from tests import reference
from tests.conftest import write_audio

ENGINES: dict[str, Any] = {"numpy": NumpyEngine, "keras": KerasEngine}
SMALL = ("--n-dft", 64)
BAD_SAMPLES = 4321


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make sound inputs around one that the tests let fail: long, loud and FLAC."""
    folder = tmp_path / "audio"
    for number in range(4):
        write_audio(folder / f"{number}.flac", reference.noise(1, 900 + number, number))
    loud = 0.999 * np.sign(reference.noise(1, BAD_SAMPLES))
    write_audio(folder / "1 bad.flac", loud)
    return folder


def arrays_of(output: Path) -> dict[str, Any]:
    with kapre_cli.open_features(output) as features:
        return {key: array[:] for key, array in features.items()}


def require_alone(
    ended: Any, reason: str, raised: type[Exception], audio: Path, output: Path, program: Any
) -> None:
    """Require that the bad input failed with a reason, and all others are as without it."""
    lines = ended.err.splitlines()
    named = [line for line in lines if line.startswith("failed: ")]
    assert len(named) == 1, ended.err
    assert named[0] == f"failed: {str(audio / '1 bad.flac')!r}: {reason}"
    assert ended.code == 1
    assert "4 written, 1 failed" in lines[-1]
    assert ("Traceback (most recent call last):" in lines) == ("unexpected" in reason)
    assert any(line.startswith(raised.__name__) for line in lines) == ("unexpected" in reason)
    with kapre_cli.open_features(output) as features:
        arguments = ["--engine", features.root.engine]
    alone = output.with_name("alone.h5")
    sound = sorted(path for path in audio.iterdir() if "bad" not in path.name)
    assert program("spectrogram", *sound, "-o", alone, *SMALL, *arguments).code == 0
    expected = arrays_of(alone)
    found = arrays_of(output)
    assert found.keys() == expected.keys()
    for key, array in found.items():
        np.testing.assert_array_equal(array, expected[key], strict=True)


RAISED = {
    ZeroDivisionError: "unexpected ZeroDivisionError: of a test",
    OverflowError: "unexpected OverflowError: of a test",
    MemoryError: "there is not enough memory for it: read fewer inputs at once (--jobs 1) or free "
    "some memory",
}


@pytest.mark.parametrize("raised", RAISED)
def test_an_exception_in_a_decoder_fails_one_input(
    raised: type[Exception],
    audio: Path,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = soundfile.SoundFile.read

    def failing(file: Any, frames: int, *arguments: Any, **options: Any) -> Any:
        if frames == BAD_SAMPLES:
            raise raised("of a test")
        return read(file, frames, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", failing)
    output = tmp_path / "out.h5"
    ended = program("spectrogram", audio, "-o", output, *SMALL, "-v")
    require_alone(ended, RAISED[raised], raised, audio, output, program)


@pytest.mark.parametrize("where", ["file", "stream"])
@pytest.mark.parametrize("raised", RAISED)
def test_an_exception_as_an_array_is_put_together_fails_one_input(
    where: str,
    raised: type[Exception],
    audio: Path,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = final_array

    def failing(blocks: Any, entries: Any, *arguments: Any) -> Any:
        if sum(entry.shape[1] for entry in entries) == -(-BAD_SAMPLES // 32):
            raise raised("of a test")
        return really(blocks, entries, *arguments)

    monkeypatch.setattr(sinks, "final_array", failing)
    if where == "file":
        output = tmp_path / "out.h5"
        ended = program("spectrogram", audio, "-o", output, *SMALL, "-v")
        require_alone(ended, RAISED[raised], raised, audio, output, program)
        return
    stream = os.open(tmp_path / "stream", os.O_RDWR | os.O_CREAT)
    before = os.dup(1)
    os.dup2(stream, 1)
    try:
        ended = program("spectrogram", audio, "-o", "-", *SMALL)
    finally:
        os.dup2(before, 1)
    assert ended.code == 1
    assert f"failed: {str(audio / '1 bad.flac')!r}: {RAISED[raised]}" in ended.err
    with open(tmp_path / "stream", "rb") as file:
        assert len(list(kapre_cli.read_arrays(file))) == 4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("raised", RAISED)
def test_an_exception_in_an_engine_fails_one_input(
    raised: type[Exception],
    engine: str,
    audio: Path,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All inputs lie in one batch, so that the exception meets all of them at first."""
    compute = ENGINES[engine]._compute

    def failing(self: Any, samples: Any, features: Any) -> None:
        if np.abs(samples).max() > 0.99:
            raise raised("of a test")
        compute(self, samples, features)

    monkeypatch.setattr(ENGINES[engine], "_compute", failing)
    output = tmp_path / "out.h5"
    report = tmp_path / "report.jsonl"
    arguments = ("spectrogram", audio, "-o", output, *SMALL, "--engine", engine)
    ended = program(*arguments, "-v", "--report", report)
    require_alone(ended, RAISED[raised], raised, audio, output, program)
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    failed = [line for line in lines if line.get("status") == "failed"]
    assert [line["reason"] for line in failed] == [RAISED[raised]]
    monkeypatch.setattr(ENGINES[engine], "_compute", compute)
    ended = program(*arguments, "--resume")
    assert (ended.code, "1 written, 0 failed, 4 skipped" in ended.err) == (0, True), ended.err


def test_a_traceback_is_told_under_verbose_alone(
    audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:

    def failing(file: Any, start: int) -> Any:
        if file.size == (audio / "1 bad.flac").stat().st_size:
            raise LookupError("of\na test")
        return read_flac(file, start)

    monkeypatch.setattr("kapre_cli.audio.flac.read_flac", failing)
    reason = "unexpected LookupError: of a test"
    for more in ((), ("-v",), ("--dry-run",), ("--dry-run", "-v")):
        arguments = ("spectrogram", audio, "-o", tmp_path / "out.h5", "--overwrite", *SMALL)
        ended = program(*arguments, "--sr", 8000, *more)
        assert ended.code == 1
        said = ended.out + ended.err
        assert f"1 bad.flac': {reason}\n" in said
        assert ("warning: --verbose shows where" in said) == ("-v" not in more)
        assert ("Traceback" in said) == ("-v" in more), said
        assert ("LookupError: of\na test" in said) == ("-v" in more)


def test_plot_and_verify_tell_an_exception_as_a_failure(
    audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.h5"
    assert program("spectrogram", audio, "-o", output, *SMALL).code == 0

    def failing(*_arguments: Any, **_options: Any) -> Any:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr(soundfile.SoundFile, "read", failing)
    ended = program("verify", output, "--against", audio)
    assert ended.code == 1
    assert ended.out.count("cannot be recomputed: unexpected ZeroDivisionError: of a test\n") == 5
    ended = program("plot", audio / "0.flac", "-o", tmp_path / "a.png")
    assert ended.code == 1
    assert "unexpected ZeroDivisionError: of a test" in ended.err
    assert "Traceback" not in ended.err
