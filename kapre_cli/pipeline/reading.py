"""Inputs read and decoded ahead of what computes them, several at once."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kapre_cli.audio import AudioReader
from kapre_cli.closing import Closing
from kapre_cli.errors import AudioReadError, FeatureError
from kapre_cli.framing import Framing
from kapre_cli.pipeline.blocks import Block, frame_blocks
from kapre_cli.pipeline.processors import n_processors
from kapre_cli.pipeline.work import Work
from kapre_cli.report import Watch, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.sources import Source
from kapre_cli.storage.journal import identity
from kapre_cli.storage.metadata import InputFacts

_AHEAD_VALUES = 2**25  # samples that may wait to be computed: 128 MiB
_LOT_VALUES = 2**18  # samples that are handed over at once, at least, and
_LOT_PARTS = 128  # blocks and ends, at most: a lock for each would cost more than reading it

_SHORT_BYTES = 2**16
_SAMPLED = 64

_CRASHES_ALLOWED = 1  # after which an input is tried once more
_SECONDS_TO_END = 5.0


@dataclass(slots=True)
class End:
    """The end of an input: it has been read and checked to its end, or it has failed.

    Attributes:
        work: The input.
        failure: Why it failed; ``None`` if it did not.
    """

    work: Work
    failure: Exception | None = None


Part = Block | End | None  # None: a reader has handed over all that it has and waits for more


class Readers(Closing):
    """Threads that read inputs; iterating over them gives blocks and ends as they come.

    Decoding lets go of Python's lock, so it goes on beside everything else. What has been read and
    not yet been asked for is bounded, whatever the length of the inputs. The blocks of one input
    come in order, its end after them.

    Args:
        works: The inputs, in the order in which they are begun; an iterator must bear being asked
            by several threads. ``None`` among them: there is no other at present, so what has been
            read is handed over before one is waited for.
        settings: The run's.
        watch: Told which inputs are being read.
    """

    def __init__(
        self, works: Iterable[Work | None], settings: ExtractionSettings, watch: Watch
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._works = iter(works)
        self._changed = threading.Condition()  # guards all that follows
        self._lots: deque[tuple[list[Part], int]] = deque()
        self._n_waiting = 0  # values in the lots
        self._closing = False
        self._failure: BaseException | None = None
        n_jobs = settings.jobs or n_processors()
        if isinstance(works, Sequence):
            sources = [work.source for work in works if work is not None]
            n_jobs = min(settings.jobs or jobs_for(sources), len(sources))
        if watch.again:
            n_jobs = 1  # should it come down once more, it is clear which input did it
        self._n_at_work = n_jobs
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name="reader", daemon=True)
            for number in range(n_jobs)
        ]
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Part]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lots or not self._n_at_work or self._failure)
                if self._failure is not None:
                    raise self._failure
                if not self._lots:
                    return
                lot, n_values = self._lots.popleft()
                self._n_waiting -= n_values
                self._changed.notify_all()
            yield from lot

    def _work(self, number: int) -> None:
        """Read inputs until there are none left: what each of the threads does."""
        try:
            lot, n_values = list[Part](), 0
            for part in self._parts(number):
                lot.append(part)
                n_values += part.samples.size if isinstance(part, Block) else 0
                if part is None or n_values >= _LOT_VALUES or len(lot) >= _LOT_PARTS:
                    self._hand_over(lot, n_values)
                    lot, n_values = [], 0
            self._hand_over(lot, n_values)
        except _ClosedError:
            pass
        except BaseException as error:
            self._failure = error
        finally:
            self._watch.reading(None, number)
            with self._changed:
                self._n_at_work -= 1
                self._changed.notify_all()

    def _hand_over(self, lot: list[Part], n_values: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._n_waiting <= _AHEAD_VALUES or self._closing)
            if self._closing:
                raise _ClosedError
            self._lots.append((lot, n_values))
            self._n_waiting += n_values
            self._changed.notify_all()

    def _parts(self, number: int) -> Iterator[Part]:
        while not self._closing:
            try:
                work = next(self._works)
            except StopIteration:
                return
            if work is None:
                self._watch.reading(None, number)
                yield None
                continue
            self._watch.reading(work.source.key, number)
            try:
                yield from self._blocks(work)
                yield End(work)
            except (AudioReadError, FeatureError) as error:
                yield End(work, error)

    def _blocks(self, work: Work) -> Iterator[Block]:
        """Yield the blocks of one input that the journal does not have.

        Raises:
            AudioReadError: If it cannot be read.
            FeatureError: If there is no frame in it.
        """
        require_no_crashes(self._watch, work.source)
        audio, config = self._settings.audio, self._settings.layer
        framing = config.framing
        work.begun = time.monotonic()
        with AudioReader(work.source.path, audio) as reader:
            require_frame(framing, reader.n_samples)
            facts = _facts(work.source, reader, framing)
            work.open(facts, config)
            of = identity(facts, audio.non_finite)
            if work.of == of:
                work.drop_misfits(config)
            else:  # what the journal has is of another state of the file
                work.of, work.entries = of, {}
            kept = tuple(work.entries)
            work.n_kept = sum(entry.shape[1] for entry in work.entries.values())
            for block in frame_blocks(work, reader, framing, config.n_features, kept):
                yield block
                if work.failed:  # its features cannot be used: no need to read on
                    return
            work.facts = facts._replace(
                n_non_finite=reader.file.n_non_finite, sha256=reader.file.sha256
            )

    def close(self) -> None:
        """Let the threads end. One that waits for a disk is not waited for long."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_SECONDS_TO_END)


def jobs_for(sources: Sequence[Source]) -> int:
    """Return how many threads read fastest: one, if most inputs are short.

    Opening a short file takes Python's lock most of the time: more threads would only wait for it.
    """
    sample = sources[:: max(len(sources) // _SAMPLED, 1)]
    sizes = sorted(source.size for source in sample)
    return 1 if sizes[len(sizes) // 2] < _SHORT_BYTES else n_processors()


class _ClosedError(Exception):
    """Nobody asks for what has been read any more."""


def require_no_crashes(watch: Watch, source: Source) -> None:
    """Refuse an input that has brought the process down again and again.

    Raises:
        AudioReadError: If it has.
    """
    crashes = watch.crashes(source.key)
    if len(crashes) > _CRASHES_ALLOWED:
        raise AudioReadError(
            f"the program crashed {counted(len(crashes), 'time')} ({', '.join(crashes)}) while it "
            "was reading it: the file must be damaged in a way that its decoder cannot stand"
        )


def require_frame(framing: Framing, n_samples: int) -> None:
    """Refuse an input that is too short.

    Raises:
        FeatureError: If there is no frame in it.
    """
    if framing.padding == "valid" and n_samples < framing.n_dft:
        raise FeatureError(
            f"it has {counted(n_samples, 'sample')}, fewer than the {framing.n_dft:,} of one "
            "frame; take --padding same or a smaller --n-dft"
        )


def _facts(source: Source, reader: AudioReader, framing: Framing) -> InputFacts:
    time_start, time_step = framing.times(reader.n_samples, reader.sr)
    return InputFacts(
        source=source.path,
        sr=reader.sr,
        source_sr=reader.file.sr,
        n_samples=reader.n_samples,
        n_channels=reader.n_channels,
        time_start=time_start,
        time_step=time_step,
        source_size=reader.file.size,
        source_mtime_ns=reader.file.mtime_ns,
        n_missing=reader.file.n_missing,
    )
