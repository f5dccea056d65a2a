"""Files and things that stand where a recording should, and what is to become of each.

WAV and FLAC are written by hand here, from their specifications: libraries refuse to write most
of what recorders that died, copies that broke off and full disks leave behind.
"""

import gzip
import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests import flac

GROUPS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "truncated": ("--allow-truncated",),
    "zero": ("--non-finite", "zero"),
    "keep": ("--non-finite", "keep"),
    "unverified": ("--no-verify-audio",),
    "limited": ("--max-samples", "2000"),
    "resampled": ("--resample",),
    "channel": ("--channel", "1"),
    "valid": ("--padding", "valid"),
}
_FOR_A_FEW = ("channel", "valid")
EVERYWHERE = tuple(name for name in GROUPS if name not in _FOR_A_FEW)


@dataclass(frozen=True)
class Written:
    """What is written of a file that is odd but sound, or was allowed.

    Attributes:
        n_samples: Samples of each channel.
        n_missing: Frames that the metadata says are missing.
        n_non_finite: Samples that the metadata says are NaN or infinite.
        plain: Whether they are the first of ``SAMPLES``.
    """

    n_samples: int
    n_missing: int = 0
    n_non_finite: int = 0
    plain: bool = True


VerifyResult = str | Written
Make = Callable[[Path], object]


@dataclass(frozen=True)
class BadInput:
    """One thing that a run meets.

    Attributes:
        name: What is wrong with it, or odd.
        make: Makes it at a path.
        verdict: What the reason that it fails with has in it, as a regular expression; or what
            is to be written of it.
        suffix: How its name ends.
        under: Other verdicts by the name of the group of options, one of ``GROUPS``.
        groups: In which groups it is tried.
        file: All of its name; ``None``: made of ``name`` and ``suffix``.
    """

    name: str
    make: Make
    verdict: VerifyResult
    suffix: str = ".wav"
    under: Mapping[str, VerifyResult] = field(default_factory=dict)
    groups: tuple[str, ...] = EVERYWHERE
    file: bytes | None = None

    def verdict_in(self, group: str) -> VerifyResult:
        """Return what is to become of it under a group of options."""
        return self.under.get(group, self.verdict)

    def path_in(self, folder: Path) -> Path:
        """Return where it stands in a folder."""
        return folder / os.fsdecode(self.file or os.fsencode(self.name + self.suffix))


def _holding(content: bytes) -> Make:
    """Return what makes a file with this content."""
    return lambda path: path.write_bytes(content)


def wav_input(name: str, content: bytes, verdict: VerifyResult, **under: VerifyResult) -> BadInput:
    """Return a file that is called .wav, with other verdicts by group."""
    return BadInput(name, _holding(content), verdict, under=under)


def flac_input(name: str, content: bytes, verdict: VerifyResult, **under: VerifyResult) -> BadInput:
    """Return a file that is called .flac, with other verdicts by group."""
    return BadInput(name, _holding(content), verdict, ".flac", under=under)


# WAV

N_FRAMES = 1000
SAMPLES = flac.noise(N_FRAMES, 1, 16)
PCM = SAMPLES.astype("<i2").tobytes()
ALL_ONES = 0xFFFFFFFF
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    """Return a chunk that says a ``size`` of its own, if one is given."""
    said = len(body) if size is None else size
    return name + struct.pack(order + "I", said) + body + bytes(len(body) % 2)


