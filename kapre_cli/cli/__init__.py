"""The command line: parse, call one function of the library, print an error, exit.

Only this package imports Click. No slow module is imported here: ``--help`` and a mistyped option
must not wait for TensorFlow, nor for NumPy.
"""

import atexit
import gc
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import click

from kapre_cli.cli.command import Command
from kapre_cli.cli.config import CONFIG_OPTIONS, unknown_variables, with_source
from kapre_cli.cli.extract import built_in_commands, installed_commands
from kapre_cli.cli.hints import command_hint
from kapre_cli.cli.options import error_text, long_name, long_names
from kapre_cli.cli.outputs import compare, info, merge, verify
from kapre_cli.cli.plot import plot
from kapre_cli.cli.signals import ignore_signals, stop_on_signals
from kapre_cli.cli.streams import (
    flush_stdout,
    n_lost_messages,
    never_failing_stderr,
    open_standard_streams,
)
from kapre_cli.errors import KapreExtractError
from kapre_cli.exit_codes import ExitCode, Stopped, exit_code_of, is_pipe_closed
from kapre_cli.registry import Registry
from kapre_cli.settings import LAYERS
from kapre_cli.settings.formats import FORMATS
from kapre_cli.text import printable, quoted
from kapre_cli.version import PROGRAM, __version__

# Errors that end the program with a message; any other one is a fault of the program.
_REPORTED = (
    *(KapreExtractError, Stopped, KeyboardInterrupt),
    *(OSError, MemoryError, RuntimeError, ImportError),
)

_NO_THREAD = "can't start new thread"  # Python's RuntimeError

_OBJECTS_UNTIL_COLLECTION = 100_000


def _installed_extensions() -> Iterator[str]:
    """Yield the paragraphs of the help on extensions of installed packages."""
    from kapre_cli.audio import DECODERS  # not needed for runs of --version and the like

    registries: tuple[Registry[Any], ...] = (FORMATS, LAYERS, DECODERS)
    names = [
        f"{registry.kind} {name}"
        for registry in registries
        for name in registry.names
        if name not in registry.built_in
    ]
    if names:
        yield printable(f"Installed extensions: {', '.join(names)}.")
    for registry in registries:
        for reason in registry.broken.values():
            yield printable(f"Not usable: {reason}.")


class _Program(Command, click.Group):
    """The program."""

    _has_installed = False

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command, with the options of every command.

        One whose own ``--config`` prints such a file reads none.
        """
        if not {*map(long_name, CONFIG_OPTIONS)} & {*long_names(cmd)}:
            cmd.params += CONFIG_OPTIONS
        super().add_command(cmd, name)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        self._add_installed()
        return [*self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            self._add_installed()
        return super().get_command(ctx, cmd_name)

    def _add_installed(self) -> None:
        """Add the commands of layers of other packages, after those of this program."""
        if not self._has_installed:
            self._has_installed = True
            for command in installed_commands({*self.commands}):
                self.add_command(command)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)
        for paragraph in _installed_extensions():
            formatter.write_paragraph()
            formatter.write_text(paragraph)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            hint = "; ".join((command_hint(args, self.commands), *LAYERS.broken.values()))
            ctx.fail(printable(f"No such command '{args[0]}': {hint}"))
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Program,
    name=PROGRAM,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM, help="Show the version and exit.")
def program() -> None:
    """Turn WAV and FLAC recordings into spectrograms or mel-spectrograms.

    Each recording gives one array, as the Keras layer of the same options computes it. Arrays are
    stored in one HDF5 file or in .npy files.

    \b
    Mel-spectrograms of all recordings below a folder:
      kapre-extract melspectrogram sample_audio -o mels.h5

    kapre-extract COMMAND -h shows the usual options of a command, --help all.
    """  # noqa: D301 - Click needs the backspace itself
    for warning in unknown_variables(program, os.environ):
        click.echo(f"warning: {printable(warning)}", err=True)


for command in (*built_in_commands(), info, plot, verify, compare, merge):
    program.add_command(command)


def main(
    arguments: Sequence[str] | None = None, end: Callable[[int], NoReturn] = sys.exit
) -> NoReturn:
    """Run the program, and pass the exit code to ``end``, which ends the process."""
    open_standard_streams()
    # Processes are forked, which other threads of a Python program might not survive.
    forks = threading.active_count() == 1
    with stop_on_signals():
        try:
            code = _run(arguments, forks=forks)
        except Exception:  # a fault of the program
            traceback.print_exc()
            code = ExitCode.FAILED
        end(code)


def console() -> NoReturn:
    """Run the program and end the process at once.

    Unloading the imported modules one by one would take longer than many a run.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy would start threads, unused
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION, 10, 10)  # nearly all objects stay in use
    main(end=_end_at_once)


def _end_at_once(code: int) -> NoReturn:
    atexit._run_exitfuncs()  # matplotlib may have a folder to remove
    os._exit(code)


def run(arguments: Sequence[str] | None = None, *, forks: bool = False) -> int:
    """Run the program, print every error a user can cause, and return the exit code.

    Workers may be forked if ``forks`` is true, else this process computes. ``arguments`` are this
    process's own by default.
    """
    with stop_on_signals():
        return _run(arguments, forks=forks)


def _run(arguments: Sequence[str] | None, *, forks: bool) -> int:
    """Implement :func:`run`; no signal interrupts the message of an error."""
    with never_failing_stderr():
        try:
            ended = program.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=forks)
            code = int(ended or ExitCode.OK)
        except click.ClickException as error:
            ignore_signals()
            shown = io.StringIO()
            with_source(error).show(shown)
            click.echo(printable(shown.getvalue()), err=True, nl=False)
            code = ExitCode.USAGE
        except _REPORTED as error:
            ignore_signals()
            is_interrupt = isinstance(error, (click.Abort, KeyboardInterrupt))
            reported = Stopped(signal.SIGINT) if is_interrupt else error
            if not is_pipe_closed(reported):
                click.echo(f"{PROGRAM}: {printable(_message_of(reported))}", err=True)
            code = exit_code_of(reported)
        ignore_signals()
        flush_stdout()
    return ExitCode.FAILED if code == ExitCode.OK and n_lost_messages() else code


def _message_of(error: BaseException) -> str:
    """Return an error's message for the user; raise a fault of the program itself."""
    if isinstance(error, Stopped):
        return str(error)
    if isinstance(error, KapreExtractError):
        reason = error_text(error)
    elif isinstance(error, MemoryError):
        detail = f": {error}" if str(error) else ""
        reason = f"there is not enough memory{detail}; use a smaller --batch-size or --n-dft"
    elif isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        reason = "the system allows no more threads; use fewer --jobs"
    elif isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        reason = f"a library cannot be loaded, perhaps because memory ran out: {error}"
    elif isinstance(error, OSError):
        name = error.filename
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        reason = error.strerror or str(error)
        reason = reason if name is None else f"{quoted(name)}: {reason}"
    else:
        raise error
    return f"Error: {reason}"
