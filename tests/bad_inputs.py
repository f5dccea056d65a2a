"""Files and things that stand where a recording should, and what is to become of each.

WAV and FLAC are written by hand here, from their specifications: libraries refuse to write most
of what recorders, copies that broke off and full disks leave behind.
"""

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests import flac

Verdict = str | int
Make = Callable[[Path], object]

GROUPS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "truncated": ("--allow-truncated",),
    "zero": ("--non-finite", "zero"),
    "keep": ("--non-finite", "keep"),
    "unverified": ("--no-verify-audio",),
    "limited": ("--max-frames", "2000"),
    "resampled": ("--resample",),
    "channel": ("--channel", "1"),
    "valid": ("--padding", "valid"),
}
EVERYWHERE = ("default", "truncated", "zero", "keep", "unverified", "limited", "resampled")


@dataclass(frozen=True)
class BadInput:
    """One thing that a run meets.

    Attributes:
        name: What is wrong with it, or odd.
        make: Makes it at a path.
        verdict: What the reason that it fails with has in it, as a regular expression; or, where
            it is odd but sound, how many samples of each channel are to be written.
        suffix: How its name ends.
        under: Other verdicts by the name of the group of options, one of ``GROUPS``.
        groups: In which groups it is tried.
        file: All of its name; ``None``: made of ``name`` and ``suffix``.
        damaged: Damage of which nothing in the file tells: it is written, and known to be.
    """

    name: str
    make: Make
    verdict: Verdict
    suffix: str = ".wav"
    under: Mapping[str, Verdict] = field(default_factory=dict)
    groups: tuple[str, ...] = EVERYWHERE
    file: bytes | None = None

    def verdict_in(self, group: str) -> Verdict:
        """Return what is to become of it under a group of options."""
        return self.under.get(group, self.verdict)


def holding(content: bytes) -> Make:
    """Return what makes a file with this content."""
    return lambda path: path.write_bytes(content)


# WAV

N_FRAMES = 1000
SAMPLES = flac.noise(N_FRAMES, 1, 16)
PCM = SAMPLES.astype("<i2").tobytes()
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    """Return a chunk that says a ``size`` of its own, if one is given."""
    said = len(body) if size is None else size
    return name + struct.pack(order + "I", said) + body + bytes(len(body) % 2)


def fmt(
    tag: int = 1,
    n_channels: int = 1,
    sr: int = 8000,
    bits: int = 16,
    align: int | None = None,
    order: str = "<",
    more: bytes = b"",
) -> bytes:
    """Return a fmt chunk."""
    align = n_channels * -(-bits // 8) if align is None else align
    rates = (sr, min(sr * align, 0xFFFFFFFF), align & 0xFFFF, bits)
    return chunk(
        b"fmt ", struct.pack(order + "HHIIHH", tag, n_channels, *rates) + more, order=order
    )


def data(body: bytes = PCM, size: int | None = None) -> bytes:
    """Return a data chunk."""
    return chunk(b"data", body, size)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    """Return a file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    order = ">" if magic == b"RIFX" else "<"
    return magic + struct.pack(order + "I", len(body) if size is None else size) + body


def extensible(sub_format: bytes, bits: int = 16) -> bytes:
    """Return a fmt chunk of the extensible kind."""
    return fmt(0xFFFE, bits=bits, more=struct.pack("<HHI", 22, bits, 4) + sub_format)


def floats(*changes: tuple[Any, float], bits: int = 32, n_channels: int = 1) -> bytes:
    """Return a float WAV of noise, changed at some places."""
    signal = np.random.default_rng(1).uniform(-1, 1, (N_FRAMES, n_channels))
    for place, value in changes:
        signal[place] = value
    return riff(fmt(3, n_channels, bits=bits), data(signal.astype(f"<f{bits // 8}").tobytes()))


def encoded(
    subtype: str, kind: str = "WAV", n_channels: int = 1, n_frames: int = 20_000, **options: Any
) -> bytes:
    """Return noise as libsndfile writes it."""
    file = io.BytesIO()
    signal = flac.noise(n_frames, n_channels, 16).astype(np.int16)
    soundfile.write(file, signal, 8000, subtype=subtype, format=kind, **options)
    return file.getvalue()


def ds64(n_bytes: int) -> bytes:
    """Return the chunk that has the wide sizes of RF64."""
    return chunk(b"ds64", struct.pack("<QQQI", n_bytes + 72, n_bytes, N_FRAMES, 0))


RF64 = {"magic": b"RF64", "size": 0xFFFFFFFF}
WIDE = 0xFFFFFFFF
W64 = encoded("PCM_16", "W64", n_frames=N_FRAMES)
W64_DATA = W64.index(b"data")
W64_FMT = W64.index(b"fmt ")
WAV = riff(fmt(), data())
LIST = chunk(b"LIST", b"INFOISFT\4\0\0\0bat\0")


def replaced(content: bytes, at: int, by: bytes) -> bytes:
    """Return ``content`` with other bytes at one place."""
    return content[:at] + by + content[at + len(by) :]


# FLAC

BLOCK = 256
FRAMES = [
    flac.frame(SAMPLES[start : start + BLOCK], 16, number)
    for number, start in enumerate(range(0, N_FRAMES, BLOCK))
]
MD5 = flac.md5_of(SAMPLES, 16)


def flac_file(
    *frames: bytes,
    total: int = N_FRAMES,
    md5: bytes = MD5,
    sr: int = 8000,
    bits: int = 16,
    blocks: bytes = b"",
) -> bytes:
    """Return a FLAC file of frames, with metadata blocks behind STREAMINFO."""
    head = flac.streaminfo(sr, 1, bits, BLOCK, total, md5)
    if blocks:
        head = replaced(head, 4, b"\0")
    return head + blocks + b"".join(frames or FRAMES)


def flipped(content: bytes, at: int) -> bytes:
    """Return ``content`` with one bit of one byte changed."""
    return replaced(content, at, bytes([content[at] ^ 4]))


def reheaded(frame: bytes, at: int, value: int) -> bytes:
    """Return a frame with another byte in its header, and checksums that are right."""
    head = replaced(frame[:7], at, bytes([value]))
    content = head + bytes([flac.crc8(head)]) + frame[8:-2]
    return content + flac.crc16(content).to_bytes(2, "big")


FLAC = flac_file()
STREAMINFO = FLAC[4:42]
ID3V1 = b"TAG" + b"title".ljust(90, b"\0") + b"1999" + bytes(30) + b"\xff"
ID3V2 = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
HOUR = 3600 * 8000
