"""Computing in a process of its own, so that importing TensorFlow holds up nothing else.

It takes as long as decoding an hour of FLAC does, and keeps Python's lock for most of the time.
The process is forked while there is nothing in it that a fork could harm. It has no part in
reading or writing; it gets samples and gives features through memory that both processes see.
"""

import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from kapre_cli.closing import Closing
from kapre_cli.errors import ComputingError
from kapre_cli.pipeline.served import serve
from kapre_cli.pipeline.shared import (
    ERROR,
    FAILED,
    IMPORT,
    READY,
    arrays,
    line_of,
    n_tapes,
    shared_memory,
)
from kapre_cli.settings import LayerConfig, layer_to_dict

if TYPE_CHECKING:
    from kapre_cli.audio.samples import Samples
    from kapre_cli.pipeline.transform import Features


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
        self._memory = shared_memory()
        theirs, ours = os.pipe(), os.pipe()  # what they read, what we read
        self._pid = os.fork()
        if self._pid == 0:
            serve(self._memory, theirs[0], ours[1], prepare)
        os.close(theirs[0])
        os.close(ours[1])
        self._commands = os.fdopen(theirs[1], "wb", buffering=0)
        self._answers = os.fdopen(ours[0], "rb")
        self._is_ready = False

    def warm_up(self) -> None:
        """Let it begin to import: it is all but certain that there is something to compute."""
        self._command(IMPORT)

    @staticmethod
    def has_room_for(config: LayerConfig, n_frames: int) -> bool:
        """Whether a tape of so many frames is not too large to be handed over."""
        return n_tapes(config, n_frames) > 0

    def start(self, config: LayerConfig, n_frames: int) -> None:
        """Tell it which layer it is to compute, and how many frames a tape has."""
        self.tapes, self._features = arrays(self._memory, config, n_frames)
        self._command(line_of({"layer": layer_to_dict(config), "n_frames": n_frames}))

    def submit(self, number: int) -> None:
        """Let the tape of this number be computed."""
        self._command(bytes([number]))

    def collect(self) -> "Features":
        """Wait for the features of the tape that was submitted longest ago.

        Raises:
            ComputingError: If they cannot be computed, or the process has come down.
        """
        if not self._is_ready:
            self.warnings = json.loads(self._answer(self._answers.readline()))[READY]
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
        if answer == ERROR[:1]:  # no tape has such a number
            answer += self._answers.readline()
        if not answer or answer.startswith(ERROR):
            raise self._failure(answer)
        return answer

    def _failure(self, said: bytes) -> ComputingError:
        """Return why nothing more is computed, from what it said last."""
        _, begins, error = said.partition(ERROR)
        if begins:
            return ComputingError(
                f"the layer cannot be computed: {json.loads(begins + error)[FAILED]}"
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

    def stop(self) -> None:
        """Let the process end, whatever it is doing, and do not wait until it has."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process."""
        if self._pid:
            self.stop()
            os.waitpid(self._pid, 0)
            self._pid = 0
        with suppress(OSError):
            self._commands.close()
        self._answers.close()
        self.tapes = self._features = ()
