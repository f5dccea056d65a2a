"""Computing in a process of its own, so that importing TensorFlow holds up nothing else.

It takes as long as decoding an hour of FLAC does, and keeps Python's lock for most of the time.
The process is forked while there is nothing in it that a fork could harm. It has no part in
reading or writing; it gets samples and gives features through memory that both processes see.

To it go lines and then bytes: ``import``, if that can begin before anything else is known; the
layer and the frames of a tape as JSON; then the number of each tape that is to be computed, a
byte each. From it come a line of JSON with the layer's warnings, and the number of each tape when
it is done; or, at any time, a line of JSON with an error.
"""

import json
import mmap
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from kapre_cli.closing import Closing
from kapre_cli.errors import ComputingError
from kapre_cli.pipeline.processors import n_processors
from kapre_cli.report import STOPPING
from kapre_cli.settings import LayerConfig, layer_from_dict, layer_to_dict

if TYPE_CHECKING:
    from kapre_cli.audio.samples import Samples
    from kapre_cli.pipeline.transform import Features

_ROOM_BYTES = 2**28
_MOST_THREADS = 8
_FLOAT_BYTES = 4
_IMPORT = b"import\n"
_READY, _FAILED = "warnings", "error"
_ERROR = b'{"error"'  # how the line with one begins; no text in JSON has it


class ApartComputer(Closing):
    """A :class:`~kapre_cli.pipeline.transform.Computer` in a process of its own.

    The process is there at once, and does nothing until it is told to.

    Args:
        prepare: Called in the new process before it imports anything.
    """

    def __init__(self, prepare: Callable[[], None]) -> None:
        self.warnings: Sequence[str] = ()
        self.tapes: Sequence[Samples] = ()
        self._features: Sequence[Features] = ()
        self._memory = mmap.mmap(-1, _ROOM_BYTES)  # taken up only as it is written to
        theirs, ours = os.pipe(), os.pipe()  # what they read, what we read
        self._pid = os.fork()
        if self._pid == 0:
            _serve(self._memory, theirs[0], ours[1], prepare)
        os.close(theirs[0])
        os.close(ours[1])
        self._commands = os.fdopen(theirs[1], "wb", buffering=0)
        self._answers = os.fdopen(ours[0], "rb")
        self._is_ready = False

    def warm_up(self) -> None:
        """Let it begin to import: it is all but certain that there is something to compute."""
        self._command(_IMPORT)

    @staticmethod
    def has_room_for(config: LayerConfig, n_frames: int) -> bool:
        """Whether a tape of so many frames is not too large to be handed over."""
        return _n_tapes(config, n_frames) > 0

    def start(self, config: LayerConfig, n_frames: int) -> None:
        """Tell it which layer it is to compute, and how many frames a tape has."""
        self.tapes, self._features = _arrays(self._memory, config, n_frames)
        self._command(_line({"layer": layer_to_dict(config), "n_frames": n_frames}))

    def submit(self, number: int) -> None:
        """Let the tape of this number be computed."""
        self._command(bytes([number]))

    def collect(self) -> "Features":
        """Wait for the features of the tape that was submitted longest ago.

        Raises:
            ComputingError: If they cannot be computed, or the process has come down.
        """
        if not self._is_ready:
            self.warnings = json.loads(self._answer(self._answers.readline()))[_READY]
            self._is_ready = True
        (number,) = self._answer(self._answers.read(1))
        return self._features[number]

    def _command(self, command: bytes) -> None:
        try:
            self._commands.write(command)
        except BrokenPipeError as error:  # it may have said why before it ended
            raise self._failure(self._answers.read()) from error

    def _answer(self, answer: bytes) -> bytes:
        """Return an answer, unless it is none or an error."""
        if answer == _ERROR[:1]:  # no tape has such a number
            answer += self._answers.readline()
        if not answer or answer.startswith(_ERROR):
            raise self._failure(answer)
        return answer

    def _failure(self, said: bytes) -> ComputingError:
        """Return why nothing more is computed, from what it said last."""
        _, begins, error = said.partition(_ERROR)
        if begins:
            return ComputingError(
                f"the layer cannot be computed: {json.loads(begins + error)[_FAILED]}"
            )
        return ComputingError(f"the process that computes came down ({self._how_it_ended()})")

    def _how_it_ended(self) -> str:
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            why = ", perhaps for want of memory" if number == signal.SIGKILL else ""
            return signal.Signals(number).name + why
        return f"exit code {os.WEXITSTATUS(status)}"

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        with suppress(OSError):
            self._commands.close()
        self._answers.close()
        self.tapes = self._features = ()


