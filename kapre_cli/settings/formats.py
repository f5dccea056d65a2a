"""Output formats, and the settings of an output.

The class of a format is light: its methods import readers and writers, so that the command line can
list formats and choose one without NumPy.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from kapre_cli.errors import SettingsError, StoredDataError, UsageError
from kapre_cli.osutil import open_plain
from kapre_cli.registry import Registry
from kapre_cli.settings import checks
from kapre_cli.text import Argument, Text, quoted

DTYPES = ("float32", "float16", "float64")
RESUMES = ("stat", "content")
STANDARD_OUTPUT = Path("-")
DEFAULT_FOLDER_FORMAT = "npy-directory"  # of a name without a suffix

_BEGINNING_BYTES = 2**12


class Format(ABC):
    """How features are stored: a file, a folder or a stream. It has no state.

    A format of another package is derived from this class and declared as an entry point of the
    group ``kapre_cli.formats``. Work folder, lock, resuming and publishing are the same for all.

    Attributes:
        name: The value of ``OutputSettings.format`` and of ``Features.format``.
        summary: What it is, for people: ``"one HDF5 file"``.
        suffixes: Suffixes of paths that stand for it, in lower case, with the dot.
        is_folder: Whether an output is a folder.
        is_stream: Whether an output is written to standard output, and cannot be opened.
        holds_many: Whether an output can hold the arrays of several inputs.
        compressions: Names of the compressions that it supports.
        has_dimension_scales: Whether it supports dimension scales.
        stores_weights: Whether it stores the trained weights of a layer: its writer those in the
            metadata of the output, its reader reads them as ``stored_weights``.
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
    stores_weights: ClassVar[bool] = False
    companion_suffix: ClassVar[str] = ""
    folder_files: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def claims(self, path: Path, beginning: bytes) -> bool:
        """Whether a file or folder is of this format, even of another program.

        It may be damaged. ``beginning`` has the first 4,096 bytes of a file, and is empty for a
        folder. The answer must take no more than a moment.
        """

    @abstractmethod
    def is_ours(self, path: Path) -> bool:
        """Whether this program made an output; only then it is replaced.

        It may be damaged. Raise OSError or StoredDataError if that cannot be read.
        """

    @abstractmethod
    def open(self, path: Path) -> Any:
        """Return the :class:`~kapre_cli.formats.features.Features` of an output.

        Raise StoredDataError if it is damaged or not of this program, FileNotFoundError if a file
        of it is missing, another OSError if it cannot be read.
        """

    @abstractmethod
    def writer_class(self) -> Any:
        """Load libraries; return the :class:`~kapre_cli.formats.writer.FeatureWriter`."""

    def companions(self, path: Path) -> tuple[Path, ...]:
        """Return the file beside an output that belongs to it, if there is one."""
        return (path.with_name(path.name + self.companion_suffix),) if self.companion_suffix else ()

    def is_companion(self, path: Path) -> bool:  # noqa: ARG002
        """Whether this program made the file at ``path``, named as a companion."""
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


def check_stores_weights(format_: Format) -> None:
    """Raise SettingsError if a format loses the trained weights of a layer."""
    if not (format_.stores_weights or format_.is_stream):
        raise SettingsError(
            f"The format {quoted(format_.name)} cannot store the trained weights of a layer: "
            "use another one, such as .h5"
        )


def recognized_format(path: Path) -> Format | None:
    """Return the format of a file or folder, even if damaged; ``None`` if unknown.

    Raise StoredDataError if it is neither a folder nor a regular file, OSError if it cannot be
    read.
    """
    beginning = b"" if path.is_dir() else read_beginning(path)
    return next((one for one in all_formats() if one.claims(path, beginning)), None)


def read_beginning(path: Path) -> bytes:
    """Return the first bytes of a regular file, else raise StoredDataError."""
    with open_plain(path) as file:
        return file.read(_BEGINNING_BYTES)


def is_output_folder(folder: Path) -> bool:
    """Whether a folder is an output of this program, judged by the format's own files."""
    for one in all_formats():
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


def validated_compression(value: Any) -> str:
    """Return a compression that a format supports, else raise SettingsError."""
    if any(value in one.compressions for one in all_formats()):
        return str(value)
    raise checks.invalid("compression", f"one of {compressions()}", value)


