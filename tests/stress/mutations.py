"""Damaged audio by the million: nothing but an AudioReadError may come of it, and soon.

Every case follows from its number alone. Worker processes take the numbers in turn; one that
dies or hangs is named with its number, counted, and replaced.
"""

import io
import multiprocessing
import os
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from kapre_cli.audio.reader import AudioReader
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac

SLOW_SECONDS = 5.0  # for one case, whose file has a few kilobytes
HANG_SECONDS = 60.0
MEMORY_BYTES = 4 * 2**30  # address space of a worker: more would mean an array sized by a header

_REPORT_SECONDS = 0.2
_HEADER_BYTES = 120
_SIZES = (0, 1, 2, 3, 7, 8, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000)
_SIZES_END = (0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)


@cache
def healthy() -> tuple[bytes, ...]:
    """Return the files that are damaged: every kind of header, and small frames of FLAC."""
    signal = np.random.default_rng(1).uniform(-1, 1, (700, 2))
    kinds = [
        *(("WAV", subtype) for subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE")),
        *(("WAV", subtype) for subtype in ("ULAW", "IMA_ADPCM", "MS_ADPCM")),
        *(("WAVEX", "PCM_16"), ("RF64", "PCM_24"), ("W64", "PCM_16"), ("W64", "FLOAT")),
        *(("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    ]
    files = []
    for kind, subtype in kinds:
        file = io.BytesIO()
        soundfile.write(file, signal, 8000, subtype=subtype, format=kind)
        files.append(file.getvalue())
    big_endian = io.BytesIO()
    soundfile.write(big_endian, signal, 8000, subtype="PCM_16", format="WAV", endian="BIG")
    mono = io.BytesIO()
    soundfile.write(mono, signal[:, 0], 8000, subtype="GSM610", format="WAV")
    files += [big_endian.getvalue(), mono.getvalue()]
    files.append(files[1] + b"LIST\x0c\0\0\0INFOISFT" + bytes(4))
    for bits, total in ((8, None), (12, None), (16, 0), (16, 300), (20, 0), (32, None)):
        content = flac.encode(flac.noise(500, 2, bits), bits, block_size=64, total=total)
        files.append(content)
    files.append(flac.encode(np.zeros((4000, 8), np.int8), 16, block_size=1000))
    files.append(b"ID3\x04\0\0\0\0\0\x10" + bytes(16) + files[-2])
    return tuple(files)


def _chance(number: int) -> random.Random:
    return random.Random(number)  # noqa: S311 - the same cases every time


def damaged(number: int) -> bytes:
    """Return the file of one case."""
    chance = _chance(number)
    content = bytearray(chance.choice(healthy()))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if content:
            chance.choice(_DAMAGES)(content, chance)
    return bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    end = min(len(content), _HEADER_BYTES) if chance.random() < 0.7 else len(content)
    return chance.randrange(end)


def _flip(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _set_byte(content: bytearray, chance: random.Random) -> None:
    content[_place(content, chance)] = chance.choice((0, 0xFF, chance.randrange(256)))


def _truncate(content: bytearray, chance: random.Random) -> None:
    del content[_place(content, chance) :]


def _splice(content: bytearray, chance: random.Random) -> None:
    other = chance.choice(healthy())
    start = chance.randrange(len(other))
    at = _place(content, chance)
    stop = at + chance.choice((0, 4, 64, len(content)))
    content[at:stop] = other[start : start + chance.randrange(400)]


def _set_size(content: bytearray, chance: random.Random) -> None:
    size = chance.choice((*_SIZES, *_SIZES_END, chance.getrandbits(32), chance.randrange(5000)))
    at = min(_place(content, chance), max(len(content) - 4, 0))
    if chance.random() < 0.5:  # right at a chunk's size, if there is one
        found = content.find(chance.choice((b"data", b"fmt ", b"ds64", b"fact", b"RIFF")))
        at = found + 4 if found >= 0 else at
    content[at : at + 4] = struct.pack(chance.choice("<>") + "I", size)


def _repeat(content: bytearray, chance: random.Random) -> None:
    at = _place(content, chance)
    content[at:at] = content[at : at + chance.randrange(1, 200)]


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _set_byte,
    _set_size,
    _set_size,
    _truncate,
    _splice,
    _repeat,
)


def settings_of(number: int) -> AudioSettings:
    """Return how the file of one case is read."""
    chance = _chance(-number - 1)
    return AudioSettings(
        sr=chance.choice((8000, 8000, 16_000, 11_025)),
        resample=chance.random() < 0.7,
        channels=chance.choice((None, None, (0,), (1, 0))),
        mono=chance.random() < 0.3,
        allow_truncated=chance.random() < 0.5,
        non_finite=chance.choice(("fail", "zero", "keep")),
        verify_audio=chance.random() < 0.5,
        max_samples=chance.choice((None, None, 100, 1000)),
    )


def outcome(number: int, path: Path) -> str:
    """Read the file of one case and say what came of it: ``"read"``, ``"refused"`` or a fault."""
    path.write_bytes(damaged(number))
    settings, chance = settings_of(number), _chance(number)
    started = time.monotonic()
    try:
        with AudioReader(str(path), settings) as reader:
            fault = _read(reader, settings, chance)
    except AudioReadError:
        fault = "refused"
    except Exception as error:
        fault = f"escaped: {type(error).__name__}: {error}"
    return "slow" if time.monotonic() - started > SLOW_SECONDS else fault


def _read(reader: AudioReader, settings: AudioSettings, chance: random.Random) -> str:
    due = reader.n_samples
    while due:
        wanted = min(chance.choice((1, 100, 5000, 2**18)), due)
        block = reader.read(wanted)
        if block.shape != (wanted, reader.n_channels) or block.dtype != np.float32:
            return f"wrong shape: {block.shape}, {block.dtype}"
        if settings.non_finite != "keep" and not np.isfinite(block).all():
            return "not finite"
        due -= wanted
    reader.finish()
    return "read" if reader.file.sha256 else "no sha256"


def _work(numbers: range, seconds: float, figures: Connection) -> None:
    """Try case after case; tell each number before it is tried, and what came of them."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    warnings.simplefilter("error")
    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        path = Path(folder) / "case"
        for number in numbers:
            if time.monotonic() > until:
                break
            figures.send(("trying", number))
            result = outcome(number, path)
            counts[result] += 1
            if result not in ("read", "refused"):
                figures.send(("fault", (number, result)))
    figures.send(("counts", dict(counts)))


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


class _Worker:
    """One worker process and what it has told."""

    def __init__(self, numbers: range, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self.numbers = numbers
        self.ears, mouth = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(
            target=_work, args=(numbers, seconds, mouth), daemon=True
        )
        self.process.start()
        mouth.close()
        self.trying = numbers.start
        self.n_tried = 0
        self.since = time.monotonic()
        self.counts: dict[str, int] | None = None
        self.faults: list[tuple[int, str]] = []

    def listen(self) -> bool:
        """Take in what has been told; return whether there may be more."""
        try:
            while self.ears.poll():
                kind, told = self.ears.recv()
                if kind == "trying":
                    self.trying, self.since = told, time.monotonic()
                    self.n_tried += 1
                elif kind == "fault":
                    self.faults.append(told)
                else:
                    self.counts = told
        except EOFError:
            return False
        return self.counts is None

    def left(self) -> range:
        """Return the numbers behind the one that it died of."""
        return range(self.trying + self.numbers.step, self.numbers.stop, self.numbers.step)


def run(count: int, seconds: float, workers: int = 2, first: int = 0) -> dict[str, Any]:
    """Try ``count`` cases, or as many as ``seconds`` allow, over worker processes.

    Args:
        count: Cases at most.
        seconds: Time at most, roughly.
        workers: Processes.
        first: Number of the first case.

    Returns:
        ``tried``, ``read`` and ``refused`` cases, ``seconds`` taken, and by their numbers
        ``deaths`` (of a signal), ``hangs`` and ``faults``; a sound reader has none of these.
    """
    started = time.monotonic()
    until = started + seconds
    numbers = [range(first + lane, first + count, workers) for lane in range(workers)]
    at_work = [_Worker(lane, seconds) for lane in numbers if lane]
    deaths: list[int] = []
    hangs: list[int] = []
    ended: list[_Worker] = []
    while at_work:
        for worker in tuple(at_work):
            more = worker.listen()
            if more and time.monotonic() - worker.since > HANG_SECONDS:
                hangs.append(worker.trying)
                worker.process.kill()
                more = False
            if more and worker.process.is_alive():
                continue
            worker.process.join(timeout=60)
            worker.listen()
            at_work.remove(worker)
            ended.append(worker)
            if worker.counts is None:
                if worker.trying not in hangs:
                    deaths.append(worker.trying)
                    sys.stderr.write(f"died of {worker.process.exitcode}: case {worker.trying}\n")
                if worker.left() and time.monotonic() < until:
                    at_work.append(_Worker(worker.left(), until - time.monotonic()))
        time.sleep(_REPORT_SECONDS)
    counts = Counter[str]()
    for worker in ended:
        counts.update(worker.counts or {})
    return {
        "tried": sum(worker.n_tried for worker in ended),
        "read": counts["read"],
        "refused": counts["refused"],
        "seconds": round(time.monotonic() - started, 1),
        "deaths": deaths,
        "hangs": hangs,
        "faults": sorted(fault for worker in ended for fault in worker.faults),
    }
