"""Build an ordered, duplicate-free list of inputs from paths, lists and standard input."""

from kapre_cli.inputs.discovery import Arriving, Inputs, discover
from kapre_cli.inputs.keys import Source, folder_id, folders_above, folders_of, nested, path_of
from kapre_cli.inputs.lists import STDIN, STREAM, Names, PipeSpool
from kapre_cli.inputs.walk import AUDIO_SUFFIXES, is_hidden

__all__ = [
    "AUDIO_SUFFIXES",
    "STDIN",
    "STREAM",
    "Arriving",
    "Inputs",
    "Names",
    "PipeSpool",
    "Source",
    "discover",
    "folder_id",
    "folders_above",
    "folders_of",
    "is_hidden",
    "nested",
    "path_of",
]
