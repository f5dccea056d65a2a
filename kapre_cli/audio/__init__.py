"""Reading audio: what a file's header promises, and the samples that come."""

from kapre_cli.audio.audio_file import AudioFile
from kapre_cli.audio.encodings import encoding_name
from kapre_cli.audio.header import Header
from kapre_cli.audio.headers import read_header
from kapre_cli.audio.reader import AudioReader
from kapre_cli.audio.stream import sha256_of

__all__ = ["AudioFile", "AudioReader", "Header", "encoding_name", "read_header", "sha256_of"]
