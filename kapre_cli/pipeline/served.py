"""The process that computes, from its own side: see ``apart``."""

import json
import mmap
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import BinaryIO, NoReturn

from kapre_cli.closing import Closing
from kapre_cli.pipeline.shared import FAILED, IMPORT, READY, arrays, line_of, n_threads
from kapre_cli.report import STOPPING
from kapre_cli.settings import layer_from_dict


def serve(memory: mmap.mmap, commands: int, answers: int, prepare: Callable[[], None]) -> NoReturn:
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
    if not line:
        return
    from kapre_cli.pipeline import compute  # TensorFlow: not before it is asked for

    if line == IMPORT:
        line = commands.readline()
    if not line:
        return
    compute.use_threads(n_threads())
    described = json.loads(line)
    config, n_frames = layer_from_dict(described["layer"]), described["n_frames"]
    layer = compute.CompiledLayer(config, n_frames)
    tapes, features = arrays(memory, config, n_frames)
    answers.write(line_of({READY: layer.warnings}))

    def computed(number: int) -> bytes:
        features[number][:] = layer(tapes[number])
        return bytes([number])

    with ThreadPoolExecutor(n_threads(), "compute") as computing, _InOrder(answers) as in_order:
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


def _failure(error: Exception) -> bytes:
    return line_of({FAILED: f"{type(error).__name__}: {error}"})
