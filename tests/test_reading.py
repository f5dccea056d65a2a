"""Inputs read by several threads: all of each arrives, once and in order, and never much ahead."""

import hashlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.errors import AudioReadError, FeatureError, OutputError, UsageError
from kapre_cli.pipeline import reading
from kapre_cli.pipeline.blocks import Block, frame_blocks
from kapre_cli.pipeline.reading import Bounds, End, Part, Readers
from kapre_cli.pipeline.work import Work
from kapre_cli.report import UNWATCHED, Watch
from kapre_cli.settings import (
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
    SpectrogramConfig,
)
from kapre_cli.sources import Source
from tests import reference
from tests.conftest import blocks_of, read_audio, write_audio

N_DFT, N_HOP = 64, 32
BOUNDS = Bounds()
SMALL = Bounds(ahead_values=5000, lot_values=2000)
BAD = ("no audio.wav", "other.flac", "gone.wav", "short.wav")


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


NAMES = (
    *(f"{number}.wav" for number in range(8)),
    *("a.flac", "b.flac", "long.wav", "long.flac"),
    *BAD,
)


def works_of(folder: Path, names: Iterable[str]) -> list[Work]:
    return [Work(Source(str(folder / name), name)) for name in names]


def readers_of(
    works: Iterable[Work],
    jobs: int | None = None,
    watch: Watch = UNWATCHED,
    *,
    sparing: bool = False,
    bounds: Bounds = BOUNDS,
) -> Readers:
    wanted = ExtractionSettings(
        layer=SpectrogramConfig(n_dft=N_DFT, n_hop=N_HOP, padding="valid"),
        audio=AudioSettings(sr=8000),
        output=OutputSettings(path=Path("out.h5"), format="hdf5"),
        jobs=jobs,
    )
    return Readers(works, wanted, watch, sparing=sparing, bounds=bounds)


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with blocks_of(32 * N_HOP):
        yield


def threads_of_readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("reader", "list")]


def open_files() -> list[str]:
    held = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # what lists them is among them
            held.append(os.readlink(one))
    return held


def require_whole(parts: list[Part], work: Work, folder: Path) -> None:
    """Hold what has come of an input against what its file has, or the reason that it has not."""
    name = work.source.key
    *blocks, end = parts
    assert isinstance(end, End)
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
    assert work.facts is not None
    assert work.facts.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@settings(max_examples=150)
@given(
    names=st.permutations(NAMES).flatmap(
        lambda names: st.integers(1, len(names)).map(lambda count: names[:count])
    ),
    jobs=st.one_of(st.none(), st.integers(1, 20)),
    n_block=st.integers(1, 500),
    lot=st.tuples(st.integers(0, 3000), st.integers(1, 10)),
    ahead=st.integers(0, 5000),
)
def test_every_block_and_end_arrives_once_and_in_order(
    names: list[str], jobs: int | None, n_block: int, lot: tuple[int, int], ahead: int, folder: Path
) -> None:
    works = works_of(folder, names)
    bounds = Bounds(ahead_values=ahead, lot_values=lot[0], lot_parts=lot[1])
    came: dict[str, list[Part]] = defaultdict(list)
    with blocks_of(n_block * N_HOP), readers_of(works, jobs, bounds=bounds) as readers:
        for part in readers:
            assert part is not None  # all inputs are known
            came[part.work.source.key].append(part)
    assert sorted(came) == sorted(names)
    for work in works:
        require_whole(came[work.source.key], work, folder)


@settings(max_examples=40)
@given(
    gaps=st.lists(st.booleans(), min_size=len(NAMES), max_size=len(NAMES)),
    jobs=st.integers(1, 5),
)
def test_inputs_that_come_one_after_another_are_all_read(
    gaps: list[bool], jobs: int, folder: Path
) -> None:
    """Where there is a gap the next input is named when all before it has been handed out."""
    works = works_of(folder, NAMES)
    may_go_on = threading.Semaphore(0)
    n_named = 0

    def coming() -> Iterator[Work]:
        nonlocal n_named
        for work, gap in zip(works, gaps, strict=True):
            if gap and n_named:
                assert may_go_on.acquire(timeout=60)
            n_named += 1
            yield work

    came: dict[str, list[Part]] = defaultdict(list)
    n_pauses = 0
    with readers_of(coming(), jobs) as readers:
        for part in readers:
            if part is not None:
                came[part.work.source.key].append(part)
                continue
            n_pauses += 1
            ended = [key for key, parts in came.items() if isinstance(parts[-1], End)]
            if len(ended) == n_named:  # else the next ones have been named meanwhile
                may_go_on.release()
    assert n_pauses >= sum(gaps[1:])
    for work in works:
        require_whole(came[work.source.key], work, folder)


