"""``--report``: its file, which replaces only a report or an empty file."""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kapre_cli.cli.options import error_text
from kapre_cli.errors import OutputError, StoredDataError, UsageError, wrap_os_errors
from kapre_cli.events import Event
from kapre_cli.exit_codes import ExitCode, exit_code_of
from kapre_cli.formats.validation import validated_json, within
from kapre_cli.inputs import Source
from kapre_cli.osutil import is_at, open_plain, open_to_read, try_lock
from kapre_cli.outputs.existing import (
    Stamp,
    check_folder_exists,
    check_outside_outputs,
    check_regular,
    stamp_of,
)
from kapre_cli.outputs.locked_folders import scratch_folder
from kapre_cli.outputs.publishing import PARTIAL_SUFFIX, publish
from kapre_cli.outputs.validation import check_not_an_input
from kapre_cli.result_log import ResultLog, is_header
from kapre_cli.run_result import RunResult
from kapre_cli.settings import STANDARD_OUTPUT, OutputSettings
from kapre_cli.text import quoted

if TYPE_CHECKING:
    from kapre_cli.cli.terminal import Terminal

_HEADER_BYTES = 2**10
_SECONDS_FOR_A_READER = 2.0
_SECONDS_BETWEEN = 0.05


class ReportFile(NamedTuple):
    """The destination of a report, as it was checked before any work.

    Attributes:
        path: As the user names it.
        target: The file, links followed; ``None`` if ``path`` is written into: standard output, a
            pipe or a device.
        existing: The stamp of the only file that may be replaced.
    """

    path: Path
    target: Path | None = None
    existing: Stamp | None = None


def check_report(
    path: Path, output: OutputSettings, sources: Sequence[Source], config: Path | None = None
) -> ReportFile:
    """Return the file for :func:`open_report`; raise UsageError if it is invalid.

    It is invalid if its folder does not exist, an existing file may not be replaced, another run
    writes it, or it is an input, the ``config`` or part of an output. An older report may be
    replaced if ``output`` may be, or is resumed. Raise OutputError if the user may not write it.
    """
    if path == STANDARD_OUTPUT:
        return ReportFile(path)
    check_folder_exists("report", path)
    check_not_an_input("report", path, sources)
    if config is not None and os.path.exists(path) and os.path.samefile(path, config):
        raise UsageError(
            f"the report {quoted(path)} is the file that --config names; name another file"
        )
    if _is_pipe_or_device(path):
        return ReportFile(path)
    target = Path(os.path.realpath(path))
    companions = output.file_format.companions(output.path)
    parts = (output.path, *companions, Path(f"{output.path}{PARTIAL_SUFFIX}"))
    if not output.is_stream and any(within(target, os.path.realpath(one)) for one in parts):
        raise UsageError(
            f"the report {quoted(path)} would be part of the output {quoted(output.path)}; "
            "name another file"
        )
    check_outside_outputs("report", target)
    check_regular(target, "report", path)
    existing = stamp_of(target)
    if existing is not None:
        _check_replaceable(path, target, existing, output)
    _check_writable(path, target)
    return ReportFile(path, target, existing)


def _is_pipe_or_device(file: Path | int) -> bool:
    """Whether ``file`` is a pipe or a device, which is never replaced."""
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _check_replaceable(path: Path, target: Path, existing: Stamp, output: OutputSettings) -> None:
    if existing.size > 0:
        _check_ours(path, target, output)
    with suppress(OSError):  # a file that cannot be opened has no writer
        fd = open_to_read(target, follow_links=False)
        try:
            is_free = try_lock(fd, shared=True) is not False
        finally:
            os.close(fd)
        if not is_free:
            raise UsageError(
                f"another run is writing the report {quoted(path)}; wait for it, or name another "
                "file"
            )


