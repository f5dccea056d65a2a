"""What a person sees while a run is on: messages and a progress bar, and nothing else.

The only door to tqdm.
"""

import os
import sys
import threading
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from kapre_cli.cli import imports
from kapre_cli.cli.messages import message_stream
from kapre_cli.cli.printing import put
from kapre_cli.closing import Closing
from kapre_cli.errors import printable
from kapre_cli.report import Progress, duration
from kapre_cli.sources import Source

NOTE = "note: "  # what stands before messages that nobody has to act upon

COMPUTING = (
    "{percentage:3.0f}%|{bar}| {done} of {all} of audio, {speed:,.0f} x real time, "
    "{n_ended}/{n_inputs} inputs [{elapsed}<{left}]"
)
WRITING = "writing |{bar}| {n_fmt}/{total_fmt} inputs [{elapsed}]"
CHECKING = "checking |{bar}| {n_fmt}/{total_fmt} inputs [{elapsed}<{remaining}]"


class _Bar(tqdm):  # type: ignore[misc]  # tqdm ships no types
    """A bar over seconds of audio."""

    n_ended = 0
    n_inputs = 0

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the bar's formats can show."""
        shown: dict[str, Any] = super().format_dict
        elapsed, n, total = shown["elapsed"], shown["n"], shown["total"] or 0.0
        left = elapsed * (total - n) / n if n else None
        return shown | {
            "n_ended": self.n_ended,
            "n_inputs": self.n_inputs,
            "done": duration(n),
            "all": duration(total) if n else "?",
            "speed": n / max(elapsed, 1e-3),
            "left": "?" if left is None else tqdm.format_interval(max(left, 0.0)),
        }


class _Length:
    """How many seconds of audio there are, as far as can be told without reading every header.

    What has not been opened yet is taken to be as long, for each byte, as what has been.

    Args:
        sizes: Bytes of each input by its key.
    """

    def __init__(self, sizes: dict[str, int]) -> None:
        self._unknown = sizes
        self._bytes_unknown = sum(sizes.values())
        self._bytes_known = 0
        self.known = 0.0

    def opened(self, key: str, seconds: float) -> None:
        """Take note how many seconds of an input are to be computed."""
        size = self._unknown.pop(key, 0)
        if size:
            self._bytes_unknown -= size
            self._bytes_known += size
            self.known += seconds

    def arrived(self, key: str, n_bytes: int) -> None:
        """Take note of one more input."""
        self._unknown[key] = n_bytes
        self._bytes_unknown += n_bytes

    def dropped(self, key: str) -> None:
        """Take note that an input has nothing to be computed."""
        self._bytes_unknown -= self._unknown.pop(key, 0)

    @property
    def total(self) -> float:
        """Seconds in all."""
        if not self._bytes_known:
            return self.known
        return self.known * (1 + self._bytes_unknown / self._bytes_known)


class Terminal(Progress, Closing):
    """Keeps standard error to this program's own messages, with a bar if it is a terminal.

    TensorFlow's C++ code writes to file descriptor 2 whatever it is asked to keep to itself, so
    for the time of a run that descriptor leads nowhere and messages go through a copy of it.

    Args:
        sources: The inputs that are known; more may arrive. ``None``: no audio is read.
        quiet: Leave out the bar, and notes.
    """

    def __init__(self, sources: Sequence[Source] | None = None, *, quiet: bool = False) -> None:
        self._quiet = quiet
        imports.hush()
        self._before = sys.stderr
        self._descriptor = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        sys.stderr = message_stream(self._descriptor, self._before.encoding)
        self._telling = threading.Lock()  # a list names inputs while others are computed
        self._bar = self._new_bar(0, COMPUTING, hidden=sources is None)
        shown = () if self._bar.disable else sources or ()
        self._length = _Length({one.key: max(one.size, 1) for one in shown})
        self._bar.n_inputs = len(shown)
        self._bar.refresh()

    def _new_bar(self, total: float, layout: str, *, hidden: bool = False) -> _Bar:
        return _Bar(
            total=total,
            file=sys.stderr,
            disable=hidden or self._quiet or not sys.stderr.isatty(),
            bar_format=layout,
            dynamic_ncols=True,
            leave=False,
            miniters=0,
        )

    def say(self, message: str) -> None:
        """Print one message on a line of its own, above the bar."""
        if self._quiet and message.startswith(NOTE):
            return
        self._bar.write(printable(message), file=sys.stderr)

    def arrived(self, key: str, n_bytes: int) -> None:
        """Let there be one more input."""
        if self._bar.disable:
            return
        with self._telling:
            self._length.arrived(key, max(n_bytes, 1))
            self._bar.n_inputs += 1
            self._move(0)

    def computed(self, key: str, due: float, seconds: float) -> None:
        """Move the bar by some seconds of audio."""
        if self._bar.disable:
            return
        with self._telling:
            self._length.opened(key, due)
            self._move(seconds)

    def ended(self, key: str) -> None:
        """Count an input."""
        if self._bar.disable:
            return
        with self._telling:
            self._length.dropped(key)
            self._bar.n_ended += 1
            self._move(0)

    def waits(self) -> None:
        """Show how things stand: nothing else will for a while."""
        with self._telling:
            self._bar.refresh()

    def _move(self, seconds: float) -> None:
        self._bar.total = self._length.total
        self._bar.update(seconds)

    def writing(self, n_inputs: int) -> None:
        """Begin a new bar, over the inputs in the output."""
        self._bar.close()
        self._bar = self._new_bar(n_inputs, WRITING)

    def wrote(self) -> None:
        """Move the bar by one input."""
        self._bar.update(1)

    def checking(self, n_inputs: int) -> None:
        """Begin a new bar, over the inputs that are looked at."""
        self._bar.close()
        self._bar = self._new_bar(n_inputs, CHECKING)

    def checked(self) -> None:
        """Move the bar by one input."""
        self._bar.update(1)

    def put(self, line: str) -> None:
        """Print a line of the product on standard output, above the bar."""
        with self._bar.external_write_mode(file=sys.stdout):
            put(line)

    def close(self) -> None:
        """Give standard error back."""
        self._bar.close()
        sys.stderr.close()
        sys.stderr = self._before
        os.dup2(self._descriptor, 2)
        os.close(self._descriptor)
