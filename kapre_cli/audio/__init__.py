"""Reading audio: what a file's header declares, and its samples.

Importing this package imports no NumPy: the modules that need it are imported by name.
"""

from kapre_cli.audio.decoders import (
    DECODERS,
    AudioDecoder,
    DecodingError,
    SampleReader,
    audio_suffixes,
)
from kapre_cli.audio.files import ByteSource, HashingReader, RegularFile, sha256_of
from kapre_cli.audio.headers import Header, encoding_name
from kapre_cli.audio.identify import read_header

__all__ = [
    "DECODERS",
    "AudioDecoder",
    "ByteSource",
    "DecodingError",
    "HashingReader",
    "Header",
    "RegularFile",
    "SampleReader",
    "audio_suffixes",
    "encoding_name",
    "read_header",
    "sha256_of",
]
