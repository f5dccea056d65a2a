"""From journalled blocks to final arrays: decibels, order of axes, stored type."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.dsp import decibel_reference, decibels_below
from kapre_cli.errors import FeatureError
from kapre_cli.settings import DTYPES, LayerConfig
from kapre_cli.storage.journal import BlockEntry
from kapre_cli.storage.journals import Journals
from kapre_cli.storage.stored import Packed, StoredArray

Index = tuple[slice, ...]
Part = tuple[Index, npt.NDArray[Any]]

_PIECES_AHEAD = 2


@dataclass(frozen=True)
class FinalArray:
    """One input's array as it will be stored, in pieces so that it need not fit in memory.

    Attributes:
        dtype: Little-endian.
        piece_frames: Frames in a piece; the last one may have fewer.
        pieces: Iterates over the pieces at every call: index and values. They cover the array
            once, and each is whole along all axes but the time axis.
        reference: The value that is at 0 dB; ``None`` unless the values are decibels.
        packed: The same values compressed, if available.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    time_axis: int
    n_pieces: int
    piece_frames: int
    pieces: Callable[[], Iterator[Part]]
    reference: float | None = None
    packed: Packed | None = None


_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in DTYPES}


def final_array(
    journals: Journals, entries: list[BlockEntry], config: LayerConfig, dtype: str
) -> FinalArray:
    """Return the array of an input's blocks; raise FeatureError if values do not fit ``dtype``."""
    stored = np.dtype(dtype).newbyteorder("<")
    peak = max(entry.peak for entry in entries)
    highest = _LARGEST[dtype]
    if not config.decibel and peak > highest:
        raise FeatureError(
            f"its largest value, {peak:g}, does not fit {dtype} (at most {highest:g}); "
            "take --dtype float32 or --decibel"
        )
    reference = decibel_reference(peak, config.amin) if config.decibel else None
    block_axes = ("channel", "time", config.feature_axis)
    order = [block_axes.index(axis) for axis in config.axes]
    n_channels, _, n_features = entries[0].shape
    sizes = (n_channels, sum(entry.shape[1] for entry in entries), n_features)

    def piece(entry: BlockEntry) -> Part:
        values = journals.read(entry)
        if reference is not None:
            values = decibels_below(values, reference, config.amin)
        index = _frames(config, entry.first_frame, entry.shape[1])
        return index, np.ascontiguousarray(values.transpose(order), dtype=stored)

    def pieces() -> Iterator[Part]:
        return _made_ahead(piece, sorted(entries, key=attrgetter("first_frame")))

    return FinalArray(
        shape=tuple(sizes[axis] for axis in order),
        dtype=stored,
        time_axis=config.axes.index("time"),
        n_pieces=len(entries),
        piece_frames=max(entry.shape[1] for entry in entries),
        pieces=pieces,
        reference=reference,
    )


def _made_ahead(
    make: Callable[[BlockEntry], Part], entries: Sequence[BlockEntry]
) -> Iterator[Part]:
    """Yield what is made of each entry; the next ones are made meanwhile, in a thread."""
    if len(entries) == 1:
        yield make(entries[0])
        return
    with ThreadPoolExecutor(1, "pieces") as pool:
        due: deque[Future[Part]] = deque()
        for entry in entries:
            due.append(pool.submit(make, entry))
            if len(due) > _PIECES_AHEAD:
                yield due.popleft().result()
        while due:
            yield due.popleft().result()


def _frames(config: LayerConfig, first: int, count: int) -> Index:
    return tuple(
        slice(first, first + count) if axis == "time" else slice(None) for axis in config.axes
    )


def stored_array(stored: StoredArray, config: LayerConfig) -> FinalArray:
    """Return the array of another output, cut into pieces as if from the journal."""
    n_time = stored.shape[config.axes.index("time")]
    n_channels = stored.shape[config.axes.index("channel")]
    spans = list(config.framing.blocks(n_time, config.n_features, n_channels))

    def pieces() -> Iterator[Part]:
        for first, count in spans:
            index = _frames(config, first, count)
            yield index, stored[index]

    return FinalArray(
        shape=stored.shape,
        dtype=stored.dtype,
        time_axis=config.axes.index("time"),
        n_pieces=len(spans),
        piece_frames=spans[0][1],
        pieces=pieces,
        reference=stored.facts.reference,
        packed=stored.packed,
    )
