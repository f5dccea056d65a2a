"""Decoding WAV whose samples are plain numbers. Its header says all there is to know of them."""

import numpy as np

from kapre_cli.audio.header import Header
from kapre_cli.audio.samples import Decoded
from kapre_cli.audio.stream import HashingReader


class PcmDecoder:
    """A :class:`~kapre_cli.audio.decoding.Decoder` for integers and floats that lie side by side.

    No library is asked: starting one would take longer than reading a short file.

    Args:
        stream: The file, up to the end of its samples.
        header: Its header, which says how the numbers are stored.
    """

    read_ahead = 0

    def __init__(self, stream: HashingReader, header: Header) -> None:
        assert header.sample_bytes is not None  # noqa: S101 - for the type checker
        self.sr = header.sr
        self.n_channels = header.n_channels
        self.n_samples = (stream.size - header.start) // header.sample_bytes
        self._frame_bytes = header.sample_bytes
        self._number = header.number
        self._unused_bits = header.unused_bits
        self._stream = stream
        self._stream.seek(header.start)

    def read(self, n_samples: int) -> Decoded:
        """Return the next frames, as :class:`~kapre_cli.audio.decoding.Decoder` says."""
        part = self._stream.take(n_samples * self._frame_bytes)
        whole = part[: len(part) - len(part) % self._frame_bytes]
        numbers = _numbers(whole, self._number)
        if self._unused_bits:
            numbers = numbers << self._unused_bits
        return numbers.reshape(-1, self.n_channels)


def _numbers(stored: memoryview, number: str) -> Decoded:
    """Return numbers in a type that NumPy calculates with; integers fill it from the top on."""
    order, kind = number[0], number[1:]
    if kind == "u1":  # 8 bits count from 0 to 255, silence is 128
        return (np.frombuffer(stored, np.uint8).astype(np.int16) - 128) << 8
    if kind == "i3":
        every_byte = np.frombuffer(stored, np.uint8).reshape(-1, 3)
        widened = np.zeros((len(every_byte), 4), np.uint8)
        first = 1 if order == "<" else 0  # the lowest byte is the one left 0
        for byte in range(3):  # faster than one slice of all
            widened[:, first + byte] = every_byte[:, byte]
        return widened.reshape(-1).view(f"{order}i4")
    values = np.frombuffer(stored, number)
    return values.astype(np.float32) if kind == "f4" else values
