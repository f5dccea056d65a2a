"""What was meant by a command that is none: a path, or what other programs call a command."""

import difflib
import os
import shlex
from collections.abc import Collection, Sequence

from kapre_cli.settings.run import HDF5_SUFFIXES, ROOT_NAME
from kapre_cli.version import PROGRAM

# What a command here is called elsewhere.
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


def command_hint(arguments: Sequence[str], commands: Collection[str]) -> str:
    """Return in a clause what was meant by arguments that begin with no command."""
    name = arguments[0]
    if (what := _kind_of_path(name)) is not None:
        command = _whole_command(arguments)
        return f"it is {what}, and a command comes first: {command}"
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
    """Say what an argument that may be a path is; ``None`` if it is none."""
    from kapre_cli.sources import AUDIO_SUFFIXES, STREAM  # not needed for --help

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
