"""The examples in help texts run as printed, one after another, on the sample recordings."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import kapre_cli
from kapre_cli.cli import program as command_line
from kapre_cli.cli.command import examples
from tests.conftest import Ended
from tests.pages import OTHER_PROGRAMS, ROOT

COMMANDS: dict[str, click.Command] = {"": command_line, **command_line.commands}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
FIRST = examples(command_line)[0].code


def lines() -> list[str]:
    """Return the commands of all examples in the order in which help shows them, each once."""
    found = [one.code for command in command_line.commands.values() for one in examples(command)]
    return [*dict.fromkeys(line for code in found for line in code.splitlines())]


def outputs(line: str) -> list[str]:
    """Return what a command writes."""
    words = shlex.split(line)
    return [words[number + 1] for number, word in enumerate(words) if word == "-o"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    shutil.copytree(ROOT / "sample_audio", folder / "sample_audio")
    return folder


def test_every_command_has_an_example_and_the_program_one_of_them() -> None:
    for name, command in COMMANDS.items():
        assert examples(command), name
        for sentence, code in examples(command):
            assert re.match("[A-Z].*:$", sentence)
            assert any(
                line.split("kapre-extract ")[-1].startswith(name) for line in code.split("\n")
            )
    assert FIRST in lines()


def test_examples_run_as_printed(
    folder: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for line in lines():
        missing = [one for one in OTHER_PROGRAMS if f"{one} " in line and not shutil.which(one)]
        if not missing:
            check(line, run(line, program))


def run(line: str, program: Any) -> Ended:
    """Run a command; one that is the program alone inside this process, which is quick."""
    if line.startswith("kapre-extract ") and not re.search("[|*]", line):
        ended: Ended = program(*shlex.split(line)[1:])
        return ended
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(shell.returncode, shell.stdout, shell.stderr)


def check(line: str, ended: Ended) -> None:
    assert ended.code == 0, (line, ended.err)
    assert "failed" not in ended.err.replace(" 0 failed", "")
    assert "half of the usual decibels" not in ended.err
    assert "warning" not in ended.err
    for output in outputs(line):
        assert Path(output).exists()
        if "--decibel" in line:
            with kapre_cli.open_features(output) as features:
                assert (features.layer.decibel, features.layer.power) == (True, 2.0)
