"""Remedies in messages: commands that convert a file, hints for a missing one."""

import os
import re
import shlex

from kapre_cli.text import quoted

_END = "kapre-extract ... -"

_INPUT = "ffmpeg -v error -i {}"
FFMPEG = f"{_INPUT} -c:a pcm_f32le -f wav -"

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_BACKSLASH = re.compile(r"\\(.)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_QUOTES = ('"', "'")


def shell_name(path: str) -> str:
    r"""Return a name quoted for a shell; ``FILE`` if a terminal cannot show it.

    >>> shell_name("night 1.wav"), shell_name("-1.wav"), shell_name("two\nlines.wav")
    ("'night 1.wav'", './-1.wav', 'FILE')
    """
    if not path.isprintable():  # control characters, bytes that are not UTF-8
        return "FILE"
    return shlex.quote(os.path.join(".", path) if path.startswith("-") else path)


def through(command: str, name: str | None) -> str:
    """Return the pipe in which a command converts a file to WAV.

    Args:
        command: The command, with ``{}`` for the file.
        name: The file, quoted for a shell; ``None``: its bytes are those of a pipe.

    >>> through("gzip -dc < {}", "a.wav"), through("gzip -dc < {}", None)
    ('gzip -dc < a.wav | kapre-extract ... -', '... | gzip -dc | kapre-extract ... -')
    """
    if name is None:
        return f"... | {command.replace(' < {}', '').replace('{}', '-')} | {_END}"
    return f"{command.replace('{}', name)} | {_END}"


def by_ffmpeg(name: str | None) -> str:
    """Return the remedy for audio that FFmpeg reads; arguments as :func:`through`."""
    return f"pipe it through ffmpeg: {through(FFMPEG, _ffmpeg_name(name))}"


def scaled(name: str | None, factor: str) -> str:
    """Return the pipe in which FFmpeg scales doubles; arguments as :func:`through`."""
    command = f"{_INPUT} -af volume={factor}:precision=double -c:a pcm_f64le -f wav -"
    return through(command, _ffmpeg_name(name))


def _ffmpeg_name(name: str | None) -> str | None:
    """Return a name for FFmpeg, which would read a protocol before a colon."""
    return f"file:{name}" if name is not None and ":" in name else name


def as_raw(
    name: str | None,
    start: int,
    n_bytes: int | None,
    number: str,
    sr: int,
    n_channels: int,
    factor: int = 1,
) -> str:
    """Return the pipe that reads the integers or floats of a WAV without its header.

    Args:
        name: As for :func:`through`.
        start: Where they begin.
        n_bytes: How many bytes they have; ``None``: up to the end of the file.
        number: How each is stored, as :class:`.Encoding` describes it.
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        factor: What SoX multiplies integers by.

    >>> as_raw("a.wav", 44, 2000, "<i2", 8000, 1)
    'tail -c +45 a.wav | head -c 2000 | kapre-extract ... - --raw-format s16le,8000,1'
    """
    skip = f"tail -c +{start + 1}"
    pipe = f"... | {skip}" if name is None else f"{skip} {name}"
    if n_bytes is not None:
        pipe += f" | head -c {n_bytes}"
    order, kind, bits = number[0], number[1].replace("i", "s"), 8 * int(number[2:])
    if factor == 1:
        suffix = "" if bits == 8 else {"<": "le", ">": "be"}[order]
        return f"{pipe} | {_END} --raw-format {kind}{bits}{suffix},{sr},{n_channels}"
    sox_order = "B" if order == ">" else "L"
    raw = f"-t raw -e signed -b {bits} -{sox_order} -r {sr} -c {n_channels}"
    return f"{pipe} | sox {raw} - -t wav - vol {factor} | {_END}"


def hint_of_missing(path: str) -> str:
    r"""Return a hint why a file is missing; empty if the path looks normal.

    >>> hint_of_missing("night.wav")
    ''
    >>> print(hint_of_missing("site a\\night.wav"))
    ; the path is in Windows form: here / separates folders
    """
    if len(path) > 1 and path[0] == path[-1] and path[0] in _QUOTES and _exists(path[1:-1]):
        return "; there is such a file without the quotes"
    if _exists(plain := _BACKSLASH.sub(r"\1", path)) and plain != path:
        return "; there is such a file without the backslashes"
    if path != path.strip() and _exists(path.strip()):
        return "; there is such a file without the blanks around its name"
    if path.startswith("#"):
        return "; a list has no comments: every line is a name"
    if path.startswith("~"):
        return "; ~ is not expanded here: write the full path"
    if _URL.match(path):
        return "; the path is a URL: download the file first"
    if "\r" in path:
        return "; the name has carriage returns in it: the lines of a list end in newlines"
    if "\\" in path or _DRIVE.match(path):
        return _hint_of_windows_path(path)
    return ""


def _hint_of_windows_path(path: str) -> str:
    posix = path.replace("\\", "/")
    if _exists(posix):
        return f"; the path is in Windows form: here it is {quoted(posix)}"
    if _DRIVE.match(path):
        mounted = f"/mnt/{path[0].lower()}{posix[2:]}"
        example = f" (in WSL it is {quoted(mounted)})" if _exists(mounted) else ""
        return f"; the path is in Windows form: there are no drive letters here{example}"
    return "; the path is in Windows form: here / separates folders"


def _exists(path: str) -> bool:
    return bool(path) and os.path.isfile(path)
