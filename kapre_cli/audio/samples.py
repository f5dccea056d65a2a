"""Decoded samples: floats, MD5, NaN and infinities, omitted silence."""

import hashlib
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.headers import Header
from kapre_cli.errors import AudioReadError
from kapre_cli.text import Argument, Text

Samples = npt.NDArray[np.float32]
Decoded = npt.NDArray[Any]  # float32, float64, int16 or int32

_LARGEST = float(np.finfo(np.float32).max)

# AudioMoth recordings
_SECTOR = 256  # samples of 16 bits
_NUMBER_BITS = 32
_MAX_SECTORS = 2**23  # the recorder's files, silence included, have sizes of 32 bits
_HEADER_BYTES = (512, 488)  # bytes: the recorder's own; another program may have replaced it


def as_floats(block: Decoded) -> Samples:
    """Return integers, aligned to the highest bit, as floats in [-1, 1).

    Floats are rounded to float32. Integers of up to 24 bits are exact.
    """
    if block.dtype == np.float32:
        return block
    if block.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # FiniteCheck reports infinities and NaN
            return block.astype(np.float32)
    scale = np.float32(2.0 ** (1 - 8 * block.dtype.itemsize))
    floats = block.astype(np.float32)
    floats *= scale
    return floats


class SampleMd5:
    """The MD5 of samples as FLAC defines it: interleaved, little-endian bytes.

    All blocks but the first are hashed in a thread, while the next one is decoded.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._digest = hashlib.md5(usedforsecurity=False)
        self._thread: ThreadPoolExecutor | None = None  # a short file has one block, and needs none
        self._added: Future[None] | None = None

    def update(self, block: Decoded) -> None:
        """Add integers of shape ``(samples, channels)``, aligned to the highest bit.

        They must not be changed afterwards.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "md5")  # it starts with the next block
            self._add(block)
        else:
            self._wait()
            self._added = self._thread.submit(self._add, block)

    def _wait(self) -> None:
        if self._added is not None:
            self._added.result()

    def _add(self, block: Decoded) -> None:
        width = block.dtype.itemsize
        n_bytes = -(-self._bits // 8)
        if unused := -self._bits % 8:  # FLAC fills bytes from their lowest bit on
            block = block >> unused
        if sys.byteorder == "big":
            block = block.byteswap()
        every_byte: Any = np.ascontiguousarray(block).view(np.uint8).reshape(-1, width)
        if n_bytes < width:
            packed = np.empty((len(every_byte), n_bytes), np.uint8)
            for byte in range(n_bytes):  # seven times as fast as one slice of all
                packed[:, byte] = every_byte[:, width - n_bytes + byte]
            every_byte = packed
        self._digest.update(every_byte.data)

    def digest(self) -> bytes:
        """Return the MD5 of all samples so far."""
        self._wait()
        return self._digest.digest()


class FiniteCheck:
    """Detects samples that are NaN or infinite, and rejects, clears or keeps them.

    Args:
        policy: ``"fail"``, ``"zero"`` or ``"keep"``.
        sr: Sample rate in Hz, for messages.
        scaling: Returns the remedy for samples beyond the range of float32, given the factor that
            scales one to at most 1.

    Attributes:
        count: Their number so far, in all channels.
    """

    def __init__(self, policy: str, sr: int, scaling: Callable[[str], str]) -> None:
        self._policy = policy
        self._sr = sr
        self._scaling = scaling
        self._position = 0
        self.count = 0

    def apply(self, block: Samples, decoded: Decoded) -> Samples:
        """Return the next block, ``(samples, channels)``, maybe changed in place.

        Args:
            block: The samples as float32.
            decoded: The same samples as the file stores them.

        Raises:
            AudioReadError: For the first such sample, with its position, if the policy is "fail".
        """
        start = self._position
        self._position += len(block)
        finite = np.isfinite(block)
        if finite.all():
            return block
        self.count += block.size - int(np.count_nonzero(finite))
        if self._policy == "fail":
            index, channel = np.argwhere(~finite)[0]
            number = start + int(index)
            seconds = number / self._sr
            position = f"the first at sample {number:,} ({seconds:.3f} s) of channel {channel}"
            value = float(decoded[index, channel])
            if np.isfinite(value):
                factor = f"1e{-np.ceil(np.log10(abs(value))):.0f}"
                raise AudioReadError(
                    f"samples beyond the range of float32 (at most {_LARGEST:.3g}), {position}: "
                    f"{value:g}; {self._scaling(factor)}"
                )
            raise AudioReadError(
                Text(
                    f"NaN or infinite samples, {position}: {value}; ",
                    Argument("non_finite", "zero"),
                    " sets them to 0",
                )
            )
        if self._policy == "zero":
            block[~finite] = 0
        return block


class OmittedSilence:
    """Detects silence left out of triggered AudioMoth recordings (``...T.WAV``).

    In place of each stretch of silence the recorder writes one sector of 512 bytes: the bits of a
    number of 32 bits as samples of +1 and -1, the lowest bit first, and zeros after them. The
    number is that of the sectors left out. Sources: AudioMoth-Firmware-Basic (main.c),
    AudioMoth-Utils (expander.js).

    Sectors are counted from the start of the file, and from where they would begin if another
    program had replaced the recorder's header or converted the samples without changing them.
    """

    def __init__(self, header: Header) -> None:
        own = (header.start,) if header.number in ("<i2", ">i2") else ()
        self._borders = sorted({-(n_bytes // 2) % _SECTOR for n_bytes in (*_HEADER_BYTES, *own)})
        self._sr = header.sr
        self._position = 0
        self._tail: Decoded = np.empty((0, header.n_channels), np.int16)

    def check(self, block: Decoded) -> None:
        """Check the next samples, shape ``(samples, channels)``.

        Raises:
            AudioReadError: If one of their sectors replaces silence.
        """
        samples = np.concatenate([self._tail, block]) if len(self._tail) else block
        self._check_sectors(samples, self._position - len(self._tail))
        self._position += len(block)
        self._tail = samples[max(len(samples) - _SECTOR + 1, 0) :].copy()

    def _check_sectors(self, samples: Decoded, position: int) -> None:
        one = _lowest_bit(samples.dtype)
        for border in self._borders:
            first = (border - position) % _SECTOR
            for row, channel in np.argwhere(_may_replace_silence(samples[first:], one)):
                start = first + row * _SECTOR
                n_omitted = _omitted_sectors(samples[start : start + _SECTOR, channel], one)
                if n_omitted:
                    raise self._error(position + start, n_omitted)

    def _error(self, position: int, n_omitted: int) -> AudioReadError:
        seconds = n_omitted * _SECTOR / self._sr
        return AudioReadError(
            f"AudioMoth triggered recording: {seconds:,.3f} s of silence were left out at "
            f"{position / self._sr:,.3f} s, and one sector of +1 and -1 replaces it; "
            "restore them with 'Expand AudioMoth T.WAV Files' of the AudioMoth Configuration App "
            "(or `expand` of audiomoth-utils), and name the files that it makes"
        )


def _lowest_bit(dtype: np.dtype[np.generic]) -> float:
    """Return the lowest bit of a sample of 16 bits, in samples of a type."""
    if dtype.kind == "f":
        return 2.0**-15
    return int(2 ** (8 * dtype.itemsize - 16))


def _may_replace_silence(samples: Decoded, one: float) -> npt.NDArray[np.bool_]:
    """Return for each complete sector and channel whether a few of its samples match.

    Few sectors of noise of +1, 0 and -1 match; they are then checked in full.
    """
    n_sectors = len(samples) // _SECTOR
    samples = samples[: n_sectors * _SECTOR]
    matches = samples[_NUMBER_BITS - 1 :: _SECTOR] == -one  # the highest bit is never set
    for index in (_NUMBER_BITS, 2 * _NUMBER_BITS, 4 * _NUMBER_BITS, _SECTOR - 1):
        matches &= samples[index::_SECTOR] == 0
    return matches


def _omitted_sectors(sector: npt.NDArray[np.generic], one: float) -> int:
    """Return the number of sectors that a sector replaces; 0 if it replaces none."""
    bits = sector[:_NUMBER_BITS]
    if sector[_NUMBER_BITS:].any() or (np.abs(bits) != one).any():
        return 0
    number = sum(1 << index for index, bit in enumerate(bits) if bit > 0)
    return number if number <= _MAX_SECTORS else 0
