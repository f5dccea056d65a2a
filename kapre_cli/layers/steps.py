"""The steps of the layers as functions of tensors, written with ``keras.ops``."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from kapre_cli.framing import Framing
from kapre_cli.settings.layers import DECIBEL_RANGE

# The smallest normal number of each type, and its square root.
_TINY = {"float32": (2.0**-126, 2.0**-63), "float64": (2.0**-1022, 2.0**-511)}

# Samples of the frames of a piece: half a MiB. Anything up to eight times as much is as fast.
_PIECE_VALUES = 2**17

Tensor = Any  # a tensor of whichever backend Keras runs on; none of them ships types for it


def has_float64() -> bool:
    """Whether the backend computes in float64 where it is told to."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return bool(jax.config.jax_enable_x64)


def padded(signal: Tensor, framing: Framing) -> Tensor:
    """Lay the zeros of ``framing`` around ``signal``, shape ``(..., samples)``.

    Raises:
        ValueError: If the length is known and the signal is too short for one frame.
    """
    length = signal.shape[-1]
    if length is None:
        _require_frame(signal, framing)
        front, back = framing.pads(ops.shape(signal)[-1], ops.maximum)
    else:
        framing.n_time(length)
        front, back = framing.pads(length)
        if (front, back) == (0, 0):
            return signal
    unpadded = [(0, 0)] * (len(signal.shape) - 1)
    return ops.pad(signal, (*unpadded, (front, back)))


def _require_frame(signal: Tensor, framing: Framing) -> None:
    """Fail when the graph runs if a signal of unknown length turns out too short.

    Only TensorFlow has lengths that are not known while a graph is made.
    """
    if keras.backend.backend() == "tensorflow":
        from tensorflow import debugging

        shortest = framing.min_samples
        debugging.assert_greater_equal(
            ops.shape(signal)[-1],
            shortest,
            message=f"The signal must be at least {shortest} samples long "
            f"(n_dft={framing.n_dft}, padding={framing.padding!r}).",
        )


