"""Parts of the inputs for job arrays: each input in one of them, balanced, the same every time."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import SettingsError, StoredDataError
from kapre_cli.inputs.discovery import shard_range
from kapre_cli.settings import Shard
from kapre_cli.settings.run import MAX_SHARDS
from tests import reference
from tests.conftest import files_below, write_audio
from tests.stress.runs import content

SMALL = ("--n-dft", 256, "--n-hop", 100, "--n-mels", 20)

sizes_of_files = st.lists(st.integers(0, 9) | st.integers(0, 2**62), max_size=40)


@given(sizes_of_files, st.integers(1, 60))
def test_parts_have_each_input_once_in_order_and_are_balanced(sizes: list[int], of: int) -> None:
    parts = [list(shard_range(sizes, index, of)) for index in range(1, of + 1)]
    assert [number for part in parts for number in part] == list(range(len(sizes)))
    for part in parts:
        # In integers: no part has more than an equal part and the largest input together.
        held = sum(sizes[number] for number in part)
        assert held * of <= sum(sizes) + of * max(sizes, default=0)


@given(st.integers(0, 100), st.integers(1, 100), st.integers(0, 1000))
def test_inputs_of_one_size_are_cut_into_equal_numbers(count: int, of: int, size: int) -> None:
    lengths = [len(shard_range([size] * count, index, of)) for index in range(1, of + 1)]
    assert max(lengths) - min(lengths) <= 1


def test_a_part_of_a_million_files_is_found_without_more_than_their_sizes() -> None:
    assert len(shard_range([1000] * 1_000_000, MAX_SHARDS, MAX_SHARDS)) == 1


shards = st.integers(1, MAX_SHARDS).flatmap(
    lambda of: st.builds(
        Shard,
        index=st.integers(1, of),
        of=st.just(of),
        inputs=st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64),
    )
)


@given(shards)
def test_a_shard_goes_through_json_and_its_name_unchanged(shard: Shard) -> None:
    assert Shard.from_dict(json.loads(json.dumps(shard.to_dict()))) == shard
    named = Shard.parse(str(shard))
    assert (named.index, named.of) == (shard.index, shard.of)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/4", "Shards are counted from 1: of 4 they are 1/4 to 4/4. Received: '0/4'"),
        ("5/4", "counted from 1"),
        ("1/0", "counted from 1"),
        ("0/0", "counted from 1"),
        ("1", "A shard is I/N"),
        ("1/", "A shard is I/N"),
        ("-1/4", "A shard is I/N"),
        ("+1/4", "A shard is I/N"),
        ("1/4 ", "A shard is I/N"),
        ("1/4\n", "A shard is I/N"),
        ("1.0/4", "A shard is I/N"),
        ("\N{ARABIC-INDIC DIGIT ONE}/4", "A shard is I/N"),
        ("", "A shard is I/N"),
        ("1/" + "9" * 5000, "A shard is I/N"),
        ("1/1000001", "There are at most 1,000,000 shards"),
    ],
)
def test_what_is_no_shard_is_a_usage_error(text: str, message: str, program: Any) -> None:
    with pytest.raises(SettingsError) as error:
        Shard.parse(text)
    assert message in str(error.value)
    ended = program("spectrogram", "a.wav", "-o", "x.h5", f"--shard={text}")
    assert (ended.code, "Invalid value for '--shard'" in ended.err) == (2, True)
    assert message in " ".join(ended.err.split())


@pytest.mark.parametrize(
    "stored",
    [
        {"index": 1, "of": 2},
        {"index": 0, "of": 2, "inputs": ""},
        {"index": 3, "of": 2, "inputs": ""},
        {"index": True, "of": 2, "inputs": ""},
        {"index": 1.0, "of": 2, "inputs": ""},
        {"index": 1, "of": 10**9, "inputs": ""},
        {"index": 1, "of": 2, "inputs": "\x1b" * 64},
        {"index": 1, "of": 2, "inputs": 3},
        {"index": 1, "of": 2, "inputs": "", "more": 0},
        [1, 2, ""],
        "1/2",
    ],
)
def test_a_stored_shard_is_believed_only_within_range(
    stored: Any, tmp_path: Path, program: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 1000))
    output = tmp_path / "x"
    assert program("spectrogram", tmp_path / "a.wav", "-o", output, "--shard", "1/1").code == 0
    root = output / "kapre-extract.json"
    metadata = json.loads(root.read_text())
    assert metadata["shard"].keys() == {"index", "of", "inputs"}
    del metadata["crc32"]
    root.write_text(json.dumps(metadata | {"shard": stored}))
    with pytest.raises(StoredDataError, match="its metadata is invalid"):
        kapre_cli.open_features(output)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make four inputs, the first at another rate than the others."""
    folder = tmp_path / "audio"
    write_audio(folder / "a.wav", reference.noise(1, 4000), sr=16000, subtype="PCM_16")
    for seed, name in enumerate(("b.wav", "c/d.wav", "e.wav")):
        write_audio(folder / name, reference.noise(2, 2000, seed), subtype="PCM_16")
    return folder