def test_inputs_that_come_are_not_asked_for_long_before_they_are_begun(folder: Path) -> None:
    """Whoever names them may find meanwhile that others are too far behind."""
    works = works_of(folder, NAMES * 4)
    may_read = threading.Event()
    named: list[Work] = []

    class Held(Watch):
        def reading(self, key: str | None, reader: int = 0) -> None:  # noqa: ARG002
            assert key is None or may_read.wait(60)

    def coming() -> Iterator[Work]:
        for work in works:
            named.append(work)
            yield work

    with readers_of(coming(), 2, Held(), sparing=True) as readers:
        while len(named) < BOUNDS.named:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(named) <= 2 + BOUNDS.named < len(works)
        may_read.set()
        parts = list(readers)
    assert [part.work for part in parts if isinstance(part, End)].count(works[0]) == 1
    assert len({id(part.work) for part in parts if isinstance(part, End)}) == len(works)


def test_readers_that_wait_for_inputs_can_be_closed(folder: Path) -> None:
    """Whatever keeps them waiting is told first, as ``Readers`` says."""
    is_closed = threading.Event()
    works = works_of(folder, NAMES[:2])

    def coming() -> Iterator[Work]:
        yield from works
        is_closed.wait(60)

    readers = readers_of(coming(), 2)
    for part in readers:
        if part is None:
            break
    is_closed.set()
    readers.close()
    assert not threads_of_readers()


def test_what_goes_wrong_with_the_list_is_raised(folder: Path) -> None:
    def coming() -> Iterator[Work]:
        yield from works_of(folder, NAMES[:2])
        raise UsageError("no list")

    with readers_of(coming()) as readers, pytest.raises(UsageError, match="no list"):
        list(readers)


class Counter:
    """Counts the samples of the blocks that are read, as they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lock = threading.Lock()
        self.n_samples = 0
        monkeypatch.setattr(reading, "frame_blocks", self._frame_blocks)

    def _frame_blocks(self, *arguments: Any) -> Iterator[Block]:
        for block in frame_blocks(*arguments):
            with self._lock:
                self.n_samples += block.samples.size
            yield block


LOT = 2000 + 32 * N_HOP + N_DFT  # at most
N_LONG = 73_000  # samples, and more, of the three longest


def may_be_read(jobs: int) -> int:
    """Return how many samples at most have been read and not been taken out.

    They are what may wait, a lot over it, and one in the hands of the consumer and each reader.
    """
    return 5000 + (jobs + 2) * LOT


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("jobs", [1, 3])
def test_little_is_read_ahead(jobs: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, consumed, ahead = Counter(monkeypatch), 0, 0
    works = works_of(folder, ["long.wav", "long.flac", "a.flac"])
    with readers_of(works, jobs, bounds=SMALL) as readers:
        for part in readers:
            time.sleep(0.005)
            ahead = max(ahead, read.n_samples - consumed)
            consumed += part.samples.size if isinstance(part, Block) else 0
    assert consumed == read.n_samples > N_LONG
    assert 5000 < ahead <= may_be_read(jobs)


@pytest.mark.usefixtures("small_blocks")
def test_closing_in_the_middle_ends_the_threads_and_closes_the_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter(monkeypatch)
    works = works_of(folder, ["long.wav", "long.flac", "a.flac", "b.flac"])
    readers = readers_of(works, 3, bounds=SMALL)
    parts = iter(readers)
    assert isinstance(next(parts), Block)
    assert threads_of_readers()
    assert [path for path in open_files() if path.startswith(str(folder))]
    readers.close()
    assert read.n_samples <= may_be_read(3) < N_LONG
    assert not threads_of_readers()
    assert not [path for path in open_files() if path.startswith(str(folder))]


class Hanging(Watch):
    """Lets each reader hang, as a disk does that answers no more."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def crashes(self, key: str) -> tuple[str, ...]:  # noqa: ARG002
        self.answers.wait(120)
        return ()


@pytest.mark.parametrize("n", [1, 10])
def test_closing_does_not_wait_for_a_disk_that_hangs(n: int, folder: Path) -> None:
    disk, works = Hanging(), works_of(folder, ["0.wav", "a.flac", "b.flac", "long.wav"] * n)
    with readers_of(works, 4 * n, disk, bounds=Bounds(seconds_to_end=0.2)):
        hanging = threads_of_readers()
    assert len(hanging) == len(threads_of_readers()) == 4 * n
    disk.answers.set()
    for thread in hanging:
        thread.join(60)
        assert not thread.is_alive()


