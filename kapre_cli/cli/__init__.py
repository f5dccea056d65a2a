"""The command line: parse, call one function of the library, exit.

Only this package imports Click. No slow module is imported here: ``--help`` and a mistyped option
must not wait for TensorFlow, nor for NumPy.
"""

import atexit
import difflib
import gc
import io
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

import click

from kapre_cli.cli.commands import Command
from kapre_cli.cli.defaults import unknown_variables, with_defaults, with_source
from kapre_cli.cli.extract import melspectrogram, spectrogram
from kapre_cli.cli.inspection import compare, info, verify
from kapre_cli.cli.merge import merge
from kapre_cli.cli.plot import plot
from kapre_cli.cli.signals import ignore_signals, stop_on_signals
from kapre_cli.cli.streams import (
    flush_stdout,
    n_lost_messages,
    never_failing_stderr,
    open_standard_streams,
)
from kapre_cli.exit_codes import REPORTED, ExitCode, Stopped, exit_code_of, message_of
from kapre_cli.settings.run import HDF5_SUFFIXES, ROOT_NAME
from kapre_cli.text import printable
from kapre_cli.version import PROGRAM, __version__

_OBJECTS_UNTIL_COLLECTION = 100_000

# Names of these commands and options in other programs.
_NAMES = {
    ("melspectrogram", "spectrogram"): "extract convert compute run process features transform",
    ("spectrogram",): "stft fft",
    ("info",): "ls list describe inspect stat soxi",
    ("info", "plot"): "show",
    ("verify",): "check validate test",
    ("compare",): "diff cmp",
    ("plot",): "draw view display",
    ("merge",): "concat cat join combine",
    ("--help",): "help",
    ("--version",): "version",
}
_COMMANDS = {name: commands for commands, names in _NAMES.items() for name in names.split()}
_OUTPUT_SUFFIXES = (*HDF5_SUFFIXES, ".npy")
_SHOWN = 3  # arguments of a command that is spelled out


class _Program(Command, click.Group):
    """The program."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return [*self.commands]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            hint = _command_hint(args, self.commands)
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


for command in (spectrogram, melspectrogram, info, plot, verify, compare, merge):
    program.add_command(with_defaults(command))


def main(
    arguments: Sequence[str] | None = None, end: Callable[[int], NoReturn] = sys.exit
) -> NoReturn:
    """Run the program.

    Args:
        arguments: The command line; ``None``: this process's own.
        end: Ends the process, given the exit code; ``sys.exit`` raises SystemExit.
    """
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
    """Run the program and return its exit code; every error a user can cause is printed here.

    Workers may be forked if ``forks`` is true, else this process computes. ``arguments`` are this
    process's own by default.
    """
    with stop_on_signals():
        return _run(arguments, forks=forks)


def _run(arguments: Sequence[str] | None, *, forks: bool) -> int:
    """Implement :func:`run`; while the reason for a stop is printed, no signal interrupts that."""
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
        except REPORTED as error:
            ignore_signals()
            reported = Stopped(signal.SIGINT) if isinstance(error, click.Abort) else error
            message = message_of(reported)
            if message is not None:
                click.echo(f"{PROGRAM}: {printable(message)}", err=True)
            code = exit_code_of(reported)
        ignore_signals()
        flush_stdout()
    return ExitCode.FAILED if code == ExitCode.OK and n_lost_messages() else code


def _command_hint(arguments: Sequence[str], commands: Collection[str]) -> str:
    """Return a clause that says what was meant by arguments that begin with no command."""
    name = arguments[0]
    if (what := _kind_of_path(name)) is not None:
        return f"it is {what}, and a command comes first: {_whole_command(arguments)}"
    plain = name.lower().replace("-", "").replace("_", "")
    near = (
        _COMMANDS.get(plain)
        or [one for one in commands if one.startswith(plain)]
        or difflib.get_close_matches(plain, commands)
    )
    if near:
        return f"did you mean {' or '.join(f'{PROGRAM} {one}' for one in near)}?"
    return f"the commands are {', '.join(commands)}"


def _kind_of_path(name: str) -> str | None:
    """Return what kind of path an argument is; ``None`` if it is none."""
    from kapre_cli.inputs import AUDIO_SUFFIXES, STREAM  # not needed for --help

    if name == STREAM:
        return "standard input"
    if os.path.isdir(name):
        return "a folder"
    is_path = name.lower().endswith((*AUDIO_SUFFIXES, *_OUTPUT_SUFFIXES)) or "/" in name
    return "a file" if os.path.isfile(name) else "a path" if is_path else None


def _whole_command(arguments: Sequence[str]) -> str:
    name = arguments[0]
    if name.lower().endswith(_OUTPUT_SUFFIXES) or os.path.isfile(os.path.join(name, ROOT_NAME)):
        return f"{PROGRAM} info {shlex.quote(name)}"
    words = [shlex.quote(word) for word in arguments]
    if not any(word.startswith(("-o", "--output")) for word in arguments):
        more = ["..."] if len(words) > _SHOWN else []
        words = [*words[:_SHOWN], *more, "-o", "OUTPUT.h5"]
    return " ".join((PROGRAM, "melspectrogram", *words))
