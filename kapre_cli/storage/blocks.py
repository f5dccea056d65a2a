"""Computed blocks of frames as they lie in a journal."""

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.float32]


class BlockEntry(NamedTuple):
    """Where one block of an input's frames lies.

    Attributes:
        first_frame: Number of the block's first frame in its input.
        shape: ``(n_channels, n_frames, n_features)``.
        peak: The largest finite value, 0 if there is none.
        position: Where its values begin in the journal.
        crc32: CRC-32 of its values.
        journal: The name of the journal.
    """

    first_frame: int
    shape: tuple[int, int, int]
    peak: float
    position: int
    crc32: int
    journal: str = ""


def peak_of(values: Frames) -> float:
    """Return the largest finite value, 0 if there is none."""
    peak = float(values.max())
    if not np.isfinite(peak):
        peak = float(values.max(initial=0.0, where=np.isfinite(values)))
    return peak


def read_into(fd: int, block: Frames, position: int) -> int:
    """Fill a block from a file at ``position`` and return how many bytes there were.

    One call of the system reads 2 GiB at most, and may read less.
    """
    left = block.data.cast("B")
    while left and (n_read := os.preadv(fd, [left], position)):
        left, position = left[n_read:], position + n_read
    return block.nbytes - len(left)
