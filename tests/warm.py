"""The program in processes of its own that start at once.

A run spends most of its time in importing NumPy, h5py and matplotlib. A nursery has done that,
and forks for every run: what runs is the program from its first line on, with descriptors, signals,
an environment and a folder of its own, beside any number of others.
"""

import gc
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]

_LIMIT = 120.0  # seconds of a run, and those until the nursery is there
_WITH_KERAS = "with Keras"
# What imports Keras, which takes longer than all the rest, and which few runs need.
_SLOW = (
    "kapre_cli.engines.keras_engine",
    "kapre_cli.formats.keras_loader",
    "kapre_cli.formats.labelled",
    "kapre_cli.layers.melspectrogram",
    "kapre_cli.layers.spectrogram",
    "kapre_cli.layers.steps",
    "kapre_cli.time_frequency",
)


class Started:
    """A process of a nursery, as ``subprocess.Popen`` shows one of its own.

    Attributes:
        args: The command line behind the name of the program.
        pid: Its number.
        returncode: Its exit code; negative: the signal that it died of; ``None``: not known yet.
    """

    def __init__(self, args: list[str], talk: socket.socket, streams: list[io.FileIO]) -> None:
        self.args = args
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = streams
        self._talk = talk
        self._told = b""
        self.pid = int(self._line(_LIMIT))

    def _line(self, seconds: float) -> bytes:
        """Return the next line that the nursery says of it."""
        limit = time.monotonic() + seconds
        while b"\n" not in self._told:
            self._talk.settimeout(max(limit - time.monotonic(), 1e-4))
            told = self._talk.recv(100)
            if not told:
                raise RuntimeError("the nursery has ended")
            self._told += told
        line, _, self._told = self._told.partition(b"\n")
        return line

    def poll(self) -> int | None:
        """Return the exit code if it has ended."""
        with suppress(TimeoutError):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended, and return the exit code."""
        if self.returncode is None:
            self.returncode = int(self._line(timeout))
            self._talk.close()
        return self.returncode

    def kill(self) -> None:
        """End it if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: float = _LIMIT) -> tuple[bytes, bytes]:
        """Let its input end, wait for its end, and return what it has written and said."""
        limit = time.monotonic() + timeout
        with suppress(BrokenPipeError):
            self.stdin.close()
        read: dict[Any, list[bytes]] = {self.stdout: [], self.stderr: []}
        with selectors.DefaultSelector() as selector:
            for stream in read:
                if not stream.closed:
                    selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(limit - time.monotonic(), 0))
                if not ready:
                    raise TimeoutError(f"{self.args} did not end within {timeout} s")
                for key, _ in ready:
                    some = os.read(key.fd, 2**16)
                    read[key.fileobj].append(some)
                    if not some:
                        selector.unregister(key.fileobj)
                        key.fileobj.close()  # type: ignore[union-attr]
        self.wait(max(limit - time.monotonic(), 0))
        out, err = (b"".join(parts) for parts in read.values())
        return out, err


class Nursery:
    """Starts processes of the program; one alone begins with the first.

    Args:
        preload: What is preloaded into them.
        with_keras: Whether Keras and TensorFlow have been imported, too. Neither has computed
            anything, so that a process may be forked.
    """

    def __init__(self, preload: Path | None = None, *, with_keras: bool = False) -> None:
        self._preload = preload
        self._options = [_WITH_KERAS] if with_keras else []
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def _serving(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair()
            more = {} if self._preload is None else {"LD_PRELOAD": str(self._preload)}
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.warm", str(theirs.fileno()), *self._options],
                    cwd=ROOT,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **more},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                )
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == b"ready\n"
        return self._orders

    def start(
        self,
        *arguments: object,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        session: bool = False,
        code: str | None = None,
    ) -> Started:
        """Start the program.

        Args:
            *arguments: The command line.
            cwd: The folder in which it begins.
            environment: All of its environment; ``None``: this process's own.
            session: Whether it leads a session, and a process group, of its own.
            code: Python code to run instead of the program.
        """
        given = [os.fspath(one) if isinstance(one, Path) else str(one) for one in arguments]
        request = {
            "arguments": given,
            "cwd": os.fspath(cwd or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
            "session": session,
            "code": code,
        }
        orders, (ours, theirs) = self._serving(), socket.socketpair()
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        from_stderr, stderr = os.pipe()
        passed = [theirs.fileno(), stdin, stdout, stderr]
        socket.send_fds(orders, [b"."], passed)
        theirs.close()
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        ours.sendall(json.dumps(request).encode() + b"\n")
        streams = [
            io.FileIO(descriptor, mode)
            for descriptor, mode in ((to_stdin, "w"), (from_stdout, "r"), (from_stderr, "r"))
        ]
        return Started(given, ours, streams)

    def close(self) -> None:
        """End the nursery."""
        if self._orders is not None and self._process is not None:
            self._orders.close()
            self._process.communicate(timeout=60)


@contextmanager
def nursery(preload: Path | None = None, *, with_keras: bool = False) -> Iterator[Nursery]:
    """Give a nursery."""
    made = Nursery(preload, with_keras=with_keras)
    try:
        yield made
    finally:
        made.close()


# What follows runs in the nursery, and in the processes that it forks


def serve(orders: socket.socket, *, with_keras: bool) -> None:
    """Fork for every order, until there are no more."""
    for path in (ROOT / "kapre_cli").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if with_keras or not name.startswith(_SLOW):
            import_module(name)
    assert bool({"keras", "tensorflow"} & sys.modules.keys()) == with_keras
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for runs
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        order, passed, _, _ = socket.recv_fds(orders, 1, 4)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            _exit_after(lambda passed=passed: _wait_for_run(passed))  # type: ignore[misc]
        for descriptor in passed:
            os.close(descriptor)


def _exit_after(work: Callable[[], object]) -> NoReturn:
    """Do something in a process that has been forked, and end it there whatever happens."""
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(99)
    os._exit(0)


def _wait_for_run(passed: list[int]) -> None:
    """Start a run, and say first its number and then how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=passed[0]) as talk:
        request = json.loads(talk.makefile("rb").readline())
        pid = os.fork()
        if pid == 0:
            talk.close()
            _exit_after(lambda: _run(request, passed[1:]))
        for descriptor in passed[1:]:
            os.close(descriptor)
        with suppress(BrokenPipeError):
            talk.sendall(b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            talk.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _run(request: dict[str, Any], streams: list[int]) -> None:
    """Be the program, or run code."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    if request["code"] is None:
        from kapre_cli import __main__

        sys.argv = [__main__.__file__, *request["arguments"]]
        __main__.main()
    sys.argv = ["-c", *request["arguments"]]
    sys.path[0] = ""
    try:
        exec(request["code"], {"__name__": "__main__"})  # noqa: S102 - what a test has written
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(int(ended.code or 0))
    sys.stdout.flush()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), with_keras=_WITH_KERAS in sys.argv)
