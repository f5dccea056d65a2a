"""Headers of WAV, its relatives and FLAC, and the bounds of valid values.

The relatives of WAV are RIFX (big-endian), RF64, BW64 and Sony Wave64. Sources: Multimedia
Programming Interface 1.0 (RIFF; samples of PCM fill the fewest bytes that hold them, from the
highest bit on), Microsoft's WAVEFORMATEXTENSIBLE (valid bits fill their container from the highest
bit on), mmreg.h (format tags), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Sony Wave64, RFC 9639
(FLAC).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kapre_cli.audio.files import ByteSource
from kapre_cli.audio.remedies import as_raw, by_ffmpeg
from kapre_cli.errors import AudioReadError
from kapre_cli.settings.checks import MAX_CHANNELS, MAX_SR
from kapre_cli.text import counted

# Data sizes that programs write when they do not know the size: the samples continue to the end.
# All ones (ffmpeg), the largest signed number and its neighbours on even and page boundaries
# (sox and others).
ALL_ONES = 0xFFFFFFFF
_UNKNOWN_SIZES = frozenset({ALL_ONES, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFF000})
_UNKNOWN_W64_SIZE = 2**63 - 1  # ffmpeg again

RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_HEAD_BYTES = 24  # of a chunk: identifier and size, which includes them

_FMT_BYTES = 128  # more than the fmt chunk of any encoding that is read
_MAX_CHUNKS = 1000  # before the samples; a header has about ten at most

_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_PLAIN = {_PCM: "PCM", _FLOAT: "float", _A_LAW: "A-law", _MU_LAW: "mu-law"}
_OF_LIBSNDFILE = {
    0x02: "Microsoft ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x38: "NMS ADPCM",
    0x40: "G.721 ADPCM",
}  # fmt: skip

_OTHERS = {
    0x08: "DTS", 0x0A: "WMA Voice", 0x10: "OKI ADPCM", 0x16: "G.723 ADPCM", 0x17: "Dialogic ADPCM",
    0x20: "Yamaha ADPCM", 0x22: "TrueSpeech", 0x42: "G.723.1", 0x45: "G.726 ADPCM", 0x50: "MP2",
    0x55: "MP3", 0x61: "DK4 ADPCM", 0x62: "DK3 ADPCM", 0x64: "G.726 ADPCM", 0x65: "G.722",
    0x69: "Xbox ADPCM", 0x83: "G.729", 0x92: "AC-3", 0xFF: "AAC", 0x160: "WMA", 0x161: "WMA",
    0x162: "WMA Professional", 0x163: "WMA Lossless", 0x200: "Creative ADPCM", 0x270: "ATRAC3",
    0x28F: "G.722", 0x674F: "Vorbis", 0x6750: "Vorbis", 0x6751: "Vorbis", 0x676F: "Vorbis",
    0x6770: "Vorbis", 0x6771: "Vorbis", 0x566F: "Vorbis", 0x6C61: "ALAC", 0x704F: "Opus",
    0x706D: "AAC", 0x1600: "AAC", 0x1602: "AAC", 0x1610: "AAC", 0x2000: "AC-3", 0x2001: "DTS",
    0x4143: "AAC", 0x5756: "WavPack", 0xA106: "AAC", 0xA109: "Speex", 0xF1AC: "FLAC",
}  # fmt: skip

_PCM_NUMBERS = {1: "u1", 2: "i2", 3: "i3", 4: "i4"}  # by bytes
_FLOAT_NUMBERS = {4: "f4", 8: "f8"}
_GUID_REST = bytes.fromhex("000000001000800000aa00389b71")  # of the plain formats, after the tag

FLAC_MARK = b"fLaC"
STREAMINFO_END = 4 + 4 + 34  # bytes from the start of a FLAC stream: marker, block header, block
_MIN_FLAC_BITS = 4


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How samples are stored.

    The fields from ``sample_bytes`` on describe WAV and raw samples alone.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        bits: Bits of a sample; 0 for an encoding without a number of bits for each sample.
        sample_bytes: Bytes of one sample of all channels; ``None`` if the encoding has no fixed
            number.
        block_bytes: Bytes of the smallest part that can be decoded: one sample of all channels,
            or a block of many.
        number: How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits; empty for
            an encoding that is more than a number for each sample.
        valid_bits: How many bits of each integer are used; ``None``: all of them.
        is_left_aligned: Whether the used bits are known to be the highest ones.
    """

    sr: int
    n_channels: int
    bits: int = 0
    sample_bytes: int | None = None
    block_bytes: int = 1
    number: str = ""
    valid_bits: int | None = None
    is_left_aligned: bool = True


