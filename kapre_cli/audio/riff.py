"""The headers of WAV and its relatives: RIFF, RIFX (big-endian), RF64, BW64 and Sony Wave64.

Sources: Multimedia Programming Interface 1.0 (RIFF; samples of PCM fill the fewest bytes that hold
them, from the highest bit on), Microsoft's WAVEFORMATEXTENSIBLE (valid bits fill their container
from the highest bit on), mmreg.h (format tags), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), Sony
Wave64.
"""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from kapre_cli.audio.files import ByteSource
from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.remedies import as_raw, by_ffmpeg, raw_format_of
from kapre_cli.errors import AudioReadError
from kapre_cli.settings.checks import MAX_CHANNELS
from kapre_cli.text import counted

# Data sizes that programs write when they do not know the size: the samples continue to the end.
# All ones (ffmpeg), the largest signed number and its neighbours on even and page boundaries
# (sox and others).
ALL_ONES = 0xFFFFFFFF
UNKNOWN_SIZES = frozenset({ALL_ONES, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFF000})
_UNKNOWN_W64_SIZE = 2**63 - 1  # ffmpeg again

RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_CHUNK = W64_WAVE[4:]  # the end of the identifier of every chunk but the first

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


def read_wav(file: ByteSource, magic: bytes) -> Header:
    """Return the header of a RIFF, RIFX, RF64 or BW64 file.

    Raises:
        AudioReadError: If the header is cut short or invalid, or no samples follow it.
    """
    order = ">" if magic == b"RIFX" else "<"
    size = struct.unpack(order + "I", file.at(4, 4))[0]
    file_end = 0 if size in UNKNOWN_SIZES else 8 + size
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
            header = partial(
                _header, fmt, order, body, file, file_end=file_end, fact_samples=fact_samples
            )
            if length == ALL_ONES and wide_data_size is not None:
                return header(wide_data_size)
            if magic in (b"RF64", b"BW64") and wide_data_size is None:
                raise AudioReadError("its header lacks the ds64 chunk that every RF64 has")
            left = file.size - body
            open_ended = length == ALL_ONES or (length in UNKNOWN_SIZES and length > left)
            return header(None if open_ended else length)
    raise AudioReadError(
        "the file ends inside its WAV header: it has no data chunk, so no samples; copy it "
        "again, or leave it out"
    )


