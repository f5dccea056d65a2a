"""What the header of a WAV or FLAC file promises, read from its bytes by this project.

libsndfile lowers its count of frames without a word when a file ends early, so the promise has
to be taken from the header itself and held against what comes.

Sources stand in :mod:`kapre_cli.audio.riff` (WAV and its relatives) and
:mod:`kapre_cli.audio.streaminfo` (FLAC).
"""

from dataclasses import replace

from kapre_cli.audio import behind
from kapre_cli.audio.header import Header, is_chunk_name
from kapre_cli.audio.opening import RawFile, read_errors
from kapre_cli.audio.raw import raw_header
from kapre_cli.audio.riff import RIFFS, W64_RIFF, W64_WAVE, read_w64, read_wav
from kapre_cli.audio.streaminfo import FLAC_MARK, read_flac
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat

_HEADER_BYTES = 2**12  # as many as most headers have, if they have pictures and cues in them

_OTHER_KINDS = (  # (offset, bytes there, what it is)
    (0, b"OggS", "Ogg"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"ID3", "MP3"),
    *((0, bytes((0xFF, second)), "MP3") for second in (0xFA, 0xFB, 0xF2, 0xF3)),
    (0, b".snd", "AU"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (4, b"ftyp", "MP4"),
)


def promise(path: str, raw_format: RawFormat | None = None, *, is_stream: bool = False) -> Header:
    """Return what the header of a file promises, without decoding anything.

    Arguments but the path are those of :func:`read_header`.

    Raises:
        AudioReadError: If the file cannot be opened, is no regular file, is neither WAV nor
            FLAC, ends inside its header, or says a rate or channels that cannot be.
    """
    with RawFile(path, _HEADER_BYTES) as file, read_errors():
        return read_header(file, raw_format, is_stream=is_stream)


def read_header(
    file: RawFile, raw_format: RawFormat | None = None, *, is_stream: bool = False
) -> Header:
    """Return what the header of an open file promises.

    Args:
        file: The file.
        raw_format: What it is if it has no header; none is looked for then.
        is_stream: Whether it is what came through a pipe. Who writes into one cannot go back to
            say how much it was: a WAV's 0 bytes are then all that came.

    Raises:
        AudioReadError: As :func:`promise`.
    """
    if file.size == 0:
        what = "nothing came: the stream" if is_stream else "the file"
        raise AudioReadError(f"{what} is empty (0 bytes)")
    if raw_format is not None:
        return raw_header(file, raw_format)
    header = _own_header(file)
    if is_stream and header.n_bytes == 0 and not _is_empty(file, header):
        return replace(header, n_frames=None, n_bytes=None)
    return header


def _is_empty(file: RawFile, header: Header) -> bool:
    """Whether nothing but chunks follows the header of a WAV."""
    following = file.at(header.start, 4)
    return is_chunk_name(following) and behind.trailer_of(file, header).is_valid


def _own_header(file: RawFile) -> Header:
    magic = file.at(0, 40)
    if magic[:4] in RIFFS and magic[8:12] == b"WAVE":
        return read_wav(file, magic[:4])
    if magic[:16] == W64_RIFF and magic[24:40] == W64_WAVE:
        return read_w64(file)
    start = _after_id3(file) if magic[:3] == b"ID3" else 0
    if file.at(start, 4) == FLAC_MARK:
        return read_flac(file, start)
    raise AudioReadError(_not_audio(magic))


def _not_audio(magic: bytes) -> str:
    for offset, mark, kind in _OTHER_KINDS:
        if magic[offset:].startswith(mark):
            return f"it is {kind}, not WAV or FLAC; convert it first, for instance with ffmpeg"
    return f"neither a WAV nor a FLAC file: it begins with {magic[:12]!r}"


def _after_id3(file: RawFile) -> int:
    """Return where the audio begins: some taggers put an ID3v2 tag before a FLAC stream."""
    length = 0
    for seven_bits in file.at(6, 4):
        length = length << 7 | seven_bits & 0x7F
    return 10 + length
