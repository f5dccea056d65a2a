"""The configuration of a layer: its arguments, axes, steps and values.

The layer itself, the command line and the reader of stored metadata all make one of these, so
each rule and its message exist once. The layers of this package are in ``kapre_cli.layers``;
those of installed packages are entry points of the group ``kapre_cli.layers``.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from kapre_cli.errors import SettingsError
from kapre_cli.framing import Framing
from kapre_cli.registry import Registry, imported
from kapre_cli.settings import checks
from kapre_cli.settings.checks import settle
from kapre_cli.text import Argument, Text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Block = npt.NDArray[np.float32]

PADDINGS = ("same", "valid")
DATA_FORMATS = ("channels_first", "channels_last")
DEFAULT_AMIN = 1e-10
DECIBEL_TOLERANCE = 0.01  # guaranteed distance of decibels from those of an exact computation
DECIBEL_RANGE = 80.0  # of one input: values further below its largest one are raised to -80 dB

# Far above any use, low enough that a hostile file cannot ask for terabytes.
MAX_DFT = 2**22
MAX_HOP = 2**22
MAX_WEIGHTS = 2**28  # a GiB of float32
MAX_FRAME_VALUES = 2**26  # of all channels: 256 MiB of float32, the least that is read at once


@dataclass(frozen=True, kw_only=True)
class CommandOption:
    """How the command line sets an argument of a layer.

    Attributes:
        help: The help text; ``-h`` shows its first sentence.
        name: The option's name where it is not the argument's.
        is_usual: Whether ``-h`` shows it.
        at_least: The smallest number allowed.
        above: A bound that a number must exceed.
        choices: The allowed texts; ``()`` for any.
        parse: Reads the value from its text, where it is neither number, flag nor choice.
        metavar: The placeholder for the value in help texts.
        default_text: The default in words, where that is ``None``.
    """

    help: str
    name: str = ""
    is_usual: bool = False
    at_least: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    metavar: str | None = None
    default_text: str | None = None


def argument(default: Any, help_text: str, **option: Any) -> Any:
    """Return a dataclass field for an argument that has an option on the command line.

    ``option`` has the other attributes of :class:`CommandOption`.
    """
    return field(default=default, metadata={"option": CommandOption(help=help_text, **option)})


def command_options(config: "type[LayerConfig]") -> dict[str, CommandOption]:
    """Return the options of a layer's arguments, by the names of the arguments."""
    return {one.name: one.metadata["option"] for one in fields(config) if "option" in one.metadata}


class Coordinate(NamedTuple):
    """What the coordinate of the feature axis is called.

    Attributes:
        name: Its name in outputs: of the HDF5 dataset and in the JSON of .npy files.
        plural: The plural of the name.
        unit: Its unit, empty for a number without one.
        long_name: A description, as netCDF's attribute of that name holds it.
    """

    name: str
    plural: str
    unit: str
    long_name: str

    def text(self, value: float) -> str:
        """Return a coordinate in words.

        >>> Coordinate("frequency", "frequencies", "Hz", "frequency of the bin").text(1234.56)
        '1,234.6 Hz'
        >>> Coordinate("coefficient", "coefficients", "", "number of the coefficient").text(3.0)
        'coefficient 3'
        """
        return f"{value:,.1f} {self.unit}" if self.unit else f"{self.name} {value:,.15g}"


class Finish(NamedTuple):
    """The last step of a layer, whose values depend on the whole input.

    Attributes:
        reference: The value that is at 0 dB; ``None`` if no decibels are taken.
        apply: Turns computed features, shape ``(channel, frame, n_features)``, into the layer's
            values, ``(channel, frame, n_values)``; ``None`` leaves them as they are.
    """

    reference: float | None = None
    apply: "Callable[[Block], Block] | None" = None


class Values(NamedTuple):
    """What the values of a layer are, and within which bounds.

    Attributes:
        noun: What messages call them, in the plural.
        label: The quantity and its unit, as a plot shows them.
        lowest: No value is below it.
        highest: No value is above it.
        per_decade: Decibels for a factor of 10 in the values; ``None`` if decibels of them have
            no meaning.
        tolerance: The guaranteed distance from an exact computation, in dB; ``None``: 2e-5 of the
            largest value.
    """

    noun: str
    label: str
    lowest: float
    highest: float
    per_decade: float | None = None
    tolerance: float | None = None


