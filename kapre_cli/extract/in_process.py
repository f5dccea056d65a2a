"""An executor that computes in this process."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from kapre_cli.extract.executor import Deliver, Executor, readable
from kapre_cli.extract.tasks import Event, Task, TaskSettings

if TYPE_CHECKING:
    from kapre_cli.extract.compute import Outbox


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
        from kapre_cli.extract.compute import Outbox, compute_tasks
        from kapre_cli.extract.preview import preview_task

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
