"""What stands behind the samples that a header promises: chunks, tags, padding, or more samples."""

import struct

from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.opening import RawFile
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


def is_orderly(file: RawFile, header: Header) -> bool:
    """Return whether chunks, zeros or nothing stand behind the samples of a WAV.

    Bytes that are neither are samples that the header does not know of: its size is stale.

    Args:
        file: The file.
        header: Its header, which promises a number of bytes that are all there.

    Raises:
        AudioReadError: If another chunk of samples is among them.
    """
    return _walk(file, header) is None


def cut_chunk(file: RawFile, header: Header) -> str | None:
    """Return the name of a well-known chunk behind the samples that the file's end cuts short.

    Arguments are those of :func:`is_orderly`.
    """
    position = _walk(file, header)
    for start in () if position is None else _aligned(position, header.is_w64):
        if (name := file.at(start, 4)) in _KNOWN:
            return name.decode("ascii")
    return None


def _walk(file: RawFile, header: Header) -> int | None:
    """Go from chunk to chunk and return where they stop; ``None`` if they lead to the end."""
    position = header.start + (header.n_bytes or 0)
    for _ in range(_MAX_CHUNKS):
        if position >= file.size or _all_zero(file, position, file.size):
            return None
        after = None
        for start in _aligned(position, header.is_w64):
            after = after or _next_chunk(file, start, header)
        if after is None:
            return position
        position = after
    return position


def _aligned(position: int, w64: bool) -> tuple[int, ...]:
    """Return where the next chunk may begin: after the padding, or where it was left out."""
    padded = position + (-position % 8 if w64 else position % 2)
    return (padded,) if padded == position else (padded, position)


def _next_chunk(file: RawFile, start: int, header: Header) -> int | None:
    """Return where the chunk at ``start`` ends, its padding aside; ``None`` if it is none.

    Raises:
        AudioReadError: If it holds samples of its own.
    """
    if start >= file.size:
        return file.size
    head = file.at(start, 24 if header.is_w64 else 8)
    if head[:4] == b"data":
        raise AudioReadError("it has a second data chunk behind its samples: it can have but one")
    if not is_chunk_name(head[:4]):
        return None
    if header.is_w64:
        end = (
            start + max(struct.unpack("<Q", head[16:])[0], 24) if len(head) == 24 else file.size + 1
        )
    else:
        length = struct.unpack(header.order + "I", head[4:])[0] if len(head) == 8 else file.size
        end = start + 8 + length
    return end if end <= file.size else None


def _all_zero(file: RawFile, position: int, end: int) -> bool:
    length = 8  # most often these are enough to see that they are not
    while block := file.at(position, min(length, end - position)):
        if block.strip(b"\0"):
            return False
        position += len(block)
        length = _SEARCHED_AT_ONCE
    return True


def flac_end(file: RawFile) -> int:
    """Return where a FLAC stream ends, less the tags (ID3v1, APE) behind it."""
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