@dataclass(frozen=True, kw_only=True)
class LayerConfig(ABC):
    """The arguments of a layer, which also describe what the layer computes.

    A subclass is a frozen dataclass of keyword-only fields that all have defaults, one of them
    ``image_data_format``. It imports NumPy and Keras in its methods only.

    Attributes:
        n_dft: Samples in a frame.
        n_hop: Samples from the start of a frame to that of the next. ``None``: ``n_dft // 2``.
        padding: One of ``PADDINGS``.
        class_name: The name under which the layer is registered, stored in every output.
        command: The name of its command.
        summary: What the command does, one sentence for help texts.
        examples: A sentence on a command line, and that line, for each example of the help text.
        feature_axis: The name of its third axis, beside ``time`` and ``channel``.
        coordinate: What the coordinate of that axis is called.
        keras_class: The class of its Keras layer, ``"module:class"``: only running it needs Keras.

    Raises:
        ValueError: If an argument is out of range; the message names the rule and the value.
    """

    n_dft: int = argument(
        512, "Frame length in samples. A power of two is fastest.", is_usual=True, at_least=2
    )
    n_hop: int | None = argument(
        None,
        "Hop length in samples. It is the distance from one frame to the next.",
        is_usual=True,
        at_least=1,
        default_text="half of --n-dft",
    )
    padding: str = argument(
        "same",
        "Treatment of the ends of a signal. same: a frame at every hop, with zeros around "
        "the signal. valid: only frames inside the signal.",
        choices=PADDINGS,
    )

    class_name: ClassVar[str]
    command: ClassVar[str]
    summary: ClassVar[str]
    examples: ClassVar[tuple[tuple[str, str], ...]] = ()
    feature_axis: ClassVar[str]
    coordinate: ClassVar[Coordinate]
    keras_class: ClassVar[str]

    def __post_init__(self) -> None:
        """Check every argument and settle those that follow from others."""
        n_dft = checks.integer("n_dft", self.n_dft, at_least=2, at_most=MAX_DFT)
        settle(self, "n_dft", n_dft)
        n_hop = n_dft // 2 if self.n_hop is None else self.n_hop
        settle(self, "n_hop", checks.integer("n_hop", n_hop, at_least=1, at_most=MAX_HOP))
        checks.choice("padding", self.padding, PADDINGS)

    # Frames, axes and shapes

    @property
    @abstractmethod
    def image_data_format(self) -> str:
        """The argument: one of ``DATA_FORMATS``, or ``"default"`` for that of Keras."""

    @property
    def framing(self) -> Framing:
        """Where the frames of a signal lie."""
        assert self.n_hop is not None  # noqa: S101 - for the type checker: settled when made
        return Framing(self.n_dft, self.n_hop, self.padding)

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Values that an engine computes of one frame of one channel."""

    @property
    def n_values(self) -> int:
        """Values of one frame of one channel in the array: the length of its feature axis."""
        return self.n_features

    @property
    def axes(self) -> tuple[str, str, str]:
        """Names of the axes of what the layer returns for one example.

        Raise ValueError if ``image_data_format`` is still ``"default"``.
        """
        if self.image_data_format == "default":
            raise SettingsError("`image_data_format` 'default' has no axes before it is resolved")
        return self._axes(self.image_data_format == "channels_first")

    @abstractmethod
    def _axes(self, channels_first: bool) -> tuple[str, str, str]:
        """Return ``channel``, ``time`` and `feature_axis` in the order of the axes."""

    def shape(self, n_samples: int, n_channels: int) -> tuple[int, int, int]:
        """Return the shape of the layer's result for one example, in the order of `axes`.

        Raise ValueError if the example is too short for a frame, if a frame has more values than
        are read at once, or if the axes are not resolved.
        """
        self.check_frame_size(n_channels)
        return self.array_shape(self.framing.n_time(n_samples), n_channels)

    def array_shape(self, n_time: int, n_channels: int) -> tuple[int, int, int]:
        """Return the shape of an array of ``n_time`` frames, in the order of `axes`."""
        sizes = {"time": n_time, self.feature_axis: self.n_values, "channel": n_channels}
        first, second, third = (sizes[axis] for axis in self.axes)
        return first, second, third

    def check_frame_size(self, n_channels: int) -> None:
        """Raise ValueError if a frame of so many channels is too large to be read at once."""
        n_values = max(self.n_features, self.n_values)
        if n_values * n_channels > MAX_FRAME_VALUES:
            raise SettingsError(
                f"one frame has {n_values:,} values in each of {n_channels:,} channels, "
                f"and at most {MAX_FRAME_VALUES:,} in all are allowed"
            )

    @abstractmethod
    def feature_positions(self, sr: float) -> Any:
        """Return the ``FeatureAxis`` (``kapre_cli.layers.axes``) at a sample rate in Hz."""

    # Computation

    @abstractmethod
    def frame_transform(self) -> Any:
        """Return the ``FrameTransform`` (``kapre_cli.layers.transform``) of the layer."""

    def keras_layer(self, weights: "Mapping[str, Block] | None" = None, **kwargs: Any) -> Any:
        """Return the Keras layer, built with trained weights by name if there are any.

        ``kwargs`` are those of every Keras layer, such as ``name`` and ``dtype``. The layer has a
        method ``transform``, see :class:`kapre_cli.time_frequency.Spectrogram`.
        """
        layer = imported(self.keras_class)(**self.to_dict(), **kwargs)
        if weights:
            layer.build((None, None, None))
            layer.set_weights([weights[one.name] for one in layer.weights])
        return layer

    def finish(self, peak: float) -> Finish:  # noqa: ARG002 - of layers that use it
        """Return the last step for an input whose largest feature is ``peak``."""
        return Finish()

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the layer's trainable weights by name, in the order of the layer."""
        return {}

    @property
    def n_weights(self) -> int:
        """How many numbers the layer's trainable weights hold."""
        return sum(map(math.prod, self.weight_shapes.values()))

    @property
    def preferred_engine(self) -> str:
        """The engine that ``auto`` stands for, as long as the layer has no trained weights."""
        return "numpy"

    # What the values are

    @property
    @abstractmethod
    def values(self) -> Values:
        """What the values are, and within which bounds."""

    @property
    def decibel(self) -> bool:
        """Whether the values are decibels below the largest value of the input."""
        return False

    @property
    def amin(self) -> float:
        """The smallest value of which decibels are taken; 0 if none are."""
        return 0.0

    @property
    def takes_decibels(self) -> bool:
        """Whether the last step takes decibels, so that each input has a reference."""
        return self.decibel

    def is_floored(self, reference: float, *, is_silent: bool) -> bool:
        """Whether ``amin`` leaves an input less than the full 80 dB of range.

        Digital silence has no range, for any ``amin``.
        """
        if is_silent and reference <= self.amin:
            return False
        return reference < self.amin * 10.0 ** (DECIBEL_RANGE / 10.0)

    # Texts

    @property
    def required_sr(self) -> float | None:
        """The sample rate in Hz that the layer is made for; ``None`` if it suits any."""
        return None

    def caption(self) -> list[str]:
        """Return the arguments that a plot's caption states."""
        padding = [f"padding {self.padding}"] if self.padding != "same" else []
        return [f"n_dft {self.n_dft}, n_hop {self.n_hop}", *padding]

    def frame_warnings(self) -> tuple[Text, ...]:
        """Return a warning, with remedies, if samples lie in no frame."""
        assert self.n_hop is not None  # noqa: S101 - for the type checker: settled when made
        if self.n_hop <= self.n_dft:
            return ()
        n_dft = 1 << (self.n_hop - 1).bit_length()  # the next power of two
        cause = (Argument("n_hop"), f" ({self.n_hop}) is above ", Argument("n_dft"))
        unused = f"of every {self.n_hop} samples {self.n_hop - self.n_dft} lie in no frame"
        remedies = (Argument("n_hop", self.n_dft), " or less, or ", Argument("n_dft", n_dft))
        return (Text(*cause, f" ({self.n_dft}): {unused} (use ", *remedies, ")"),)

    def warnings(self, *, lists_bands: bool = True) -> tuple[Text, ...]:  # noqa: ARG002
        """Return warnings of unusual arguments, with remedies, a sentence each.

        ``lists_bands`` names features that are always 0.
        """
        return self.frame_warnings()

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments by name, as the layer's constructor takes them."""
        return asdict(self)


