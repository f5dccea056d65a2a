"""From paths, lists and standard input to an ordered, duplicate-free list of inputs."""

from kapre_cli.sources.discovery import STREAM, Inputs, discover
from kapre_cli.sources.keys import key_of
from kapre_cli.sources.source import Refusal, Source
from kapre_cli.sources.walk import AUDIO_SUFFIXES

__all__ = ["AUDIO_SUFFIXES", "STREAM", "Inputs", "Refusal", "Source", "discover", "key_of"]
