"""Runs with faults, and what is always true of how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import workers_of, write_audio
from tests.stress.server import COUNT, NO_SPACE_FROM

HERE = Path(__file__).parent
SUMMARY = re.compile(
    r"^([\d,]+) inputs?: ([\d,]+) written, ([\d,]+) failed"
    r"(?:, [\d,]+ of them not tried)?(?:, ([\d,]+) skipped)?",
    re.M,
)


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        code: The exit code; negative: the signal that it died of.
        messages: What it said.
        n_calls: How often it changed something below its folder.
    """

    code: int
    messages: str
    n_calls: int


# What is killed: a run that computes in its own process, or of one with workers the process that
# coordinates, one of the workers, or both.
ALONE, COORDINATOR, WORKER, BOTH = "alone", "coordinator", "worker", "both"


class Server:
    """Starts runs; see ``server``."""

    def __init__(self, scratch: Path) -> None:
        shim = scratch / "shim.so"
        source = HERE / "shim.c"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True, timeout=300
        )
        self._messages = scratch / "messages"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
            env={**os.environ, "LD_PRELOAD": str(shim)},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self,
        arguments: Sequence[object],
        folder: Path,
        mode: int | None = COUNT,
        k: int = 0,
        kill_after: float | None = None,
        block_values: int = 2**13,
        victims: str = ALONE,
    ) -> Ended:
        """Run the program in ``folder`` to its end, or kill some of it after so many seconds."""
        request = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "below": str(folder) + "/",
            "messages": str(self._messages),
            "mode": mode,
            "k": k,
            "block_values": block_values,
            "pending_bytes": 1000,
            "has_workers": victims != ALONE,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        pid = json.loads(self._line())["pid"]
        timer = None
        if kill_after is not None:
            timer = threading.Timer(kill_after, _kill, [pid, victims])
            timer.start()
        ended = json.loads(self._line())
        if timer is not None:
            timer.cancel()
        messages = self._messages.read_text(encoding="utf-8") if self._messages.exists() else ""
        return Ended(ended["status"], messages, ended["n_calls"])

    def close(self) -> None:
        """End the server."""
        self._process.communicate(timeout=60)


def _kill(pid: int, victims: str) -> None:
    killed = workers_of(pid)[:1] if victims in (WORKER, BOTH) else []
    if victims != WORKER:
        killed.append(pid)
    for one in killed:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


@contextmanager
def server() -> Iterator[Server]:
    """Give a server with a scratch folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        served = Server(Path(scratch))
        try:
            yield served
        finally:
            served.close()


def make_audio(folder: Path) -> Path:
    """Make six inputs: short and long ones, WAV and FLAC, one to four channels, one truncated."""
    generator = np.random.default_rng(0)

    def noise(n_channels: int, n_samples: int) -> Any:
        return 0.1 * generator.standard_normal((n_channels, n_samples))

    write_audio(folder / "a.wav", noise(1, 3000), subtype="PCM_16")
    write_audio(folder / "long.flac", noise(2, 60_000))
    truncated = write_audio(folder / "night 1" / "truncated.wav", noise(1, 3000), subtype="PCM_16")
    os.truncate(truncated, 4000)
    write_audio(folder / "night 1" / "b.wav", noise(4, 5000), subtype="PCM_16")
    write_audio(folder / "night 2" / "c.flac", noise(1, 20_000), subtype="PCM_16")
    write_audio(folder / "night 2" / "d.wav", noise(2, 1000))
    return folder


def content(path: Path) -> dict[str, bytes] | None:
    """Return all that stands at ``path``, file by file; ``None`` if nothing does.

    The metadata beside a single array belongs to it.
    """
    if path.is_dir():
        return {
            str(file.relative_to(path)): file.read_bytes()
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
    if not path.exists():
        return None
    beside = path.with_name(path.name + ".json")
    return {one.name: one.read_bytes() for one in (path, beside) if one.exists()}


def counts(ended: Ended) -> tuple[int, int, int, int]:
    """Return the inputs, written, failed and skipped of a run that came to its end."""
    found = SUMMARY.search(ended.messages)
    assert found is not None, f"{ended.code}: {ended.messages!r}"
    n_inputs, written, failed, skipped = (int((n or "0").replace(",", "")) for n in found.groups())
    return n_inputs, written, failed, skipped


def check_valid(ended: Ended) -> None:
    """Hold what is true of every run that ends by itself: it says so, and its counts add up."""
    assert "Traceback" not in ended.messages, ended.messages
    if ended.code in (0, 1):
        n_inputs, written, failed, skipped = counts(ended)
        assert n_inputs == written + failed + skipped, ended.messages
        assert ended.code == 1 or failed == 0, ended.messages
        assert ended.code == 0 or failed > 0 or "cannot be" in ended.messages, ended.messages
    assert ended.code == 0 or ended.messages.strip(), f"{ended.code} without a word"


__all__ = [
    "ALONE",
    "BOTH",
    "COORDINATOR",
    "NO_SPACE_FROM",
    "WORKER",
    "Ended",
    "Server",
    "check_valid",
    "content",
    "counts",
    "make_audio",
    "server",
]
