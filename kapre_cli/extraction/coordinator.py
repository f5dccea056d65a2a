"""Give tasks to workers and their results to a sink, until every input has ended."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from kapre_cli import events
from kapre_cli.errors import KapreExtractError, OutputError
from kapre_cli.extraction.disk_usage import check_disk
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.sinks import Sink
from kapre_cli.extraction.tasks import (
    TASK_INPUTS,
    Computed,
    Failed,
    Finished,
    Job,
    Message,
    Started,
    Task,
    TaskInput,
    TaskSettings,
    WorkerBroken,
    WorkerLost,
)
from kapre_cli.inputs import InputStream
from kapre_cli.osutil import n_processors
from kapre_cli.resume.previous_run import replay
from kapre_cli.resume.work_dir import Journals
from kapre_cli.run_result import RunResult
from kapre_cli.text import Text

_TASK_BYTES = 2**23  # of the files of one task, at most
_TASKS_A_WORKER = 4  # at least, if there is work for so many
_MAX_LISTED_AHEAD = 2**10  # inputs of a list that wait to be computed


class Coordinator:
    """Gives tasks to workers and finished inputs to a sink.

    Attributes:
        queue: Inputs that the sink does not have yet, in order.
    """

    def __init__(
        self,
        common: TaskSettings,
        journals: Journals,
        sink: Sink,
        result: RunResult,
        executor: Executor,
    ) -> None:
        self._common = common
        self._settings = common.settings
        self._config = common.settings.layer
        self._journals = journals
        self._sink = sink
        self._result = result
        self._emit = result.emit
        self._executor = executor
        self.queue: deque[Job] = deque()
        self._pending: deque[Job] = deque()  # not given to a worker yet
        self._retries: deque[Job] = deque()  # each alone, since a worker may have died of it
        self._n_pending_bytes = 0
        self._running: dict[int, Job] = {}  # given to a worker, by number
        self._n_submitted = 0
        self._n_workers = 0
        self._ahead_bytes = 0  # of blocks whose input is not the next
        self._journal_of: dict[int, str] = {}  # by worker, if the run can be resumed
        # Else the journals, by the last input that may have blocks there.
        self._needed_until: defaultdict[Job, list[str]] = defaultdict(list)
        self._error: BaseException | None = None  # that ends the run
        self._all_ended = False  # and the sink knows it

    def run(self, jobs: list[Job], arriving: InputStream | None = None) -> None:
        """Compute every pending input, and give all to the sink.

        ``arriving`` are inputs that arrive during the run; they are appended to ``jobs``, unless
        nothing can resume the run.
        """
        for _ in self.steps(jobs, arriving):
            pass

    def steps(self, jobs: list[Job], arriving: InputStream | None = None) -> Iterator[None]:
        """Do the same step by step, so that the caller may work between two steps."""
        self._result.check_failures()
        self._jobs, self._arriving = jobs, arriving
        for job in jobs:
            self._add(job)
        self._result.check_failures()
        if arriving is None and self._common.is_durable:
            check_disk(jobs, self._common, self._executor)
        try:
            yield from self._work()
        finally:
            self._executor.stop()
        if self._error is not None:
            raise self._error
        self._result.check_failures()

    def _work(self) -> Iterator[None]:
        """Give out tasks and handle messages until the sink has all inputs."""
        is_ready = False
        while self._error is None:
            self._add_arrived()
            self._give_tasks()
            if self._running and not is_ready:
                self._sink.prepare()  # while the first input is computed
                is_ready = True
            has_written = self._write_ended()
            yield
            if self._arriving is None and not self.queue:
                break
            wants_more = self._arriving is not None and len(self._pending) < _MAX_LISTED_AHEAD
            descriptors = [self._arriving.fileno()] if self._arriving and wants_more else []
            if descriptors and not has_written and not self._running:
                self._emit(events.WaitingForInputs())
            self._executor.wait(descriptors, 0 if has_written else None)
            self._result.check_failures()

    # Inputs

    def _add_arrived(self) -> None:
        """Add the inputs that have arrived, without waiting."""
        if self._arriving is None:
            return
        while len(self._pending) < _MAX_LISTED_AHEAD:
            source = self._arriving.next_now()
            if source is None:
                break
            self._emit(events.InputArrived(source.key, source.size))
            job = Job(source)
            if self._common.is_durable:  # a stream may have no end
                self._jobs.append(job)
            self._add(job)
        if self._arriving.is_over:
            self._result.n_expected = self._arriving.n_inputs
            self._emit(events.InputsComplete(self._arriving.n_inputs))
            self._arriving = None

    def _add(self, job: Job) -> None:
        self.queue.append(job)
        self._sink.reuse(job)
        if job.is_done:
            self._result.n_read += 1
            self._emit(events.InputReused(job.source.key))
            self._emit_details(job)
            return
        if job.entries:
            n_frames = sum(entry.shape[1] for entry in job.entries.values())
            seconds = n_frames * self._config.framing.n_hop / self._settings.audio.sr
            self._emit(events.InputResumed(job.source.key, seconds))
        before = self._pending[-1].source if self._pending else None
        if not job.source.is_beside(before):  # else its bytes are read for that one, too
            job.n_bytes = job.source.size
        self._pending.append(job)
        self._n_pending_bytes += job.n_bytes

    # Tasks

    def _give_tasks(self) -> None:
        while self._pending or self._retries:
            if not self._n_workers:
                self._start_workers()
            worker = self._executor.idle_worker(alone=bool(self._retries))
            if worker is None or not (inputs := self._next_inputs()):
                return
            self._executor.submit(worker, Task(inputs, self._journal_for(worker, inputs)))

    def _start_workers(self) -> None:
        n_inputs = len(self._pending) if self._arriving is None else None
        most = n_processors() if self._settings.engine == "numpy" else 1
        self._n_workers = min(self._settings.jobs or most, n_inputs or most)
        n_threads = max(n_processors() // self._n_workers, 1)
        common = replace(self._common, n_threads=n_threads)
        self._executor.begin(common, self._handle, self._n_workers)

    def _next_inputs(self) -> list[TaskInput]:
        """Return the next task's inputs; none while they are too far ahead of the sink."""
        if self._retries:
            retries = _of_one_file(self._retries)
            return [self._task_input(job, is_retry=True) for job in retries]
        if self._ahead_bytes >= self._sink.ahead_bytes:
            return []
        n_ahead = len(self.queue) - len(self._pending)
        most = min(self._sink.ahead_inputs - n_ahead, TASK_INPUTS)
        n_tasks = self._n_workers * _TASKS_A_WORKER
        share = 0 if self._arriving else self._n_pending_bytes // n_tasks
        most_bytes = min(max(share, 1), _TASK_BYTES)
        inputs: list[TaskInput] = []
        n_bytes = 0
        while self._pending and len(inputs) < most and n_bytes < most_bytes:
            for job in _of_one_file(self._pending):
                n_bytes += job.n_bytes
                inputs.append(self._task_input(job))
        self._n_pending_bytes -= n_bytes
        return inputs

    def _task_input(self, job: Job, *, is_retry: bool = False) -> TaskInput:
        number, self._n_submitted = self._n_submitted, self._n_submitted + 1
        self._running[number] = job
        blocks = tuple((first, entry.shape[1]) for first, entry in job.entries.items())
        return TaskInput(number, job.source, job.state, blocks, job.n_bytes, is_retry)

    def _journal_for(self, worker: int, inputs: Sequence[TaskInput]) -> str:
        """Return the worker's journal, or the task's own if nothing resumes the run."""
        if not self._common.is_durable:
            path = self._journals.create()
            self._needed_until[self._running[inputs[-1].number]].append(path.name)
            return str(path)
        if worker not in self._journal_of:
            self._journal_of[worker] = str(self._journals.create())
        return self._journal_of[worker]

    # What workers send

    def _handle(self, message: Message) -> None:
        """Record a message; an error that ends the run is raised later, by :meth:`run`."""
        if self._error is not None and not isinstance(message, Started | Failed):
            return
        if isinstance(message, Computed):
            job = self._running[message.number]
            job.has_blocks = True
            self._emit(
                events.InputProgress(job.source.key, message.due, message.seconds, message.length)
            )
        elif isinstance(message, Started):
            job = self._running[message.number]
            job.was_tried = True
            self._emit(events.InputStarted(job.source.key))
        elif isinstance(message, Finished):
            self._finished(self._running.pop(message.number), message)
        elif isinstance(message, Failed):
            job = self._running.pop(message.number)
            job.metadata, job.n_alike = message.metadata, message.n_alike
            self._failed(job, message.reason)
        elif isinstance(message, WorkerLost):
            self._worker_lost(message)
        elif isinstance(message, WorkerBroken):
            self._error = message.error
            if isinstance(message.error, OutputError) and not self._common.is_durable:
                remedy = "; TMPDIR names another folder for it"
                self._error = OutputError(Text(message.error, remedy))
            if message.error.__cause__ is None and message.trace:
                message.error.__cause__ = _WorkerTracebackError(message.trace)

    def _finished(self, job: Job, message: Finished) -> None:
        entries = {first: job.entries[first] for first in message.reused}
        entries.update((entry.first_frame, entry) for entry in message.entries)
        job.entries, job.metadata, job.state = entries, message.metadata, message.state
        job.work_seconds, job.is_done = message.work_seconds, True
        self._ahead_bytes += _n_bytes(job)
        self._result.n_read += 1
        self._emit(events.InputEnded(job.source.key))
        self._emit_details(job)

    def _emit_details(self, job: Job) -> None:
        if self._result.is_detailed:  # the shape takes longer than all else
            properties = job.result(self._config)
            shape, seconds = properties.shape or (), properties.seconds or 0.0
            axes = self._config.axes
            self._emit(events.InputDetails(job.source.key, job.is_reused, axes, shape, seconds))

    def _failed(self, job: Job, reason: KapreExtractError) -> None:
        job.has_failed, job.was_tried = True, True
        self._emit(events.InputEnded(job.source.key))
        if self._sink.reports_at_once:
            properties = job.result(self._config)
            self._result.failed(job.source.path, reason, properties, job.n_alike)
        else:
            job.failure = reason

    def _worker_lost(self, message: WorkerLost) -> None:
        """Queue the inputs of a dead worker that are to be retried."""
        self._journal_of.pop(message.worker, None)
        jobs = [self._running.pop(one.number) for one in message.inputs]
        self._add_blocks(message.journal, jobs)
        self._retries += jobs
        if jobs:
            self._emit(events.WorkerDied(message.how, [job.source.key for job in jobs]))

    def _add_blocks(self, journal: str, jobs: Sequence[Job]) -> None:
        name = journal.rpartition("/")[2]
        with suppress(OutputError, KeyError):
            found = replay(self._journals, name).inputs
            for job in jobs:
                entry = found.get(job.source.key)
                if entry is not None and entry.entries:
                    earlier = job.entries if entry.state == job.state else {}
                    job.state = entry.state
                    job.entries = {**earlier, **entry.entries}

    # The output

    def _write_ended(self) -> bool:
        """Give some inputs to the sink whose turn it is; return whether there were any."""
        if not (
            self._running or self._pending or self._retries or self._arriving or self._all_ended
        ):
            self._all_ended = True
            self._sink.all_ended(self.queue)
        n_written = 0
        while self.queue and self.queue[0].has_ended and n_written < self._sink.at_once:
            job = self.queue[0]
            n_bytes = _n_bytes(job)
            self._sink.add(job, self._pause)
            self.queue.popleft()
            self._ahead_bytes -= n_bytes
            n_written += 1
            for name in self._needed_until.pop(job, ()):
                self._journals.remove(name)
            self._result.check_failures()
        return n_written > 0

    def _pause(self) -> None:
        """Let workers go on while the sink writes a long array."""
        if self._running:
            self._executor.wait((), 0)
            self._give_tasks()


class _WorkerTracebackError(Exception):
    """A worker's traceback, as the cause of an unexpected error."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _of_one_file(jobs: deque[Job]) -> Iterator[Job]:
    """Remove and yield the first job, and those after it that are segments of its recording."""
    job = jobs.popleft()
    yield job
    while jobs and jobs[0].source.is_beside(job.source):
        job = jobs.popleft()
        yield job


def _n_bytes(job: Job) -> int:
    return sum(4 * n * m * k for n, m, k in (entry.shape for entry in job.entries.values()))
