"""At home in a shell: quiet and verbose, completion, and no escape sequence from a name."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kapre_cli.text import printable
from tests import reference
from tests.conftest import PROGRAM, write_audio
from tests.pages import ROOT
from tests.test_structure import HEAVY, modules_after
from tests.test_terminal import shown_by

BIN = Path(sys.executable).parent
COMPLETE = "_KAPRE_EXTRACT_COMPLETE"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_audio(tmp_path / "in/a.wav", reference.noise(1, 3000))
    write_audio(tmp_path / "in/b.flac", reference.noise(2, 5000))
    (tmp_path / "in/notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Quiet and verbose


def test_quiet_says_nothing_of_what_goes_well(folder: Path, process: Any, program: Any) -> None:
    for _ in ("new", "up to date"):
        ended = process("spectrogram", "in", "-o", "out.h5", "-q", "--resume", cwd=folder)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = program("plot", "out.h5", "-o", "p.png", "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_quiet_says_what_needs_attention(folder: Path, program: Any) -> None:
    assert folder
    many = ["--n-dft", 100, "--n-mels", 60, "-q"]
    ended = program("melspectrogram", "in", "gone.wav", "-o", "out.h5", *many)
    assert ended.code == 1
    warning, failed = ended.err.splitlines()
    assert failed.startswith("failed: 'gone.wav': ")
    assert warning.startswith("warning: 2 of 60 mel bands are empty")
    ended = program("melspectrogram", "in", "-o", "out.h5", *many)
    assert ended.code == 2
    assert "exists; --resume brings it up to date" in ended.err


def test_quiet_has_no_bar(folder: Path) -> None:
    command = [*PROGRAM, "spectrogram", "in", "-o", "out.h5", "--quiet"]
    assert shown_by(command, folder) == (0, "")


def test_verbose_says_what_is_at_work_and_what_is_done(folder: Path, program: Any) -> None:
    assert folder
    ended = program("melspectrogram", "in", "-o", "out.h5", "--n-mels", 20, "-v")
    assert (ended.code, ended.out) == (0, "")
    note, versions, *done, summary = ended.err.splitlines()
    assert note.startswith("note: 'in': skipped 1 file")
    assert re.match(r"kapre-extract [\d.]+, .*numpy \d", versions)
    assert sorted(done) == [
        "done: 'a.wav': mel 20, time 12, channel 1; 0.4 s",
        "done: 'b.flac': mel 20, time 20, channel 2; 0.6 s",
    ]
    assert summary == "2 inputs: 2 written, 0 failed (1.0 s of audio) -> 'out.h5'"
    ended = program("melspectrogram", "in", "-o", "out.h5", "--n-mels", 20, "-v", "--resume")
    assert "kept: 'a.wav': mel 20, time 12, channel 1; 0.4 s" in ended.err.splitlines()


def test_quiet_and_verbose_are_opposites(folder: Path, program: Any) -> None:
    assert folder
    ended = program("spectrogram", "in", "-o", "out.h5", "-qv")
    assert ended.code == 2
    assert "--quiet and --verbose ask for opposites" in ended.err


# Escape sequences


def test_a_terminal_sees_no_colour(folder: Path) -> None:
    command = [*PROGRAM, "spectrogram", "in", "gone.wav", "-o", "out.h5", "-v"]
    code, shown = shown_by(command, folder)
    assert code == 1
    assert "2 written, 1 failed" in shown
    # The bar goes to the start of its line, and away again by spaces: no sequence at all.
    assert "\x1b" not in shown
    assert "\r" in shown
    for words in (["--help"], ["spectrogram", "--help"], ["spectrogram", "--n-hop", "0"]):
        _, shown = shown_by([*PROGRAM, *words], folder)
        assert "Usage: " in shown
        assert "\x1b" not in shown


RED = "\x1b[31mred\x07\x9b"
HOSTILE = [
    ["spectrogram", f"--{RED}", "in"],
    ["spectrogram", f"-{RED}", "in"],
    [RED],
    [f"--{RED}"],
    ["spectrogram", "in", "-o", "o.h5", "--padding", RED],
    ["spectrogram", "in", "-o", "o.h5", "--n-dft", RED],
    ["spectrogram", "in", "-o", "o.h5", f"--decibel={RED}"],
    ["spectrogram", "in", "-o", "o.h5", f"--resume={RED}"],
    ["spectrogram", "in", "-o", "o.h5", "--root", RED],
    ["spectrogram", "in", "-o", f"{RED}/o.h5"],
    ["spectrogram", RED, "-o", "o.h5"],
    ["melspectrogram", "in", "-o", "o.h5", "--norm", RED],
    ["melspectrogram", "in", "-o", "o.h5", "--config", RED],
    ["melspectrogram", "in", "-o", "o.h5", "--like", RED],
    ["plot", RED, "-o", "p.png"],
    ["plot", "in/a.wav", "-o", RED],
    ["plot", "in/a.wav", RED, "-o", "p.png"],
    ["plot", "in/a.wav", "-o", "p.png", "--time", RED],
]


@pytest.mark.parametrize("arguments", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_reaches_the_terminal_raw(arguments: list[str], folder: Path, program: Any) -> None:
    assert folder
    ended = program(*arguments)
    assert ended.code in (1, 2)
    assert (ended.out + ended.err).replace("\n", "").isprintable()


def test_messages_are_made_safe_whatever_is_in_them() -> None:
    assert printable("a\x1b[31m\x07\r\x85\u202eb\n\udce9é鳥") == (
        "a\\x1b[31m\\x07\\r\\x85\\u202eb\n\\udce9é鳥"
    )


# Completion


def completed(words: str, *, by: str = "bash") -> list[str]:
    """Return what the program answers to a shell that asks how the last of ``words`` goes on."""
    asked = {COMPLETE: f"{by}_complete", "COMP_WORDS": words}
    if by == "bash":
        asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    else:
        asked["COMP_CWORD"] = words.split(" ")[-1] if by == "fish" else "1"
    ended = subprocess.run(
        [BIN / "kapre-extract"], env={**os.environ, **asked}, capture_output=True, text=True,
        check=True,
    timeout=300)  # fmt: skip
    assert ended.stderr == ""
    return ended.stdout.split("\n")


def test_commands_options_and_values_are_completed() -> None:
    assert completed("kapre-extract mel") == ["plain,melspectrogram", ""]
    assert "plain,--n-mels" in completed("kapre-extract melspectrogram --n-")
    assert completed("kapre-extract spectrogram --padding v") == ["plain,valid", ""]
    assert completed("kapre-extract spectrogram in") == ["file,in", ""]
    assert "melspectrogram" in " ".join(completed("kapre-extract mel", by="fish"))
    assert "melspectrogram" in completed("kapre-extract mel", by="zsh")


def test_completion_imports_nothing_heavy() -> None:
    output = ROOT / "docs/sample_features.h5"
    asked = {COMPLETE: "bash_complete", "COMP_CWORD": "4",
             "COMP_WORDS": f"kapre-extract melspectrogram --like {output} --n"}  # fmt: skip
    code = f"""
