"""The command line: parse, call one function of the library, say how it ended.

The only door to Click. Nothing is imported here that takes long: ``--help`` and a mistyped option
must not wait for TensorFlow, nor for NumPy.
"""

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from kapre_cli.cli.compare import compare
from kapre_cli.cli.defaults import blamed, with_defaults
from kapre_cli.cli.ending import code_of
from kapre_cli.cli.guard import Workload, guarded, unguarded
from kapre_cli.cli.info import info
from kapre_cli.cli.melspectrogram import melspectrogram
from kapre_cli.cli.merge import merge
from kapre_cli.cli.plot import plot
from kapre_cli.cli.signals import Stopped, stoppable
from kapre_cli.cli.spectrogram import spectrogram
from kapre_cli.cli.verify import verify
from kapre_cli.errors import KapreExtractError, printable
from kapre_cli.report import ExitCode
from kapre_cli.version import PROGRAM, __version__


@click.group(
    name=PROGRAM,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM)
def program() -> None:
    """Turn WAV and FLAC recordings into spectrograms or mel-spectrograms.

    They are what the Keras layer that the options describe returns, whatever the length and the
    number of channels, and stored in one HDF5 file or in .npy files.

    \b
    kapre-extract melspectrogram recordings/ -o mels.h5 --n-mels 64 --decibel
    """  # noqa: D301 - Click needs the backspace itself


for command in (
    spectrogram,
    melspectrogram,
    info,
    verify,
    compare,
    plot,
    merge,
):
    program.add_command(with_defaults(command))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and end the process with its exit code, at once.

    Taking down what was imported, module by module, would take longer than many a run.
    """
    _open_standard_streams()
    with stoppable():
        code = _told(arguments, guarded)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # whoever read it has left
                stream.flush()
        if sys.modules.get("matplotlib") is not None:
            sys.exit(code)  # it may have a folder to remove as the process ends
        os._exit(code)


def _open_standard_streams() -> None:
    """Let those that whoever started this process has closed lead nowhere.

    Else the next file that is opened has the number of one, and messages go into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the process ends


def run(
    arguments: Sequence[str] | None = None, guard: Callable[[Workload], int] = unguarded
) -> int:
    """Run the program and return its exit code; every error a user can cause is told here.

    Args:
        arguments: The command line; ``None``: this process's own.
        guard: Runs the work of an extraction.
    """
    with stoppable():
        return _told(arguments, guard)


def _told(arguments: Sequence[str] | None, guard: Callable[[Workload], int]) -> int:
    """Do what :func:`run` does. While it is told what stopped it nothing else stops that."""
    try:
        ended: Any = program.main(arguments, prog_name=PROGRAM, standalone_mode=False, obj=guard)
    except click.ClickException as error:
        _show(blamed(error))
        return code_of(error)
    except KapreExtractError as error:
        return _end(code_of(error), f"Error: {error}")
    except (Stopped, KeyboardInterrupt, click.Abort) as error:
        stopped = error if isinstance(error, Stopped) else Stopped(signal.SIGINT)
        return _end(code_of(stopped), str(stopped))
    return int(ended or ExitCode.OK)


def _show(error: click.ClickException) -> None:
    shown = io.StringIO()
    error.show(shown)
    with suppress(OSError):  # the terminal may be gone
        click.echo(printable(shown.getvalue()), err=True, nl=False)


def _end(code: ExitCode, message: str) -> ExitCode:
    with suppress(OSError):  # the terminal may be gone
        click.echo(f"{PROGRAM}: {printable(message)}", err=True)
    return code
