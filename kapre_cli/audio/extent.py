"""What there is of the samples that a WAV header promises, as told from its bytes."""

from dataclasses import dataclass

from kapre_cli.audio import behind
from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import RawFile
from kapre_cli.audio.riff import plain_head
from kapre_cli.audio.stream import FileBytes
from kapre_cli.errors import AudioReadError

REMEDY = "--allow-truncated takes what there is"
_ON_TO_THE_END = "--allow-truncated reads on to the end of the file"


@dataclass(frozen=True)
class Extent:
    """What there is of a WAV.

    Attributes:
        stream: The file with a header that is true of it.
        n_frames: Frames there; ``None`` for an encoding that has no bytes for each frame.
        n_bytes: Bytes of samples there.
        promised_bytes: Bytes of samples that its own header promises.
    """

    stream: FileBytes
    n_frames: int | None
    n_bytes: int
    promised_bytes: int

    def n_missing(self, header: Header, n_frames: int) -> int:
        """Return the frames promised less the ``n_frames`` there; never 0 where bytes differ.

        Where the header promises bytes alone it is estimated from them.
        """
        lacking = self.promised_bytes - self.n_bytes
        if lacking == 0:
            return 0
        if header.frame_bytes is not None:
            # The last frame is promised even if not all of it is.
            return -(-self.promised_bytes // header.frame_bytes) - n_frames
        estimate = round(lacking * n_frames / max(self.n_bytes, 1))
        return estimate or (1 if lacking > 0 else -1)


def wav_extent(file: RawFile, header: Header, allow_truncated: bool) -> Extent:
    """Hold what a WAV header promises against the bytes of its file.

    Args:
        file: The file.
        header: Its header.
        allow_truncated: Take what there is, whatever is promised.

    Raises:
        AudioReadError: If there are fewer or more samples than promised, unless that is allowed.
    """
    present = file.size - header.start
    promised = present if header.n_bytes is None else header.n_bytes
    taken = min(promised, present)
    if promised > present:
        if not allow_truncated:
            raise _fewer(header, present)
    elif promised < present and not behind.is_orderly(file, header):
        chunk = behind.cut_chunk(file, header)
        if not allow_truncated:
            raise _cut(chunk) if chunk else _more(header, present)
        taken = promised if chunk else present
    if taken != promised:
        taken -= taken % _decodable_bytes(header)
    if header.number:
        stream = FileBytes(file, end=header.start + taken)
        return Extent(stream, taken // header.block_bytes, taken, promised)
    odd_blocks = header.order == "<" and header.frame_bytes is None and taken % 2 == 1
    if taken != promised or odd_blocks or header.n_bytes is None:
        # libsndfile believes what a size says, even where the file has more, and takes the
        # padding behind blocks of an odd size for one more block, of which it makes noise.
        stream = FileBytes(file, plain_head(header, taken), header.start, header.start + taken)
    else:
        stream = FileBytes(file)
    n_frames = taken // header.frame_bytes if header.frame_bytes else None
    return Extent(stream, n_frames, taken, promised)


def _decodable_bytes(header: Header) -> int:
    """Return what number of bytes can be decoded without libsndfile making up a rest.

    Of a block that is cut short it makes noise, and the odd sizes of RIFX, for which there is
    no other header, it rounds up to even ones.
    """
    odd_blocks = header.order == ">" and header.frame_bytes is None and header.block_bytes % 2
    return header.block_bytes * (2 if odd_blocks else 1)


def _fewer(header: Header, present: int) -> AudioReadError:
    if header.frame_bytes is None:
        return AudioReadError(
            f"truncated: the header promises {header.n_bytes:,} bytes of samples, "
            f"{present:,} bytes came; {REMEDY}"
        )
    promised = -(-(header.n_bytes or 0) // header.frame_bytes)
    return AudioReadError(
        f"truncated: the header promises {promised:,} frames, "
        f"{present // header.frame_bytes:,} frames came; {REMEDY}"
    )


def _cut(chunk: str) -> AudioReadError:
    return AudioReadError(
        f"truncated: the chunk {chunk!r} behind its samples is cut short; {REMEDY}"
    )


def _more(header: Header, present: int) -> AudioReadError:
    align = header.frame_bytes
    behind_bytes = present - (header.n_bytes or 0)
    if not header.n_bytes:
        frames = f" ({behind_bytes // align:,} frames)" if align else ""
        return AudioReadError(
            f"the header says 0 frames, yet {behind_bytes:,} bytes{frames} follow it: the recorder "
            f"may have stopped before it could write the length into the header; {_ON_TO_THE_END}"
        )
    counts = (
        f"{header.n_frames:,} frames, {present // align:,} frames are there"
        if align
        else f"{header.n_bytes:,} bytes of samples, {present:,} bytes are there"
    )
    return AudioReadError(
        f"the header promises {counts}: the {behind_bytes:,} bytes behind the samples are no "
        f"chunks, so its size may be stale or beyond what 32 bits hold; {_ON_TO_THE_END}"
    )
