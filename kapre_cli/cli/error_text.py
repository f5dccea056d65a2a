"""The message of every error that ends the program; arguments are spelled as options."""

import os
import signal
from functools import cache

from kapre_cli.errors import KapreExtractError
from kapre_cli.exit_codes import ExitCode, Stopped, exit_code_of
from kapre_cli.settings import LAYERS
from kapre_cli.settings.layers import command_options
from kapre_cli.text import Argument, Text, quoted

# Errors that end the program with a message; any other one is a fault of the program.
REPORTED = (
    *(KapreExtractError, Stopped, KeyboardInterrupt),
    *(OSError, MemoryError, RuntimeError, ImportError),
)

_KERAS = ("keras", "tensorflow")  # needed only for --engine keras
_NO_THREAD = "can't start new thread"  # Python's RuntimeError


def as_option(argument: Argument) -> str:
    """Spell an argument as the command line does.

    >>> as_option(Argument("n_dft", 512)), as_option(Argument("overwrite", True))
    ('--n-dft 512', '--overwrite')
    >>> as_option(Argument("return_decibel_melgram", False))
    '--no-decibel'
    """
    name = _other_names().get(argument.name, argument.name).replace("_", "-")
    value = argument.value
    if value is ... or value is True:
        return f"--{name}"
    if value is False:
        return f"--no-{name}"
    return f"--{name} {value:.15g}" if isinstance(value, float) else f"--{name} {value}"


@cache
def _other_names() -> dict[str, str]:
    """Return the names of options by those of arguments, where they differ."""
    others = {"channels": "channel"}
    for name in LAYERS.built_in:
        options = command_options(LAYERS[name])
        others |= {name: option.name for name, option in options.items() if option.name}
    return others


def error_text(error: object) -> str:
    """Return the text of an error, or another text; arguments are spelled as options.

    >>> from kapre_cli.errors import SampleRateError
    >>> print(error_text(SampleRateError(44100, 8000)))
    sample rate is 44,100 Hz, this run uses 8,000 Hz (use --resample, or --sr 44100)
    """
    return Text(error).spelled(as_option)


def message_of(error: BaseException) -> str | None:
    """Return the message for the user, ``None`` if the reader of standard output has left.

    Raises:
        BaseException: ``error`` itself, if it is a fault of the program.
    """
    if exit_code_of(error) is ExitCode.PIPE_CLOSED:
        return None
    if isinstance(error, KeyboardInterrupt):
        return str(Stopped(signal.SIGINT))
    if isinstance(error, Stopped):
        return str(error)
    return f"Error: {_reason(error)}"


def _reason(error: BaseException) -> str:
    if isinstance(error, KapreExtractError):
        return error_text(error)
    if isinstance(error, MemoryError):
        detail = f": {error}" if str(error) else ""
        return f"there is not enough memory{detail}; take a smaller --batch-size or --n-dft"
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        return "the system allows no more threads; take fewer --jobs"
    if isinstance(error, ModuleNotFoundError) and error.name in _KERAS:
        return (
            f"the module {quoted(error.name)} is not installed, which running the Keras layer "
            "needs: python -m pip install keras tensorflow; or take --engine numpy"
        )
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return f"a library cannot be loaded, perhaps because memory ran out: {error}"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        name = error.filename
        if isinstance(name, bytes):
            name = os.fsdecode(name)
        return reason if name is None else f"{quoted(name)}: {reason}"
    raise error
