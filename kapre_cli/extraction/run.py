"""A run: tasks to workers, what they send back to a sink, until every input has ended."""

from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

from kapre_cli.errors import (
    KapreExtractError,
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    quoted,
)
from kapre_cli.extraction.assembly import FileSink, Sink, StreamSink
from kapre_cli.extraction.disk_usage import required_bytes, upper_bound_bytes
from kapre_cli.extraction.executor import Executor, InProcess, readable
from kapre_cli.extraction.job import Job
from kapre_cli.extraction.previewing import crashed, previews
from kapre_cli.extraction.reuse import ReusePolicy
from kapre_cli.extraction.tasks import (
    Began,
    Broken,
    Computed,
    Event,
    Failed,
    Finished,
    Lost,
    Task,
    TaskInput,
    TaskSettings,
)
from kapre_cli.posix import n_processors
from kapre_cli.report import SILENT, Progress, Report, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.keras_file import resolved
from kapre_cli.sources import Arriving, Source
from kapre_cli.storage.admission import check_output
from kapre_cli.storage.disk import free_bytes, require_free_bytes
from kapre_cli.storage.earlier import Earlier, require_no_work
from kapre_cli.storage.existing import existing_output
from kapre_cli.storage.journals import Journals, replay
from kapre_cli.storage.metadata import RootFacts
from kapre_cli.storage.scratch import scratch_folder
from kapre_cli.storage.work_dir import WorkDir

_TASK_INPUTS = 64  # of one task, at most, and
_TASK_BYTES = 2**23  # bytes of their files
_TASKS_A_WORKER = 4  # at least, if there is work for so many
_TAKEN_AT_ONCE = 8  # finished inputs, before workers are asked for what is new
_LISTED_AHEAD = 2**10  # inputs of a list that wait to be computed


def extract(
    sources: Sequence[Source] | Arriving,
    settings: ExtractionSettings,
    report: Report,
    progress: Progress = SILENT,
    executor: Executor | None = None,
) -> None:
    """Extract the features of every source into one output.

    An input that fails is reported and harms no other. The output appears whole, when all
    inputs have been tried, or not at all: if none could be read there is none, but for a shard,
    which the others may have to be merged with. Work that is finished when a run breaks off is
    kept beside the output, for a run that resumes it.

    Args:
        sources: The inputs, in the order in which the output will have them: all of them, or as
            they come. Those that come are begun at once, and have been checked for the output.
        settings: What to compute and where to put it.
        report: Told what becomes of every input.
        progress: Told how far the work has come.
        executor: What computes; ``None``: this process.

    Raises:
        UsageError: If the output is refused before any work is done.
        OutputError: If the output cannot be written; what stood there is unchanged then.
        TooManyFailuresError: If more inputs fail than may; likewise.
    """
    settings = replace(settings, layer=resolved(settings.layer))
    jobs = [] if isinstance(sources, Arriving) else [Job(source) for source in sources]
    try:
        with InProcess() as here:
            _extract(sources, jobs, settings, report, progress, executor or here)
        report.warn_of_floor(settings.layer.amin)
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        report.broken = True
        if not report.is_there:
            _tell_unwritten(jobs, error, settings, report)
        raise


