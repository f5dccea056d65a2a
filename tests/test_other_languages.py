"""The blocks of R and MATLAB in the guide are run, where R and Octave are installed."""

import shutil
import subprocess

import pytest

from tests.pages import PATH, ROOT, PageRuns, blocks_of, check

PAGE = ROOT / "docs/guides/r-and-matlab.md"
OCTAVE = "pkg load netcdf; h5read = @ncread; h5readatt = @ncreadatt;"  # as the page says
LACKING = ("there is no package called", "package netcdf is not installed")


@pytest.mark.parametrize(
    ("language", "command", "before"),
    [
        ("r", ("Rscript", "-"), ""),
        ("matlab", ("octave-cli", "--no-window-system", "--norc"), OCTAVE),
    ],
)
def test_blocks_print_what_the_page_shows(
    language: str, command: tuple[str, ...], before: str, page_runs: PageRuns
) -> None:
    if shutil.which(command[0], path=PATH) is None:
        pytest.skip(f"{command[0]} is not installed")
    blocks = blocks_of(PAGE, [language])
    assert len(blocks) >= 5
    assert before in PAGE.read_text(encoding="utf-8")
    for block in blocks_of(PAGE):  # which write what is read here
        check(block, page_runs[PAGE])
    folder = page_runs[PAGE].folder
    ended = subprocess.run(
        command,
        input="\n".join([before, *(block.code for block in blocks)]),
        cwd=folder,
        env={"PATH": PATH, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for line in ended.stderr.splitlines():
        if any(reason in line for reason in LACKING):
            pytest.skip(line)
    assert ended.returncode == 0, ended.stderr
    shown = [line for block in blocks for line in (block.shown or "").splitlines()]
    assert words(ended.stdout.splitlines()) == words(shown)


def words(lines: list[str]) -> list[list[str]]:
    """Return the words of lines: how they are spaced is each program's own business."""
    return [line.split() for line in lines if line.strip()]
