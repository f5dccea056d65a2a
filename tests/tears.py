"""Outputs torn by a disk or a crash, and how reading them ends.

A process of its own reads every torn output, so that the one that counts survives a crash or a
hang. Little is imported here: the processes are forked again and again.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kapre_cli
from kapre_cli.cli import run
from kapre_cli.errors import StoredDataError

BLOCK = 512  # bytes of a disk's sector
PATIENCE = 10.0  # seconds


def content(output: Path) -> list[Any]:
    """Return everything that can be read of an output."""
    with kapre_cli.open_features(output) as features:
        read: list[Any] = [features.layer, features.settings]
        # Rounding is forgiven in the frequencies, which have no checksum.
        read.append([float(f"{hz:.6g}") for hz in features.frequency])
        for key, array in features.items():
            read += [key, array.metadata, array.axes, array[:].tobytes()]
            array.verify()
    return read


def tear(data: bytes, chance: random.Random) -> bytes:
    """Return a file's bytes with one thing wrong with them."""
    torn = bytearray(data)
    place = chance.randrange(len(data))
    block = slice(place // BLOCK * BLOCK, place // BLOCK * BLOCK + BLOCK)
    kind = chance.choice(("cut", "zeros", "noise", "stale", "bit"))
    if kind == "cut":
        del torn[place:]
    elif kind == "zeros":
        torn[block] = bytes(len(torn[block]))
    elif kind == "noise":
        torn[block] = chance.randbytes(len(torn[block]))
    elif kind == "stale":
        start = chance.randrange(-(-len(data) // BLOCK)) * BLOCK
        size = min(len(torn[block]), len(data) - start)
        torn[block.start : block.start + size] = data[start : start + size]
    else:
        torn[place] ^= 1 << chance.randrange(8)
    return bytes(torn)


def fate_of(output: Path, truth: Any, read: Callable[[Path], Any]) -> str:
    """Return what becomes of a process that reads ``output``."""
    child = os.fork()
    if child == 0:
        fate = 3
        try:
            fate = 0 if read(output) == truth else 2
        except StoredDataError:
            fate = 1
        finally:
            os._exit(fate)
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hung"
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    fates = ("same", "error", "read other values", "another exception")
    return fates[os.WEXITSTATUS(status)]


def fates(output: Path, work: Path, number: int, read: Callable[[Path], Any]) -> Iterator[str]:
    truth = read(output)
    for name in (output.name, f"{output.name}.json"):
        whole = output.with_name(name)
        if whole.is_dir():
            shutil.copytree(whole, work / name)
        elif whole.exists():
            shutil.copy(whole, work / name)
    files = sorted(path for path in work.rglob("*") if path.is_file())
    sizes = [file.stat().st_size for file in files]
    chance = random.Random(number)  # noqa: S311
    while number:
        (file,) = chance.choices(files, sizes)
        data = file.read_bytes()
        torn = tear(data, chance)
        if torn == data:
            continue
        number -= 1
        file.write_bytes(torn)
        yield fate_of(work / output.name, truth, read)
        file.write_bytes(data)


def verdict(output: Path) -> int:
    """Return the exit code of a check that finds nothing wrong."""
    code = run(["verify", str(output)])
    if code == 1:
        raise StoredDataError("wrong")
    return code


def counted(output: Path, work: Path, number: int, reader: str) -> tuple[Counter[str], str]:
    """Return how often each fate was met in so many tears, and all that was said meanwhile."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.tears", output, work, str(number), reader],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[1],
    )
    assert ended.returncode == 0, ended.stderr
    return Counter(json.loads(ended.stdout.splitlines()[-1])), ended.stderr


READERS: dict[str, Callable[[Path], Any]] = {"content": content, "verdict": verdict}

if __name__ == "__main__":
    found = fates(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), READERS[sys.argv[4]])
    print(json.dumps(Counter(found)))  # noqa: T201
