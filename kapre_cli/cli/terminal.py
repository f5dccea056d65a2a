"""What a person sees while a run is on: messages and a progress bar, and nothing else.

The only door to tqdm.
"""

import faulthandler
import io
import logging
import os
import sys
import warnings
from types import TracebackType

from tqdm import tqdm

from kapre_cli.errors import quoted
from kapre_cli.report import Progress, duration


class Terminal(Progress):
    """Keeps standard error to this program's own messages, with a bar if it is a terminal.

    TensorFlow's C++ code writes to file descriptor 2 whatever it is asked to keep to itself, so
    for the time of a run that descriptor leads nowhere and messages go through a copy of it.

    Args:
        n_inputs: How many inputs there are.
    """

    def __init__(self, n_inputs: int) -> None:
        self._seconds = 0.0
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
        faulthandler.enable(self._descriptor)  # a crash must not be silent
        self._bar = tqdm(
            total=n_inputs,
            unit=" inputs",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )

    def say(self, message: str) -> None:
        """Print one message on a line of its own, above the bar."""
        self._bar.write(message, file=sys.stderr)

    def read(self, seconds: float) -> None:
        """Show how much audio has been read."""
        self._seconds += seconds
        if not self._bar.disable:
            speed = self._seconds / max(self._bar.format_dict["elapsed"], 1e-3)
            self._bar.set_postfix_str(
                f"{duration(self._seconds)}, {speed:,.0f} x real time", refresh=False
            )
            self._bar.update(0)

    def ended(self) -> None:
        """Move the bar by one input."""
        self._bar.update(1)

    @staticmethod
    def shown(path: object) -> str:
        """Return a path as it is printed."""
        return quoted(path)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give standard error back as it was."""
        self._bar.close()
        faulthandler.disable()
        sys.stderr.close()
        sys.stderr = self._before
        os.dup2(self._descriptor, 2)
        os.close(self._descriptor)


def _hush_python() -> None:
    """Settle what TensorFlow and Keras read from the environment, and quieten their Python."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
