"""A second whole file behind the first, as joining two with ``cat`` leaves it."""

from collections.abc import Iterator
from typing import NamedTuple

from kapre_cli.audio.opening import ByteSource, Tail
from kapre_cli.audio.riff import RIFFS, W64_RIFF, W64_WAVE, read_w64, read_wav
from kapre_cli.audio.streaminfo import FLAC_MARK, read_flac
from kapre_cli.errors import AudioReadError

_FORM, _AIFFS = b"FORM", (b"AIFF", b"AIFC")
_AIFF_CHUNKS = (b"COMM", b"FVER", b"COMT", b"MARK", b"INST", b"NAME", b"AUTH", b"ANNO", b"SSND")
_OGG = b"OggS\0"
_SEARCHED_AT_ONCE = 2**20
_MAX_CANDIDATES = 1000

# Bytes that a file of each kind has near its start, and where they stand.
_MARKS = (
    (b"WAVE", 8),
    (W64_RIFF, 0),
    (FLAC_MARK, 0),
    *((aiff, 8) for aiff in _AIFFS),
    (_OGG, 0),
)


class SecondFile(NamedTuple):
    """A file behind another.

    Attributes:
        kind: Its format.
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


def file_at(file: ByteSource, position: int) -> SecondFile | None:
    """Return the file that begins where a chunk or nothing is expected, if one does.

    Its mark alone tells: its header may be cut short.
    """
    kind = _kind_of(file.at(position, 16))
    return SecondFile(kind, position) if kind else None


def find_file(file: ByteSource, start: int, end: int) -> SecondFile | None:
    """Return the first file that begins between two positions, among samples or behind them.

    Samples may look like a mark: a whole, valid header tells.
    """
    for number, position in enumerate(_candidates(file, start, end)):
        if number == _MAX_CANDIDATES:
            break
        second = file_at(file, position)
        if second is not None and _has_valid_header(Tail(file, position), second.kind):
            return second
    return None


def _kind_of(magic: bytes) -> str:
    """Return the format of a file that begins with these 16 bytes; empty if it is none."""
    if magic[:4] in RIFFS and magic[8:12] == b"WAVE":
        return "WAV"
    if magic == W64_RIFF:
        return "W64"
    if magic[:4] == FLAC_MARK:
        return "FLAC"
    if magic[:4] == _FORM and magic[8:12] in _AIFFS:
        return "AIFF"
    return "Ogg" if magic.startswith(_OGG) else ""


def _candidates(file: ByteSource, start: int, end: int) -> Iterator[int]:
    """Yield in order where marks stand, as positions of the start of a file."""
    position = start
    while position < end:
        # Marks that lie across two pieces are found in the first.
        chunk = file.at(position, _SEARCHED_AT_ONCE + 16)
        found = {begin for mark, offset in _MARKS for begin in _begins(chunk, mark, offset)}
        last = min(_SEARCHED_AT_ONCE, end - position)
        yield from (position + begin for begin in sorted(found) if 0 <= begin < last)
        position += _SEARCHED_AT_ONCE


def _begins(chunk: bytes, mark: bytes, offset: int) -> Iterator[int]:
    place = chunk.find(mark)
    while place >= 0:
        yield place - offset
        place = chunk.find(mark, place + 1)


def _has_valid_header(tail: Tail, kind: str) -> bool:
    try:
        if kind == "WAV":
            read_wav(tail, tail.at(0, 4))
        elif kind == "W64":
            if tail.at(24, 16) != W64_WAVE:
                return False
            read_w64(tail)
        elif kind == "FLAC":
            read_flac(tail, 0)
            return _has_valid_sizes(tail.at(8, 10))
    except AudioReadError:
        return False
    if kind == "AIFF":
        return tail.at(12, 4) in _AIFF_CHUNKS and tail.at(16, 1) == b"\0"
    # The first page of an Ogg stream: a flag that says so, and position 0.
    return kind != "Ogg" or tail.at(5, 9) == b"\2" + bytes(8)


def _has_valid_sizes(sizes: bytes) -> bool:
    """Return whether the sizes of blocks and frames at the start of STREAMINFO are possible."""
    least, most = (int.from_bytes(sizes[start : start + 2], "big") for start in (0, 2))
    smallest, largest = (int.from_bytes(sizes[start : start + 3], "big") for start in (4, 7))
    return 16 <= least <= most and (largest == 0 or smallest <= largest)
