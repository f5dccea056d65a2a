"""Finished inputs into one output, in their order: a file or folder, or a stream."""

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from kapre_cli.errors import (
    OutputError,
    StoredDataError,
    input_error,
    quoted,
)
from kapre_cli.extraction.disk_usage import output_bytes
from kapre_cli.extraction.job import NO_ENTRIES, Job
from kapre_cli.extraction.reuse import ReusePolicy
from kapre_cli.extraction.tasks import TaskSettings
from kapre_cli.report import SILENT, Progress, Report, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.storage.assembly import FinalArray, Part, final_array, stored_array
from kapre_cli.storage.disk import require_free_bytes
from kapre_cli.storage.existing import Existing
from kapre_cli.storage.features import require_written
from kapre_cli.storage.journals import Journals
from kapre_cli.storage.npy import write_array
from kapre_cli.storage.work_dir import WorkDir, signals_deferred
from kapre_cli.storage.writers import FeatureWriter, writer_class

_SECONDS_TO_LOOK = 0.1  # at the place of the work folder again


class Sink:
    """Takes inputs that have ended, in order.

    Attributes:
        ahead_inputs: How many inputs may be computed before the turn of the first of them has come;
        ahead_bytes: how many bytes of blocks they may have.
        tells_at_once: Whether an input that fails is reported then, and not in its turn.
    """

    ahead_inputs = sys.maxsize
    ahead_bytes = sys.maxsize
    tells_at_once = True

    def keep(self, job: Job) -> None:
        """Give an input what earlier runs have done for it."""

    def get_ready(self) -> None:
        """Do what can be done before the first input has ended."""

    def nothing_else_is_due(self, jobs: Collection[Job]) -> None:
        """Record that all inputs have ended, and which of them are still to be taken."""

    def take(self, job: Job, pause: Callable[[], None]) -> None:
        """Take the next input, which has ended; ``pause`` now and then in a long array."""
        raise NotImplementedError


