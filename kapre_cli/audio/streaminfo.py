"""The header of a FLAC stream. Source: RFC 9639."""

from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import ByteSource
from kapre_cli.errors import AudioReadError

FLAC_MARK = b"fLaC"
STREAMINFO_END = 4 + 4 + 34  # bytes from the start of a FLAC stream: mark, block header, block

_MIN_BITS = 4


def read_flac(file: ByteSource, start: int) -> Header:
    """Read STREAMINFO, which the format requires to be the first metadata block.

    Args:
        file: The file.
        start: Where the stream begins, with its mark.

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
    if bits < _MIN_BITS:
        raise AudioReadError(f"its header says {bits} bits a sample; FLAC has 4 to 32")
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
