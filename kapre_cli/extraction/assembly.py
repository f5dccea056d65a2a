"""Assemble the array of one input from its blocks."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from operator import attrgetter

import numpy as np

from kapre_cli import events
from kapre_cli.errors import FeatureError
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, frame_index
from kapre_cli.resume.journal import BlockEntry, Frames
from kapre_cli.settings import DTYPES, LayerConfig
from kapre_cli.text import Argument, Text

_CHUNKS_AHEAD = 2
_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in DTYPES}


def final_array(
    read: Callable[[BlockEntry], Frames],
    entries: Sequence[BlockEntry],
    config: LayerConfig,
    dtype: str,
    reference: float | None = None,
) -> ArrayChunks:
    """Return the array of some blocks; raise FeatureError if ``dtype`` is too small.

    ``read`` returns the values of a block: linear, in float32. ``reference`` is the value at 0 dB
    if that is not the largest value of these blocks.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    peak = max(entry.peak for entry in entries)
    finish = config.finish(peak if reference is None else reference)
    highest = _LARGEST[dtype]
    if finish.apply is None and peak > highest:
        cause = f"its largest value, {peak:g}, does not fit {dtype} (at most {highest:g}); take "
        raise FeatureError(Text(cause, Argument("dtype", "float32"), " or decibels"))
    block_axes = ("channel", "time", config.feature_axis)
    order = [block_axes.index(axis) for axis in config.axes]
    n_time = sum(entry.shape[1] for entry in entries)
    sizes = (entries[0].shape[0], n_time, config.n_values)

    def chunk(entry: BlockEntry) -> Chunk:
        values = read(entry)
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


def with_pauses(
    array: ArrayChunks, seconds: float, emit: events.Observer, pause: Callable[[], None]
) -> ArrayChunks:
    """Return an array of so many seconds that calls ``pause`` between its chunks."""
    if array.n_chunks == 1:
        return array
    per_frame = seconds / array.shape[array.time_axis]

    def chunks() -> Iterator[Chunk]:
        for index, values in array.chunks():
            yield index, values
            emit(events.PhaseProgress(values.shape[array.time_axis] * per_frame))
            pause()

    return replace(array, chunks=chunks)
