"""Which decoder a file needs."""

from kapre_cli.audio.decoding import Decoder
from kapre_cli.audio.header import Header
from kapre_cli.audio.libsndfile import LibsndfileDecoder
from kapre_cli.audio.pcm import PcmDecoder
from kapre_cli.audio.stream import HashingReader

_LIBSNDFILE_FLAC_BITS = (8, 16, 24)


def open_decoder(stream: HashingReader, header: Header) -> Decoder:
    """Return a decoder for a file from its beginning on.

    Raises:
        DecodingError: If there is none that can read it.
    """
    stream.seek(0)
    if header.number:
        return PcmDecoder(stream, header)
    if header.kind == "WAV":
        return LibsndfileDecoder(stream)
    # libsndfile puts zeros where a frame of FLAC is missing; without an MD5 nothing would tell.
    if header.md5 is None or header.bits not in _LIBSNDFILE_FLAC_BITS:
        from kapre_cli.audio.ffmpeg import FfmpegDecoder  # a large library for rare files

        return FfmpegDecoder(stream, header.bits)
    return LibsndfileDecoder(stream, "int16" if header.bits <= 16 else "int32")
