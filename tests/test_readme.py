"""The README is true: its blocks run, their output is real."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pages import PAGES, ROOT, Block, PageRuns, blocks_of, check, each_block_of, lines_of


@pytest.mark.parametrize(("page", "block"), each_block_of(ROOT / "README.md"))
def test_a_block_runs_and_prints_what_the_page_shows(
    page: Path, block: Block, page_runs: PageRuns
) -> None:
    check(block, page_runs[page])


def test_what_differs_between_environments_is_not_compared() -> None:
    shown = """'x.h5': one HDF5 file, 247.6 kB
  n_dft  2048
made with
    keras 3.15.1, numpy 2.4.6,
    soundfile 0.14.0

largest difference: 'a': 0.0312 (-65.7 against -65.75) at 1 s
7 inputs: 1.8 MB (1,816,064 bytes)
"""
    printed = shown.replace("247.6", "1,203").replace("2.4.6", "2.10.0rc1, extra 9")
    printed = printed.replace("0.0312", "0.0313")
    assert lines_of(shown) == lines_of(printed)
    for value, other in (("2048", "2049"), ("1.8 MB", "1.9 MB"), ("7 inputs", "8 inputs")):
        assert lines_of(shown) != lines_of(shown.replace(value, other))


def test_ci_runs_the_blocks_of_set_up_to_the_letter() -> None:
    """They make environments, from the package index: too long for a test."""
    first, second = (
        block
        for block in blocks_of(ROOT / "README.md")
        if block.code.startswith("python3 -m venv ")
    )
    assert first == blocks_of(ROOT / "README.md")[0]
    assert "\n. .venv/bin/activate" in first.code  # so that later blocks run as they are printed
    assert first.runnable == "kapre-extract melspectrogram sample_audio -o features.h5"
    assert ("pytest" in second.code, second.runnable) == (True, "")
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    for number, name in enumerate(("first", "second")):
        assert f'{name}=$(command_of README.md "python3 -m venv" {number})' in script
        assert f'-c "${name}"' in script


def test_the_lowest_versions_are_those_of_the_project() -> None:
    """Only that of Python is typed twice: uv takes the others from the project itself."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = re.search(r'^requires-python = ">=(.*)"$', project, re.M)
    (block,) = (one for page in PAGES for one in blocks_of(page) if "lowest-direct" in one.code)
    assert lowest is not None
    assert f"uv venv --clear --python {lowest[1]} " in block.code
    assert block.runnable == ""
    # CI runs it to the letter.
    pages = blocks_of(ROOT / "CONTRIBUTING.md")
    assert [one for one in pages if one.code.startswith("uv venv ")] == [block]
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert 'lowest=$(command_of CONTRIBUTING.md "uv venv" 0)' in script


def test_the_sample_recordings_are_those_the_script_makes(tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    script = ROOT / "docs/make_sample_audio.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, timeout=300)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert made == sorted(path.relative_to(ROOT) for path in sample_recordings())
    for name in made:
        ours, sr = soundfile.read(ROOT / name, dtype="float64")
        anew, sr_anew = soundfile.read(tmp_path / name, dtype="float64")
        assert sr == sr_anew
        # The last bit of a sine may differ from one mathematical library to the next.
        np.testing.assert_allclose(ours, anew, atol=2**-14)


def test_the_sample_recordings_are_few_and_small() -> None:
    sizes = [path.stat().st_size for path in sample_recordings()]
    assert 6 <= len(sizes) <= 10
    assert sum(sizes) <= 2_000_000


def test_the_sample_recordings_need_no_option(program: Any, tmp_path: Path) -> None:
    """Neither for a sample rate, nor for mel bands without a bin: nothing is warned of."""
    for command in ("spectrogram", "melspectrogram"):
        result = program(command, ROOT / "sample_audio", "-o", tmp_path / f"{command}.h5")
        assert (result.code, result.err.count("\n")) == (0, 1), result.err


def sample_recordings() -> list[Path]:
    """Return the paths of the recordings that come with the program."""
    folders = (ROOT / "sample_audio", ROOT / "sample_audio_other_rates")
    return [path for folder in folders for path in folder.rglob("*.*")]
