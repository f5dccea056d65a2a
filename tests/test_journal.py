"""The journal: what was appended comes back, and nothing else does, wherever it is torn."""

import errno
import json
import os
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.errors import OutputError, StoredDataError, UsageError
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.resume.journal import HEAD, MAGIC, Journal, identity
from kapre_cli.resume.previous_run import JournalState, replay
from kapre_cli.resume.work_dir import Journals, WorkDir
from kapre_cli.settings import AudioSettings, OutputSettings
from tests import reference

ROOT = OutputMetadata(SpectrogramConfig(), AudioSettings(sr=8000), "float32", "none", "numpy", {})


def metadata(name: str, n_samples: int = 1000) -> InputMetadata:
    return InputMetadata(
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


NAME = "journal-1"


def write_journal(folder: Path) -> list[int]:
    """Write three inputs of two blocks each, the last not done; return where records end."""
    ends = []
    with Journals(folder) as journals:
        path = journals.create()
    with Journal(path, ROOT) as journal:
        for number, name in enumerate(("a", "b", "c")):
            of = identity(metadata(name), "fail")
            journal.block(name, of, 4, block(3, number))
            journal.block(name, of, 0, block(4, 10 + number))
            if name != "c":
                journal.done(name, of, metadata(name))
            journal.sync()
            ends.append(path.stat().st_size)
    return ends


def replayed(folder: Path) -> JournalState:
    with Journals(folder) as journals:
        return replay(journals)


@pytest.mark.parametrize("kind", ["appeared", "a link"])
def test_what_stands_in_the_place_of_a_journal_is_not_written_to(kind: str, tmp_path: Path) -> None:
    own = tmp_path / "thesis.txt"
    own.write_bytes(b"mine")
    work_dir = WorkDir(OutputSettings(path=tmp_path / "x.h5", format="hdf5"))
    place = work_dir.folder / NAME
    with work_dir:
        if kind == "appeared":
            own.rename(place)
        else:
            os.link(own, place)
        work_dir.keeps_journals = False
        with pytest.raises(OutputError, match="left as it is"):
            work_dir.journals.create()
    assert place.read_bytes() == b"mine"


def test_a_journal_that_is_replaced_before_a_worker_opens_it_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "thesis.txt"
    own.write_bytes(b"mine")
    with WorkDir(OutputSettings(path=tmp_path / "x.h5", format="hdf5")) as work_dir:
        path = work_dir.journals.create()
        os.replace(own, path)
        with pytest.raises(OutputError, match="was replaced during the run"):
            Journal(path, ROOT)
        work_dir.keeps_journals = False
    assert path.read_bytes() == b"mine"


def test_a_journal_with_a_second_name_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.touch()
    os.link(path, tmp_path / "other")
    with pytest.raises(OutputError, match="left as it is"):
        Journal(path, ROOT)
    assert path.stat().st_size == 0


def values(folder: Path) -> dict[str, Any]:
    """Return every input's frames in order."""
    with Journals(folder) as journals:
        return {
            key: np.concatenate(
                [journals.read(one.entries[k]) for k in sorted(one.entries)], axis=1
            )
            for key, one in replay(journals).inputs.items()
            if one.entries
        }


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    write_journal(tmp_path)
    found = replayed(tmp_path)
    assert [OutputMetadata.from_dict(root) for root in found.roots] == [ROOT]
    assert {key: one.metadata for key, one in found.inputs.items()} == {
        "a": metadata("a"),
        "b": metadata("b"),
        "c": None,
    }
    assert (found.n_done, found.holds_work) == (2, True)
    for number, (key, frames) in enumerate(values(tmp_path).items()):
        assert key == "abc"[number]
        expected = np.concatenate([block(4, 10 + number), block(3, number)], axis=1)
        np.testing.assert_array_equal(frames, expected)


def test_no_journal_holds_nothing(tmp_path: Path) -> None:
    found = replayed(tmp_path)
    assert (found.n_done, found.holds_work) == (0, False)


def test_a_journal_cut_anywhere_holds_what_came_before_the_cut(tmp_path: Path) -> None:
    path = tmp_path / NAME
    ends = write_journal(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = replayed(tmp_path)
        done = [key for key, one in found.inputs.items() if one.metadata is not None]
        assert done == [key for key, end in zip("ab", ends, strict=False) if end <= length]
        for number, key in enumerate("abc"):
            if key in found.inputs and 0 in found.inputs[key].entries:
                np.testing.assert_array_equal(values(tmp_path)[key][:, :4], block(4, 10 + number))
                break


@settings(max_examples=60)
@given(data=st.data())
def test_a_journal_damaged_anywhere_gives_no_wrong_value(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / NAME
    write_journal(folder)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    expected = {
        (key, first): block(4 if first == 0 else 3, number + (10 if first == 0 else 0))
        for number, key in enumerate("abc")
        for first in (0, 4)
    }
    with Journals(folder) as journals:
        for key, one in replay(journals).inputs.items():
            assert one.metadata is None or one.metadata == metadata(key)
            for first, entry in one.entries.items():
                np.testing.assert_array_equal(journals.read(entry), expected[key, first])


def test_journals_of_several_workers_are_one(tmp_path: Path) -> None:
    """Also if the first ends in half a record, and an input has blocks in both."""
    write_journal(tmp_path)
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"half a record")
    with Journals(tmp_path) as journals:
        path = journals.create()
        assert path == tmp_path / "journal-2"
        of = identity(metadata("c"), "fail")
        with Journal(path, ROOT) as journal:
            journal.block("c", of, 7, block(2, 20), metadata("c"))
            journal.block("d", 1, 0, block(2, 21), metadata("d"))
        found = replay(journals)
        assert len(found.roots) == 2
        assert (found.inputs["a"].run, found.inputs["c"].run) == (0, 1)
        assert found.inputs["c"].metadata == metadata("c")
        assert [entry.journal for entry in found.inputs["c"].entries.values()] == [
            *(NAME, NAME, "journal-2")
        ]
        assert found.n_done == 4
        assert list(replay(journals, "journal-2").inputs) == ["c", "d"]
    expected = np.concatenate([block(4, 12), block(3, 2), block(2, 20)], axis=1)
    np.testing.assert_array_equal(values(tmp_path)["c"], expected)


def test_a_new_journal_has_a_new_name_whatever_is_missing(tmp_path: Path) -> None:
    for name in ("journal-2", "journal-11", "journal", "journal-03", "journal-x"):
        (tmp_path / name).touch()
    with Journals(tmp_path) as journals:
        assert journals.names == ["journal-2", "journal-11"]
        assert journals.create().name == "journal-12"
        journals.remove("journal-11")
        assert journals.create().name == "journal-13"
        journals.remove_all()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["journal", "journal-03", "journal-x"]


def test_a_journal_that_somebody_has_replaced_is_not_removed(tmp_path: Path) -> None:
    with Journals(tmp_path) as journals:
        path = journals.create()
        (tmp_path / "other").write_bytes(b"mine")
        os.replace(tmp_path / "other", path)
        journals.remove_all()
    assert path.read_bytes() == b"mine"


def test_blocks_of_another_state_of_the_file_are_void(tmp_path: Path) -> None:
    with Journal(tmp_path / NAME, ROOT) as journal:
        journal.block("a", 1, 0, block(4, 0))
        journal.block("a", 2, 4, block(4, 1))
    assert list(replayed(tmp_path).inputs["a"].entries) == [4]


def test_values_changed_behind_its_back_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with Journal(path, ROOT) as journal:
        entry = journal.block("a", 1, 0, block(4, 0))
    with path.open("r+b") as file:
        file.seek(entry.position)
        file.write(b"\0\0\0\1")
    with (
        Journals(tmp_path) as journals,
        pytest.raises(StoredDataError, match=r"not hold what .* resume=True recomputes"),
    ):
        journals.read(entry)


@pytest.mark.parametrize("n_frames", [1, 2**18])
def test_what_was_flushed_can_be_read_at_once(n_frames: int, tmp_path: Path) -> None:
    values_ = block(n_frames, 1)
    with Journals(tmp_path) as journals, Journal(journals.create(), ROOT) as journal:
        entries = [journal.block("a", 1, first, values_) for first in (0, 10**7)]
        journal.flush()
        for entry in entries:
            np.testing.assert_array_equal(journals.read(entry), values_)


def test_nothing_follows_a_record_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Journal(tmp_path / NAME, ROOT) as journal:
        journal.sync()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", fail)
            journal.done("a", 1, metadata("a"))
            for deed in (journal.sync, journal.flush):
                with pytest.raises(OutputError, match=r"journal-1' cannot be written: Input/out"):
                    deed()
        with pytest.raises(OutputError):
            journal.done("b", 1, metadata("b"))
    assert replayed(tmp_path).n_done == 0


def test_what_is_appended_becomes_durable_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.set()

    monkeypatch.setattr(os, "fsync", fsync)
    with Journal(tmp_path / NAME, ROOT, seconds_at_risk=0.02) as journal:
        journal.done("a", 1, metadata("a"))
        assert synced.wait(60)
        synced.clear()
        journal.done("b", 1, metadata("b"))
        assert synced.wait(60)
        assert replayed(tmp_path).n_done == 2


def test_a_journal_that_nothing_resumes_is_never_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("it was synced"))
    n_threads = threading.active_count()
    with Journal(tmp_path / NAME, ROOT, seconds_at_risk=None) as journal:
        assert threading.active_count() == n_threads
        journal.done("a", 1, metadata("a"))
    assert replayed(tmp_path).n_done == 1


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
        {"metadata": 3},
    ],
)
def test_a_record_of_wrong_types_ends_the_journal(tmp_path: Path, change: Any) -> None:
    description = {"block": "a.wav", "of": 1, "first_frame": 0, "shape": [1, 1, 4]}
    records = [{"run": {}}, description, {**description, "first_frame": 1, **change}]
    (tmp_path / NAME).write_bytes(b"".join(map(record, records)))
    assert list(replayed(tmp_path).inputs["a.wav"].entries) == [0]


def test_a_huge_block_of_holes_is_not_read(tmp_path: Path) -> None:
    n_bytes = 4 * 2**39
    text = json.dumps({"block": "a", "of": 1, "first_frame": 0, "shape": [1, 2**9, 2**30]}).encode()
    path = tmp_path / NAME
    head = HEAD.pack(MAGIC, len(text), n_bytes, zlib.crc32(text), 0)
    path.write_bytes(record({"run": {}}) + head + text)
    os.truncate(path, path.stat().st_size + n_bytes)
    assert not replayed(tmp_path).inputs


def test_a_fifo_is_no_journal(tmp_path: Path) -> None:
    output = OutputSettings(path=tmp_path / "x.h5", format="hdf5")
    with WorkDir(output) as work_dir:
        pass  # it is kept, with its mark
    os.mkfifo(work_dir.folder / NAME)
    with pytest.raises(UsageError, match="is a link or no regular file"):
        WorkDir(output)


def record(description: Any) -> bytes:
    text = json.dumps(description).encode()
    values = b"" if "run" in description else np.arange(4, dtype="<f4").tobytes()
    head = HEAD.pack(MAGIC, len(text), len(values), zlib.crc32(text), zlib.crc32(values))
    return head + text + values