@dataclass(frozen=True)
class Header(Encoding):
    """What a header declares about the samples after it, with their encoding.

    The fields from ``n_bytes`` on describe WAV and raw samples alone.

    Attributes:
        kind: ``"WAV"``, also for its relatives (RF64, W64, big-endian), ``"FLAC"``, ``"raw"`` for
            samples without a header, or the name of an installed decoder.
        n_samples: Declared samples in each channel. ``None`` where the header leaves them open,
            or (compressed WAV) declares bytes only.
        start: Where in the file the samples of a WAV begin, or a FLAC stream with its marker.
        encoding: The encoding in words; empty: it is made of the other fields.
        md5: The declared MD5 of all samples as FLAC defines it; ``None`` if there is none.
        bytes_tell_length: Whether the number of samples follows from the file's bytes. Otherwise
            only decoding shows it where the header does not declare it.
        n_bytes: Declared bytes of samples; ``None`` if they continue to the end of the file.
        order: Byte order as :mod:`struct` writes it.
        unused_bits: How many bits at the top of each integer do not belong to its sample.
        fmt: The first bytes of the fmt chunk.
        is_w64: Whether the chunks are those of Sony Wave64.
        file_end: Where the file ends by the size it begins with; 0 if unknown.
        fact_samples: Samples of each channel by the fact chunk; ``None`` without one.
    """

    kind: str
    n_samples: int | None
    start: int = 0
    encoding: str = ""
    md5: bytes | None = None
    bytes_tell_length: bool = False
    n_bytes: int | None = None
    order: str = "<"
    unused_bits: int = 0
    fmt: bytes = b""
    is_w64: bool = False
    file_end: int = 0
    fact_samples: int | None = None

    def __post_init__(self) -> None:
        """Reject rates and numbers of channels that no recording has."""
        if not 1 <= self.n_channels <= MAX_CHANNELS:
            raise AudioReadError(
                f"its header declares {self.n_channels:,} channels; "
                f"1 to {MAX_CHANNELS:,} can be read"
            )
        if not 1 <= self.sr <= MAX_SR:
            raise AudioReadError(
                f"its header declares a sample rate of {self.sr:,} Hz; "
                f"1 to {MAX_SR:,} Hz can be read"
            )

    @property
    def needs_decoding(self) -> bool:
        """Whether only decoding shows how many samples there are."""
        return self.n_samples is None and not self.bytes_tell_length


def read_flac(file: ByteSource, start: int) -> Header:
    """Read STREAMINFO, the first metadata block of a FLAC stream at ``start``.

    Raises:
        AudioReadError: If the block is cut short or invalid.
    """
    block = file.at(start, STREAMINFO_END)[4:]
    if len(block) < 38:
        raise AudioReadError("the file ends inside its FLAC header, before any samples")
    if block[0] & 0x7F != 0 or block[1:4] != b"\0\0\x22":
        raise AudioReadError("its FLAC header does not begin with a STREAMINFO block of 34 bytes")
    packed = int.from_bytes(block[14:22], "big")  # rate 20, channels 3, bits 5, total 36
    bits = (packed >> 36 & 0x1F) + 1
    if bits < _MIN_FLAC_BITS:
        raise AudioReadError(f"its header declares {bits} bits a sample; FLAC has 4 to 32")
    md5 = block[22:38]
    return Header(
        "FLAC",
        sr=packed >> 44,
        n_channels=(packed >> 41 & 7) + 1,
        bits=bits,
        n_samples=packed & (1 << 36) - 1 or None,
        start=start,
        md5=md5 if any(md5) else None,
    )


