"""Help: the usual options first, every option in its group, readable on any terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from kapre_cli.cli import program as command_line
from tests.pages import ROOT
from tests.test_shell import completed
from tests.test_structure import modules_after

ORDER = ["spectrogram", "melspectrogram", "info", "plot", "verify", "compare", "merge"]
EXTRACTING = ["spectrogram", "melspectrogram"]
FEW = ["info", "verify", "compare", "merge"]
GROUPS = ["Output", "Features", "Audio", "Inputs", "What may pass", "Running", "General"]
USUAL = (
    *("--output", "--overwrite", "--resume", "--n-dft", "--n-hop", "--power", "--decibel"),
    *("--sr", "--resample", "--channel"),
)
OF_MEL = ("--n-mels", "--fmin", "--fmax")


def names_of(command: str) -> set[str]:
    """Return the long names of a command's own options."""
    options = [
        one for one in command_line.commands[command].params if one.param_type_name != "argument"
    ]
    return {max(one.opts, key=len) for one in options}


def shown_in(text: str) -> list[str]:
    """Return the long name of each option below the first heading of a help text."""
    options = re.split(r"^\S.*:$", text, maxsplit=1, flags=re.M)[-1]
    lines = re.findall(r"^  (-.*)", options, re.M)
    return [re.findall(r"(?:^|, )(-[\w-]+)", line.partition("  ")[0])[-1] for line in lines]


def headings_of(text: str) -> list[str]:
    return re.findall(r"^(\S.*):$", text, re.M)


@pytest.mark.parametrize("name", ORDER)
def test_help_lists_every_option_once(name: str, program: Any) -> None:
    shown = shown_in(program(name, "--help").out)
    assert len(shown) == len(set(shown))
    assert {*shown} - {"-h", "--help"} == names_of(name)


@pytest.mark.parametrize("name", EXTRACTING)
def test_help_has_the_groups_in_the_order_of_use(name: str, program: Any) -> None:
    text = program(name, "--help").out
    assert headings_of(text) == GROUPS
    for group in re.split(r"^\S.*:$", text, flags=re.M)[1:]:
        is_usual = [option in (*USUAL, *OF_MEL) for option in shown_in(group)]
        assert is_usual == sorted(is_usual, reverse=True)


@pytest.mark.parametrize("name", EXTRACTING)
def test_the_short_help_has_the_usual_options_on_one_screen(
    name: str, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = program(name, "-h")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) < 80
    usual = {*USUAL, *(OF_MEL if name == "melspectrogram" else ())}
    assert {*shown_in(ended.out)} == usual
    assert len(shown_in(ended.out)) == len(usual)
    everything = shown_in(program(name, "--help").out)
    assert lines[-1] == f"--help shows all {len(everything)} options."
    (example,) = (line for line in lines if line.startswith(f"    kapre-extract {name} "))
    assert f"  {example.strip()}\n" in program(name, "--help").out


@pytest.mark.parametrize("name", FEW)
def test_a_command_of_few_options_shows_them_all_at_once(name: str, program: Any) -> None:
    shown = program(name, "-h")
    assert (shown.code, shown.err) == (0, "")
    assert shown == program(name, "--help")
    assert "-h, --help" in shown.out
    assert program("-h") == program("--help")


def test_commands_stand_in_the_order_of_work(program: Any) -> None:
    listed = program("--help").out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == ORDER
    assert [one.removeprefix("plain,") for one in completed("kapre-extract ")][:-1] == ORDER
    assert ", ".join(ORDER) in program("frobnicate").err


@pytest.mark.parametrize("name", ORDER)
def test_every_text_of_help_is_a_sentence(name: str) -> None:
    command = command_line.commands[name]
    ctx = click.Context(command, **command_line.context_settings)
    for option in command.get_params(ctx):
        if isinstance(option, click.Option):
            assert re.match(r"[A-Z].*\.$", option.help or ""), option.name
    assert re.match(r"[A-Z].*\.$", command.get_short_help_str(100))


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 300])
@pytest.mark.parametrize("arguments", [["--help"], ["melspectrogram", "--help"], ["plot", "-h"]])
def test_help_fits_the_terminal(
    arguments: list[str], columns: int, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = program(*arguments).out
    widest = min(max(columns, 32), 100)  # a command or a name is never broken
    written = re.compile(r".*(kapre-extract |[A-Z].*:$)|  -| *\S*$")  # examples, and names
    texts = [line for line in shown.splitlines() if not written.match(line)]
    assert max(map(len, texts)) < widest
    assert not re.search(r"^   .*[a-z]-$", shown, re.M)  # an option or a value, broken
    for line in texts:  # however long the names beside it are
        assert len(line) - len(line.lstrip()) <= widest / 2


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_that_cannot_be_printed_fails(option: str) -> None:
    ended = subprocess.run(
        f"'{sys.executable}' -m kapre_cli spectrogram {option} > /dev/full",
        shell=True, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        "kapre-extract: Error: 'standard output' cannot be written: No space left on device\n"
    )


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_does_not_wait_for_what_it_does_not_need(option: str) -> None:
    """These took a quarter of its time."""
    loaded = modules_after(
        f"from kapre_cli.cli import run\ntry:\n    run(['melspectrogram', '{option}'])\n"
        "except SystemExit:\n    pass"
    )
    assert "kapre_cli.cli" in loaded
    slow = {"kapre_cli.inputs", "hashlib", "tomllib", "tomli", "logging"}
    # The long help lists the formats of installed packages: importlib.metadata imports tempfile.
    assert not loaded & (slow if option == "--help" else slow | {"tempfile", "importlib.metadata"})


def test_help_lists_installed_extensions_if_there_are_any(tmp_path: Path, program: Any) -> None:
    assert "Installed extensions" not in program("--help").out
    folder = tmp_path / "kapre_of_a_test-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: kapre-of-a-test\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[kapre_cli.layers]\nBroken = no_such_module:Layer\n")
    ended = subprocess.run(
        [sys.executable, "-m", "kapre_cli", "--help"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    text = " ".join(ended.stdout.split())
    assert "Installed extensions: layer Broken. Not usable: the layer 'Broken'" in text
    assert "'kapre-of-a-test' cannot be imported: ModuleNotFoundError" in text


def test_an_error_points_to_the_short_help(program: Any) -> None:
    assert "Try 'kapre-extract spectrogram -h' for help." in program("spectrogram", "x.wav").err


def test_help_comes_before_errors(program: Any) -> None:
    for option in ("-h", "--help"):
        assert program("spectrogram", "--n-dft", "none", option).code == 0
