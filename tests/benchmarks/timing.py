"""What a process takes: wall seconds, processor seconds, memory."""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 2**10
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Spent:
    """What one process and all that it started took.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of all cores together, of user and system.
        peak: Bytes of memory: of the largest process, or of all together if they were watched.
        printed: Its standard output.
    """

    wall: float
    cpu: float
    peak: int
    printed: str


def spend(command: Sequence[str], *, look_every: float | None = None) -> Spent:
    """Run a command to its end, on the processor even beside a GPU.

    Args:
        command: The program and its arguments; the root of this checkout is its folder.
        look_every: Seconds from one look at the memory of its whole tree of processes to the
            next: a look takes some milliseconds, in which the process cannot have more memory.
            ``None``: the kernel's high-water mark is enough, which knows the largest process only.

    Raises:
        RuntimeError: If it fails.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        running = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        memory = _TreeMemory(running.pid)
        with memory.watched(look_every) if look_every else nullcontext():
            _, status, usage = os.wait4(running.pid, 0)
        wall = time.perf_counter() - begun
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode != 0:
            err.seek(0)
            said = err.read().decode(errors="replace")
            raise RuntimeError(f"exit code {running.returncode} of {command}:\n{said[-2000:]}")
        out.seek(0)
        return Spent(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(usage.ru_maxrss * _MAXRSS_UNIT, memory.peak),
            printed=out.read().decode(),
        )


def alternating(
    commands: Mapping[str, Sequence[str]], rounds: int, output: Path
) -> dict[str, "Rounds"]:
    """Run every command once, then every one again, and so on.

    A round before the first warms the page cache and writes ``.pyc`` files. It is not timed, and
    memory is looked at in this round alone, so that no looking is timed.

    Args:
        commands: By their names.
        rounds: How often each is timed.
        output: What they may write; removed before each.
    """
    spent: dict[str, list[Spent]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            output.unlink(missing_ok=True)
            spent[name].append(spend(command, look_every=None if number else _LOOK_SECONDS))
        sys.stderr.write(f"round {number} of {rounds}\n" if number else "warmed up\n")
    output.unlink(missing_ok=True)
    return {name: Rounds(runs[0], tuple(runs[1:])) for name, runs in spent.items()}


@dataclass(frozen=True)
class Rounds:
    """One command, run again and again.

    Attributes:
        warming: Its first run, which was watched.
        timed: All others.
    """

    warming: Spent
    timed: tuple[Spent, ...]

    @property
    def wall(self) -> float:
        """The median of its wall seconds."""
        return statistics.median(spent.wall for spent in self.timed)

    @property
    def cpu(self) -> float:
        """The median of its processor seconds."""
        return statistics.median(spent.cpu for spent in self.timed)

    @property
    def peak(self) -> int:
        """The most memory that a run has taken, in bytes."""
        return max(spent.peak for spent in (self.warming, *self.timed))


class _TreeMemory:
    """The memory of a process and of all its descendants, looked at again and again.

    Memory of their own (anonymous) counts by the share that each has in it, so that what a fork
    shares with its parent counts once. Pages of files (the code of libraries) count as those of
    the process that has most of them; their share would depend on what else the machine runs.

    Attributes:
        peak: The most that was seen, in bytes; 0 on systems without Linux' ``/proc``.
    """

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._ended = threading.Event()

    @contextmanager
    def watched(self, look_every: float) -> Iterator[None]:
        """Look every so many seconds until the block ends."""
        looking = threading.Thread(target=self._look, args=(look_every,))
        looking.start()
        try:
            yield
        finally:
            self._ended.set()
            looking.join(timeout=60)

    def _look(self, look_every: float) -> None:
        while not self._ended.wait(look_every):
            each = [_memory(pid) for pid in _tree(self._pid)]
            own = sum(memory[0] for memory in each)
            of_files = max(memory[1] for memory in each)
            self.peak = max(self.peak, own + of_files)


def _tree(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants that have not ended."""
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
            for child in children:
                yield from _tree(int(child))


def _memory(pid: int) -> tuple[int, int]:
    """Return the bytes of a process that are its own, and those of files; 0 once it has ended."""
    try:
        shares = Path(f"/proc/{pid}/smaps_rollup").read_text()
        whole = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    own = _kibibytes(shares, "Pss_Anon:") + _kibibytes(shares, "Pss_Shmem:")
    return 2**10 * own, 2**10 * _kibibytes(whole, "RssFile:")


def _kibibytes(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
