"""Remedies for inputs that another program has to convert, as commands of a shell."""

import os
import shlex

_END = "kapre-extract ... -"

_INPUT = "ffmpeg -v error -i {}"
FFMPEG = f"{_INPUT} -c:a pcm_f32le -f wav -"


def shell_name(path: str) -> str:
    r"""Return a file's name as a shell takes it; ``FILE`` if it cannot be shown on a terminal.

    >>> shell_name("night 1.wav"), shell_name("-1.wav"), shell_name("two\nlines.wav")
    ("'night 1.wav'", './-1.wav', 'FILE')
    """
    if not path.isprintable():  # control characters, bytes that are not UTF-8
        return "FILE"
    return shlex.quote(os.path.join(".", path) if path.startswith("-") else path)


def filled(template: str, name: str | None) -> str:
    """Return a remedy with the name of the file in it; ``None``: the file came through a pipe."""
    return template.replace("{}", "FILE" if name is None else name)


def through(command: str, name: str | None) -> str:
    """Return the pipe in which a command makes a WAV of a file.

    Args:
        command: The command, with ``{}`` for the file.
        name: The file as a shell takes it; ``None``: it came through a pipe itself.

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
    """Return a name as FFmpeg takes it: with a colon it would be one of a protocol."""
    return f"file:{name}" if name is not None and ":" in name else name


def raw_format_of(number: str, sr: int, n_channels: int) -> str:
    """Return what ``--raw-format`` takes for numbers as :class:`.Header` has them.

    >>> raw_format_of("<i2", 8000, 1), raw_format_of("<u1", 8000, 2)
    ('s16le,8000,1', 'u8,8000,2')
    """
    kind, bits = number[1].replace("i", "s"), 8 * int(number[2:])
    order = "" if bits == 8 else {"<": "le", ">": "be"}[number[0]]
    return f"{kind}{bits}{order},{sr},{n_channels}"


def as_raw(name: str | None, start: int, n_bytes: int | None, raw: str, factor: int = 1) -> str:
    """Return the pipe that reads the integers or floats of a WAV without its header.

    Args:
        name: As :func:`through` has it.
        start: Where they begin.
        n_bytes: Bytes of them; ``None``: up to the end of the file.
        raw: What they are, as ``--raw-format`` takes it.
        factor: What SoX has to multiply integers by.

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
