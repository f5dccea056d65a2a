"""Settings of a run beside those of the layer: audio, output, engine."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kapre_cli.errors import SettingsError, UsageError
from kapre_cli.settings import checks
from kapre_cli.settings.checks import MAX_SR
from kapre_cli.settings.formats import (
    FORMATS,
    Format,
    all_formats,
    checked_compression,
    get_format,
    recognized_format,
)
from kapre_cli.settings.layers import LayerConfig
from kapre_cli.settings.raw import RawFormat
from kapre_cli.settings.shard import Shard
from kapre_cli.text import Argument, Text, quoted

DTYPES = ("float32", "float16", "float64")
NON_FINITE = ("fail", "zero", "keep")
ENGINES = ("numpy", "keras")
ENGINE_CHOICES = ("auto", *ENGINES)
RESUMES = ("stat", "content")
STANDARD_OUTPUT = Path("-")
DEFAULT_FOLDER_FORMAT = "npy-directory"  # of a name without a suffix

MAX_BATCH_SAMPLES = 2**28


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """How every input is read before the layer sees it.

    Attributes:
        sr: Sample rate in Hz that every input must have, or is converted to.
        resample: Convert inputs of another rate instead of failing them.
        channels: Selected channels, counted from 0, in this order. ``None``: all of them.
        mono: Average the selected channels into one.
        allow_truncated: Read a file that has fewer or more samples than its header declares,
            instead of failing it.
        non_finite: One of ``NON_FINITE``: how NaN and infinite samples are treated. ``"fail"``:
            their file fails. ``"zero"``: they become 0. ``"keep"``: they stay, and every frame
            that holds one is NaN.
        verify_audio: Compare the samples of a FLAC file with the MD5 in its header.
        max_frames: Fail a file of more samples in each channel. ``None``: no limit.
        raw_format: The encoding of all inputs, which have no header then. ``None``: every input
            has a header.
    """

    sr: int
    resample: bool = False
    channels: tuple[int, ...] | None = None
    mono: bool = False
    allow_truncated: bool = False
    non_finite: str = "fail"
    verify_audio: bool = True
    max_frames: int | None = None
    raw_format: RawFormat | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        object.__setattr__(self, "sr", checks.integer("sr", self.sr, at_least=1, at_most=MAX_SR))
        checks.boolean("resample", self.resample)
        checks.boolean("mono", self.mono)
        checks.boolean("allow_truncated", self.allow_truncated)
        checks.choice("non_finite", self.non_finite, NON_FINITE)
        checks.boolean("verify_audio", self.verify_audio)
        if self.max_frames is not None:
            checked = checks.integer("max_frames", self.max_frames, at_least=1)
            object.__setattr__(self, "max_frames", checked)
        if self.channels is not None:
            channels = tuple(checks.integer("channel", one, at_least=0) for one in self.channels)
            if not channels:
                raise checks.invalid("channels", "None or at least one channel", self.channels)
            if len(set(channels)) < len(channels):
                raise checks.invalid("channels", "different from one another", self.channels)
            object.__setattr__(self, "channels", channels)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return {
            **asdict(self),
            "channels": None if self.channels is None else [*self.channels],
            "raw_format": None if self.raw_format is None else str(self.raw_format),
        }

    @classmethod
    def from_dict(cls, stored: Any) -> "AudioSettings":
        """Return the settings that :meth:`to_dict` wrote, checked like any other.

        Raises:
            ValueError: If a value is missing, unknown or out of range.
        """
        if isinstance(stored, dict):  # which may be of a time when every input had a header
            stored = {"raw_format": None, **stored}
        if not isinstance(stored, dict) or set(stored) != set(cls.__dataclass_fields__):
            raise SettingsError(
                f"Stored settings must have exactly {tuple(cls.__dataclass_fields__)}. "
                f"Received: {stored!r}"
            )
        channels, raw_format = stored["channels"], stored["raw_format"]
        if channels is not None and not isinstance(channels, (list, tuple)):
            raise checks.invalid("channels", "a list or None", channels)
        typed = {
            "channels": None if channels is None else tuple(channels),
            "raw_format": None if raw_format is None else RawFormat.parse(raw_format),
        }
        return cls(**{**stored, **typed})


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
            checks.choice("format", self.format, FORMATS.names)
        self._check_stream()
        # "." has no neighbours by name, and a link stands for what it leads to.
        is_name = self.path.name not in ("", "..") and not os.path.islink(self.path)
        if not (is_name or self.is_stream):
            object.__setattr__(self, "path", _target(self.path))
        checks.choice("dtype", self.dtype, DTYPES)
        checked_compression(self.compression)
        checks.boolean("dimension_scales", self.dimension_scales)
        checks.boolean("overwrite", self.overwrite)
        if self.resume is not None:
            checks.choice("resume", self.resume, RESUMES)
        if self.compression not in self.file_format.compressions:
            able = [one for one in all_formats() if self.compression in one.compressions]
            raise SettingsError(
                Text(
                    f"Only {_named(able)} can be compressed with {self.compression}. Received: ",
                    Argument("compression", self.compression),
                    f", format {self.format}",
                )
            )
        if self.dimension_scales and not self.file_format.has_dimension_scales:
            able = [one for one in all_formats() if one.has_dimension_scales]
            raise SettingsError(
                Text(
                    f"Only {_named(able)} can have dimension scales. Received: ",
                    Argument("dimension_scales", True),
                    f", format {self.format}",
                )
            )

    @property
    def file_format(self) -> Format:
        """The format itself."""
        return get_format(self.format)

    @property
    def is_stream(self) -> bool:
        """Whether features go to standard output."""
        return self.path == STANDARD_OUTPUT

    def _check_stream(self) -> None:
        if self.is_stream != self.file_format.is_stream:
            streams = [one for one in all_formats() if one.is_stream]
            raise SettingsError(
                f"Only {_named(streams)} goes to standard output (-). "
                f"Received: format {self.format}, path {str(self.path)!r}"
            )
        if self.is_stream and (self.overwrite or self.resume is not None):
            raise SettingsError(
                Text(
                    "Standard output (-) cannot be replaced or resumed: ",
                    Argument("overwrite"),
                    " and ",
                    Argument("resume"),
                    " need an output with a name",
                )
            )


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
    """Return the path of an output by its name; ``-`` is standard output, ``./-`` is not.

    >>> output_path("-") == STANDARD_OUTPUT, output_path("./-") == STANDARD_OUTPUT
    (True, False)

    Raises:
        UsageError: If it is empty, as a variable of a shell that is not set.
    """
    if not text:
        raise UsageError("the output is named by an empty path")
    path = Path(text)
    return path.absolute() if path == STANDARD_OUTPUT and text != "-" else path


def format_of(text: str | os.PathLike[str], *, streams: bool = True) -> str:
    """Return the name of the format that an output's name stands for.

    Args:
        text: The name as it was written: a ``/`` at its end names a folder.
        streams: Whether the command writes streams, for the message.

    Raises:
        UsageError: If it is nothing but a suffix, or if its suffix stands for no format; a folder
            of features that exists already may have any suffix.

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


