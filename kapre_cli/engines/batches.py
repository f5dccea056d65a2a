"""Pack channel blocks into batches of frames; compute these with NumPy.

The samples of blocks are copied one after another into a batch, each beginning at a multiple of
the hop, and the batch is framed as one signal. A frame that starts in one block and ends in the
next belongs to neither and is dropped: ``n_seam_frames`` frames for each block. A block that
does not fit is cut at a frame, and its rest opens the next batch.
"""

import itertools
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.samples import Samples
from kapre_cli.framing import Framing, spans
from kapre_cli.layers.transform import FrameTransform
from kapre_cli.osutil import Resource, n_processors
from kapre_cli.settings import LayerConfig

FeatureArray = npt.NDArray[np.float32]

# Vector instructions compute several values at once. A multiple of 16 frames leaves no remainder,
# which other instructions would compute, perhaps with another last bit.
FRAMES_MULTIPLE = 16

_EXTRA_BATCHES = 2  # beside those that are computed: one being packed, one being delivered

_BUFFER_VALUES = 2**10  # that NumPy converts to another type at once: they stay in the cache
_DEFAULT_VALUES = 2**20  # samples of all frames of a batch together: 4 MiB, measured to be fast


@dataclass(slots=True)
class ChannelBlock:
    """Successive frames of one channel, to be computed.

    Attributes:
        samples: The samples of the frames, padding included.
        results: The features are written here, shape ``(n_frames, n_features)``.
        computed: Called with the number of newly computed frames, and the largest of their
            features: NaN or infinite if one of them is.
        failed: Called with the exception if some of its frames cannot be computed. ``None``: the
            exception is raised.
    """

    samples: Samples
    results: FeatureArray
    computed: Callable[[int, float], None]
    failed: Callable[[Exception], None] | None = None


@dataclass(slots=True)
class Slot:
    """The place of some frames of a block in a batch.

    Attributes:
        first: Number, in the block, of the first of these frames.
        count: Number of these frames.
        position: Number, in the batch, of the first of them.
    """

    block: ChannelBlock
    first: int
    count: int
    position: int

    @property
    def end(self) -> int:
        """Number, in the batch, of the frame after the last one."""
        return self.position + self.count

    def store(self, features: FeatureArray, peak: float) -> None:
        """Copy the computed features of the frames into the block's results."""
        self.block.results[self.first : self.first + self.count] = features
        self.block.computed(self.count, peak)


class BatchPacker:
    """Packs blocks, padding included, into batches of ``n_frames`` frames."""

    def __init__(self, framing: Framing, n_frames: int) -> None:
        self._framing = framing
        self._n_frames = n_frames

    def pack(
        self, blocks: Iterable[ChannelBlock | None], batches: Iterator[Samples]
    ) -> Iterator[list[Slot]]:
        """Fill batches and yield the slots of each, in order.

        A ``None`` among the blocks means that the next one will take a while: the current batch
        is yielded at once, followed by an empty list. ``batches`` yields the samples of new
        batches, ``(n_samples,)``, to be overwritten; values in the gaps stay.
        """
        samples, slots, position = next(batches), list[Slot](), 0
        for block in blocks:
            if block is None:
                if slots:
                    yield slots
                    samples, slots, position = next(batches), [], 0
                yield []
                continue
            first, n_frames = 0, len(block.results)
            while first < n_frames:
                count = min(n_frames - first, self._n_frames - position)
                if count <= 0:
                    yield slots
                    samples, slots, position = next(batches), [], 0
                    continue
                target = _samples(position, count, self._framing)
                samples[target] = block.samples[_samples(first, count, self._framing)]
                slots.append(Slot(block, first, count, position))
                first += count
                position += count + self._framing.n_seam_frames
        if slots:
            yield slots


def _samples(first: int, count: int, framing: Framing) -> slice:
    start = first * framing.n_hop
    return slice(start, start + framing.n_samples(count))


