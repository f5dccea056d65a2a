"""An output format of another package: one Zarr group with an array for each input.

Once it is installed (``pip install ./examples/zarr_format``), ``-o night.zarr`` and ``--format
zarr`` work in all commands. The layout is that of the HDF5 files: an array ``features/<key>`` for
each input, with its metadata as attributes, the array ``coordinate``, and ``weights/<name>`` of a
trained layer. The attributes of the group are the metadata of the output; ``inputs.jsonl`` lists
the inputs in order, a line for each.

The group is of Zarr's version 2, which Zarr 2 and 3 write and read. Importing this module imports
neither Zarr nor NumPy, because ``kapre-extract --help`` lists all formats.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from kapre_cli.osutil import open_plain
from kapre_cli.settings.formats import Format
from kapre_cli.version import PROGRAM

if TYPE_CHECKING:
    from kapre_zarr_store import ZarrFeatures, ZarrWriter

INPUTS, GROUP, ATTRIBUTES, ARRAY = "inputs.jsonl", ".zgroup", ".zattrs", ".zarray"
FEATURES, COORDINATE, WEIGHTS = "features", "coordinate", "weights"

_OUR_BEGINNING = f'{{"format": "{PROGRAM}"'.encode()
_ARRAY_FILE = re.compile(r"(features|weights)/(.*/)?(\.zgroup|\.zattrs|\.zarray|\d+(\.\d+)*)")


class ZarrFormat(Format):
    """One Zarr group with the arrays of all inputs."""

    name = "zarr"
    summary = "one Zarr group"
    suffixes = (".zarr",)
    is_folder = True
    compressions = ("none", "gzip")
    stores_weights = True
    folder_files = (
        INPUTS,  # every change replaces it
        GROUP,
        ATTRIBUTES,
        f"{FEATURES}/{GROUP}",
        *(f"{COORDINATE}/{name}" for name in (ARRAY, ATTRIBUTES, "0")),
    )

    def claims(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Whether a folder is a Zarr group of version 2."""
        return (path / GROUP).is_file()

    def is_ours(self, path: Path) -> bool:
        """Whether the group's attributes begin as this program's do."""
        attributes = path / ATTRIBUTES
        if not (self.claims(path, b"") and attributes.is_file()):
            return False
        with open_plain(attributes) as file:
            return file.read(len(_OUR_BEGINNING)) == _OUR_BEGINNING

    def open(self, path: Path) -> "ZarrFeatures":
        """Open a group."""
        from kapre_zarr_store import ZarrFeatures

        return ZarrFeatures(path)

    def writer_class(self) -> "type[ZarrWriter]":
        """Return the writer, with Zarr loaded."""
        from kapre_zarr_store import ZarrWriter

        return ZarrWriter

    def array_file(self, key: str) -> str:
        """Return the path of an array's own metadata."""
        return f"{FEATURES}/{key}/{ARRAY}"

    def is_array_file(self, file: str) -> bool:
        """Whether a file has a name that Zarr gives to those of arrays and of groups."""
        return _ARRAY_FILE.fullmatch(file) is not None
