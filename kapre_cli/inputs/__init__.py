"""Inputs from paths, lists and standard input, ordered and without duplicates."""

from kapre_cli.inputs.discovery import Inputs, discover, inputs_of_shard, is_hidden
from kapre_cli.inputs.keys import (
    STREAM,
    Segment,
    Source,
    file_key,
    folder_id,
    folders_above,
    folders_of,
    grouped,
    path_of,
    prefix_conflicts,
    recording_of,
    seconds_text,
)
from kapre_cli.inputs.lists import STDIN, FileList, InputStream, SpooledPipe

__all__ = [
    "STDIN",
    "STREAM",
    "FileList",
    "InputStream",
    "Inputs",
    "Segment",
    "Source",
    "SpooledPipe",
    "discover",
    "file_key",
    "folder_id",
    "folders_above",
    "folders_of",
    "grouped",
    "inputs_of_shard",
    "is_hidden",
    "path_of",
    "prefix_conflicts",
    "recording_of",
    "seconds_text",
]