def fmt(
    tag: int = 1,
    n_channels: int = 1,
    sr: int = 8000,
    bits: int = 16,
    align: int | None = None,
    order: str = "<",
    more: bytes = b"",
) -> bytes:
    """Return a fmt chunk."""
    align = n_channels * -(-bits // 8) if align is None else align
    rates = (sr, min(sr * align, ALL_ONES), align & 0xFFFF, bits)
    return chunk(
        b"fmt ", struct.pack(order + "HHIIHH", tag, n_channels, *rates) + more, order=order
    )


def data(body: bytes = PCM, size: int | None = None) -> bytes:
    """Return a data chunk."""
    return chunk(b"data", body, size)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    """Return a file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    order = ">" if magic == b"RIFX" else "<"
    return magic + struct.pack(order + "I", len(body) if size is None else size) + body


def extensible(sub_format: bytes, bits: int = 16) -> bytes:
    """Return a fmt chunk of the extensible kind."""
    return fmt(0xFFFE, bits=bits, more=struct.pack("<HHI", 22, bits, 4) + sub_format)


def floats(*changes: tuple[Any, float], bits: int = 32, n_channels: int = 1) -> bytes:
    """Return a float WAV of noise, changed at some places."""
    signal = np.random.default_rng(1).uniform(-1, 1, (N_FRAMES, n_channels))
    for place, value in changes:
        signal[place] = value
    return riff(fmt(3, n_channels, bits=bits), data(signal.astype(f"<f{bits // 8}").tobytes()))


def encoded(
    subtype: str, kind: str = "WAV", n_channels: int = 1, n_frames: int = 20_000, **options: Any
) -> bytes:
    """Return noise as libsndfile writes it."""
    file = io.BytesIO()
    signal = flac.noise(n_frames, n_channels, 16).astype(np.int16)
    soundfile.write(file, signal, 8000, subtype=subtype, format=kind, **options)
    return file.getvalue()


def ds64(n_bytes: int) -> bytes:
    """Return the chunk that has the wide sizes of RF64."""
    return chunk(b"ds64", struct.pack("<QQQI", n_bytes + 72, n_bytes, N_FRAMES, 0))


def rf64(*chunks: bytes) -> bytes:
    """Return a file of chunks whose size stands in one of them."""
    return riff(*chunks, magic=b"RF64", size=ALL_ONES)


W64 = encoded("PCM_16", "W64", n_frames=N_FRAMES)
W64_DATA = W64.index(b"data")
W64_FMT = W64.index(b"fmt ")
WAV = riff(fmt(), data())
LIST = chunk(b"LIST", b"INFOISFT\4\0\0\0bat\0")


def replaced(content: bytes, at: int, by: bytes) -> bytes:
    """Return ``content`` with other bytes at one place."""
    return content[:at] + by + content[at + len(by) :]


# FLAC

BLOCK = 256
FRAMES = [
    flac.frame(SAMPLES[start : start + BLOCK], 16, number)
    for number, start in enumerate(range(0, N_FRAMES, BLOCK))
]
MD5 = flac.md5_of(SAMPLES, 16)


def flac_file(
    *frames: bytes,
    total: int = N_FRAMES,
    md5: bytes = MD5,
    sr: int = 8000,
    bits: int = 16,
    blocks: bytes = b"",
) -> bytes:
    """Return a FLAC file of frames, with metadata blocks behind STREAMINFO."""
    head = flac.streaminfo(sr, 1, bits, BLOCK, total, md5)
    if blocks:
        head = replaced(head, 4, b"\0")
    return head + blocks + b"".join(frames or FRAMES)


def flipped(content: bytes, at: int) -> bytes:
    """Return ``content`` with one bit of one byte changed."""
    return replaced(content, at, bytes([content[at] ^ 4]))


def reheaded(frame: bytes, at: int, value: int) -> bytes:
    """Return a frame with another byte in its header, and checksums that are right."""
    head = replaced(frame[:7], at, bytes([value]))
    content = head + bytes([flac.crc8(head)]) + frame[8:-2]
    return content + flac.crc16(content).to_bytes(2, "big")


FLAC = flac_file()
STREAMINFO = FLAC[4:42]
ID3V1 = b"TAG" + b"title".ljust(90, b"\0") + b"1999" + bytes(30) + b"\xff"
ID3V2 = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
HOUR = 3600 * 8000
_IMAGE = bytes(range(256)) * 20_000
PICTURE = struct.pack(">I", 3) + struct.pack(">I", 9) + b"image/png" + struct.pack(">I", 0)
PICTURE += struct.pack(">5I", 800, 600, 24, 0, len(_IMAGE)) + _IMAGE
PICTURE = b"\x86" + len(PICTURE).to_bytes(3, "big") + PICTURE


# The corpus

WHOLE = Written(N_FRAMES)
NO_AUDIO = "^it is not WAV or FLAC: it begins with b"
LOST_SYNC = r"flac decoder lost sync\); --allow-truncated reads the available samples$"


def other(kind: str) -> str:
    """Return what is said of another format."""
    return f"^it is {kind}, not WAV or FLAC; pipe it through ffmpeg: ffmpeg -v error -i "


def fewer(declared: int, available: int) -> str:
    """Return the message for a file that ends too early."""
    counts = f"{declared:,} samples, {available:,} (are available|could be decoded)"
    return (
        f"^truncated: the header declares {counts}; --allow-truncated reads the available samples"
    )


def stale(declared: int, there: int, behind: int) -> str:
    """Return what is said of a WAV that goes on after its samples."""
    return (
        f"^the header declares {declared:,} samples, {there:,} are available: the {behind:,} "
        "bytes after the samples are no chunks, .* --allow-truncated reads on to the end"
    )


def unwritten_size(frames: int, n_bytes: int) -> str:
    """Return what is said of a WAV whose recorder never wrote the size."""
    return rf"^the header declares 0 samples, {n_bytes:,} bytes \({frames:,} samples\) follow it"


def damaged(came: int, why: str = "flac decoder lost sync") -> str:
    """Return what is said of a FLAC file that cannot be decoded to its end."""
    return (
        f"^damaged or truncated: the header declares 1,000 samples, {came:,} could be decoded "
        rf"\(.*{why}.*\); --allow-truncated reads the available samples$"
    )


def surplus(came: int) -> str:
    """Return what is said of a FLAC file that goes on behind its total."""
    return f"^the header declares 1,000 samples, {came:,} could be decoded; --allow-truncated"


def contradicts(n_bytes: int, samples: str, align: int, raw: str) -> str:
    """Return what is said of a block align that the samples of a WAV do not make."""
    return (
        rf"^its header contradicts itself: a sample has {n_bytes} bytes by its {samples}, and "
        rf"{align} bytes? by its block align; .*: tail -c \+45 .* \| head -c 2000 \| "
        rf"kapre-extract ... - --raw-format {raw},8000,1$"
    )


def unread(tag: int, what: str) -> str:
    """Return what is said of the samples of a WAV that are encoded in a way that is not read."""
    return (
        rf"^{what} \(format tag 0x{tag:04X}\), which is not read; pipe it through ffmpeg: "
        r"ffmpeg -v error -i .* -c:a pcm_f32le -f wav - \| kapre-extract \.\.\. -$"
    )


def dangling(target: str) -> str:
    """Return what is said of a link whose target does not exist."""
    return (
        f"^cannot be opened: it is a link to {target!r}, which does not exist; restore it, or "
        "link to where it is now$"
    )


def not_finite(frame: int, channel: int, value: str) -> str:
    """Return what is said of samples that are no numbers."""
    at = f"{frame / 8000:.3f}"
    return (
        rf"^NaN or infinite samples, the first at sample {frame} \({at} s\) of channel {channel}: "
        f"{value}; --non-finite zero sets them to 0$"
    )


def other_rate(sr: int) -> str:
    """Return what is said of a rate that is not the run's."""
    return rf"^sample rate is {sr:,} Hz, this run uses 8,000 Hz \(use --resample, or --sr {sr}\)$"


def too_far(sr: int) -> str:
    """Return what is said of a rate that is not resampled."""
    return f"^sample rate is {sr:,} Hz, this run uses 8,000 Hz: more than a factor of 256"


def no_wav(why: str) -> str:
    """Return what is said of a WAV that libsndfile refuses."""
    return f"^libsndfile cannot open it: .*{why}"


WRONG_MD5 = "^damaged: the MD5 of its samples is not the one in its header; --no-verify-audio"
SO_FEW = ", and no recording has so few bytes; copy it again, or leave it out$"
TEXT = ", which is text; name a recording instead$"
CUT_HEADER = "^the file ends inside its WAV header: its fmt chunk is cut short; copy it again$"
NO_DATA = "^the file ends inside its WAV header: it has no data chunk, so no samples; copy it"
NO_FMT = "^its WAV header has no fmt chunk before its samples$"
TWO_FMT = "^its WAV header has two fmt chunks"
TWO_DATA = "^it has a second data chunk after its samples, and a WAV has one; write it again"
NOTHING = r"^the file has a header and no samples: .*; leave it out$"


def odd(n_samples: int, **metadata: int) -> Written:
    """Return that samples are written which are not ``SAMPLES``."""
    return Written(n_samples, **metadata, plain=False)


def _zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.wav"), WAV)
    return file.getvalue()


NO_RECORDINGS = (
    wav_input("empty", b"", r"^the file is empty \(0 bytes\): .*; copy it again, or leave it out$"),
    *(
        wav_input(
            f"the first {n} bytes of a WAV",
            WAV[:n],
            f"begins with {re.escape(repr(WAV[:n]))}{SO_FEW}",
        )
        for n in range(1, 12)
    ),
    wav_input("the first 12 bytes of a WAV", WAV[:12], NO_DATA),
    wav_input(
        "text", b"time,species\n22:10,Nyctalus noctula\n", NO_AUDIO + "'time,species'" + TEXT
    ),
    wav_input(
        "web page",
        b"<!DOCTYPE html>\n<title>404</title>",
        r"^it is a web page \(HTML\), .*; a download has failed .*; fetch it again$",
    ),
    wav_input("control characters", b"\x1b[31m\r\n\x07\x9b2J" * 9, NO_AUDIO + r"'\\x1b\[31m\\r\\n"),
    wav_input("zeros", bytes(4000), "^it begins with zeros where its header should be: .*; copy"),
    wav_input("ones", b"\xff" * 4000, NO_AUDIO + r"'\\xff"),
    wav_input("Ogg", b"OggS\0\2" + bytes(60), other("Ogg")),
    flac_input("FLAC in Ogg", b"OggS\0\2" + bytes(22) + b"\x7fFLAC" + FLAC, other("Ogg")),
    wav_input("MP3", b"\xff\xfb\x90\x64" + bytes(400), other("MP3")),
    wav_input("MP3 with a tag", ID3V2 + b"\xff\xfb\x90\x64" + bytes(400), other("MP3")),
    wav_input("AIFF", encoded("PCM_16", "AIFF"), other("AIFF")),
    wav_input("CAF", encoded("PCM_16", "CAF"), other("CAF")),
    wav_input("AU", encoded("PCM_16", "AU"), other("AU")),
    wav_input("MP4", b"\0\0\0\x20ftypM4A " + bytes(60), other("MP4")),
    flac_input("WavPack", b"wvpk" + bytes(60), other("WavPack")),
    flac_input("Monkey's Audio", b"MAC \x96\x0f" + bytes(60), other("Monkey's Audio")),
    wav_input("zip", _zipped(), "^it is a zip archive, .*; unpack it first, with unzip .*zip.wav"),
    flac_input(
        "gzip",
        gzip.compress(FLAC, mtime=0),
        r"^it is gzip, .*; unpack it on the way: gzip -dc < .*gzip.flac \| kapre-extract ... -$",
    ),
    wav_input("PNG", b"\x89PNG\r\n\x1a\n" + bytes(40), "^it is a picture, .*; it holds no samples"),
    wav_input("RIFF of pictures", replaced(WAV, 8, b"AVI "), other("AVI")),
    wav_input("a FLAC called wav", FLAC, WHOLE),
    flac_input("a WAV called flac", WAV, WHOLE),
)

HEADERS = (
    wav_input("no data chunk", riff(fmt(), LIST), NO_DATA),
    wav_input("no fmt chunk", riff(data()), NO_FMT),
    wav_input("fmt cut short", riff(chunk(b"fmt ", bytes(12)), data()), CUT_HEADER),
    wav_input("fmt behind data", riff(data(), fmt()), NO_FMT),
    wav_input("fmt twice", riff(fmt(), fmt(), data()), TWO_FMT),
    wav_input(
        "two fmt that differ",
        riff(fmt(), fmt(n_channels=2, sr=16_000), data()),
        TWO_FMT,
        resampled=TWO_FMT,
    ),
    wav_input("two data chunks", riff(fmt(), data(PCM[:1200]), data(PCM[1200:])), TWO_DATA),
    wav_input(
        "two data chunks with more between",
        riff(fmt(), data(PCM[:1200]), fmt(), data(PCM[1200:])),
        TWO_DATA,
    ),
    wav_input("ends inside fmt", WAV[:30], CUT_HEADER),
    wav_input("ends inside the data size", WAV[:42], NO_DATA),
    wav_input(
        "JUNK in front and between", riff(chunk(b"JUNK", bytes(28)), fmt(), LIST, data()), WHOLE
    ),
    wav_input(
        "chunk of control characters",
        riff(fmt(), chunk(b"\0\1\2\3", b"xyz"), data()),
        "^its header is damaged: .* is no name of a chunk",
    ),
    wav_input("chunk beyond the end", riff(fmt(), chunk(b"LIST", b"abcd", 5000), data()), NO_DATA),
    wav_input("fmt size overflows", riff(chunk(b"fmt ", fmt()[8:], 0xFFFFFFF8), data()), NO_DATA),
    wav_input(
        "chunk overflows", riff(chunk(b"JUNK", bytes(4), 0xFFFFFFF4), fmt(), data()), NO_DATA
    ),
    wav_input(
        "1,500 chunks",
        riff(*[chunk(b"JUNK", b"")] * 1500, fmt(), data()),
        "^its header has more than 1,000 chunks and no samples$",
    ),
    wav_input("wrong RIFF size", riff(fmt(), data(), size=7), WHOLE),
    *(
        wav_input(
            f"{n:,} channels",
            riff(fmt(n_channels=n), data()),
            f"declares {n:,} channels; 1 to 1,024",
        )
        for n in (0, 1025, 65_535)
    ),
    wav_input(
        "1,024 channels", riff(fmt(n_channels=1024), data((PCM * 104)[: 2048 * 100])), odd(100)
    ),
    *(
        wav_input(
            f"{sr:,} Hz",
            riff(fmt(sr=sr), data()),
            f"declares a sample rate of {sr:,} Hz; 1 to 100,0",
        )
        for sr in (0, 200_000_000, 2**32 - 1)
    ),
    wav_input("1 Hz", riff(fmt(sr=1), data()), other_rate(1), resampled=too_far(1)),
    wav_input("100 MHz", riff(fmt(sr=10**8), data()), other_rate(10**8), resampled=too_far(10**8)),
    wav_input("16 kHz", riff(fmt(sr=16_000), data()), other_rate(16_000), resampled=odd(500)),
    *(
        wav_input(
            f"{bits} bits",
            riff(fmt(bits=bits), data()),
            f"^its header declares {bits:,} bits a sample, and PCM of 1 to 32 can be read; pipe it",
        )
        for bits in (0, 64, 65_535)
    ),
    wav_input("7 bits", riff(fmt(bits=7), data(PCM[:N_FRAMES])), odd(N_FRAMES)),
    wav_input("9 bits in 16", riff(fmt(bits=9), data()), WHOLE),
    wav_input(
        "24 bits in 16",
        riff(fmt(bits=24, align=2), data()),
        contradicts(3, "1 channel of 24 bits", 2, "s24le"),
    ),
    wav_input("no block align", riff(fmt(align=0), data()), WHOLE),
    *(
        wav_input(
            f"block align of {align}",
            riff(fmt(align=align), data()),
            contradicts(2, "1 channel of 16 bits", align, "s16le"),
        )
        for align in (1, 3, 4)
    ),
    *(
        wav_input(
            f"format tag {tag:#x}", riff(fmt(tag), data()), unread(tag, "its encoding is not known")
        )
        for tag in (0, 0x1234)
    ),
    wav_input(
        "MS-ADPCM of 16 bits", riff(fmt(2), data()), no_wav("ADPCM WAV file. Invalid bit width")
    ),
    wav_input(
        "float of 16 bits",
        riff(fmt(3), data()),
        "^its header declares 16 bits a sample, and floats of 32 or 64 can be read; "
        "pipe it through ff",
    ),
    # The encoding is told before the sizes, which are half of what they should be here.
    wav_input(
        "MP3 in a WAV cut short",
        riff(fmt(0x55), data(size=4000)),
        unread(0x55, "its samples are MP3"),
    ),
    wav_input("AC-3 in a WAV", riff(fmt(0x2000), data()), unread(0x2000, "its samples are AC-3")),
    wav_input("AAC in a WAV", riff(fmt(0xFF), data()), unread(0xFF, "its samples are AAC")),
    wav_input("extensible PCM", riff(extensible(b"\1\0" + GUID_TAIL), data()), WHOLE),
    wav_input(
        "extensible of another kind",
        riff(extensible(b"\x12\x34" * 8), data()),
        unread(0x3412, "its encoding is not known"),
    ),
    wav_input(
        "extensible cut short",
        riff(fmt(0xFFFE, more=bytes(4)), data()),
        r"^the file ends inside its WAV header: .* WAVE_FORMAT_EXTENSIBLE \(20 of 40\)$",
    ),
    wav_input("big-endian", encoded("PCM_16", endian="BIG", n_frames=N_FRAMES), WHOLE),
    wav_input(
        "big-endian called little",
        b"RIFF" + encoded("PCM_16", endian="BIG", n_frames=N_FRAMES)[4:],
        NO_DATA,
    ),
)

HALF = riff(fmt(), data())[:1044]

SIZES = (
    wav_input("no samples", riff(fmt(), data(b"")), NOTHING),
    wav_input(
        "size 0",
        riff(fmt(), data(size=0)),
        unwritten_size(N_FRAMES, 2000),
        truncated=Written(N_FRAMES, -N_FRAMES),
    ),
    *(
        wav_input(f"size {size:#x}", riff(fmt(), data(size=size), size=size), WHOLE)
        for size in (0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFF000, 0x7FFFFFFF)
    ),
    wav_input(
        "size with its highest bit",
        riff(fmt(), data(size=2**31)),
        fewer(2**30, N_FRAMES),
        truncated=Written(N_FRAMES, 2**30 - N_FRAMES),
    ),
    wav_input(
        "stale size",
        riff(fmt(), data(size=600)),
        stale(300, 1000, 1400),
        truncated=Written(N_FRAMES, -700),
    ),
    wav_input(
        "size too large",
        riff(fmt(), data(size=3000)),
        fewer(1500, N_FRAMES),
        truncated=Written(N_FRAMES, 500),
    ),
    wav_input(
        "size that takes in half of the chunk behind",
        riff(fmt(), data(size=2010), LIST),
        stale(1005, 1012, 14),
        truncated=odd(1012, n_missing=-7),
    ),
    wav_input("half of it", HALF, fewer(N_FRAMES, 500), truncated=Written(500, 500)),
    wav_input(
        "half of it and a byte", WAV[:1045], fewer(N_FRAMES, 500), truncated=Written(500, 500)
    ),
    wav_input("one byte lost", WAV[:-1], fewer(N_FRAMES, 999), truncated=Written(999, 1)),
    wav_input("no byte of the samples", WAV[:44], fewer(N_FRAMES, 0), truncated=NOTHING),
    wav_input(
        "odd size without a pad",
        riff(fmt(bits=8), b"data" + struct.pack("<I", 999) + PCM[:999], LIST),
        odd(999),
    ),
    wav_input("half a sample more", riff(fmt(), data(PCM[:-1], 1999)), Written(999)),
    wav_input("half a frame more", riff(fmt(n_channels=2), data(PCM[:-2])), odd(499)),
    wav_input(
        "LIST cut short",
        riff(fmt(), data(), LIST[:-5]),
        WHOLE,
    ),
    wav_input("zeros behind", WAV + bytes(4096), WHOLE),
    wav_input(
        "noise behind", WAV + PCM[:501], stale(1000, 1250, 501), truncated=odd(1250, n_missing=-250)
    ),
    wav_input(
        "words behind",
        WAV + b"recorded by me",
        stale(1000, 1007, 14),
        truncated=odd(1007, n_missing=-7),
    ),
    wav_input("RF64", rf64(ds64(2000), fmt(), data(size=ALL_ONES)), WHOLE),
    wav_input(
        "RF64 with a stale size",
        rf64(ds64(600), fmt(), data(size=ALL_ONES)),
        stale(300, 1000, 1400),
        truncated=Written(N_FRAMES, -700),
    ),
    wav_input(
        "RF64 with size 0",
        rf64(ds64(0), fmt(), data(size=ALL_ONES)),
        unwritten_size(N_FRAMES, 2000),
        truncated=Written(N_FRAMES, -N_FRAMES),
    ),
    wav_input(
        "RF64 of exabytes",
        rf64(ds64(2**63 + 4), fmt(), data(size=ALL_ONES)),
        fewer(2**62 + 2, N_FRAMES),
        truncated=Written(N_FRAMES, 2**62 + 2 - N_FRAMES),
    ),
    wav_input("RF64 without ds64", rf64(fmt(), data(size=ALL_ONES)), "lacks the ds64 chunk"),
    wav_input(
        "half of an RF64",
        rf64(ds64(2000), fmt(), data(size=ALL_ONES))[:1080],
        fewer(N_FRAMES, 500),
        truncated=Written(500, 500),
    ),
    wav_input("W64", W64, WHOLE),
    wav_input(
        "half of a W64",
        W64[: W64_DATA + 24 + 1000],
        fewer(N_FRAMES, 500),
        truncated=Written(500, 500),
    ),
    wav_input(
        "W64 that ends inside its header",
        W64[:60],
        "^the file ends inside its W64 header: it has no data chunk, so no samples; copy it",
    ),
    *(
        wav_input(
            f"W64 data size of {size}",
            replaced(W64, W64_DATA + 16, struct.pack("<Q", size)),
            unwritten_size(N_FRAMES, 2000),
            truncated=Written(N_FRAMES, -N_FRAMES),
        )
        for size in (0, 23)
    ),
    *(
        wav_input(
            f"W64 fmt size of {size}",
            replaced(W64, W64_FMT + 16, struct.pack("<Q", size)),
            CUT_HEADER,
        )
        for size in (0, 23)
    ),
    wav_input(
        "W64 chunk that leads backwards",
        replaced(W64, W64_FMT + 16, struct.pack("<q", -40)),
        "^the file ends inside its W64 header",
    ),
    wav_input(
        "W64 of unknown size",
        replaced(W64, W64_DATA + 16, struct.pack("<q", 2**63 - 1)),
        WHOLE,
    ),
    wav_input(
        "W64 data size of -1",
        replaced(W64, W64_DATA + 16, struct.pack("<q", -1)),
        "^truncated: the header declares 9,223,372,036,854,775,796 samples, 1,000 are available",
        truncated=Written(N_FRAMES, 9_223_372_036_854_774_796),
    ),
)


def _cut(subtype: str, declared: int, there: int, written: int, missing: int) -> BadInput:
    """Return a compressed WAV that is cut after so many bytes of samples."""
    content = encoded(subtype, n_frames=1900)
    start = content.index(b"data") + 8
    return wav_input(
        f"{subtype} cut short",
        content[: start + there],
        f"^truncated: the header declares {declared:,} bytes of samples, {there:,} are available",
        truncated=odd(written, n_missing=missing),
    )


ENCODINGS = (
    _cut("MS_ADPCM", 1024, 600, 1000, 900),
    _cut("IMA_ADPCM", 1024, 600, 1010, 1010),
    _cut("GSM610", 390, 140, 640, 1260),
    wav_input("GSM", encoded("GSM610", n_frames=1900), odd(1900)),
    wav_input(
        "A-law cut short",
        encoded("ALAW", n_frames=N_FRAMES)[:-500],
        fewer(N_FRAMES, 500),
        truncated=odd(500, n_missing=500),
    ),
)


def _not_numbers(
    name: str, content: bytes, frame: int, channel: int, value: str, number: int = 1
) -> BadInput:
    """Return a WAV with samples that are NaN or infinite."""
    taken = odd(N_FRAMES, n_non_finite=number)
    return wav_input(name, content, not_finite(frame, channel, value), zero=taken, keep=taken)


OVERFLOW = "^its samples are so large that float32 overflows in frames 0 to 31; scale it down"

VALUES = (
    _not_numbers("NaN at the beginning", floats((0, np.nan)), 0, 0, "nan"),
    _not_numbers("NaN at the end", floats((-1, np.nan)), 999, 0, "nan"),
    _not_numbers(
        "NaN all through a channel",
        floats(((slice(None), 1), np.nan), n_channels=2),
        *(0, 1, "nan", 1000),
    ),
    _not_numbers("Inf", floats((500, np.inf)), 500, 0, "inf"),
    _not_numbers("-Inf in 64 bits", floats((500, -np.inf), bits=64), 500, 0, "-inf"),
    wav_input(
        "64 bits beyond 32",
        floats((500, -1e300), bits=64),
        r"^samples beyond the range of float32 \(at most 3.4e\+38\), the first at sample 500 "
        r"\(0.062 s\) of channel 0: -1e\+300; scale the recording down first, by 1e-300 or less: "
        r"ffmpeg -v error -i .* -af volume=1e-300:precision=double -c:a pcm_f64le -f wav - ",
        zero=odd(N_FRAMES, n_non_finite=1),
        keep=odd(N_FRAMES, n_non_finite=1),
    ),
    wav_input("1e30", floats((500, 1e30)), OVERFLOW, keep=odd(N_FRAMES)),
    wav_input("denormals", floats((slice(None), 1e-42)), odd(N_FRAMES)),
    wav_input("beyond 1", floats((500, 3.5)), odd(N_FRAMES)),
)

FLAC_HEADERS = (
    flac_input(
        "FLAC mark alone", b"fLaC", "^the file ends inside its FLAC header, before any samples$"
    ),
    flac_input("STREAMINFO cut short", FLAC[:30], "^the file ends inside its FLAC header"),
    flac_input(
        "STREAMINFO behind another block",
        b"fLaC\4\0\0\4" + bytes(4) + STREAMINFO + b"".join(FRAMES),
        "^its FLAC header does not begin with a STREAMINFO block of 34 bytes$",
    ),
    flac_input("no frames of 1,000", FLAC[:42], fewer(N_FRAMES, 0), truncated=NOTHING),
    flac_input("no frames and no total", flac_file(total=0)[:42], NOTHING),
    flac_input("no total", flac_file(total=0), WHOLE),
    flac_input(
        "total too large",
        flac_file(total=1500),
        fewer(1500, N_FRAMES),
        truncated=Written(N_FRAMES, 500),
    ),
    flac_input(
        "largest total",
        flac_file(total=2**36 - 1),
        fewer(2**36 - 1, N_FRAMES),
        truncated=Written(N_FRAMES, 2**36 - 1 - N_FRAMES),
        limited="^it has 68,719,476,735 samples or more, --max-samples allows 2,000$",
    ),
    flac_input(
        "total too small",
        flac_file(total=300),
        "^the header declares 300 samples, 1,000 could be decoded; --allow-truncated",
        truncated=Written(N_FRAMES, -700),
    ),
    flac_input("wrong MD5", flipped(FLAC, 30), WRONG_MD5, unverified=WHOLE),
    # Nothing but the rate itself says what it should be.
    flac_input("wrong rate", flipped(FLAC, 18), other_rate(24_384), resampled=odd(328)),
    flac_input(
        "wrong channels",
        flipped(FLAC, 20),
        damaged(0, "channel changed mid stream"),
        truncated="^none of its samples can be decoded .*channel changed mid stream",
    ),
    flac_input("block sizes of 0", replaced(FLAC, 8, bytes(4)), WHOLE),
    *(
        flac_input(
            f"{bits} bits",
            flac.encode(flac.noise(N_FRAMES, 1, bits), bits),
            odd(N_FRAMES),
        )
        for bits in (4, 12, 15, 20, 24, 32)
    ),
    flac_input(
        "3 bits", flac_file(bits=3), "^its header declares 3 bits a sample; FLAC has 4 to 32$"
    ),
    flac_input(
        "rate of 0", flac_file(sr=0), "^its header declares a sample rate of 0 Hz; 1 to 100,000,000"
    ),
    flac_input("ID3v1 behind", FLAC + ID3V1, WHOLE),
    flac_input("ID3v2 in front", ID3V2 + FLAC, WHOLE),
    flac_input("ID3v2 longer than the file", ID3V2[:6] + b"\x7f" * 4 + FLAC, other("MP3")),
    flac_input("picture of 5 MB", flac_file(blocks=PICTURE), WHOLE),
    flac_input(
        "block beyond the end",
        flac_file(blocks=b"\x86\xff\xff\xff" + bytes(40)),
        "^damaged or truncated: its PICTURE block at byte 42 states 16,777,215 bytes, and [0-9,]+ "
        "bytes follow; copy it again$",
    ),
)

_HEAD, _SECOND = 42, 42 + len(FRAMES[0])


def _frame_at_fault(name: str, content: bytes, came: int = BLOCK, **why: str) -> BadInput:
    """Return a FLAC file that decoding stops in after so many frames."""
    return flac_input(name, content, damaged(came, **why), truncated=Written(came, N_FRAMES - came))


UNEVEN = [0, 256, 356, 700, 1000]

FLAC_FRAMES = (
    _frame_at_fault("bit in a frame header", flipped(FLAC, _SECOND + 3)),
    _frame_at_fault("bit in a frame number", flipped(FLAC, _SECOND + 4)),
    _frame_at_fault("bit in a subframe", flipped(FLAC, _SECOND + 100)),
    _frame_at_fault("bit in a CRC-16", flipped(FLAC, _SECOND + len(FRAMES[1]) - 1)),
    _frame_at_fault("bit in the last byte", flipped(FLAC, len(FLAC) - 1), 768),
    _frame_at_fault("half of a FLAC", FLAC[: len(FLAC) // 2]),
    _frame_at_fault("last byte of a FLAC lost", FLAC[:-1], 768),
    _frame_at_fault("noise between frames", flac_file(FRAMES[0], PCM[:300], *FRAMES[1:])),
    _frame_at_fault(
        "bits that change between frames",
        flac_file(FRAMES[0], reheaded(FRAMES[1], 3, 0b1100), *FRAMES[2:]),
    ),
    _frame_at_fault(
        "reserved bits",
        flac_file(FRAMES[0], reheaded(FRAMES[1], 3, 0b0110), *FRAMES[2:]),
    ),
    _frame_at_fault(
        "channels that change between frames",
        flac_file(FRAMES[0], flac.frame(flac.noise(BLOCK, 2, 16), 16, 1), *FRAMES[2:]),
        why="channel changed mid stream",
    ),
    # The samples are right: their MD5 says so. The rate is STREAMINFO's.
    flac_input(
        "rate that changes between frames",
        flac_file(FRAMES[0], reheaded(FRAMES[1], 2, 0x75), *FRAMES[2:]),
        WHOLE,
    ),
    flac_input(
        "sizes that change between frames",
        flac_file(
            *(
                flac.frame(SAMPLES[start:stop], 16, number)
                for number, (start, stop) in enumerate(pairwise(UNEVEN))
            )
        ),
        surplus(1156),
        truncated=odd(1156, n_missing=-156),
    ),
    flac_input(
        "frame lost",
        flac_file(FRAMES[0], *FRAMES[2:]),
        WRONG_MD5,
        unverified=odd(N_FRAMES),  # zeros stand in its place
    ),
    # libsndfile puts zeros in the place of a lost frame, and nothing else tells of it.
    flac_input(
        "frame and MD5 lost",
        flac_file(FRAMES[0], *FRAMES[2:], md5=bytes(16)),
        damaged(BLOCK, "the FLAC frame after 256 samples is the one for sample 512"),
        truncated=odd(BLOCK, n_missing=N_FRAMES - BLOCK),
    ),
    flac_input(
        "frame of 12 bits and MD5 lost",
        flac.encode(flac.noise(N_FRAMES, 1, 12), 12, md5=False, leave_out=[1]),
        damaged(BLOCK, "the FLAC frame after 256 samples is the one for sample 512"),
        truncated=odd(BLOCK, n_missing=N_FRAMES - BLOCK),
    ),
    flac_input(
        "first frame lost",
        flac_file(*FRAMES[1:]),
        fewer(N_FRAMES, 744),
        truncated=odd(744, n_missing=BLOCK),
    ),
    flac_input(
        "last frame lost",
        flac_file(*FRAMES[:-1]),
        fewer(N_FRAMES, 768),
        truncated=Written(768, 232),
    ),
    flac_input(
        "last frames and total lost",
        flac_file(*FRAMES[:2], total=0),
        WRONG_MD5,
        unverified=Written(512),
    ),
    # A pipe that broke off between frames leaves nothing that could tell.
    flac_input(
        "last frames, total and MD5 lost",
        flac_file(*FRAMES[:2], total=0, md5=bytes(16)),
        Written(512),
    ),
    flac_input(
        "frames swapped",
        flac_file(FRAMES[0], FRAMES[2], FRAMES[1], FRAMES[3]),
        surplus(1512),
        truncated=odd(1512, n_missing=-512),
    ),
    flac_input(
        "frame doubled",
        flac_file(*FRAMES[:2], *FRAMES[1:]),
        surplus(1256),
        truncated=odd(1256, n_missing=-256),
    ),
    flac_input(
        "two files in one",
        FLAC + FLAC,
        "^a second file .FLAC. begins after its samples, at byte 2,",
        truncated=Written(N_FRAMES, -1),
    ),
    flac_input("noise behind a FLAC", FLAC + PCM[:600], WHOLE),
    flac_input(
        "noise behind a FLAC without a total",
        flac_file(total=0) + PCM[:600],
        f"^decoding stopped after 1,000 samples .*{LOST_SYNC}",
        truncated=Written(N_FRAMES, 1),
    ),
)

BOMBS = tuple(
    BadInput(
        f"hour of silence that promises {total:,}",
        _holding(flac.silence(HOUR, 8, 16, total=total)),
        "^it has [0-9,]+ samples or more, --max-samples allows 2,000$",
        ".flac",
        groups=("limited",),
    )
    for total in (HOUR, 0, 5)  # a few kB each, 920 MB of samples
)


def _node(mode: int) -> Make:
    return lambda path: os.mknod(path, mode)


def _link(target: str) -> Make:
    return lambda path: path.symlink_to(target)


def _linked_file(path: Path) -> None:
    """Make a link to a sound file outside the folder."""
    target = path.parent.with_name(path.name)
    target.write_bytes(WAV)
    path.symlink_to(target)


THINGS = (
    BadInput("named pipe", _node(stat.S_IFIFO | 0o600), "^it is a named pipe, not a regular file$"),
    BadInput("socket", _node(stat.S_IFSOCK | 0o600), "^it is a socket, not a regular file$"),
    BadInput("link to a device", _link("/dev/zero"), "^it is a device, not a regular file$"),
    BadInput("link to a folder's parent", _link("gone/.."), dangling("gone/..")),
    BadInput(
        "link to itself",
        _link("link to itself.wav"),
        "^cannot be opened: it is a link to 'link to itself.wav' that leads back to itself; link",
    ),
    BadInput("link to nowhere", _link("nowhere.wav"), dangling("nowhere.wav")),
    BadInput("link to a link to nowhere", _link("link to nowhere.wav"), dangling("nowhere.wav")),
    BadInput("link to a sound file", _linked_file, WHOLE),
)

_NAMES = (
    b"-dash",
    b"two\nlines",
    b"\x1b[31mred\x1b[2J",
    b"\rreturn\x07\x08",
    b"both ' and \"",
    b"back\\slash\\n",
    b"not utf-8 caf\xe9",
    "c1 control \x9b2J".encode(),
    "right to left \N{RIGHT-TO-LEFT OVERRIDE}fdp".encode(),
    "bat \N{BAT}".encode(),
    b"%41",
    b"%",
    b" ",
)


def _named(name: bytes) -> tuple[BadInput, BadInput]:
    """Return a bad file and a sound one of an odd name, which is in the bad one's reason too."""
    sound, bad = (
        BadInput("odd name", _holding(content), verdict, file=name + suffix)
        for content, verdict, suffix in (
            (riff(chunk(b"name", name), fmt(), data()), WHOLE, b".wav"),
            (name.ljust(20), f"begins with {re.escape(repr(name.ljust(20)[:12]))}[;,] ", b".WAV"),
        )
    )
    return sound, bad


NAMES = (
    *(one for name in _NAMES for one in _named(name)),
    BadInput(
        "longest name",
        _holding(b"longest name"),
        f"{NO_AUDIO}'longest name'{SO_FEW}",
        file=b"x" * 251 + b".wav",
    ),
)

# Tried in the group of their options alone, where much else would fail too.
FEW = (
    BadInput(
        "channel that is not there",
        _holding(WAV),
        "^it has no channel 1: it has 1 channel, from 0 on$",
        groups=("channel",),
    ),
    BadInput(
        "shorter than a frame",
        _holding(riff(fmt(), data(PCM[:126]))),
        "^it has 63 samples, fewer than the 64 of one frame; take --padding same",
        groups=("valid",),
    ),
    BadInput(
        "as long as a frame",
        _holding(riff(fmt(), data(PCM[:128]))),
        Written(64),
        groups=("valid",),
    ),
)

CORPUS: tuple[BadInput, ...] = (
    *NO_RECORDINGS,
    *HEADERS,
    *SIZES,
    *ENCODINGS,
    *VALUES,
    *FLAC_HEADERS,
    *FLAC_FRAMES,
    *BOMBS,
    *THINGS,
    *NAMES,
    *FEW,
)
