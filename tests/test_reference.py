"""The pages of reference have every option, exit code and field of the program."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kapre_cli.cli import program as command_line
from kapre_cli.cli.config import CONFIG_OPTIONS
from kapre_cli.exit_codes import ExitCode
from tests.pages import ROOT

REFERENCE = ROOT / "docs/reference"


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """Return what is set as code in the first column of the tables of a page."""
    cells = re.findall(r"^\| (`.*?) \| ", text, re.M)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def make(docs: Path, *arguments: str) -> tuple[int, str]:
    """Run the script that writes the page of the command line, in a copy of the documentation."""
    command: Sequence[Any] = (sys.executable, docs / "make_reference.py", *arguments)
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stderr


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert make(ROOT / "docs", "--check") == (0, "")


def test_a_page_out_of_date_is_noticed_and_mended(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    shutil.copy(ROOT / "docs/make_reference.py", tmp_path)
    made = tmp_path / "reference/command-line.md"
    for old, new in (("| 512 |", "| 256 |"), ("\n## kapre-extract merge\n", "\n")):
        made.write_text(page("command-line").replace(old, new), encoding="utf-8")
        code, told = make(tmp_path, "--check")
        assert (code, "is out of date: run python docs/make_reference.py" in told) == (1, True)
        assert made.read_text(encoding="utf-8") != page("command-line")
        assert make(tmp_path) == (0, "")
        assert made.read_text(encoding="utf-8") == page("command-line")


def test_notes_are_kept_and_none_is_lost(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    shutil.copy(ROOT / "docs/make_reference.py", tmp_path)
    made = tmp_path / "reference/command-line.md"
    note = "\n<!-- notes: {} -->\n\nA *note*\nof mine.\n\n<!-- end of notes -->\n"
    made.write_text(note.format("kapre-extract info"), encoding="utf-8")
    assert make(tmp_path) == (0, "")
    after = made.read_text(encoding="utf-8").partition("\n## kapre-extract info\n")[2]
    assert note.format("kapre-extract info") in after.partition("\n## ")[0]
    made.write_text(note.format("kapre-extract inf"), encoding="utf-8")
    code, told = make(tmp_path)
    assert (code, "has notes of no section: kapre-extract inf\n" in told) == (1, True)
    assert "A *note*" in made.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", command_line.commands)
def test_a_section_has_the_options_of_its_command(name: str) -> None:
    section = page("command-line").partition(f"\n## kapre-extract {name}\n")[2]
    shown = first_cells(section.partition("\n## ")[0])
    options = [one for one in command_line.commands[name].params if one.opts[0].startswith("-")]
    own = [one for one in options if one not in CONFIG_OPTIONS]
    assert len(shown) == len(own)
    for option in own:
        written = ", ".join(option.opts)
        assert any(re.match(rf"{re.escape(written)}(?![\w-])", one) for one in shown), written
    general = page("command-line").partition("\n## Options of every command\n")[2]
    assert first_cells(general)[:2] == ["--config PATH", "--show-config"]
    assert page("command-line").count("| `--config PATH` |") == 1


def test_every_exit_code_is_described() -> None:
    cells = re.findall(r"^\| ([\d, ]+)", page("exit-codes"), re.M)
    described = {int(code) for cell in cells for code in re.findall(r"\d+", cell)}
    assert described >= {*ExitCode}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reference")


def test_every_field_of_a_report_is_described(program: Any, folder: Path) -> None:
    report = folder / "r.jsonl"
    recording = ROOT / "sample_audio/bird.flac"
    output = folder / "x.h5"
    assert program("spectrogram", recording, "-o", output, "--report", report).code == 0
    _, one, totals = map(json.loads, report.read_text(encoding="utf-8").splitlines())
    text = page("report").partition("\n## `info --json`\n")[0]
    of_input, of_totals = text.partition("\nThe last line:\n")[::2]
    assert sorted(first_cells(of_input)) == sorted(one)
    assert sorted(first_cells(of_totals)) == sorted(totals)


def test_every_name_of_info_is_described(program: Any, folder: Path) -> None:
    recording = ROOT / "sample_audio/click.wav"
    output = folder / "y.h5"
    assert program("spectrogram", recording, "-o", output).code == 0
    text = page("report").partition("\n## `info --json`\n")[2]
    of_output, of_recording = text.partition("\nOf a recording: ")[::2]
    told = json.loads(program("info", output, "--json").out)
    assert sorted(first_cells(of_output)) == sorted(told)
    told = json.loads(program("info", recording, "--json").out)
    assert sorted({*re.findall(r"`(\w+)`", of_recording)} - {"null"}) == sorted(told)
