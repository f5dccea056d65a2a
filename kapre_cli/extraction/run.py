"""Extract features into one output, or array by array into a stream."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from kapre_cli.errors import OutputError, StoredDataError, TooManyFailuresError
from kapre_cli.events import Note, ReducedRange, RunStarted, WorkKept
from kapre_cli.extraction.coordinator import Coordinator
from kapre_cli.extraction.executor import Executor, InProcess
from kapre_cli.extraction.reuse import ReusePolicy
from kapre_cli.extraction.sinks import FileSink, StreamSink
from kapre_cli.extraction.tasks import Job, TaskSettings
from kapre_cli.formats.array_chunks import ArrayChunks
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.npy_stream import write_array
from kapre_cli.inputs import InputStream, Source
from kapre_cli.outputs.existing import existing_output
from kapre_cli.outputs.locked_folders import scratch_folder
from kapre_cli.outputs.validation import validate_output
from kapre_cli.resume.previous_run import PreviousRun, check_no_kept_work, replay
from kapre_cli.resume.work_dir import Journals, WorkDir
from kapre_cli.run_result import RunResult
from kapre_cli.settings import ExtractionSettings, resolved_layer

Array = npt.NDArray[Any]


def extract(
    sources: Sequence[Source] | InputStream,
    settings: ExtractionSettings,
    result: RunResult,
    executor: Executor | None = None,
    *,
    is_validated: bool = False,
) -> None:
    """Extract the features of every source into one output.

    A failed input is reported and does not affect the others. The output appears complete, once all
    inputs have been tried, or not at all. If none could be read there is none, except for a shard,
    which the others may have to be merged with. If a run breaks off, its finished work is kept
    beside the output, for a run that resumes it.

    The output has the order of ``sources``: all inputs, or inputs as they arrive. Arriving ones are
    started at once, and have been checked for the output. This process computes, unless there is an
    executor. ``is_validated`` means that :func:`.validate_output` has accepted the output for all
    ``sources``, so that it is not called again.

    Raises:
        UsageError: If the output is rejected before any work is done.
        OutputError: If the output cannot be written; the earlier one is unchanged then.
        TooManyFailuresError: If more inputs fail than allowed; likewise.
    """
    settings = replace(settings, layer=resolved_layer(settings.layer))
    jobs, arriving = _jobs_of(sources)
    with _stopped_counted(jobs, settings, result), InProcess() as here:
        if not is_validated:
            validate_output(settings.output, [job.source for job in jobs])
        _extract(jobs, arriving, settings, result, executor or here)


def _extract(
    jobs: list[Job],
    arriving: InputStream | None,
    settings: ExtractionSettings,
    result: RunResult,
    executor: Executor,
) -> None:
    output = settings.output
    with WorkDir(output) as work_dir:
        replayed = replay(work_dir.journals)
        work_dir.keeps_journals = replayed.holds_work
        existing = existing_output(output)  # another run may have published just now
        check_no_kept_work(work_dir, replayed, output)
        if work_dir.note is not None:
            result.emit(Note(work_dir.note))
        common = TaskSettings(settings, OutputMetadata.of(settings))
        with PreviousRun(work_dir, replayed, output, common.root) as earlier:
            versions = common.root.versions
            result.emit(RunStarted(versions, None if arriving else len(jobs)))
            reuse = ReusePolicy(earlier, settings, versions, result)
            reuse.compare_versions()
            known = None if arriving else jobs
            sink = FileSink(common, work_dir, existing, reuse, known)
            run = Coordinator(common, work_dir.journals, sink, result, executor)
            try:
                try:
                    run.run(jobs, arriving)
                    work_dir.check_in_place()
                    sink.finish(jobs)
                except OutputError:
                    if not work_dir.published:
                        work_dir.check_in_place()  # why it cannot be written, perhaps
                    raise
            except BaseException:
                work_dir.keeps_journals = not work_dir.published and (
                    earlier.journal.holds_work or any(map(_has_work, jobs))
                )
                if work_dir.keeps_journals:
                    with suppress(OutputError):  # the error that is being raised is enough
                        work_dir.journals.sync()
                    if work_dir.place is not None:
                        result.kept = _kept(jobs, work_dir.place)
                raise
            finally:
                sink.close()


def stream(
    sources: Sequence[Source] | InputStream,
    settings: ExtractionSettings,
    result: RunResult,
    descriptor: int,
    executor: Executor | None = None,
) -> None:
    """Extract the features of every source; send each array when it is its turn.

    Arrays are written to ``descriptor`` complete, in the order of the inputs, which are also
    reported in that order. A failed input gives no array and does not affect the others. Inputs may
    arrive during the run. This process computes, unless there is an executor.

    Raises:
        BrokenPipeError: If nobody reads the arrays any more.
        OutputError: If they cannot be written.
        TooManyFailuresError: If more inputs fail than allowed.
    """

    def send(_job: Job, array: ArrayChunks) -> None:
        write_array(descriptor, array)

    for _ in _streamed(sources, settings, result, send, executor):
        pass


def arrays(
    sources: Sequence[Source],
    settings: ExtractionSettings,
    result: RunResult,
    executor: Executor | None = None,
) -> Iterator[tuple[Source, InputMetadata, Array]]:
    """Yield source, metadata and array of each input, as :func:`stream` sends them.

    Only a few inputs are computed ahead of the one that is yielded.

    Raises:
        OutputError: If a temporary file cannot be written.
        TooManyFailuresError: If more inputs fail than allowed.
    """
    ready: list[tuple[Source, InputMetadata, Array]] = []

    def keep(job: Job, array: ArrayChunks) -> None:
        ready.append((job.source, job.required_metadata, array.assembled()))

    for _ in _streamed(sources, settings, result, keep, executor, at_once=1):
        while ready:
            yield ready.pop()


def _streamed(
    sources: Sequence[Source] | InputStream,
    settings: ExtractionSettings,
    result: RunResult,
    pass_on: Callable[[Job, ArrayChunks], None],
    executor: Executor | None,
    *,
    at_once: int | None = None,
) -> Iterator[None]:
    """Pass arrays on in the order of the inputs; yield now and then."""
    settings = replace(settings, layer=resolved_layer(settings.layer))
    common = TaskSettings(settings, OutputMetadata.of(settings), is_durable=False)
    jobs, arriving = _jobs_of(sources)
    result.emit(RunStarted(common.root.versions, None if arriving else len(jobs)))
    with scratch_folder() as folder, Journals(folder) as journals, InProcess() as here:
        sink = StreamSink(pass_on, settings, journals, result)
        sink.at_once = at_once or sink.at_once
        run = Coordinator(common, journals, sink, result, executor or here)
        with _stopped_counted(run.queue, settings, result):
            yield from run.steps(jobs, arriving)


def _jobs_of(sources: Sequence[Source] | InputStream) -> tuple[list[Job], InputStream | None]:
    if isinstance(sources, InputStream):
        return [], sources
    return [Job(source) for source in sources], None


@contextmanager
def _stopped_counted(
    jobs: Iterable[Job], settings: ExtractionSettings, result: RunResult
) -> Iterator[None]:
    """If an error stops the run, count inputs without an array as failed."""
    try:
        yield
        if result.n_floored:
            result.emit(ReducedRange(result.n_floored, result.n_inputs, settings.layer.amin))
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        result.is_broken = True
        for job in () if result.output else jobs:
            path, properties = job.source.path, job.result(settings.layer)
            if job.failure is not None:
                result.failed(path, job.failure, properties, job.n_alike)
            elif not job.has_failed:
                result.stopped(path, error, properties, is_tried=job.was_tried)
        raise


def _has_work(job: Job) -> bool:
    return job.has_blocks or bool(job.entries) or (job.is_done and job.stored_in is None)


def _kept(jobs: Sequence[Job], folder: object) -> WorkKept:
    n_done = sum(job.is_done and not job.has_failed for job in jobs)
    n_begun = sum(_has_work(job) and not job.has_ended for job in jobs)
    return WorkKept(folder, n_done, n_begun, len(jobs))
