"""The arguments of the two layers as frozen values, each checked once, here.

The layers themselves, the command line and whatever reads stored metadata all make one of
these, so a rule and its message stand in one place.
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Protocol

from kapre_cli.errors import SettingsError
from kapre_cli.framing import Framing
from kapre_cli.settings import checks
from kapre_cli.settings.limits import require_narrow_frame

PADDINGS = ("same", "valid")
DATA_FORMATS = ("channels_first", "channels_last")
DEFAULT_AMIN = 1e-10

# Far above any use, low enough that a hostile file cannot ask for terabytes.
MAX_DFT = 2**22
MAX_HOP = 2**22
MAX_MELS = 2**16
MAX_WEIGHTS = 2**28  # a GiB of float32

# Decibels of power by a float32 transform are up to 0.009 dB off at lengths up to this one whose
# prime factors are among these, and up to 0.016 dB at lengths with large ones.
_MAX_FLOAT32_DFT = 2**12
_FLOAT32_FACTORS = (2, 3, 5, 7, 11, 13)


class Spell(Protocol):
    """Spells an argument of a layer, or what sets it to a value."""

    def __call__(self, name: str, value: float | None = None, /) -> str:
        """Return the argument, with the value if there is one."""


def as_argument(name: str, value: float | None = None) -> str:
    """Spell an argument as it is written in Python.

    >>> as_argument("n_dft"), as_argument("n_dft", 512)
    ('n_dft', 'n_dft=512')
    """
    return name if value is None else f"{name}={value:.15g}"


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig:
    """The arguments of ``Spectrogram``; see the layer for what each of them means.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    n_dft: int = 512
    n_hop: int | None = None
    padding: str = "same"
    power_spectrogram: float = 2.0
    return_decibel_spectrogram: bool = False
    trainable_kernel: bool = False
    image_data_format: str = "default"
    input_data_format: str = "channels_first"
    amin: float = DEFAULT_AMIN

    class_name: ClassVar[str] = "Spectrogram"
    feature_axis: ClassVar[str] = "frequency"
    power_name: ClassVar[str] = "power_spectrogram"
    decibel_name: ClassVar[str] = "return_decibel_spectrogram"

    def __post_init__(self) -> None:
        """Check every argument and settle the ones that follow from others."""
        n_dft = self._settle(
            "n_dft", checks.integer("n_dft", self.n_dft, at_least=2, at_most=MAX_DFT)
        )
        n_hop = n_dft // 2 if self.n_hop is None else self.n_hop
        self._settle("n_hop", checks.integer("n_hop", n_hop, at_least=1, at_most=MAX_HOP))
        checks.choice("padding", self.padding, PADDINGS)
        self._settle(
            "power_spectrogram", checks.real("power_spectrogram", self.power_spectrogram, above=0)
        )
        checks.boolean("return_decibel_spectrogram", self.return_decibel_spectrogram)
        checks.boolean("trainable_kernel", self.trainable_kernel)
        checks.choice("image_data_format", self.image_data_format, (*DATA_FORMATS, "default"))
        checks.choice("input_data_format", self.input_data_format, DATA_FORMATS)
        self._settle("amin", checks.float32_above_zero("amin", self.amin))

    def _settle(self, name: str, value: Any) -> Any:
        object.__setattr__(self, name, value)  # frozen only once it has been made
        return value

    @property
    def framing(self) -> Framing:
        """Where the frames of a signal lie."""
        assert self.n_hop is not None  # noqa: S101 - for the type checker: settled when made
        return Framing(self.n_dft, self.n_hop, self.padding)

    @property
    def n_freq(self) -> int:
        """Number of frequency bins of a frame, from 0 Hz to the Nyquist rate."""
        return self.n_dft // 2 + 1

    @property
    def n_features(self) -> int:
        """Number of values that one frame of one channel gives."""
        return self.n_freq

    @property
    def power(self) -> float:
        """The exponent of the magnitudes in what the layer returns."""
        return float(getattr(self, self.power_name))

    @property
    def decibel(self) -> bool:
        """Whether the layer returns decibels below its largest value."""
        return bool(getattr(self, self.decibel_name))

    @property
    def n_weights(self) -> int:
        """How many numbers the layer's trainable weights hold."""
        return 2 * self.n_dft * self.n_freq if self.trainable_kernel else 0

    def warnings(self, spell: Spell = as_argument) -> tuple[str, ...]:
        """Return what is allowed and rarely meant, with values that would do, a sentence each.

        Args:
            spell: How arguments are written.
        """
        assert self.n_hop is not None  # noqa: S101 - for the type checker: settled when made
        if self.n_hop <= self.n_dft:
            return ()
        n_dft = 1 << (self.n_hop - 1).bit_length()  # the next power of two
        warning = (
            f"{spell('n_hop')} ({self.n_hop}) is above {spell('n_dft')} ({self.n_dft}): of every "
            f"{self.n_hop} samples {self.n_hop - self.n_dft} lie in no frame (use "
            f"{spell('n_hop', self.n_dft)} or less, or {spell('n_dft', n_dft)})"
        )
        return (warning,)

    @property
    def preferred_engine(self) -> str:
        """The engine that ``auto`` stands for: NumPy, for a layer without trained weights."""
        return "numpy"

    @property
    def works_in_float64(self) -> bool:
        """Whether the Keras layer computes in float64, up to the decibels.

        The NumPy engine does, too, and for all decibels.

        A small exponent lifts the rounding errors in quiet bins: 1e-7 of the largest magnitude
        becomes 3e-4 of the largest value by a square root. Decibels show them, too: at -80 dB a
        magnitude is 1e-4 of the largest for an exponent of 2, and 1e-8 for an exponent of 1,
        which is less than float32 can tell from 0 beside it. The error of a float32 transform
        grows with its length and with its prime factors. Trainable kernels are float32 numbers
        themselves.
        """
        if self.power < 1.0:
            return True
        if not self.decibel or self.trainable_kernel:
            return False
        return self.power < 2.0 or (self.power < 3.0 and not self._is_exact_in_float32)

    @property
    def _is_exact_in_float32(self) -> bool:
        """Whether a float32 transform of this length is exact enough for decibels of power."""
        rest = self.n_dft
        for factor in _FLOAT32_FACTORS:
            while rest % factor == 0:
                rest //= factor
        return rest == 1 and self.n_dft <= _MAX_FLOAT32_DFT

    @property
    def axes(self) -> tuple[str, str, str]:
        """Names of the axes of what the layer returns for one example.

        Raises:
            ValueError: If ``image_data_format`` is still ``"default"``.
        """
        if self.image_data_format == "default":
            raise SettingsError("`image_data_format` 'default' has no axes before it is resolved")
        return self._axes(self.image_data_format == "channels_first")

    def _axes(self, channels_first: bool) -> tuple[str, str, str]:
        if channels_first:
            return ("channel", "time", "frequency")
        return ("time", "frequency", "channel")

    def shape(self, n_samples: int, n_channels: int) -> tuple[int, int, int]:
        """Return the shape of what the layer returns for one example, in the order of `axes`.

        Raises:
            ValueError: If the example is too short for a frame, if a frame has more values than
                are read at once, or if the axes are not resolved.
        """
        require_narrow_frame(self.n_features, n_channels)
        n_time = self.framing.n_time(n_samples)
        sizes = {"time": n_time, self.feature_axis: self.n_features, "channel": n_channels}
        first, second, third = (sizes[axis] for axis in self.axes)
        return first, second, third

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments by name, as the layer's constructor takes them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class MelspectrogramConfig(SpectrogramConfig):
    """The arguments of ``Melspectrogram``; see the layer for what each of them means.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    sr: float = 22050
    n_mels: int = 128
    fmin: float = 0.0
    fmax: float | None = None
    power_melgram: float = 1.0
    return_decibel_melgram: bool = False
    trainable_fb: bool = False
    htk: bool = False
    norm: str | float | None = "slaney"

    class_name: ClassVar[str] = "Melspectrogram"
    feature_axis: ClassVar[str] = "mel"
    power_name: ClassVar[str] = "power_melgram"
    decibel_name: ClassVar[str] = "return_decibel_melgram"

    def __post_init__(self) -> None:
        """Check every argument and settle the ones that follow from others."""
        super().__post_init__()
        if self.power_spectrogram != 2.0:
            raise checks.refuse(
                "power_spectrogram", "2.0 in a mel-spectrogram", self.power_spectrogram
            )
        if self.return_decibel_spectrogram:
            raise checks.refuse(
                "return_decibel_spectrogram",
                "False in a mel-spectrogram (`return_decibel_melgram` is its own)",
                self.return_decibel_spectrogram,
            )
        sr = checks.real("sr", self.sr, above=0)
        self._settle("sr", int(sr) if sr.is_integer() else sr)
        n_mels = checks.integer("n_mels", self.n_mels, at_least=1, at_most=MAX_MELS)
        self._settle("n_mels", n_mels)
        fmin = self._settle("fmin", checks.real("fmin", self.fmin))
        fmax = sr / 2 if self.fmax is None else checks.real("fmax", self.fmax, above=0)
        self._settle("fmax", fmax)
        if fmax > sr / 2:
            raise SettingsError(
                "`fmax` must not be above the Nyquist rate, sr / 2. "
                f"Received: fmax={fmax:g}, sr={sr:g}"
            )
        if fmin >= fmax:
            raise SettingsError(
                f"`fmin` must be below `fmax`. Received: fmin={fmin:g}, fmax={fmax:g}"
            )
        self._settle("power_melgram", checks.real("power_melgram", self.power_melgram, above=0))
        checks.boolean("return_decibel_melgram", self.return_decibel_melgram)
        checks.boolean("trainable_fb", self.trainable_fb)
        checks.boolean("htk", self.htk)
        self._settle("norm", _checked_norm(self.norm))

    @property
    def n_features(self) -> int:
        """Number of values that one frame of one channel gives."""
        return self.n_mels

    @property
    def n_weights(self) -> int:
        """How many numbers the layer's trainable weights hold."""
        return super().n_weights + (self.n_mels * self.n_freq if self.trainable_fb else 0)

    def _axes(self, channels_first: bool) -> tuple[str, str, str]:
        if channels_first:
            return ("channel", "mel", "time")
        return ("mel", "time", "channel")


