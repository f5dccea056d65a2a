"""Paths to inputs: order, keys, what is passed over and what is refused."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.errors import UsageError
from kapre_cli.sources import discover, key_of


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def keys(*paths: object, root: str | None = None) -> list[str]:
    return [source.key for source in discover([str(path) for path in paths], root).sources]


def test_folders_are_walked_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "a.FLAC", "site 2/x.WAVE", "site 1/night 1.wav", "site 1/deep/y.wav")
    assert keys(tmp_path) == [
        "a.FLAC",
        "b.wav",
        "site 1/night 1.wav",
        "site 1/deep/y.wav",
        "site 2/x.WAVE",
    ]


def test_a_name_that_is_all_suffix_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, ".wav", "...flac")
    assert keys(tmp_path) == ["...flac", ".wav"]


def test_file_arguments_keep_their_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.wav", "sub/b.bin")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert keys("sub/b.bin", "./a.wav") == ["sub/b.bin", "a.wav"]
    assert keys(tmp_path / "sub/b.bin") == ["b.bin"]
    monkeypatch.chdir("here")
    assert keys("../sub/b.bin") == ["b.bin"]


def test_root_names_everything_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "x/a.wav", "y/a.wav")
    monkeypatch.chdir(tmp_path)
    assert keys("x", "y/a.wav", root=".") == ["x/a.wav", "y/a.wav"]
    with pytest.raises(UsageError, match=r"'y/a.wav' does not lie below the root 'x'"):
        keys("y/a.wav", root="x")


def test_one_key_for_two_inputs_is_refused_by_both_names(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav", "y/a.wav")
    message = f"{str(tmp_path / 'x/a.wav')!r} and {str(tmp_path / 'y/a.wav')!r} would both"
    with pytest.raises(UsageError, match=re.escape(message)):
        keys(tmp_path / "x", tmp_path / "y")


def test_one_input_named_twice_is_one_input(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    assert keys(tmp_path, tmp_path / "a.wav") == ["a.wav"]


def test_a_key_that_is_a_folder_of_another_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav/b.wav", "y/a.wav")
    with pytest.raises(UsageError, match=r"a folder of 'a.wav/b.wav'"):
        keys(tmp_path / "x", tmp_path / "y")


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "._a.wav", "notes.txt", "b.mp3", "c.mp3", "linked/d.wav")
    (tmp_path / "link").symlink_to(tmp_path)
    inputs = discover([str(tmp_path)])
    assert [source.key for source in inputs.sources] == ["a.wav", "linked/d.wav"]
    said = "\n".join(inputs.notes)
    assert "link' is a link to a folder and was not followed" in said
    assert "passed over 1 AppleDouble file (._*)" in said
    assert "passed over 3 files with another ending than .wav, .wave, .flac" in said
    assert "2 .mp3, 1 .txt" in said


def test_a_folder_without_audio_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt", "full/a.wav")
    inputs = discover([str(tmp_path / "empty"), str(tmp_path / "full")])
    assert len(inputs.sources) == 1
    assert [Path(one.path).name for one in inputs.refusals] == ["empty"]
    assert "no audio" in inputs.refusals[0].reason


def test_an_unreadable_folder_is_a_failure(unprivileged: Path) -> None:
    touch(unprivileged, "a.wav", "closed/b.wav")
    (unprivileged / "closed").chmod(0)
    inputs = discover([str(unprivileged)])
    assert [source.key for source in inputs.sources] == ["a.wav"]
    assert [Path(one.path).name for one in inputs.refusals] == ["closed"]
    assert inputs.refusals[0].reason == "the folder cannot be read: Permission denied"


def test_a_root_must_be_a_folder_and_a_path_must_not_be_empty(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = str(tmp_path / "a.wav")
    for paths, root, message in (
        ([path], path, "is not a folder"),
        ([path], str(tmp_path / "gone"), "is not a folder"),
        ([""], None, "named by an empty path"),
        ([""], str(tmp_path), "named by an empty path"),
    ):
        with pytest.raises(UsageError, match=message):
            discover(paths, root)


def test_names_that_are_not_utf8_become_keys(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))).touch()
    touch(tmp_path, "café.wav", "a%20b.wav", "100%.wav", "two\nlines.wav", "-dash.wav")
    assert sorted(keys(tmp_path)) == [
        "-dash.wav",
        "100%.wav",
        "a%2520b.wav",
        "caf%E9.wav",
        "café.wav",
        "two\nlines.wav",
    ]


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
)


@given(st.sets(NAMES, min_size=2, max_size=2))
def test_different_names_have_different_keys(names: set[bytes]) -> None:
    one, other = (key_of(os.fsdecode(name)) for name in names)
    assert one != other
    one.encode()
    other.encode()
