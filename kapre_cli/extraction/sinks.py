"""Write the arrays of finished inputs, in order, into an output: a file, a folder or a stream."""

import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from kapre_cli import events
from kapre_cli.errors import OutputError, StoredDataError, input_error
from kapre_cli.extraction.assembly import final_array, with_pauses
from kapre_cli.extraction.disk_usage import output_bytes
from kapre_cli.extraction.reuse import ReusePolicy
from kapre_cli.extraction.tasks import NO_ENTRIES, Job, TaskSettings
from kapre_cli.formats.array_chunks import ArrayChunks
from kapre_cli.formats.arrays import stored_array
from kapre_cli.formats.opening import check_written
from kapre_cli.formats.writer import FeatureWriter
from kapre_cli.osutil import check_free_bytes
from kapre_cli.outputs.existing import Existing
from kapre_cli.resume.work_dir import Journals, WorkDir, signals_ignored
from kapre_cli.run_result import RunResult
from kapre_cli.settings import ExtractionSettings
from kapre_cli.text import quoted

_SECONDS_BETWEEN_CHECKS = 0.1  # between two checks that the work folder is in its place


class Sink:
    """Receives inputs that have ended, in order.

    Attributes:
        ahead_inputs: Maximum number of inputs that are computed before it is their turn.
        ahead_bytes: Maximum bytes of their blocks.
        at_once: Maximum number of inputs to add before new messages are handled.
        reports_at_once: Whether a failed input is reported at once, not in its turn.
    """

    ahead_inputs = sys.maxsize
    ahead_bytes = sys.maxsize
    at_once = 8
    reports_at_once = True

    def reuse(self, job: Job) -> None:
        """Give an input the results of earlier runs."""

    def prepare(self) -> None:
        """Prepare before the first input has ended."""

    def all_ended(self, jobs: Collection[Job]) -> None:
        """Record that all inputs have ended, and which of them are still to be added."""

    def add(self, job: Job, pause: Callable[[], None]) -> None:
        """Add the next ended input; call ``pause`` now and then in a long array."""
        raise NotImplementedError


