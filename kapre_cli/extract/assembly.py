"""From journalled blocks to final arrays: last step, order of axes, stored type."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from operator import attrgetter

import numpy as np

from kapre_cli.errors import FeatureError
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, frame_index
from kapre_cli.resume.journal import BlockEntry
from kapre_cli.resume.work_dir import Journals
from kapre_cli.settings import DTYPES, LayerConfig
from kapre_cli.text import Argument, Text

_CHUNKS_AHEAD = 2
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in DTYPES}


def final_array(
    journals: Journals, entries: list[BlockEntry], config: LayerConfig, dtype: str
) -> ArrayChunks:
    """Return the array of an input's blocks.

    Raises:
        FeatureError: If its values do not fit ``dtype``.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    peak = max(entry.peak for entry in entries)
    finish = config.finish(peak)
    highest = _LARGEST[dtype]
    if finish.apply is None and peak > highest:
        raise FeatureError(
            Text(
                f"its largest value, {peak:g}, does not fit {dtype} (at most {highest:g}); take ",
                Argument("dtype", "float32"),
                " or decibels",
            )
        )
    block_axes = ("channel", "time", config.feature_axis)
    order = [block_axes.index(axis) for axis in config.axes]
    n_time = sum(entry.shape[1] for entry in entries)
    sizes = (entries[0].shape[0], n_time, config.n_values)

    def chunk(entry: BlockEntry) -> Chunk:
        values = journals.read(entry)
        if finish.apply is not None:
            values = finish.apply(values)
        index = frame_index(config, entry.first_frame, entry.shape[1])
        return index, np.ascontiguousarray(values.transpose(order), dtype=stored)

    def chunks() -> Iterator[Chunk]:
        return _computed_ahead(chunk, sorted(entries, key=attrgetter("first_frame")))

    return ArrayChunks(
        shape=tuple(sizes[axis] for axis in order),
        dtype=stored,
        time_axis=config.axes.index("time"),
        n_chunks=len(entries),
        chunk_frames=max(entry.shape[1] for entry in entries),
        chunks=chunks,
        reference=finish.reference,
    )


def _computed_ahead(
    compute: Callable[[BlockEntry], Chunk], entries: Sequence[BlockEntry]
) -> Iterator[Chunk]:
    """Yield the chunk of each entry; a thread computes the next ones meanwhile."""
    if len(entries) == 1:
        yield compute(entries[0])
        return
    with ThreadPoolExecutor(1, "chunks") as pool:
        pending: deque[Future[Chunk]] = deque()
        for entry in entries:
            pending.append(pool.submit(compute, entry))
            if len(pending) > _CHUNKS_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