class Engine(Resource):
    """Computes batches in threads of its own.

    Args:
        config: The layer's arguments; its padding and decibels are not applied here.
        n_threads: Number of batches that are computed at once.

    Attributes:
        batches: The samples of each batch, ``(n_samples,)``, to be filled in turn.
    """

    has_fixed_shape: ClassVar[bool]  # whether it always computes all frames of a batch

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int) -> None:
        self._framing = config.framing
        n_samples = self._framing.n_samples(n_frames)
        self.batches = [np.zeros(n_samples, np.float32) for _ in range(n_threads + _EXTRA_BATCHES)]
        self._features = [np.zeros((n_frames, config.n_features), np.float32) for _ in self.batches]
        self._threads = ThreadPoolExecutor(n_threads, "compute")

    @abstractmethod
    def _compute(self, samples: Samples, features: FeatureArray) -> None:
        """Compute all frames of ``samples``, a batch or its beginning, in any thread.

        Results are bit-identical regardless of the other frames in the batch.
        """

    def submit(self, number: int, n_frames: int) -> Future[tuple[FeatureArray, float]]:
        """Start computing a batch, which must not be written to until the future is done.

        Only the first ``n_frames`` frames need be computed. The future gives the features, shape
        ``(n_frames, n_features)``, valid until the batch is submitted again, and their maximum.
        """
        arrays = self.batches[number], self._features[number]
        return self._threads.submit(self._computed, *arrays, n_frames)

    def recompute(self, samples: Samples, n_frames: int) -> tuple[FeatureArray, float]:
        """Compute ``n_frames`` frames in this thread; return features and maximum."""
        batch = np.zeros_like(self.batches[0])
        batch[: len(samples)] = samples
        return self._computed(batch, np.zeros_like(self._features[0]), n_frames)

    def _computed(
        self, samples: Samples, features: FeatureArray, n_frames: int
    ) -> tuple[FeatureArray, float]:
        n_computed = len(features) if self.has_fixed_shape else _rounded_up(n_frames)
        self._compute(samples[: self._framing.n_samples(n_computed)], features[:n_computed])
        computed = features[:n_frames]
        return computed, float(computed.max())

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(cancel_futures=True)


class NumpyEngine(Engine):
    """Computes a layer's transform in threads: by default one for each processor."""

    has_fixed_shape: ClassVar[bool] = False

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int | None = None) -> None:
        self._transform: FrameTransform = config.frame_transform()
        self._local = threading.local()
        super().__init__(config, n_frames, n_threads or n_processors())

    def _compute(self, samples: Samples, features: FeatureArray) -> None:
        framing, n_chunk = self._framing, self._transform.n_chunk
        if not hasattr(self._local, "scratch"):
            self._local.scratch = self._transform.scratch()
        windows = np.lib.stride_tricks.sliding_window_view(samples, framing.n_dft)
        frames = windows[:: framing.n_hop]
        with np.errstate(over="ignore", invalid="ignore"):  # finiteness is checked later
            np.setbufsize(_BUFFER_VALUES)  # up to the end of this block
            for first, count in spans(len(features), n_chunk):
                chunk = slice(first, first + count)
                self._transform.compute(frames[chunk], features[chunk], self._local.scratch)


def batch_frames(config: LayerConfig, batch_size: int | None = None) -> int:
    """Return the frames of a batch: ``batch_size`` or the default, rounded up to 16."""
    framing = config.framing
    return _rounded_up(batch_size or _DEFAULT_VALUES // max(framing.n_dft, framing.n_hop))


def _rounded_up(n_frames: int) -> int:
    return max(-(-n_frames // FRAMES_MULTIPLE), 1) * FRAMES_MULTIPLE


def run_batches(
    blocks: Iterable[ChannelBlock | None], framing: Framing, n_frames: int, engine: Engine
) -> None:
    """Compute every block into its ``results`` and call its ``computed``.

    A ``None`` among the blocks means that the next one will take a while: all earlier ones are
    computed first. ``n_frames`` is the size of the engine's batches.
    """
    pending: deque[tuple[int, list[Slot], Future[tuple[FeatureArray, float]]]] = deque()
    numbers = itertools.cycle(range(len(engine.batches)))

    def deliver(at_most: int) -> None:
        while len(pending) > at_most:
            number, slots, computed = pending.popleft()
            try:
                features, peak = computed.result()
            except Exception:  # one input must not fail the others in the batch
                recompute(engine.batches[number], slots)
                continue
            for slot in slots:
                values = features[slot.position : slot.end]
                slot.store(values, peak if len(slots) == 1 else float(values.max()))

    def recompute(batch: Samples, slots: Iterable[Slot]) -> None:
        for slot in slots:
            samples = batch[_samples(slot.position, slot.count, framing)]
            try:
                computed = engine.recompute(samples, slot.count)
            except Exception as error:
                if slot.block.failed is None:
                    raise
                slot.block.failed(error)
            else:
                slot.store(*computed)

    def free_batches() -> Iterator[Samples]:
        for batch in itertools.cycle(engine.batches):
            deliver(len(engine.batches) - 1)
            yield batch

    for slots in BatchPacker(framing, n_frames).pack(blocks, free_batches()):
        if slots:
            number = next(numbers)
            pending.append((number, slots, engine.submit(number, slots[-1].end)))
        else:
            deliver(0)
    deliver(0)
