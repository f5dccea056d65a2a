"""Merges that are killed, or whose disk fails, at many moments at which they change a file."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from kapre_cli.cli import run
from tests.conftest import blocks_of
from tests.stress.runs import Ended, Server, content, make_audio, server
from tests.stress.scenarios import KILLED, fresh
from tests.stress.server import (
    COUNT,
    ERROR_ONCE,
    KILL_BEFORE,
    KILL_HALFWAY,
    LOSE_ONCE,
    NO_SPACE_FROM,
)

if shutil.which("cc") is None:
    pytest.skip("no C compiler: the faults cannot be made", allow_module_level=True)

OUTPUTS: dict[str, tuple[str, ...]] = {"x.h5": ("--compression", "gzip"), "x": ()}
BLOCK_VALUES = 2**13


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with server() as running:
        yield running


class Merge:
    """A merge of two shards where an older output stands."""

    def __init__(self, served: Server, output: str, scratch: Path) -> None:
        self.served, self.output, self.scratch = served, output, scratch
        audio = make_audio(scratch / "audio")
        layer = ("melspectrogram", "--n-dft", 256, "--n-mels", 20, *OUTPUTS[output])
        self.parts = [scratch / f"{index} {output}" for index in (1, 2)]
        for index, part in enumerate(self.parts, 1):
            extract = [*layer, audio, "-o", part, "--shard", f"{index}/2"]
            assert run(list(map(str, extract))) in (0, 1)
        self.older = scratch / f"older {output}"
        assert run(list(map(str, [*layer, audio / "a.wav", "-o", self.older]))) == 0
        ended = self.begun(COUNT, 0)
        assert ended.code == 0, ended
        self.n_changes = ended.n_calls
        self.whole = content(self.folder / output)
        assert self.whole is not None

    @property
    def folder(self) -> Path:
        return self.scratch / "merge"

    def begun(self, mode: int, k: int) -> Ended:
        """Put the older output there and merge over it; the k-th change goes wrong."""
        fresh(self.folder)
        copy = shutil.copytree if self.older.is_dir() else shutil.copyfile
        copy(self.older, self.folder / self.output)
        self.before = content(self.folder / self.output)
        return self.merged(mode, k)

    def merged(self, mode: int = COUNT, k: int = 0) -> Ended:
        arguments = ("merge", *self.parts, "-o", self.output, "--overwrite")
        return self.served.run(arguments, self.folder, mode, k, block_values=BLOCK_VALUES)

    def require_either(self, where: str) -> bool:
        """Hold that the output is the old or the new one; return whether it is the new one."""
        found = content(self.folder / self.output)
        assert found in (self.before, self.whole), where
        return found == self.whole

    def require_undone(self) -> None:
        """Merge again, and hold that nothing is left of what went wrong."""
        ended = self.merged()
        assert ended.code == 0, ended
        assert content(self.folder / self.output) == self.whole
        assert os.listdir(self.folder) == [self.output]

    def moments(self, count: int) -> range:
        return range(1, self.n_changes + 1, max(self.n_changes // count, 1) | 1)


@pytest.fixture(params=OUTPUTS, scope="module")
def merge(
    request: pytest.FixtureRequest, served: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Merge]:
    with blocks_of(BLOCK_VALUES):
        yield Merge(served, request.param, tmp_path_factory.mktemp("merge"))


def test_a_kill_leaves_the_old_output_or_the_new_one(merge: Merge) -> None:
    last = range(merge.n_changes - 6, merge.n_changes + 1)
    news = []
    for number, k in enumerate((*merge.moments(4), *last)):
        ended = merge.begun((KILL_BEFORE, KILL_HALFWAY)[number % 2], k)
        if ended.code == KILLED:
            news.append(merge.require_either(f"killed at {k}"))
            merge.require_undone()
    assert len(news) > 7
    assert {*news} == {False, True}  # also once the output was in its place


@pytest.mark.parametrize("mode", [ERROR_ONCE, NO_SPACE_FROM])
def test_an_error_of_the_disk_is_told(mode: int, merge: Merge) -> None:
    n_failures = 0
    for k in merge.moments(5):
        ended = merge.begun(mode, k)
        assert "Traceback" not in ended.messages
        is_new = merge.require_either(f"failed at {k}")
        assert ("no output is written or changed" in ended.messages) != is_new, ended
        if ended.code != 0:
            assert (ended.code, "cannot be" in ended.messages) == (1, True), ended
            n_failures += 1
    assert n_failures > 2


def test_a_write_that_is_lost_is_noticed(merge: Merge) -> None:
    n_noticed = 0
    for k in merge.moments(7):
        ended = merge.begun(LOSE_ONCE, k)
        if ended.code == 0:  # axis labels are known from the layer, and not read back
            continue
        assert (ended.code, "cannot be read back" in ended.messages) == (1, True), ended
        assert not merge.require_either(f"lost at {k}")
        n_noticed += 1
    assert n_noticed > 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_file_that_cannot_grow_is_told_in_one_message(
    tmp_path: Path, compression: str, share: float
) -> None:
    random = np.random.default_rng(1)
    (tmp_path / "audio").mkdir()
    for number in range(40):
        sf.write(tmp_path / "audio" / f"{number}.wav", random.normal(0, 0.1, 3000), 16000)
    layer = ["spectrogram", "--n-dft", 256, "--compression", compression, tmp_path / "audio"]
    parts = [tmp_path / "1.h5", tmp_path / "2.h5"]
    for index, part in enumerate(parts, 1):
        assert run(list(map(str, [*layer, "-o", part, "--shard", f"{index}/2"]))) == 0
    limit = 1000 + int(share * (sum(part.stat().st_size for part in parts) - 20_000))

    def grow_no_file() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "kapre_cli", "merge", *parts, "-o", tmp_path / "x.h5"],
        preexec_fn=grow_no_file,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    path = tmp_path / "x.h5.partial" / "output"
    assert done.stderr.splitlines() == [
        f"kapre-extract: Error: '{path}' cannot be written: File too large",
        "2 outputs: no output is written or changed",
    ]
    assert sorted(os.listdir(tmp_path)) == ["1.h5", "2.h5", "audio"]
