"""Names that a file system takes for one another, on a real one that does."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli.errors import UsageError
from kapre_cli.outputs.validation import check_collisions
from tests.conftest import files_below, write_audio

# Commands that make an image and mount it, tried in order. The second needs ntfs-3g and FUSE.
FOLDING = (
    ("mkfs.vfat {image}", "mount -o loop {image} {place}"),
    ("mkntfs -F -Q {image}", "lowntfs-3g -o ignore_case,windows_names {image} {place}"),
)


@pytest.fixture(scope="module")
def folding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder on a file system for which ``A`` is ``a``."""
    image = tmp_path_factory.mktemp("folding") / "image"
    place = image.with_name("mounted")
    place.mkdir()
    image.touch()
    os.truncate(image, 2**24)
    for commands in FOLDING:
        try:
            for command in commands:
                words = command.format(image=image, place=place).split()
                subprocess.run(words, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.CalledProcessError):
            continue
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True, timeout=300)
        return
    pytest.skip("no file system that folds case can be mounted (vfat, or ntfs-3g by FUSE, as root)")


def refusal(parent: Path, *files: str) -> str | None:
    before = files_below(parent)
    try:
        check_collisions(parent, {file: f"behind {file}" for file in files})
    except UsageError as error:
        return str(error)
    finally:
        assert files_below(parent) == before
    return None


COLLIDING = [
    ("a.npy", "A.npy"),
    ("a/x.npy", "A/x.npy"),
    ("é/x.npy", "É/X.npy"),
    ("b.npy", "a.npy/x.npy", "A.npy"),
    ("a.npy", "b.npy", "A.npy/x/y.npy"),
    ("kapre-extract.json", "Kapre-Extract.json/a.npy"),
    ("a.npy", "b.npy", "B.npy"),
    ("ß.npy", "ss.npy", "a.npy", "A.npy"),
]


@pytest.mark.parametrize("files", COLLIDING)
def test_files_that_are_one_are_refused_by_both_names(
    files: tuple[str, ...], folding: Path
) -> None:
    said = refusal(folding, *files)
    assert said is not None
    alike = [file for file in files if f"'behind {file}'" in said]
    assert len(alike) == 2, said
    assert len({file.split("/")[0].casefold() for file in alike}) == 1
    assert all(repr(file) in said for file in alike)
    assert said.endswith("write one .h5 file")


@pytest.mark.parametrize("files", COLLIDING)
def test_files_that_are_two_are_not(files: tuple[str, ...], tmp_path: Path) -> None:
    assert refusal(tmp_path, *files) is None


@pytest.mark.parametrize(
    "files",
    [
        ("a/x.npy", "A/y.npy"),  # the folders merge
        ("a.npy", "b.npy"),
        ("ß.npy", "ss.npy"),  # alike, but not to this file system
    ],
)
def test_what_does_no_harm_is_let_through(files: tuple[str, ...], folding: Path) -> None:
    assert refusal(folding, *files) is None


def test_names_that_the_file_system_refuses_are_refused(folding: Path, tmp_path: Path) -> None:
    files = ("a.npy", "night 12:30.npy", "b.npy")
    said = refusal(folding, *files)
    assert said is not None
    assert said.startswith("'behind night 12:30.npy' cannot be stored: the file system of")
    assert refusal(tmp_path, *files) is None


def test_where_no_names_are_alike_nothing_is_touched(tmp_path: Path) -> None:
    check_collisions(tmp_path / "gone", {"a.npy": "a", "A/b.npy": "b"})


def test_the_program_refuses_before_any_work(folding: Path, tmp_path: Path, program: Any) -> None:
    for name in ("x.wav", "X.wav"):
        write_audio(tmp_path / "audio" / name, np.ones((1, 600)))
    ended = program("spectrogram", tmp_path / "audio", "-o", folding / "out")
    assert ended.code == 2
    for name in ("x.wav", "X.wav"):
        assert repr(str(tmp_path / "audio" / name)) in ended.err
    assert files_below(folding) == []


def test_paths_too_long_for_the_file_system_are_refused_early(tmp_path: Path, program: Any) -> None:
    folder = tmp_path / "audio" / Path(*["d" * 200] * 18)
    folder.mkdir(parents=True)
    (folder / "a.wav").touch()
    deep = tmp_path / Path(*["o" * 200] * 2)
    deep.mkdir(parents=True)
    ended = program("spectrogram", tmp_path / "audio", "-o", deep / "out", "--sr", 8000)
    assert ended.code == 2
    assert "would be longer than the 4095 bytes a path may have" in ended.err
