"""Identify a file by its first bytes: its decoder, or its other format.

Headers are parsed by this package: libsndfile silently lowers its number of samples when a file
ends early, so the declared number is read here and compared with the decoded one.
"""

import re

from kapre_cli.audio.decoders import DECODERS, AudioDecoder
from kapre_cli.audio.files import ByteSource, RegularFile, read_errors
from kapre_cli.audio.headers import Header
from kapre_cli.audio.remedies import FFMPEG, by_ffmpeg, through
from kapre_cli.audio.wav import RawDecoder, raw_header
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RawFormat
from kapre_cli.text import Argument, Text

_HEADER_BYTES = 2**12  # enough for most headers, pictures and cues included

_SIGNATURE_BYTES = 1024  # at the start of a file
_SHOWN = 12  # of them, in the message for an unknown file
_BOMS = (b"\xff\xfe", b"\xfe\xff")

_KALEIDOSCOPE = "convert it to WAV first, with Kaleidoscope of Wildlife Acoustics"
_UNPACK = "unpack it first, with "
_FETCH_AGAIN = "a download has failed and left this instead of a recording; fetch it again"
_ARRAYS = (
    "if it holds samples, write them into a WAV file first (soundfile.write in Python, audiowrite "
    "in MATLAB)"
)
_NO_AUDIO = "it holds no samples; leave it out"
_BLANKS = rb"(\xef\xbb\xbf)?\s*"

