"""FLAC: metadata blocks, a second file, readers that detect every lost frame.

Decoders are given STREAMINFO only: the other metadata blocks do not describe the samples, and a
damaged tag would make a decoder reject the file. Source: RFC 9639.
"""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

from kapre_cli.audio.decoders import AudioDecoder, SampleReader, count_samples
from kapre_cli.audio.files import ByteSource, HashingReader, RegularFile
from kapre_cli.audio.headers import FLAC_MARK, STREAMINFO_END, Header, read_flac
from kapre_cli.audio.trailing import SecondFile, find_file
from kapre_cli.errors import AudioReadError

_LIBSNDFILE_BITS = (8, 16, 24)

_BLOCKS = (
    *("STREAMINFO", "PADDING", "APPLICATION", "SEEKTABLE"),
    *("VORBIS_COMMENT", "CUESHEET", "PICTURE"),
)
_FRAME = 0xFF  # the first byte of a FLAC frame, which no block begins with
_MAX_BLOCKS = 10_000
_MAX_CHECKED = 100  # blocks whose fields are checked, and
_MAX_COMMENTS = 1000  # comments in each
_ID3V1_BYTES = 128
_APE_FOOTER_BYTES = 32
_APE_HAS_HEADER = 1 << 31


class FlacDecoder(AudioDecoder):
    """A FLAC stream, with or without a tag in front of it."""

    name = "FLAC"
    suffixes = (".flac",)

    @classmethod
    def recognizes(cls, file: ByteSource) -> bool:
        """Whether a file begins as FLAC, after an ID3v2 tag if there is one."""
        return file.at(_after_id3(file), 4) == FLAC_MARK

    @classmethod
    def read_header(cls, file: RegularFile) -> Header:
        """Return the header of the stream."""
        return read_flac(file, _after_id3(file))

    def open(self) -> None:
        """Open the stream; note a second file after it."""
        super().open()
        if self._left_out is not None:
            self.n_missing = self.n_missing or -1  # at least: the second file is not counted

    def open_stream(self) -> HashingReader:
        """Return the stream without its declared total, so that it is decoded to its end."""
        self._first_frame, self.notes = read_metadata(self.file, self.header.start)
        self._end = _end_of_stream(self.file)
        second = self._second_file() if self.is_counted else None
        if second is not None and not self.settings.allow_truncated:
            raise second.error()
        self._left_out = second
        return self._stream_until(second.start if second else self._end)

    def open_reader(self) -> SampleReader:
        """Return a new reader of the stream."""
        return self._reader_of(self.stream)

    def explain_failure(self) -> None:
        """Raise AudioReadError if a second file follows."""
        self._check_single_file()

    def check_end(self) -> None:
        """Check that neither a second file nor samples follow."""
        if not self.is_counted:
            self._check_single_file(self.stream.tell_in_file() - self.reader.read_ahead)
        super().check_end()

    def _reader_of(self, stream: HashingReader) -> SampleReader:
        stream.seek(0)
        bits = self.header.bits
        # libsndfile decodes a lost frame as zeros, which the MD5 alone would show.
        if self.header.md5 is None or bits not in _LIBSNDFILE_BITS:
            from kapre_cli.audio.ffmpeg import FfmpegReader  # a large library for rare files

            return FfmpegReader(stream, bits)
        from kapre_cli.audio.libsndfile import LibsndfileReader

        return LibsndfileReader(stream, "int16" if bits <= 16 else "int32")

    def _stream_until(self, end: int) -> HashingReader:
        """Return the stream with no metadata but STREAMINFO, without its total."""
        head = bytearray(self.file.at(self.header.start, STREAMINFO_END))
        head[4] |= 0x80  # the last block
        head[21] &= 0xF0  # the total: 36 bits
        head[22:26] = bytes(4)
        return HashingReader(self.file, bytes(head), self._first_frame, end)

    def _second_file(self, position: int = 0) -> SecondFile | None:
        """Return the file that begins after the samples, from a position on.

        Bytes inside a FLAC frame can look like the header of a file: more samples follow then.
        """
        second = find_file(self.file, max(self._first_frame, position), self._end)
        if second is None or self._n_samples_until(second.start) < self._n_samples_until(self._end):
            return None
        return second

    def _n_samples_until(self, end: int) -> int:
        new_reader = partial(self._reader_of, self._stream_until(end))
        return count_samples(new_reader, self.settings.max_samples)[0]

    def _check_single_file(self, position: int = 0) -> None:
        if second := self._second_file(position):
            raise second.error()


