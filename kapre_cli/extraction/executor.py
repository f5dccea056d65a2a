"""The interface of executors, which compute tasks, and one that uses this process."""

import select
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from kapre_cli.closing import Closing
from kapre_cli.extraction.tasks import Event, Task, TaskSettings

if TYPE_CHECKING:
    from kapre_cli.extraction.computing import Outbox

Deliver = Callable[[Event], None]


class Executor(Closing):
    """Computes tasks, one run after another."""

    @abstractmethod
    def begin(self, common: TaskSettings, deliver: Deliver, n_workers: int) -> None:
        """Begin a run that can use ``n_workers`` workers, and drop the rest of the one before.

        ``deliver`` is called with every event, within :meth:`wait`. It does not raise.
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
        """Deliver events; wait for one, a readable descriptor or ``timeout`` seconds."""

    @abstractmethod
    def stop(self) -> None:
        """End the run; finished work is in the journals afterwards."""

    def close(self) -> None:
        """End the run and release the workers."""
        self.stop()


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
        """Take a task."""
        self._task = task

    def wait(self, descriptors: Collection[int] = (), timeout: float | None = None) -> None:
        """Compute the task, or wait for the descriptors."""
        if self._task is None:
            readable(descriptors, timeout)
            return
        # Decoders are imported where they are used: with workers, this process needs none.
        from kapre_cli.extraction.computing import Outbox, compute_tasks
        from kapre_cli.extraction.preview import preview_task

        task, self._task = self._task, None
        if not task.journal:
            self._send(preview_task(task, self._common.settings))
            return
        if self._outbox is None:
            self._outbox = Outbox(self._common, self._send)
        compute_tasks([task], self._common, self._outbox)

    def _send(self, events: Iterable[Event]) -> None:
        for event in events:
            self._deliver(event)

    def stop(self) -> None:
        """Drop the task and close the journals."""
        self._task = None
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None


def readable(descriptors: Collection[int], timeout: float | None) -> Collection[int]:
    """Return the descriptors that can be read; wait ``timeout`` seconds at most for one."""
    if not descriptors:
        return ()
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout is None else 1000 * timeout)]
