"""What the header of a WAV or FLAC file promises, read from its bytes by this project.

libsndfile lowers its count of frames without a word when a file ends early, so the promise has
to be taken from the header itself and held against what comes.

Sources stand in :mod:`kapre_cli.audio.riff` (WAV and its relatives) and
:mod:`kapre_cli.audio.streaminfo` (FLAC).
"""

from dataclasses import replace

from kapre_cli.audio import behind
from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.opening import RegularFile, read_errors
from kapre_cli.audio.raw import raw_header
from kapre_cli.audio.riff import RIFFS, W64_RIFF, W64_WAVE, read_w64, read_wav
from kapre_cli.audio.signatures import W4V, reason_of
from kapre_cli.audio.streaminfo import FLAC_MARK, read_flac
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat

_W4V = ".w4v"
_HEADER_BYTES = 2**12  # as many as most headers have, if they have pictures and cues in them


def read_header(
    path: str, raw_format: RawFormat | None = None, *, is_stream: bool = False
) -> Header:
    """Return what the header of a file promises, without decoding anything.

    Args:
        path: The file.
        raw_format: As :func:`parse_header` has it.
        is_stream: Whether it is what came through a pipe.

    Raises:
        AudioReadError: If the file cannot be opened, is no regular file, is neither WAV nor
            FLAC, ends inside its header, or says a rate or channels that cannot be.
    """
    with RegularFile(path, _HEADER_BYTES, is_stream=is_stream) as file, read_errors():
        return parse_header(file, raw_format)


def parse_header(file: RegularFile, raw_format: RawFormat | None = None) -> Header:
    """Return what the header of an open file promises.

    Who writes into a pipe cannot go back to say how much it was: a WAV's 0 bytes are then all that
    came.

    Args:
        file: The file.
        raw_format: What it is if it has no header; none is looked for then.

    Raises:
        AudioReadError: As :func:`read_header`.
    """
    if file.size == 0:
        if file.is_stream:
            raise AudioReadError(
                "nothing came: the stream is empty (0 bytes); look at what the program says that "
                "writes into the pipe"
            )
        raise AudioReadError(
            "the file is empty (0 bytes): the recorder or a copy has stopped before anything was "
            "written; copy it again, or leave it out"
        )
    if raw_format is not None:
        return raw_header(file, raw_format)
    header = _own_header(file)
    if file.is_stream and header.n_bytes == 0 and not _is_empty(file, header):
        return replace(header, n_samples=None, n_bytes=None)
    return header


def _is_empty(file: RegularFile, header: Header) -> bool:
    """Whether nothing but chunks follows the header of a WAV."""
    following = file.at(header.start, 4)
    return is_chunk_name(following) and behind.trailer_of(file, header).is_valid


def _own_header(file: RegularFile) -> Header:
    if file.path.lower().endswith(_W4V) and not file.is_stream:
        raise AudioReadError(f"its name says that {W4V}")
    magic = file.at(0, 40)
    if magic[:4] in RIFFS and magic[8:12] == b"WAVE":
        return read_wav(file, magic[:4])
    if magic[:16] == W64_RIFF and magic[24:40] == W64_WAVE:
        return read_w64(file)
    start = _after_id3(file) if magic[:3] == b"ID3" else 0
    if file.at(start, 4) == FLAC_MARK:
        return read_flac(file, start)
    raise AudioReadError(reason_of(file))


def _after_id3(file: RegularFile) -> int:
    """Return where the audio begins: some taggers put an ID3v2 tag before a FLAC stream."""
    length = 0
    for seven_bits in file.at(6, 4):
        length = length << 7 | seven_bits & 0x7F
    return 10 + length
