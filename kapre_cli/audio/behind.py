"""What stands behind the samples that a header promises: chunks, tags, padding, or more samples."""

import os
import struct

from kapre_cli.audio.header import Header
from kapre_cli.errors import AudioReadError

# Chunks of words, cues and room that programs put behind the samples.
_KNOWN = frozenset(
    b"LIST,list,INFO,id3 ,ID3 ,bext,cue ,fact,PEAK,smpl,inst,plst,iXML,axml,chna,_PMX,acid,afsp,"
    b"AFAn,DISP,levl,link,aXML,ubxt,umid,minf,elm1,regn,cart,SAUR,guan,wamd,JUNK,junk,PAD ,FLLR,"
    b"bwav,SNDM,strc,tlst,LGWV,DGDA,olym,ResU,XMP ".split(b",")
)
_MAX_CHUNKS = 10_000
_SEARCHED_AT_ONCE = 2**20

_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 1 << 31


def is_orderly(fd: int, header: Header, size: int) -> bool:
    """Return whether chunks, zeros or nothing stand behind the samples of a WAV.

    Bytes that are neither are samples that the header does not know of: its size is stale.

    Args:
        fd: The file.
        header: Its header, which promises a number of bytes that are all there.
        size: Bytes of the file.

    Raises:
        AudioReadError: If another chunk of samples is among them.
    """
    return _walk(fd, header, size) is None


def cut_chunk(fd: int, header: Header, size: int) -> str | None:
    """Return the name of a well-known chunk behind the samples that the file's end cuts short.

    Arguments are those of :func:`is_orderly`.
    """
    position = _walk(fd, header, size)
    for start in () if position is None else _aligned(position, header.is_w64):
        if (name := os.pread(fd, 4, start)) in _KNOWN:
            return name.decode("ascii")
    return None


def _walk(fd: int, header: Header, size: int) -> int | None:
    """Go from chunk to chunk and return where they stop; ``None`` if they lead to the end."""
    position = header.start + (header.n_bytes or 0)
    for _ in range(_MAX_CHUNKS):
        if position >= size or _all_zero(fd, position, size):
            return None
        after = None
        for start in _aligned(position, header.is_w64):
            after = after or _next_chunk(fd, start, size, header)
        if after is None:
            return position
        position = after
    return position


def _aligned(position: int, w64: bool) -> tuple[int, ...]:
    """Return where the next chunk may begin: after the padding, or where it was left out."""
    padded = position + (-position % 8 if w64 else position % 2)
    return (padded,) if padded == position else (padded, position)


def _next_chunk(fd: int, start: int, size: int, header: Header) -> int | None:
    """Return where the chunk at ``start`` ends, its padding aside; ``None`` if it is none.

    Raises:
        AudioReadError: If it holds samples of its own.
    """
    if start >= size:
        return size
    head = os.pread(fd, 24 if header.is_w64 else 8, start)
    if head[:4] == b"data":
        raise AudioReadError("it has a second data chunk behind its samples: it can have but one")
    if not all(0x20 <= letter < 0x7F for letter in head[:4]):
        return None
    if header.is_w64:
        end = start + max(struct.unpack("<Q", head[16:])[0], 24) if len(head) == 24 else size + 1
    else:
        length = struct.unpack(header.order + "I", head[4:])[0] if len(head) == 8 else size
        end = start + 8 + length
    return end if end <= size else None


def _all_zero(fd: int, position: int, end: int) -> bool:
    length = 8  # most often these are enough to see that they are not
    while block := os.pread(fd, min(length, end - position), position):
        if block.strip(b"\0"):
            return False
        position += len(block)
        length = _SEARCHED_AT_ONCE
    return True


def flac_end(fd: int, size: int) -> int:
    """Return where a FLAC stream ends, less the tags (ID3v1, APE) behind it."""
    end = size
    tag = os.pread(fd, _ID3V1_BYTES, max(end - _ID3V1_BYTES, 0))
    year = tag[93:97].strip(b"\0 ")
    if tag[:3] == b"TAG" and (year.isdigit() or not year):
        end -= _ID3V1_BYTES
    if end > _APE_FOOTER_BYTES:
        footer = os.pread(fd, _APE_FOOTER_BYTES, end - _APE_FOOTER_BYTES)
        if footer[:8] == b"APETAGEX":
            length, _, flags = struct.unpack("<III", footer[12:24])
            end -= length + (_APE_FOOTER_BYTES if flags & _APE_HAS_HEADER else 0)
    return end if end > 0 else size