def _checked_norm(norm: Any) -> str | float | None:
    """Return ``norm`` as ``None``, ``"slaney"`` or a float; ``"inf"`` is a number too.

    JSON has no infinity, so the names ``"inf"`` and ``"-inf"`` stand for it there.
    """
    if norm is None or norm == "slaney":
        return norm
    rule = "'slaney', None, a number from 0 up, or plus or minus infinity"
    if isinstance(norm, bool):
        raise checks.refuse("norm", rule, norm)
    if isinstance(norm, str) and norm not in ("inf", "-inf"):
        raise checks.refuse("norm", rule, norm)
    try:
        number = float(norm)
    except (TypeError, ValueError):
        raise checks.refuse("norm", rule, norm) from None
    if math.isnan(number) or -math.inf < number < 0:
        raise checks.refuse("norm", rule, norm)
    return number


LayerConfig = SpectrogramConfig  # a MelspectrogramConfig is one as well
LAYERS: dict[str, type[LayerConfig]] = {
    config.class_name: config for config in (SpectrogramConfig, MelspectrogramConfig)
}


def layer_to_dict(config: LayerConfig) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, ready for strict JSON.

    >>> layer_to_dict(SpectrogramConfig(n_dft=64))["config"]["n_hop"]
    32
    """
    values = config.to_dict()
    norm = values.get("norm")
    if isinstance(norm, float) and math.isinf(norm):
        values["norm"] = str(norm)
    return {"class_name": config.class_name, "config": values}


def layer_from_dict(stored: Any) -> LayerConfig:
    """Return the configuration that :func:`layer_to_dict` wrote, checked like any other.

    Raises:
        ValueError: If it names another class than the two layers, or an argument that the
            layer does not have or whose value is out of range.
    """
    if not isinstance(stored, dict) or set(stored) != {"class_name", "config"}:
        raise SettingsError("A stored layer must have exactly `class_name` and `config`")
    name, values = stored["class_name"], stored["config"]
    if not isinstance(name, str) or name not in LAYERS:
        raise checks.refuse("class_name", f"one of {tuple(LAYERS)}", name)
    config = LAYERS[name]
    known = {field.name for field in fields(config)}
    if not isinstance(values, dict) or not known.issuperset(values):
        unknown = sorted(set(values) - known) if isinstance(values, dict) else values
        raise SettingsError(f"`config` of {name} has unknown arguments. Received: {unknown!r}")
    return config(**values)
