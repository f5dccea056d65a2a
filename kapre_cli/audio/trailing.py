"""What follows the samples of a file: chunks, tags, padding, more samples or a second file."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from kapre_cli.audio.files import ByteSource, RegularFile, Tail
from kapre_cli.audio.flac_metadata import FLAC_MARK, read_flac
from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.riff import RIFFS, W64_RIFF, W64_WAVE, read_w64, read_wav
from kapre_cli.errors import AudioReadError

# Chunks of text, cues and padding that programs write after the samples.
_KNOWN = frozenset(
    b"LIST,list,INFO,id3 ,ID3 ,bext,cue ,fact,PEAK,smpl,inst,plst,iXML,axml,chna,_PMX,acid,afsp,"
    b"AFAn,DISP,levl,link,aXML,ubxt,umid,minf,elm1,regn,cart,SAUR,guan,wamd,JUNK,junk,PAD ,FLLR,"
    b"bwav,SNDM,strc,tlst,LGWV,DGDA,olym,ResU,XMP ".split(b",")
)
_MAX_CHUNKS = 10_000

_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 1 << 31

_FORM, _AIFFS = b"FORM", (b"AIFF", b"AIFC")
_AIFF_CHUNKS = (b"COMM", b"FVER", b"COMT", b"MARK", b"INST", b"NAME", b"AUTH", b"ANNO", b"SSND")
_OGG = b"OggS\0"
FIRST_OF_TWO = "--allow-truncated takes the first"
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
    """A file that follows another, as joining two with ``cat`` leaves it.

    Attributes:
        kind: Its format.
        start: Where it begins, in bytes from the start of the first.
    """

    kind: str
    start: int

    def error(self, remedy: str) -> AudioReadError:
        """Return the error that rejects both."""
        return AudioReadError(
            f"a second file ({self.kind}) begins after its samples, at byte {self.start:,}: two "
            f"recordings were joined; split them, or {remedy}"
        )


def file_at(file: ByteSource, position: int) -> SecondFile | None:
    """Return the file that begins at a position, if one does.

    Its marker is enough, since a chunk or nothing is expected there; its header may be cut short.
    """
    kind = _kind_of(file.at(position, 16))
    return SecondFile(kind, position) if kind else None


def find_file(file: ByteSource, start: int, end: int) -> SecondFile | None:
    """Return the first file that begins between two positions, among samples or after them.

    Samples may look like a marker, so a complete, valid header is required.
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
    """Whether the sizes of blocks and frames at the start of STREAMINFO are possible."""
    least, most = (int.from_bytes(sizes[start : start + 2], "big") for start in (0, 2))
    smallest, largest = (int.from_bytes(sizes[start : start + 3], "big") for start in (4, 7))
    return 16 <= least <= most and (largest == 0 or smallest <= largest)


class Trailer(NamedTuple):
    """What follows the samples of a WAV.

    Attributes:
        is_valid: Whether it is nothing but chunks and zeros, up to the end or to a second file.
        cut_chunk: Describes a chunk that the end of the file cuts short; empty: there is none.
        second_file: The file that begins there.
    """

    is_valid: bool = True
    cut_chunk: str = ""
    second_file: SecondFile | None = None


def read_trailer(file: RegularFile, header: Header) -> Trailer:
    """Return what follows the samples of a WAV.

    Bytes that are neither chunks nor zeros nor another file are samples: the size in the header
    is stale then.

    Args:
        file: The file.
        header: Its header, which declares a number of bytes that are all available.

    Raises:
        AudioReadError: If a second chunk of samples is among it.
    """
    position = header.start + (header.n_bytes or 0)
    for _ in range(_MAX_CHUNKS):
        nonzero = _skip_zeros(file, position)
        if nonzero >= file.size:
            return Trailer()
        if second := file_at(file, nonzero):
            return Trailer(second_file=second)
        after = None
        for start in _aligned(position, header.is_w64):
            after = after or _next_chunk(file, start, header)
        if after is None:
            break
        position = after
    second = find_file(file, position, file.size)
    cut = "" if second else _cut_chunk(file, position, header)
    return Trailer(is_valid=False, cut_chunk=cut, second_file=second)


def _cut_chunk(file: RegularFile, position: int, header: Header) -> str:
    """Describe the chunk that the end of the file cuts short; empty if there is none.

    It is a chunk if its name is well known, or if the size in the RIFF header ends where it does.
    """
    for start in _aligned(position, header.is_w64):
        head = file.at(start, 24 if header.is_w64 else 8)
        end = _end_of_chunk(head, start, header)
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


def _aligned(position: int, w64: bool) -> tuple[int, ...]:
    """Return where the next chunk may begin: after the padding, or where it is missing."""
    padded = position + (-position % 8 if w64 else position % 2)
    return (padded,) if padded == position else (padded, position)


def _next_chunk(file: RegularFile, start: int, header: Header) -> int | None:
    """Return where the chunk at ``start`` ends, without padding; ``None`` if it is no chunk.

    Raises:
        AudioReadError: If it holds samples.
    """
    if start >= file.size:
        return file.size
    head = file.at(start, 24 if header.is_w64 else 8)
    if head[:4] == b"data":
        raise AudioReadError(
            "it has a second data chunk after its samples, and a WAV has one; write it again "
            "with another program"
        )
    if not is_chunk_name(head[:4]):
        return None
    end = _end_of_chunk(head, start, header)
    return end if end is not None and end <= file.size else None


def _end_of_chunk(head: bytes, start: int, header: Header) -> int | None:
    """Return where a chunk ends by its size; ``None`` if its head is cut short."""
    if header.is_w64:
        return start + max(struct.unpack("<Q", head[16:])[0], 24) if len(head) == 24 else None
    return start + 8 + struct.unpack(header.order + "I", head[4:])[0] if len(head) == 8 else None


def _skip_zeros(file: RegularFile, position: int) -> int:
    """Return the position of the first byte that is not 0; the file's size if there is none."""
    length = 8  # most often enough
    while block := file.at(position, min(length, file.size - position)):
        if rest := block.lstrip(b"\0"):
            return position + len(block) - len(rest)
        position += len(block)
        length = _SEARCHED_AT_ONCE
    return file.size


def flac_end(file: RegularFile) -> int:
    """Return where a FLAC stream ends, without the tags (ID3v1, APE) that follow it."""
    end = file.size
    tag = file.at(max(end - _ID3V1_BYTES, 0), _ID3V1_BYTES)
    year = tag[93:97].strip(b"\0 ")
    if tag[:3] == b"TAG" and (year.isdigit() or not year):
        end -= _ID3V1_BYTES
    if end > _APE_FOOTER_BYTES:
        footer = file.at(end - _APE_FOOTER_BYTES, _APE_FOOTER_BYTES)
        if footer[:8] == b"APETAGEX":
            length, _, flags = struct.unpack("<III", footer[12:24])
            end -= length + (_APE_FOOTER_BYTES if flags & _APE_HAS_HEADER else 0)
    return end if end > 0 else file.size
