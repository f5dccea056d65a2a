"""The ``Spectrogram`` layer."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import keras
import numpy as np
from keras import ops

from kapre_cli.errors import SettingsError
from kapre_cli.layers import dsp, steps
from kapre_cli.layers.configs import SpectrogramConfig
from kapre_cli.layers.steps import Tensor
from kapre_cli.settings import DEFAULT_AMIN, resolved_layer
from kapre_cli.settings.layers import MAX_WEIGHTS
from kapre_cli.text import counted

Shape = Sequence[int | None]

_FEW_SAMPLES = 65  # a signal has more; channels may be as many


class LayerWarning(UserWarning):
    """Arguments of a layer are valid, and probably a mistake."""


_NO_FLOAT64 = (
    "This layer computes in float64, and JAX is set to float32: results of tonal signals lose "
    "precision in quiet bins, decibels up to 10 dB of it. Call "
    'jax.config.update("jax_enable_x64", True) before the first use of JAX.'
)

_FLOAT16_MAX = 65504.0


@keras.saving.register_keras_serializable(package="kapre_cli")
class Spectrogram(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Magnitudes of the short-time Fourier transform, raised to a power.

    The signal is cut into frames of ``n_dft`` samples, one every ``n_hop`` samples; each is
    multiplied by a periodic Hann window and transformed. The result is ``|X| ** power``, not
    scaled by the window or by ``n_dft``.

    The window is ``0.5 - 0.5 * cos(2 * pi * n / n_dft)`` for ``n`` from 0 to ``n_dft - 1``
    (F. J. Harris, Proceedings of the IEEE 66, 1978). The interface is that of kapre 0.1
    (K. Choi et al., arXiv:1706.05781).

    By default the transform is a constant, computed by FFT, and the layer has no weights. With
    ``trainable_kernel=True`` the windowed cosines and sines are two weights of shape
    ``(n_dft, 1, n_freq)`` and the transform is a strided convolution with them.

    Precision: results are within 2e-5 of the largest value of a float64 reference, decibels above
    the floor within 0.01 dB. Exponents below 1, decibels of exponents below 2, and decibels of
    power where ``n_dft`` is above 4,096 or has a prime factor above 13, are computed in float64
    for that. At exponents of 0.5 and below, 80 dB below the largest value is what float64 itself
    rounds to: bins that should be 0 are not at the floor. Models cast their inputs to float32:
    32-bit integers and doubles are rounded first, which decibels of exponents of 1 and below can
    show. Kernels that are trained are float32 numbers: beside a loud tone their results are up to
    2e-4 of the largest value off at an exponent of 0.5 and 5e-3 at 0.3, their decibels up to
    0.011 dB at 2 (``n_dft`` 2048), 0.1 dB at 1.5, 5 dB at 1 and 10 dB at 0.5. ``dtype="float64"``
    makes them float64 numbers. JAX computes in float64 only if ``jax_enable_x64`` is set. On JAX
    and PyTorch Keras rounds products and maxima to float32, 1e-7 of each value.

    Mixed precision: steps are computed in float32 or float64 and weights are float32 numbers; the
    result is rounded to the compute dtype. In float16 values above 65,504 are inf, such as that of
    a full-scale sine at ``n_dft`` 1024 and an exponent of 2, ``(n_dft / 4) ** 2 = 65536``. Use
    decibels, an exponent of 1, or ``dtype="float32"`` for this layer; ``"mixed_bfloat16"`` has the
    range of float32. Decibels are up to 0.04 dB off in float16, and 0.26 dB in bfloat16.

    Args:
        n_dft: Samples in a frame, at least 2; any number, a power of two is fastest.
        n_hop: Samples from the start of a frame to that of the next, at least 1.
            ``None``: ``n_dft // 2``.
        padding: ``"same"``: ``ceil(length / n_hop)`` frames, zeros laid around the signal by
            TensorFlow's rule. ``"valid"``: only frames that lie wholly inside the signal.
        power_spectrogram: Exponent of the magnitudes, above 0: 2 for power, 1 for amplitude.
        return_decibel_spectrogram: Return decibels, ``max(d - max(d), -80)`` with
            ``d = 10 * log10(max(v, amin))``, where ``v`` is what the layer returns otherwise and
            ``max(d)`` the largest value of the example. Every example has its own reference.
        trainable_kernel: Make the transform's kernels trainable weights.
        image_data_format: Order of the output's axes: ``"channels_first"``,
            ``"channels_last"``, or ``"default"`` for what ``keras.config.image_data_format()``
            says when the layer is made.
        input_data_format: Order of the input's axes: ``"channels_first"`` is
            ``(batch, channel, samples)``, ``"channels_last"`` ``(batch, samples, channel)``.
            ``None``: ``"channels_first"``, with a warning if there are more channels than samples,
            or less than 65 samples and ``n_dft`` in a number of channels that is not known.
        amin: Values below this one are raised to it before decibels are taken of them; above 0,
            and a normal number in float32. An example whose largest value is below ``1e8 * amin``
            has less than 80 dB of range, and one that lies below ``amin`` is 0 dB throughout:
            lower ``amin`` for quiet signals. Signals ``k`` times as loud have the same decibels
            with ``k ** power`` times the ``amin``.
        **kwargs: The arguments of every Keras layer: ``name``, ``dtype``, ``trainable``.

    Input shape:
        ``(batch, channel, samples)``, or ``(batch, samples, channel)`` for
        ``input_data_format="channels_last"``. The number of samples may be unknown.

    Output shape:
        ``(batch, channel, n_time, n_freq)`` for ``"channels_first"``,
        ``(batch, n_time, n_freq, channel)`` for ``"channels_last"``;
        ``n_freq = n_dft // 2 + 1``.

    Raises:
        ValueError: If an argument is out of range, or the input is not of rank 3, complex, without
            samples, or shorter than ``n_dft`` under ``padding="valid"``. Where the length is known
            only when a TensorFlow graph runs, it is that library's ``InvalidArgumentError``; XLA
            leaves this check out, and trained layers return no frame.

    Warns:
        LayerWarning: If ``n_hop`` is above ``n_dft``, so that samples lie in no frame; if float64
            is needed and JAX does not compute in it; if the layer returns float16, no decibels,
            and samples from -1 to 1 may exceed its 65,504; if ``input_data_format`` was not
            given and the input looks as if its channels came last.

    >>> import numpy as np
    >>> layer = Spectrogram(n_dft=8, n_hop=4, image_data_format="channels_first")
    >>> layer(np.zeros((1, 2, 20), "float32")).shape
    TensorShape([1, 2, 5, 5])
    """

    config_class: type[SpectrogramConfig] = SpectrogramConfig

    n_dft: int
    n_hop: int
    padding: str
    power_spectrogram: float
    return_decibel_spectrogram: bool
    trainable_kernel: bool
    image_data_format: str
    input_data_format: str
    amin: float

    def __init__(
        self,
        n_dft: int = 512,
        n_hop: int | None = None,
        padding: str = "same",
        power_spectrogram: float = 2.0,
        return_decibel_spectrogram: bool = False,
        trainable_kernel: bool = False,
        image_data_format: str = "default",
        input_data_format: str | None = None,
        amin: float = DEFAULT_AMIN,
        **kwargs: Any,
    ) -> None:
        own = {} if input_data_format is None else {"input_data_format": input_data_format}
        own |= self._pop_arguments(kwargs)
        config = self.config_class(
            n_dft=n_dft,
            n_hop=n_hop,
            padding=padding,
            power_spectrogram=power_spectrogram,
            return_decibel_spectrogram=return_decibel_spectrogram,
            trainable_kernel=trainable_kernel,
            image_data_format=image_data_format,
            amin=amin,
            **own,
        )
        self._configure(config, is_input_format_given=input_data_format is not None, **kwargs)

    def _pop_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Remove the arguments of the configuration from ``kwargs``, and return them."""
        names = [one.name for one in fields(self.config_class) if one.name in kwargs]
        return {name: kwargs.pop(name) for name in names}

    def _configure(
        self, config: SpectrogramConfig, *, is_input_format_given: bool, **kwargs: Any
    ) -> None:
        """Initialize the layer from a checked configuration.

        Args:
            config: The layer's own arguments.
            is_input_format_given: Whether ``input_data_format`` was passed.
            **kwargs: The arguments of every Keras layer.
        """
        # call() casts the samples: they must not pass through half precision before.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        config = resolved_layer(config)
        self.config = config
        self._is_input_format_given = is_input_format_given
        for field in fields(config):
            setattr(self, field.name, getattr(config, field.name))
        self.framing = config.framing
        if config.n_weights > MAX_WEIGHTS:
            raise SettingsError(
                f"The layer would have {config.n_weights:,} trainable weights, and may have "
                f"{MAX_WEIGHTS:,}. Received: {_sizes(config)}"
            )
        for warning in config.frame_warnings():
            warnings.warn(str(warning), LayerWarning, stacklevel=3)
        if self._needs_float64 and not steps.has_float64():
            warnings.warn(_NO_FLOAT64, LayerWarning, stacklevel=3)
        if self.compute_dtype == "float16" and (too_large := _float16_warning(config)):
            warnings.warn(too_large, LayerWarning, stacklevel=3)
        self._window = dsp.hann(config.n_dft)

    def build(self, input_shape: Shape) -> None:
        """Create the weights, if there are any."""
        if not self._is_input_format_given and (doubt := self._reason_to_doubt_order(input_shape)):
            warnings.warn(
                f"The input has {doubt}. It is read as (batch, channel, samples): for "
                "(batch, samples, channel) set input_data_format='channels_last', else "
                "'channels_first'",
                LayerWarning,
                stacklevel=2,
            )
        if self.trainable_kernel:
            self.kernel_real = self._add_kernel("kernel_real", np.cos)
            self.kernel_imaginary = self._add_kernel("kernel_imaginary", np.sin)
        self.built = True

    def _reason_to_doubt_order(self, input_shape: Shape) -> str:
        """Return why the last axis of an input seems to be its channels, or nothing."""
        _, channel, samples = self._dimensions(input_shape)
        if samples and channel is None and samples < min(self.n_dft, _FEW_SAMPLES):
            return f"{counted(samples, 'sample')} in a number of channels that is not known"
        if channel and samples and channel > samples:
            return f"more channels ({channel}) than samples ({samples})"
        return ""

    def _add_kernel(self, name: str, wave: Any) -> Any:
        values = _dft_kernel(self._window, self.config.n_freq, wave)
        return self.add_weight(
            shape=values.shape,
            initializer=steps.initializer(values),
            autocast=False,  # not in half precision, even where the layer is called by itself
            name=name,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Return the (mel-)spectrogram of a batch of signals.

        ``training`` changes no result: it is what Keras says of a step that trains weights.
        """
        self._dimensions(inputs.shape)
        self._check_real(inputs)
        signal = ops.convert_to_tensor(inputs)
        if self.input_data_format == "channels_last":
            signal = ops.transpose(signal, (0, 2, 1))
        signal = steps.pad(signal, self.framing)
        with steps.own_gradients(bool(training)):
            if self._is_trained and training:  # backpropagation through parts costs what they save
                features = self.transform(signal)
            else:
                features = steps.transform_frames(self.transform, signal, self.framing)
        values = self.finish(features)
        axes = ("batch", "channel", "time", self.config.feature_axis)
        order = [axes.index(name) for name in ("batch", *self.config.axes)]
        return ops.cast(ops.transpose(values, order), self.compute_dtype)

    def finish(self, features: Tensor) -> Tensor:
        """Return the last step: decibels below each example's maximum, or none.

        Args:
            features: Shape ``(batch, channel, n_time, n_features)``.

        Returns:
            Shape ``(batch, channel, n_time, n_values)``.
        """
        if self.config.takes_decibels:
            return steps.decibels(features, self.config.amin)
        return features

    @property
    def _is_trained(self) -> bool:
        """Whether the transform has weights."""
        return self.config.trainable_kernel

    def transform(self, signal: Tensor) -> Tensor:
        """Return the features of each frame, without padding and last step.

        Args:
            signal: Shape ``(batch, channel, samples)``, at least ``n_dft`` samples.

        Returns:
            Shape ``(batch, channel, n_time, n_features)``; frame ``i`` depends on samples
            ``i * n_hop`` to ``i * n_hop + n_dft - 1`` alone.
        """
        return steps.raise_to(self._power(signal), self.config.power_exponent)

    def _power(self, signal: Tensor) -> Tensor:
        """Return ``|X|^2``, shape ``(batch, channel, n_time, n_freq)``."""
        dtype = self._working_dtype
        signal = ops.cast(signal, dtype)
        if self.trainable_kernel:
            kernels = ops.cast(self.kernel_real, dtype), ops.cast(self.kernel_imaginary, dtype)
            return steps.power_of_convolution(signal, kernels, self.n_hop)
        window = ops.convert_to_tensor(self._window, dtype=dtype)
        return steps.power_of_frames(signal, window, self.n_hop)

    @property
    def _needs_float64(self) -> bool:
        """Whether float32 is not precise enough."""
        return self.compute_dtype == "float64" or self.config.works_in_float64

    @property
    def _working_dtype(self) -> str:
        """The precision of all steps: at least float32, for any policy of the layer."""
        return "float64" if self._needs_float64 and steps.has_float64() else "float32"

    def _dimensions(self, shape: Shape) -> tuple[int | None, int | None, int | None]:
        """Return ``(batch, channel, samples)`` of an input shape.

        Raises:
            ValueError: If the shape is not of rank 3.
        """
        if len(shape) != 3:
            order = "samples, channel"
            if self.input_data_format == "channels_first":
                order = "channel, samples"
            raise SettingsError(
                f"{type(self).__name__} takes inputs of shape (batch, {order}). "
                f"Received: input_shape={tuple(shape)}"
            )
        batch, second, third = shape
        if self.input_data_format == "channels_first":
            return batch, second, third
        return batch, third, second

    def _check_real(self, inputs: Tensor) -> None:
        if "complex" in str(inputs.dtype):
            raise SettingsError(
                f"{type(self).__name__} takes real samples. Received: dtype={inputs.dtype!s}"
            )

    def compute_output_spec(self, inputs: Tensor) -> Tensor:
        """Return the output for a symbolic input.

        Raises:
            ValueError: If the input is invalid.
        """
        self._check_real(inputs)
        return super().compute_output_spec(inputs)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """Return the shape of the output for an input of ``input_shape``; ``None`` stays.

        Raises:
            ValueError: If the shape is invalid.
        """
        batch, channel, samples = self._dimensions(input_shape)
        sizes = {
            "channel": channel,
            "time": None if samples is None else self.framing.n_time(samples),
            self.config.feature_axis: self.config.n_values,
        }
        return (batch, *(sizes[axis] for axis in self.config.axes))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, including those of every Keras layer."""
        return {**super().get_config(), **self.config.to_dict()}


def _sizes(config: SpectrogramConfig) -> str:
    """Return the arguments that determine the number of weights."""
    named = {name: getattr(config, name, None) for name in ("n_dft", "n_mels")}
    return ", ".join(f"{name}={value}" for name, value in named.items() if value is not None)


def _float16_warning(config: SpectrogramConfig) -> str:
    """Return a warning if float16 cannot hold the values of loud samples, or nothing."""
    if config.takes_decibels:
        return ""
    with np.errstate(over="ignore"):
        largest = np.float64(config.largest_magnitude) ** config.power
    if largest <= _FLOAT16_MAX:
        return ""
    remedies = [f"{config.decibel_name}=True", "dtype='float32' for this layer"]
    if config.largest_magnitude <= _FLOAT16_MAX:
        remedies.insert(1, f"{config.power_name}=1.0")
    return (
        f"Values of this layer are up to {largest:.6g} for samples from -1 to 1, and above "
        f"{_FLOAT16_MAX:,.0f} they are inf in float16 (use {', or '.join(remedies)})"
    )


def _dft_kernel(window: np.ndarray[Any, Any], n_freq: int, wave: Any) -> np.ndarray[Any, Any]:
    """Return windowed cosines or sines, shape ``(n_dft, 1, n_freq)``."""
    n_dft = len(window)
    # The phase is reduced in integers: n * k grows past what a float holds exactly.
    turns = np.outer(np.arange(n_dft), np.arange(n_freq)) % n_dft
    kernel = window[:, np.newaxis] * wave(2.0 * math.pi * turns / n_dft)
    return np.asarray(kernel[:, np.newaxis, :])
