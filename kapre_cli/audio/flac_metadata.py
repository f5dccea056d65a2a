"""The header of a FLAC stream and its other metadata blocks. Source: RFC 9639.

Decoders are given STREAMINFO only: the other blocks say nothing about the samples, and a damaged
tag would make a decoder reject the file.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from kapre_cli.audio.files import ByteSource
from kapre_cli.audio.header import Header
from kapre_cli.errors import AudioReadError

FLAC_MARK = b"fLaC"
STREAMINFO_END = 4 + 4 + 34  # bytes from the start of a FLAC stream: marker, block header, block

_MIN_BITS = 4

_APPLICATION, _SEEKTABLE, _VORBIS_COMMENT, _CUESHEET, _PICTURE = range(2, 7)
_NAMES = (
    "STREAMINFO",
    "PADDING",
    "APPLICATION",
    "SEEKTABLE",
    "VORBIS_COMMENT",
    "CUESHEET",
    "PICTURE",
)
_FRAME = 0xFF  # the first byte of a FLAC frame, which no block begins with
_MAX_BLOCKS = 10_000
_MAX_CHECKED = 100  # blocks whose fields are checked, and
_MAX_COMMENTS = 1000  # comments in each


def read_flac(file: ByteSource, start: int) -> Header:
    """Read STREAMINFO, which the format requires to be the first metadata block.

    Args:
        file: The file.
        start: Where the stream begins, with its marker.

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


class Block(NamedTuple):
    """A metadata block.

    Attributes:
        kind: Its number.
        start: Where its header begins in the file.
        length: Bytes after its header.
    """

    kind: int
    start: int
    length: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + 4 + self.length

    def __str__(self) -> str:
        name = _NAMES[self.kind] if self.kind < len(_NAMES) else f"metadata ({self.kind})"
        return f"{name} block at byte {self.start:,}"


def blocks_of(file: ByteSource, start: int) -> Iterator[Block]:
    """Yield the metadata blocks of a FLAC stream.

    Args:
        file: The file.
        start: Where the stream begins, with its marker.

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
    """Check the metadata of a FLAC stream; arguments and errors are those of :func:`blocks_of`.

    Returns:
        Where the first FLAC frame begins, after all metadata; a note if lengths in the metadata
        contradict each other.
    """
    end = start + 4
    damaged: list[str] = []
    for number, block in enumerate(blocks_of(file, start)):
        end = block.end
        if number < _MAX_CHECKED and not _Fields(file, block).are_valid():
            damaged.append(str(block))
    return end, _note_of(damaged)


def _note_of(damaged: Sequence[str]) -> tuple[str, ...]:
    if not damaged:
        return ()
    more = f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""
    note = (
        f"its metadata is damaged ({damaged[0]}{more}): other programs may refuse the file; its "
        "samples are read and checked nevertheless"
    )
    return (note,)


class _Fields:
    """Reads the fields of a block in order."""

    def __init__(self, file: ByteSource, block: Block) -> None:
        self._file = file
        self._block = block
        self._position = block.start + 4

    def are_valid(self) -> bool:
        """Whether the lengths of the fields fit into the block."""
        kind, length = self._block.kind, self._block.length
        if kind == _SEEKTABLE:
            return length % 18 == 0
        if kind == _APPLICATION:
            return length >= 4
        if kind == _VORBIS_COMMENT:
            self._skip(self._number("little"))
            for _ in range(min(self._number("little"), _MAX_COMMENTS)):
                self._skip(self._number("little"))
                if not self._is_inside:
                    return False
        elif kind == _PICTURE:
            self._skip(4)
            for n_more in (0, 16, 0):  # the type, the description, the picture
                self._skip(self._number("big"))
                self._skip(n_more)
        elif kind == _CUESHEET:
            self._skip(395)
            for _ in range(self._byte()):
                self._skip(35)
                self._skip(12 * self._byte())
        return self._is_inside

    @property
    def _is_inside(self) -> bool:
        return self._position <= self._block.end

    def _skip(self, n_bytes: int) -> None:
        self._position += n_bytes

    def _byte(self) -> int:
        return self._number("big", 1)

    def _number(self, order: Literal["little", "big"], n_bytes: int = 4) -> int:
        number = int.from_bytes(self._file.at(self._position, n_bytes), order)
        self._position += n_bytes
        return number
