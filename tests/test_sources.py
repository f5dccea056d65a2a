"""Paths to inputs: order, keys, what is skipped and what is refused."""

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli import open_features
from kapre_cli.errors import UsageError
from kapre_cli.inputs import discover
from kapre_cli.inputs.discovery import Walk
from kapre_cli.inputs.keys import key_of
from tests.conftest import write_audio


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def keys(*paths: object, root: str | None = None, hidden: bool = False) -> list[str]:
    inputs = discover([str(path) for path in paths], root, hidden=hidden)
    return [source.key for source in inputs.sources]


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
    assert keys(tmp_path, hidden=True) == ["...flac", ".wav"]


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


def test_what_is_skipped_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "._a.wav", "notes.txt", "b.mp3", "c.mp3", "linked/d.wav")
    (tmp_path / "link").symlink_to(tmp_path)
    inputs = discover([str(tmp_path)])
    assert [source.key for source in inputs.sources] == ["a.wav", "linked/d.wav"]
    said = "\n".join(map(str, inputs.notes))
    assert "link' is a link to a folder and was not followed" in said
    assert "skipped 1 AppleDouble file (._*)" in said
    assert "skipped 3 files with another ending than .wav, .wave, .flac" in said
    assert "2 .mp3, 1 .txt" in said


HIDDEN = (
    *(".git/annex/objects/a.wav", "site/.Trashes/501/b.flac", "$RECYCLE.BIN/S-1-5/c.wav"),
    *("$Recycle.Bin/d.wav", "RECYCLER/e.wav", "site/#recycle/f.wav", "@Recycle/g.wav"),
    *("@eaDir/h.wav", "#snapshot/i.wav", "lost+found/j.wav", "LOST+FOUND/k.wav"),
    *("System Volume Information/l.wav", ".m.wav", "site/.n.FLAC", "...o.wav", ".p/q.wav"),
)
SHOWN = ("night.1/a.wav", "recycle/b.wav", "site/c.wav", "x.git/d.wav", "lost/e.wav", "$x/f.wav")


def test_what_is_hidden_is_skipped_below_a_folder_unless_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, *HIDDEN, *SHOWN, "._r.wav", ".hidden.txt")
    inputs = discover([str(tmp_path)])
    assert sorted(source.key for source in inputs.sources) == sorted(SHOWN)
    assert str(inputs.notes[0]) == (
        f"{str(tmp_path)!r}: skipped 13 hidden folders ('#snapshot', '$RECYCLE.BIN', "
        "'$Recycle.Bin', ...) and 3 hidden files ('...o.wav', '.m.wav', 'site/.n.FLAC'); "
        "hidden=True includes them"
    )
    inputs = discover([str(tmp_path)], hidden=True)
    assert sorted(source.key for source in inputs.sources) == sorted((*HIDDEN, *SHOWN))
    assert not [note for note in inputs.notes if "hidden=True" in str(note)]


def test_a_folder_that_is_named_is_taken_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, ".trash/a.wav", ".trash/.deep/b.wav", "lost+found/c.wav", ".d.wav")
    monkeypatch.chdir(tmp_path)
    assert keys(".trash", "lost+found/", ".d.wav") == ["a.wav", "c.wav", ".d.wav"]
    assert keys(".trash/.deep", "./.trash/../.trash", root=".") == [
        ".trash/.deep/b.wav",
        ".trash/a.wav",
    ]
    monkeypatch.chdir(".trash")
    assert keys(".", "..", root="..") == [".trash/a.wav"]
    inputs = discover([], listed=["a.wav", ".deep/b.wav"])
    assert [source.key for source in inputs.sources] == ["a.wav", ".deep/b.wav"]


def test_a_folder_whose_audio_is_all_hidden_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "one/.git/annex/a.wav", "two/.b.wav", "three/.git/config", "four/x.txt")
    inputs = discover([str(tmp_path / name) for name in ("one", "two", "three", "four")])
    nothing = "holds no audio: no file ends in .wav, .wave, .flac"
    assert not inputs.sources
    assert [str(rejected.reason) for rejected in inputs.rejected_paths] == [
        "holds audio only where it is hidden, such as '.git/annex/a.wav'; hidden=True includes it",
        "holds audio only where it is hidden, such as '.b.wav'; hidden=True includes it",
        nothing,
        nothing,
    ]


