"""Remedies in messages: shell commands that convert an input, hints for a missing file."""

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
    r"""Return a file's name quoted for a shell; ``FILE`` if it cannot be shown on a terminal.

    >>> shell_name("night 1.wav"), shell_name("-1.wav"), shell_name("two\nlines.wav")
    ("'night 1.wav'", './-1.wav', 'FILE')
    """
    if not path.isprintable():  # control characters, bytes that are not UTF-8
        return "FILE"
    return shlex.quote(os.path.join(".", path) if path.startswith("-") else path)


def filled(template: str, name: str | None) -> str:
    """Return a remedy with the name of the file; ``None``: its bytes come from a pipe."""
    return template.replace("{}", "FILE" if name is None else name)


def through(command: str, name: str | None) -> str:
    """Return the pipe in which a command converts a file to WAV.

    Args:
        command: The command, with ``{}`` for the file.
        name: The file, quoted for a shell; ``None``: its bytes come from a pipe.

    >>> through("gzip -dc < {}", "a.wav"), through("gzip -dc < {}", None)
    ('gzip -dc < a.wav | kapre-extract ... -', '... | gzip -dc | kapre-extract ... -')
    """
    if name is None:
        return f"... | {command.replace(' < {}', '').replace('{}', '-')} | {_END}"
    return f"{command.replace('{}', name)} | {_END}"


def by_ffmpeg(name: str | None) -> str:
    """Return the remedy for audio that FFmpeg reads; arguments as :func:`through`."""
    return f"pipe it through ffmpeg: {through(FFMPEG, _of_ffmpeg(name))}"


def scaled(name: str | None, factor: str) -> str:
    """Return the pipe in which FFmpeg scales doubles; arguments as :func:`through`."""
    command = f"{_INPUT} -af volume={factor}:precision=double -c:a pcm_f64le -f wav -"
    return through(command, _of_ffmpeg(name))


def _of_ffmpeg(name: str | None) -> str | None:
    """Return a name for FFmpeg, which takes a colon for the end of a protocol."""
    return f"file:{name}" if name is not None and ":" in name else name


def raw_format_of(number: str, sr: int, n_channels: int) -> str:
    """Return the value of ``--raw-format`` for numbers as :class:`.Header` describes them.

    >>> raw_format_of("<i2", 8000, 1), raw_format_of("<u1", 8000, 2)
    ('s16le,8000,1', 'u8,8000,2')
    """
    kind, bits = number[1].replace("i", "s"), 8 * int(number[2:])
    order = "" if bits == 8 else {"<": "le", ">": "be"}[number[0]]
    return f"{kind}{bits}{order},{sr},{n_channels}"


def as_raw(name: str | None, start: int, n_bytes: int | None, raw: str, factor: int = 1) -> str:
    """Return the pipe that reads the integers or floats of a WAV without its header.

    Args:
        name: As for :func:`through`.
        start: Where they begin.
        n_bytes: How many bytes they have; ``None``: up to the end of the file.
        raw: Their format, as ``--raw-format`` has it.
        factor: What SoX multiplies integers by.

    >>> as_raw("a.wav", 44, 2000, "s16le,8000,1")
    'tail -c +45 a.wav | head -c 2000 | kapre-extract ... - --raw-format s16le,8000,1'
    """
    skip = f"tail -c +{start + 1}"
    begin = f"... | {skip}" if name is None else f"{skip} {name}"
    end = "" if n_bytes is None else f" | head -c {n_bytes}"
    if factor == 1:
        return f"{begin}{end} | {_END} --raw-format {raw}"
    encoding, sr, n_channels = raw.split(",")
    bits, order = encoding[1:3], "B" if encoding.endswith("be") else "L"
    sox = f"sox -t raw -e signed -b {bits} -{order} -r {sr} -c {n_channels} - -t wav - vol {factor}"
    return f"{begin}{end} | {sox} | {_END}"


def hint_of_missing(path: str) -> str:
    r"""Return a hint for the message that a file is missing; empty if the path looks normal.

    >>> hint_of_missing("night.wav")
    ''
    >>> print(hint_of_missing("site a\\night.wav"))
    ; the path is in Windows form: here / stands between folders
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
        return "; ~ stands for no folder here: write the whole path"
    if _URL.match(path):
        return "; the path is a URL: download the file first"
    if "\r" in path:
        return "; the name has carriage returns in it: the lines of a list end in newlines"
    if "\\" in path or _DRIVE.match(path):
        return _of_windows(path)
    return ""


def _of_windows(path: str) -> str:
    here = path.replace("\\", "/")
    if _exists(here):
        return f"; the path is in Windows form: here it is {quoted(here)}"
    if _DRIVE.match(path):
        mounted = f"/mnt/{path[0].lower()}{here[2:]}"
        example = f" (in WSL it is {quoted(mounted)})" if _exists(mounted) else ""
        return f"; the path is in Windows form: there are no drive letters here{example}"
    return "; the path is in Windows form: here / stands between folders"


def _exists(path: str) -> bool:
    return bool(path) and os.path.isfile(path)
