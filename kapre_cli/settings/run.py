"""Settings of a run: layer, audio, output, engine, shard."""

import os
import re
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from kapre_cli.errors import SettingsError
from kapre_cli.framing import Framing
from kapre_cli.settings import checks
from kapre_cli.settings.checks import MAX_CHANNELS, MAX_SR, settle
from kapre_cli.settings.formats import OutputSettings, check_stores_weights
from kapre_cli.settings.layers import LayerConfig
from kapre_cli.settings.weights import Weights, check_weight_shapes
from kapre_cli.text import Argument, Text, quoted

NON_FINITE = ("fail", "zero", "keep")
ENGINES = ("numpy", "keras")
ENGINE_CHOICES = ("auto", *ENGINES)
REFERENCES = ("segment", "recording")

MAX_BATCH_SAMPLES = 2**28
MAX_SHARDS = 10**6

_KINDS = {"u": "u", "s": "i", "f": "f"}  # as ffmpeg and sox write them, as NumPy does
_ORDERS = {"le": "<", "be": ">"}

RAW_ENCODINGS = (
    *("u8", "s8"),
    *(f"{kind}{order}" for kind in ("s16", "s24", "s32", "f32", "f64") for order in _ORDERS),
)

_SHARD = re.compile(r"([0-9]{1,18})/([0-9]{1,18})")

Config = TypeVar("Config", bound=LayerConfig)

# Audio


@dataclass(frozen=True)
class RawFormat:
    """The format of a file that is nothing but interleaved samples.

    Attributes:
        encoding: One of ``RAW_ENCODINGS``: kind, bits and byte order of a sample.
        sr: Sample rate in Hz.
        n_channels: Number of channels.

    >>> RawFormat.parse("s24be,48000,2").number
    '>i3'
    """

    encoding: str
    sr: int
    n_channels: int

    def __post_init__(self) -> None:
        """Check every value."""
        checks.choice("encoding", self.encoding, RAW_ENCODINGS)
        settle(self, "sr", checks.integer("sr", self.sr, at_least=1, at_most=MAX_SR))
        n_channels = checks.integer("n_channels", self.n_channels, at_least=1, at_most=MAX_CHANNELS)
        settle(self, "n_channels", n_channels)

    @classmethod
    def parse(cls, text: Any) -> "RawFormat":
        """Return the format of a text like ``s16le,44100,2``, or raise SettingsError."""
        parts = [part.strip() for part in text.split(",")] if isinstance(text, str) else []
        if len(parts) != 3:
            raise checks.invalid("raw_format", "ENCODING,RATE,CHANNELS", text)
        encoding, sr, n_channels = parts
        try:
            numbers = checks.whole_number(sr), checks.whole_number(n_channels)
        except ValueError as error:
            rule = f"ENCODING,RATE,CHANNELS with whole numbers ({error})"
            raise checks.invalid("raw_format", rule, text) from None
        try:
            return cls(encoding.lower(), *numbers)
        except SettingsError as error:  # of a part, which is no argument of the caller
            raise SettingsError(str(error)) from None

    def __str__(self) -> str:
        return f"{self.encoding},{self.sr},{self.n_channels}"

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return int(self.encoding[1:].rstrip("lbe"))

    @property
    def order(self) -> str:
        """Byte order, as :mod:`struct` writes it."""
        return _ORDERS.get(self.encoding[-2:], "<")

    @property
    def number(self) -> str:
        """How each sample is stored, as NumPy writes it, with ``i3`` for 24 bits."""
        return f"{self.order}{_KINDS[self.encoding[0]]}{self.bits // 8}"

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.bits // 8 * self.n_channels


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
        max_samples: Fail a file of more samples in each channel. ``None``: no limit.
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
    max_samples: int | None = None
    raw_format: RawFormat | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        settle(self, "sr", checks.integer("sr", self.sr, at_least=1, at_most=MAX_SR))
        for name in ("resample", "mono", "allow_truncated", "verify_audio"):
            checks.boolean(name, getattr(self, name))
        checks.choice("non_finite", self.non_finite, NON_FINITE)
        if self.max_samples is not None:
            settle(self, "max_samples", checks.integer("max_samples", self.max_samples, at_least=1))
        if self.channels is not None:
            channels = tuple(checks.integer("channel", one, at_least=0) for one in self.channels)
            if not channels:
                raise checks.invalid("channels", "None or at least one channel", self.channels)
            if len(set(channels)) < len(channels):
                raise checks.invalid("channels", "different from one another", self.channels)
            settle(self, "channels", channels)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return {
            **asdict(self),
            "channels": None if self.channels is None else [*self.channels],
            "raw_format": None if self.raw_format is None else str(self.raw_format),
        }

    @classmethod
    def from_dict(cls, stored: Any) -> "AudioSettings":
        """Return the settings that :meth:`to_dict` wrote; raise ValueError for any others."""
        if isinstance(stored, dict):  # older outputs have no `raw_format`
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


