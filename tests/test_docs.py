"""The documentation is true: blocks run, links lead somewhere, every public name is described."""

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

import kapre_cli
from tests.pages import (
    DOCS,
    MARKDOWN,
    PAGES,
    ROOT,
    Block,
    PageRuns,
    blocks_of,
    check,
    each_block_of,
    name_of,
)

MAN_PAGE = ROOT / "docs/man/kapre-extract.1"
MAKE_MAN_PAGE = "sphinx-build -q -b man -d docs/_build/doctrees docs docs/man"


@pytest.mark.parametrize(("page", "block"), each_block_of(*DOCS))
def test_a_block_runs_and_prints_what_the_page_shows(
    page: Path, block: Block, page_runs: PageRuns
) -> None:
    check(block, page_runs[page])


def links_of(page: Path) -> Iterator[str]:
    """Yield where the links and pictures of a page lead to."""
    for block in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        for token in (block, *(block.children or ())):
            if token.type in ("html_inline", "html_block"):
                yield from re.findall(r"""\b(?:href|src|srcset)=["']([^"']*)""", token.content)
            elif token.type in ("link_open", "image"):
                yield str(token.attrs.get("href") or token.attrs.get("src"))


@cache
def anchors_of(page: Path) -> set[str]:
    """Return the anchors that code hosts, and the site, make of the headings of a page."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    anchors: set[str] = set()
    for heading, inline in itertools.pairwise(tokens):
        if heading.type == "heading_open":
            parts = inline.children or ()
            text = "".join(part.content for part in parts if part.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = 0
            while (anchor := f"{name}-{number}" if number else name) in anchors:
                number += 1
            anchors.add(anchor)
    return anchors


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        assert not path.startswith("/"), f"{link}: a site and a code host have other roots"
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), f"{link}: {sorted(anchors_of(target))}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_one_title_and_it_comes_first(page: Path) -> None:
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    assert [token.type for token in tokens if token.tag == "h1"] == [
        "heading_open",
        "heading_close",
    ]
    assert tokens[0].tag == "h1"


def test_pages_can_be_followed_one_after_another_in_one_folder() -> None:
    """No page writes what another one has written, nor into the recordings that all read."""
    written: dict[str, str] = {}
    for page in PAGES:
        if page.name == "command-line.md":  # the examples of --help, each by itself
            continue
        code = "\n".join(block.code for block in blocks_of(page) if block.language == "sh")
        names = re.findall(r"(?:-o|--report|mkdir(?: -p)?|cp .*|>) '?([\w./-]*\w)", code)
        for name in {name.partition("/")[0] for name in names}:
            assert written.setdefault(name, name_of(page)) == name_of(page), name
    assert not {"sample_audio", "sample_audio_other_rates", "docs"} & {*written}


def texts_of_the_program() -> str:
    """Return all texts in the package, line by line, with NUL for what is filled in."""
    found = []
    for path in (ROOT / "kapre_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            values = [part.value if isinstance(part, ast.Constant) else "\0" for part in parts]
            found.append("".join(value for value in values if isinstance(value, str)))
    return "\n".join(found)


def test_questions_are_messages_of_the_program() -> None:
    page = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    messages = [
        message
        for line in re.findall(r"^\*\*`.*\*\*$", page, re.M)
        for message in re.findall("`(.*?)`", line)
        if "command not found" not in message  # a shell's
    ]
    assert len(messages) > 10
    texts = texts_of_the_program()
    for message in messages:
        parts = re.split(r"\.\.\.| are |'.*?'|(?<!\w)[\d,.]+(?= )", message)
        for part in (part.strip().removeprefix("is ") for part in parts):
            assert part in texts, f"{part!r} of {message!r}"


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/python-api.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. auto\w+:: \S*?(\w+)(?:\(\))?$", page, re.M)
    assert set(kapre_cli.__all__) - {"__version__"} <= set(documented)


def test_the_man_page_is_the_one_that_sphinx_makes(tmp_path: Path) -> None:
    """Only the words: which macros stand between them depends on the version of docutils."""
    options = {
        "include_patterns": "reference/command-line.md",
        "root_doc": "reference/command-line",
    }
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-b", "man", *definitions]
    made = subprocess.run([*sphinx, ROOT / "docs", tmp_path], capture_output=True, timeout=120)
    assert made.returncode == 0, made.stderr.decode()
    page = (tmp_path / "kapre-extract.1").read_text(encoding="utf-8")
    assert words(MAN_PAGE.read_text(encoding="utf-8")) == words(page), (
        f"out of date: run {MAKE_MAN_PAGE}"
    )


def words(roff: str) -> list[str]:
    """Return the words of a man page, without its comments, macros and fonts."""
    text = re.sub(r"^['.]\\\".*|^\.TH .*|^\.[A-Za-z]+ ?", "", roff, flags=re.M)
    text = re.sub(r"\\f(?:\[\w*\]|\(..|.)", "", text)
    return re.findall(r"\w+", text.casefold())
