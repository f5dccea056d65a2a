"""A second whole file behind the first, as joining two with ``cat`` leaves it."""

from typing import NamedTuple

from kapre_cli.audio.opening import RawFile
from kapre_cli.audio.riff import W64_RIFF
from kapre_cli.errors import AudioReadError

_RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_MAGIC_BYTES = 16  # of the longest mark
_SEARCHED_AT_ONCE = 2**20

# What tells that a file begins, wherever it stands: a mark, at which byte of the file it stands,
# and what the file begins with.
_MARKS = (
    ("WAV", b"WAVE", 8, _RIFFS),
    ("W64", W64_RIFF, 0, (b"",)),
    ("FLAC", b"fLaC\0\0\0\x22", 0, (b"",)),
    ("FLAC", b"fLaC\x80\0\0\x22", 0, (b"",)),
    ("AIFF", b"AIFF", 8, (b"FORM",)),
    ("AIFF", b"AIFC", 8, (b"FORM",)),
    ("Ogg", b"OggS\0\2" + bytes(8), 0, (b"",)),
)


class SecondFile(NamedTuple):
    """A file behind another.

    Attributes:
        kind: What it is.
        start: Where it begins, in bytes from the start of the first.
    """

    kind: str
    start: int

    def error(self, remedy: str) -> AudioReadError:
        """Return the error that refuses both."""
        return AudioReadError(
            f"a second file ({self.kind}) begins behind its samples, at byte {self.start:,}: two "
            f"recordings were joined; split them, or {remedy}"
        )


def file_at(file: RawFile, position: int) -> SecondFile | None:
    """Return the file that begins where a chunk or nothing is expected, if one does."""
    magic = file.at(position, _MAGIC_BYTES)
    kind = ""
    if magic[:4] in _RIFFS:
        kind = "WAV"
    elif magic[:4] == b"riff" and W64_RIFF.startswith(magic):
        kind = "W64"
    elif magic[:4] == b"fLaC":
        kind = "FLAC"
    elif magic[:4] == b"OggS":
        kind = "Ogg"
    elif magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
        kind = "AIFF"
    return SecondFile(kind, position) if kind else None


def find_file(file: RawFile, start: int, end: int) -> SecondFile | None:
    """Return the first file that begins between two positions, whatever stands before it."""
    position = start
    while position < end:
        # Marks that lie across two pieces are found in the second.
        piece = file.at(position, min(_SEARCHED_AT_ONCE, end - position) + _MAGIC_BYTES)
        begins = [begin for mark in _MARKS if (begin := _first(piece, *mark)) is not None]
        if begins and position + min(begins)[0] < end:
            at, kind = min(begins)
            return SecondFile(kind, position + at)
        position += _SEARCHED_AT_ONCE
    return None


def _first(
    piece: bytes, kind: str, mark: bytes, offset: int, beginnings: tuple[bytes, ...]
) -> tuple[int, str] | None:
    """Return where a file of some kind first begins in a piece, and the kind."""
    place = piece.find(mark)
    while place >= 0:
        if place >= offset and piece.startswith(beginnings, place - offset):
            return place - offset, kind
        place = piece.find(mark, place + 1)
    return None