class FileSink(Sink):
    """Writes an output in a work folder, reads it back and moves it into its place.

    It is begun as late as possible: as long as all inputs are those of the finished output that is
    brought up to date, in its order, there may be nothing to write.

    Args:
        common: The settings of the run.
        work_dir: Where the output is put together.
        existing: What stood at its place when the run began.
        reuse: What earlier runs have left, and the report of this one.
        jobs: The inputs; ``None`` while not all of them are known.
        progress: Told how far it is.
    """

    def __init__(
        self,
        common: TaskSettings,
        work_dir: WorkDir,
        existing: Existing,
        reuse: ReusePolicy,
        jobs: Sequence[Job] | None,
        progress: Progress,
    ) -> None:
        self._settings = common.settings
        self._config = common.settings.layer
        self._root = common.root
        self._work_dir = work_dir
        self._existing = existing
        self._reuse = reuse
        self._report = reuse.report
        self._n_rejected = reuse.report.n_failed
        self._progress = progress
        self._writer: FeatureWriter | None = None
        self._next_look = 0.0  # at the place of the work folder
        self._written: list[Job] = []
        self._waiting: list[Job] = []  # that need not be written if all others are like them
        self._features = reuse.earlier.features
        stored = None if self._features is None else self._features.root
        self._is_of_same_settings = stored is not None and (
            replace(stored, versions=self._root.versions) == self._root
        )
        self._stored_keys = iter(self._features or ())
        # Where the arrays of inputs that are gone belong is known only once all have been tried.
        self._follows = self._features is None or (
            jobs is not None and not reuse.others({job.source.key for job in jobs})
        )
        self._announced: tuple[int, float] | None = None  # inputs and seconds to be written
        self._shown = SILENT  # the progress, once it is that of writing

    def keep(self, job: Job) -> None:
        """Give an input what earlier runs have done for it."""
        self._reuse.keep(job)

    def get_ready(self) -> None:
        """Load the library that writes the output."""
        writer_class(self._settings.output.format)

    def nothing_else_is_due(self, jobs: Collection[Job]) -> None:
        """Let progress be that of writing, from the next input on that is written."""
        self._announced = len(jobs), sum(job.facts.seconds for job in jobs if job.facts)
        self._shown = SILENT

    def take(self, job: Job, pause: Callable[[], None]) -> None:
        """Write the input's array, unless there may be nothing to write."""
        if (job.failed and not self._reuse.retain(job)) or not self._follows:
            return
        self._waiting.append(job)
        if self._writer is not None or not self._is_stored(job, next(self._stored_keys, None)):
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._write(one, pause)

    def _is_stored(self, job: Job, key: str | None) -> bool:
        """Whether the finished output has the array just so, and under a key: the next one."""
        is_there = job.stored_in is not None and not job.restated and job.source.key == key
        return is_there and self._is_of_same_settings

    def _opened(self) -> FeatureWriter:
        """Return what writes the output, which is begun now at the latest."""
        if self._writer is None:
            write = writer_class(self._settings.output.format)
            self._writer = write(self._work_dir.staging, self._root)
        return self._writer

    def _write(self, job: Job, pause: Callable[[], None]) -> None:
        facts = job.known_facts
        self._require_place()
        writer = self._opened()
        try:
            array = self._array(job)
        except (OutputError, StoredDataError):
            raise
        except Exception as error:
            if not job.failed:
                job.failed = True
                self._report.failed(job.source.path, input_error(error), job.known(self._config))
            return
        if self._announced is not None:
            self._progress.writing(*self._announced)
            self._announced, self._shown = None, self._progress
        key = job.source.key
        job.facts = writer.add(key, with_pauses(array, facts.seconds, self._shown, pause), facts)
        if job.stored_in is not None and job.facts.crc32 != facts.crc32:
            raise OutputError(f"{quoted(key)} changed in the old output as it was copied")
        job.entries = NO_ENTRIES
        self._written.append(job)
        self._shown.wrote(facts.seconds)

    def _require_place(self) -> None:
        """See that nothing is written into somebody's folder, whose name the work folder had.

        A file that is open stays where it is: looking now and then is enough.
        """
        is_due = time.monotonic() > self._next_look
        if is_due or self._writer is None or self._settings.output.format == "npy-directory":
            self._work_dir.require_in_place()
            self._next_look = time.monotonic() + _SECONDS_TO_LOOK

    def _array(self, job: Job) -> FinalArray:
        if job.stored_in is not None:
            return stored_array(job.stored_in[job.source.key], self._config)
        journals, entries = self._work_dir.journals, list(job.entries.values())
        return final_array(journals, entries, self._config, self._settings.output.dtype)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Write what is left, read the output back and move it into its place.

        Args:
            jobs: All inputs.

        Raises:
            OutputError: If it cannot be written or moved; what stood there is unchanged then.
        """
        arrays = self._reuse.contents(jobs, self._n_rejected)
        if self._writer is None and (arrays or not jobs) and self._is_up_to_date(arrays):
            self._report.is_there = True
            is_all = len(arrays) == len(jobs) and not any(job.failed for job in jobs)
            new = "up to date: nothing was computed"
            if not is_all:
                new = "left as it is: nothing new could be read"
            self._report.say(f"note: {quoted(self._settings.output.path)} is {new}")
        elif arrays and all(job.failed for job in arrays):
            self._keep_unwritten(arrays)
            return
        elif arrays or self._may_be_empty(jobs):
            if self._writer is None:
                self._write_all(arrays)
            if self._written or self._may_be_empty(jobs):
                self._publish(self._opened())
                return
        self._work_dir.keep = False
        self._count(arrays)

    def _is_up_to_date(self, arrays: Sequence[Job]) -> bool:
        """Whether the finished output holds all that there is to hold, just so."""
        if self._features is None or len(self._features) != len(arrays):
            return False
        return self._is_of_same_settings and all(map(self._is_stored, arrays, self._features))

    def _keep_unwritten(self, arrays: Sequence[Job]) -> None:
        n_finished = sum(bool(job.entries) or job.stored_in is None for job in arrays)
        self._work_dir.keep = n_finished > 0
        if self._work_dir.keep:
            place = self._work_dir.place or self._work_dir.folder
            self._report.kept = (
                f"the finished work of {counted(n_finished, 'input')} is kept in "
                f"{quoted(place)}; the same command with --resume goes on with it"
            )

    def _may_be_empty(self, jobs: Sequence[Job]) -> bool:
        """Whether an output without arrays is one: of a shard, and not in place of a better one."""
        is_shard = self._settings.shard is not None and self._settings.output.format != "npy"
        return is_shard and not (jobs and os.path.lexists(self._settings.output.path))

    def _write_all(self, arrays: Sequence[Job]) -> None:
        """Write all that has waited."""
        if arrays:
            output = self._settings.output.path
            n_bytes = output_bytes(arrays, self._settings)
            require_free_bytes(output.parent, n_bytes, quoted(output))
            self.nothing_else_is_due(arrays)
        for job in arrays:
            self._write(job, lambda: None)
            self._report.require_few_failures()

    def _publish(self, writer: FeatureWriter) -> None:
        """Read the output back, move it into its place and remove what led to it.

        The last two are one deed: an interrupt in between would be told as if there were no output.
        """
        writer.finish()
        require_written(writer, self._progress)
        writer.close()
        with signals_deferred():
            try:
                self._work_dir.publish(self._existing)
            finally:
                if self._work_dir.published:
                    self._report.is_there = True
                    self._count(self._written)
            self._reuse.earlier.close()
            self._work_dir.close()

    def _count(self, arrays: Sequence[Job]) -> None:
        """Count the inputs whose arrays are in the output; one that failed has been counted."""
        for job in arrays:
            if not job.failed:
                tell = self._report.skipped if job.kept else self._report.written
                tell(job.source.path, job.known(self._config))

    def close(self) -> None:
        """Close what has been written; it is void unless it is in its place."""
        if self._writer is not None:
            self._writer.close()


class StreamSink(Sink):
    """Sends each array off when its turn has come, and leaves nothing behind.

    What becomes of an input is reported in that order too.
    """

    ahead_inputs = 2**10
    ahead_bytes = 2**28
    tells_at_once = False

    def __init__(
        self, descriptor: int, settings: ExtractionSettings, journals: Journals, report: Report
    ) -> None:
        self._descriptor = descriptor
        self._config = settings.layer
        self._dtype = settings.output.dtype
        self._journals = journals
        self._report = report

    def take(self, job: Job, pause: Callable[[], None]) -> None:
        """Send the array off, or tell why there is none.

        Raises:
            BrokenPipeError: If nobody reads it.
            OutputError: If it cannot be written.
        """
        if not job.failed:
            self._send(job, pause)
        if job.failed:
            self._report.failed(job.source.path, job.failure, job.known(self._config))
        else:
            self._report.written(job.source.path, job.known(self._config))

    def _send(self, job: Job, pause: Callable[[], None]) -> None:
        entries = list(job.entries.values())
        try:
            array = final_array(self._journals, entries, self._config, self._dtype)
        except (OutputError, StoredDataError):
            raise
        except Exception as error:
            job.failed, job.failure = True, input_error(error)
            return
        facts = job.known_facts
        write_array(self._descriptor, with_pauses(array, facts.seconds, SILENT, pause))
        job.facts = facts.with_reference(array.reference)
        job.entries = NO_ENTRIES


def with_pauses(
    array: FinalArray, seconds: float, progress: Progress, pause: Callable[[], None]
) -> FinalArray:
    """Return an array of so many seconds that lets others go on between its pieces."""
    if array.n_pieces == 1:
        return array
    per_frame = seconds / array.shape[array.time_axis]

    def pieces() -> Iterator[Part]:
        for index, values in array.pieces():
            yield index, values
            progress.moved(values.shape[array.time_axis] * per_frame)
            pause()

    return replace(array, pieces=pieces)