def read_wav(file: ByteSource, magic: bytes) -> Header:
    """Return the header of a RIFF, RIFX, RF64 or BW64 file.

    Raises:
        AudioReadError: If the header is cut short or invalid, or no samples follow it.
    """
    order = ">" if magic == b"RIFX" else "<"
    size = struct.unpack(order + "I", file.at(4, 4))[0]
    file_end = 0 if size in _UNKNOWN_SIZES else 8 + size
    wide_data_size = wide_samples = fact_samples = None
    fmt = b""
    for name, length, body in _chunks(file, order):
        if name == b"ds64":
            sizes = file.at(body, 24)
            if len(sizes) == 24:
                wide_size, wide_data_size, wide_samples = struct.unpack("<QQQ", sizes)
                file_end = 8 + wide_size if size == ALL_ONES else file_end
        elif name == b"fact":
            count = file.at(body, min(length, 4))
            fact_samples = struct.unpack(order + "I", count)[0] if len(count) == 4 else None
            if fact_samples == ALL_ONES:
                fact_samples = wide_samples
        elif name == b"fmt ":
            if fmt:
                raise AudioReadError(
                    "its WAV header has two fmt chunks: which one is valid is unknown"
                )
            fmt = _fmt(file, length, body)
        elif name == b"data":
            n_bytes: int | None = length
            if length == ALL_ONES and wide_data_size is not None:
                n_bytes = wide_data_size
            elif magic in (b"RF64", b"BW64") and wide_data_size is None:
                raise AudioReadError("its header lacks the ds64 chunk that every RF64 has")
            elif length == ALL_ONES or (length in _UNKNOWN_SIZES and length > file.size - body):
                n_bytes = None
            return _header(
                fmt, order, body, file, n_bytes, file_end=file_end, fact_samples=fact_samples
            )
    raise _no_data("WAV")


def read_w64(file: ByteSource) -> Header:
    """Return the header of a Wave64 file.

    Raises:
        AudioReadError: As :func:`read_wav`.
    """
    size = struct.unpack("<Q", file.at(16, 8))[0]
    file_end = 0 if size == _UNKNOWN_W64_SIZE else size
    fact_samples = None
    fmt = b""
    for name, length, body in _chunks(file, "<", is_w64=True):
        if name == b"fmt ":
            fmt = _fmt(file, length, body)
        elif name == b"fact":
            count = file.at(body, min(length, 8))
            fact_samples = int.from_bytes(count, "little") if len(count) >= 4 else None
        elif name == b"data":
            n_bytes = None if length == _UNKNOWN_W64_SIZE - _W64_HEAD_BYTES else length
            return _header(
                fmt, "<", body, file, n_bytes,
                is_w64=True, file_end=file_end, fact_samples=fact_samples,
            )  # fmt: skip
    raise _no_data("W64")


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes can name a chunk: text, which samples seldom are."""
    return all(0x20 <= letter < 0x7F for letter in name)


def chunk_at(file: ByteSource, start: int, order: str, *, is_w64: bool) -> tuple[bytes, int | None]:
    """Return the stored name and size of a chunk, and where it ends, unpadded.

    The end is ``None`` where the file ends before.
    """
    n_bytes = _W64_HEAD_BYTES if is_w64 else 8
    head = file.at(start, n_bytes) if start < file.size else b""
    if len(head) < n_bytes:
        return head, None
    if is_w64:
        return head, start + max(struct.unpack("<Q", head[16:])[0], _W64_HEAD_BYTES)
    return head, start + 8 + struct.unpack(order + "I", head[4:])[0]


def padded(position: int, *, is_w64: bool) -> int:
    """Return where the chunk after one that ends at a position begins."""
    return position + -position % (8 if is_w64 else 2)


def _chunks(
    file: ByteSource, order: str, *, is_w64: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, the bytes of its body and where that begins."""
    position = 40 if is_w64 else 12
    for _ in range(_MAX_CHUNKS):
        head, end = chunk_at(file, position, order, is_w64=is_w64)
        if end is None:
            return
        if not is_w64 and not is_chunk_name(head[:4]):
            raise AudioReadError(f"its header is damaged: {head[:4]!r} is no name of a chunk")
        body = position + len(head)
        yield head[:4], end - body, body
        position = padded(end, is_w64=is_w64)
    raise AudioReadError(f"its header has more than {_MAX_CHUNKS:,} chunks and no samples")


def _no_data(kind: str) -> AudioReadError:
    return AudioReadError(
        f"the file ends inside its {kind} header: it has no data chunk, so no samples; copy it "
        "again, or leave it out"
    )


def _fmt(file: ByteSource, length: int, body: int) -> bytes:
    """Return the body of a fmt chunk, at most ``_FMT_BYTES`` of it."""
    fmt = file.at(body, min(length, _FMT_BYTES))
    if len(fmt) < 16:
        raise AudioReadError(
            "the file ends inside its WAV header: its fmt chunk is cut short; copy it again"
        )
    return fmt


