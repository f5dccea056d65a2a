"""What a run must withstand: kills, errors and full disks, at any moment and at every one.

Each function returns figures to be printed, and raises ``AssertionError`` at the first output
that is damaged, incomplete or not what an undisturbed run writes.
"""

import itertools
import math
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kapre_cli import open_features
from tests.stress.runs import (
    ALONE,
    BOTH,
    COORDINATOR,
    WORKER,
    Ended,
    Server,
    check_valid,
    content,
)
from tests.stress.server import (
    ERROR_ONCE,
    KILL_BEFORE,
    KILL_HALFWAY,
    LOSE_ONCE,
    NO_SPACE_FROM,
)

OUTPUTS = ("x.h5", "gzip.h5", "x.npy", "x")
LAYER = ("--n-dft", 256, "--n-hop", 128, "--n-mels", 20, "--decibel")
OLDER_LAYER = (*LAYER, "--n-mels", 10)
KILLED = -9


@dataclass
class Case:
    """One command and what it writes when nothing disturbs it.

    Attributes:
        inputs: The inputs.
        output: The output's name.
        more: More options.
        whole: The output, file by file.
        older: An output of other settings, file by file.
        code: How the undisturbed run ends.
        n_calls: How often it changes something.
        seconds: How long it takes.
    """

    inputs: tuple[Path, ...]
    output: str
    more: tuple[object, ...]
    whole: dict[str, bytes]
    older: dict[str, bytes]
    code: int
    n_calls: int
    seconds: float

    def arguments(self, *more: object) -> list[object]:
        """Return the command line."""
        return ["melspectrogram", *self.inputs, "-o", self.output, *LAYER, *self.more, *more]

    def begin(self, folder: Path, replacing: bool) -> tuple[Path, tuple[str, ...]]:
        """Empty a folder; put the older output there if a run is to replace it.

        Returns:
            The folder, and the options that the run needs.
        """
        fresh(folder)
        if not replacing:
            return folder, ()
        below = folder / self.output if self.is_folder else folder
        for name, data in self.older.items():
            (below / name).parent.mkdir(parents=True, exist_ok=True)
            (below / name).write_bytes(data)
        return folder, ("--overwrite",)

    @property
    def is_folder(self) -> bool:
        """Whether the output is a folder."""
        return "." not in self.output

    def require_whole_or(self, before: dict[str, bytes] | None, folder: Path, where: str) -> None:
        """Hold that the output is the whole one, or what stood there before."""
        found = content(folder / self.output)
        if found is not None and self.output.endswith(".npy") and self.output not in found:
            found = None  # metadata alone are no output
        if found is None and (folder / f"{self.output}.partial" / "replaced").exists():
            return  # two files: the older ones are moved away first, and put back by the next run
        assert found in (before, self.whole), f"damaged output: {self.output}, {where}"


def cases(served: Server, audio: Path, scratch: Path, outputs: Iterable[str]) -> list[Case]:
    """Return a case for each output: ``x.h5``, ``gzip.h5``, ``x.npy`` or ``x``."""
    made = []
    for output in outputs:
        inputs = (audio / "long.flac",) if output.endswith(".npy") else (audio,)
        more = ("--compression", "gzip") if output.startswith("gzip") else ()
        wholes, seconds = [], math.inf
        for layer in (OLDER_LAYER, LAYER):
            folder = fresh(scratch / "undisturbed" / output)
            arguments = ["melspectrogram", *inputs, "-o", output, *layer, *more]
            begun = time.monotonic()
            ended = served.run(arguments, folder)
            seconds = min(seconds, time.monotonic() - begun)
            check_valid(ended)
            found = content(folder / output)
            assert found is not None, ended
            wholes.append(found)
        older, whole = wholes
        made.append(Case(inputs, output, more, whole, older, ended.code, ended.n_calls, seconds))
    return made


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _finish(served: Server, case: Case, folder: Path, *more: object) -> Ended:
    """Resume an interrupted run to its end, undisturbed, and hold its output against the whole."""
    ended = served.run(case.arguments("--resume", *more), folder)
    check_valid(ended)
    assert ended.code == case.code, ended
    assert content(folder / case.output) == case.whole, f"{case.output} differs after {more}"
    assert sorted(os.listdir(folder)) == sorted(
        {case.output} if case.is_folder else set(case.whole)
    ), os.listdir(folder)
    return ended


def random_kills(
    served: Server, all_cases: list[Case], scratch: Path, count: int, seed: int = 0
) -> Counter[str]:
    """Kill runs at random moments, resume them to their end, compare; until ``count`` kills.

    What is killed is the process that coordinates, with no other or with workers, one worker, or
    both.
    """
    chance, figures = random.Random(seed), Counter[str]()  # noqa: S311 - chance, not secrecy
    for number in itertools.count():
        if figures["kills"] >= count:
            return figures
        case = all_cases[number % len(all_cases)]
        replacing = number // len(all_cases) % 2 == 1
        folder, more = case.begin(scratch / "killed", replacing)
        options: tuple[object, ...] = more
        while True:
            delay = chance.uniform(0, 1.2 * case.seconds)
            victims = chance.choice((ALONE, COORDINATOR, WORKER, BOTH))
            ended = served.run(case.arguments(*options), folder, kill_after=delay, victims=victims)
            figures["kills of workers"] += "a worker process died" in ended.messages
            if "another run is writing" in ended.messages:
                time.sleep(0.05)  # the process that did the work is still being taken down
                continue
            if ended.code != KILLED:
                break
            figures["kills"] += 1
            figures["of which with workers"] += victims != ALONE
            figures["of which at the same time as a worker"] += victims == BOTH
            figures["kills while work was kept"] += _journal_bytes(folder, case) > 0
            before = case.older if replacing else None
            case.require_whole_or(before, folder, f"killed after {delay:.3f} s")
            options = ("--resume", *more)
        check_valid(ended)
        assert ended.code == case.code, ended
        assert content(folder / case.output) == case.whole, f"{case.output} differs"
        figures["runs to the end"] += 1
    raise AssertionError