def keys(output: Path) -> Sequence[str]:
    with kapre_cli.open_features(output) as features:
        return list(features)


@pytest.mark.parametrize("name", ["x.h5", "gzip.h5", "x"])
def test_all_shards_have_the_rate_of_the_first_of_all_inputs(
    name: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    more = ("--compression", "gzip") if name == "gzip.h5" else ()
    found = []
    for index in (1, 2, 3):
        output = tmp_path / str(index) / name
        output.parent.mkdir()
        arguments = ("melspectrogram", audio, "-o", output, *SMALL, *more, "--resample")
        ended = program(*arguments, f"--shard={index}/3")
        assert (ended.code, " 0 failed" in ended.err) == (0, True), ended.err
        with kapre_cli.open_features(output) as features:
            assert features.settings.sr == 16000
            shard = features.root.shard
            assert shard is not None
            assert str(shard) == f"{index}/3"
            found += list(features)
    assert found == ["a.wav", "b.wav", "e.wav", "c/d.wav"]


@pytest.mark.parametrize("name", ["x.h5", "lzf.h5", "x"])
def test_an_empty_shard_is_an_output_without_arrays(
    name: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    more = ("--compression", "lzf") if name == "lzf.h5" else ()
    output = tmp_path / name
    arguments = ("melspectrogram", audio, "-o", output, *SMALL, *more, "--resample")
    ended = program(*arguments, "--shard", "1/9")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "note: shard 1/9 has no inputs: its output has no arrays",
        f"0 inputs: 0 written, 0 failed (0.0 s of audio) -> '{output}'",
    ]
    with kapre_cli.open_features(output) as features:
        assert (len(features), list(features), len(features.frequency)) == (0, [], 20)
    before, changed = content(output), output.stat().st_mtime_ns
    ended = program(*arguments, "--shard", "1/9", "--resume")
    assert (ended.code, "is up to date" in ended.err) == (0, True)
    assert (content(output), output.stat().st_mtime_ns) == (before, changed)
    assert program(*arguments, "--shard", "1/9", "--overwrite").code == 0
    assert content(output) == before
    assert sorted(os.listdir(tmp_path)) == sorted(["audio", name])


def test_an_empty_shard_is_no_single_array(audio: Path, tmp_path: Path, program: Any) -> None:
    arguments = ("spectrogram", audio, "-o", tmp_path / "x.npy", "--resample")
    ended = program(*arguments, "--shard", "1/9")
    assert ended.code == 2
    assert "shard 1/9 has no inputs" in ended.err
    assert files_below(tmp_path) == ["audio", *(f"audio/{name}" for name in files_below(audio))]
    assert program(*arguments, "--shard", "2/9").code == 0
    assert keys(tmp_path / "x.npy") == ["a.wav"]


@pytest.mark.parametrize("name", ["x.h5", "x"])
def test_a_shard_whose_inputs_all_fail_has_no_arrays_and_replaces_none(
    name: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / name
    arguments = ("spectrogram", audio, "-o", output, "--shard", "3/3")
    ended = program(*arguments, "--resample")
    assert (ended.code, keys(output)) == (0, ["c/d.wav"])
    whole = content(output)
    ended = program(*arguments, "--overwrite")
    assert (ended.code, content(output)) == (1, whole)
    assert "1 input: 0 written, 1 failed" in ended.err
    assert "no output is written or changed" in ended.err
    output = tmp_path / f"anew {name}"
    ended = program("spectrogram", audio, "-o", output, "--shard", "3/3")
    assert (ended.code, keys(output)) == (1, [])
    assert f"1 input: 0 written, 1 failed (0.0 s of audio) -> '{output}'" in ended.err


def test_without_any_rate_each_shard_names_its_own_inputs(tmp_path: Path, program: Any) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"no audio")
    inputs = ("spectrogram", tmp_path / "a.wav", tmp_path / "b.wav", "-o", tmp_path / "x.h5")
    ended = program(*inputs, "--shard", "2/2")
    assert ended.code == 1
    assert ("a.wav'" in ended.err, "b.wav'" in ended.err) == (False, True)
    assert "1 input: 0 written, 1 failed" in ended.err
    ended = program(*inputs, "--shard", "2/3")
    assert ended.code == 1
    assert "no input of any shard states a rate; name it with --sr" in ended.err
    assert program(*inputs, "--shard", "2/3", "--sr", 8000).code == 0
    assert keys(tmp_path / "x.h5") == []


def test_a_shard_goes_on_as_itself_alone(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "x.h5"
    arguments = ("spectrogram", audio, "-o", output, "--resample")
    assert program(*arguments, "--shard", "1/2").code == 0
    for other, now in (("2/2", "'2/2'"), ("1/3", "'1/3'"), (None, "None")):
        more = ("--shard", other) if other else ()
        ended = program(*arguments, *more, "--resume")
        assert ended.code == 2
        assert f"shard: '1/2' before, {now} now" in ended.err
    assert "is up to date" in program(*arguments, "--shard", "1/2", "--resume").err


def test_a_shard_of_a_list_that_has_changed_is_brought_up_to_date(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output, anew = tmp_path / "x.h5", tmp_path / "anew.h5"
    arguments = ("spectrogram", audio, "--resample", "--shard", "2/2", "-o")
    assert program(*arguments, output).code == 0
    before = content(output)
    write_audio(audio / "0.wav", reference.noise(1, 9000), sr=16000)
    ended = program(*arguments, output, "--resume")
    assert ended.code == 0, ended.err
    assert program(*arguments, anew).code == 0
    assert content(output) != before
    assert output.read_bytes() == anew.read_bytes()
    # Only another part of the list has changed: the arrays stay, what it says of the list does not.
    write_audio(audio / "0.wav", reference.noise(1, 9001), sr=16000)
    ended = program(*arguments, output, "--resume")
    assert (ended.code, " 0 written, 0 failed" in ended.err) == (0, True)
    assert program(*arguments, anew, "--overwrite").code == 0
    assert output.read_bytes() == anew.read_bytes()


def test_names_of_all_shards_must_fit_into_one_output(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_audio(Path("a.wav"), reference.noise(1, 1000))
    write_audio(Path("a.wav.npy/b.wav"), reference.noise(1, 1000))
    for index in (1, 2):
        ended = program(
            "spectrogram", "a.wav", "a.wav.npy", "--root", ".", "-o", "x", "--shard", f"{index}/2"
        )
        assert (ended.code, "would be a file and a folder" in ended.err) == (2, True)
