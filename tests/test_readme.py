"""The README is true: its commands run, its output is real, its option table is the program's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from kapre_cli.cli import program as command_line
from kapre_cli.cli.defaults import GENERAL

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL, PYTHON = "sh", "python"
FIRST, SECOND = 0, 1  # the two commands that set everything up
BIN = Path(sys.executable).parent
OTHER_PROGRAMS = ("ffmpeg", "flac", "sox")  # that a reader may not have
SOURCES = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
PATH = f"{BIN}:/usr/local/bin:/usr/bin:/bin"


def blocks(language: str) -> list[tuple[str, str | None]]:
    """Return each block of a language with the text block that follows it at once, if any."""
    found = re.findall(
        rf"^```{language}\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", README, re.M | re.S
    )
    return [(code.strip(), output.strip() if output else None) for code, output in found]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": PATH, "HOME": str(folder), **SOURCES},
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the sample recordings and what the first command writes."""
    made = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "sample_audio", made / "sample_audio")
    shutil.copytree(ROOT / "docs", made / "docs")
    command, expected = blocks(SHELL)[FIRST]
    extract = command.split("&&")[-1].replace(".venv/bin/", "")
    ended = run(extract, made)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.strip() == expected
    return made


@pytest.mark.parametrize(
    "command",
    [line for code, _ in blocks(SHELL)[SECOND + 1 :] for line in code.splitlines()],
)
def test_every_other_command_works(command: str, folder: Path) -> None:
    for other in OTHER_PROGRAMS:
        if re.search(rf"\b{other} ", command) and shutil.which(other, path=PATH) is None:
            pytest.skip(f"{other} is not installed")
    ended = run(command, folder)
    assert ended.returncode == 0, ended.stderr
    if re.search(r"kapre-extract (mel)?spectrogram", command):
        assert " failed" not in ended.stderr.replace(" 0 failed", "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [(code, text) for code, text in blocks(SHELL)[SECOND + 1 :] if text is not None],
)
def test_a_command_prints_what_the_readme_shows(command: str, expected: str, folder: Path) -> None:
    assert run(command, folder).stdout.strip() == expected


@pytest.mark.parametrize(
    ("code", "expected"), [block for block in blocks(SHELL)[SECOND + 1 :] if block[1] is not None]
)
def test_commands_print_what_the_readme_shows(code: str, expected: str, folder: Path) -> None:
    ended = run(code, folder)
    assert ended.returncode == 0, ended.stderr
    assert without_versions(ended.stdout) == without_versions(expected)


def without_versions(text: str) -> list[str]:
    """Return lines without what differs from one environment to the next.

    That is versions, sizes of files that tell them, and where the last bits are rounded most.
    """
    text = re.sub(r"(?<=^made with\n)(    .*\n)+", "", text, flags=re.M)
    text = re.sub(r"[\d.,]+ (bytes|kB|MB)", "SIZE", text)
    text = re.sub(r"^(largest .*?difference: ).*$", r"\1", text, flags=re.M)
    return [line.rstrip() for line in text.strip().splitlines()]


