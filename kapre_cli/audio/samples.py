"""Decoded samples: conversion to floats, their MD5, NaN and infinite values."""

import hashlib
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import AudioReadError
from kapre_cli.text import Argument, Text

Samples = npt.NDArray[np.float32]
_LARGEST = float(np.finfo(np.float32).max)

Decoded = npt.NDArray[Any]  # float32, float64, int16 or int32


def as_floats(block: Decoded) -> Samples:
    """Return integers, which fill their type from its highest bit on, as floats in [-1, 1).

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
    """The MD5 of samples as FLAC defines it: interleaved, little-endian, in whole bytes.

    All blocks but the first are hashed in a thread, while the next one is decoded.

    Args:
        bits: Bits of a sample.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._digest = hashlib.md5(usedforsecurity=False)
        self._thread: ThreadPoolExecutor | None = None
        self._added: Future[None] | None = None

    def update(self, block: Decoded) -> None:
        """Add integers of shape ``(samples, channels)``, which fill their type from the top on.

        They must not be changed afterwards.
        """
        if self._thread is None:  # a short file has no other block, and needs no thread
            self._thread = ThreadPoolExecutor(1, "md5")  # which starts with the next one
            self._add(block)
            return
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
        """Return the next block of shape ``(samples, channels)``, possibly changed in place.

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
            position = (
                f"the first at sample {number:,} ({number / self._sr:.3f} s) of channel {channel}"
            )
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
                    " takes them as 0",
                )
            )
        if self._policy == "zero":
            block[~finite] = 0
        return block