def _n_tapes(config: LayerConfig, n_frames: int) -> int:
    """Return how many tapes there is room for, and for the features of each."""
    n_values = config.framing.n_samples(n_frames) + n_frames * config.n_features
    return min(_ROOM_BYTES // (_FLOAT_BYTES * n_values), _n_threads() + 2)


def _arrays(
    memory: mmap.mmap, config: LayerConfig, n_frames: int
) -> tuple[list["Samples"], list["Features"]]:
    """Return the tapes in the shared memory, and the features of each."""
    import numpy as np

    n_tapes = _n_tapes(config, n_frames)
    sizes = [n_tapes * config.framing.n_samples(n_frames), n_tapes * n_frames * config.n_features]
    every = np.frombuffer(memory, np.float32)
    tapes, features, _ = np.split(every, np.cumsum(sizes))
    return [*tapes.reshape(n_tapes, -1)], [*features.reshape(n_tapes, n_frames, -1)]


def _serve(memory: mmap.mmap, commands: int, answers: int, prepare: Callable[[], None]) -> NoReturn:
    """Do what the new process is for, and end it."""
    try:
        for number in STOPPING:  # whoever is asked to end says when this process is of no more use
            signal.signal(number, signal.SIG_IGN)
        _keep_open_only(commands, answers)
        prepare()
        with os.fdopen(commands, "rb") as source, os.fdopen(answers, "wb", buffering=0) as target:
            try:
                _compute(memory, source, target)
            except Exception as error:
                target.write(_failure(error))
    finally:
        os._exit(0)


def _keep_open_only(*kept: int) -> None:
    """Close every file but a few: a lock, a pipe or a terminal may hang on one."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    start = 3
    for fd in sorted(kept):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _compute(memory: mmap.mmap, commands: BinaryIO, answers: BinaryIO) -> None:
    """Follow commands until there are none any more."""
    line = commands.readline()
    if line == _IMPORT:
        from kapre_cli.pipeline import compute

        line = commands.readline()
    if not line:
        return
    from kapre_cli.pipeline import compute

    compute.use_threads(_n_threads())
    described = json.loads(line)
    config, n_frames = layer_from_dict(described["layer"]), described["n_frames"]
    layer = compute.CompiledLayer(config, n_frames)
    tapes, features = _arrays(memory, config, n_frames)
    answers.write(_line({_READY: layer.warnings}))

    def computed(number: int) -> bytes:
        features[number][:] = layer(tapes[number])
        return bytes([number])

    with ThreadPoolExecutor(_n_threads(), "compute") as computing, _InOrder(answers) as in_order:
        while command := commands.read(1):
            in_order.answer(computing.submit(computed, command[0]))


class _InOrder(Closing):
    """A thread that gives answers in the order in which they were asked for."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._due: SimpleQueue[Future[bytes] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._give, daemon=True)
        self._thread.start()

    def answer(self, answer: Future[bytes]) -> None:
        """Give this answer once it is there and those before it have been given."""
        self._due.put(answer)

    def _give(self) -> None:
        while (answer := self._due.get()) is not None:
            try:
                self._answers.write(answer.result())
            except Exception as error:
                with suppress(OSError):
                    self._answers.write(_failure(error))
                os._exit(1)

    def close(self) -> None:
        """Let the thread end once all answers have been given."""
        self._due.put(None)
        self._thread.join()


def _n_threads() -> int:
    return min(n_processors(), _MOST_THREADS)


def _failure(error: Exception) -> bytes:
    return _line({_FAILED: f"{type(error).__name__}: {error}"})


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode() + b"\n"
