"""``--report``: what becomes of each input, for programs that read it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kapre_cli.cli.ending import code_of
from kapre_cli.errors import OutputError
from kapre_cli.outcomes import Before, LineRecorder, open_record, recorded_before
from kapre_cli.report import Report
from kapre_cli.settings import STANDARD_OUTPUT
from kapre_cli.version import PROGRAM


@contextmanager
def recorded(report: Report, path: Path | None, *, again: bool) -> Iterator[None]:
    """Record what ``report`` is told, and the sums at the end, however that is reached.

    Args:
        report: The tally of the run.
        path: Where lines go, ``None`` for nowhere.
        again: Whether the process has come down before in this run.

    Raises:
        OutputError: If the file cannot be opened. One that cannot be written on ends there.
    """
    if path is None:
        yield
        return

    def broke(error: OutputError) -> None:
        report.broken = True
        report.say(f"{PROGRAM}: Error: {error}; it ends there, the run goes on")

    is_stream = path == STANDARD_OUTPUT
    before = recorded_before(path) if again and not is_stream else Before()
    descriptor = os.dup(1) if is_stream else open_record(path, go_on=again)
    name = "standard output" if is_stream else path
    with LineRecorder(descriptor, name, broke, before) as recorder:
        report.recorder = recorder
        try:
            yield
        except BaseException as error:
            with suppress(OSError):  # why the run ends says enough
                report.close(code_of(error))
            raise
        report.close(report.exit_code)
