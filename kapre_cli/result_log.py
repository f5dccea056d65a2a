"""The report for programs: a line of JSON for each ended input, and one with the totals.

The first line identifies the program. The names of the fields are those of :class:`InputResult`,
:meth:`ResultLog.input` and :meth:`ResultLog.sums`; they stay as they are.
"""

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from kapre_cli.errors import OutputError
from kapre_cli.osutil import Resource, write_all
from kapre_cli.version import PROGRAM, __version__

REPORT_VERSION = 1
_HEADER = {"program": PROGRAM, "version": __version__, "report_version": REPORT_VERSION}

WRITTEN, FAILED, SKIPPED = "written", "failed", "skipped"

_ENCODER = json.JSONEncoder(allow_nan=False)  # bytes of a name that are not UTF-8 become "\udcXX"


class InputResult(NamedTuple):
    """Properties of an ended input, beside its path.

    Attributes:
        key: The name of its features; ``None`` if it is no input, such as a closed folder.
        shape: Shape of its array, if it has one.
        seconds: Seconds of audio in it.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
        note: A harmless peculiarity, if there is one.
        reference: The value at 0 dB of its array; ``None`` unless that is in decibels.
        reference_db: The same in decibels.
        is_floored: Whether ``amin`` leaves its array less than 80 dB of range.
    """

    key: str | None = None
    shape: tuple[int, ...] | None = None
    seconds: float | None = None
    work_seconds: float | None = None
    note: str | None = None
    reference: float | None = None
    reference_db: float | None = None
    is_floored: bool = False


NOTHING = InputResult()


def is_header(line: object) -> bool:
    """Return whether a line of JSON is the first of this program's reports, of any version."""
    return (
        isinstance(line, dict)
        and next(iter(line.items()), None) == ("program", PROGRAM)
        and isinstance(line.get("report_version"), int)
    )


class ResultLog(Resource):
    """Writes each line at once, but none before the run has begun.

    If a line cannot be written, on a full disk for example, the record ends there; the run goes on.

    Args:
        open_: Opens the record and returns its descriptor, which :meth:`close` closes.
        name: The record's name in messages.
        broke: Called with the reason when a line cannot be written.
    """

    def __init__(
        self,
        open_: Callable[[], int],
        name: object,
        broke: Callable[[OutputError], None],
    ) -> None:
        self._open = open_
        self.descriptor: int | None = None
        self._name = name
        self._broke = broke
        self._waiting: list[dict[str, Any]] = [_HEADER]
        self._work_seconds = 0.0
        self._is_broken = False

    def begin(self) -> None:
        """Open the record and write the waiting lines; raise OutputError if it cannot be opened."""
        if self.descriptor is not None or self._is_broken:
            return
        try:
            self.descriptor = self._open()
        except OutputError:
            self._is_broken = True
            raise
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._write(line)

    def input(self, path: str, status: str, reason: str | None, known: InputResult) -> None:
        """Write the line of an input; raise BrokenPipeError if the reader of a pipe has left.

        ``status`` is ``WRITTEN``, ``FAILED`` or ``SKIPPED``; only a failed input has a ``reason``.
        """
        self._work_seconds += (known.work_seconds or 0.0) if status == WRITTEN else 0.0
        self._write(
            {
                "key": known.key,
                "source": path,
                "status": status,
                "reason": reason,
                "note": known.note,
                "shape": known.shape if status != FAILED else None,
                "reference": known.reference if status != FAILED else None,
                "reference_db": known.reference_db if status != FAILED else None,
                "seconds": known.seconds,
                "work_seconds": known.work_seconds,
            }
        )

    def sums(self, exit_code: int, **sums: float) -> None:
        """Write the last line: how many inputs ended in which way, and the exit code."""
        self._write({**sums, "work_seconds": self._work_seconds, "exit_code": exit_code})

    def _write(self, line: dict[str, Any]) -> None:
        if self._is_broken:
            return
        if self.descriptor is None:
            self._waiting.append(line)
            return
        try:
            write_all(self.descriptor, f"{_ENCODER.encode(line)}\n".encode(), self._name)
        except BrokenPipeError:
            self._is_broken = True
            raise
        except OutputError as error:
            self._is_broken = True
            self._broke(error)

    def close(self) -> None:
        """Close the record."""
        if self.descriptor is not None:
            os.close(self.descriptor)
