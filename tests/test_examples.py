"""The examples in ``--help`` run as they are printed, and write what they seem to."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kapre_cli
from kapre_cli.cli import program, run
from tests import reference
from tests.conftest import write_audio

PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def examples() -> list[str]:
    """Return each line of a help text that is a command."""
    texts = [program.help, *(command.help for command in program.commands.values())]
    lines = [line.strip() for text in texts for line in (text or "").splitlines()]
    return [*dict.fromkeys(line for line in lines if re.search(r"(^|\| )kapre-extract ", line))]


def outputs(example: str) -> list[str]:
    """Return what an example writes."""
    words = shlex.split(example)
    return [words[number + 1] for number, word in enumerate(words) if word == "-o"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the examples read."""
    folder = tmp_path_factory.mktemp("examples")
    night = reference.noise(1, 76 * 2000)
    for key in ("night 1.wav", "site a/night 1.wav"):
        write_audio(folder / "recordings" / key, night, 2000)
    for name in ("bats/bat.wav", "song.wav"):
        write_audio(folder / name, reference.noise(2, 50_000), 250_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        patch.chdir(folder)
        mel = ["melspectrogram", "-o", "mels.h5", "recordings", "--n-mels", "20", "--n-dft", "256"]
        assert run(mel) == 0
        for index in (1, 2):
            assert run([*mel, "--shard", f"{index}/2", "-o", f"part-{index}.h5"]) == 0
        assert run([*mel, "-o", "expected"]) == 0
    shutil.copy(folder / "mels.h5", folder / "mels-of-last-year.h5")
    return folder


def test_there_are_examples() -> None:
    commands = {word for one in examples() for word in one.split() if word in program.commands}
    assert commands == {*program.commands}


@pytest.mark.parametrize("example", examples())
def test_an_example_runs_as_printed(example: str, inputs: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(inputs, tmp_path / "work"))
    if example.startswith("ffmpeg"):
        if shutil.which("ffmpeg") is None:
            pytest.skip("ffmpeg is not installed")
        make = ["ffmpeg", "-v", "error", "-i", "song.wav", "-ar", "44100", "film.mp4"]
        subprocess.run(make, cwd=folder, check=True, timeout=60)
    if example.startswith("find"):
        shutil.rmtree(folder / "recordings")  # of another rate
    for output in outputs(example):
        (folder / output).unlink(missing_ok=True)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example],
        cwd=folder,
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "failed" not in ended.stderr.replace(" 0 failed", "")
    assert "half of the usual decibels" not in ended.stderr
    for output in outputs(example):
        assert (folder / output).exists()
        if "--decibel" in example:
            with kapre_cli.open_features(folder / output) as features:
                assert (features.layer.decibel, features.layer.power) == (True, 2.0)
