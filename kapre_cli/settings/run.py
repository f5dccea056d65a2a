"""What a run reads and writes, beside the layer that it computes."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kapre_cli.errors import SettingsError, UsageError
from kapre_cli.settings import checks
from kapre_cli.settings.checks import MAX_SR
from kapre_cli.settings.layers import LayerConfig
from kapre_cli.settings.raw import RawFormat
from kapre_cli.settings.shard import Shard
from kapre_cli.text import quoted

FILE_FORMATS = ("hdf5", "npy", "npy-directory")
FORMATS = (*FILE_FORMATS, "npy-stream")
DTYPES = ("float32", "float16", "float64")
COMPRESSIONS = ("none", "gzip", "lzf")
NON_FINITE = ("fail", "zero", "keep")
ENGINES = ("numpy", "keras")
ENGINE_CHOICES = ("auto", *ENGINES)
RESUMES = ("stat", "content")
HDF5_SUFFIXES = (".h5", ".hdf5")
STANDARD_OUTPUT = Path("-")
ROOT_NAME = "kapre-extract.json"  # the file by which a folder of features is known

_FORMAT_OF_SUFFIX = {**dict.fromkeys(HDF5_SUFFIXES, "hdf5"), ".npy": "npy"}

MAX_BATCH_SAMPLES = 2**28


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """What is taken of every input before the layer sees it.

    Attributes:
        sr: Sample rate in Hz that every input must have, or is converted to.
        resample: Convert inputs of another rate instead of failing them.
        channels: Channels to take, counted from 0, in this order. ``None``: all of them.
        mono: Average the channels taken into one.
        allow_truncated: Take what there is of a file that holds fewer or more frames than its
            header promises, instead of failing it.
        non_finite: One of ``NON_FINITE``: what becomes of samples that are NaN or infinite.
            ``"fail"``: their file fails. ``"zero"``: they become 0. ``"keep"``: they stay, and
            every frame that holds one is NaN.
        verify_audio: Hold the samples of a FLAC file against the MD5 in its header.
        max_frames: Fail a file of more samples in each channel. ``None``: no limit.
        raw_format: What every input is, none of which has a header. ``None``: its own header
            says so.
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
            taken = tuple(checks.integer("channel", one, at_least=0) for one in self.channels)
            if not taken:
                raise checks.invalid("channels", "None or at least one channel", self.channels)
            if len(set(taken)) < len(taken):
                raise checks.invalid("channels", "different from one another", self.channels)
            object.__setattr__(self, "channels", taken)

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
    """Where features go and how they are stored.

    Attributes:
        path: The HDF5 file, the .npy file, the directory of .npy files, or ``STANDARD_OUTPUT``.
        format: One of ``FORMATS``; ``"npy-stream"`` goes to standard output, and nothing else does.
        dtype: One of ``DTYPES``: how the float32 results are stored.
        compression: One of ``COMPRESSIONS``; HDF5 alone compresses.
        dimension_scales: Give an HDF5 file dimension scales, from which programs that read netCDF
            take seconds and Hz.
        overwrite: Replace an existing output once the new one is complete.
        resume: Keep what an earlier run has done for the same output. ``"stat"``: for inputs
            whose path, size and time of change are the same; ``"content"``: for inputs whose
            bytes are the same; ``None``: do not.
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
        self._check_stream()
        # "." has no neighbours by name, and a link stands for what it leads to.
        is_name = self.path.name not in ("", "..") and not os.path.islink(self.path)
        if not (is_name or self.is_stream):
            object.__setattr__(self, "path", _target(self.path))
        checks.choice("format", self.format, FORMATS)
        checks.choice("dtype", self.dtype, DTYPES)
        checks.choice("compression", self.compression, COMPRESSIONS)
        checks.boolean("dimension_scales", self.dimension_scales)
        checks.boolean("overwrite", self.overwrite)
        if self.resume is not None:
            checks.choice("resume", self.resume, RESUMES)
        if self.compression != "none" and self.format != "hdf5":
            raise SettingsError(
                "Only HDF5 output can be compressed. "
                f"Received: compression={self.compression!r}, format={self.format!r}"
            )
        if self.dimension_scales and self.format != "hdf5":
            raise SettingsError(
                "Only HDF5 output can have dimension scales. "
                f"Received: dimension_scales=True, format={self.format!r}"
            )

    @property
    def is_stream(self) -> bool:
        """Whether features go to standard output."""
        return self.path == STANDARD_OUTPUT

    def _check_stream(self) -> None:
        if self.is_stream != (self.format == "npy-stream"):
            raise SettingsError(
                "The format npy-stream, and no other, goes to standard output (-). "
                f"Received: format={self.format!r}, path={str(self.path)!r}"
            )
        if self.is_stream and (self.overwrite or self.resume is not None):
            raise SettingsError(
                "Standard output (-) cannot be replaced or resumed: "
                "--overwrite and --resume need an output with a name"
            )


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
    """Return the path that an output's name stands for; ``-`` is standard output, ``./-`` is not.

    >>> output_path("-") == STANDARD_OUTPUT, output_path("./-") == STANDARD_OUTPUT
    (True, False)

    Raises:
        UsageError: If it is empty, as a variable of a shell that is not set.
    """
    if not text:
        raise UsageError("the output is named by an empty path")
    path = Path(text)
    return path.absolute() if path == STANDARD_OUTPUT and text != "-" else path


def format_of(text: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> str:
    """Return the format that an output's name stands for.

    Args:
        text: The name as it was written: a ``/`` at its end names a folder.
        formats: The formats that the command writes.

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
        return "npy-stream"
    name = os.path.basename(text)
    if name.lower() in _FORMAT_OF_SUFFIX:
        raise UsageError(
            f"the output {quoted(text)} is a suffix without a name before it, as from a variable "
            f"of a shell that is not set; {quoted(text + '/')} names a folder"
        )
    stem, dot, last = name.rpartition(".")
    if name in ("", ".", "..") or not stem.strip("."):
        return "npy-directory"
    suffix = f"{dot}{last.lower()}"
    if suffix in _FORMAT_OF_SUFFIX:
        return _FORMAT_OF_SUFFIX[suffix]
    if os.path.isfile(os.path.join(text, ROOT_NAME)):
        return "npy-directory"
    stream = ", - (.npy arrays on standard output)" if "npy-stream" in formats else ""
    raise UsageError(
        f"the output {quoted(text)} has the suffix {quoted(dot + last)}, which is no format; "
        "name a *.h5 or *.hdf5 file (HDF5), a *.npy file (one array)"
        f"{stream}, or a folder of .npy files: a name without a suffix, {quoted(text + '/')}, "
        "or any name with --format npy-directory"
    )


def resolved_engine(engine: str, layer: LayerConfig) -> str:
    """Return which of ``ENGINES`` computes a layer, given one of ``ENGINE_CHOICES``."""
    checks.choice("engine", engine, ENGINE_CHOICES)
    return layer.preferred_engine if engine == "auto" else engine


@dataclass(frozen=True, kw_only=True)
class ExtractionSettings:
    """One run: the layer, what it is fed, where the result goes.

    Attributes:
        layer: The layer's arguments. A mel layer's ``sr`` is the audio's.
        audio: What is taken of every input.
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
        """Check what the parts, which have checked themselves, must agree upon."""
        if self.layer.required_sr not in (None, self.audio.sr):
            raise SettingsError(
                "The layer's `sr` must be the rate of the audio. "
                f"Received: sr={self.layer.required_sr}, audio at {self.audio.sr}"
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
                f"`batch_size` frames must be at most {MAX_BATCH_SAMPLES:,} samples (1 GiB). "
                f"Received: batch_size={batch_size}, n_dft={framing.n_dft}, n_hop={framing.n_hop}"
            )
