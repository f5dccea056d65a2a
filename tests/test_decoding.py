"""Inputs decoded ahead: all of each arrives, once and in order, and never much ahead."""

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.errors import AudioReadError, FeatureError, OutputError
from kapre_cli.extraction import decode, decode_ahead
from kapre_cli.extraction.decode import (
    ActiveInput,
    Block,
    EndOfInput,
    Item,
    PlannedBlock,
    decoded,
    frame_blocks,
)
from kapre_cli.extraction.decode_ahead import DecodeAhead
from kapre_cli.extraction.tasks import TaskInput
from kapre_cli.inputs import Source
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.settings import AudioSettings, ExtractionSettings, OutputSettings
from tests import reference
from tests.conftest import blocks_of, read_audio, write_audio

N_DFT, N_HOP = 64, 32
SETTINGS = ExtractionSettings(
    layer=SpectrogramConfig(n_dft=N_DFT, n_hop=N_HOP, padding="valid"),
    audio=AudioSettings(sr=8000),
    output=OutputSettings(path=Path("out.h5"), format="hdf5"),
)
BAD = ("no audio.wav", "other.flac", "gone.wav", "short.wav")
NAMES = (
    *(f"{number}.wav" for number in range(8)),
    *("a.flac", "b.flac", "long.wav", "long.flac"),
    *BAD,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make short and long inputs of one to five channels, and four that fail."""
    folder = tmp_path_factory.mktemp("audio")
    for number in range(8):
        write_audio(folder / f"{number}.wav", reference.noise(1, 500 + number, number))
    write_audio(folder / "a.flac", reference.noise(2, 3001, 20))
    write_audio(folder / "b.flac", reference.noise(5, 700, 21))
    write_audio(folder / "long.wav", reference.noise(2, 20_011, 22))
    write_audio(folder / "long.flac", reference.noise(1, 30_000, 23))
    (folder / "no audio.wav").write_bytes(b"no audio")
    other = write_audio(folder / "other.flac", reference.noise(1, 30_000, 24))
    content = bytearray(other.read_bytes())
    content[30] ^= 1  # of the MD5, which is compared when all has been read
    other.write_bytes(content)
    write_audio(folder / "short.wav", reference.noise(1, N_DFT - 1))
    return folder


def items_of(folder: Path, names: Iterable[str], **known: Any) -> Iterator[Item]:
    """Yield what is decoded of files; no journal is needed for that."""
    for number, name in enumerate(names):
        one = TaskInput(number, Source(str(folder / name), name), **known)
        yield from decoded([one], SETTINGS, None)  # type: ignore[arg-type]


def open_files() -> list[str]:
    held = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # what lists them is among them
            held.append(os.readlink(one))
    return held


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "decoder"]


def require_whole(items: list[Item], name: str, folder: Path) -> None:
    """Compare what has come of an input with what its file has."""
    active, *blocks, end = items
    assert isinstance(active, ActiveInput)
    assert isinstance(end, EndOfInput)
    if name in BAD:
        assert isinstance(end.failure, FeatureError if name == "short.wav" else AudioReadError)
        assert bool(blocks) == (name == "other.flac")
        return
    assert end.failure is None
    signal, seen = read_audio(folder / name), 0
    for block in blocks:
        assert isinstance(block, Block)
        assert block.first_frame == seen
        start = seen * N_HOP
        stop = start + (block.n_frames - 1) * N_HOP + N_DFT
        np.testing.assert_array_equal(block.samples, signal[:, start:stop].astype(np.float32))
        seen += block.n_frames
    assert seen == (signal.shape[1] - N_DFT) // N_HOP + 1
    assert active.n_pending == len(blocks)
    assert active.metadata is not None
    assert active.metadata.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@contextmanager
def bounded(ahead_values: int, chunk_values: int, chunk_items: int) -> Iterator[None]:
    """Let so much be decoded ahead, and handed over at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_ahead, "AHEAD_VALUES", ahead_values)
        patch.setattr(decode_ahead, "CHUNK_VALUES", chunk_values)
        patch.setattr(decode_ahead, "CHUNK_ITEMS", chunk_items)
        yield


@settings(max_examples=100)
@given(
    names=st.permutations(NAMES).flatmap(
        lambda names: st.integers(1, len(names)).map(lambda count: names[:count])
    ),
    n_block=st.integers(1, 500),
    chunk=st.tuples(st.integers(0, 3000), st.integers(1, 10)),
    ahead=st.integers(0, 5000),
    gaps=st.sets(st.integers(0, 20)),
)
def test_every_item_arrives_once_and_in_order(
    names: list[str],
    n_block: int,
    chunk: tuple[int, int],
    ahead: int,
    gaps: set[int],
    folder: Path,
) -> None:
    """And where the next may take a while, all before it has arrived."""
    may_go_on = threading.Semaphore(0)

    def coming() -> Iterator[Item | None]:
        for number, name in enumerate(names):
            if number in gaps:
                yield None
                assert may_go_on.acquire(timeout=60)
            yield from items_of(folder, [name])

    came: list[list[Item]] = []
    n_pauses = 0
    with (
        blocks_of(n_block * N_HOP),
        bounded(ahead, *chunk),
        DecodeAhead(coming()) as items,
    ):
        for item in items:
            if item is None:
                n_pauses += 1
                may_go_on.release()
            elif isinstance(item, ActiveInput):
                came.append([item])
            else:
                came[-1].append(item)
    assert n_pauses == len([gap for gap in gaps if gap < len(names)])
    for name, parts in zip(names, came, strict=True):
        require_whole(parts, name, folder)
    assert not decoders()


