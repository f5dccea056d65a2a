"""From journalled blocks to final arrays: decibels, order of axes, stored type."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import attrgetter

import numpy as np

from kapre_cli.errors import FeatureError
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, frame_index
from kapre_cli.layers.dsp import decibel_reference, decibels_below
from kapre_cli.resume.journal import BlockEntry
from kapre_cli.resume.journals import Journals
from kapre_cli.settings import DTYPES, LayerConfig

_PIECES_AHEAD = 2
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in DTYPES}


def final_array(
    journals: Journals, entries: list[BlockEntry], config: LayerConfig, dtype: str
) -> ArrayChunks:
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

    def chunk(entry: BlockEntry) -> Chunk:
        values = journals.read(entry)
        if reference is not None:
            values = decibels_below(values, reference, config.amin)
        index = frame_index(config, entry.first_frame, entry.shape[1])
        return index, np.ascontiguousarray(values.transpose(order), dtype=stored)

    def chunks() -> Iterator[Chunk]:
        return _made_ahead(chunk, sorted(entries, key=attrgetter("first_frame")))

    return ArrayChunks(
        shape=tuple(sizes[axis] for axis in order),
        dtype=stored,
        time_axis=config.axes.index("time"),
        n_chunks=len(entries),
        chunk_frames=max(entry.shape[1] for entry in entries),
        chunks=chunks,
        reference=reference,
    )


def _made_ahead(
    make: Callable[[BlockEntry], Chunk], entries: Sequence[BlockEntry]
) -> Iterator[Chunk]:
    """Yield what is made of each entry; the next ones are made meanwhile, in a thread."""
    if len(entries) == 1:
        yield make(entries[0])
        return
    with ThreadPoolExecutor(1, "chunks") as pool:
        due: deque[Future[Chunk]] = deque()
        for entry in entries:
            due.append(pool.submit(make, entry))
            if len(due) > _PIECES_AHEAD:
                yield due.popleft().result()
        while due:
            yield due.popleft().result()