class FileSink(Sink):
    """Writes an output in a work folder, reads it back and moves it into its place.

    The writer is opened as late as possible: while all inputs are those of the finished output, in
    its order, there may be nothing to write.

    Args:
        existing: The state of the output path when the run began.
        jobs: The inputs; ``None`` while not all of them are known.
    """

    def __init__(
        self,
        common: TaskSettings,
        work_dir: WorkDir,
        existing: Existing,
        reuse: ReusePolicy,
        jobs: Sequence[Job] | None,
    ) -> None:
        self._settings = common.settings
        self._config = common.settings.layer
        self._format = common.settings.output.file_format
        self._root = common.root
        self._work_dir = work_dir
        self._existing = existing
        self._reuse = reuse
        self._result = reuse.result
        self._n_rejected = reuse.result.n_failed
        self._writer: FeatureWriter | None = None
        self._next_check = 0.0  # when the work folder is checked
        self._written: list[Job] = []
        self._waiting: list[Job] = []  # unchanged inputs, not written if all others are
        self._features = reuse.earlier.features
        stored = None if self._features is None else self._features.root
        self._is_of_same_settings = stored is not None and (
            replace(stored, versions=self._root.versions) == self._root
        )
        self._stored_keys = iter(self._features or ())
        # Arrays whose inputs are missing have a position only once all inputs have been tried.
        self._can_follow = self._features is None or (
            jobs is not None and not reuse.unclaimed({job.source.key for job in jobs})
        )
        self._announced: tuple[int, float] | None = None  # inputs and seconds to be written
        self._emit: events.Observer = events.ignore  # the run's, once arrays are written

    def reuse(self, job: Job) -> None:
        """Give an input the results of earlier runs."""
        self._reuse.reuse(job)

    def prepare(self) -> None:
        """Load the library that writes the output."""
        self._format.writer_class()

    def all_ended(self, jobs: Collection[Job]) -> None:
        """Show the progress of writing from the next written input on."""
        self._announced = len(jobs), sum(job.metadata.seconds for job in jobs if job.metadata)
        self._emit = events.ignore

    def add(self, job: Job, pause: Callable[[], None]) -> None:
        """Write the input's array, unless there may be nothing to write."""
        if (job.has_failed and not self._reuse.retain(job)) or not self._can_follow:
            return
        self._waiting.append(job)
        if self._writer is not None or not self._is_stored(job, next(self._stored_keys, None)):
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._write(one, pause)

    def _is_stored(self, job: Job, key: str | None) -> bool:
        """Return whether the finished output has this array next, unchanged."""
        is_next = job.stored_in is not None and not job.has_new_metadata and job.source.key == key
        return is_next and self._is_of_same_settings

    def _open_writer(self) -> FeatureWriter:
        if self._writer is None:
            self._writer = self._format.writer_class()(self._work_dir.staging, self._root)
        return self._writer

    def _write(self, job: Job, pause: Callable[[], None]) -> None:
        metadata = job.required_metadata
        self._check_place()
        writer = self._open_writer()
        try:
            array = self._array(job)
        except (OutputError, StoredDataError):
            raise
        except Exception as error:
            if not job.has_failed:
                job.has_failed = True
                self._result.failed(job.source.path, input_error(error), job.result(self._config))
            return
        if self._announced is not None:
            self._emit = self._result.emit
            self._emit(events.PhaseStarted("writing", *self._announced))
            self._announced = None
        key = job.source.key
        job.metadata = writer.add(
            key, with_pauses(array, metadata.seconds, self._emit, pause), metadata
        )
        if job.stored_in is not None and job.metadata.crc32 != metadata.crc32:
            raise OutputError(f"{quoted(key)} changed in the old output as it was copied")
        job.entries = NO_ENTRIES
        self._written.append(job)
        self._emit(events.PhaseInputEnded(metadata.seconds))

    def _check_place(self) -> None:
        """Check that the work folder's name is not that of another folder now.

        A file that is open stays where it is: a check now and then is enough.
        """
        is_due = time.monotonic() > self._next_check
        if is_due or self._writer is None or self._format.is_folder:
            self._work_dir.check_in_place()
            self._next_check = time.monotonic() + _SECONDS_BETWEEN_CHECKS

    def _array(self, job: Job) -> ArrayChunks:
        if job.stored_in is not None:
            return stored_array(job.stored_in[job.source.key], self._config)
        journals, entries = self._work_dir.journals, list(job.entries.values())
        dtype = self._settings.output.dtype
        reference = job.required_metadata.reference
        return final_array(journals.read, entries, self._config, dtype, reference)

    def finish(self, jobs: Sequence[Job]) -> None:
        """Finish the output: write the rest, read it back, publish it.

        After an OutputError the earlier output is unchanged.
        """
        arrays = self._reuse.output_jobs(jobs, self._n_rejected)
        if self._writer is None and (arrays or not jobs) and self._is_up_to_date(arrays):
            self._result.output = self._settings.output.path
            is_complete = len(arrays) == len(jobs) and not any(job.has_failed for job in jobs)
            self._result.emit(events.OutputUnchanged(self._result.output, is_complete))
        elif arrays and all(job.has_failed for job in arrays):
            self._keep_unwritten(arrays)
            return
        elif arrays or self._may_be_empty(jobs):
            if self._writer is None:
                self._write_all(arrays)
            if self._written or self._may_be_empty(jobs):
                self._publish(self._open_writer())
                return
        self._work_dir.keeps_journals = False
        self._count(arrays)

    def _is_up_to_date(self, arrays: Sequence[Job]) -> bool:
        if self._features is None or len(self._features) != len(arrays):
            return False
        return self._is_of_same_settings and all(map(self._is_stored, arrays, self._features))

    def _keep_unwritten(self, arrays: Sequence[Job]) -> None:
        n_finished = sum(bool(job.entries) or job.stored_in is None for job in arrays)
        self._work_dir.keeps_journals = n_finished > 0
        if self._work_dir.keeps_journals:
            place = self._work_dir.place or self._work_dir.folder
            self._result.kept = events.WorkKept(place, n_finished)

    def _may_be_empty(self, jobs: Sequence[Job]) -> bool:
        """Return whether to write an output without arrays: of a shard, over no other."""
        is_shard = self._settings.shard is not None and self._format.holds_many
        return is_shard and not (jobs and os.path.lexists(self._settings.output.path))

    def _write_all(self, arrays: Sequence[Job]) -> None:
        if arrays:
            output = self._settings.output.path
            n_bytes = output_bytes(arrays, self._settings)
            check_free_bytes(output.parent, n_bytes, quoted(output))
            self.all_ended(arrays)
        for job in arrays:
            self._write(job, lambda: None)
            self._result.check_failures()

    def _publish(self, writer: FeatureWriter) -> None:
        """Read the output back, move it into its place and remove the work folder.

        An interrupt between the last two would be reported as if there were no output.
        """
        writer.finish()
        check_written(writer, self._result.emit)
        writer.close()
        with signals_ignored():
            try:
                self._work_dir.publish(self._existing)
            finally:
                if self._work_dir.published:
                    self._result.output = self._settings.output.path
                    self._count(self._written)
            self._reuse.earlier.close()
            self._work_dir.close()

    def _count(self, arrays: Sequence[Job]) -> None:
        """Count the inputs whose arrays are in the output; failed ones have been counted."""
        for job in arrays:
            if not job.has_failed:
                count = self._result.skipped if job.is_reused else self._result.written
                count(job.source.path, job.result(self._config))

    def close(self) -> None:
        """Close the writer; its output is void unless it is in its place."""
        if self._writer is not None:
            self._writer.close()


class StreamSink(Sink):
    """Passes each array on in its turn, keeps none; reports inputs in that order.

    Args:
        pass_on: Called with each input, its metadata complete, and its array.
    """

    ahead_inputs = 2**10
    ahead_bytes = 2**28
    reports_at_once = False

    def __init__(
        self,
        pass_on: Callable[[Job, ArrayChunks], None],
        settings: ExtractionSettings,
        journals: Journals,
        result: RunResult,
    ) -> None:
        self._pass_on = pass_on
        self._config = settings.layer
        self._dtype = settings.output.dtype
        self._journals = journals
        self._result = result

    def add(self, job: Job, pause: Callable[[], None]) -> None:
        """Pass the array on or report the failure."""
        if not job.has_failed:
            self._add(job, pause)
        properties = job.result(self._config)
        if job.failure is not None:
            self._result.failed(job.source.path, job.failure, properties, job.n_alike)
        else:
            self._result.written(job.source.path, properties)

    def _add(self, job: Job, pause: Callable[[], None]) -> None:
        entries = list(job.entries.values())
        try:
            reference = job.required_metadata.reference
            array = final_array(self._journals.read, entries, self._config, self._dtype, reference)
        except (OutputError, StoredDataError):
            raise
        except Exception as error:
            job.has_failed, job.failure = True, input_error(error)
            return
        metadata = job.required_metadata
        job.metadata = metadata.with_reference(array.reference)
        self._pass_on(job, with_pauses(array, metadata.seconds, events.ignore, pause))
        job.entries = NO_ENTRIES