def _header(
    fmt: bytes, order: str, start: int, file: ByteSource, n_bytes: int | None, **more: Any
) -> Header:
    """Return the header of a file whose samples have ``n_bytes`` declared bytes."""
    if not fmt:
        raise AudioReadError("its WAV header has no fmt chunk before its samples")
    encoding = _encoding(fmt, order, file, start, n_bytes)
    sample_bytes = encoding.sample_bytes
    return Header(
        "WAV",
        n_samples=n_bytes // sample_bytes if sample_bytes and n_bytes is not None else None,
        start=start,
        bytes_tell_length=True,
        n_bytes=n_bytes,
        order=order,
        fmt=fmt,
        **vars(encoding),
        **more,
    )


def encoding_name(header: Header) -> str:
    """Return the encoding of the samples in words."""
    if not header.fmt:
        return header.encoding or f"{header.bits}-bit"
    tag, bits = struct.unpack(header.order + "H12xH", header.fmt[:16])
    if tag == _EXTENSIBLE:
        (tag,) = struct.unpack(header.order + "H", header.fmt[24:26])
    name = (_PLAIN | _OF_LIBSNDFILE)[tag]
    parts = [f"{bits}-bit {name}" if tag in (_PCM, _FLOAT) else name]
    return ", ".join(parts + ["big-endian"] * (header.order == ">"))


def _encoding(
    fmt: bytes, order: str, file: ByteSource, start: int, n_bytes: int | None
) -> Encoding:
    """Return the encoding of a fmt chunk; raise AudioReadError if it is not read.

    The remedies name ``n_bytes`` bytes of the file from ``start`` on as the samples.
    """
    tag, n_channels, sr, _, align, bits = struct.unpack(order + "HHIIHH", fmt[:16])
    valid_bits, is_standard = bits, True
    if tag == _EXTENSIBLE:
        if len(fmt) < 26:
            raise AudioReadError(
                "the file ends inside its WAV header: its fmt chunk has too few bytes for "
                f"WAVE_FORMAT_EXTENSIBLE ({len(fmt)} of 40)"
            )
        valid_bits, tag = struct.unpack(order + "18xH4xH", fmt[:26])
        is_standard = fmt[26:40] == _GUID_REST
    if tag in _OF_LIBSNDFILE:
        return Encoding(sr=sr, n_channels=n_channels, block_bytes=align or 1)
    width = -(-bits // 8)
    if tag in (_A_LAW, _MU_LAW):
        bits, width, number = 0, 1, ""
    elif tag not in (_PCM, _FLOAT):
        kind = _OTHERS.get(tag)
        subject = f"its samples are {kind}" if kind else "its encoding is not known"
        raise AudioReadError(
            f"{subject} (format tag 0x{tag:04X}), which is not read; {by_ffmpeg(file.shell_name)}"
        )
    else:
        numbers = _PCM_NUMBERS if tag == _PCM else _FLOAT_NUMBERS
        if width not in numbers or (tag == _FLOAT and bits % 8):
            kind = "PCM of 1 to 32" if tag == _PCM else "floats of 32 or 64"
            raise AudioReadError(
                f"its header declares {bits:,} bits a sample, and {kind} can be read; "
                f"{by_ffmpeg(file.shell_name)}"
            )
        number = order + numbers[width]
    sample_bytes = width * n_channels
    if tag == _PCM and width == 3 and align == 4 * n_channels > 0:
        return Encoding(
            sr=sr,
            n_channels=n_channels,
            bits=bits,
            sample_bytes=align,
            block_bytes=align,
            number=order + "i4",
            valid_bits=bits,
            is_left_aligned=False,
        )
    if align not in (0, sample_bytes) and 0 < n_channels <= MAX_CHANNELS:  # 0: it is unknown
        remedy = by_ffmpeg(file.shell_name)
        if number:
            pipe = as_raw(file.shell_name, start, n_bytes, number, sr, n_channels)
            remedy = f"if it is right about the {bits} bits: {pipe}"
        raise AudioReadError(
            f"its header contradicts itself: a sample has {counted(sample_bytes, 'byte')} by its "
            f"{counted(n_channels, 'channel')} of {bits or 8} bits, and "
            f"{counted(align, 'byte')} by its block align; {remedy}"
        )
    is_narrow = tag == _PCM and is_standard and width > 1 and 0 < valid_bits < 8 * width
    return Encoding(
        sr=sr,
        n_channels=n_channels,
        bits=bits,
        sample_bytes=sample_bytes,
        block_bytes=sample_bytes or 1,
        number=number if is_standard else "",
        valid_bits=valid_bits if is_narrow else None,
    )