def resolved_engine(engine: str, layer: LayerConfig) -> str:
    """Return which of ``ENGINES`` computes a layer, given one of ``ENGINE_CHOICES``."""
    checks.choice("engine", engine, ENGINE_CHOICES)
    return layer.preferred_engine if engine == "auto" else engine


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """One run: the layer, its input and its output.

    Attributes:
        layer: The layer's arguments. A mel layer's ``sr`` is the audio's.
        audio: How every input is read.
        output: Where and how features are stored.
        batch_size: Frames that are computed at once, rounded up to a multiple of 16; ``None``:
            a number chosen from ``n_dft`` and ``n_hop``.
        jobs: Worker processes, at least 1; ``None``: one for each processor, for the Keras engine
            one. Neither number changes a bit of the result.
        engine: One of ``ENGINES``: ``"numpy"`` computes what the layer does without TensorFlow,
            ``"keras"`` runs the layer itself. They agree but for rounding. ``"auto"`` becomes the
            one that suits the layer.
        shard: Which part of the inputs the run takes; ``None``: all of them.
    """

    layer: LayerConfig
    audio: AudioSettings
    output: OutputSettings
    batch_size: int | None = None
    jobs: int | None = None
    engine: str = "auto"
    shard: Shard | None = None

    def __post_init__(self) -> None:
        """Check that the parts, each of which has checked itself, agree."""
        if self.layer.required_sr not in (None, self.audio.sr):
            raise SettingsError(
                "The sample rate of the layer must be that of the audio. "
                f"Received: {self.layer.required_sr} Hz, audio at {self.audio.sr} Hz"
            )
        object.__setattr__(self, "engine", resolved_engine(self.engine, self.layer))
        if self.jobs is not None:
            object.__setattr__(self, "jobs", checks.integer("jobs", self.jobs, at_least=1))
        if self.batch_size is None:
            return
        batch_size = checks.integer("batch_size", self.batch_size, at_least=1)
        object.__setattr__(self, "batch_size", batch_size)
        framing = self.layer.framing
        if batch_size * max(framing.n_dft, framing.n_hop) > MAX_BATCH_SAMPLES:
            raise SettingsError(
                Text(
                    Argument("batch_size"),
                    f" frames must be at most {MAX_BATCH_SAMPLES:,} samples (1 GiB). Received: ",
                    *(Argument("batch_size", batch_size), ", "),
                    *(Argument("n_dft", framing.n_dft), ", ", Argument("n_hop", framing.n_hop)),
                )
            )
