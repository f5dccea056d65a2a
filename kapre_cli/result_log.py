"""The report for programs: a line of JSON for each ended input, one with totals.

The first line identifies the program. The names of the fields stay as they are.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from kapre_cli.errors import OutputError
from kapre_cli.events import Event, InputFailed, InputResult, InputSkipped, InputWritten, RunStarted
from kapre_cli.osutil import Resource, write_all
from kapre_cli.run_result import RunResult
from kapre_cli.version import PROGRAM, __version__

REPORT_VERSION = 1
_HEADER = {"program": PROGRAM, "version": __version__, "report_version": REPORT_VERSION}

_ENCODER = json.JSONEncoder(allow_nan=False)  # bytes of a name that are not UTF-8 become "\udcXX"


def is_header(line: object) -> bool:
    """Return whether a line of JSON is the first of a report, of any version."""
    return (
        isinstance(line, dict)
        and next(iter(line.items()), None) == ("program", PROGRAM)
        and isinstance(line.get("report_version"), int)
    )


class ResultLog(Resource):
    """An observer that writes a line for each ended input, once the run has started.

    If a line cannot be written, on a full disk for example, the report ends there; the run goes on.

    Args:
        open_: Opens the report and returns its descriptor, which :meth:`close` closes.
        name: The report's name in messages.
        on_error: Called with the error if a line cannot be written.
        text_of: Returns the text of an error.
    """

    def __init__(
        self,
        open_: Callable[[], int],
        name: object,
        on_error: Callable[[OutputError], None],
        text_of: Callable[[Exception], str] = str,
    ) -> None:
        self._open = open_
        self.descriptor: int | None = None
        self._name = name
        self._on_error = on_error
        self._text_of = text_of
        self._waiting: list[dict[str, Any]] = [_HEADER]
        self._work_seconds = 0.0
        self._is_broken = False

    def __call__(self, event: Event) -> None:
        """Write the line of an ended input; raise BrokenPipeError without a reader."""
        if isinstance(event, InputWritten):
            self._work_seconds += event.result.work_seconds or 0.0
            self._write(_line(event.path, "written", event.result))
        elif isinstance(event, InputSkipped):
            self._write(_line(event.path, "skipped", event.result))
        elif isinstance(event, InputFailed):
            untried = "" if event.is_tried else "not tried: "
            reason = f"{untried}{self._text_of(event.error)}"
            self._write(_line(event.path, "failed", event.result, reason))
        elif isinstance(event, RunStarted):
            self.start()

    def start(self) -> None:
        """Open the report, or raise OutputError, and write the waiting lines."""
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

    def finish(self, result: RunResult, exit_code: int) -> None:
        """Write the totals, the last line; the report is opened now at the latest."""
        self.start()
        self._write(
            {
                "inputs": result.n_inputs,
                "written": result.n_written,
                "failed": result.n_failed,
                "not_tried": result.n_untried,
                "skipped": result.n_skipped,
                "seconds": result.seconds,
                "work_seconds": self._work_seconds,
                "exit_code": exit_code,
            }
        )

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
            self._on_error(error)

    def close(self) -> None:
        """Close the report."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def _line(path: str, status: str, result: InputResult, reason: str | None = None) -> dict[str, Any]:
    has_array = status != "failed"
    return {
        "key": result.key,
        "source": path,
        "status": status,
        "reason": reason,
        "note": result.note,
        "shape": result.shape if has_array else None,
        "reference": result.reference if has_array else None,
        "reference_db": result.reference_db if has_array else None,
        "seconds": result.seconds,
        "work_seconds": result.work_seconds,
    }
