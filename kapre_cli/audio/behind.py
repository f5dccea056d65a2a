"""What stands behind the samples of a file: chunks, tags, padding, more samples, a second file."""

import struct
from typing import NamedTuple

from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.opening import RegularFile
from kapre_cli.audio.second_file import SecondFile, file_at, find_file
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


class Trailer(NamedTuple):
    """What stands behind the samples of a WAV.

    Attributes:
        is_valid: Whether chunks, zeros or nothing lead to the end of the file, or to a second one.
        cut_chunk: What is left of a chunk that the end of the file cuts short, in words.
        second_file: The file that begins there.
    """

    is_valid: bool = True
    cut_chunk: str = ""
    second_file: SecondFile | None = None


def trailer_of(file: RegularFile, header: Header) -> Trailer:
    """Return what stands behind the samples of a WAV.

    Bytes that are neither chunks nor zeros nor another file are samples that the header does not
    know of: its size is stale.

    Args:
        file: The file.
        header: Its header, which promises a number of bytes that are all there.

    Raises:
        AudioReadError: If another chunk of samples is among them.
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
    """Return what is left of a chunk that the file's end cuts short; nothing if there is none.

    It is one if its name is well known, or if the file says of itself that it ends where this
    chunk does.
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
            available = f"{file.size - start:,} bytes"
            return f"{name!r}, {available}{'' if end is None else f' of {end - start:,}'}"
    return ""


def _aligned(position: int, w64: bool) -> tuple[int, ...]:
    """Return where the next chunk may begin: after the padding, or where it was left out."""
    padded = position + (-position % 8 if w64 else position % 2)
    return (padded,) if padded == position else (padded, position)


def _next_chunk(file: RegularFile, start: int, header: Header) -> int | None:
    """Return where the chunk at ``start`` ends, its padding aside; ``None`` if it is none.

    Raises:
        AudioReadError: If it holds samples of its own.
    """
    if start >= file.size:
        return file.size
    head = file.at(start, 24 if header.is_w64 else 8)
    if head[:4] == b"data":
        raise AudioReadError(
            "it has a second data chunk behind its samples, and a WAV has one; write it again "
            "with another program"
        )
    if not is_chunk_name(head[:4]):
        return None
    end = _end_of_chunk(head, start, header)
    return end if end is not None and end <= file.size else None


def _end_of_chunk(head: bytes, start: int, header: Header) -> int | None:
    """Return where a chunk says that it ends; ``None`` if its head is cut short."""
    if header.is_w64:
        return start + max(struct.unpack("<Q", head[16:])[0], 24) if len(head) == 24 else None
    return start + 8 + struct.unpack(header.order + "I", head[4:])[0] if len(head) == 8 else None


def _skip_zeros(file: RegularFile, position: int) -> int:
    """Return where the first byte stands that is not 0, the size of the file if there is none."""
    length = 8  # most often these are enough to see that they are not
    while block := file.at(position, min(length, file.size - position)):
        if rest := block.lstrip(b"\0"):
            return position + len(block) - len(rest)
        position += len(block)
        length = _SEARCHED_AT_ONCE
    return file.size


def flac_end(file: RegularFile) -> int:
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
