"""What has been read, through the layer and into a store of blocks."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np

from kapre_cli.engines import batches
from kapre_cli.engines.batches import Engine, Segment
from kapre_cli.errors import FeatureError, TooManyFailuresError, input_error
from kapre_cli.pipeline.blocks import Block
from kapre_cli.pipeline.reading import Part
from kapre_cli.pipeline.work import Work
from kapre_cli.report import Progress, Report
from kapre_cli.settings import ExtractionSettings
from kapre_cli.storage.block_store import BlockStore


class Endings(ABC):
    """Told how each input ends: what becomes of it next is another's business."""

    @abstractmethod
    def failed(self, work: Work, reason: Exception) -> None:
        """Take note that an input has failed."""

    @abstractmethod
    def done(self, work: Work) -> None:
        """Take note that all blocks of an input are in the store."""


class Computation:
    """The layer at work.

    Args:
        settings: The run's, the layer's image data format resolved.
        store: Where blocks go.
        endings: Told how each input ends.
        report: Knows when too much has failed.
        progress: Told how far the work has come.
    """

    def __init__(
        self,
        settings: ExtractionSettings,
        store: BlockStore,
        endings: Endings,
        report: Report,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._config = settings.layer
        self._store = store
        self._endings = endings
        self._report = report
        self._progress = progress

    def compute(self, parts: Iterable[Part | None], engine: Engine, n_frames: int) -> None:
        """Compute every block that has been read and keep it.

        Args:
            parts: What has been read; ``None`` where more will take a while.
            engine: Computes the batches.
            n_frames: Frames of a batch.

        Raises:
            OutputError: If it cannot be kept.
            TooManyFailuresError: If more inputs fail than may.
        """
        batches.run_batches(self._segments(parts), self._config.framing, n_frames, engine)
        self._report.require_few_failures()

    def _segments(self, parts: Iterable[Part | None]) -> Iterator[Segment | None]:
        try:
            for part in parts:
                self._report.require_few_failures()
                if part is None:
                    yield None
                    self._progress.waits()
                else:
                    yield from self._of(part)
        except TooManyFailuresError:
            yield None  # what has been read is computed and kept
            raise

    def _of(self, part: Part) -> Iterator[Segment]:
        """Yield the segments of a block, or record the end of an input."""
        work = part.work
        if isinstance(part, Block):
            if not work.failed:
                failed = partial(self._fail, work)
                try:
                    segments = part.segments(self._config.n_features, self._keep, failed)
                except MemoryError as error:
                    self._fail(work, error)
                else:
                    yield from segments
        elif part.failure is not None:
            self._fail(work, part.failure)
        else:
            self._read(work)

    def _fail(self, work: Work, reason: Exception) -> None:
        if not work.failed:
            work.failed = True
            self._progress.ended(work.source.key)
            self._endings.failed(work, input_error(reason))

    def _keep(self, block: Block) -> None:
        """Put a computed block into the store."""
        work = block.work
        if work.failed:
            return
        try:
            self._require_finite(block)
        except (FeatureError, MemoryError) as error:
            self._fail(work, error)
            return
        facts = work.facts
        assert facts is not None  # noqa: S101 - for the type checker: it was opened
        work.done = work.read and work.n_lacking == 1
        entry = self._store.block(
            work.source.key, work.of, block.first_frame, block.results, facts if work.done else None
        )
        work.entries[block.first_frame] = entry
        work.work_seconds = time.monotonic() - work.begun
        n_time = self._config.framing.n_time(facts.n_samples)
        length = facts.seconds
        due, seconds = (n / n_time * length for n in (n_time - work.n_kept, block.n_frames))
        self._progress.computed(work.source.key, due, seconds, length)
        if work.done:
            self._end(work)

    def _require_finite(self, block: Block) -> None:
        """Set features to NaN that are not finite, if such samples were to be kept.

        Raises:
            FeatureError: If there are such features and they were not to be kept.
        """
        if block.is_finite:
            return
        finite = np.isfinite(block.results)
        if self._settings.audio.non_finite == "keep":
            block.results[~finite] = np.nan  # whatever the transform made of an infinity
        elif not finite.all():
            raise _overflow(block)

    def _read(self, work: Work) -> None:
        """Close the books on an input that has been read to its end, if all is computed."""
        work.read = True
        if work.failed:
            return
        self._report.was_read()
        if work.n_lacking == 0:
            assert work.facts is not None  # noqa: S101 - for the type checker: it was opened
            self._store.done(work.source.key, work.of, work.facts)
            work.done = True
            self._end(work)

    def _end(self, work: Work) -> None:
        self._progress.ended(work.source.key)
        if self._report.verbose:
            self._report.say(f"done: {work.told(self._config)}")
        self._endings.done(work)


def _overflow(block: Block) -> FeatureError:
    last = block.first_frame + block.n_frames - 1
    return FeatureError(
        f"its samples are so large that float32 overflows in frames {block.first_frame:,} "
        f"to {last:,}; scale it down, for instance to [-1, 1]"
    )
