"""What the header of a WAV or FLAC file promises, read from its bytes by this project.

libsndfile lowers its count of frames without a word when a file ends early, so the promise has
to be taken from the header itself and held against what comes.

Sources: Multimedia Programming Interface 1.0 (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64),
Sony Wave64, RFC 9639 (FLAC).
"""

import os
import struct
from dataclasses import dataclass

from kapre_cli.errors import AudioReadError

# Data sizes that programs write when they cannot know them: a stream goes on to its end.
# All ones (ffmpeg), the largest signed number and its neighbours on even and page boundaries
# (sox and others).
UNKNOWN_SIZES = frozenset({0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFF000})

_SPLIT_BY_FRAME = {1, 3, 6, 7, 0xFFFE}  # PCM, float, A-law, mu-law, WAVE_FORMAT_EXTENSIBLE

_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")

_OTHER_KINDS = (  # (offset, bytes there, what it is)
    (0, b"OggS", "Ogg"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"ID3", "MP3"),
    (0, b"\xff\xfb", "MP3"),
    (0, b".snd", "AU"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (4, b"ftyp", "MP4"),
)


@dataclass(frozen=True)
class Header:
    """What a header says of the samples behind it.

    Attributes:
        kind: ``"WAV"`` or ``"FLAC"``; the relatives of WAV (RF64, W64, big-endian) are ``"WAV"``.
        n_frames: Frames promised. ``None`` where the header leaves them open, or (compressed
            WAV) where bytes alone are promised.
        missing_bytes: Bytes promised beyond the end of the file.
        stray_bytes: Bytes behind a WAV's data chunk of size 0.
    """

    kind: str
    n_frames: int | None
    missing_bytes: int = 0
    stray_bytes: int = 0


def read_header(fd: int) -> Header:
    """Return what the header of an open, regular file promises; its position is left alone.

    Raises:
        AudioReadError: If the file is empty, is neither WAV nor FLAC, or ends inside its header.
    """
    size = os.fstat(fd).st_size
    if size == 0:
        raise AudioReadError("the file is empty (0 bytes)")
    start = _after_id3(fd)
    magic = os.pread(fd, 16, start)
    if magic[:4] == b"fLaC":
        return _flac(fd, start + 4)
    if magic[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
        return _wav(fd, size, magic[:4])
    if magic == _W64_RIFF and os.pread(fd, 16, 24) == _W64_WAVE:
        return _wave64(fd, size)
    raise AudioReadError(_not_audio(os.pread(fd, 16, 0)))


def _not_audio(magic: bytes) -> str:
    for offset, mark, kind in _OTHER_KINDS:
        if magic[offset:].startswith(mark):
            return f"it is {kind}, not WAV or FLAC; convert it first, for instance with ffmpeg"
    return f"neither a WAV nor a FLAC file: it begins with {magic[:12]!r}"


def _after_id3(fd: int) -> int:
    """Return where the audio begins: some taggers put an ID3v2 tag before a FLAC stream."""
    tag = os.pread(fd, 10, 0)
    if len(tag) < 10 or tag[:3] != b"ID3":
        return 0
    length = 0
    for seven_bits in tag[6:10]:
        length = length << 7 | seven_bits & 0x7F
    return 10 + length if os.pread(fd, 4, 10 + length) == b"fLaC" else 0


def _flac(fd: int, start: int) -> Header:
    """Read STREAMINFO, which the format requires to be the first metadata block."""
    block = os.pread(fd, 4 + 34, start)
    if len(block) < 38 or block[0] & 0x7F != 0:
        raise AudioReadError("the file ends inside its FLAC header, before any samples")
    total = int.from_bytes(block[4 + 13 : 4 + 18], "big") & (1 << 36) - 1
    return Header("FLAC", total or None)


def _wav(fd: int, size: int, magic: bytes) -> Header:
    order = ">" if magic == b"RIFX" else "<"
    wide_data_size = None
    block_align = None
    position = 12
    while position < size and len(head := os.pread(fd, 8, position)) == 8:
        name, length = head[:4], struct.unpack(order + "I", head[4:])[0]
        body = position + 8
        if name == b"ds64":
            sizes = os.pread(fd, 16, body)
            wide_data_size = struct.unpack("<8xQ", sizes)[0] if len(sizes) == 16 else None
        elif name == b"fmt ":
            block_align = _block_align(os.pread(fd, 16, body), order)
        elif name == b"data":
            if length == 0xFFFFFFFF and wide_data_size is not None:
                return _promise(wide_data_size, size - body, block_align)
            unknown = length in UNKNOWN_SIZES and length > size - body
            return _promise(None if unknown else length, size - body, block_align)
        position = body + length + length % 2
    raise AudioReadError("the file ends inside its WAV header: it has no data chunk, so no samples")


def _wave64(fd: int, size: int) -> Header:
    block_align = None
    position = 40
    while position < size and len(head := os.pread(fd, 24, position)) == 24:
        name, length = head[:4], struct.unpack("<Q", head[16:])[0]
        if name == b"fmt ":
            block_align = _block_align(os.pread(fd, 16, position + 24), "<")
        elif name == b"data":
            body = position + 24
            return _promise(max(length - 24, 0), size - body, block_align)
        position += max(length + -length % 8, 24)
    raise AudioReadError("the file ends inside its W64 header: it has no data chunk, so no samples")


def _block_align(fmt: bytes, order: str) -> int | None:
    """Return the bytes of one frame, or ``None`` for an encoding without bytes for each frame."""
    if len(fmt) < 16:
        raise AudioReadError("the file ends inside its WAV header: its fmt chunk is cut short")
    tag, _, _, _, align, _ = struct.unpack(order + "HHIIHH", fmt)
    return align if tag in _SPLIT_BY_FRAME and align else None


def _promise(promised: int | None, present: int, block_align: int | None) -> Header:
    """Return the header of a data chunk: so many bytes ``promised``, so many ``present``."""
    if promised is None:
        return Header("WAV", None)
    return Header(
        "WAV",
        promised // block_align if block_align else None,
        missing_bytes=max(promised - present, 0),
        stray_bytes=present if promised == 0 else 0,
    )
