"""The configurations of the two layers of this package."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from kapre_cli.errors import SettingsError
from kapre_cli.settings import checks
from kapre_cli.settings.checks import settle
from kapre_cli.settings.layers import (
    DATA_FORMATS,
    DECIBEL_RANGE,
    DECIBEL_TOLERANCE,
    DEFAULT_AMIN,
    Coordinate,
    Finish,
    LayerConfig,
    Values,
    argument,
)
from kapre_cli.text import Argument, Text

if TYPE_CHECKING:
    from kapre_cli.layers.axes import FeatureAxis
    from kapre_cli.layers.dsp import MelBands
    from kapre_cli.layers.transform import PowerTransform

MAX_MELS = 2**16

# Decibels of power by a float32 transform are up to 0.009 dB off at lengths up to this one whose
# prime factors are among these, and up to 0.016 dB at lengths with large ones.
_MAX_FLOAT32_DFT = 2**12
_FLOAT32_FACTORS = (2, 3, 5, 7, 11, 13)

_QUANTITIES = {1.0: "amplitude", 2.0: "power"}

_POWER_HELP = "Exponent: 2 for power, 1 for amplitude."
_DECIBEL_HELP = (
    "Convert to decibels. They are 10*log10 of the values, relative to the largest "
    "value of the input, floored at -80."
)


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig(LayerConfig):
    """The arguments of ``Spectrogram``; see the layer for what each of them means.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    power_spectrogram: float = argument(
        2.0, _POWER_HELP, name="power", is_usual=True, above=0, metavar="P"
    )
    return_decibel_spectrogram: bool = argument(False, _DECIBEL_HELP, name="decibel", is_usual=True)
    trainable_kernel: bool = False
    image_data_format: str = argument(
        "default",
        "Position of the channel axis. default: that of Keras' configuration.",
        name="data_format",
        choices=("default", *DATA_FORMATS),
    )
    input_data_format: str = "channels_first"
    amin: float = argument(
        DEFAULT_AMIN,
        "Smallest value that --decibel distinguishes. Smaller values are raised to it; "
        "lower it for quiet recordings.",
        above=0,
        metavar="A",
    )

    class_name: ClassVar[str] = "Spectrogram"
    command: ClassVar[str] = "spectrogram"
    summary: ClassVar[str] = "Extract spectrograms of audio files and folders."
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "All recordings below a folder, into one HDF5 file:",
            "kapre-extract spectrogram sample_audio -o spectrograms.h5",
        ),
        (
            "One recording into one array, in decibels:",
            "kapre-extract spectrogram sample_audio/vowels.wav -o vowels.npy --decibel",
        ),
        (
            "The recordings that another program names:",
            "ls sample_audio/*.wav | kapre-extract spectrogram --files-from - -o wavs.h5",
        ),
    )
    feature_axis: ClassVar[str] = "frequency"
    coordinate = Coordinate("frequency", "frequencies", "Hz", "frequency of the bin")
    power_name: ClassVar[str] = "power_spectrogram"
    decibel_name: ClassVar[str] = "return_decibel_spectrogram"
    keras_class: ClassVar[str] = "kapre_cli.time_frequency:Spectrogram"

    def __post_init__(self) -> None:
        """Check every argument and settle those that follow from others."""
        super().__post_init__()
        power = checks.real("power_spectrogram", self.power_spectrogram, above=0)
        settle(self, "power_spectrogram", power)
        for name in ("return_decibel_spectrogram", "trainable_kernel"):
            checks.boolean(name, getattr(self, name))
        checks.choice("image_data_format", self.image_data_format, (*DATA_FORMATS, "default"))
        checks.choice("input_data_format", self.input_data_format, DATA_FORMATS)
        settle(self, "amin", checks.float32_above_zero("amin", self.amin))

    @property
    def n_freq(self) -> int:
        """Number of frequency bins of a frame, from 0 Hz to the Nyquist rate."""
        return self.n_dft // 2 + 1

    @property
    def n_features(self) -> int:
        """Values that an engine computes of one frame of one channel."""
        return self.n_freq

    def _axes(self, channels_first: bool) -> tuple[str, str, str]:
        if channels_first:
            return ("channel", "time", self.feature_axis)
        return ("time", self.feature_axis, "channel")

    def feature_positions(self, sr: float) -> "FeatureAxis":
        """Return the frequencies of the bins."""
        from kapre_cli.layers.axes import BinAxis

        return BinAxis(sr, self.n_dft)

    # Computation

    @property
    def power(self) -> float:
        """The exponent of the magnitudes in what the layer returns."""
        return float(getattr(self, self.power_name))

    @property
    def power_exponent(self) -> float:
        """The same as an exponent of ``|X|^2``, from which both engines compute features."""
        return self.power / 2.0

    @property
    def largest_magnitude(self) -> float:
        """The magnitude that no feature exceeds at an exponent of 1, for samples from -1 to 1.

        It is the sum of the window: a constant of 1 has it at 0 Hz.
        """
        return self.n_dft / 2.0

    @property
    def decibel(self) -> bool:
        """Whether the values are decibels below the largest value of the input."""
        return bool(getattr(self, self.decibel_name))

    @property
    def works_in_float64(self) -> bool:
        """Whether the Keras layer computes in float64, up to the decibels.

        A small exponent lifts the rounding errors in quiet bins: 1e-7 of the largest magnitude
        becomes 3e-4 of the largest value by a square root. Decibels show them, too: at -80 dB a
        magnitude is 1e-4 of the largest for an exponent of 2, and 1e-8 for an exponent of 1,
        which is less than float32 can tell from 0 beside it. The error of a float32 transform
        grows with its length and with its prime factors. Trainable kernels are float32 numbers
        themselves.
        """
        if self.power < 1.0:
            return True
        if not self.takes_decibels or self.trainable_kernel:
            return False
        return self.power < 2.0 or (self.power < 3.0 and not self._is_exact_in_float32)

    @property
    def numpy_works_in_float64(self) -> bool:
        """Whether the NumPy engine computes in float64: for all decibels, too.

        A float32 transform is within 2e-6 of the largest value: 0.01 dB at -80 dB, at times more.
        """
        return self.takes_decibels or self.works_in_float64

    @property
    def _is_exact_in_float32(self) -> bool:
        """Whether float32 transforms of this length suffice for decibels of power."""
        rest = self.n_dft
        for factor in _FLOAT32_FACTORS:
            while rest % factor == 0:
                rest //= factor
        return rest == 1 and self.n_dft <= _MAX_FLOAT32_DFT

    def frame_transform(self) -> "PowerTransform":
        """Return the transform that the NumPy engine computes."""
        from kapre_cli.layers.transform import PowerTransform

        is_double = self.numpy_works_in_float64
        return PowerTransform(
            self.n_dft, self.power_exponent, is_double=is_double, bands=self._bands()
        )

    def _bands(self) -> "MelBands | None":
        return None

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the layer's trainable weights by name, in the order of the layer."""
        kernel = (self.n_dft, 1, self.n_freq)
        return {"kernel_real": kernel, "kernel_imaginary": kernel} if self.trainable_kernel else {}

    def finish(self, peak: float) -> Finish:
        """Return the step to decibels, if the layer returns them."""
        if not self.takes_decibels:
            return Finish()
        from kapre_cli.layers.dsp import decibels_below

        reference = max(peak, self.amin)
        return Finish(reference, lambda block: decibels_below(block, reference, self.amin))

    # What the values are

    @property
    def values(self) -> Values:
        """What the values are, and within which bounds."""
        quantity = _QUANTITIES.get(self.power, f"amplitude to the power of {self.power:g}")
        if self.decibel:
            # The layer takes 10 log10 of any power, and only for an exponent of 2 that is a level.
            label = "Level" if self.power == 2 else f"10 log10 of {quantity}"
            return Values(
                "decibels",
                f"{label} (dB re recording's maximum)",
                lowest=-DECIBEL_RANGE,
                highest=0.0,
                tolerance=DECIBEL_TOLERANCE,
            )
        return Values("magnitudes", quantity.capitalize(), 0.0, math.inf, 20 / self.power)

    def caption(self) -> list[str]:
        """Return the arguments that a plot's caption states."""
        framing, *padding = super().caption()
        amin = self.takes_decibels and self.amin != DEFAULT_AMIN
        return [
            f"{framing}, Hann window",
            *padding,
            *self._band_caption(),
            f"power {self.power:g}",
            *([f"amin {self.amin:g}"] if amin else []),
        ]

    def _band_caption(self) -> list[str]:
        return []


