"""What the header of a file declares, and the bounds within which it is believed."""

from dataclasses import dataclass

from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat
from kapre_cli.settings.checks import MAX_CHANNELS, MAX_SR


@dataclass(frozen=True)
class Header:
    """What a header declares about the samples that follow it.

    The fields from ``n_bytes`` on describe WAV and raw samples alone.

    Attributes:
        kind: ``"WAV"``, also for its relatives (RF64, W64, big-endian), ``"FLAC"``, ``"raw"`` for
            samples without a header, or the name of an installed decoder.
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        bits: Bits of a sample; 0 for an encoding without a number of bits for each sample.
        n_samples: Declared samples in each channel. ``None`` where the header leaves them open,
            or (compressed WAV) declares bytes only.
        start: Where in the file the samples of a WAV begin, or a FLAC stream with its marker.
        encoding: The encoding in words; empty: it is made of the other fields.
        md5: The declared MD5 of all samples as FLAC defines it; ``None`` if there is none.
        bytes_tell_length: Whether the number of samples follows from the file's bytes. Otherwise
            only decoding tells it where the header does not.
        n_bytes: Declared bytes of samples; ``None`` if they continue to the end of the file.
        missing_bytes: How many of them lie beyond the end of the file.
        sample_bytes: Bytes of one sample of all channels; ``None`` if the encoding has no fixed
            number.
        block_bytes: Bytes of the smallest part that can be decoded: one sample of all channels,
            or a block of many.
        order: Byte order as :mod:`struct` writes it.
        number: How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits; empty for
            an encoding that is more than a number for each sample.
        valid_bits: How many bits of each integer are used; ``None``: all of them.
        is_left_aligned: Whether the used bits are known to be the highest ones.
        unused_bits: How many bits at the top of each integer do not belong to its sample.
        fmt: The first bytes of the fmt chunk.
        is_w64: Whether the chunks are those of Sony Wave64.
        file_end: Where the file ends by the size it begins with; 0 if unknown.
        fact_samples: Samples of each channel by the fact chunk; ``None`` without one.
    """

    kind: str
    sr: int
    n_channels: int
    bits: int
    n_samples: int | None
    start: int = 0
    encoding: str = ""
    md5: bytes | None = None
    bytes_tell_length: bool = False
    n_bytes: int | None = None
    missing_bytes: int = 0
    sample_bytes: int | None = None
    block_bytes: int = 1
    order: str = "<"
    number: str = ""
    valid_bits: int | None = None
    is_left_aligned: bool = True
    unused_bits: int = 0
    fmt: bytes = b""
    is_w64: bool = False
    file_end: int = 0
    fact_samples: int | None = None

    def __post_init__(self) -> None:
        """Reject rates and numbers of channels that no recording has."""
        if not 1 <= self.n_channels <= MAX_CHANNELS:
            raise AudioReadError(
                f"its header says {self.n_channels:,} channels; 1 to {MAX_CHANNELS:,} can be read"
            )
        if not 1 <= self.sr <= MAX_SR:
            raise AudioReadError(
                f"its header says a sample rate of {self.sr:,} Hz; 1 to {MAX_SR:,} Hz can be read"
            )

    @property
    def needs_decoding(self) -> bool:
        """Whether only decoding tells how many samples there are."""
        return self.n_samples is None and not self.bytes_tell_length


def raw_header(n_bytes: int, raw_format: RawFormat) -> Header:
    """Return the header of a file of ``n_bytes`` bytes, all of them samples of a raw format."""
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


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes of a WAV can be the name of a chunk: text, which samples seldom are."""
    return all(0x20 <= letter < 0x7F for letter in name)
