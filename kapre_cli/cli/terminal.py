"""What a person sees while a run is on: messages and a progress bar, and nothing else.

The only door to tqdm.
"""

import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from kapre_cli.closing import Closing
from kapre_cli.report import Progress, duration
from kapre_cli.sources import Source

READING = "{percentage:3.0f}%|{bar}| {n_ended}/{n_inputs} inputs, {audio} [{elapsed}<{remaining}]"
WRITING = "writing |{bar}| {n_fmt}/{total_fmt} inputs [{elapsed}]"


class _Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    """A bar over the bytes of the inputs, which are known before anything is read."""

    n_ended = 0
    n_inputs = 0
    seconds = 0.0

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the bar's formats can show."""
        shown: dict[str, Any] = super().format_dict
        speed = self.seconds / max(shown["elapsed"], 1e-3)
        return shown | {
            "n_ended": self.n_ended,
            "n_inputs": self.n_inputs,
            "audio": f"{duration(self.seconds)}, {speed:,.0f} x real time",
        }


class Terminal(Progress, Closing):
    """Keeps standard error to this program's own messages, with a bar if it is a terminal.

    TensorFlow's C++ code writes to file descriptor 2 whatever it is asked to keep to itself, so
    for the time of a run that descriptor leads nowhere and messages go through a copy of it.

    Args:
        sources: The inputs.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        _hush_python()
        self._before = sys.stderr
        self._descriptor = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = io.TextIOWrapper(
            os.fdopen(os.dup(self._descriptor), "wb", buffering=0),
            encoding=self._before.encoding,
            errors="backslashreplace",
            line_buffering=True,
            write_through=True,
        )
        shown = sys.stderr.isatty()
        self._sizes = {one.key: _size(one.path) for one in sources} if shown else {}
        self._left = dict(self._sizes)
        self._bar = self._new_bar(sum(self._sizes.values()), READING)
        self._bar.n_inputs = len(sources)

    @staticmethod
    def _new_bar(total: int, layout: str) -> _Bar:
        return _Bar(
            total=total,
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            bar_format=layout,
            dynamic_ncols=True,
            leave=False,
            miniters=1,
        )

    def say(self, message: str) -> None:
        """Print one message on a line of its own, above the bar."""
        self._bar.write(message, file=sys.stderr)

    def read(self, key: str, seconds: float, share: float) -> None:
        """Move the bar by a share of an input."""
        if self._bar.disable:
            return
        self._bar.seconds += seconds
        self._move(key, min(round(share * self._sizes[key]), self._left[key]))

    def ended(self, key: str) -> None:
        """Move the bar to the end of an input."""
        if self._bar.disable:
            return
        self._bar.n_ended += 1
        self._move(key, self._left[key])

    def _move(self, key: str, n_bytes: int) -> None:
        self._left[key] -= n_bytes
        self._bar.update(n_bytes)

    def writing(self, n_inputs: int) -> None:
        """Begin a new bar, over the inputs in the output."""
        self._bar.close()
        self._bar = self._new_bar(n_inputs, WRITING)

    def wrote(self) -> None:
        """Move the bar by one input."""
        self._bar.update(1)

    def close(self) -> None:
        """Give standard error back."""
        self._bar.close()
        sys.stderr.close()
        sys.stderr = self._before
        os.dup2(self._descriptor, 2)
        os.close(self._descriptor)


def _size(path: str) -> int:
    """Return the bytes of a file, at least 1, also if it cannot be read."""
    try:
        return max(os.stat(path).st_size, 1)
    except OSError:
        return 1


def _hush_python() -> None:
    """Settle what TensorFlow and Keras read from the environment, and quieten their Python."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the processor does it all: see Transform
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