def _chunks(file: ByteSource, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, its length in bytes and where its body begins."""
    position = 12
    for _ in range(_MAX_CHUNKS):
        head = file.at(position, 8) if position < file.size else b""
        if len(head) < 8:
            return
        if not is_chunk_name(head[:4]):
            raise AudioReadError(f"its header is damaged: {head[:4]!r} is no name of a chunk")
        length = struct.unpack(order + "I", head[4:])[0]
        yield head[:4], length, position + 8
        position += 8 + length + length % 2
    raise _too_many_chunks()


def read_w64(file: ByteSource) -> Header:
    """Return the header of a Wave64 file.

    Raises:
        AudioReadError: As :func:`read_wav`.
    """
    file_end = struct.unpack("<Q", file.at(16, 8))[0]
    fact_samples = None
    fmt = b""
    position = 40
    for _ in range(_MAX_CHUNKS):
        head = file.at(position, 24) if position < file.size else b""
        if len(head) < 24:
            raise AudioReadError(
                "the file ends inside its W64 header: it has no data chunk, so no samples; "
                "copy it again, or leave it out"
            )
        name, length = head[:4], struct.unpack("<Q", head[16:])[0]
        body = position + 24
        if name == b"fmt ":
            fmt = _fmt(file, length - 24, body)
        elif name == b"fact":
            count = file.at(body, min(max(length - 24, 0), 8))
            fact_samples = int.from_bytes(count, "little") if len(count) >= 4 else None
        elif name == b"data":
            n_bytes = None if length == _UNKNOWN_W64_SIZE else max(length - 24, 0)
            return _header(
                fmt,
                "<",
                body,
                file,
                n_bytes,
                is_w64=True,
                file_end=0 if file_end == _UNKNOWN_W64_SIZE else file_end,
                fact_samples=fact_samples,
            )
        position += max(length + -length % 8, 24)
    raise _too_many_chunks()


def _fmt(file: ByteSource, length: int, body: int) -> bytes:
    """Return the body of a fmt chunk, at most ``_FMT_BYTES`` of it."""
    fmt = file.at(body, min(max(length, 0), _FMT_BYTES))
    if len(fmt) < 16:
        raise AudioReadError(
            "the file ends inside its WAV header: its fmt chunk is cut short; copy it again"
        )
    return fmt


def _too_many_chunks() -> AudioReadError:
    return AudioReadError(f"its header has more than {_MAX_CHUNKS:,} chunks and no samples")


def _header(
    fmt: bytes, order: str, start: int, file: ByteSource, n_bytes: int | None, **more: Any
) -> Header:
    """Return the header of a file with ``n_bytes`` declared bytes of samples from ``start`` on."""
    if not fmt:
        raise AudioReadError("its WAV header has no fmt chunk before its samples")
    encoding = encoding_of(fmt, order, SamplesAt(file, start, n_bytes))
    sample_bytes = encoding.sample_bytes
    return Header(
        "WAV",
        n_samples=n_bytes // sample_bytes if sample_bytes and n_bytes is not None else None,
        start=start,
        bytes_tell_length=True,
        n_bytes=n_bytes,
        missing_bytes=max((n_bytes or 0) - (file.size - start), 0),
        order=order,
        fmt=fmt,
        **encoding._asdict(),
        **more,
    )


def plain_head(header: Header, n_bytes: int) -> bytes:
    """Return a header of the same encoding that declares ``n_bytes`` and nothing else.

    RIFF has sizes of 32 bits and pads blocks of an odd size: larger files and such blocks get a
    header of Wave64. Wave64 has no big-endian samples: their size is limited to 32 bits.
    """
    fmt = header.fmt
    has_odd_blocks = header.sample_bytes is None and n_bytes % 2 == 1
    if header.order == "<" and (has_odd_blocks or n_bytes + len(fmt) + 64 > ALL_ONES):
        chunks = W64_WAVE + _w64_chunk(b"fmt ", len(fmt)) + fmt + bytes(-len(fmt) % 8)
        chunks += _w64_chunk(b"data", n_bytes)
        return W64_RIFF + struct.pack("<Q", 24 + len(chunks) + n_bytes) + chunks
    size = struct.Struct(header.order + "I")
    padded = fmt + bytes(len(fmt) % 2)
    chunks = (
        b"WAVEfmt " + size.pack(len(fmt)) + padded + b"data" + size.pack(min(n_bytes, ALL_ONES))
    )
    magic = b"RIFX" if header.order == ">" else b"RIFF"
    return magic + size.pack(min(len(chunks) + n_bytes, ALL_ONES)) + chunks


def _w64_chunk(name: bytes, length: int) -> bytes:
    return name + _W64_CHUNK + struct.pack("<Q", 24 + length)


class Encoding(NamedTuple):
    """The encoding of a WAV by its fmt chunk.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        bits: Bits of a sample; 0 for an encoding without a number of bits for each sample.
        sample_bytes: Bytes of one sample of all channels; ``None`` if there is no fixed number.
        block_bytes: Bytes of the smallest part that can be decoded.
        number: How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits; empty for
            an encoding that is more than a number for each sample.
        valid_bits: How many bits of each number are used; ``None``: all of them.
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


class SamplesAt(NamedTuple):
    """The location of the samples in a file.

    Attributes:
        file: The file.
        start: Where they begin.
        n_bytes: How many bytes they have; ``None``: up to the end of the file.
    """

    file: ByteSource
    start: int
    n_bytes: int | None

    def as_raw(self, encoding: Encoding) -> str:
        """Return the pipe that reads them without their header."""
        raw_format = raw_format_of(encoding.number, encoding.sr, encoding.n_channels)
        return as_raw(self.file.shell_name, self.start, self.n_bytes, raw_format)


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


def encoding_of(fmt: bytes, order: str, samples: SamplesAt) -> Encoding:
    """Return the encoding that a fmt chunk describes.

    Args:
        fmt: Its body, of at least 16 bytes.
        order: Byte order as :mod:`struct` writes it.
        samples: Location of the samples, for remedies.

    Raises:
        AudioReadError: If the encoding cannot be read, or contradicts itself.
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
        return Encoding(sr, n_channels, block_bytes=align or 1)
    if tag in (_A_LAW, _MU_LAW):
        return _with_block_align(Encoding(sr, n_channels), align, 1, samples)
    if tag not in (_PCM, _FLOAT):
        raise _unknown(tag, samples.file.shell_name)
    width = -(-bits // 8)
    numbers = _PCM_NUMBERS if tag == _PCM else _FLOAT_NUMBERS
    if width not in numbers or (tag == _FLOAT and bits % 8):
        kind = "PCM of 1 to 32" if tag == _PCM else "floats of 32 or 64"
        raise AudioReadError(
            f"its header says {bits:,} bits a sample, and {kind} can be read; "
            f"{by_ffmpeg(samples.file.shell_name)}"
        )
    encoding = Encoding(sr, n_channels, bits, number=order + numbers[width])
    if tag == _PCM and width == 3 and align == 4 * n_channels > 0:
        return encoding._replace(
            sample_bytes=align,
            block_bytes=align,
            number=order + "i4",
            valid_bits=bits,
            is_left_aligned=False,
        )
    encoding = _with_block_align(encoding, align, width, samples)
    if not is_standard:
        return encoding._replace(number="")
    if tag == _PCM and width > 1 and 0 < valid_bits < 8 * width:
        return encoding._replace(valid_bits=valid_bits)
    return encoding


def _with_block_align(encoding: Encoding, align: int, width: int, samples: SamplesAt) -> Encoding:
    """Return the encoding of adjacent samples of ``width`` bytes each.

    Raises:
        AudioReadError: If the block align contradicts them; 0 means that it is unknown.
    """
    sample_bytes = width * encoding.n_channels
    if align not in (0, sample_bytes) and 0 < encoding.n_channels <= MAX_CHANNELS:
        bits = encoding.bits or 8
        if encoding.number:
            remedy = f"if it is right about the {bits} bits: {samples.as_raw(encoding)}"
        else:
            remedy = by_ffmpeg(samples.file.shell_name)
        raise AudioReadError(
            f"its header contradicts itself: a sample has {counted(sample_bytes, 'byte')} by its "
            f"{counted(encoding.n_channels, 'channel')} of {bits} bits, and "
            f"{counted(align, 'byte')} by its block align; {remedy}"
        )
    return encoding._replace(sample_bytes=sample_bytes, block_bytes=sample_bytes or 1)


def _unknown(tag: int, name: str | None) -> AudioReadError:
    kind = _OTHERS.get(tag)
    what = f"its samples are {kind}" if kind else "its encoding is not known"
    return AudioReadError(f"{what} (format tag 0x{tag:04X}), which is not read; {by_ffmpeg(name)}")
