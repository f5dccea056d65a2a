"""The metadata stored with the arrays, as strict JSON, the same for every format."""

import json
import math
from dataclasses import dataclass
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from kapre_cli.errors import SettingsError, StoredDataError
from kapre_cli.framing import Framing
from kapre_cli.inputs import Segment
from kapre_cli.settings import (
    DTYPES,
    ENGINES,
    LAYERS,
    REFERENCES,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    Shard,
    Weights,
    checks,
    layer_from_dict,
    layer_to_dict,
)
from kapre_cli.settings.formats import validated_compression
from kapre_cli.version import PROGRAM, __version__

FORMAT_VERSION = 1

_ENCODER = json.JSONEncoder(allow_nan=False)  # json.dumps would make a new one for every call

_LIBRARIES = ("keras", "tensorflow", "numpy", "h5py", "soundfile", "soxr")


class InputMetadata(NamedTuple):
    """The metadata of one input and its array.

    An input is a recording, or a segment of one: then the frames of the array are those of the
    recording whose centres lie in the segment, from its start up to its end. A segment that ends
    with the recording has all frames up to the last, whose centre may lie beyond.

    Attributes:
        source: The path that was read, as it was given or found; ``-`` for standard input.
        sr: Sample rate in Hz that the layer saw.
        source_sr: Sample rate in Hz of the file.
        n_samples: Samples of each channel of the recording, after resampling.
        n_channels: Channels that the layer saw.
        time_start: Seconds from the start of the recording to the centre of frame 0.
        time_step: Seconds from frame to frame.
        source_size: Bytes of the file.
        source_mtime_ns: Time of the file's last change in nanoseconds since 1970; 0 for standard
            input, so that equal streams have equal metadata. A time that does not fit into 64 bits
            (before 1677-09-21, after 2262-04-11) is the nearest one that does.
        n_missing: Samples of each channel that the file's header declares and the file lacks;
            negative if the file has more. 0 for a complete file.
        n_non_finite: Samples in the file, over all channels, that are NaN or infinite.
        n_silent_channels: Channels that the layer saw whose samples are all 0.
        note: Harmless peculiarities of the file, in sentences; empty if it has none.
        start: Where a segment begins, in seconds from the start of the recording; ``None``: the
            input is the whole recording.
        end: Where it ends, likewise.
        channel: The only channel of the file that a segment is about, from 0; ``None``: it has the
            channels of the run.
        label: The label of a segment; empty if it has none.
        reference: The value that is at 0 dB: the largest one of the array before it was converted
            to decibels, or the layer's ``amin`` if that is larger. ``None`` without decibels.
        reference_db: ``10 * log10(reference)``. Added to the array it gives the absolute level.
        sha256: SHA-256 of the file's bytes, hexadecimal.
        crc32: CRC-32 of the array's bytes in C order, little-endian.
    """

    source: str
    sr: int
    source_sr: int
    n_samples: int
    n_channels: int
    time_start: float
    time_step: float
    source_size: int
    source_mtime_ns: int
    n_missing: int = 0
    n_non_finite: int = 0
    n_silent_channels: int = 0
    note: str = ""
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    label: str = ""
    reference: float | None = None
    reference_db: float | None = None
    sha256: str = ""
    crc32: int = 0

    @property
    def seconds(self) -> float:
        """Seconds of audio of the recording, or of the segment."""
        if self.start is None or self.end is None:
            return self.n_samples / self.sr
        return self.end - self.start

    @property
    def segment(self) -> Segment | None:
        """The segment of the recording that the input is; ``None``: it is all of it."""
        if self.start is None or self.end is None:
            return None
        return Segment(self.start, self.end, self.label, self.channel)

    def frames(self, framing: Framing) -> tuple[int, int]:
        """Return the first frame of the recording that the array has, and their number.

        Raise ValueError if the recording is too short for a frame.
        """
        if self.start is None or self.end is None:
            return 0, framing.n_time(self.n_samples)
        return framing.frames_in(self.n_samples, self.sr, self.start, self.end)

    def times(self, framing: Framing) -> tuple[float, float]:
        """Return ``(time_start, time_step)``, as they follow from the other metadata.

        Raise ValueError if the recording is too short for a frame.
        """
        first, _ = self.frames(framing)
        return framing.times(self.n_samples, self.sr, first)

    def shape(self, layer: LayerConfig) -> tuple[int, int, int]:
        """Return the shape of the array, in the order of the layer's axes.

        Raise ValueError if the input is too short for a frame, or a frame has more values than are
        read at once.
        """
        layer.check_frame_size(self.n_channels)
        _, n_time = self.frames(layer.framing)
        if n_time < 1:
            raise SettingsError(
                f"no frame is centred between {self.start:.15g} s and {self.end:.15g} s"
            )
        return layer.array_shape(n_time, self.n_channels)

    def with_reference(self, reference: float | None) -> "InputMetadata":
        """Return this metadata with another reference, in both of its units."""
        if reference == self.reference:
            return self
        in_db = None if reference is None else 10.0 * math.log10(reference)
        return self._replace(reference=reference, reference_db=in_db)

    def is_floored(self, layer: LayerConfig) -> bool:
        """Whether ``amin`` leaves the array less than the full range of decibels."""
        is_silent = self.n_silent_channels >= self.n_channels
        return self.reference is not None and layer.is_floored(self.reference, is_silent=is_silent)

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata by name, ready for JSON."""
        return self._asdict()

    def to_json(self) -> str:
        """Return the metadata as JSON, four times as fast as an encoder."""
        levels = () if self.reference is None else (self.reference, self.reference_db)
        floats = (self.time_start, self.time_step, *levels)
        if tuple(map(type, self)) not in _EXACT_TYPES or not all(map(math.isfinite, floats)):
            return dumps(self.to_dict())  # of a segment, too
        texts = (self.source, self.note, self.label, self.sha256)
        source, note, label, sha256 = map(encode_basestring_ascii, texts)
        return _JSON % (
            *(source, *self[1:_NOTE], note, *_NO_SEGMENT, label),
            *(*(levels or _NO_LEVELS), sha256, self.crc32),
        )

    @classmethod
    def from_dict(cls, stored: Any) -> "InputMetadata":
        """Return the metadata that :meth:`to_dict` wrote; raise StoredDataError for other."""
        if not isinstance(stored, dict) or stored.keys() != _FIELD_TYPES.keys():
            raise StoredDataError(f"the metadata of an input must be exactly {tuple(_FIELD_TYPES)}")
        for name, kinds in _FIELD_TYPES.items():
            if not isinstance(stored[name], kinds) or isinstance(stored[name], bool):
                raise StoredDataError(f"{name!r} of an input is {stored[name]!r}")
        return cls(**stored)


_SEGMENT = ("start", "end", "channel")
_EXACT_TYPES = [  # of a recording, with decibels and without
    tuple(
        type(None) if name in _SEGMENT else level if kind == float | None else kind
        for name, kind in InputMetadata.__annotations__.items()
    )
    for level in (float, type(None))
]
_NO_LEVELS = ("null", "null")
_NO_SEGMENT = ("null",) * len(_SEGMENT)
_NOTE = InputMetadata._fields.index("note")
_JSON = "{" + ", ".join(f'"{name}": %s' for name in InputMetadata._fields) + "}"
_FIELD_TYPES = {  # an integer is valid for any number
    name: kind if kind in (str, int | None) else kind | int
    for name, kind in InputMetadata.__annotations__.items()
}


@dataclass(frozen=True)
class OutputMetadata:
    """The metadata of a whole output.

    Attributes:
        layer: The layer's arguments, with the image data format resolved.
        audio: Rate, channels and how the files are read.
        dtype: The name of the arrays' type.
        compression: How the arrays are compressed.
        engine: The engine that computed them.
        versions: Version of each program and library that computed the arrays.
        shard: Which part of the inputs it has; ``None``: all of them.
        dimension_scales: Whether an HDF5 file has dimension scales.
        reference: One of ``REFERENCES``: what the 0 dB of a segment are.
        weights: The trained weights of the layer; in an open output without their arrays.
            ``None``: it had none.
    """

    layer: LayerConfig
    audio: AudioSettings
    dtype: str
    compression: str
    engine: str
    versions: dict[str, str]
    shard: Shard | None = None
    dimension_scales: bool = False
    reference: str = REFERENCES[0]
    weights: Weights | None = None

    @classmethod
    def of(cls, settings: ExtractionSettings) -> "OutputMetadata":
        """Return the metadata of a run of this program."""
        output = settings.output
        return cls(
            layer=settings.layer,
            audio=settings.audio,
            dtype=output.dtype,
            compression=output.compression,
            engine=settings.engine,
            versions=_versions(settings.layer),
            shard=settings.shard,
            dimension_scales=output.dimension_scales,
            reference=settings.reference,
            weights=settings.weights,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The settings beside the layer's arguments, by name, ready for JSON."""
        settings = {
            **self.audio.to_dict(),
            "dtype": self.dtype,
            "compression": self.compression,
            "engine": self.engine,
        }
        # Outputs that do not differ in these have the bytes that they always had.
        if self.dimension_scales:
            settings["dimension_scales"] = True
        if self.reference != REFERENCES[0]:
            settings["reference"] = self.reference
        return settings

    @property
    def named(self) -> dict[str, Any]:
        """All settings by name: the layer, its arguments and weights, the settings."""
        layer = layer_to_dict(self.layer)
        weights = {} if self.weights is None else {"weights": self.weights.sha256}
        return {"layer": layer["class_name"], **layer["config"], **weights, **self.settings}

    def to_dict(self) -> dict[str, Any]:
        """Return the root attributes by name, ready for JSON."""
        described = {
            "format": PROGRAM,
            "format_version": FORMAT_VERSION,
            "layer": layer_to_dict(self.layer),
            "settings": self.settings,
            "versions": self.versions,
        }
        if self.shard is not None:
            described["shard"] = self.shard.to_dict()
        if self.weights is not None:
            described["weights"] = self.weights.to_dict()
        return described

    @classmethod
    def from_dict(cls, stored: Any) -> "OutputMetadata":
        """Return the metadata that :meth:`to_dict` wrote; raise StoredDataError for other."""
        if not isinstance(stored, dict) or stored.get("format") != PROGRAM:
            raise StoredDataError("it is not an output of kapre-extract: it has no such `format`")
        if stored.get("format_version") != FORMAT_VERSION:
            raise StoredDataError(
                f"its format version is {stored.get('format_version')!r}; "
                f"this program reads {FORMAT_VERSION}"
            )
        for name in ("versions", "settings"):
            if not isinstance(stored.get(name), dict):
                raise StoredDataError(f"its `{name}` are missing")
        audio, shard, weights = dict(stored["settings"]), stored.get("shard"), stored.get("weights")
        try:
            return cls(
                layer=layer_from_dict(stored.get("layer")),
                dtype=checks.choice("dtype", audio.pop("dtype", None), DTYPES),
                compression=validated_compression(audio.pop("compression", None)),
                engine=checks.choice("engine", audio.pop("engine", None), ENGINES),
                dimension_scales=checks.boolean(
                    "dimension_scales", audio.pop("dimension_scales", False)
                ),
                reference=checks.choice(
                    "reference", audio.pop("reference", REFERENCES[0]), REFERENCES
                ),
                audio=AudioSettings.from_dict(audio),
                versions={str(name): str(value) for name, value in stored["versions"].items()},
                shard=None if shard is None else Shard.from_dict(shard),
                weights=None if weights is None else Weights.from_dict(weights),
            )
        except (ValueError, TypeError) as error:
            raise StoredDataError(f"its metadata is invalid: {error}") from error


def _versions(layer: LayerConfig) -> dict[str, str]:
    package = LAYERS.package_of(layer.class_name)
    return {**_own_versions(), **({} if package is None else dict([package]))}


@cache
def _own_versions() -> dict[str, str]:
    """Return the versions of program and libraries; reading them takes milliseconds."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    found = {PROGRAM: __version__}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # tensorflow-cpu, for instance, has another name
            continue
    return found


def dumps(value: Any) -> str:
    """Return strict JSON on one line, the same for equal values; non-ASCII is escaped."""
    return _ENCODER.encode(value)
