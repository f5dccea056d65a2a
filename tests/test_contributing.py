"""CONTRIBUTING.md is true: every module, function and command on it exists."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from markdown_it.token import Token
from packaging.requirements import Requirement

from tests.pages import MARKDOWN, ROOT, blocks_of
from tests.test_structure import ROOMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = ROOT / "CONTRIBUTING.md"
PATHS = re.compile(r"[\w./-]*(?:/[\w./-]*|\.(?:py|md|toml|yml|lock))")
NAMES = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\(\))?")

# Words that are no names of this package.
EXAMPLES = {"OUTPUT.partial", "flac", "n_x", "is_x", "has_x", "check_x", "x_of", "python3"}


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def code_of(inline: Token) -> list[str]:
    return [one.content for one in inline.children or () if one.type == "code_inline"]


def units() -> Iterator[tuple[int, list[str]]]:
    """Yield the code words of each paragraph, and of each row of a table, with its line."""
    row: list[str] | None = None
    for token in MARKDOWN.parse(text()):
        if token.type == "tr_open":
            row, line = [], token.map[0] + 1 if token.map else 0
        elif token.type == "tr_close" and row is not None:
            yield line, row
            row = None
        elif token.type == "inline" and row is not None:
            row += code_of(token)
        elif token.type == "inline":
            yield token.map[0] + 1 if token.map else 0, code_of(token)


def rows_of(heading: str) -> list[list[Token]]:
    """Return the cells of each row, but the first, of the table below a heading."""
    tokens = iter(MARKDOWN.parse(text()))
    for token in tokens:
        if token.type == "inline" and token.content == heading:
            break
    rows: list[list[Token]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token)
    return rows[1:]


@cache
def names_in(path: Path) -> set[str]:
    """Return the classes, functions, constants, attributes and arguments of a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def missing_names(words: list[str]) -> Iterator[str]:
    """Yield what is wrong with the code words of a paragraph or a row.

    Names that stand beside modules are defined in one of these, other names anywhere.
    """
    named = [ROOT / word for word in words if word.endswith(".py") and (ROOT / word).is_file()]
    modules = named or sorted((ROOT / "kapre_cli").rglob("*.py"))
    for word in words:
        if PATHS.fullmatch(word):
            if not (ROOT / word).exists():
                yield f"there is no {word}"
        elif NAMES.fullmatch(word) and word not in EXAMPLES | {*ROOMS}:
            first, *attributes = word.removesuffix("()").split(".")
            if first == "kapre_cli":
                if not resolves([first, *attributes]):
                    yield f"{word} cannot be imported"
                continue
            places = ", ".join(str(one.relative_to(ROOT)) for one in named) or "kapre_cli"
            for name in (first, *attributes):
                if not any(name in names_in(module) for module in modules):
                    yield f"{name} is not defined in {places}"


def resolves(parts: list[str]) -> bool:
    for n_parts in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n_parts]))
        except ModuleNotFoundError:
            continue
        for name in parts[n_parts:]:
            found = getattr(found, name, None)  # type: ignore[assignment]
        return found is not None
    return False


def test_every_path_and_name_exists() -> None:
    wrong = [f"line {line}: {one}" for line, words in units() for one in missing_names(words)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("words", "n_missing"),
    [
        (["Framing", "kapre_cli/framing.py"], 0),
        (["Framing", "kapre_cli/text.py"], 1),
        (["kapre_cli/nowhere.py", "nothing_has_this_name"], 2),
        (["kapre_cli.open_features", "kapre_cli.formats.nothing", "n_dft", "--engine keras"], 1),
    ],
)
def test_a_name_that_is_gone_is_found(words: list[str], n_missing: int) -> None:
    assert len(list(missing_names(words))) == n_missing


def test_the_map_has_every_room_in_order() -> None:
    rooms = [word for first, _ in rows_of("The map") for word in code_of(first)]
    assert rooms == [*ROOMS]


def test_the_map_says_what_each_room_is_for() -> None:
    for _, meaning in rows_of("The map"):
        assert 10 < len(meaning.content) < 100


def test_each_of_ten_questions_is_answered_by_at_most_three_files() -> None:
    questions = rows_of("Ten questions")
    assert len(questions) == 10
    for question, answer in questions:
        files = {word for word in code_of(answer) if PATHS.fullmatch(word)}
        assert question.content.endswith("?")
        assert 1 <= len(files) <= 3, question.content


def commands() -> list[list[str]]:
    """Return the words of every command: those of shell blocks, and of the table of commands."""
    shown = [line for block in blocks_of(PAGE) for line in block.code.split("\n")]
    shown = [part for line in shown for part in line.split(" && ")]
    shown += [word for row in rows_of("All commands") for cell in row for word in code_of(cell)]
    shown += [word for _, words in units() for word in words if " " in word]
    programs = ("bash", "pip", "pre-commit", "python", "sphinx-build", "uv")
    found = [shlex.split(one) for one in shown if one.split()[0].rpartition("/")[2] in programs]
    assert len(found) > 15
    return found


def test_commands_name_scripts_modules_options_and_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    for command in commands():
        for word in command[1:]:
            if PATHS.fullmatch(word) and not word.startswith((".venv", "docs/_build")):
                assert (ROOT / word).exists(), command
            if word.startswith(".["):
                assert Requirement(f"x{word[1:]}").extras <= {*extras}, command
        if "-m" in command[:2] and command[2].startswith("tests."):
            path = ROOT / command[2].replace(".", "/")
            module = path.with_suffix(".py") if not path.is_dir() else path / "__main__.py"
            source = module.read_text(encoding="utf-8")
            for option in (word for word in command[3:] if word.startswith("--")):
                assert f'"{option}"' in source, command


@pytest.mark.parametrize("module", ["tests.stress", "tests.benchmarks.peers"])
def test_stress_and_benchmarks_can_be_started(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout[:6]) == (0, "usage:"), ended.stderr


def test_the_set_up_is_that_of_the_readme() -> None:
    readme = [block.code for block in blocks_of(ROOT / "README.md") if "venv-test" in block.code]
    first = blocks_of(PAGE)[0].code
    assert first.split("\n")[:2] == readme[0].split("\n")[:2]