def test_an_output_with_hidden_inputs_is_kept_up_to_date_and_verified(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a.wav", ".trash/b.wav", "site/.c.wav")):
        write_audio(tmp_path / "audio" / name, np.full((1, 900), 0.1 * number))
    command = ["spectrogram", "audio", "-o", "out", "--n-dft", 64]
    assert program(*command, "--hidden").code == 0
    assert program("verify", "out", "--against", "audio").out.endswith("bit for bit\n")
    ended = program(*command, "--hidden", "--resume")
    assert "'out' is up to date" in ended.err
    # Shards find the same inputs only if all of them search alike.
    for index in (1, 2):
        shard = ["spectrogram", "audio", "-o", f"{index}.h5", "--shard", f"{index}/2"]
        assert program(*shard, "--hidden").code == 0
    assert program("merge", "2.h5", "1.h5", "-o", "all.h5").code == 0
    with open_features("all.h5") as features:
        assert sorted(features) == [".trash/b.wav", "a.wav", "site/.c.wav"]
    assert program(*shard, "--overwrite").code == 0
    ended = program("merge", "1.h5", "2.h5", "-o", "other.h5")
    assert (ended.code, "other.h5" in os.listdir()) == (2, False)
    # Without the option hidden arrays leave, which is said with the option that keeps them.
    ended = program(*command, "--resume")
    assert ended.code == 0
    assert (
        "note: 2 arrays of 'out' will be removed, since no input has its key: "
        "'.trash/b.wav', 'site/.c.wav'; 2 of them hidden: --hidden keeps those"
    ) in ended.err
    with open_features("out") as features:
        assert list(features) == ["a.wav"]


def test_a_folder_without_audio_is_a_failure(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt", "full/a.wav")
    inputs = discover([str(tmp_path / "empty"), str(tmp_path / "full")])
    assert len(inputs.sources) == 1
    assert [Path(one.path).name for one in inputs.rejected_paths] == ["empty"]
    assert "no audio" in str(inputs.rejected_paths[0].reason)


def test_an_unreadable_folder_is_a_failure(unprivileged: Path) -> None:
    touch(unprivileged, "a.wav", "closed/b.wav")
    (unprivileged / "closed").chmod(0)
    inputs = discover([str(unprivileged)])
    assert [source.key for source in inputs.sources] == ["a.wav"]
    assert [Path(one.path).name for one in inputs.rejected_paths] == ["closed"]
    assert inputs.rejected_paths[0].reason == "the folder cannot be read: Permission denied"


def test_a_root_must_be_a_folder_and_a_path_must_not_be_empty(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    path = str(tmp_path / "a.wav")
    for paths, root, message in (
        ([path], path, "is not a folder"),
        ([path], str(tmp_path / "gone"), "is not a folder"),
        ([""], None, "an input is an empty path"),
        ([""], str(tmp_path), "an input is an empty path"),
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
# Pieces that meet in unlucky ways far more often than arbitrary bytes do.
PIECES = st.sampled_from(
    [
        *(b"%", b"4", b"1", b"E9", b"%41", b"a", b"/", b".", b"..", b" ", b"\n", b"\x1b"),
        *(b"\xe9", b"\xed\xb2\x80", b"\xf0\x9f", "é".encode(), "🦇".encode()),
        "e\N{COMBINING ACUTE ACCENT}".encode(),
    ]
)
PATHS = st.one_of(
    st.binary(min_size=1, max_size=30).filter(lambda path: b"\0" not in path),
    st.lists(PIECES, min_size=1, max_size=12).map(b"".join),
)


@given(st.sets(NAMES, min_size=2, max_size=2))
def test_different_names_have_different_keys(names: set[bytes]) -> None:
    one, other = (key_of(os.fsdecode(name)) for name in names)
    assert one != other
    one.encode()
    other.encode()


@settings(max_examples=1000)
@given(PATHS)
def test_every_relative_path_has_a_key_that_can_be_undone(path: bytes) -> None:
    plain = os.path.normpath(path)
    if path.startswith(b"/") or b".." in path.split(b"/") or plain == b".":
        with pytest.raises(UsageError, match="cannot be a key"):
            key_of(os.fsdecode(path))
        return
    key = key_of(os.fsdecode(path))
    assert not {"", ".", ".."} & set(key.encode().decode().split("/"))
    assert unquote_to_bytes(key) == plain


ODD_NAMES = (
    b"two\nlines.wav",
    b"\x1b[31m.wav",
    b'it\'s "quoted".wav',
    b"back\\slash.wav",
    b"-dash.wav",
    b"%41.wav",
    b"100%.wav",
    b"caf\xe9.wav",
    "café.wav".encode(),
    "cafe\N{COMBINING ACUTE ACCENT}.wav".encode(),
    "🦇.wav".encode(),
    b"... /....wav",
    b" .wav",
    b"a. /b..wav",
    b"kapre-extract.json.wav",
    b"long " * 49 + b".wav",
)


def odd_files(folder: Path) -> list[str]:
    for name in ODD_NAMES:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = write_audio(folder.with_name("plain.wav"), np.ones((1, 600)))
        plain.rename(path)  # soundfile cannot write under every name
    return sorted(os.fsdecode(name) for name in ODD_NAMES)


def test_every_name_that_the_file_system_allows_becomes_a_key(tmp_path: Path) -> None:
    names = odd_files(tmp_path / "audio")
    found = keys(tmp_path / "audio", hidden=True)
    assert sorted(os.fsdecode(unquote_to_bytes(key)) for key in found) == names


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_odd_names_are_written_and_read_back(name: str, tmp_path: Path, program: Any) -> None:
    names = odd_files(tmp_path / "audio")
    command = ("spectrogram", tmp_path / "audio", "-o", tmp_path / name, "--n-dft", 64)
    ended = program(*command, "--hidden")
    assert ended.code == 0, ended.err
    assert not (set(os.listdir(tmp_path)) - {"audio", name})
    with open_features(tmp_path / name) as features:
        for array in features.values():
            array.verify()
        assert sorted(os.fsdecode(unquote_to_bytes(key)) for key in features) == names
        sources = [
            os.path.relpath(array.metadata.source, tmp_path / "audio")
            for array in features.values()
        ]
        assert sorted(sources) == names


def test_a_folder_that_is_called_like_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "x/a.wav/b.wav", "y/a.wav")
    monkeypatch.chdir(tmp_path)
    assert keys("x/a.wav", "x/a.wav/") == ["b.wav"]
    assert keys("x") == ["a.wav/b.wav"]
    assert keys("x", "y", root=".") == ["x/a.wav/b.wav", "y/a.wav"]
    with pytest.raises(UsageError, match=r"a folder of 'a.wav/b.wav'"):
        keys("y", "x")


def test_a_path_that_names_nothing_is_refused(tmp_path: Path) -> None:
    for path, message in (
        (str(tmp_path / "gone" / ".."), "cannot be a key"),
        (str(tmp_path / "a\0.wav"), "a NUL in its name"),
    ):
        with pytest.raises(UsageError, match=message):
            discover([path])


def test_links_name_one_input_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.wav", "deep/a.wav", "deep/er/b.wav")
    (tmp_path / "link").symlink_to("deep/er")
    monkeypatch.chdir(tmp_path)
    assert keys("link", tmp_path / "deep/er") == ["b.wav"]
    # What is above the link is another folder than what is above the one that it leads to.
    with pytest.raises(UsageError, match=r"would both be stored as 'a.wav'"):
        keys("a.wav", "link/../a.wav")


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "audio/a.wav", "elsewhere/b.wav")
    top = tmp_path / "audio"
    for number in range(20):
        (top / f"loop {number}").symlink_to(top)
    (top / "self.wav").symlink_to("self.wav")
    (top / "outside.wav").symlink_to(tmp_path / "elsewhere" / "b.wav")
    (top / "outside").symlink_to(tmp_path / "elsewhere")
    (top / "gone.wav").symlink_to("nowhere")
    inputs = discover([str(top)])
    found = [source.key for source in inputs.sources]
    assert found == ["a.wav", "gone.wav", "outside.wav", "self.wav"]  # reading two of them tells
    assert len(inputs.notes) == 21
    assert not inputs.rejected_paths


def test_a_folder_that_vanishes_during_the_walk_is_one_failure(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b/b.wav", "c/c.wav")
    walk = Walk(str(tmp_path))
    found = iter(walk)
    assert next(found) == str(tmp_path / "a.wav")
    shutil.rmtree(tmp_path / "b")
    assert list(found) == [str(tmp_path / "c/c.wav")]
    (refusal,) = walk.rejected_paths
    assert refusal.path == str(tmp_path / "b")
    assert refusal.reason == "the folder cannot be read: No such file or directory"


def test_a_tree_may_be_deeper_than_python_recurses(tmp_path: Path) -> None:
    folders = [tmp_path]
    for _ in range(sys.getrecursionlimit() + 100):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    file = folders[-1] / "a.wav"
    file.touch()
    found = keys(tmp_path)
    file.unlink()
    for folder in reversed(folders[1:]):  # so that nobody has to recurse to remove it
        folder.rmdir()
    assert found == ["d/" * (len(folders) - 1) + "a.wav"]