def _journal_bytes(folder: Path, case: Case) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"{case.output}.partial/journal-*"))


def kill_at_changes(
    served: Server, case: Case, scratch: Path, steps: Iterable[int], *, always_replace: bool = False
) -> Counter[str]:
    """Kill a run at its k-th change, before it or half-way through a write, for each k."""
    figures = Counter[str]()
    for k in steps:
        replacing = always_replace or k % 2 == 1
        folder, more = case.begin(scratch / "killed", replacing)
        mode = (KILL_BEFORE, KILL_HALFWAY)[k // 2 % 2]
        ended = served.run(case.arguments(*more), folder, mode, k)
        if ended.code != KILLED:
            assert ended.code == case.code, ended  # it has fewer changes than that
            continue
        figures["kills"] += 1
        case.require_whole_or(case.older if replacing else None, folder, f"killed at {k}")
        _finish(served, case, folder, *more)
    return figures


def errors_at_changes(
    served: Server, case: Case, scratch: Path, mode: int, steps: Iterable[int]
) -> Counter[str]:
    """Let the k-th change fail, or all writes from it on, for each k."""
    figures = Counter[str]()
    for k in steps:
        replacing = k % 2 == 1
        folder, more = case.begin(scratch / "failed", replacing)
        ended = served.run(case.arguments(*more), folder, mode, k)
        if ended.n_calls < k or (mode == NO_SPACE_FROM and not _said_full(ended)):
            assert ended.code == case.code, ended  # there was nothing left to fail
            continue
        figures["failures"] += 1
        check_valid(ended)
        assert ended.code == 1, f"at {k}: {ended}"
        assert "cannot be" in ended.messages, f"at {k}: {ended}"
        case.require_whole_or(case.older if replacing else None, folder, f"failed at {k}")
        # What it says of the output is true, also if an error comes when that is in its place.
        is_there = content(folder / case.output) == case.whole
        says_none = "no output is written or changed" in ended.messages
        assert is_there != says_none, f"at {k}: {ended}"
        _finish(served, case, folder, *more)
    return figures


def lost_writes(served: Server, case: Case, scratch: Path, steps: Iterable[int]) -> Counter[str]:
    """Let the k-th write be lost without an error, as disks and libraries have been seen to do.

    Reading back does not look at two things in an HDF5 file that have no part in the arrays and
    their metadata: the heap of the axis labels, which are known from the layer, and the mark of an
    open file. Such a loss is counted apart.
    """
    figures = Counter[str]()
    for k in steps:
        folder, more = case.begin(scratch / "lost", replacing=True)
        ended = served.run(case.arguments(*more), folder, LOSE_ONCE, k)
        check_valid(ended)
        if case.output.endswith(".h5") and _is_whole_but_for_labels(folder / case.output, scratch):
            figures["lost beside the arrays"] += 1
            continue
        case.require_whole_or(case.older, folder, f"lost at {k}")
        if content(folder / case.output) == case.whole:
            figures["did no harm"] += 1
            assert ended.code == case.code, f"at {k}: {ended}"
            continue
        figures["noticed"] += 1
        assert ended.code == 1, f"at {k}: {ended}"
        _finish(served, case, folder, *more)
    return figures


def _is_whole_but_for_labels(output: Path, scratch: Path) -> bool:
    """Whether an output has the arrays and metadata of the undisturbed one, and other bytes."""
    whole = scratch / "undisturbed" / output.name / output.name
    if not whole.exists() or output.read_bytes() == whole.read_bytes():
        return False
    with open_features(output) as found, open_features(whole) as expected:
        return found.root == expected.root and [
            (key, array.metadata, array[()].tobytes()) for key, array in found.items()
        ] == [(key, array.metadata, array[()].tobytes()) for key, array in expected.items()]


def _said_full(ended: Ended) -> bool:
    return ended.code != 0 and "No space left on device" in ended.messages


@contextmanager
def small_disk(mount_point: Path, n_bytes: int) -> Iterator[None]:
    """Mount a file system in memory of so many bytes.

    Raises:
        PermissionError: If this user may not.
    """
    mount_point.mkdir(exist_ok=True)
    ended = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", mount_point],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if ended.returncode != 0:
        raise PermissionError(ended.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", mount_point], check=True, timeout=300)


def full_disks(served: Server, case: Case, scratch: Path, sizes: Iterable[int]) -> Counter[str]:
    """Run on disks too small for the output, then give the disk more room and resume."""
    figures = Counter[str]()
    for size in sizes:
        with small_disk(scratch / "disk", size):
            folder = scratch / "disk"
            ended = served.run(case.arguments(), folder)
            check_valid(ended)
            if "written or changed" not in ended.messages:
                assert content(folder / case.output) == case.whole
                figures["fit"] += 1
                continue
            figures["too small"] += 1
            assert ended.code == 1, ended
            assert "No space left" in ended.messages or "are free" in ended.messages, ended
            assert content(folder / case.output) is None
            subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True, timeout=300)
            _finish(served, case, folder)
    return figures


__all__ = [
    "ERROR_ONCE",
    "NO_SPACE_FROM",
    "OUTPUTS",
    "Case",
    "cases",
    "errors_at_changes",
    "fresh",
    "full_disks",
    "kill_at_changes",
    "lost_writes",
    "random_kills",
    "small_disk",
]
