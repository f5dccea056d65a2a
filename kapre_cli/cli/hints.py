"""Hints for unknown names of options and commands, which other programs may have.

One table of options serves the command line, files of options and variables.
"""

import difflib
import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import click

from kapre_cli.cli.options import long_names
from kapre_cli.settings.formats import all_formats, recognized_format
from kapre_cli.text import printable
from kapre_cli.version import PROGRAM

# Options

# Names of these options in other programs: librosa, torchaudio, Keras, FFmpeg, SoX.
NAMES = {
    "n-dft": "n-fft nfft ndft fft fft-size fft-length n-window window-size frame-length frame-size",
    "n-hop": "hop hop-length hop-size hopsize nhop stride frame-step frame-shift n-stride",
    "n-mels": "mels nmels n-mel num-mels num-mel-bins n-bands bands mel-bands n-filters",
    "fmin": "f-min min-freq freq-min low-freq lowcut mel-fmin",
    "fmax": "f-max max-freq freq-max high-freq highcut mel-fmax",
    "sr": "sample-rate samplerate sampling-rate rate fs target-sr ar",
    "jobs": "workers num-workers n-workers threads num-threads n-jobs njobs cores cpus processes",
    "overwrite": "force f y yes clobber replace",
    "output": "out outdir out-dir output-dir outfile output-file output-path dest",
    "format": "output-format fmt",
    "compression": "compress gzip zip",
    "dimension-scales": "scales netcdf netcdf4 nc coordinates coords cf",
    "dtype": "precision output-dtype",
    "data-format": "image-data-format channels-first channels-last",
    "resume": "continue incremental update skip-existing",
    "files-from": "file-list filelist input-list from-file list",
    "null": "print0 null-data zero",
    "root": "base basedir base-dir relative-to",
    "hidden": "dotfiles include-hidden",
    "shard": "split chunk part array",
    "batch-size": "batch batchsize",
    "max-failures": "max-errors fail-fast maxfail keep-going",
    "dry-run": "dryrun simulate",
    "channel": "channels ch",
    "mono": "to-mono downmix",
    "raw-format": "raw",
    "non-finite": "nan nans",
    "max-samples": "max-frames max-length",
    "allow-truncated": "truncated ignore-length",
    "verify-audio": "md5 check-md5",
    "power": "exponent magnitude-power",
    "amin": "eps epsilon",
    "config": "conf config-file settings",
    "quiet": "silent no-progress no-progress-bar",
    "verbose": "debug",
    "report": "log-file logfile json-log",
}
OPTIONS = {name: option for option, names in NAMES.items() for name in names.split()}

# Names of other programs' options that have no counterpart here, with the reason.
_NO_OPTION = {
    "window win window-type window-fn": "the window is a periodic Hann window of --n-dft samples, "
    "and there is no other",
    "win-length window-length win-len": "the window is as long as a frame: --n-dft samples",
    "duration offset start end ss to trim begin": "recordings are read from start to end; cut "
    "them before, for instance with ffmpeg -ss START -t SECONDS -i INPUT OUTPUT.wav",
    "recursive recurse": "folders are always searched with all below them",
    "r": "folders are always searched with all below them, and the sample rate is --sr",
    "exclude include glob pattern ignore ext extension suffix": "name the files, for instance by "
    "find with -name or -not -path, and pass them with --files-from",
    "input inputs i input-dir indir in infile input-file audio": "inputs are named without an "
    "option, before or after the options",
    "center pad pad-mode pad-end no-center": "--padding same (zeros around the signal) and "
    "--padding valid (none) are the two paddings",
    "db log dbs log-scale to-db amplitude-to-db power-to-db decibels": "--decibel gives decibels, "
    "of power with --power 2",
    "top-db ref ref-db min-db floor": "decibels are relative to the largest value of the input "
    "and end at -80; --amin raises small values before",
    "log-level loglevel": "--quiet prints less, --verbose prints more, --report writes JSON",
    "normalize normalise preemphasis pre-emphasis dither gain": "samples are used as they are; "
    "change them before, for instance with ffmpeg or sox",
    "device gpu cuda": "the transform is computed by the processor, on all its cores",
    "resampler res-type resample-quality": "--resample converts with soxr in very high quality, "
    "and there is no other",
}
NO_OPTION = {name: why for names, why in _NO_OPTION.items() for name in names.split()}


