"""Worker processes on this machine: a decoder that crashes ends only one.

They are forked by a fork server, so that a dead worker is replaced in a millisecond. The command
line forks the server from its own process, before that has threads or has loaded more than NumPy. A
Python program may have threads and TensorFlow: there the server is a new process, which does not
import the program's main module.
"""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import numpy as np  # noqa: F401 - workers share what is loaded before they are forked

from kapre_cli.errors import ProcessLimitError
from kapre_cli.exit_codes import STOP_SIGNALS
from kapre_cli.extraction.executor import Deliver, Executor, dead_worker_messages, readable
from kapre_cli.extraction.tasks import (
    NO_SIGNAL,
    Channel,
    Failed,
    Finished,
    Previewed,
    Task,
    TaskInput,
    TaskSettings,
    WorkerBroken,
)
from kapre_cli.interpreter import tune_interpreter
from kapre_cli.osutil import discard
from kapre_cli.text import Argument, Text, quoted

if TYPE_CHECKING:
    from kapre_cli.extraction.compute import Outbox

_LAST_MESSAGES = (Finished, Failed, Previewed)  # the last message of an input
_SMALL_TASK_BYTES = 2**22  # of a task that ends soon: the next one is sent ahead
_SECONDS_TO_END = 5.0  # that workers may take to keep their finished work

_NO_PROCESS = Text("the system allows no more processes; take fewer ", Argument("jobs"))
_NO_SERVER = "the process that starts the workers has ended, perhaps because memory ran out"

# Modules are imported as in the process that starts this one; Keras is told its backend before.
_NEW_SERVER = """
import sys
sys.path[:] = {path!r}
from kapre_cli.interpreter import tune_interpreter
tune_interpreter()
from {module} import serve
serve({descriptor})
"""

_START, _WAIT = b"s", b"w"
_REPLY_BYTES = 32