def _extract(
    sources: Sequence[Source] | Arriving,
    jobs: list[Job],
    settings: ExtractionSettings,
    report: Report,
    progress: Progress,
    executor: Executor,
) -> None:
    output = settings.output
    check_output(output, [job.source for job in jobs])
    with WorkDir(output) as work_dir:
        replayed = replay(work_dir.journals)
        work_dir.keep = replayed.holds_work
        existing = existing_output(output)  # another run may have published just now
        require_no_work(work_dir, replayed, output)
        if work_dir.note is not None:
            report.say(f"note: {work_dir.note}")
        root = RootFacts.of(settings)
        with ExitStack() as stack:
            earlier = stack.enter_context(Earlier(work_dir, replayed, output, root))
            if report.verbose:
                report.say(", ".join(f"{name} {number}" for name, number in root.versions.items()))
            reuse = ReusePolicy(earlier, settings, root.versions, report)
            reuse.tell_versions()
            sink = FileSink(settings, root, work_dir, existing, reuse, report, progress)
            stack.enter_context(sink)
            report.begin()
            run = _Run(
                TaskSettings(settings, root), work_dir.journals, sink, report, progress, executor
            )
            try:
                try:
                    run.go(sources, jobs, reuse)
                    work_dir.require_in_place()
                    sink.finish(jobs)
                except OutputError:
                    if not work_dir.published:
                        work_dir.require_in_place()  # why it cannot be written, perhaps
                    raise
            except BaseException:
                work_dir.keep = not work_dir.published and (
                    earlier.journal.holds_work or any(map(_has_work, jobs))
                )
                if work_dir.keep:
                    with suppress(OutputError):  # the error under way says enough
                        work_dir.journals.sync()
                    if work_dir.place is not None:
                        report.kept = _kept(jobs, work_dir.place)
                raise


def stream(
    sources: Sequence[Source] | Arriving,
    settings: ExtractionSettings,
    report: Report,
    descriptor: int,
    progress: Progress = SILENT,
    executor: Executor | None = None,
) -> None:
    """Extract the features of every source and send each array off as soon as its turn comes.

    Arrays are sent in the order of the inputs, each whole, and what becomes of an input is
    reported in that order too. One that fails gives no array and harms no other.

    Args:
        sources: The inputs: all of them, or as they come.
        settings: What to compute.
        report: Told what becomes of every input.
        descriptor: Where arrays go.
        progress: Told how far the work has come.
        executor: What computes; ``None``: this process.

    Raises:
        BrokenPipeError: If nobody reads the arrays any more.
        OutputError: If they cannot be written.
        TooManyFailuresError: If more inputs fail than may.
    """
    report.begin()
    settings = replace(settings, layer=resolved(settings.layer))
    jobs = [] if isinstance(sources, Arriving) else [Job(source) for source in sources]
    common = TaskSettings(settings, RootFacts.of(settings), is_durable=False)
    with scratch_folder() as folder, Journals(folder) as journals, InProcess() as here:
        sink = StreamSink(descriptor, settings, journals, report)
        run = _Run(common, journals, sink, report, progress, executor or here)
        try:
            run.go(sources, jobs)
            report.warn_of_floor(settings.layer.amin)
        except (OutputError, StoredDataError, TooManyFailuresError) as error:
            report.broken = True
            _tell_unwritten(run.queue, error, settings, report)
            raise


def _tell_unwritten(
    jobs: Sequence[Job], error: Exception, settings: ExtractionSettings, report: Report
) -> None:
    """Report inputs whose arrays are in no output because the run has ended."""
    for job in jobs:
        known = job.known(settings.layer)
        if job.failure is not None:
            report.failed(job.source.path, job.failure, known)
        elif not job.failed:
            report.unwritten(job.source.path, error, known, tried=job.was_tried)


def _has_work(job: Job) -> bool:
    return job.has_blocks or bool(job.entries) or (job.done and job.stored_in is None)


def _kept(jobs: Sequence[Job], folder: object) -> str:
    n_done = sum(job.done and not job.failed for job in jobs)
    n_begun = sum(_has_work(job) and not job.has_ended for job in jobs)
    parts = f" and parts of {n_begun:,} more" if n_begun else ""
    return (
        f"{n_done:,} of {counted(len(jobs), 'input')} done{parts}: kept in {quoted(folder)}; "
        "the same command with --resume goes on"
    )


