"""The journal: what was appended comes back, and nothing else does, wherever it is torn."""

import json
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.errors import OutputError, StoredDataError
from kapre_cli.settings import AudioSettings, OutputSettings, SpectrogramConfig
from kapre_cli.storage.journal import HEAD, MAGIC, Journal, identity
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.replay import Replayed, replay
from kapre_cli.storage.work_dir import WorkDir
from tests import reference

ROOT = RootFacts(SpectrogramConfig(), AudioSettings(sr=8000), "float32", "none", "numpy", {})


def facts(name: str, n_samples: int = 1000) -> InputFacts:
    return InputFacts(
        source=name,
        sr=8000,
        source_sr=8000,
        n_samples=n_samples,
        n_channels=2,
        time_start=0.0,
        time_step=0.1,
        source_size=4000,
        source_mtime_ns=1,
    )


def block(n_frames: int, seed: int) -> Any:
    return reference.noise(2, n_frames * 3, seed).astype(np.float32).reshape(2, n_frames, 3)


def write_journal(path: Path, end: int = 0) -> list[int]:
    """Write three inputs of two blocks each, the last not done; return where records end."""
    ends = []
    with Journal(path, end) as journal:
        journal.run(ROOT)
        for number, name in enumerate(("a", "b", "c")):
            of = identity(facts(name), "fail")
            journal.block(name, of, 4, block(3, number))
            journal.block(name, of, 0, block(4, 10 + number))
            if name != "c":
                journal.done(name, of, facts(name))
            journal.sync()
            ends.append(path.stat().st_size)
    return ends


@pytest.mark.parametrize("kind", ["appeared", "a link"])
def test_what_stands_in_the_place_of_a_journal_is_not_written_to(kind: str, tmp_path: Path) -> None:
    own = tmp_path / "thesis.txt"
    own.write_bytes(b"mine")
    work_dir = WorkDir(OutputSettings(path=tmp_path / "x.h5", format="hdf5"))
    with work_dir:
        if kind == "appeared":
            own.rename(work_dir.journal)
        else:
            os.link(own, work_dir.journal)
        work_dir.keep = False
        with pytest.raises(OutputError, match="left as it is"):
            work_dir.open_journal(0)
    assert work_dir.journal.read_bytes() == b"mine"


def test_a_journal_with_a_second_name_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ends = write_journal(path)
    os.link(path, tmp_path / "other")
    with pytest.raises(OutputError, match="is a link"):
        Journal(path, 0)
    assert path.stat().st_size == ends[-1]


def values(path: Path, found: Replayed) -> dict[str, Any]:
    """Return every input's frames in order."""
    with Journal(path, found.end) as journal:
        return {
            key: np.concatenate([part for _, part in journal.blocks(one.entries.values())], axis=1)
            for key, one in found.inputs.items()
            if one.entries
        }


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write_journal(path)
    found = replay(path)
    assert found.end == path.stat().st_size
    assert [RootFacts.from_dict(root) for root in found.roots] == [ROOT]
    assert {key: one.facts for key, one in found.inputs.items()} == {
        "a": facts("a"),
        "b": facts("b"),
        "c": None,
    }
    assert (found.n_done, found.holds_work) == (2, True)
    for number, (key, frames) in enumerate(values(path, found).items()):
        assert key == "abc"[number]
        expected = np.concatenate([block(4, 10 + number), block(3, number)], axis=1)
        np.testing.assert_array_equal(frames, expected)


def test_no_journal_holds_nothing(tmp_path: Path) -> None:
    found = replay(tmp_path / "journal")
    assert (found.n_done, found.holds_work, found.end) == (0, False, 0)


