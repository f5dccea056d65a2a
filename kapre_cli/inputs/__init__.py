"""Build an ordered, duplicate-free list of inputs from paths, lists and standard input."""

from kapre_cli.inputs.discovery import Inputs, InputStream, discover
from kapre_cli.inputs.keys import (
    Source,
    folder_id,
    folders_above,
    folders_of,
    path_of,
    prefix_conflicts,
)
from kapre_cli.inputs.lists import STDIN, STREAM, FileList, SpooledPipe
from kapre_cli.inputs.walk import is_hidden

__all__ = [
    "STDIN",
    "STREAM",
    "FileList",
    "InputStream",
    "Inputs",
    "Source",
    "SpooledPipe",
    "discover",
    "folder_id",
    "folders_above",
    "folders_of",
    "is_hidden",
    "path_of",
    "prefix_conflicts",
]
