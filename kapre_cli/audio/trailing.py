"""Bytes after the samples: chunks, zeros, more samples, a second file."""

from collections.abc import Iterator
from typing import NamedTuple

from kapre_cli.audio.files import ByteSource, RegularFile
from kapre_cli.audio.headers import (
    FLAC_MARK,
    RIFFS,
    W64_RIFF,
    W64_WAVE,
    Header,
    chunk_at,
    is_chunk_name,
    padded,
    read_flac,
    read_w64,
    read_wav,
)
from kapre_cli.errors import AudioReadError
from kapre_cli.text import Argument, Text

# Chunks of text, cues and padding that programs write after the samples.
_KNOWN = frozenset(
    b"LIST,list,INFO,id3 ,ID3 ,bext,cue ,fact,PEAK,smpl,inst,plst,iXML,axml,chna,_PMX,acid,afsp,"
    b"AFAn,DISP,levl,link,aXML,ubxt,umid,minf,elm1,regn,cart,SAUR,guan,wamd,JUNK,junk,PAD ,FLLR,"
    b"bwav,SNDM,strc,tlst,LGWV,DGDA,olym,ResU,XMP ".split(b",")
)
_MAX_CHUNKS = 10_000

_FORM, _AIFFS = b"FORM", (b"AIFF", b"AIFC")
_AIFF_CHUNKS = (b"COMM", b"FVER", b"COMT", b"MARK", b"INST", b"NAME", b"AUTH", b"ANNO", b"SSND")
_OGG = b"OggS\0"
_SEARCHED_AT_ONCE = 2**20
_MAX_CANDIDATES = 1000

# Bytes near the start of a file of each kind, and their position.
_MARKS = (
    (b"WAVE", 8),
    (W64_RIFF, 0),
    (FLAC_MARK, 0),
    *((aiff, 8) for aiff in _AIFFS),
    (_OGG, 0),
)


class SecondFile(NamedTuple):
    """A file that begins ``start`` bytes after another, as ``cat`` joins two."""

    kind: str
    start: int

    def error(self) -> AudioReadError:
        """Return the error that rejects both."""
        return AudioReadError(
            Text(
                f"a second file ({self.kind}) begins after its samples, at byte {self.start:,}: "
                "two recordings were joined; split them, or ",
                Argument("allow_truncated", True),
                " reads the first",
            )
        )


class _Tail:
    """A file from ``start`` on, as a :class:`.ByteSource`."""

    def __init__(self, file: ByteSource, start: int) -> None:
        self.size = file.size - start
        self.shell_name = file.shell_name
        self._file = file
        self._start = start

    def at(self, position: int, n_bytes: int) -> bytes:
        return self._file.at(self._start + position, n_bytes)


def file_at(file: ByteSource, position: int) -> SecondFile | None:
    """Return the file that begins at a position, if one does.

    Its marker is enough, since a chunk or nothing is expected there; its header may be cut short.
    """
    kind = _kind_of(file.at(position, 16))
    return SecondFile(kind, position) if kind else None


def find_file(file: ByteSource, start: int, end: int) -> SecondFile | None:
    """Return the first file that begins from ``start`` on and before ``end``.

    Samples may look like a marker, so a complete, valid header is required.
    """
    for number, position in enumerate(_candidates(file, start, end)):
        if number == _MAX_CANDIDATES:
            break
        second = file_at(file, position)
        if second is not None and _has_valid_header(_Tail(file, position), second.kind):
            return second
    return None


def _kind_of(magic: bytes) -> str:
    """Return the format that 16 bytes begin; empty if they begin none."""
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
    """Yield in order the positions at which a file may begin, by the markers."""
    position = start
    while position < end:
        # Markers across two chunks are found in the first.
        chunk = file.at(position, _SEARCHED_AT_ONCE + 16)
        found = {begin for mark, offset in _MARKS for begin in _begins(chunk, mark, offset)}
        last = min(_SEARCHED_AT_ONCE, end - position)
        yield from (position + begin for begin in sorted(found) if 0 <= begin < last)
        position += _SEARCHED_AT_ONCE


