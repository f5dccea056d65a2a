"""What the header of one file says, and the bounds within which it is believed."""

from dataclasses import dataclass

from kapre_cli.errors import AudioReadError
from kapre_cli.settings.checks import MAX_CHANNELS, MAX_SR


@dataclass(frozen=True)
class Header:
    """What a header says of the samples behind it.

    Attributes:
        kind: ``"WAV"`` or ``"FLAC"``; the relatives of WAV (RF64, W64, big-endian) are ``"WAV"``.
            ``"raw"``: there is none, and what stands here was said from outside.
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        bits: Bits of a sample; 0 for an encoding without a number of bits for each sample.
        n_frames: Frames promised. ``None`` where the header leaves them open, or (compressed
            WAV) where bytes alone are promised.
        start: Where in the file the samples of a WAV begin, or a FLAC stream with its mark.
        md5: What a FLAC header says that the MD5 of all samples is; ``None`` if it does not.
        n_bytes: Bytes of samples that a WAV promises; ``None`` if they go on to the end.
        missing_bytes: How many of them lie beyond the end of the file.
        frame_bytes: Bytes of a frame of WAV; ``None`` if an encoding has none for each frame.
        block_bytes: Bytes of the smallest part of a WAV that can be decoded: a frame, or a block
            of many.
        order: Byte order of a WAV as :mod:`struct` writes it.
        number: How a WAV stores each of its samples, as NumPy writes it, with ``i3`` for 24 bits;
            empty for an encoding that is more than a number for each.
        valid_bits: How many bits of each integer of a WAV are used; ``None``: all of them.
        is_left_aligned: Whether these are known to be the highest ones.
        unused_bits: How many bits at the top of each integer are none of its sample.
        fmt: The first bytes of a WAV's fmt chunk.
        is_w64: Whether its chunks are those of Sony Wave64.
        file_end: Where a WAV ends by the size that it begins with; 0 if it does not say.
        fact_samples: Samples of each channel by a WAV's fact chunk; ``None`` if there is none.
    """

    kind: str
    sr: int
    n_channels: int
    bits: int
    n_frames: int | None
    start: int
    md5: bytes | None = None
    n_bytes: int | None = None
    missing_bytes: int = 0
    frame_bytes: int | None = None
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
        """Refuse rates and channels that no recording has."""
        if not 1 <= self.n_channels <= MAX_CHANNELS:
            raise AudioReadError(
                f"its header says {self.n_channels:,} channels; 1 to {MAX_CHANNELS:,} can be read"
            )
        if not 1 <= self.sr <= MAX_SR:
            raise AudioReadError(
                f"its header says a sample rate of {self.sr:,} Hz; 1 to {MAX_SR:,} Hz can be read"
            )


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes of a WAV can be the name of a chunk: text, which samples seldom are."""
    return all(0x20 <= letter < 0x7F for letter in name)