# Engine and layer


def resolved_engine(engine: str, layer: LayerConfig, weights: Weights | None = None) -> str:
    """Return which of ``ENGINES`` computes a layer, given one of ``ENGINE_CHOICES``.

    Raise SettingsError if it cannot compute with trained weights.
    """
    checks.choice("engine", engine, ENGINE_CHOICES)
    if weights is None:
        return layer.preferred_engine if engine == "auto" else engine
    if engine == "numpy":
        raise checks.invalid("engine", "'keras' for a layer with trained weights", engine)
    return "keras"


def keras_image_data_format() -> str:
    """Return ``keras.config.image_data_format()``, without importing Keras.

    Keras keeps its settings in ``keras.json``, in the folder that the environment names as
    ``KERAS_HOME`` or in ``~/.keras``.
    """
    import json  # slow to import

    keras = sys.modules.get("keras")
    if keras is not None:
        return str(keras.config.image_data_format())
    configured: Any = None
    with suppress(OSError, ValueError):
        configured = json.loads((_keras_folder() / "keras.json").read_text())
    stored = configured.get("image_data_format") if isinstance(configured, dict) else None
    return stored if isinstance(stored, str) else "channels_last"


def resolved_layer(layer: Config) -> Config:
    """Return a layer with the image data format of Keras for ``"default"``."""
    if layer.image_data_format != "default":
        return layer
    resolved: dict[str, Any] = {"image_data_format": keras_image_data_format()}
    return replace(layer, **resolved)


def _keras_folder() -> Path:
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108 - Keras's