# The settings of an output


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """Where and how features are stored.

    Attributes:
        path: The file or folder, or ``STANDARD_OUTPUT``.
        format: The name of one of ``FORMATS``; a stream goes to standard output, and nothing else
            does.
        dtype: One of ``DTYPES``: how the float32 results are stored.
        compression: One of the format's ``compressions``.
        dimension_scales: Give an HDF5 file dimension scales, from which programs that read netCDF
            take seconds and Hz.
        overwrite: Replace an existing output once the new one is complete.
        resume: Reuse the arrays of an earlier run for the same output. ``"stat"``: of inputs
            whose path, size and modification time are the same; ``"content"``: of inputs whose
            bytes are the same; ``None``: of none.
    """

    path: Path
    format: str
    dtype: str = "float32"
    compression: str = "none"
    dimension_scales: bool = False
    overwrite: bool = False
    resume: str | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if self.format not in FORMATS:
            raise checks.invalid("format", f"one of {FORMATS.names}", self.format)
        self._check_stream()
        # "." has no neighbours by name, and a link stands for what it leads to.
        is_name = self.path.name not in ("", "..") and not os.path.islink(self.path)
        if not (is_name or self.is_stream):
            checks.settle(self, "path", _target(self.path))
        checks.choice("dtype", self.dtype, DTYPES)
        validated_compression(self.compression)
        checks.boolean("dimension_scales", self.dimension_scales)
        checks.boolean("overwrite", self.overwrite)
        if self.resume is not None:
            checks.choice("resume", self.resume, RESUMES)
        if self.compression not in self.file_format.compressions:
            able = [one for one in all_formats() if self.compression in one.compressions]
            received = Argument("compression", self.compression)
            raise self._unsupported(able, f"be compressed with {self.compression}", received)
        if self.dimension_scales and not self.file_format.has_dimension_scales:
            able = [one for one in all_formats() if one.has_dimension_scales]
            received = Argument("dimension_scales", True)
            raise self._unsupported(able, "have dimension scales", received)

    @property
    def file_format(self) -> Format:
        """The format itself."""
        return get_format(self.format)

    @property
    def is_stream(self) -> bool:
        """Whether features go to standard output."""
        return self.path == STANDARD_OUTPUT

    def _unsupported(self, able: Sequence[Format], verb: str, received: Argument) -> SettingsError:
        """Return the error for what only the formats ``able`` can do."""
        text = f"Only {_named(able)} can {verb}. Received: "
        return SettingsError(Text(text, received, f", format {self.format}"))

    def _check_stream(self) -> None:
        if self.is_stream != self.file_format.is_stream:
            streams = [one for one in all_formats() if one.is_stream]
            raise SettingsError(
                f"Only {_named(streams)} goes to standard output (-). "
                f"Received: format {self.format}, path {str(self.path)!r}"
            )
        if self.is_stream and (self.overwrite or self.resume is not None):
            rule = "Standard output (-) cannot be replaced or resumed: "
            names = (Argument("overwrite"), " and ", Argument("resume"))
            raise SettingsError(Text(rule, *names, " need an output with a name"))


def _named(formats: Sequence[Format]) -> str:
    names = " and ".join(one.name for one in formats)
    return f"the format{'s' if len(formats) > 1 else ''} {names}"


def _target(path: Path) -> Path:
    """Return what a path leads to in the end."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise SettingsError(
            f"the output {quoted(path)} is a link that leads to itself; remove it, or name another "
            "output"
        )
    return target


def output_path(text: str) -> Path:
    """Return the path of an output; ``-`` is standard output, ``./-`` is not.

    Raise UsageError if the name is empty, as a variable of a shell that is not set.

    >>> output_path("-") == STANDARD_OUTPUT, output_path("./-") == STANDARD_OUTPUT
    (True, False)
    """
    if not text:
        raise UsageError("the output is named by an empty path")
    path = Path(text)
    return path.absolute() if path == STANDARD_OUTPUT and text != "-" else path


def format_of(text: str | os.PathLike[str], *, streams: bool = True) -> str:
    """Return the name of the format of an output, by the output's name as written.

    Raise UsageError if it is nothing but a suffix, or if its suffix stands for no format; a folder
    of features that exists already may have any suffix. ``streams`` is whether the command writes
    streams, for the message.

    >>> format_of("night.h5"), format_of("a.npy"), format_of("features"), format_of("v1.0/")
    ('hdf5', 'npy', 'npy-directory', 'npy-directory')
    >>> format_of("-")
    'npy-stream'
    """
    text = os.fspath(text)
    if text == "-":
        return next(one.name for one in all_formats() if one.is_stream)
    name = os.path.basename(text)
    stem, dot, last = name.rpartition(".")
    suffix = f"{dot}{last.lower()}"
    if name in ("", ".", "..") or not stem.strip("."):
        if name.startswith(".") and _of_suffix(name.lower()):
            raise UsageError(
                f"the output {quoted(text)} is a suffix without a name before it, as from a "
                f"variable of a shell that is not set; {quoted(text + '/')} names a folder"
            )
        return DEFAULT_FOLDER_FORMAT
    if found := _of_suffix(suffix):
        return found.name
    existing = recognized_format(Path(text)) if os.path.isdir(text) else None
    if existing is not None:
        return existing.name
    forms = [_suffixes_of(one) for one in all_formats() if one.suffixes]
    forms += [f"- ({one.summary})" for one in all_formats() if one.is_stream and streams]
    folder = get_format(DEFAULT_FOLDER_FORMAT)
    raise UsageError(
        Text(
            f"the output {quoted(text)} has the suffix {quoted(dot + last)}, which is no format; "
            f"name {', '.join(forms)}, or {folder.summary}: a name without a suffix, "
            f"{quoted(text + '/')}, or any name with ",
            Argument("format", folder.name),
            *(f"; {why}" for why in FORMATS.broken.values()),
        )
    )


def _of_suffix(suffix: str) -> Format | None:
    return next((one for one in all_formats() if suffix in one.suffixes), None)


def _suffixes_of(one: Format) -> str:
    patterns = " or ".join(f"*{suffix}" for suffix in one.suffixes)
    return f"{patterns} ({one.summary}{'' if one.holds_many else ', for a single input'})"