class _ForkServer:
    """The process that forks workers.

    Args:
        end: This process's end of the socket to it.
        wait_for_end: Waits until it has ended.
    """

    def __init__(self, end: socket.socket, wait_for_end: Callable[[], object]) -> None:
        self._socket = end
        self._wait_for_end = wait_for_end

    @classmethod
    def forked(cls, inherited: Collection[int]) -> "_ForkServer":
        """Fork the server from this process; workers inherit these descriptors."""
        end, other_end = socket.socketpair()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            raise ProcessLimitError(_NO_PROCESS) from error
        if pid == 0:
            try:
                _release_inherited({*inherited, other_end.fileno()})
                _fork_workers(other_end)
            finally:
                os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        other_end.close()
        return cls(end, partial(os.waitpid, pid, 0))

    @classmethod
    def new(cls) -> "_ForkServer":
        """Start the server as a new process, with this one's import path.

        It is in a session of its own: the interrupt of a terminal is this process's alone.
        """
        end, other_end = socket.socketpair()
        descriptor = other_end.fileno()
        code = _NEW_SERVER.format(path=sys.path, module=__name__, descriptor=descriptor)
        try:
            with other_end:
                process = subprocess.Popen(  # noqa: S603 - this very Python
                    [sys.executable, "-I", "-c", code],
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError as error:
            end.close()
            raise ProcessLimitError(
                f"no worker can be started by {quoted(sys.executable)}: {error.strerror}"
            ) from error
        return cls(end, process.wait)

    def start(self) -> tuple[int, Channel]:
        """Start a worker; raise ProcessLimitError if the system has no process for it."""
        reply = b""
        with suppress(OSError):
            self._socket.sendall(_START, NO_SIGNAL)
            reply, descriptors, _, _ = socket.recv_fds(self._socket, _REPLY_BYTES, 1)
            if descriptors:
                return int(reply), Channel(socket.socket(fileno=descriptors[0]))
        raise ProcessLimitError(_NO_PROCESS if reply else _NO_SERVER)

    def wait(self, pid: int) -> int | None:
        """Return the :func:`os.waitpid` status of a worker; ``None`` if it is unknown."""
        with suppress(OSError, ValueError):
            self._socket.sendall(_WAIT + str(pid).encode(), NO_SIGNAL)
            return int(self._socket.recv(_REPLY_BYTES))
        return None

    def close(self) -> None:
        self._socket.close()
        with suppress(ChildProcessError):
            self._wait_for_end()


def serve(descriptor: int) -> NoReturn:
    """Fork workers, in a process that :meth:`_ForkServer.new` has started."""
    _release_inherited({descriptor})
    _fork_workers(socket.socket(fileno=descriptor))


def _release_inherited(inherited: Collection[int]) -> None:
    """Release what belongs to the parent process, except for some descriptors.

    A pipe that a worker held open would have no end while that worker hangs.
    """
    for number in (*STOP_SIGNALS, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # the parent handles them and ends the workers
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for descriptor in (0, 1, 2):
        discard(descriptor)
    # The old streams' descriptors are closed here, and soon belong to other files.
    sys.stdout = sys.stderr = open(2, "w", errors="backslashreplace")  # noqa: SIM115 - never closed
    for descriptor in map(int, os.listdir("/dev/fd")):
        if descriptor > 2 and descriptor not in inherited:
            with suppress(OSError):  # that of the folder itself is closed
                os.close(descriptor)
    tune_interpreter()


def _fork_workers(requests: socket.socket) -> NoReturn:
    """Fork a worker on each request, until the socket is closed."""
    import kapre_cli.extraction.compute  # noqa: F401 - so that all workers share it

    while request := requests.recv(_REPLY_BYTES):
        if request != _START:
            _, status = os.waitpid(int(request.removeprefix(_WAIT)), 0)
            requests.sendall(str(status).encode())
            continue
        worker_end, other_end = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            requests.sendall(b"0")
            continue
        if pid == 0:
            requests.close()
            other_end.close()
            _WorkerProcess(Channel(worker_end)).serve()
        worker_end.close()
        socket.send_fds(requests, [str(pid).encode()], [other_end.fileno()])
        other_end.close()
    os._exit(0)


class _WorkerProcess:
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
        from kapre_cli.extraction.compute import Outbox, compute_tasks
        from kapre_cli.extraction.decode import preview_task

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
        """Queue messages; when the channel is closed, keep finished work and exit."""
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
        """Yield a task and those that follow in its run, ``None`` before each wait."""
        message: Task | TaskSettings = task
        while isinstance(message, Task):
            yield message
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                yield None
                message = self._inbox.get()
        self._next = message


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker as this process sees it.

    Attributes:
        unfinished: Inputs given to it and not finished, by number.
        left: Number of unfinished inputs of each of its tasks, in order.
        n_bytes: Bytes of the inputs of its last task.
        journal: The journal of its last task.
    """

    pid: int
    channel: Channel
    unfinished: dict[int, TaskInput] = field(default_factory=dict)
    left: deque[int] = field(default_factory=deque)
    n_bytes: int = 0
    journal: str = ""

    @property
    def ends_soon(self) -> bool:
        return (
            len(self.left) == 1 and len(self.unfinished) > 1 and self.n_bytes <= _SMALL_TASK_BYTES
        )

    def ended(self, number: int) -> None:
        """Record that an input has ended. Tasks end in order, except for a few inputs."""
        if self.unfinished.pop(number, None) is not None:
            self.left[0] -= 1
            if self.left[0] == 0:
                self.left.popleft()


class LocalWorkers(Executor):
    """Worker processes on this machine, started as they are needed.

    Args:
        n_workers: Maximum number of workers.
        inherited: Descriptors of this process that workers read from: they are forked, before this
            process has threads. ``None``: they descend from a new process.
    """

    def __init__(self, n_workers: int, inherited: Collection[int] | None = ()) -> None:
        self._max_workers = n_workers
        self._n_used = 0
        self._server = _ForkServer.new() if inherited is None else _ForkServer.forked(inherited)
        self._workers: list[_Worker] = []

    def begin(self, common: TaskSettings, deliver: Deliver, n_workers: int) -> None:
        """Begin a run with at most ``n_workers`` workers."""
        self._common, self._deliver = common, deliver
        if any(worker.unfinished for worker in self._workers):
            self.stop()
        self._n_used = min(self._max_workers, n_workers)
        for worker in self._workers[: self._n_used]:
            with suppress(OSError):  # one that has died is replaced
                worker.channel.send(common)

    def _started(self) -> _Worker:
        worker = _Worker(*self._server.start())
        with suppress(OSError):
            worker.channel.send(self._common)
        return worker

    def idle_worker(self, *, alone: bool = False) -> int | None:
        """Return an idle worker, a new one or one that ends soon, if there is one.

        ProcessLimitError is raised if the system has no process for the first one.
        """
        used = self._workers[: self._n_used]
        for number, worker in enumerate(used):
            if not worker.left:
                return number
        if len(used) < self._n_used:
            try:
                self._workers.append(self._started())
            except ProcessLimitError:
                if not self._workers:
                    raise
                self._n_used = len(self._workers)  # these are enough
            else:
                return len(used)
        if alone:
            return None
        return next((number for number, worker in enumerate(used) if worker.ends_soon), None)

    def submit(self, worker: int, task: Task) -> None:
        """Send a task to a worker; if it has died, :meth:`wait` notices."""
        recipient = self._workers[worker]
        recipient.unfinished.update((one.number, one) for one in task.inputs)
        recipient.left.append(len(task.inputs))
        recipient.n_bytes = sum(one.n_bytes for one in task.inputs)
        recipient.journal = task.journal
        try:
            recipient.channel.send(task)
        except OSError:  # it had died before, and so of none of these
            recipient.unfinished.update(
                (one.number, one._replace(is_retry=False)) for one in task.inputs
            )

    def wait(self, descriptors: Collection[int] = (), timeout: float | None = None) -> None:
        """Deliver the workers' messages and replace workers that have died."""
        by_descriptor = {
            worker.channel.fileno(): number
            for number, worker in enumerate(self._workers[: self._n_used])
        }
        for descriptor in readable([*descriptors, *by_descriptor], timeout):
            if descriptor in by_descriptor:
                self._receive(by_descriptor[descriptor])

    def _receive(self, number: int) -> None:
        worker = self._workers[number]
        try:
            messages = worker.channel.receive()
        except EOFError:
            self._replace(number)
            return
        for message in messages:
            if isinstance(message, _LAST_MESSAGES):
                worker.ended(message.number)
            self._deliver(message)

    def _replace(self, number: int) -> None:
        worker = self._workers[number]
        worker.channel.close()
        how = _cause_of(self._server.wait(worker.pid))
        try:
            self._workers[number] = self._started()
        except ProcessLimitError:
            del self._workers[number]
            raise
        for message in dead_worker_messages(
            worker.unfinished.values(), number, worker.journal, how
        ):
            self._deliver(message)

    def stop(self) -> None:
        """Let the workers keep their finished work and end; kill those that take too long."""
        for worker in self._workers:
            worker.channel.end()
        deadline = time.monotonic() + _SECONDS_TO_END
        waiting = {worker.channel.fileno(): worker for worker in self._workers}
        while waiting and (left := deadline - time.monotonic()) > 0:
            for descriptor in readable([*waiting], left):
                with suppress(EOFError):
                    for message in waiting[descriptor].channel.receive():
                        self._deliver(message)
                    continue
                del waiting[descriptor]
        for worker in waiting.values():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
        for worker in self._workers:
            worker.channel.close()
            self._server.wait(worker.pid)
        self._workers = []

    def close(self) -> None:
        """End all processes."""
        super().close()
        self._server.close()


def _cause_of(status: int | None) -> str:
    """Return in words how a process ended."""
    if status is None or not os.WIFSIGNALED(status):
        return "it ended"
    name = signal.Signals(os.WTERMSIG(status)).name
    return f"{name}, perhaps because memory ran out" if name == "SIGKILL" else name