def features_of_frames(
    transform: Callable[[Tensor], Tensor], signal: Tensor, framing: Framing
) -> Tensor:
    """Return ``transform(signal)``, computed in pieces where that is faster.

    Between the steps of a transform lie tensors larger than the signal by ``n_dft / n_hop``. Those
    of a whole batch are fresh memory at every step, which the system hands out page by page: on a
    processor that takes longer than the transform. Those of a piece stay in the cache.

    Args:
        transform: As :func:`in_pieces` takes it.
        signal: Shape ``(batch, channel, samples)``, at least one frame long.
        framing: Where the frames lie; pads have been laid.
    """
    length = ops.shape(signal)[-1]
    n_frames = max(_PIECE_VALUES // framing.n_dft, 1)
    is_short = isinstance(length, int) and length < framing.n_samples(n_frames + 1)
    if is_short or signal.shape[0] == 0 or not _on_tensorflows_processor():
        return transform(signal)
    return in_pieces(transform, signal, framing, n_frames)


def in_pieces(
    transform: Callable[[Tensor], Tensor], signal: Tensor, framing: Framing, n_frames: int
) -> Tensor:
    """Return ``transform(signal)``, computed from ``n_frames`` frames of one channel at a time.

    Args:
        transform: Gives the features of frames, ``(batch, channel, n_time, n_features)``, of a
            signal ``(batch, channel, samples)``; those of a frame depend on its samples alone.
        signal: Shape ``(batch, channel, samples)``, at least one frame long.
        framing: Where the frames lie; pads have been laid.
        n_frames: Frames of a piece.
    """
    _, channel, length = ops.shape(signal)
    n_time = (length - framing.n_dft) // framing.n_hop + 1
    n_pieces = (n_time + n_frames - 1) // n_frames
    # Frames that are not there, to make the last piece full, are computed from zeros.
    lacking = framing.n_samples(n_pieces * n_frames) - length
    signal = ops.pad(signal, ((0, 0), (0, 0), (0, ops.maximum(lacking, 0))))
    n_samples = framing.n_samples(n_frames)
    pieces = ops.extract_sequences(signal, n_samples, n_frames * framing.n_hop)
    features = ops.map(transform, ops.reshape(pieces, (-1, 1, 1, n_samples)))
    shape = (-1, channel, n_pieces * n_frames, features.shape[-1])
    return ops.reshape(features, shape)[:, :, :n_time]


def _on_tensorflows_processor() -> bool:
    """Whether TensorFlow computes, and has no GPU, which wants all there is to do at once.

    The compilers of other backends lay steps together by themselves.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    from tensorflow import config

    return not config.list_physical_devices("GPU")


def power_of_frames(signal: Tensor, window: Tensor, n_hop: int) -> Tensor:
    """Return ``|X|^2`` of every frame through the FFT.

    Args:
        signal: Shape ``(..., samples)``, at least one frame long.
        window: Shape ``(n_dft,)``.
        n_hop: Samples from frame to frame.

    Returns:
        Shape ``(..., n_time, n_dft // 2 + 1)``.
    """
    frames = ops.extract_sequences(signal, window.shape[0], n_hop)
    real, imaginary = ops.rfft(frames * window)
    return real * real + imaginary * imaginary


def power_of_convolution(signal: Tensor, kernels: tuple[Tensor, Tensor], n_hop: int) -> Tensor:
    """Return ``|X|^2`` of every frame through two strided convolutions.

    Args:
        signal: Shape ``(batch, channel, samples)``.
        kernels: The real and the imaginary kernel, each ``(n_dft, 1, n_freq)``.
        n_hop: Samples from frame to frame.

    Returns:
        Shape ``(batch, channel, n_time, n_freq)``.
    """
    batch, channel, samples = ops.shape(signal)
    each = ops.reshape(signal, (-1, samples, 1))
    real, imaginary = (
        ops.conv(each, kernel, strides=n_hop, padding="valid", data_format="channels_last")
        for kernel in kernels
    )
    power = real * real + imaginary * imaginary
    # Not the shape of ``power``: that of an empty batch is wrong on some processors.
    n_dft, _, n_freq = kernels[0].shape
    n_time = (samples - n_dft) // n_hop + 1
    return ops.reshape(power, (batch, channel, n_time, n_freq))


def raised(power: Tensor, exponent: float) -> Tensor:
    """Return ``power ** exponent`` for ``power >= 0``, with a finite gradient at 0; NaN stays NaN.

    Below an exponent of 1 the slope at 0 is infinite; silence would turn every gradient into
    NaN. There the value is 0 and so is the gradient.
    """
    if exponent == 1.0:
        return power
    if exponent > 1.0:
        return ops.power(power, exponent)
    if exponent == 0.5:
        # Three steps over the values instead of five; silence still gives 0 exactly.
        tiny, root_of_tiny = _TINY[keras.backend.standardize_dtype(power.dtype)]
        return ops.sqrt(ops.maximum(power, tiny)) - root_of_tiny
    silent = power <= 0
    kept = ops.where(silent, ops.ones_like(power), power)
    root = ops.power(kept, exponent)
    return ops.where(silent, ops.zeros_like(root), root)


def decibels(values: Tensor, amin: float) -> Tensor:
    """Return each example of a batch as decibels below its own largest value, floored at -80.

    Values below ``amin`` are raised to it first. The reference is taken over all axes but the
    first, so no example changes another.
    """
    log_values = 10.0 * ops.log10(ops.maximum(values, amin))
    others = tuple(range(1, len(values.shape)))
    # An empty batch has no largest value; Keras refuses to look for one without this.
    largest = ops.max(log_values, axis=others, keepdims=True, initial=-math.inf)
    below = log_values - largest
    return ops.maximum(below, -DECIBEL_RANGE)


def initializer(values: npt.NDArray[np.float64]) -> Callable[..., Tensor]:
    """Return a Keras initializer that gives ``values``, whatever shape it is asked for."""

    def initialize(_shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.convert_to_tensor(values, dtype=dtype)

    return initialize
