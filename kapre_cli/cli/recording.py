"""``--report``: what becomes of each input, for programs that read it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from kapre_cli.cli.ending import code_of
from kapre_cli.errors import OutputError, UsageError, quoted
from kapre_cli.outcomes import Recorder
from kapre_cli.report import ExitCode, Report
from kapre_cli.settings import STANDARD_OUTPUT
from kapre_cli.storage.disk import is_at
from kapre_cli.storage.report_file import ReportPlace, open_report
from kapre_cli.version import PROGRAM


@contextmanager
def recorded(report: Report, place: ReportPlace | None) -> Iterator[None]:
    """Record what ``report`` is told, and the sums at the end, however that is reached.

    The file is touched when the run begins. A run that is refused before leaves it as it is.

    Raises:
        OutputError: If the file cannot be opened. One that cannot be written on ends there.
    """
    if place is None:
        yield
        return
    path = place.path

    def broke(error: OutputError) -> None:
        report.broken = True
        report.say(f"{PROGRAM}: Error: {error}; it ends there, the run goes on")

    name = "standard output" if path == STANDARD_OUTPUT else path
    with Recorder(partial(open_report, place), name, broke) as recorder:
        report.recorder = recorder
        try:
            yield
        except BaseException as error:
            if code_of(error) is not ExitCode.USAGE:
                with suppress(OSError, UsageError):  # why the run ends says enough
                    report.close(code_of(error))
            raise
        opened, target = recorder.descriptor, place.target
        is_there = opened is None or target is None or is_at(opened, target, follow_links=True)
        report.broken |= not is_there
        report.close(report.exit_code)
        if not is_there:
            report.say(
                f"{PROGRAM}: Error: the report {quoted(path)} was moved, replaced or removed while "
                "the run was on: its lines are not there"
            )