import os
from contextlib import redirect_stdout, suppress
from io import BytesIO, TextIOWrapper
os.environ.update({asked!r})
from kapre_cli.cli import run
told = TextIOWrapper(BytesIO())
with redirect_stdout(told), suppress(SystemExit):
    run([])
assert b"--n-mels" in told.buffer.getvalue()"""
    assert not HEAVY & modules_after(code)


ASK = {  # what a person would have put into the file that the shell reads at its start
    "bash": """
eval "$(_KAPRE_EXTRACT_COMPLETE=bash_source kapre-extract)"
complete -p kapre-extract >&2
COMP_WORDS=(kapre-extract spectrogram --padd) COMP_CWORD=2
_kapre_extract_completion kapre-extract
echo "${COMPREPLY[@]}"
""",
    "zsh": """
autoload -Uz compinit && compinit -u
eval "$(_KAPRE_EXTRACT_COMPLETE=zsh_source kapre-extract)"
(( $+functions[_kapre_extract_completion] )) && print -- --padding
""",
    "fish": """
_KAPRE_EXTRACT_COMPLETE=fish_source kapre-extract | source
complete -C "kapre-extract spectrogram --padd"
""",
}


@pytest.mark.parametrize("shell", ASK)
def test_a_real_shell_completes(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    ended = subprocess.run(
        [shell, "-c", ASK[shell]],
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert "--padding" in ended.stdout