def _after_id3(file: ByteSource) -> int:
    """Return where the FLAC stream begins: after an ID3v2 tag, if there is one."""
    start = file.at(0, 10)
    if start[:3] != b"ID3":
        return 0
    length = 0
    for seven_bits in start[6:]:
        length = length << 7 | seven_bits & 0x7F
    return 10 + length


def _end_of_stream(file: RegularFile) -> int:
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


class Block(NamedTuple):
    """A metadata block: ``length`` bytes after a header that begins at ``start``."""

    kind: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + 4 + self.length

    @property
    def name(self) -> str:
        """The name of its kind."""
        return _BLOCKS[self.kind] if self.kind < len(_BLOCKS) else f"metadata ({self.kind})"

    def __str__(self) -> str:
        return f"{self.name} block at byte {self.start:,}"


def blocks_of(file: ByteSource, start: int) -> Iterator[Block]:
    """Yield the metadata blocks of the FLAC stream whose marker is at ``start``.

    Raises:
        AudioReadError: If one runs past the end of the file.
    """
    position = start + 4
    for _ in range(_MAX_BLOCKS):
        head = file.at(position, 4)
        if len(head) < 4 or head[0] == _FRAME:
            return
        block = Block(head[0] & 0x7F, position, int.from_bytes(head[1:], "big"))
        if block.end > file.size:
            raise AudioReadError(
                f"damaged or truncated: its {block} states {block.length:,} bytes, and "
                f"{file.size - position - 4:,} bytes follow; copy it again"
            )
        yield block
        position = block.end
        if head[0] & 0x80:  # the last one
            return


def read_metadata(file: ByteSource, start: int) -> tuple[int, tuple[str, ...]]:
    """Check the metadata blocks; arguments and errors as :func:`blocks_of`.

    Returns:
        Where the first FLAC frame begins, after all metadata; a note if lengths in the metadata
        contradict each other.
    """
    end = start + 4
    damaged: list[Block] = []
    for number, block in enumerate(blocks_of(file, start)):
        end = block.end
        if number < _MAX_CHECKED and not _Fields(file, block).are_valid():
            damaged.append(block)
    if not damaged:
        return end, ()
    more = f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
    note = (
        f"its metadata is damaged ({damaged[0]}{more}): other programs may reject the file; its "
        "samples are read and checked nevertheless"
    )
    return end, (note,)


class _Fields:
    """Reads the fields of a block in order."""

    def __init__(self, file: ByteSource, block: Block) -> None:
        self._file = file
        self._block = block
        self._position = block.start + 4

    def are_valid(self) -> bool:
        """Whether the lengths of the fields fit into the block."""
        name, length = self._block.name, self._block.length
        if name == "SEEKTABLE":
            return length % 18 == 0
        if name == "APPLICATION":
            return length >= 4
        if name == "VORBIS_COMMENT":
            self._skip(self._number("little"))
            for _ in range(min(self._number("little"), _MAX_COMMENTS)):
                self._skip(self._number("little"))
                if not self._is_inside:
                    return False
        elif name == "PICTURE":
            self._skip(4)
            for n_more in (0, 16, 0):  # the type, the description, the picture
                self._skip(self._number("big") + n_more)
        elif name == "CUESHEET":
            self._skip(395)
            for _ in range(self._number("big", 1)):
                self._skip(35)
                self._skip(12 * self._number("big", 1))
        return self._is_inside

    @property
    def _is_inside(self) -> bool:
        return self._position <= self._block.end

    def _skip(self, n_bytes: int) -> None:
        self._position += n_bytes

    def _number(self, order: Literal["little", "big"], n_bytes: int = 4) -> int:
        number = int.from_bytes(self._file.at(self._position, n_bytes), order)
        self._position += n_bytes
        return number