# Behind the commands: some read what those have written.
@pytest.mark.parametrize(("code", "expected"), blocks(PYTHON))
def test_python_prints_what_the_readme_shows(code: str, expected: str | None, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert expected is not None
    assert [line.rstrip() for line in ended.stdout.strip().splitlines()] == [
        line.rstrip() for line in expected.splitlines()
    ]


def test_the_first_command_sets_up_a_fresh_clone(tmp_path: Path) -> None:
    """The first command to the letter, package index and all."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to clone")
    index = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path, "click"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    if index.returncode != 0:
        pytest.skip("no package index can be reached: nothing can be installed")
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True, timeout=300)
    command, expected = blocks(SHELL)[FIRST]
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert expected is not None
    assert ended.stderr.strip().endswith(expected)
    assert (tmp_path / "clone/features.h5").exists()


def test_the_second_command_is_what_ci_runs() -> None:
    command, _ = blocks(SHELL)[SECOND]
    assert "pytest" in command
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "second=$(readme_command 1)" in script
    assert '-c "$second"' in script


def option_rows() -> Iterator[str]:
    """Yield the rows of the option table, from the options of the commands that extract."""
    mel: Any = command_line.commands["melspectrogram"]
    spectrogram: Any = command_line.commands["spectrogram"]
    twins = {option.name: option for option in spectrogram.params}
    for option, names, default, meaning in described_options(mel):
        twin = twins.get(option.name)
        if twin is None:
            meaning += " (mel only)"
        elif twin.default != option.default:
            default += f" (spectrogram: {twin.default})"
        yield f"| `{names}` | {default} | {meaning} |"


def described_options(command: Any) -> Iterator[tuple[click.Option, str, str, str]]:
    """Yield each option of a command with its names, its default and its meaning."""
    context = click.Context(command)
    for option in command.params:
        record = option.get_help_record(context)
        is_general = option.name in GENERAL  # these have a table of their own
        if isinstance(option, click.Option) and record is not None and not is_general:
            default = (option.get_help_extra(context).get("default") or "").strip("()")
            meaning = (option.help or "").replace("*", r"\*")
            yield option, record[0].replace("|", r"\|"), default, meaning


def section(command: str) -> str:
    """Return what stands under the heading of a command."""
    _, heading, rest = README.partition(f"\n### `kapre-extract {command}`\n")
    assert heading, f"the README has no section {heading!r} of its own for {command}"
    return re.split(r"^##", rest, maxsplit=1, flags=re.M)[0]


def test_the_option_table_is_the_programs() -> None:
    for row in option_rows():
        assert row in README.splitlines(), f"missing or out of date: {row}"
    others = "".join(map(section, OTHERS)) + general_section()
    assert README.count("\n| `-") - others.count("\n| `-") == len(list(option_rows()))


def general_section() -> str:
    """Return what is said of the options that every command has."""
    return README.partition("\n## In a shell\n")[2].partition("\n## ")[0]


def test_the_table_of_general_options_is_the_programs() -> None:
    rows = [line for line in general_section().splitlines() if line.startswith("| `-")]
    for command in command_line.commands.values():
        if not command.hidden:
            options = [one for one in command.params if one.name in GENERAL]
            records = [one.get_help_record(click.Context(command)) for one in options]
            assert rows == [f"| `{names}` | {text} |" for names, text in filter(None, records)]


OTHERS = [
    name
    for name, command in command_line.commands.items()
    if name not in ("spectrogram", "melspectrogram") and not command.hidden
]


@pytest.mark.parametrize("name", OTHERS)
def test_the_option_tables_of_other_commands_are_the_programs(name: str) -> None:
    rows = [
        f"| `{names}` | {default} | {meaning} |"
        for _, names, default, meaning in described_options(command_line.commands[name])
    ]
    lines = section(name).splitlines()
    for row in rows:
        assert row in lines, f"missing or out of date: {row}"
    assert len([line for line in lines if line.startswith("| `-")]) == len(rows)


def test_every_command_is_in_the_readme() -> None:
    for name, command in command_line.commands.items():
        assert f"`{name}`" in README or f"kapre-extract {name}" in README
        assert command.hidden or command.help


def test_the_sample_recordings_are_those_the_script_makes(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    script = ROOT / "docs/make_sample_audio.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, timeout=300)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    samples = ROOT / "sample_audio"
    assert made == sorted(path.relative_to(samples) for path in samples.rglob("*.*"))
    for name in made:
        ours, sr = soundfile.read(samples / name, dtype="float64")
        anew, sr_anew = soundfile.read(tmp_path / name, dtype="float64")
        assert sr == sr_anew
        # The last bit of a sine may differ from one mathematical library to the next.
        np.testing.assert_allclose(ours, anew, atol=2**-14)


def test_the_sample_recordings_are_few_and_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "sample_audio").rglob("*.*")]
    assert 6 <= len(sizes) <= 10
    assert sum(sizes) <= 2_000_000
