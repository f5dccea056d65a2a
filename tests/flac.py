"""A FLAC encoder for the tests, from RFC 9639: it can write what others refuse to.

Subframes are verbatim, or constant where a frame has one value in each channel: an hour of
silence takes a few kilobytes. Nothing in it is shared with the code under test.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_CHANNELS_SHIFT = 4
_BITS_FROM_STREAMINFO = 0
_RATE_FROM_STREAMINFO = 0
_BLOCK_SIZE_IN_16_BITS = 7


def _crc_table(polynomial: int, width: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << (width - 8)
        for _ in range(8):
            crc = (crc << 1) ^ (polynomial if crc >> (width - 1) else 0)
            crc &= (1 << width) - 1
        table.append(crc)
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


def crc8(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc = _CRC8[crc ^ byte]
    return crc


def crc16(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def coded(number: int) -> bytes:
    """Write a frame number as UTF-8 would, up to 36 bits."""
    if number < 0x80:
        return bytes([number])
    tail: list[int] = []
    while number >= 1 << (6 - len(tail)) or not tail:
        tail.append(0x80 | number & 0x3F)
        number >>= 6
    lead = (0xFF << (7 - len(tail))) & 0xFF
    return bytes([lead | number, *reversed(tail)])


def frame(samples: Any, bits: int, number: int) -> bytes:
    """Return one frame of ``samples``, shape ``(frames, channels)``."""
    length, n_channels = samples.shape
    head = bytes([0xFF, 0xF8, _BLOCK_SIZE_IN_16_BITS << 4 | _RATE_FROM_STREAMINFO])
    head += bytes([(n_channels - 1) << _CHANNELS_SHIFT | _BITS_FROM_STREAMINFO << 1])
    head += coded(number) + (length - 1).to_bytes(2, "big")
    head += bytes([crc8(head)])
    body = [head]
    accumulator, n_bits = 0, 0
    for channel in samples.T:
        constant = length > 1 and bool((channel == channel[0]).all())
        kind, values = (0, channel[:1]) if constant else (1, channel)
        words = [(kind << 1, 8), *((int(value) & (1 << bits) - 1, bits) for value in values)]
        for word, width in words:
            accumulator = accumulator << width | word
            n_bits += width
            if n_bits > 4096:
                spare = n_bits % 8
                body.append((accumulator >> spare).to_bytes((n_bits - spare) // 8, "big"))
                accumulator &= (1 << spare) - 1
                n_bits = spare
    padding = -n_bits % 8
    body.append((accumulator << padding).to_bytes((n_bits + padding) // 8, "big"))
    content = b"".join(body)
    return content + crc16(content).to_bytes(2, "big")


def md5_of(samples: Any, bits: int) -> bytes:
    """Return the MD5 of interleaved, little-endian samples in as few bytes as hold them."""
    width = -(-bits // 8)
    as_bytes = np.ascontiguousarray(samples, "<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    return hashlib.md5(as_bytes.tobytes(), usedforsecurity=False).digest()


def streaminfo(
    sr: int, n_channels: int, bits: int, block_size: int, total: int, md5: bytes
) -> bytes:
    packed = sr << 44 | (n_channels - 1) << 41 | (bits - 1) << 36 | total
    sizes = block_size.to_bytes(2, "big") * 2 + bytes(6)
    return b"fLaC\x80\0\0\x22" + sizes + packed.to_bytes(8, "big") + md5


def encode(
    samples: Any,
    bits: int = 16,
    *,
    sr: int = 8000,
    block_size: int = 256,
    total: int | None = None,
    md5: bool = True,
    leave_out: Sequence[int] = (),
) -> bytes:
    """Return integer ``samples``, shape ``(frames, channels)``, as a FLAC file.

    Args:
        samples: Integers of ``bits`` bits.
        bits: Bits of a sample.
        sr: Sample rate in Hz.
        block_size: Samples of a frame in each channel, at least 16.
        total: Frames that the header promises; ``None``: as many as there are; 0: left open.
        md5: Whether the header has the MD5 of the samples.
        leave_out: Numbers of frames that are not written, as if they had been lost.
    """
    samples = np.asarray(samples)
    head = streaminfo(
        sr,
        samples.shape[1],
        bits,
        block_size,
        len(samples) if total is None else total,
        md5_of(samples, bits) if md5 else bytes(16),
    )
    frames = (
        frame(samples[start : start + block_size], bits, number)
        for number, start in enumerate(range(0, len(samples), block_size))
        if number not in leave_out
    )
    return head + b"".join(frames)


def silence(
    n_frames: int, n_channels: int, bits: int, *, total: int | None = None, block_size: int = 65_535
) -> bytes:
    """Return as many frames of silence, in constant subframes: a bomb of few bytes."""
    total = n_frames if total is None else total
    quiet = np.zeros((block_size, n_channels), np.int8)
    head = streaminfo(8000, n_channels, bits, block_size, total, bytes(16))
    starts = range(0, n_frames, block_size)
    return head + b"".join(
        frame(quiet[: n_frames - start], bits, number) for number, start in enumerate(starts)
    )


def noise(n_frames: int, n_channels: int, bits: int, seed: int = 0) -> Any:
    """Return integers all over the range of ``bits`` bits, both of its ends among them."""
    lowest = -(1 << (bits - 1))
    values = np.random.default_rng(seed).integers(lowest, -lowest, (n_frames, n_channels))
    values[:2, 0] = (lowest, -lowest - 1)[: len(values)]
    return values
