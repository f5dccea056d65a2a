"""Inputs read and decoded ahead of what computes them, several at once."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kapre_cli.audio import AudioReader, sha256_of
from kapre_cli.closing import Closing
from kapre_cli.errors import AudioReadError, FeatureError, OutputError, input_error
from kapre_cli.framing import Framing
from kapre_cli.pipeline.blocks import Block, frame_blocks
from kapre_cli.pipeline.work import Work, tells_state
from kapre_cli.posix import n_processors
from kapre_cli.report import Watch, counted
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.settings.limits import require_narrow_frame, within_int64
from kapre_cli.sources import Source
from kapre_cli.storage.journal import identity
from kapre_cli.storage.metadata import InputFacts

_SHORT_BYTES = 2**16
_SAMPLED = 64

_CRASHES_ALLOWED = 1  # after which an input is tried once more


@dataclass(frozen=True)
class Bounds:
    """How far readers go ahead of what computes.

    Attributes:
        ahead_values: Samples that may wait to be computed: 128 MiB.
        lot_values: Samples that are handed over at once, at least, and
        lot_parts: blocks and ends, at most: a lock for each would cost more than reading it.
        named: Inputs that may wait to be begun where no more are to be named than are needed.
        seconds_to_end: How long all threads together may take to end.
    """

    ahead_values: int = 2**25
    lot_values: int = 2**18
    lot_parts: int = 128
    named: int = 8
    seconds_to_end: float = 5.0


_BOUNDS = Bounds()


@dataclass(slots=True)
class End:
    """The end of an input: it has been read and checked to its end, or it has failed.

    Attributes:
        work: The input.
        failure: Why it failed; ``None`` if it did not.
    """

    work: Work
    failure: Exception | None = None


Part = Block | End


class Readers(Closing):
    """Threads that read inputs; iterating over them gives blocks and ends as they come.

    Decoding lets go of Python's lock, so it goes on beside everything else. What has been read and
    not yet been asked for is bounded, whatever the length of the inputs. The blocks of one input
    come in order, its end after them. Before a wait for inputs that are still to be named comes
    ``None``: all that has been read has been handed out then.

    Args:
        works: The inputs, in the order in which they are begun: all of them, or as they come.
            These are asked for in a thread of its own. Whoever closes the readers sees to it
            before that they do not keep it waiting.
        settings: The run's.
        watch: Told which inputs are being read.
        sparing: Whether inputs that come are asked for only when readers will soon be free for
            them, and not as soon as they come.
        bounds: How far they go ahead.
    """

    def __init__(
        self,
        works: Iterable[Work],
        settings: ExtractionSettings,
        watch: Watch,
        *,
        sparing: bool = False,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        self._bounds = bounds
        self._settings = settings
        self._watch = watch
        known = works if isinstance(works, Sequence) else None
        self._works = deque(known or ())
        self._changed = threading.Condition()  # guards all that follows
        self._lots: deque[tuple[list[Part], int]] = deque()
        self._n_waiting = 0  # values in the lots
        self._closing = False
        self._failure: BaseException | None = None
        self._more_come = known is None
        self._is_sparing = sparing
        self._n_idle = 0  # readers that wait for another input
        self._is_told = True  # that all of them do
        if known is None:
            n_jobs = settings.jobs or n_processors()
        else:
            n_jobs = min(settings.jobs or jobs_for([work.source for work in known]), len(known))
        if watch.again:
            n_jobs = 1  # should it come down once more, it is clear which input did it
        self._n_at_work = n_jobs
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name="reader", daemon=True)
            for number in range(n_jobs)
        ]
        if known is None:
            feeder = threading.Thread(target=self._feed, args=(works,), name="list", daemon=True)
            self._threads.append(feeder)
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:  # the system allows no more threads
            self.close()
            raise

    def __iter__(self) -> Iterator[Part | None]:
        while (lot := self._next_lot()) is not None:
            yield from lot

    def _next_lot(self) -> Sequence[Part | None] | None:
        """Wait for what is handed out next and return it; ``None`` after the last."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._lots or self._failure or not self._n_at_work or self._is_idle
            )
            if self._failure is not None:
                raise self._failure
            if not self._lots:
                self._is_told = True
                return [None] if self._n_at_work else None
            lot, n_values = self._lots.popleft()
            self._is_told = False
            self._n_waiting -= n_values
            self._changed.notify_all()
            return lot

    @property
    def _is_idle(self) -> bool:
        """Whether nothing comes before another input is named, and that is still to be told."""
        return self._n_idle == self._n_at_work and not self._is_told

    def _work(self, number: int) -> None:
        """Read inputs until there are none left: what each of the threads does."""
        try:
            most, lot, n_values = self._bounds, list[Part](), 0
            for part in self._parts(number):
                if part is not None:
                    lot.append(part)
                n_values += part.samples.size if isinstance(part, Block) else 0
                if lot and (
                    part is None or n_values >= most.lot_values or len(lot) >= most.lot_parts
                ):
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
            self._changed.wait_for(
                lambda: self._n_waiting <= self._bounds.ahead_values or self._closing
            )
            if self._closing:
                raise _ClosedError
            self._lots.append((lot, n_values))
            self._n_waiting += n_values
            self._changed.notify_all()

    def _feed(self, works: Iterable[Work]) -> None:
        """Take note of inputs as they come, in a thread of its own."""
        try:
            for work in works:
                with self._changed:
                    if self._closing:
                        return
                    self._works.append(work)
                    self._changed.notify_all()
                    self._changed.wait_for(self._wants_more)
        except BaseException as error:
            self._failure = error
        finally:
            with self._changed:
                self._more_come = False
                self._changed.notify_all()

    def _wants_more(self) -> bool:
        return not self._is_sparing or len(self._works) < self._bounds.named or self._closing

    def _parts(self, number: int) -> Iterator[Part | None]:
        """Yield the parts of inputs until there are none left; ``None`` before a wait for one."""
        while not self._closing:
            try:
                work = self._works.popleft()
            except IndexError:  # no more, or not yet
                yield None
                if not self._wait_for_more(number):
                    return
                continue
            if self._is_sparing and len(self._works) == self._bounds.named // 2:
                with self._changed:
                    self._changed.notify_all()  # some are asked for before the last one is taken
            self._watch.reading(work.source.key, number)
            end = End(work)
            try:
                yield from self._blocks(work)
            except OutputError:
                raise
            except Exception as error:
                end.failure = input_error(error)
            yield end

    def _wait_for_more(self, number: int) -> bool:
        """Return whether there is another input, once that can be told."""
        with self._changed:
            if self._more_come:
                self._watch.reading(None, number)
            self._n_idle += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._works or not self._more_come or self._closing)
            self._n_idle -= 1
            return bool(self._works)

    def _blocks(self, work: Work) -> Iterator[Block]:
        """Yield the blocks of one input that the journal does not have.

        Any exception but OutputError fails this input alone.
        """
        source = work.source
        require_no_crashes(self._watch, source)
        audio, config = self._settings.audio, self._settings.layer
        framing = config.framing
        work.begun = time.monotonic()
        with AudioReader(source.file, audio, is_stream=source.is_stream) as reader:
            require_frame(config, reader)
            facts = _facts(source, reader, framing)
            work.open(facts, config)
            is_told = tells_state(source, facts.source_mtime_ns)
            content = "" if is_told else sha256_of(source.file)
            of = identity(facts, audio.non_finite, content)
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
                n_non_finite=reader.file.n_non_finite,
                n_silent_channels=reader.n_silent_channels,
                sha256=reader.file.sha256,
            )

    def close(self) -> None:
        """Let the threads end. Those that wait for a disk share one limit, however many hang."""
        deadline = time.monotonic() + self._bounds.seconds_to_end
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:  # else the system had no thread for it
                thread.join(max(deadline - time.monotonic(), 0))


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


def require_frame(config: LayerConfig, reader: AudioReader) -> None:
    """Refuse an input that is too short for a frame, or has too many channels for one.

    Raises:
        FeatureError: If it is.
    """
    if config.padding == "valid" and reader.n_samples < config.n_dft:
        raise FeatureError(
            f"it has {counted(reader.n_samples, 'sample')}, fewer than the {config.n_dft:,} of one "
            "frame; take --padding same or a smaller --n-dft"
        )
    try:
        require_narrow_frame(config.n_features, reader.n_channels)
    except ValueError as error:
        raise FeatureError(f"{error}; take --channel, --mono or a smaller --n-dft") from error


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
        source_mtime_ns=0 if source.is_stream else within_int64(reader.file.mtime_ns),
        n_missing=reader.file.n_missing,
        note="; ".join(reader.file.notes),
    )