class _Run:
    """Gives tasks to workers and finished inputs to a sink.

    Args:
        common: What all tasks have in common.
        journals: Where workers put finished blocks.
        sink: Where inputs go that have ended.
        report: Told of inputs that fail.
        progress: Told how far the work has come.
        executor: What computes.

    Attributes:
        queue: Inputs that the sink has not taken yet, in order.
    """

    def __init__(
        self,
        common: TaskSettings,
        journals: Journals,
        sink: Sink,
        report: Report,
        progress: Progress,
        executor: Executor,
    ) -> None:
        self._common = common
        self._settings = common.settings
        self._config = common.settings.layer
        self._journals = journals
        self._sink = sink
        self._report = report
        self._progress = progress
        self._executor = executor
        self.queue: deque[Job] = deque()
        self._due: deque[Job] = deque()  # not given to a worker yet
        self._due_alone: deque[Job] = deque()  # that had been given to a worker which died
        self._n_due_bytes = 0
        self._running: dict[int, Job] = {}  # given to a worker, by number
        self._n_given = 0
        self._ahead_bytes = 0  # of blocks whose input's turn has not come
        self._journal_of: dict[int, str] = {}  # by worker
        self._journals_of: dict[Job, list[str]] = {}  # names, if they are removed with their inputs
        self._n_users: Counter[str] = Counter()  # by name, the inputs that may have blocks there
        self._error: BaseException | None = None  # that ends the run
        self._all_ended = False  # and the sink knows it

    def go(
        self,
        sources: Sequence[Source] | Arriving,
        jobs: list[Job],
        reuse: ReusePolicy | None = None,
    ) -> None:
        """Compute every input that is not done, and let the sink take all.

        Args:
            sources: The inputs.
            jobs: One for each that is known; those that come are added.
            reuse: Gives each what earlier runs have done for it.

        Raises:
            OutputError: If the output or a journal cannot be written.
            TooManyFailuresError: If more inputs fail than may.
        """
        self._report.require_few_failures()
        self._reuse = reuse
        self._jobs = jobs
        self._coming = sources if isinstance(sources, Arriving) else None
        for job in jobs:
            self._add(job)
        self._report.require_few_failures()
        if self._coming is None and reuse is not None:
            if isinstance(self._sink, FileSink):
                self._sink.follows = not reuse.others({job.source.key for job in jobs})
            self._check_disk(jobs)
        try:
            self._work()
        finally:
            self._executor.stop()
        if self._error is not None:
            raise self._error
        self._report.require_few_failures()

    def _work(self) -> None:
        """Give out tasks and take what comes, until the sink has taken all."""
        has_begun = False
        while self._error is None:
            self._take_coming()
            if self._due and not has_begun:
                self._begin()
                has_begun = True
            if has_begun:
                self._give_tasks()
            has_taken = self._let_sink_take()
            if self._coming is None and not self.queue:
                break
            self._wait(has_taken, has_begun)
            self._report.require_few_failures()

    def _begin(self) -> None:
        n_inputs = len(self._due) if self._coming is None else None
        most = n_processors() if self._settings.engine == "numpy" else 1
        n_workers = min(self._settings.jobs or most, n_inputs or most)
        n_threads = max(n_processors() // n_workers, 1)
        common = replace(self._common, n_threads=n_threads)
        self._executor.begin(common, self._handle, n_workers)
        self._n_workers = n_workers

    def _wait(self, has_taken: bool, has_begun: bool) -> None:
        wants_more = self._coming is not None and len(self._due) < _LISTED_AHEAD
        descriptors = [self._coming.fileno()] if self._coming and wants_more else []
        if not has_taken and not self._running and descriptors:
            self._progress.waits()
        timeout = 0 if has_taken else None
        wait = self._executor.wait if has_begun else readable
        wait(descriptors, timeout)

    # Inputs

    def _take_coming(self) -> None:
        """Take inputs from a list as far as they have come."""
        if self._coming is None:
            return
        while len(self._due) < _LISTED_AHEAD:
            source = self._coming.next_now()
            if source is None:
                break
            self._progress.arrived(source.key, source.size)
            job = Job(source)
            if self._common.is_durable:  # a stream may have no end
                self._jobs.append(job)
            self._add(job)
        if self._coming.is_over:
            self._report.n_expected = self._coming.n_inputs
            self._progress.all_arrived()
            self._coming = None

    def _add(self, job: Job) -> None:
        self.queue.append(job)
        if self._reuse is not None:
            self._reuse.keep(job)
        if job.done:
            self._report.was_read()
            self._progress.kept(job.source.key)
            return
        if job.entries:
            n_frames = sum(entry.shape[1] for entry in job.entries.values())
            seconds = n_frames * self._config.framing.n_hop / self._settings.audio.sr
            self._progress.begun(job.source.key, seconds)
        self._due.append(job)
        job.n_bytes = job.source.size
        self._n_due_bytes += job.n_bytes

    def _check_disk(self, jobs: Sequence[Job]) -> None:
        """Fail early if the disk is too small."""
        folder, output = self._settings.output.path.parent, self._settings.output.path
        free = free_bytes(folder)
        if free is None or not self._due or upper_bound_bytes(jobs, self._settings) <= free:
            return
        due = [*self._due]
        seen = previews([job.source for job in due], self._common, self._executor)
        n_bytes = required_bytes(jobs, dict(zip(due, seen, strict=True)), self._settings)
        what = f"{quoted(output)}, with the work beside it, at least"
        require_free_bytes(folder, n_bytes, what)

    # Tasks

    def _give_tasks(self) -> None:
        while self._due or self._due_alone:
            workers = self._executor.idle_workers()
            if not workers:
                return
            worker = workers[0]
            inputs = self._next_inputs()
            if not inputs:
                return
            journal = self._journal_for(worker)
            if not self._common.is_durable:
                self._use(journal, inputs)
            self._executor.submit(worker, Task(inputs, journal))

    def _next_inputs(self) -> list[TaskInput]:
        """Return the inputs of the next task; none if there are none, or may be none now."""
        if self._due_alone:
            return [self._given(self._due_alone.popleft())]
        most = self._most_inputs()
        share = 0 if self._coming else self._n_due_bytes // (self._n_workers * _TASKS_A_WORKER)
        most_bytes = min(max(share, 1), _TASK_BYTES)
        inputs: list[TaskInput] = []
        n_bytes = 0
        while self._due and len(inputs) < most and n_bytes < most_bytes:
            job = self._due.popleft()
            n_bytes += job.n_bytes
            inputs.append(self._given(job))
        self._n_due_bytes -= n_bytes
        return inputs

    def _given(self, job: Job) -> TaskInput:
        number, self._n_given = self._n_given, self._n_given + 1
        self._running[number] = job
        blocks = tuple((first, entry.shape[1]) for first, entry in job.entries.items())
        return TaskInput(number, job.source, job.state, blocks, job.n_bytes)

    def _most_inputs(self) -> int:
        """Return how many inputs the next task may have, so that none is too far ahead."""
        ahead, ahead_bytes = self._sink.ahead_inputs, self._sink.ahead_bytes
        if ahead_bytes is not None and self._ahead_bytes >= ahead_bytes:
            return 0
        if ahead is None:
            return _TASK_INPUTS
        return min(ahead - (len(self.queue) - len(self._due)), _TASK_INPUTS)

    def _journal_for(self, worker: int) -> str:
        """Return the path of a worker's journal; one for each task if they are removed with it."""
        name = self._journal_of.get(worker)
        if name is None or not self._common.is_durable:
            name = self._journal_of[worker] = str(self._journals.create())
        return name

    # What workers send

    def _handle(self, event: Event) -> None:
        """Record an event. What ends the run is raised later, by :meth:`go`."""
        if self._error is not None and not isinstance(event, Began | Failed):
            return
        if isinstance(event, Computed):
            job = self._running[event.number]
            job.has_blocks = True
            self._progress.computed(job.source.key, event.due, event.seconds, event.length)
        elif isinstance(event, Began):
            self._running[event.number].was_tried = True
        elif isinstance(event, Finished):
            self._finished(self._running.pop(event.number), event)
        elif isinstance(event, Failed):
            job = self._running.pop(event.number)
            job.facts = event.facts
            self._failed(job, event.reason)
        elif isinstance(event, Lost):
            self._lost(event)
        elif isinstance(event, Broken):
            self._error = event.error
            if isinstance(event.error, OutputError) and not self._common.is_durable:
                self._error = OutputError(f"{event.error}; TMPDIR names another folder for it")
            if event.error.__cause__ is None and event.trace:
                event.error.__cause__ = _WorkerTracebackError(event.trace)

    def _finished(self, job: Job, event: Finished) -> None:
        entries = {first: job.entries[first] for first in event.kept}
        entries.update((entry.first_frame, entry) for entry in event.entries)
        job.entries, job.facts, job.state = entries, event.facts, event.state
        job.work_seconds, job.done = event.work_seconds, True
        self._ahead_bytes += _n_bytes(job)
        self._report.was_read()
        self._progress.ended(job.source.key)
        if self._report.verbose:
            self._report.say(f"done: {job.told(self._config)}")

    def _failed(self, job: Job, reason: KapreExtractError) -> None:
        job.failed, job.was_tried = True, True
        self._progress.ended(job.source.key)
        if self._sink.tells_at_once:
            self._report.failed(job.source.path, reason, job.known(self._config))
        else:
            job.failure = reason

    def _lost(self, event: Lost) -> None:
        """Let inputs be tried once more, each alone, that a worker had not finished when it died.

        An input that a worker dies of once more, alone, fails.
        """
        self._journal_of.pop(event.worker, None)
        jobs = [self._running.pop(one.number) for one in event.inputs]
        self._take_blocks(event.journal, jobs)
        for job in jobs:
            if job.has_crashed:
                self._failed(job, crashed(event.how))
            else:
                job.has_crashed = True
                self._due_alone.append(job)
        names = [quoted(job.source.key) for job in jobs if not job.failed]
        if names:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            self._report.say(
                f"a worker process died ({event.how}) before it had finished "
                f"{', '.join(names[:3])}{more}; each is tried once more, alone"
            )

    def _take_blocks(self, journal: str, jobs: Sequence[Job]) -> None:
        """Give inputs the blocks that are in the journal of a worker which has died."""
        name = journal.rpartition("/")[2]
        with suppress(OutputError, KeyError):
            found = replay(self._journals, name).inputs
            for job in jobs:
                remembered = found.get(job.source.key)
                if remembered is not None and remembered.entries:
                    earlier = job.entries if remembered.of == job.state else {}
                    job.state = remembered.of
                    job.entries = {**earlier, **remembered.entries}

    # The output

    def _let_sink_take(self) -> bool:
        """Let the sink take some inputs whose turn has come; return whether there were any."""
        n_taken = 0
        if not (self._running or self._due or self._due_alone or self._coming or self._all_ended):
            self._all_ended = True
            self._sink.nothing_else_is_due(self.queue)
        while self.queue and self.queue[0].has_ended and n_taken < _TAKEN_AT_ONCE:
            job = self.queue[0]
            n_bytes = _n_bytes(job)
            self._sink.take(job, self._pause)
            self.queue.popleft()
            self._ahead_bytes -= n_bytes
            n_taken += 1
            self._release(job)
            self._report.require_few_failures()
        return n_taken > 0

    def _use(self, journal: str, inputs: Sequence[TaskInput]) -> None:
        """Record which inputs a journal is kept for."""
        name = journal.rpartition("/")[2]
        self._n_users[name] += len(inputs)
        for one in inputs:
            self._journals_of.setdefault(self._running[one.number], []).append(name)

    def _release(self, job: Job) -> None:
        """Remove journals that no input needs any more."""
        for name in self._journals_of.pop(job, ()):
            self._n_users[name] -= 1
            if not self._n_users[name]:
                del self._n_users[name]
                self._journals.remove(name)

    def _pause(self) -> None:
        """Let workers go on while the sink is busy with a long array."""
        if self._running:
            self._executor.wait((), 0)
            self._give_tasks()


class _WorkerTracebackError(Exception):
    """Where an error was raised in a worker, for the traceback of an unexpected one."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _n_bytes(job: Job) -> int:
    return sum(4 * n * m * k for n, m, k in (entry.shape for entry in job.entries.values()))
