"""WAV and raw samples: their number by the bytes of a file, and their decoders."""

import struct
from dataclasses import dataclass, replace
from typing import ClassVar

from kapre_cli.audio.decoders import AudioDecoder, SampleReader, truncated
from kapre_cli.audio.files import ByteSource, HashingReader, RegularFile
from kapre_cli.audio.headers import (
    ALL_ONES,
    RIFFS,
    W64_RIFF,
    W64_WAVE,
    Header,
    is_chunk_name,
    read_w64,
    read_wav,
)
from kapre_cli.audio.trailing import Trailer, find_file, read_trailer
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat
from kapre_cli.settings.checks import within_int64
from kapre_cli.text import counted

_TO_THE_END = "reads on to the end of the file"

_SAMPLES_PER_BYTE = 8  # of the densest encoding, at most


@dataclass(frozen=True)
class DataExtent:
    """The samples of a file, as far as its bytes show.

    Attributes:
        stream: The file, with a header that describes it correctly.
        n_samples: Available samples; ``None`` for an encoding without fixed bytes for each.
        n_bytes: Available bytes of samples.
        declared_bytes: Declared bytes of samples.
        has_more: Whether a second file after the samples is left out.
        notes: Harmless peculiarities of the file, in sentences.
    """

    stream: HashingReader
    n_samples: int | None
    n_bytes: int
    declared_bytes: int
    has_more: bool = False
    notes: tuple[str, ...] = ()

    def n_missing(self, header: Header, n_samples: int) -> int:
        """Return declared less available samples; not 0 where the numbers of bytes differ.

        It is estimated where the header declares bytes only.
        """
        missing_bytes = self.declared_bytes - self.n_bytes
        if missing_bytes == 0:
            return -1 if self.has_more else 0  # at least: the second file is not counted
        if header.sample_bytes is not None:
            # A last sample that is declared in part counts.
            return within_int64(-(-self.declared_bytes // header.sample_bytes) - n_samples)
        estimate = round(missing_bytes * n_samples / max(self.n_bytes, 1))
        return within_int64(estimate or (1 if missing_bytes > 0 else -1))


class WavDecoder(AudioDecoder):
    """A WAV, or one of its relatives. Its bytes determine how many samples it has."""

    name = "WAV"
    suffixes: ClassVar[tuple[str, ...]] = (".wav", ".wave")

    @classmethod
    def recognizes(cls, file: ByteSource) -> bool:
        """Whether a file begins as RIFF or Wave64."""
        start = file.at(0, 40)
        is_riff = start[:4] in RIFFS and start[8:12] == b"WAVE"
        return is_riff or (start[:16] == W64_RIFF and start[24:40] == W64_WAVE)

    @classmethod
    def read_header(cls, file: RegularFile) -> Header:
        """Return the header of a WAV or Wave64.

        A program that writes into a pipe cannot write the size afterwards: 0 bytes then mean all
        that follow.
        """
        magic = file.at(0, 4)
        header = read_wav(file, magic) if magic in RIFFS else read_w64(file)
        if file.is_stream and header.n_bytes == 0 and not _is_empty(file, header):
            return replace(header, n_samples=None, n_bytes=None)
        return header

    def open(self) -> None:
        """Find the samples by the file's bytes, and open a reader."""
        self.is_counted = False
        extent = self.find_extent()
        self.stream = extent.stream
        if extent.n_bytes == 0:
            return
        if self.header.valid_bits:
            from kapre_cli.audio.pcm import aligned

            self.header = aligned(self.header, self.stream, self.file)
        self.reader = self.new_reader()
        decoded: int = self.reader.n_samples  # type: ignore[attr-defined]
        if extent.n_samples is not None and decoded != extent.n_samples:
            raise AudioReadError(
                f"its bytes hold {extent.n_samples:,} samples, libsndfile finds {decoded:,}"
            )
        self.n_samples, self.n_missing, notes = _samples_by_fact(self.header, extent, decoded)
        is_whole = extent.n_bytes == extent.declared_bytes
        if is_whole and self.n_missing > 0 and not self.settings.allow_truncated:
            raise truncated(
                f"truncated: its fact chunk declares {self.n_samples + self.n_missing:,} samples, "
                f"its blocks hold {self.n_samples:,}"
            )
        self.notes = extent.notes + notes

    def find_extent(self) -> DataExtent:
        """Compare the size that the header declares with the bytes of the file.

        Raises:
            AudioReadError: If there are fewer or more samples than declared, or a second file
                after them, unless that is allowed.
        """
        file, header, is_lenient = self.file, self.header, self.settings.allow_truncated
        available = file.size - header.start
        declared = available if header.n_bytes is None else header.n_bytes
        n_bytes = min(declared, available)
        if declared > available and not is_lenient:
            raise _fewer(header, available)
        trailer = _trailer(file, header)
        second = trailer.second_file
        if second is not None and not is_lenient:
            raise second.error()
        if not (trailer.is_valid or trailer.cut_chunk):
            if not is_lenient:
                raise _more(header, available)
            n_bytes = second.start - header.start if second else available
            declared = n_bytes if header.n_bytes is None else declared
        if n_bytes != declared or second is not None:
            n_bytes -= n_bytes % _decodable_bytes(header)
        elif _counts_padding(header, n_bytes):
            n_bytes, declared = n_bytes - 1, declared - 1
        stream = _stream(file, header, n_bytes, is_first=second is not None)
        n_samples = n_bytes // header.sample_bytes if header.sample_bytes else None
        notes: tuple[str, ...] = ()
        if trailer.cut_chunk:
            note = f"the chunk after its samples is cut short ({trailer.cut_chunk})"
            notes = (f"{note}; all samples are complete and are read",)
        return DataExtent(stream, n_samples, n_bytes, declared, second is not None, notes)

    def open_reader(self) -> SampleReader:
        """Return a new reader of the samples."""
        if self.header.number:
            from kapre_cli.audio.pcm import PcmReader

            return PcmReader(self.stream, self.header)
        from kapre_cli.audio.libsndfile import LibsndfileReader

        return LibsndfileReader(self.stream)

    def check_end(self) -> None:
        """Check nothing: the bytes after the samples have been checked before."""


class RawDecoder(WavDecoder):
    """Samples without a header, whose format the user names."""

    name = "raw"
    suffixes = ()

    def find_extent(self) -> DataExtent:
        """Return the extent of the samples: the whole file."""
        sample_bytes, size = self.header.block_bytes, self.file.size
        n_samples, rest = divmod(size, sample_bytes)
        if rest and not (self.settings.allow_truncated and n_samples):
            samples = f"{counted(n_samples, 'sample')} of {counted(sample_bytes, 'byte')}"
            raise truncated(
                f"truncated, or of another format than stated: its {counted(size, 'byte')} are "
                f"{samples} and {counted(rest, 'byte')} of another"
            )
        whole = n_samples * sample_bytes
        declared = whole + (sample_bytes if rest else 0)
        return DataExtent(HashingReader(self.file, end=whole), n_samples, whole, declared)


def raw_header(n_bytes: int, raw_format: RawFormat) -> Header:
    """Return the header of ``n_bytes`` bytes of samples of a raw format."""
    return Header(
        "raw",
        sr=raw_format.sr,
        n_channels=raw_format.n_channels,
        bits=raw_format.bits,
        n_samples=n_bytes // raw_format.sample_bytes,
        bytes_tell_length=True,
        sample_bytes=raw_format.sample_bytes,
        block_bytes=raw_format.sample_bytes,
        order=raw_format.order,
        number=raw_format.number,
    )


def _trailer(file: RegularFile, header: Header) -> Trailer:
    """Return what follows the samples; without a size, search for a second file."""
    if header.n_bytes is None:
        second = find_file(file, header.start, file.size)
        return Trailer(is_valid=second is None, second_file=second)
    has_more = header.n_bytes < file.size - header.start
    return read_trailer(file, header) if has_more else Trailer()


def _counts_padding(header: Header, n_bytes: int) -> bool:
    """Whether the size of the samples includes the byte that pads it to even.

    SoX includes it. With blocks of an odd size, as in GSM, it would be one more block.
    """
    is_of_odd_blocks = header.sample_bytes is None and header.block_bytes % 2 == 1
    return is_of_odd_blocks and header.block_bytes > 1 and n_bytes % header.block_bytes == 1


def _stream(file: RegularFile, header: Header, n_bytes: int, *, is_first: bool) -> HashingReader:
    """Return the file as its decoder reads it, with a correct header.

    ``n_bytes`` bytes of samples are to be decoded. If the file is the first of two, libsndfile
    would decode the second too.
    """
    end = header.start + n_bytes
    if header.number:
        return HashingReader(file, end=end)
    has_odd_blocks = header.order == "<" and header.sample_bytes is None and n_bytes % 2 == 1
    if n_bytes != header.n_bytes or has_odd_blocks or is_first:
        # libsndfile relies on a wrong size, and decodes the padding after blocks of an odd size
        # as one more block, into noise.
        return HashingReader(file, _plain_head(header, n_bytes), header.start, end)
    return HashingReader(file)


def _plain_head(header: Header, n_bytes: int) -> bytes:
    """Return a header of the same encoding that declares ``n_bytes`` bytes only.

    RIFF has sizes of 32 bits and pads blocks of an odd size: larger files and such blocks get a
    header of Wave64. Wave64 has no big-endian samples: their size is limited to 32 bits.
    """
    fmt = header.fmt
    has_odd_blocks = header.sample_bytes is None and n_bytes % 2 == 1
    if header.order == "<" and (has_odd_blocks or n_bytes + len(fmt) + 64 > ALL_ONES):
        chunks = W64_WAVE + _w64_chunk_head(b"fmt ", len(fmt)) + fmt + bytes(-len(fmt) % 8)
        chunks += _w64_chunk_head(b"data", n_bytes)
        return W64_RIFF + struct.pack("<Q", 24 + len(chunks) + n_bytes) + chunks
    size = struct.Struct(header.order + "I")
    padded = fmt + bytes(len(fmt) % 2)
    chunks = (
        b"WAVEfmt " + size.pack(len(fmt)) + padded + b"data" + size.pack(min(n_bytes, ALL_ONES))
    )
    magic = b"RIFX" if header.order == ">" else b"RIFF"
    return magic + size.pack(min(len(chunks) + n_bytes, ALL_ONES)) + chunks


def _w64_chunk_head(name: bytes, length: int) -> bytes:
    return name + W64_WAVE[4:] + struct.pack("<Q", 24 + length)


def _samples_by_fact(
    header: Header, extent: DataExtent, decoded: int
) -> tuple[int, int, tuple[str, ...]]:
    """Return how many samples a WAV has, how many are missing, and notes.

    ``decoded`` samples are in the available blocks. The missing ones are negative if there are
    more than declared.

    Encodings of blocks pad the last one: a count of the fact chunk that ends inside the last
    declared block is where the samples end. Programs write wrong counts, too (libsndfile divides
    those of IMA ADPCM by the channels): a count is ignored if it leaves out whole blocks, or if
    no encoding could hold as many samples in the declared bytes.
    """
    missing = extent.n_missing(header, decoded)
    stated = header.fact_samples
    n_blocks = -(-extent.n_bytes // header.block_bytes)
    if not stated or header.sample_bytes is not None or not decoded or not n_blocks:
        return decoded, missing, ()
    samples_per_block = -(-decoded // n_blocks)
    whole = decoded + max(missing, 0)
    at_most = _SAMPLES_PER_BYTE * extent.declared_bytes // header.n_channels
    if header.n_channels > 1 and stated == whole // header.n_channels:
        return decoded, missing, ()
    if stated <= whole - samples_per_block or stated > at_most:
        note = (
            f"its fact chunk states {stated:,} samples, its blocks hold {decoded:,}: the chunk is "
            "ignored, and all samples are read"
        )
        return decoded, missing, (note,)
    if stated > decoded:
        return decoded, within_int64(stated - decoded), ()
    return stated, missing and (1 if missing > 0 else -1), ()


def _decodable_bytes(header: Header) -> int:
    """Return the number of bytes whose multiples libsndfile decodes correctly.

    It decodes a block that is cut short into noise, and rounds odd sizes in RIFX, for which there
    is no other header, up to even ones.
    """
    has_odd_blocks = header.order == ">" and header.sample_bytes is None and header.block_bytes % 2
    return header.block_bytes * (2 if has_odd_blocks else 1)


def _fewer(header: Header, available: int) -> AudioReadError:
    counts = f"{header.n_bytes:,} bytes of samples, {available:,}"
    if header.sample_bytes is not None:
        declared = -(-(header.n_bytes or 0) // header.sample_bytes)
        counts = f"{declared:,} samples, {available // header.sample_bytes:,}"
    return truncated(f"truncated: the header declares {counts} are available")


def _more(header: Header, available: int) -> AudioReadError:
    sample_bytes = header.sample_bytes
    trailing_bytes = available - (header.n_bytes or 0)
    if not header.n_bytes:
        samples = f" ({trailing_bytes // sample_bytes:,} samples)" if sample_bytes else ""
        return truncated(
            f"the header declares 0 samples, {trailing_bytes:,} bytes{samples} follow it: the "
            "recorder may have stopped before it could write the length",
            _TO_THE_END,
        )
    counts = f"{header.n_bytes:,} bytes of samples, {available:,}"
    if sample_bytes:
        counts = f"{header.n_samples:,} samples, {available // sample_bytes:,}"
    return truncated(
        f"the header declares {counts} are available: the {trailing_bytes:,} bytes after the "
        "samples are no chunks, so its size may be stale or beyond what 32 bits hold",
        _TO_THE_END,
    )


def _is_empty(file: RegularFile, header: Header) -> bool:
    """Whether nothing but chunks follows the header."""
    return is_chunk_name(file.at(header.start, 4)) and read_trailer(file, header).is_valid
