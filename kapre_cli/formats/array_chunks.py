"""Arrays in chunks along their time axis, so that none need fit in memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.formats.features import RawChunks, StoredArray
from kapre_cli.settings import LayerConfig

Index = tuple[slice, ...]
Chunk = tuple[Index, npt.NDArray[Any]]


@dataclass(frozen=True)
class ArrayChunks:
    """One input's array as it will be stored, in chunks so that it need not fit in memory.

    Attributes:
        dtype: Little-endian.
        chunk_frames: Frames in a chunk; the last one may have fewer.
        chunks: Iterates over the chunks at every call: index and values. They cover the array
            once, and each is whole along all axes but the time axis.
        reference: The value that is at 0 dB; ``None`` unless the values are decibels.
        raw_chunks: The same values compressed, if available.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    time_axis: int
    n_chunks: int
    chunk_frames: int
    chunks: Callable[[], Iterator[Chunk]]
    reference: float | None = None
    raw_chunks: RawChunks | None = None


def frame_index(config: LayerConfig, first: int, count: int) -> Index:
    """Return the index of ``count`` frames from ``first`` on in an array of the layer."""
    return tuple(
        slice(first, first + count) if axis == "time" else slice(None) for axis in config.axes
    )


def stored_array(stored: StoredArray, config: LayerConfig) -> ArrayChunks:
    """Return the array of another output, cut into chunks as if from the journal."""
    n_time = stored.shape[config.axes.index("time")]
    n_channels = stored.shape[config.axes.index("channel")]
    spans = list(config.framing.blocks(n_time, config.n_features, n_channels))

    def chunks() -> Iterator[Chunk]:
        for first, count in spans:
            index = frame_index(config, first, count)
            yield index, stored[index]

    return ArrayChunks(
        shape=stored.shape,
        dtype=stored.dtype,
        time_axis=config.axes.index("time"),
        n_chunks=len(spans),
        chunk_frames=spans[0][1],
        chunks=chunks,
        reference=stored.metadata.reference,
        raw_chunks=stored.raw_chunks,
    )
