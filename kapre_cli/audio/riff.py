"""The headers of WAV and its relatives: RIFF, RIFX (big-endian), RF64, BW64 and Sony Wave64.

Sources: Multimedia Programming Interface 1.0 (RIFF), EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64),
Sony Wave64.
"""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from kapre_cli.audio.encodings import SamplesAt, encoding_of
from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.opening import ByteSource
from kapre_cli.errors import AudioReadError

# Data sizes that programs write when they cannot know them: a stream goes on to its end.
# All ones (ffmpeg), the largest signed number and its neighbours on even and page boundaries
# (sox and others).
ALL_ONES = 0xFFFFFFFF
UNKNOWN_SIZES = frozenset({ALL_ONES, 0xFFFFFFFE, 0x7FFFFFFF, 0x7FFFFFFE, 0x7FFFF000})
_UNKNOWN_W64_SIZE = 2**63 - 1  # ffmpeg again

RIFFS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_CHUNK = W64_WAVE[4:]  # what the identifier of every chunk but the first ends in

_FMT_BYTES = 128  # more than the fmt chunk of any encoding that is read
_MAX_CHUNKS = 1000  # before the samples; a header has about ten at most


def read_wav(file: ByteSource, magic: bytes) -> Header:
    """Return what a RIFF, RIFX, RF64 or BW64 file promises.

    Raises:
        AudioReadError: If the header is cut short, has no samples behind it or cannot be meant.
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
                raise AudioReadError("its WAV header has two fmt chunks: which is true is not told")
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
    """Return what a Wave64 file promises.

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
    """Return the body of a fmt chunk, or as much of it as is of use."""
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
    """Return the header of a file with samples from ``start`` on, so many bytes promised."""
    if not fmt:
        raise AudioReadError("its WAV header has no fmt chunk before its samples")
    encoding = encoding_of(fmt, order, SamplesAt(file, start, n_bytes))
    sample_bytes = encoding.sample_bytes
    return Header(
        "WAV",
        n_samples=n_bytes // sample_bytes if sample_bytes and n_bytes is not None else None,
        start=start,
        n_bytes=n_bytes,
        missing_bytes=max((n_bytes or 0) - (file.size - start), 0),
        order=order,
        fmt=fmt,
        **encoding._asdict(),
        **more,
    )


def plain_head(header: Header, n_bytes: int) -> bytes:
    """Return a header of the same encoding that promises ``n_bytes`` and nothing else.

    It is one of RIFF, whose sizes have 32 bits, or of Wave64 for more, and for blocks of an odd
    size, which are padded in RIFF. Big-endian samples, which Wave64 cannot hold, are promised no
    more than 32 bits can say.
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
