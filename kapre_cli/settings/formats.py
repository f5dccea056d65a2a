"""Output formats: the base class, and the registry through which all other modules ask for one.

The class of a format is light: its methods import readers and writers, so that the command line can
list formats and choose one without NumPy.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from kapre_cli.errors import StoredDataError
from kapre_cli.osutil import open_plain
from kapre_cli.registry import Registry
from kapre_cli.settings import checks

_BEGINNING_BYTES = 2**12


class Format(ABC):
    """How features are stored: one file, a folder or a stream. An instance has no state.

    A format of another package is derived from this class and declared as an entry point of the
    group ``kapre_cli.formats``. Work folder, lock, resuming and publishing are the same for all.

    Attributes:
        name: The value of ``--format`` and of ``Features.format``.
        summary: What it is, for people: ``"one HDF5 file"``.
        suffixes: Suffixes of paths that stand for it, in lower case, with the dot.
        is_folder: Whether an output is a folder.
        is_stream: Whether an output is written to standard output, and cannot be opened.
        holds_many: Whether an output can hold the arrays of several inputs.
        compressions: Values of ``--compression`` that it supports.
        has_dimension_scales: Whether it supports ``--dimension-scales``.
        companion_suffix: Suffix of a file beside the output that belongs to it; empty: none.
        folder_files: In a folder: names of its files and folders that hold no input's array. The
            first one is replaced whenever this program changes the output.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    is_folder: ClassVar[bool] = False
    is_stream: ClassVar[bool] = False
    holds_many: ClassVar[bool] = True
    compressions: ClassVar[tuple[str, ...]] = ("none",)
    has_dimension_scales: ClassVar[bool] = False
    companion_suffix: ClassVar[str] = ""
    folder_files: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def claims(self, path: Path, beginning: bytes) -> bool:
        """Whether a file or folder is of this format, even if damaged or not of this program.

        ``beginning`` has the first 4,096 bytes of a file, and is empty for a folder. The answer
        must take no more than a moment.
        """

    @abstractmethod
    def is_ours(self, path: Path) -> bool:
        """Whether this program made an output, which may be damaged; only then it is replaced.

        Raise OSError or StoredDataError if that cannot be read.
        """

    @abstractmethod
    def open(self, path: Path) -> Any:
        """Return the :class:`~kapre_cli.formats.features.Features` of an output.

        Raise StoredDataError if it is damaged or not of this program, FileNotFoundError if a file
        of it is missing, another OSError if it cannot be read.
        """

    @abstractmethod
    def writer_class(self) -> Any:
        """Return the :class:`~kapre_cli.formats.writer.FeatureWriter`, its libraries loaded."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        """Return the file beside an output that belongs to it; empty if the format has none."""
        return (path.with_name(path.name + self.companion_suffix),) if self.companion_suffix else ()

    def is_companion(self, path: Path) -> bool:  # noqa: ARG002
        """Whether this program made the file at ``path``, which has the name of a companion."""
        return False

    def array_file(self, key: str) -> str:
        """Return the POSIX path, in a folder, of a file that holds the array of an input.

        File names are checked before any work: each path must be possible, and differ from the
        others.
        """
        raise NotImplementedError

    def is_array_file(self, file: str) -> bool:  # noqa: ARG002
        """Whether a file in a folder, by its POSIX path, may hold an array.

        Such files are removed from the work folder when a run ends without an output.
        """
        return False

    def required_bytes(self, n_bytes: int, compression: str) -> int:
        """Return a lower bound of the bytes on disk of arrays of ``n_bytes``."""
        return n_bytes if compression == "none" else 0


FORMATS = Registry(
    "output format",
    "kapre_cli.formats",
    Format,  # type: ignore[type-abstract]
    {
        "hdf5": "kapre_cli.formats.built_in:Hdf5Format",
        "npy": "kapre_cli.formats.built_in:NpyFormat",
        "npy-directory": "kapre_cli.formats.built_in:NpyDirectoryFormat",
        "npy-stream": "kapre_cli.formats.built_in:NpyStreamFormat",
    },
)


def get_format(name: str) -> Format:
    """Return a format by name; raise SettingsError if there is none."""
    return _instance(FORMATS[name])


def all_formats(*, streams: bool = True) -> Iterator[Format]:
    """Yield the formats, those of installed packages last."""
    return (one for one in map(_instance, FORMATS) if streams or not one.is_stream)


def built_in_formats() -> Iterator[Format]:
    """Yield the formats of this package; no other package is searched."""
    return map(get_format, FORMATS.built_in)


@cache
def _instance(kind: type[Format]) -> Format:
    return kind()


def recognized_format(path: Path) -> Format | None:
    """Return the format of an existing file or folder, which may be damaged; ``None`` if unknown.

    Raise StoredDataError if it is neither a folder nor a regular file, OSError if it cannot be
    read.
    """
    beginning = b"" if path.is_dir() else read_beginning(path)
    return next((one for one in all_formats() if one.claims(path, beginning)), None)


def read_beginning(path: Path) -> bytes:
    """Return the first bytes of a regular file; raise StoredDataError for anything else."""
    with open_plain(path) as file:
        return file.read(_BEGINNING_BYTES)


def is_output_folder(folder: Path) -> bool:
    """Whether a folder is an output of this program, as far as its own files tell."""
    for one in all_formats(streams=False):
        if one.is_folder and all(os.path.isfile(folder / name) for name in one.folder_files):
            try:
                if one.is_ours(folder):
                    return True
            except (OSError, StoredDataError):
                continue
    return False


def compressions() -> tuple[str, ...]:
    """Return the compressions of all formats."""
    return tuple(dict.fromkeys(name for one in all_formats() for name in one.compressions))


def checked_compression(value: Any) -> str:
    """Return a compression that some format supports; raise SettingsError for anything else."""
    if any(value in one.compressions for one in all_formats()):
        return str(value)
    return str(checks.choice("compression", value, compressions()))
