"""The interface of executors, which compute tasks."""

import select
from abc import abstractmethod
from collections.abc import Callable, Collection

from kapre_cli.extract.tasks import Event, Task, TaskSettings
from kapre_cli.osutil import Resource

Deliver = Callable[[Event], None]


class Executor(Resource):
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


def readable(descriptors: Collection[int], timeout: float | None) -> Collection[int]:
    """Return the descriptors that can be read; wait ``timeout`` seconds at most for one."""
    if not descriptors:
        return ()
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if timeout is None else 1000 * timeout)]
