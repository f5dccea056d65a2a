"""What there is of the samples that a WAV header promises, as told from its bytes."""

from dataclasses import dataclass

from kapre_cli.audio.behind import Trailer, trailer_of
from kapre_cli.audio.header import Header
from kapre_cli.audio.opening import RegularFile
from kapre_cli.audio.riff import plain_head
from kapre_cli.audio.second_file import find_file
from kapre_cli.audio.stream import HashingReader
from kapre_cli.errors import AudioReadError
from kapre_cli.settings.checks import within_int64

REMEDY = "--allow-truncated takes what there is"
FIRST_OF_TWO = "--allow-truncated takes the first"
_ON_TO_THE_END = "--allow-truncated reads on to the end of the file"

_SAMPLES_PER_BYTE = 8  # of the tightest encoding, at most


@dataclass(frozen=True)
class Extent:
    """What there is of a WAV.

    Attributes:
        stream: The file with a header that is true of it.
        n_frames: Frames there; ``None`` for an encoding that has no bytes for each frame.
        n_bytes: Bytes of samples there.
        promised_bytes: Bytes of samples that its own header promises.
        has_more: Whether a second file behind the samples is left out.
        notes: What is odd about the file and does no harm, in sentences.
    """

    stream: HashingReader
    n_frames: int | None
    n_bytes: int
    promised_bytes: int
    has_more: bool = False
    notes: tuple[str, ...] = ()

    def n_missing(self, header: Header, n_frames: int) -> int:
        """Return the frames promised less the ``n_frames`` there; never 0 where bytes differ.

        Where the header promises bytes alone it is estimated from them.
        """
        lacking = self.promised_bytes - self.n_bytes
        if lacking == 0:
            return -1 if self.has_more else 0  # at least: what is left out is not counted
        if header.frame_bytes is not None:
            # The last frame is promised even if not all of it is.
            return within_int64(-(-self.promised_bytes // header.frame_bytes) - n_frames)
        estimate = round(lacking * n_frames / max(self.n_bytes, 1))
        return within_int64(estimate or (1 if lacking > 0 else -1))


def wav_extent(file: RegularFile, header: Header, allow_truncated: bool) -> Extent:
    """Compare what a WAV header promises with the bytes of its file.

    Args:
        file: The file.
        header: Its header.
        allow_truncated: Take what there is, whatever is promised.

    Raises:
        AudioReadError: If there are fewer or more samples than promised, or a second file behind
            them, unless that is allowed.
    """
    present = file.size - header.start
    declared = present if header.n_bytes is None else header.n_bytes
    taken = min(declared, present)
    if declared > present and not allow_truncated:
        raise _fewer(header, present)
    trailer = _trailer(file, header)
    second = trailer.second_file
    if second is not None and not allow_truncated:
        raise second.error(FIRST_OF_TWO)
    if not (trailer.is_valid or trailer.cut_chunk):
        if not allow_truncated:
            raise _more(header, present)
        taken = second.start - header.start if second else present
        declared = taken if header.n_bytes is None else declared
    if taken != declared or second is not None:
        taken -= taken % _decodable_bytes(header)
    elif _counts_padding(header, taken):
        taken, declared = taken - 1, declared - 1
    stream = _stream(file, header, taken, is_first=second is not None)
    n_frames = taken // header.frame_bytes if header.frame_bytes else None
    notes = []
    if trailer.cut_chunk:
        notes.append(
            f"the chunk behind its samples is cut short ({trailer.cut_chunk}); all samples are "
            "there and are read"
        )
    return Extent(stream, n_frames, taken, declared, second is not None, tuple(notes))


def _trailer(file: RegularFile, header: Header) -> Trailer:
    """Return what stands behind the samples; samples without an end are searched for a file."""
    if header.n_bytes is None:
        second = find_file(file, header.start, file.size)
        return Trailer(is_valid=second is None, second_file=second)
    is_whole = header.n_bytes < file.size - header.start
    return trailer_of(file, header) if is_whole else Trailer()


def _counts_padding(header: Header, n_bytes: int) -> bool:
    """Whether the size of the samples counts the byte that fills them up to an even number.

    SoX counts it. Of blocks of an odd size, as those of GSM, the byte alone would be one more.
    """
    is_of_odd_blocks = header.frame_bytes is None and header.block_bytes % 2 == 1
    return is_of_odd_blocks and header.block_bytes > 1 and n_bytes % header.block_bytes == 1


def _stream(file: RegularFile, header: Header, taken: int, *, is_first: bool) -> HashingReader:
    """Return the file as its decoder is to see it, with a header that is true of it.

    Args:
        file: The file.
        header: Its header.
        taken: Bytes of samples to be decoded.
        is_first: Whether another file follows, which libsndfile takes for a part of this one.
    """
    if header.number:
        return HashingReader(file, end=header.start + taken)
    odd_blocks = header.order == "<" and header.frame_bytes is None and taken % 2 == 1
    if taken != header.n_bytes or odd_blocks or is_first:
        # libsndfile believes what a size says, even where the file has more, and takes the
        # padding behind blocks of an odd size for one more block, of which it makes noise.
        return HashingReader(file, plain_head(header, taken), header.start, header.start + taken)
    return HashingReader(file)


def samples_by_fact(header: Header, extent: Extent, came: int) -> tuple[int, int, tuple[str, ...]]:
    """Return how many samples an encoded WAV has, how many are missing, and notes.

    Encodings of blocks pad the last one: where the fact chunk ends inside the last block that was
    promised, it ends the samples. Programs write wrong counts too, among them libsndfile, which
    divides those of IMA ADPCM by the channels: one that leaves whole blocks out, or that no
    encoding could hold in so many bytes, is not believed.

    Args:
        header: The header.
        extent: What there is of its samples.
        came: Samples of each channel in the blocks that are there.

    Returns:
        Samples of each channel that are read; those missing, negative if there are more than
        promised; what there is to say about the file.
    """
    missing = extent.n_missing(header, came)
    stated = header.fact_samples
    n_blocks = -(-extent.n_bytes // header.block_bytes)
    if not stated or header.frame_bytes is not None or not came or not n_blocks:
        return came, missing, ()
    of_a_block = -(-came // n_blocks)
    whole = came + max(missing, 0)
    at_most = _SAMPLES_PER_BYTE * extent.promised_bytes // header.n_channels
    is_share = header.n_channels > 1 and stated == whole // header.n_channels
    if is_share:
        return came, missing, ()
    if stated <= whole - of_a_block or stated > at_most:
        return came, missing, (_ignored_fact(stated, came),)
    if stated > came:
        return came, within_int64(stated - came), ()
    return stated, missing and (1 if missing > 0 else -1), ()


def _ignored_fact(stated: int, came: int) -> str:
    return (
        f"its fact chunk states {stated:,} samples, its blocks hold {came:,}: the chunk is not "
        "believed, and all samples are read"
    )


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
    declared = -(-(header.n_bytes or 0) // header.frame_bytes)
    return AudioReadError(
        f"truncated: the header promises {declared:,} frames, "
        f"{present // header.frame_bytes:,} frames came; {REMEDY}"
    )


def fewer_by_fact(stated: int, came: int) -> AudioReadError:
    """Return the error for an encoded WAV that holds fewer samples than its fact chunk states."""
    return AudioReadError(
        f"truncated: its fact chunk promises {stated:,} samples, its blocks hold {came:,}; {REMEDY}"
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
