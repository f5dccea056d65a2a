"""Where computed blocks stay until their input's array can be put together."""

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kapre_cli.closing import Closing
from kapre_cli.storage.metadata import InputFacts

Frames = npt.NDArray[np.float32]


class BlockEntry(NamedTuple):
    """Where one block of an input's frames lies in its store.

    Attributes:
        first_frame: Number of the block's first frame in its input.
        shape: ``(n_channels, n_frames, n_features)``.
        peak: The largest finite value, 0 if there is none.
        position: Where its values begin in the file.
        crc32: CRC-32 of its values.
    """

    first_frame: int
    shape: tuple[int, int, int]
    peak: float
    position: int
    crc32: int


class BlockStore(Closing):
    """Takes blocks of frames of many inputs in any order and gives them back."""

    @abstractmethod
    def block(
        self,
        key: str,
        of: int,
        first_frame: int,
        block: Frames,
        facts: InputFacts | None = None,
    ) -> BlockEntry:
        """Take one block of the input ``key``, shape ``(n_channels, n_frames, n_features)``.

        Args:
            key: The input.
            of: The state of its file, see ``journal.identity``.
            first_frame: Number of the block's first frame in the input.
            block: The features.
            facts: What is known of the input, if this is the last block of it that was missing.

        Raises:
            OutputError: If it cannot be kept.
        """

    @abstractmethod
    def done(self, key: str, of: int, facts: InputFacts) -> None:
        """Take note that all blocks of an input are here, and what is known of it.

        Raises:
            OutputError: If that cannot be kept.
        """

    @abstractmethod
    def read(self, entry: BlockEntry) -> Frames:
        """Return a block that was taken.

        Raises:
            StoredDataError: If the bytes are not those that were taken.
        """

    def blocks(self, entries: Iterable[BlockEntry]) -> Iterator[tuple[int, Frames]]:
        """Yield ``(first_frame, block)`` for each entry in the order of the frames."""
        for entry in sorted(entries, key=lambda one: one.first_frame):
            yield entry.first_frame, self.read(entry)


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
