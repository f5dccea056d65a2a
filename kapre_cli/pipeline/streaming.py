"""A run whose arrays go to standard output one by one, and that leaves nothing behind."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from kapre_cli.closing import Closing
from kapre_cli.engines.batches import batch_frames
from kapre_cli.engines.registry import engine_for
from kapre_cli.errors import (
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    input_error,
    quoted,
)
from kapre_cli.outcomes import Known
from kapre_cli.pipeline.computation import Computation, Endings
from kapre_cli.pipeline.reading import Readers, jobs_for
from kapre_cli.pipeline.work import Work
from kapre_cli.report import SILENT, UNWATCHED, Gone, Progress, Report, Watch
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.keras_file import resolved
from kapre_cli.sources import Arriving, Source
from kapre_cli.storage.assembly import final_array
from kapre_cli.storage.block_spool import BlockSpool
from kapre_cli.storage.npy_stream import NpyStream

# How far others may be ahead of the input whose turn it is: so many of them, with so many bytes.
_AHEAD_INPUTS = 2**10
_AHEAD_BYTES = 2**28


def stream(
    sources: Sequence[Source] | Arriving,
    settings: ExtractionSettings,
    report: Report,
    descriptor: int,
    progress: Progress = SILENT,
    watch: Watch = UNWATCHED,
) -> None:
    """Extract the features of every source and send each array off as soon as its turn comes.

    Arrays go out in the order of the inputs, each whole, and what becomes of an input is told in
    that order too. One that fails gives no array and harms no other.

    Args:
        sources: The inputs: all of them, or as they come.
        settings: What to compute.
        report: Told what becomes of every input.
        descriptor: Where arrays go.
        progress: Told how far the work has come.
        watch: Told which inputs are being read and how much has gone out. Of a process that
            came down, another goes on where it stopped, at the same byte.

    Raises:
        BrokenPipeError: If nobody reads the arrays any more.
        OutputError: If they cannot be written.
        TooManyFailuresError: If more inputs fail than may.
    """
    report.begin()
    settings = replace(settings, layer=resolved(settings.layer))
    if not isinstance(sources, Arriving) and sources:
        n_jobs = min(settings.jobs or jobs_for(sources), len(sources))
        settings = replace(settings, jobs=n_jobs)
    n_frames = batch_frames(settings.layer, settings.batch_size)
    with BlockSpool() as spool:
        queue = _Queue(sources, settings, spool, report, progress, descriptor, watch)
        computation = Computation(settings, spool, queue, report, progress)
        try:
            with (
                Readers(queue, settings, watch, sparing=True) as readers,
                queue,  # closed before the readers, which may wait for it
                engine_for(settings.layer, settings.engine, n_frames) as engine,
            ):
                computation.compute(readers, engine, n_frames)
            report.warn_of_floor(settings.layer.amin)
        except (OutputError, StoredDataError, TooManyFailuresError) as error:
            report.broken = True
            queue.give_up(error)
            raise


class _Queue(Endings, Closing):
    """The inputs whose turn has not come yet.

    Iterating over it, in a thread of its own, gives the inputs to be read, each when it may be
    begun.

    Args:
        sources: As :func:`stream` has them.
        settings: The run's, the layer's image data format resolved.
        spool: Where the blocks are.
        report: Told what becomes of every input.
        progress: Told of every input that comes.
        descriptor: Where arrays go.
        watch: Told how much has gone out.
    """

    def __init__(
        self,
        sources: Sequence[Source] | Arriving,
        settings: ExtractionSettings,
        spool: BlockSpool,
        report: Report,
        progress: Progress,
        descriptor: int,
        watch: Watch,
    ) -> None:
        self._config = settings.layer
        self._dtype = settings.output.dtype
        self._spool = spool
        self._report = report
        self._progress = progress
        self._watch = watch
        self._gone = watch.gone()
        self._out = NpyStream(descriptor, max(watch.n_sent - self._gone.n_bytes, 0))
        self._failures: dict[int, Exception] = {}
        self._sources = sources
        self._coming = self._due()
        self._changed = threading.Condition()  # guards all that follows
        self._works: deque[Work] = deque()
        self._is_closed = False
        report.go_on(self._gone)

    def __iter__(self) -> Iterator[Work]:
        for source in self._coming:
            work = Work(source)
            with self._changed:
                self._works.append(work)
            yield work
            with self._changed:
                self._changed.wait_for(self._may_take)
                if self._is_closed:
                    return

    def _due(self) -> Iterator[Source]:
        """Yield the inputs but those that had ended when the process came down."""
        n_ended = self._gone.n_inputs
        for number, source in enumerate(self._sources):
            if isinstance(self._sources, Arriving):
                self._progress.arrived(source.key, source.size)
            if number >= n_ended:
                yield source
            else:
                self._report.recorder.ended_before(source.path)
                self._progress.kept(source.key)
        if isinstance(self._sources, Arriving):
            self._report.n_expected = self._sources.n_inputs
            self._progress.all_arrived()

    def _may_take(self) -> bool:
        """Whether another input may be begun; or none at all any more, which is to be told."""
        if self._is_closed or not self._works:
            return True
        ahead = self._spool.n_bytes - self._spool.n_bytes_of(self._works[0].source.key)
        return len(self._works) < _AHEAD_INPUTS and ahead < _AHEAD_BYTES

    def failed(self, work: Work, reason: Exception) -> None:
        """Keep why an input failed until its turn comes."""
        self._failures[id(work)] = reason
        self._let_go(work)
        self._send()

    def done(self, work: Work) -> None:  # noqa: ARG002 - it may be another's turn
        """Send off what can be."""
        self._send()

    def _send(self) -> None:
        """Send off each input that has ended, up to the first that has not."""
        while self._works and (self._works[0].done or self._works[0].failed):
            work = self._works[0]
            if not work.failed:
                self._send_array(work)
            if work.failed:
                self._tell_failure(work)
            with self._changed:
                self._works.popleft()
                self._changed.notify_all()
            if work.failed:
                self._report.require_few_failures()
        with self._changed:
            self._changed.notify_all()  # there may be room again

    def _send_array(self, work: Work) -> None:
        try:
            array = final_array(self._spool, list(work.entries.values()), self._config, self._dtype)
        except (OutputError, StoredDataError):
            raise
        except Exception as error:
            work.failed = True
            self._failures[id(work)] = input_error(error)
            self._let_go(work)
            return
        n_bytes = self._out.write(array)
        assert work.facts is not None  # noqa: S101 - for the type checker: it was opened
        work.facts = work.facts.with_reference(array.reference)
        self._let_go(work)
        known, gone = work.known(self._config), self._gone
        self._report.written(work.source.path, known)
        self._note(
            Gone(
                gone.n_inputs + 1,
                gone.n_written + 1,
                gone.n_bytes + n_bytes,
                gone.seconds + (known.seconds or 0.0),
                gone.n_floored + known.is_floored,
            )
        )

    def _tell_failure(self, work: Work) -> None:
        reason = self._failures.pop(id(work))
        if self._out.is_within_an_array:
            raise OutputError(
                f"the stream ends within the array of {quoted(work.source.path)}, whose rest "
                f"could not be computed: {reason}"
            )
        self._report.failed(work.source.path, reason, work.known(self._config))
        self._note(self._gone._replace(n_inputs=self._gone.n_inputs + 1))

    def _let_go(self, work: Work) -> None:
        self._spool.let_go(work.source.key, work.entries.values())
        work.entries = {}

    def _note(self, gone: Gone) -> None:
        self._gone = gone
        self._watch.went_out(gone)

    def give_up(self, error: Exception) -> None:
        """Count all that will not go out any more as failed, as far as it is known."""
        for work in self._works:
            known, reason = work.known(self._config), self._failures.get(id(work))
            if reason is None:
                self._report.unwritten(work.source.path, error, known, tried=work.was_tried)
            else:
                self._report.failed(work.source.path, reason, known)
        for source in self._coming:
            self._report.unwritten(source.path, error, Known(source.key), tried=False)

    def close(self) -> None:
        """Give out no more inputs, and let whoever waits for one wait no longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if isinstance(self._sources, Arriving):
            self._sources.stop()