LAYERS: Registry[LayerConfig] = Registry(
    "layer",
    "kapre_cli.layers",
    LayerConfig,  # type: ignore[type-abstract]
    {
        "Spectrogram": "kapre_cli.layers.configs:SpectrogramConfig",
        "Melspectrogram": "kapre_cli.layers.configs:MelspectrogramConfig",
    },
)


def layer_to_dict(config: LayerConfig) -> dict[str, Any]:
    """Return ``{"class_name": ..., "config": {...}}``, ready for strict JSON.

    JSON has no infinity: the texts ``"inf"`` and ``"-inf"`` stand for it.
    """
    values = {
        name: str(value) if isinstance(value, float) and math.isinf(value) else value
        for name, value in config.to_dict().items()
    }
    return {"class_name": config.class_name, "config": values}


def layer_from_dict(stored: Any) -> LayerConfig:
    """Return the configuration that :func:`layer_to_dict` wrote.

    Raise ValueError if it names a class that is not registered, or an argument that the layer does
    not have or whose value is out of range.
    """
    if not isinstance(stored, dict) or set(stored) != {"class_name", "config"}:
        raise SettingsError("A stored layer must have exactly `class_name` and `config`")
    name, values = stored["class_name"], stored["config"]
    if name not in LAYERS:
        raise checks.invalid("class_name", f"one of {LAYERS.names}", name)
    config = LAYERS[name]
    known = {one.name for one in fields(config)}
    if not isinstance(values, dict) or not known.issuperset(values):
        unknown = sorted(set(values) - known) if isinstance(values, dict) else values
        raise SettingsError(f"`config` of {name} has unknown arguments. Received: {unknown!r}")
    return config(**values)