def owners(program: click.Command) -> dict[str, list[str]]:
    """Return the commands that have each option, by its long name."""
    found: dict[str, list[str]] = {}
    for name, command in program.commands.items() if isinstance(program, click.Group) else ():
        for option in long_names(command):
            found.setdefault(option, []).append(name)
    return found


def option_hint(
    name: str,
    known: Collection[str],
    owners: Mapping[str, Sequence[str]],
    spelled: Callable[[str], str],
) -> str | None:
    """Return a sentence on the likely meaning of an unknown option's name.

    ``name`` has no leading dashes, ``known`` has the long names of possible options, ``owners`` the
    commands of each option. ``spelled`` returns how a long name is written in this context.
    """
    plain = name.lower().replace("_", "-")
    if plain in NO_OPTION:
        return NO_OPTION[plain]
    option = plain if plain in owners else OPTIONS.get(plain, "")
    if option in known:
        return f"it is {spelled(option)} here"
    if option in owners:
        its_name = "" if option == plain else f"{spelled(option)} here, "
        return f"it is {its_name}an option of {' and '.join(owners[option])}"
    return None


def hint_text(
    name: str,
    known: Collection[str],
    owners: Mapping[str, Sequence[str]],
    spelled: Callable[[str], str],
) -> str:
    """Return the end of a message on an unknown option's name; empty without a hint."""
    hint = option_hint(name, known, owners, spelled) or _near_hint(name, known, spelled)
    return f"; {hint}" if hint else ""


def _near_hint(name: str, known: Collection[str], spelled: Callable[[str], str]) -> str | None:
    """Return a question that names options spelled much like an unknown one."""
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(map(spelled, near))}?" if near else None


def explain_unknown_option(
    error: click.NoSuchOption, ctx: click.Context, given: Sequence[str]
) -> click.NoSuchOption:
    """Return an error about an unknown option that suggests another one."""
    known = long_names(ctx.command)
    all_options = owners(ctx.find_root().command)
    written = error.option_name
    hint = option_hint(written.lstrip("-"), known, all_options, "--{}".format)
    if not written.startswith("--"):
        # Click names the first unknown letter of a word after a single dash.
        words = (word.partition("=")[0] for word in given if word[:1] == "-" != word[1:2])
        word = next((one for one in words if written[1:] in one[1:]), written)
        meant = option_hint(word[1:], known, all_options, "--{}".format)
        written, hint = (word, meant) if meant else (written, hint)
    if isinstance(ctx.command, click.Group):
        params = [one for command in ctx.command.commands.values() for one in command.params]
        if hint or any(written in one.opts for one in params):
            hint = "options are given after the command"
    hint = hint or _near_hint(written.lstrip("-"), known, "--{}".format)
    message = f"No such option '{written}'{f': {hint}' if hint else '.'}"
    return click.NoSuchOption(written, printable(message), ctx=ctx)


# Commands

# Names of these commands, and of options of the program, in other programs.
_COMMAND_NAMES = {
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
_COMMANDS = {name: commands for commands, names in _COMMAND_NAMES.items() for name in names.split()}
_SHOWN = 3  # arguments of a command that is spelled out


def command_hint(arguments: Sequence[str], commands: Collection[str]) -> str:
    """Return a clause that suggests a command for arguments that start with none."""
    name = arguments[0]
    if (kind := _kind_of_path(name)) is not None:
        return f"it is {kind}, and the command must be first: {_suggested_command(arguments)}"
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
    from kapre_cli.audio import audio_suffixes  # not needed for --help
    from kapre_cli.inputs import STREAM

    if name == STREAM:
        return "standard input"
    if os.path.isdir(name):
        return "a folder"
    is_path = name.lower().endswith((*audio_suffixes(), *_output_suffixes())) or "/" in name
    return "a file" if os.path.isfile(name) else "a path" if is_path else None


def _output_suffixes() -> tuple[str, ...]:
    return tuple(suffix for one in all_formats() for suffix in one.suffixes)


def _suggested_command(arguments: Sequence[str]) -> str:
    name = arguments[0]
    is_output = os.path.isdir(name) and recognized_format(Path(name)) is not None
    if is_output or name.lower().endswith(_output_suffixes()):
        return f"{PROGRAM} info {shlex.quote(name)}"
    words = [shlex.quote(word) for word in arguments]
    if not any(word.startswith(("-o", "--output")) for word in arguments):
        more = ["..."] if len(words) > _SHOWN else []
        words = [*words[:_SHOWN], *more, "-o", "OUTPUT.h5"]
    return " ".join((PROGRAM, "melspectrogram", *words))
