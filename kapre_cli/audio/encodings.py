"""What the fmt chunk of a WAV says of its samples: how each is encoded, how they lie in a frame.

Sources: Multimedia Programming Interface 1.0 (samples of PCM fill the fewest bytes that hold them,
from the highest bit on), Microsoft's WAVEFORMATEXTENSIBLE (valid bits fill their container from
the highest bit on), mmreg.h (format tags).
"""

import struct
from typing import NamedTuple

from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import ByteSource
from kapre_cli.audio.remedies import as_raw, by_ffmpeg, raw_format_of
from kapre_cli.errors import AudioReadError
from kapre_cli.settings.checks import MAX_CHANNELS
from kapre_cli.text import counted

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
_GUID_REST = bytes.fromhex("000000001000800000aa00389b71")  # behind the tag, of the plain formats


class Encoding(NamedTuple):
    """What a fmt chunk says.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        bits: Bits of a sample; 0 for an encoding without a number of bits for each sample.
        frame_bytes: Bytes of a frame; ``None`` if an encoding has none for each frame.
        block_bytes: Bytes of the smallest part that can be decoded.
        number: How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits; empty for
            an encoding that is more than a number for each.
        valid_bits: How many bits of each number are used; ``None``: all of them.
        is_left_aligned: Whether these are known to be the highest ones.
    """

    sr: int
    n_channels: int
    bits: int = 0
    frame_bytes: int | None = None
    block_bytes: int = 1
    number: str = ""
    valid_bits: int | None = None
    is_left_aligned: bool = True


class SamplesAt(NamedTuple):
    """Where the samples of a file lie.

    Attributes:
        file: The file.
        start: Where they begin.
        n_bytes: Bytes of them; ``None``: up to the end of the file.
    """

    file: ByteSource
    start: int
    n_bytes: int | None

    def as_raw(self, encoding: Encoding) -> str:
        """Return the pipe that reads them without their header."""
        raw_format = raw_format_of(encoding.number, encoding.sr, encoding.n_channels)
        return as_raw(self.file.shell_name, self.start, self.n_bytes, raw_format)


def encoding_name(header: Header) -> str:
    """Return in words how a file that can be read holds its samples."""
    if not header.fmt:
        return f"{header.bits}-bit"
    tag, bits = struct.unpack(header.order + "H12xH", header.fmt[:16])
    if tag == _EXTENSIBLE:
        (tag,) = struct.unpack(header.order + "H", header.fmt[24:26])
    name = (_PLAIN | _OF_LIBSNDFILE)[tag]
    parts = [f"{bits}-bit {name}" if tag in (_PCM, _FLOAT) else name]
    return ", ".join(parts + ["big-endian"] * (header.order == ">"))


def encoding_of(fmt: bytes, order: str, samples: SamplesAt) -> Encoding:
    """Return what a fmt chunk says.

    Args:
        fmt: Its body, of at least 16 bytes.
        order: Byte order as :mod:`struct` writes it.
        samples: Where its samples lie, for remedies.

    Raises:
        AudioReadError: If the encoding is none that is read, or contradicts itself.
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
        return _side_by_side(Encoding(sr, n_channels), align, 1, samples)
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
            frame_bytes=align,
            block_bytes=align,
            number=order + "i4",
            valid_bits=bits,
            is_left_aligned=False,
        )
    encoding = _side_by_side(encoding, align, width, samples)
    if not is_standard:
        return encoding._replace(number="")
    if tag == _PCM and width > 1 and 0 < valid_bits < 8 * width:
        return encoding._replace(valid_bits=valid_bits)
    return encoding


def _side_by_side(encoding: Encoding, align: int, width: int, samples: SamplesAt) -> Encoding:
    """Return an encoding of samples of ``width`` bytes that lie side by side.

    Raises:
        AudioReadError: If the block align is not what these make; 0 says nothing.
    """
    frame_bytes = width * encoding.n_channels
    if align not in (0, frame_bytes) and 0 < encoding.n_channels <= MAX_CHANNELS:
        bits = encoding.bits or 8
        if encoding.number:
            remedy = f"if it is right about the {bits} bits: {samples.as_raw(encoding)}"
        else:
            remedy = by_ffmpeg(samples.file.shell_name)
        raise AudioReadError(
            f"its header contradicts itself: frames have {counted(frame_bytes, 'byte')} by its "
            f"{counted(encoding.n_channels, 'channel')} of {bits} bits, and "
            f"{counted(align, 'byte')} by its block align; {remedy}"
        )
    return encoding._replace(frame_bytes=frame_bytes, block_bytes=frame_bytes or 1)


def _unknown(tag: int, name: str | None) -> AudioReadError:
    kind = _OTHERS.get(tag)
    what = f"its samples are {kind}" if kind else "its encoding is not known"
    return AudioReadError(f"{what} (format tag 0x{tag:04X}), which is not read; {by_ffmpeg(name)}")
