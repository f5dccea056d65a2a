"""Reading audio: what a file's header promises, and the samples that come."""

from kapre_cli.audio.decoder import AudioFile
from kapre_cli.audio.reader import AudioReader

__all__ = ["AudioFile", "AudioReader"]