def test_threads_that_hang_share_the_time_that_closing_takes(folder: Path) -> None:
    disk, works = Hanging(), works_of(folder, ["0.wav"] * 200)
    begun = time.monotonic()
    with readers_of(works, 200, disk, bounds=Bounds(seconds_to_end=0.5)):
        hanging = threads_of_readers()
    disk.answers.set()
    assert time.monotonic() - begun < 60  # one after another: 100 seconds
    for thread in hanging:  # else the next test finds them
        thread.join(60)


def test_closing_waits_for_a_disk_that_answers(folder: Path) -> None:
    disk = Hanging()
    with readers_of(works_of(folder, ["0.wav", "a.flac"]), 2, disk):
        threading.Timer(0.1, disk.answers.set).start()
    assert disk.answers.is_set()
    assert not threads_of_readers()


def works_of_which_one_raises(
    raised: type[BaseException], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Work]:
    """Return inputs of which ``a.flac`` raises an exception in the thread that reads it."""

    def failing(work: Work, *arguments: Any) -> Iterator[Block]:
        yield from frame_blocks(work, *arguments)
        if work.source.key == "a.flac":
            raise raised("in a thread")

    monkeypatch.setattr(reading, "frame_blocks", failing)
    return works_of(folder, ["long.wav", "a.flac", "long.flac", "0.wav", "1.wav"])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("raised", [ZeroDivisionError, RecursionError, MemoryError, KeyError])
def test_any_exception_ends_one_input_alone(
    raised: type[Exception], jobs: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = works_of_which_one_raises(raised, folder, monkeypatch)
    with readers_of(works, jobs, bounds=SMALL) as readers:
        ends = [part for part in readers if isinstance(part, End)]
    failures = {end.work.source.key: end.failure for end in ends}
    assert set(failures) == {work.source.key for work in works}
    failure = failures.pop("a.flac")
    assert isinstance(failure, AudioReadError)
    assert isinstance(failure.__cause__, raised)
    assert set(failures.values()) == {None}
    assert not threads_of_readers()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("raised", [OutputError, KeyboardInterrupt])
def test_what_is_no_fault_of_an_input_is_raised_where_it_is_seen(
    raised: type[BaseException], jobs: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = works_of_which_one_raises(raised, folder, monkeypatch)
    with (
        readers_of(works, jobs, bounds=SMALL) as readers,
        pytest.raises(raised, match="in a thread"),
    ):
        list(readers)
    assert not threads_of_readers()


@pytest.mark.usefixtures("small_blocks")
def test_an_input_that_has_failed_meanwhile_is_not_read_on(folder: Path) -> None:
    work, other = works_of(folder, ["long.wav", "0.wav"])
    n_blocks = 0
    with readers_of([work, other], 1, bounds=SMALL) as readers:
        for part in readers:
            if part is not None and part.work is work:
                n_blocks += isinstance(part, Block)
                work.failed = True
    assert 0 < n_blocks < 20  # of 40
    assert work.facts is not None
    assert work.facts.sha256 == ""
    assert other.facts is not None
    assert other.facts.sha256


class Noted(Watch):
    """Takes note of what it is told."""

    def __init__(self, *, again: bool) -> None:
        self.again = again
        self.told: list[tuple[str | None, int]] = []

    def reading(self, key: str | None, reader: int = 0) -> None:
        self.told.append((key, reader))

    def crashes(self, key: str) -> tuple[str, ...]:
        return {"0.wav": ("SIGSEGV",), "1.wav": ("SIGSEGV", "SIGBUS")}.get(key, ())


@pytest.mark.parametrize("again", [False, True])
def test_a_watch_knows_what_is_read_and_after_a_crash_one_is_read_at_a_time(
    again: bool, folder: Path
) -> None:
    watch = Noted(again=again)
    with readers_of(works_of(folder, NAMES), 3, watch) as readers:
        ends = {part.work.source.key: part.failure for part in readers if isinstance(part, End)}
    by_reader: dict[int, list[str | None]] = defaultdict(list)
    for key, reader in watch.told:
        by_reader[reader].append(key)
    assert sorted(by_reader) == ([0] if again else [0, 1, 2])
    for keys in by_reader.values():
        assert keys.pop() is None
    assert sorted(key for keys in by_reader.values() for key in keys if key) == sorted(NAMES)
    if again:
        assert by_reader[0] == [*NAMES]
    assert ends["0.wav"] is None  # once may have been another's fault
    assert "the program crashed 2 times (SIGSEGV, SIGBUS) while" in str(ends["1.wav"])
    assert {key for key, failure in ends.items() if failure} == {"1.wav", *BAD}