def _begins(chunk: bytes, mark: bytes, offset: int) -> Iterator[int]:
    position = chunk.find(mark)
    while position >= 0:
        yield position - offset
        position = chunk.find(mark, position + 1)


def _has_valid_header(tail: _Tail, kind: str) -> bool:
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
    """Whether the sizes of blocks and frames at the start of STREAMINFO are possible."""
    least, most = (int.from_bytes(sizes[start : start + 2], "big") for start in (0, 2))
    smallest, largest = (int.from_bytes(sizes[start : start + 3], "big") for start in (4, 7))
    return 16 <= least <= most and (largest == 0 or smallest <= largest)


class Trailer(NamedTuple):
    """What follows the samples of a WAV."""

    is_valid: bool = True  # nothing but chunks and zeros, up to the end or to a second file
    cut_chunk: str = ""  # describes a chunk that the end of the file cuts short
    second_file: SecondFile | None = None


def read_trailer(file: RegularFile, header: Header) -> Trailer:
    """Return what follows the samples of a WAV; all declared ones are available.

    Bytes that are neither chunks nor zeros nor another file are samples: the size in the header
    is stale then.

    Raises:
        AudioReadError: If a second chunk of samples follows.
    """
    position = header.start + (header.n_bytes or 0)
    for _ in range(_MAX_CHUNKS):
        nonzero = _skip_zeros(file, position)
        if nonzero >= file.size:
            return Trailer()
        if second := file_at(file, nonzero):
            return Trailer(second_file=second)
        starts = _aligned(position, is_w64=header.is_w64)
        ends = (_next_chunk(file, start, header) for start in starts)
        end = next((end for end in ends if end is not None), None)
        if end is None:
            break
        position = end
    second = find_file(file, position, file.size)
    cut = "" if second else _cut_chunk(file, position, header)
    return Trailer(is_valid=False, cut_chunk=cut, second_file=second)


def _cut_chunk(file: RegularFile, position: int, header: Header) -> str:
    """Describe the chunk that the end of the file cuts short; empty if there is none.

    It is a chunk if its name is well known, or if the size in the RIFF header ends where it does.
    """
    for start in _aligned(position, is_w64=header.is_w64):
        head, end = chunk_at(file, start, header.order, is_w64=header.is_w64)
        is_counted = header.file_end > file.size and (
            end in (header.file_end, header.file_end - 1)
            if end is not None
            else header.file_end >= start + 8
        )
        if head[:4] in _KNOWN or (head and is_chunk_name(head[:4]) and is_counted):
            name = head[:4].decode("ascii")
            declared = "" if end is None else f" of {end - start:,}"
            return f"{name!r}, {file.size - start:,} bytes{declared}"
    return ""


def _aligned(position: int, *, is_w64: bool) -> tuple[int, ...]:
    """Return where the next chunk may begin: after padding, or without it."""
    after = padded(position, is_w64=is_w64)
    return (after,) if after == position else (after, position)


def _next_chunk(file: RegularFile, start: int, header: Header) -> int | None:
    """Return where the chunk at ``start`` ends, unpadded; ``None`` if it is none.

    Raises:
        AudioReadError: If it holds samples.
    """
    if start >= file.size:
        return file.size
    head, end = chunk_at(file, start, header.order, is_w64=header.is_w64)
    if head[:4] == b"data":
        raise AudioReadError(
            "it has a second data chunk after its samples, and a WAV has one; write it again "
            "with another program"
        )
    if not is_chunk_name(head[:4]):
        return None
    return end if end is not None and end <= file.size else None


def _skip_zeros(file: RegularFile, position: int) -> int:
    """Return the position of the first byte that is not 0, or the file's size."""
    length = 8  # most often enough
    while block := file.at(position, min(length, file.size - position)):
        if rest := block.lstrip(b"\0"):
            return position + len(block) - len(rest)
        position += len(block)
        length = _SEARCHED_AT_ONCE
    return file.size
