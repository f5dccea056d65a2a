"""A worker: compute the tasks that a channel gives, until that is closed."""

import os
import queue
import threading
import traceback
from collections.abc import Iterator
from typing import NoReturn

from kapre_cli.extract.compute import Outbox, compute_tasks
from kapre_cli.extract.preview import preview_task
from kapre_cli.extract.tasks import Channel, Task, TaskSettings, WorkerBroken


class Worker:
    """The main thread of a worker process.

    It receives :class:`TaskSettings` when a run begins, then its tasks, and sends messages.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._inbox: queue.SimpleQueue[Task | TaskSettings] = queue.SimpleQueue()
        self._next: Task | TaskSettings | None = None
        self._outbox: Outbox | None = None

    def serve(self) -> NoReturn:
        """Work until the channel is closed, then end the process."""
        threading.Thread(target=self._receive, name="tasks", daemon=True).start()
        common = None
        while True:
            message = self._next or self._inbox.get()
            self._next = None
            if isinstance(message, TaskSettings):
                common = message
            elif common is not None and not self._is_done(message, common):
                common = None  # the other tasks of its run cannot be done either

    def _is_done(self, task: Task, common: TaskSettings) -> bool:
        """Do a task, and those that follow; return whether the run can go on."""
        try:
            if task.journal:
                with Outbox(common, self._channel.send) as self._outbox:
                    compute_tasks(self._tasks(task), common, self._outbox)
            else:
                for message in preview_task(task, common.settings):
                    self._channel.send([message])
        except BaseException as error:
            self._channel.send([WorkerBroken(error, traceback.format_exc())])
            return False
        finally:
            self._outbox = None
        return True

    def _receive(self) -> None:
        """Queue messages; when the channel is closed, keep finished work and end the process."""
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                try:
                    if self._outbox is not None:
                        self._outbox.send()
                finally:
                    os._exit(0)
            self._inbox.put(message)

    def _tasks(self, task: Task) -> Iterator[Task | None]:
        """Yield a task and those that follow in its run, ``None`` before each wait for one."""
        message: Task | TaskSettings = task
        while isinstance(message, Task):
            yield message
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                yield None
                message = self._inbox.get()
        self._next = message
