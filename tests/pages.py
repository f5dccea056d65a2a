"""Markdown pages whose blocks are run: each once, in their order, in one folder for a page.

A block of ``sh`` or ``python`` is run. A block of ``text`` right behind it shows what it prints.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.warm import Nursery

ROOT = Path(__file__).parents[1]
DOCS = tuple(
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "_build" not in page.relative_to(ROOT).parts
)
PAGES = (*sorted(ROOT.glob("*.md")), *DOCS)
SHOWN_FILES = ("sample_audio", "sample_audio_other_rates", "docs", "examples")  # that blocks read

LIMIT = 300  # seconds: no block takes a tenth of it
OTHER_PROGRAMS = ("ffmpeg", "flac", "sox")  # that a reader may not have
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"

MARKDOWN = MarkdownIt("commonmark").enable("table")

# What makes an environment, in a block that begins with that: the tests have one.
_SET_UP = re.compile(
    r"^(?:python3 -m venv|(?:\.|source) \S+/activate|(?:\S+/)?pip install)\b.*\n?", re.M
)
_ENVIRONMENT = ".venv/bin/"

# What differs from one environment to the next: versions, the size of a file that holds them, and
# values where results are rounded most.
_VARYING = (
    re.compile(r"(?<=^made with\n)(?:    .*\n)+", re.M),
    re.compile(r"(?<=one HDF5 file, )[\d.,]+ \w+"),
    re.compile(r"(?<=^largest difference: ).*", re.M),
    re.compile(r"(?<=^largest relative difference: ).*", re.M),
)


@dataclass(frozen=True)
class Block:
    """A block that is run.

    Attributes:
        name: The page and the line on which the block begins.
        language: That of its code, such as ``sh``.
        code: All of it.
        shown: What the page shows as its output; ``None`` if it shows nothing.
    """

    name: str
    language: str
    code: str
    shown: str | None

    @property
    def runnable(self) -> str:
        """The code without the environment that it makes: the tests have one.

        The suite, which such a block may run, is left out as well: ``.ci/run`` runs those blocks
        to the letter.
        """
        if self.language != "sh":
            return self.code
        code = self.code
        if code.startswith("python3 -m venv "):
            code = _SET_UP.sub("", code).replace(_ENVIRONMENT, "").strip()
        return "" if "pytest" in code else code

    @property
    def missing_program(self) -> str | None:
        """A program that the block calls and that this machine lacks."""
        if self.language == "sh":
            for program in OTHER_PROGRAMS:
                if re.search(rf"\b{program} ", self.code) and not shutil.which(program, path=PATH):
                    return program
        return None


def name_of(page: Path) -> str:
    """Return how a page is named in the tests: its path below the project."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path, languages: Collection[str] = ("sh", "python")) -> list[Block]:
    """Return the blocks of a page, in order, those that only set up an environment included."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    blocks = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "fence" and token.info.strip() in languages:
            assert token.map is not None
            is_shown = following is not None and following.info.strip() == "text"
            blocks.append(
                Block(
                    f"{name_of(page)}:{token.map[0] + 1}",
                    token.info.strip(),
                    token.content.strip(),
                    following.content if following is not None and is_shown else None,
                )
            )
    return blocks


@dataclass(frozen=True)
class Ended:
    """How a block ended: ``output`` is what it printed, a shell's messages included."""

    code: int
    output: str
    errors: str


class PageRun:
    """Runs the blocks of one page, in order and each once, as far as they are asked for.

    A block may read what an earlier one has written, so all before it are run first. A block that
    needs a missing program is not run.

    Args:
        page: The page.
        folder: Where its blocks are run.
        warm: Starts Python with Keras imported, which most blocks would wait for.
    """

    def __init__(self, page: Path, folder: Path, warm: Nursery) -> None:
        self.folder = folder
        self._warm = warm
        self._blocks = iter([block for block in blocks_of(page) if block.runnable])
        self._ended: dict[Block, Ended] = {}
        for name in SHOWN_FILES:
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("_build", "__pycache__")
            )

    def ended(self, block: Block) -> Ended:
        """Return how a block ended, once it and all before it have been run."""
        while block not in self._ended:
            following = next(self._blocks)
            if following.missing_program is None:
                self._ended[following] = _run(following, self.folder, self._warm)
        return self._ended[block]


class PageRuns:
    """Gives each page that is asked for a folder of its own and a run of its blocks."""

    def __init__(self, folders: pytest.TempPathFactory, warm: Nursery) -> None:
        self._folders = folders
        self._warm = warm
        self._runs: dict[Path, PageRun] = {}

    def __getitem__(self, page: Path) -> PageRun:
        if page not in self._runs:
            self._runs[page] = PageRun(page, self._folders.mktemp(page.stem), self._warm)
        return self._runs[page]


def each_block_of(*pages: Path) -> list[object]:
    """Return the blocks that are run, each with its page, as the parameters of a test."""
    return [
        pytest.param(page, block, id=block.name)
        for page in pages
        for block in blocks_of(page)
        if block.runnable
    ]


def check(block: Block, runs: PageRun) -> None:
    """Fail unless a block runs and prints what its page shows; skip it without its programs."""
    if block.missing_program is not None:
        pytest.skip(f"{block.missing_program} is not installed")
    ended = runs.ended(block)
    assert ended.code == 0, ended.errors
    if block.shown is not None:
        assert lines_of(ended.output) == lines_of(block.shown)
    elif block.language == "python":
        assert ended.output == "", "the page does not show what this block prints"


def _run(block: Block, folder: Path, warm: Nursery) -> Ended:
    sources = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    environment = {"PATH": PATH, "HOME": str(folder), **sources}
    if block.language == "python":
        run = warm.start(code=block.runnable, cwd=folder, environment=environment)
        try:
            out, err = (text.decode() for text in run.communicate(timeout=LIMIT))
        finally:
            run.kill()
        assert run.returncode is not None
        # What libraries say on standard error is no part of a page.
        return Ended(run.returncode, out, err or out)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.runnable],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # a terminal shows both
        text=True,
        env=environment,
        check=False,
        timeout=LIMIT,
    )
    return Ended(ended.returncode, ended.stdout, ended.stdout)


def lines_of(text: str) -> list[str]:
    """Return the lines of an output without what differs from one environment to the next."""
    for varying in _VARYING:
        text = varying.sub("...", text)
    return [line.rstrip() for line in text.strip().splitlines()]