def test_a_journal_cut_anywhere_holds_what_came_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ends = write_journal(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = replay(path)
        assert found.end <= length
        done = [key for key, one in found.inputs.items() if one.facts is not None]
        assert done == [key for key, end in zip("ab", ends, strict=False) if end <= length]
        for number, key in enumerate("abc"):
            if key in found.inputs and 0 in found.inputs[key].entries:
                np.testing.assert_array_equal(
                    values(path, found)[key][:, :4], block(4, 10 + number)
                )
                break


@settings(max_examples=60)
@given(data=st.data())
def test_a_journal_damaged_anywhere_gives_no_wrong_value(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "journal"
    write_journal(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    found = replay(path)
    expected = {
        (key, first): block(4 if first == 0 else 3, number + (10 if first == 0 else 0))
        for number, key in enumerate("abc")
        for first in (0, 4)
    }
    with Journal(path, found.end) as journal:
        for key, one in found.inputs.items():
            assert one.facts is None or one.facts == facts(key)
            for first, entry in one.entries.items():
                np.testing.assert_array_equal(journal.read(entry), expected[key, first])


def test_a_journal_goes_on_behind_its_sound_part(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write_journal(path)
    with path.open("ab") as file:
        file.write(b"half a record")
    write_journal(path, replay(path).end)
    found = replay(path)
    assert len(found.roots) == 2
    assert found.inputs["a"].run == 1
    assert found.end == path.stat().st_size


def test_blocks_of_another_state_of_the_file_are_void(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.run(ROOT)
        journal.block("a", 1, 0, block(4, 0))
        journal.block("a", 2, 4, block(4, 1))
        journal.sync()
    assert list(replay(path).inputs["a"].entries) == [4]


def test_failures_are_remembered_with_their_run(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.run(ROOT)
        journal.run(ROOT)
        journal.failed("a", "it is empty")
    found = replay(path)
    assert (found.inputs["a"].failure, found.inputs["a"].run) == ("it is empty", 1)
    assert not found.holds_work


def test_values_changed_behind_its_back_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        entry = journal.block("a", 1, 0, block(4, 0))
        journal.sync()
        with path.open("r+b") as file:
            file.seek(entry.position)
            file.write(b"\0\0\0\1")
        with pytest.raises(StoredDataError, match="does not hold what was written to it"):
            journal.read(entry)


def test_nothing_follows_a_record_that_could_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        journal.run(ROOT)
        journal.sync()
        read_only = os.open(path, os.O_RDONLY)
        os.dup2(read_only, journal.descriptor)
        os.close(read_only)
        journal.done("a", 1, facts("a"))
        for _ in range(2):
            with pytest.raises(OutputError, match=r"journal' cannot be written: Bad file desc"):
                journal.sync()
        with pytest.raises(OutputError):
            journal.done("b", 1, facts("b"))
    assert replay(path).n_done == 0


def test_what_is_appended_becomes_durable_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.set()

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "journal"
    with Journal(path, seconds_at_risk=0.02) as journal:
        journal.done("a", 1, facts("a"))
        assert synced.wait(60)
        assert replay(path).n_done == 1


@pytest.mark.parametrize(
    "change",
    [
        {"block": 7},
        {"block": ["a.wav"]},
        {"of": "x"},
        {"of": None},
        {"first_frame": "0"},
        {"first_frame": -1},
        {"first_frame": True},
        {"shape": "abc"},
        {"shape": [1, 1]},
        {"shape": [1, 1, "4"]},
        {"shape": [-1, -1, 4]},
        {"shape": [1.0, 1, 4]},
        {"facts": 3},
    ],
)
def test_a_record_of_wrong_types_ends_the_journal(tmp_path: Path, change: Any) -> None:
    description = {"block": "a.wav", "of": 1, "first_frame": 0, "shape": [1, 1, 4]}
    path = tmp_path / "journal"
    path.write_bytes(record(description) + record({**description, "first_frame": 1, **change}))
    found = replay(path)
    assert found.end == len(record(description))
    assert list(found.inputs["a.wav"].entries) == [0]


def test_a_huge_block_of_holes_is_not_read(tmp_path: Path) -> None:
    n_bytes = 4 * 2**39
    text = json.dumps({"block": "a", "of": 1, "first_frame": 0, "shape": [1, 2**9, 2**30]}).encode()
    path = tmp_path / "journal"
    path.write_bytes(HEAD.pack(MAGIC, len(text), n_bytes, zlib.crc32(text), 0) + text)
    os.truncate(path, path.stat().st_size + n_bytes)
    assert replay(path).end == 0


def test_a_fifo_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    os.mkfifo(path)
    code = f"from kapre_cli.storage.replay import *; replay(Path({str(path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "is not a plain file" in done.stderr


def record(description: Any) -> bytes:
    text, values = json.dumps(description).encode(), np.arange(4, dtype="<f4").tobytes()
    head = HEAD.pack(MAGIC, len(text), len(values), zlib.crc32(text), zlib.crc32(values))
    return head + text + values