def test_blocks_that_have_been_computed_are_left_out(folder: Path) -> None:
    with blocks_of(32 * N_HOP):
        active, *blocks, _ = items_of(folder, ["long.flac"])
        assert isinstance(active, ActiveInput)
        spans = [(b.first_frame, b.n_frames) for b in blocks if isinstance(b, Block)]
        assert len(spans) > 10
        kept = (spans[0], spans[5], (spans[6][0], spans[6][1] - 1))  # the last cut otherwise
        for state in (active.state, active.state ^ 1):
            again, *others, _ = items_of(folder, ["long.flac"], state=state, blocks=kept)
            assert isinstance(again, ActiveInput)
            firsts = [b.first_frame for b in others if isinstance(b, Block)]
            gone = {spans[0][0], spans[5][0]} if state == active.state else set()
            assert firsts == [first for first, _ in spans if first not in gone]
            assert {*again.reused} == gone
            assert again.n_pending == len(firsts)


class Counter:
    """Counts the samples of the blocks that are decoded, as they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_samples = 0
        monkeypatch.setattr(decode, "frame_blocks", self._frame_blocks)

    def _frame_blocks(self, *arguments: Any) -> Iterator[Block]:
        for block in frame_blocks(*arguments):
            self.n_samples += block.samples.size
            yield block


MAY_BE_DECODED = 5000 + 3 * (2000 + 32 * N_HOP + N_DFT)  # what may wait, and a chunk on each side
LONG = ("long.wav", "long.flac", "a.flac")
N_LONG = 73_000  # samples of these, and more


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with blocks_of(32 * N_HOP), bounded(5000, 2000, 128):
        yield


@pytest.mark.usefixtures("small_blocks")
def test_little_is_decoded_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, consumed, ahead = Counter(monkeypatch), 0, 0
    with DecodeAhead(items_of(folder, LONG)) as items:
        for item in items:
            time.sleep(0.005)
            ahead = max(ahead, read.n_samples - consumed)
            consumed += item.samples.size if isinstance(item, Block) else 0
    assert consumed == read.n_samples > N_LONG
    assert 5000 < ahead <= MAY_BE_DECODED


@pytest.mark.usefixtures("small_blocks")
def test_closing_in_the_middle_ends_the_thread_and_closes_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter(monkeypatch)
    ahead = DecodeAhead(items_of(folder, LONG))
    items = iter(ahead)
    assert isinstance(next(items), ActiveInput)
    assert decoders()
    assert [path for path in open_files() if path.startswith(str(folder))]
    ahead.close()
    assert read.n_samples <= MAY_BE_DECODED < N_LONG
    assert not decoders()
    assert not [path for path in open_files() if path.startswith(str(folder))]


def test_closing_does_not_wait_for_a_disk_that_hangs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def hanging(*_: Any) -> Iterator[Block]:
        answers.wait(120)
        yield from ()

    monkeypatch.setattr(decode, "frame_blocks", hanging)
    monkeypatch.setattr(decode_ahead, "SECONDS_TO_END", 0.2)
    with DecodeAhead(items_of(folder, ["0.wav"])):
        pass
    (thread,) = decoders()
    answers.set()
    thread.join(60)
    assert not thread.is_alive()


def one_raises(
    raised: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Item]:
    """Return what is decoded of inputs of which ``a.flac`` raises an exception."""

    def failing(planned: list[PlannedBlock], *arguments: Any) -> Iterator[Block]:
        yield from frame_blocks(planned, *arguments)
        if planned[0].input.source.key == "a.flac":
            raise raised("in a thread")

    monkeypatch.setattr(decode, "frame_blocks", failing)
    return items_of(folder, ["long.wav", "a.flac", "long.flac", "0.wav", "1.wav"])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("raised", [ZeroDivisionError, RecursionError, MemoryError, KeyError])
def test_any_exception_ends_one_input_alone(
    raised: type[Exception], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DecodeAhead(one_raises(raised, folder, monkeypatch)) as items:
        ends = [item for item in items if isinstance(item, EndOfInput)]
    assert len(ends) == 5
    failures = {end.input.source.key: end.failure for end in ends}
    failure = failures.pop("a.flac")
    assert isinstance(failure, AudioReadError)
    assert isinstance(failure.__cause__, raised)
    assert set(failures.values()) == {None}


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("raised", [OutputError, KeyboardInterrupt])
def test_what_is_no_fault_of_an_input_is_raised_where_it_is_seen(
    raised: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        DecodeAhead(one_raises(raised, folder, monkeypatch)) as items,
        pytest.raises(raised, match="in a thread"),
    ):
        list(items)
    assert not decoders()


@pytest.mark.usefixtures("small_blocks")
def test_an_input_that_has_failed_meanwhile_is_not_read_on(folder: Path) -> None:
    n_blocks = 0
    actives: list[ActiveInput] = []
    with DecodeAhead(items_of(folder, ["long.wav", "0.wav"])) as items:
        for item in items:
            if isinstance(item, ActiveInput):
                actives.append(item)
            elif isinstance(item, Block) and item.input is actives[0]:
                n_blocks += 1
                item.input.has_failed = True
    assert 0 < n_blocks < 20  # of 40
    long, other = (active.metadata for active in actives)
    assert long is not None
    assert long.sha256 == ""
    assert other is not None
    assert other.sha256
