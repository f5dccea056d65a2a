"""Executors, which compute tasks: their interface, and the one of this process."""

import select
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from kapre_cli.errors import AudioReadError
from kapre_cli.extraction.tasks import (
    TASK_INPUTS,
    Failed,
    Message,
    Preview,
    Previewed,
    Task,
    TaskInput,
    TaskSettings,
    WorkerBroken,
    WorkerLost,
)
from kapre_cli.inputs import Source, grouped
from kapre_cli.osutil import Resource

if TYPE_CHECKING:
    from kapre_cli.extraction.compute import Outbox

Deliver = Callable[[Message], None]


class Executor(Resource):
    """Computes tasks, one run after another."""

    @abstractmethod
    def begin(self, common: TaskSettings, deliver: Deliver, n_workers: int) -> None:
        """Start a run with up to ``n_workers`` workers; drop the rest of the one before.

        ``deliver`` is called with every message, within :meth:`wait`. It does not raise.
        """

    @abstractmethod
    def idle_worker(self, *, alone: bool = False) -> int | None:
        """Return a worker that takes another task now, one without a task if possible.

        ``alone``: the task must be the only one, since its inputs may crash the worker.
        """

    @abstractmethod
    def submit(self, worker: int, task: Task) -> None:
        """Give a task to a worker that takes one."""

    @abstractmethod
    def wait(self, descriptors: Collection[int] = (), timeout: float | None = None) -> None:
        """Deliver messages; wait for one, a readable descriptor or ``timeout`` seconds."""

    @abstractmethod
    def stop(self) -> None:
        """End the run; finished work is in the journals afterwards."""

    def close(self) -> None:
        """End the run and release the workers."""
        self.stop()


def readable(descriptors: Collection[int], timeout: float | None) -> Collection[int]:
    """Return the descriptors that can be read; wait up to ``timeout`` seconds."""
    if not descriptors:
        return ()
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout is None else 1000 * timeout)]


def dead_worker_messages(
    inputs: Collection[TaskInput], worker: int, journal: str, how: str
) -> list[Message]:
    """Return the messages of a dead worker's unfinished inputs.

    Each is tried once more, alone or with the segments of its recording, to find out which of them
    crashed it. A retry fails.
    """
    retries = tuple(one._replace(is_retry=True) for one in inputs if not one.is_retry)
    error = AudioReadError(
        f"the worker process died twice ({how}) while it read this input: the file must be "
        "damaged in a way that crashes its decoder, or too large for the memory"
    )
    failed = [
        Failed(one.number, error, None, 0 if index else len(group))
        for group in grouped([one for one in inputs if one.is_retry], lambda one: one.source)
        for index, one in enumerate(group)
    ]
    return [WorkerLost(retries, worker, journal, how), *failed]


class InProcess(Executor):
    """Computes tasks in this process, within :meth:`wait`.

    A decoder that crashes ends the process.
    """

    def __init__(self) -> None:
        self._task: Task | None = None
        self._outbox: Outbox | None = None

    def begin(self, common: TaskSettings, deliver: Deliver, n_workers: int) -> None:  # noqa: ARG002
        """Begin a run."""
        self.stop()
        self._common, self._deliver = common, deliver

    def idle_worker(self, *, alone: bool = False) -> int | None:  # noqa: ARG002
        """Return the one worker unless it has a task."""
        return 0 if self._task is None else None

    def submit(self, worker: int, task: Task) -> None:  # noqa: ARG002
        """Keep the task for :meth:`wait`."""
        self._task = task

    def wait(self, descriptors: Collection[int] = (), timeout: float | None = None) -> None:
        """Compute the task, or wait for the descriptors."""
        if self._task is None:
            readable(descriptors, timeout)
            return
        # Decoders are imported where they are used: with workers, this process needs none.
        from kapre_cli.extraction.compute import Outbox, compute_tasks
        from kapre_cli.extraction.decode import preview_task

        task, self._task = self._task, None
        if not task.journal:
            self._send(preview_task(task, self._common.settings))
            return
        if self._outbox is None:
            self._outbox = Outbox(self._common, self._send)
        compute_tasks([task], self._common, self._outbox)

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._deliver(message)

    def stop(self) -> None:
        """Drop the task and close the journals."""
        self._task = None
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None


def previews(
    sources: Sequence[Source],
    common: TaskSettings,
    executor: Executor,
    *,
    counts_samples: bool = False,
) -> list[Preview]:
    """Return a preview of each input.

    Workers open the files, because opening a damaged one may crash a decoder, too. With
    ``counts_samples`` they decode those whose headers do not state a length.
    """
    found: dict[int, Preview] = {}
    inputs = [TaskInput(number, source) for number, source in enumerate(sources)]
    pending = deque[list[TaskInput]]()
    for group in grouped(inputs, lambda one: one.source):
        if not pending or len(pending[-1]) >= TASK_INPUTS:
            pending.append([])
        pending[-1] += group
    errors: list[BaseException] = []

    def handle(message: Message) -> None:
        if isinstance(message, Previewed):
            found[message.number] = message.preview
        elif isinstance(message, Failed):
            found[message.number] = Preview(message.reason, n_alike=message.n_alike)
        elif isinstance(message, WorkerBroken):
            errors.append(message.error)
        elif isinstance(message, WorkerLost):
            pending.extend(grouped(message.inputs, lambda one: one.source))

    executor.begin(common, handle, len(pending))
    while len(found) < len(inputs):
        while pending:
            worker = executor.idle_worker(alone=pending[0][0].is_retry)
            if worker is None:
                break
            executor.submit(worker, Task(pending.popleft(), "", counts_samples))
        executor.wait()
        if errors:
            raise errors[0]
    return [found[one.number] for one in inputs]