# How files begin, what they are, and the remedy: a sentence, or a command that converts one to WAV.
# {} is replaced by the file. The first match counts.
_SIGNATURES = (
    (
        rb"NIST_1A\n.*\nsample_coding [^\n]*embedded",
        "NIST SPHERE with compressed samples",
        "convert it to WAV first, with sph2pipe -f wav",
    ),
    (rb"NIST_1A\n", "NIST SPHERE", FFMPEG),
    (rb"OggS\x00", "Ogg", FFMPEG),
    (rb"FORM.{4}AIFF", "AIFF", FFMPEG),
    (rb"FORM.{4}AIFC", "AIFF-C", FFMPEG),
    (rb"FORM.{4}8SVX", "8SVX", FFMPEG),
    (rb"caff\x00", "CAF", FFMPEG),
    (rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb][^\xf0-\xff]", "MP3", FFMPEG),
    (rb"\xff[\xe4\xe5\xf4\xf5\xfc\xfd][^\xf0-\xff]", "MP2", FFMPEG),
    (rb"\xff[\xf0\xf1\xf9]|ADIF", "AAC", FFMPEG),
    (rb"\x0b\x77", "AC-3", FFMPEG),
    (rb"\x7f\xfe\x80\x01|\xfe\x7f\x01\x80", "DTS", FFMPEG),
    (rb"\.snd", "AU", FFMPEG),
    (rb"wvpk", "WavPack", FFMPEG),
    (rb"MAC ", "Monkey's Audio", FFMPEG),
    (rb"TTA[12]", "True Audio", FFMPEG),
    (rb"MPCK|MP\+", "Musepack", FFMPEG),
    (rb"ajkg", "Shorten", FFMPEG),
    (rb"DSD .{24}fmt |FRM8.{8}DSD ", "DSD", FFMPEG),
    (rb"#!AMR", "AMR", FFMPEG),
    (rb"Creative Voice File\x1a", "VOC", FFMPEG),
    (rb"\x64\xa3[\x01-\x04]\x00|\x00[\x01-\x04]\xa3\x64", "IRCAM", FFMPEG),
    (rb"PVF[12]\n", "PVF", FFMPEG),
    (rb"0&\xb2u\x8ef\xcf\x11", "WMA", FFMPEG),
    (rb"\x1aE\xdf\xa3", "Matroska or WebM", FFMPEG),
    (rb".{4}ftyp|.{4}(moov|mdat|wide)", "MP4", FFMPEG),
    (rb"RIFF.{4}AVI ", "AVI", FFMPEG),
    (rb"FLV\x01", "Flash video", FFMPEG),
    (rb"\x00\x00\x01\xba", "MPEG", FFMPEG),
    (rb"\.RMF|\.ra\xfd", "RealAudio", FFMPEG),
    (rb"WAac", "WAC", f"{_KALEIDOSCOPE} or wac2wavcmd"),
    (rb"(.{8})?W4V", "W4V", _KALEIDOSCOPE),
    (
        rb"version https://(git-lfs\.github|hawser\.github)\.com/",
        "a Git LFS pointer",
        "the recording has not been fetched; run: git lfs pull",
    ),
    (
        rb"(\.\./)*(\.git)?/annex/objects/",
        "a git-annex pointer",
        "the recording has not been fetched; run: git annex get {}",
    ),
    (
        _BLANKS + rb"(<!--.*?-->\s*)?(?i:<(!doctype html|html|head|body|title))",
        "a web page (HTML)",
        _FETCH_AGAIN,
    ),
    (_BLANKS + rb"<[?!A-Za-z]", "XML", _FETCH_AGAIN),
    (_BLANKS + rb"(\{\s*[\"}]|\[\s*[\[\]{\"])", "JSON", _FETCH_AGAIN),
    (rb"\x1f\x8b", "gzip", "gzip -dc < {}"),
    (rb"BZh[1-9]", "bzip2", "bzip2 -dc < {}"),
    (rb"\xfd7zXZ\x00", "xz", "xz -dc < {}"),
    (rb"\x28\xb5\x2f\xfd", "zstd", "zstd -dc < {}"),
    (rb"\x04\x22\x4d\x18", "LZ4", "lz4 -dc < {}"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive", _UNPACK + "unzip {}"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK + "7z x {}"),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK + "unrar x {}"),
    (rb".{257}ustar", "a tar archive", _UNPACK + "tar xf {}"),
    (rb"\x89HDF\r\n\x1a\n", "HDF5", _ARRAYS),
    (rb"\x93NUMPY", "a NumPy array (.npy)", _ARRAYS),
    (rb"MATLAB [57]\.", "a MATLAB file", _ARRAYS),
    (rb"CDF[\x01\x02\x05]", "NetCDF", _ARRAYS),
    (rb"\x00\x05\x16[\x00\x07]", "metadata of macOS (AppleDouble)", _NO_AUDIO),
    (rb"MThd", "MIDI", _NO_AUDIO),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF.{4}WEBP", "a picture", _NO_AUDIO),
    (rb"%PDF", "a PDF document", _NO_AUDIO),
)


def read_header(
    path: str, raw_format: RawFormat | None = None, *, is_stream: bool = False
) -> Header:
    """Return the header of a file, without decoding its samples.

    Args:
        path: The file.
        raw_format: The format of its samples if it has no header.
        is_stream: Whether the file holds the bytes of a pipe.

    Raises:
        AudioReadError: As :func:`identify`, and if the file cannot be opened.
    """
    with RegularFile(path, _HEADER_BYTES, is_stream=is_stream) as file, read_errors():
        return identify(file, raw_format)[1]


def identify(
    file: RegularFile, raw_format: RawFormat | None = None
) -> tuple[type[AudioDecoder], Header]:
    """Return the decoder and the header of a file; see :func:`read_header`.

    Raises:
        AudioReadError: If the file is empty, if no decoder recognises it, or if its header is cut
            short or declares impossible rates or channels.
    """
    if file.size == 0:
        if file.is_stream:
            raise AudioReadError(
                "the stream is empty (0 bytes); look at the messages of the program that writes "
                "into the pipe"
            )
        raise AudioReadError(
            "the file is empty (0 bytes): the recorder or a copy has stopped before anything was "
            "written; copy it again, or leave it out"
        )
    if raw_format is not None:
        return RawDecoder, raw_header(file.size, raw_format)
    if file.path.lower().endswith(".w4v") and not file.is_stream:
        raise AudioReadError(f"by its name it is W4V, not {_kinds()}; {_KALEIDOSCOPE}")
    for decoder in DECODERS:
        if decoder.recognizes(file):
            return decoder, decoder.read_header(file)
    raise AudioReadError(Text(_reason(file), *(f"; {why}" for why in DECODERS.broken.values())))


def _kinds() -> str:
    *first, last = (name for name in DECODERS.names if name not in DECODERS.broken)
    return f"{', '.join(first)} or {last}"


def _reason(file: ByteSource) -> Text | str:
    """Describe a file that no decoder recognises, with a remedy."""
    start = file.at(0, _SIGNATURE_BYTES)
    for pattern, kind, remedy in _SIGNATURES:
        if re.match(pattern, start, re.DOTALL):
            return f"it is {kind}, not {_kinds()}; {_spelled_out(remedy, file.shell_name)}"
    if len(start) > _SHOWN and not any(start):
        return (
            "it begins with zeros where its header should be: the recorder or a copy may have "
            "stopped before it was written; copy it again"
        )
    begins = f"it is not {_kinds()}: it begins with {start[:_SHOWN]!r}"
    if len(start) <= _SHOWN:
        return f"{begins}, and no recording has so few bytes; copy it again, or leave it out"
    if _is_text(start):
        return f"{begins}, which is text; name a recording instead"
    return Text(
        f"{begins}; if it is audio of another format, {by_ffmpeg(file.shell_name)}; if it is "
        "samples without a header, ",
        Argument("raw_format"),
        " names their format",
    )


def _spelled_out(remedy: str, name: str | None) -> str:
    """Return a remedy of the table for a file; ``None``: a pipe."""
    if remedy == FFMPEG:
        return by_ffmpeg(name)
    if " -dc" in remedy:
        return f"unpack it on the way: {through(remedy, name)}"
    return remedy.replace("{}", name or "FILE")


def _is_text(start: bytes) -> bool:
    """Whether bytes are text, up to a character that is cut off."""
    if start[:2] in _BOMS:
        return True
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:
            return False
        text = start[: error.start].decode()
    return all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)