def _check_ours(path: Path, target: Path, output: OutputSettings) -> None:
    """Raise UsageError for a file that is no report, or is not to be replaced."""
    try:
        with wrap_os_errors(target, "read"), open_plain(target) as file:
            is_ours = is_header(validated_json(file.readline(_HEADER_BYTES)))
    except StoredDataError:
        is_ours = False
    except OutputError as error:
        raise UsageError(
            f"the report {quoted(path)} exists, and {error}; it is left alone: name another file"
        ) from error
    if not is_ours:
        raise UsageError(
            f"the report {quoted(path)} exists, and kapre-extract did not make it; it is left "
            "alone: move it away, or name another file"
        )
    if not (output.overwrite or output.resume is not None):
        remedy = "remove it" if output.is_stream else "--overwrite replaces it"
        raise UsageError(
            f"the report {quoted(path)} exists; {remedy}, or name another file: it is not added to"
        )


def _check_writable(path: Path, target: Path) -> None:
    is_effective = os.access in os.supports_effective_ids
    for one, mode in ((target.parent, os.W_OK | os.X_OK), (target, os.W_OK)):
        if one.exists() and not os.access(one, mode, effective_ids=is_effective):
            raise OutputError(f"{quoted(path)} cannot be written: {os.strerror(errno.EACCES)}")


def open_report(file: ReportFile) -> int:
    """Return a descriptor that the lines of a report are written to.

    A file is made under another name and renamed at once: no file is ever emptied. A link that has
    appeared since is not followed. The file is locked until it is closed. Raise OutputError if it
    cannot be opened or the existing file has changed, UsageError for a named pipe without a reader.
    """
    path, target, existing = file
    if path == STANDARD_OUTPUT:
        return os.dup(1)
    if target is None:
        return _open_to_write_into(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    with wrap_os_errors(path), scratch_folder(target.parent, path) as folder:
        made = folder / "new"
        descriptor = os.open(made, flags | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try_lock(descriptor)  # before it is visible
            if existing is not None:
                with suppress(OSError):  # not all file systems keep permissions
                    os.fchmod(descriptor, stat.S_IMODE(os.lstat(target).st_mode))
            publish(made, target, folder / "old", existing)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _open_to_write_into(path: Path) -> int:
    """Open a device or a named pipe; raise UsageError if nobody reads the pipe."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    deadline = time.monotonic() + _SECONDS_FOR_A_READER
    descriptor = -1
    while descriptor < 0:
        with wrap_os_errors(path):
            try:
                descriptor = os.open(path, flags)
            except OSError as error:
                if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                    raise
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"the report {quoted(path)} is a named pipe that nobody reads; start its "
                        "reader first"
                    ) from error
                time.sleep(_SECONDS_BETWEEN)
    if not _is_pipe_or_device(descriptor):
        os.close(descriptor)
        raise OutputError(f"{quoted(path)} was replaced during the run; it is left as it is")
    os.set_blocking(descriptor, True)
    return descriptor


@contextmanager
def reported(result: RunResult, terminal: "Terminal", file: ReportFile | None) -> Iterator[None]:
    """Write each result to the report, and at the end of the block the totals.

    The file is opened when the run starts; a run that is rejected before leaves it unchanged. If
    it cannot be opened, OutputError is raised. A line that cannot be written is the last one.
    """
    if file is None:
        yield
        return
    path, target, _ = file

    def end_report(error: OutputError) -> None:
        result.is_broken = True
        terminal.print_error(error, "; it ends there, the run goes on")

    def emit(event: Event) -> None:
        terminal(event)
        result_log(event)

    name = "standard output" if path == STANDARD_OUTPUT else path
    with ResultLog(partial(open_report, file), name, end_report, error_text) as result_log:
        result.emit = emit
        try:
            yield
        except BaseException as error:
            if exit_code_of(error) is not ExitCode.USAGE:
                with suppress(OSError, UsageError):  # the other error is printed
                    result_log.finish(result, exit_code_of(error))
            raise
        opened = result_log.descriptor
        is_in_place = opened is None or target is None or is_at(opened, target, follow_links=True)
        result.is_broken |= not is_in_place
        result_log.finish(result, result.exit_code)
        if not is_in_place:
            why = "was moved, replaced or removed during the run: its lines are lost"
            terminal.print_error(OutputError(f"the report {quoted(path)} {why}"))