def _parsed_norm(text: str) -> str | float | None:
    """Return ``slaney``, ``none`` as ``None``, or a number, ``inf`` included."""
    if text in ("slaney", "none"):
        return None if text == "none" else text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not 'slaney', 'none' or a number.") from None


def _validated_norm(norm: Any) -> str | float | None:
    """Return ``norm`` as ``None``, ``"slaney"`` or a float; ``"inf"`` is a number too.

    JSON has no infinity, so the names ``"inf"`` and ``"-inf"`` stand for it there.
    """
    if norm is None or norm == "slaney":
        return norm
    rule = "'slaney', None, a number from 0 up, or plus or minus infinity"
    error = checks.invalid("norm", rule, norm)
    if isinstance(norm, (bool, str)) and norm not in ("inf", "-inf"):
        raise error
    try:
        number = float(norm)
    except (TypeError, ValueError):
        raise error from None
    if math.isnan(number) or -math.inf < number < 0:
        raise error
    return number


@dataclass(frozen=True, kw_only=True)
class MelspectrogramConfig(SpectrogramConfig):
    """The arguments of ``Melspectrogram``; see the layer for what each of them means.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    power_spectrogram: float = 2.0
    return_decibel_spectrogram: bool = False
    sr: float = 22050
    n_mels: int = argument(128, "Number of mel bands.", is_usual=True, at_least=1)
    fmin: float = argument(
        0.0,
        "Lowest frequency. It is the lower edge of the lowest band.",
        is_usual=True,
        at_least=0,
        metavar="HZ",
    )
    fmax: float | None = argument(
        None,
        "Highest frequency. It is the upper edge of the highest band.",
        is_usual=True,
        above=0,
        metavar="HZ",
        default_text="half the sample rate",
    )
    power_melgram: float = argument(
        1.0, _POWER_HELP, name="power", is_usual=True, above=0, metavar="P"
    )
    return_decibel_melgram: bool = argument(False, _DECIBEL_HELP, name="decibel", is_usual=True)
    trainable_fb: bool = False
    htk: bool = argument(False, "Use HTK's mel scale instead of Slaney's.")
    norm: str | float | None = argument(
        "slaney",
        "Normalization of the mel bands. slaney: equal area. none: peaks of 1. A number "
        "or inf: divide each band by that p-norm of its weights.",
        parse=_parsed_norm,
        metavar="slaney|none|P",
    )

    class_name: ClassVar[str] = "Melspectrogram"
    command: ClassVar[str] = "melspectrogram"
    summary: ClassVar[str] = "Extract mel-spectrograms of audio files and folders."
    examples: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            "All recordings below a folder, into one HDF5 file:",
            "kapre-extract melspectrogram sample_audio -o mels.h5",
        ),
        (
            "The same in decibels of power, into a folder of .npy files:",
            "kapre-extract melspectrogram sample_audio -o mels --power 2 --decibel",
        ),
        (
            "One channel, in frames of 1,024 samples:",
            "kapre-extract melspectrogram sample_audio -o left.h5 --n-dft 1024 --channel 0",
        ),
        (
            "New recordings, with layer and settings of an earlier output:",
            "kapre-extract melspectrogram sample_audio/pond -o new_pond.h5 --like mels.h5",
        ),
        (
            "What another program decodes:",
            "flac -dcs sample_audio/bird.flac | kapre-extract melspectrogram - -o bird.npy",
        ),
    )
    feature_axis: ClassVar[str] = "mel"
    coordinate = Coordinate("frequency", "frequencies", "Hz", "centre frequency of the mel band")
    power_name: ClassVar[str] = "power_melgram"
    decibel_name: ClassVar[str] = "return_decibel_melgram"
    keras_class: ClassVar[str] = "kapre_cli.time_frequency:Melspectrogram"

    def __post_init__(self) -> None:
        """Check every argument and settle those that follow from others."""
        super().__post_init__()
        power = self.power_spectrogram
        if power != 2.0:
            raise checks.invalid("power_spectrogram", "2.0 in a mel-spectrogram", power)
        if self.return_decibel_spectrogram:
            rule = "False in a mel-spectrogram (`return_decibel_melgram` is its own)"
            raise checks.invalid("return_decibel_spectrogram", rule, True)
        sr = checks.real("sr", self.sr, above=0)
        settle(self, "sr", int(sr) if sr.is_integer() else sr)
        n_mels = checks.integer("n_mels", self.n_mels, at_least=1, at_most=MAX_MELS)
        settle(self, "n_mels", n_mels)
        fmin = settle(self, "fmin", checks.real("fmin", self.fmin))
        fmax = sr / 2 if self.fmax is None else checks.real("fmax", self.fmax, above=0)
        settle(self, "fmax", fmax)
        if fmax > sr / 2:
            rule = " must not be above the Nyquist rate, half of the sample rate. Received: "
            received = (Argument("fmax", fmax), ", ", Argument("sr", sr))
            raise SettingsError(Text(Argument("fmax"), rule, *received))
        if fmin >= fmax:
            relation = (Argument("fmin"), " must be below ", Argument("fmax"), ". Received: ")
            received = (Argument("fmin", fmin), ", ", Argument("fmax", fmax))
            raise SettingsError(Text(*relation, *received))
        settle(self, "power_melgram", checks.real("power_melgram", self.power_melgram, above=0))
        for name in ("return_decibel_melgram", "trainable_fb", "htk"):
            checks.boolean(name, getattr(self, name))
        settle(self, "norm", _validated_norm(self.norm))

    @property
    def n_features(self) -> int:
        """Values that an engine computes of one frame of one channel."""
        return self.n_mels

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the layer's trainable weights by name, in the order of the layer."""
        matrix = {"mel_filterbank": (self.n_freq, self.n_mels)} if self.trainable_fb else {}
        return super().weight_shapes | matrix

    @property
    def required_sr(self) -> float | None:
        """The sample rate in Hz that the mel bands are made for."""
        return self.sr

    def _axes(self, channels_first: bool) -> tuple[str, str, str]:
        if channels_first:
            return ("channel", self.feature_axis, "time")
        return (self.feature_axis, "time", "channel")

    def feature_positions(self, sr: float) -> "FeatureAxis":  # noqa: ARG002 - it has its own
        """Return the centre frequencies of the mel bands."""
        from kapre_cli.layers.axes import MelAxis

        assert self.fmax is not None  # noqa: S101 - for the type checker: settled when made
        bands = None if self.trainable_fb else self._bands
        return MelAxis(self.n_mels, self.fmin, self.fmax, htk=self.htk, bands=bands)

    @property
    def largest_magnitude(self) -> float:
        """The magnitude that no band exceeds at an exponent of 1, for samples from -1 to 1."""
        from kapre_cli.layers.filterbank import power_bound

        return math.sqrt(power_bound(self._bands(), self.n_dft))

    def _bands(self) -> "MelBands":
        from kapre_cli.layers.filterbank import filterbank_of

        return filterbank_of(self)

    def warnings(self, *, lists_bands: bool = True) -> tuple[Text, ...]:
        """Return warnings of probable mistakes, empty mel bands among them."""
        from kapre_cli.layers.filterbank import empty_bands_warning

        empty = None
        if not self.trainable_fb:  # else a band may have learned other bins
            empty = empty_bands_warning(self._bands(), self, lists_bands=lists_bands)
        return (*self.frame_warnings(), *([empty] if empty else []))

    def _band_caption(self) -> list[str]:
        return [
            f"n_mels {self.n_mels}, fmin {self.fmin:g}, fmax {self.fmax:g}",
            *(["htk"] if self.htk else []),
            *([f"norm {self.norm}"] if self.norm != "slaney" else []),
        ]