# Run


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """How every recording is cut into clips of one length.

    Attributes:
        clip: Seconds of a clip; the last one of a recording may be shorter.
        overlap: Seconds that a clip has in common with the next one, less than ``clip``.
    """

    clip: float
    overlap: float = 0.0

    def __post_init__(self) -> None:
        """Check both values."""
        settle(self, "clip", checks.real("clip", self.clip, above=0.0))
        settle(self, "overlap", checks.real("overlap", self.overlap))
        if self.overlap >= self.clip:
            raise SettingsError(
                Text(
                    *(Argument("overlap"), " must be less than ", Argument("clip")),
                    *(". Received: ", Argument("overlap", self.overlap)),
                    *(", ", Argument("clip", self.clip)),
                )
            )

    @property
    def step(self) -> float:
        """Seconds from the start of a clip to the start of the next."""
        return self.clip - self.overlap

    def check_framing(self, framing: Framing, sr: int) -> None:
        """Raise SettingsError if a clip, or the step between two, is shorter than a hop."""
        hop = framing.n_hop / sr
        for name, seconds in (("clip", self.clip), ("overlap", self.step)):
            if seconds < hop:
                rule = "clips must be at least" if name == "clip" else "clips must begin at least"
                raise SettingsError(
                    Text(
                        f"{rule} a hop ({1000 * hop:.4g} ms){'' if name == 'clip' else ' apart'}. ",
                        *("Received: ", Argument(name, getattr(self, name))),
                    )
                )


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of the parts that a list of inputs is cut into.

    Attributes:
        index: Number of the part, from 1.
        of: Number of parts.
        inputs: SHA-256 of the keys and sizes of the whole list, hexadecimal: parts of one list
            have the same. Empty until the list is known.
    """

    index: int
    of: int
    inputs: str = ""

    def __post_init__(self) -> None:
        """Check every value."""
        of = checks.integer("of", self.of, at_least=1, at_most=MAX_SHARDS)
        settle(self, "of", of)
        settle(self, "index", checks.integer("index", self.index, at_least=1, at_most=of))
        if self.inputs != "" and not checks.is_sha256(self.inputs):
            raise checks.invalid("inputs", "a SHA-256", self.inputs)

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard I/N; raise SettingsError unless I is from 1 to N.

        >>> str(Shard.parse("2/10"))
        '2/10'
        """
        named = _SHARD.fullmatch(text)
        if named is None:
            raise SettingsError(
                f"A shard is I/N, the I-th of N, as in 2/10. Received: {quoted(text)}"
            )
        index, of = map(int, named.groups())
        if of > MAX_SHARDS:
            most = f"There are at most {MAX_SHARDS:,} shards"
            raise SettingsError(f"{most}. Received: {quoted(text)}")
        if not 1 <= index <= of:
            raise SettingsError(
                f"Shards are counted from 1: of {of:,} they are 1/{of} to {of}/{of}. "
                f"Received: {quoted(text)}"
            )
        return cls(index=index, of=of)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Any) -> "Shard":
        """Return the shard that :meth:`to_dict` wrote; raise ValueError for anything else."""
        if not isinstance(stored, dict) or set(stored) != set(cls.__dataclass_fields__):
            raise checks.invalid("shard", f"exactly {tuple(cls.__dataclass_fields__)}", stored)
        return cls(**stored)

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


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
        reference: One of ``REFERENCES``: whether 0 dB is the largest value of each segment, or of
            its recording. Without decibels, and for whole recordings, both are the same.
        weights: The trained weights of the layer, with their arrays; ``None``: it computes with
            those that it begins with, if it has any.
    """

    layer: LayerConfig
    audio: AudioSettings
    output: OutputSettings
    batch_size: int | None = None
    jobs: int | None = None
    engine: str = "auto"
    shard: Shard | None = None
    reference: str = "segment"
    weights: Weights | None = None

    def __post_init__(self) -> None:
        """Check that the parts, each of which has checked itself, agree."""
        if self.layer.required_sr not in (None, self.audio.sr):
            raise SettingsError(
                "The sample rate of the layer must be that of the audio. "
                f"Received: {self.layer.required_sr} Hz, audio at {self.audio.sr} Hz"
            )
        settle(self, "engine", resolved_engine(self.engine, self.layer, self.weights))
        if self.weights is not None:
            shapes = {name: array.shape for name, array in self.weights.arrays.items()}
            check_weight_shapes(shapes, self.layer)
            check_stores_weights(self.output.file_format)
        checks.choice("reference", self.reference, REFERENCES)
        if self.reference != REFERENCES[0] and not self.layer.takes_decibels:
            raise SettingsError(
                Text(
                    *(Argument("reference"), " is about decibels, and the layer takes none. "),
                    *("Received: ", Argument("reference", self.reference)),
                )
            )
        if self.jobs is not None:
            settle(self, "jobs", checks.integer("jobs", self.jobs, at_least=1))
        if self.batch_size is None:
            return
        batch_size = checks.integer("batch_size", self.batch_size, at_least=1)
        settle(self, "batch_size", batch_size)
        framing = self.layer.framing
        if batch_size * max(framing.n_dft, framing.n_hop) > MAX_BATCH_SAMPLES:
            rule = f" frames must be at most {MAX_BATCH_SAMPLES:,} samples (1 GiB). Received: "
            sizes = (Argument("n_dft", framing.n_dft), ", ", Argument("n_hop", framing.n_hop))
            received = Argument("batch_size", batch_size)
            raise SettingsError(Text(Argument("batch_size"), rule, received, ", ", *sizes))
