"""The steps of the layers as functions of tensors, written with ``keras.ops``."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from kapre_cli.framing import Framing
from kapre_cli.settings.layers import DECIBEL_RANGE

# The smallest normal number of each type, and its square root.
_TINY = {"float32": (2.0**-126, 2.0**-63), "float64": (2.0**-1022, 2.0**-511)}

# Samples of all frames of a batch: 16 MiB. Larger batches are computed in parts of 4 MiB.
_BATCH_VALUES = 2**22
_PART_VALUES = 2**20

# Whether gradients are computed by this module instead of TensorFlow. The steps of a model that is
# exported have TensorFlow's: functions of gradients cannot be saved from within a branch.
_has_own_gradients = ContextVar("has_own_gradients", default=False)

Matrix = npt.NDArray[np.floating[Any]]
Tensor = Any  # of the backend that Keras runs on; none of them has types for it


def has_float64() -> bool:
    """Whether the backend can compute in float64."""
    if keras.backend.backend() != "jax":
        return True
    import jax

    return bool(jax.config.jax_enable_x64)


def pad(signal: Tensor, framing: Framing) -> Tensor:
    """Pad ``signal``, shape ``(..., samples)``, with the zeros of ``framing``.

    Raise ValueError if the length is known and the signal is too short for one frame.
    """
    length = signal.shape[-1]
    if length is None:
        _check_length(signal, framing)
        front, back = framing.pads(ops.shape(signal)[-1], ops.maximum)
    else:
        framing.n_time(length)
        front, back = framing.pads(length)
        if (front, back) == (0, 0):
            return signal
    unpadded = [(0, 0)] * (len(signal.shape) - 1)
    return ops.pad(signal, (*unpadded, (front, back)))


def _check_length(signal: Tensor, framing: Framing) -> None:
    """Fail when the graph runs if a signal of unknown length is too short.

    Only TensorFlow has lengths that are unknown while a graph is built.
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


@contextmanager
def own_gradients(is_training: bool) -> Iterator[None]:
    """In the block, let steps of training have gradients that are faster than TensorFlow's."""
    before = _has_own_gradients.set(is_training)
    try:
        yield
    finally:
        _has_own_gradients.reset(before)


def transform_frames(
    transform: Callable[[Tensor], Tensor], signal: Tensor, framing: Framing
) -> Tensor:
    """Return ``transform(signal)``, large batches in parts where that is faster.

    The intermediate tensors are ``n_dft / n_hop`` times as large as the signal. Those of a large
    batch are new memory at every step; on a CPU, allocating its pages takes longer than the
    transform. The arguments are those of :func:`in_chunks`.
    """
    if signal.shape[0] == 0 or not _is_tensorflow_on_cpu():
        return transform(signal)
    batch, channel, length = ops.shape(signal)
    is_small = batch * channel * _n_time(length, framing) <= _BATCH_VALUES // framing.n_dft
    if isinstance(is_small, bool):
        return transform(signal) if is_small else _in_parts(transform, signal, framing)
    return ops.cond(
        is_small, lambda: transform(signal), lambda: _in_parts(transform, signal, framing)
    )


def _in_parts(transform: Callable[[Tensor], Tensor], signal: Tensor, framing: Framing) -> Tensor:
    """Return ``transform(signal)``, computed from parts of some chunks that are equally long.

    Both numbers follow from the shape, so that few frames of zeros fill them up.
    """
    n_time = _n_time(ops.shape(signal)[-1], framing)
    n_most = max(_PART_VALUES // framing.n_dft, 1)
    n_chunks = _divided(n_time, n_most)
    return in_chunks(transform, signal, framing, _divided(n_time, n_chunks), n_most)


def in_chunks(
    transform: Callable[[Tensor], Tensor],
    signal: Tensor,
    framing: Framing,
    n_frames: Any,
    n_part: int | None = None,
) -> Tensor:
    """Return ``transform(signal)``, computed from ``n_frames`` frames at a time.

    Args:
        transform: Returns the features of frames, ``(batch, channel, n_time, n_features)``, of a
            signal ``(batch, channel, samples)``; those of a frame depend only on its samples.
        signal: Shape ``(batch, channel, samples)``, at least one frame long.
        framing: Where the frames lie; the signal has been padded.
        n_frames: Frames of a chunk; may be a tensor.
        n_part: Frames that may be computed at once, in several chunks; at least ``n_frames``.
            ``None``: those of one chunk.
    """
    batch, channel, length = ops.shape(signal)
    n_time = _n_time(length, framing)
    n_chunks = _divided(n_time, n_frames)
    # The last chunk is filled up with frames of zeros, the last part with chunks.
    n_missing = framing.n_samples(n_chunks * n_frames) - length
    signal = ops.pad(signal, ((0, 0), (0, 0), (0, ops.maximum(n_missing, 0))))
    n_samples = framing.n_samples(n_frames)
    chunks = ops.extract_sequences(signal, n_samples, n_frames * framing.n_hop)
    n_all = batch * channel * n_chunks
    n_parts = _divided(n_all, 1 if n_part is None else n_part // n_frames)
    n_each = _divided(n_all, n_parts)
    chunks = ops.reshape(chunks, (n_all, n_samples))
    chunks = ops.pad(chunks, ((0, n_parts * n_each - n_all), (0, 0)))
    features = ops.map(transform, ops.reshape(chunks, (n_parts, n_each, 1, n_samples)))
    n_features = features.shape[-1]
    features = ops.reshape(features, (n_parts * n_each, n_frames, n_features))[:n_all]
    shape = (batch, channel, n_chunks * n_frames, n_features)
    return ops.reshape(features, shape)[:, :, :n_time]


def _n_time(length: Any, framing: Framing) -> Any:
    """Return the number of frames of a padded signal."""
    return (length - framing.n_dft) // framing.n_hop + 1


def _divided(dividend: Any, divisor: Any) -> Any:
    """Return the quotient, rounded up."""
    return (dividend + divisor - 1) // divisor


def _is_tensorflow_on_cpu() -> bool:
    """Whether TensorFlow computes on the CPU; a GPU is faster with a whole batch.

    The compilers of other backends fuse the steps.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    from tensorflow import config

    return not config.list_physical_devices("GPU")


def power_of_frames(signal: Tensor, window: Tensor, n_hop: int) -> Tensor:
    """Return ``|X|^2`` of every frame through the FFT.

    The shape is ``(..., n_time, n_dft // 2 + 1)``, that of ``signal`` ``(..., samples)``, that of
    ``window`` ``(n_dft,)``.
    """

    def power(signal: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        real, imaginary = _spectra(signal, window, n_hop)
        gradient = partial(_gradient_of_power, signal, window, n_hop)
        return real * real + imaginary * imaginary, gradient

    return _with_gradient(power, signal)


def _spectra(signal: Tensor, window: Tensor, n_hop: int) -> tuple[Tensor, Tensor]:
    """Return the real and the imaginary part of the DFT of every frame."""
    frames = ops.extract_sequences(signal, window.shape[0], n_hop)
    real, imaginary = ops.rfft(frames * window)
    return real, imaginary


def _gradient_of_power(signal: Tensor, window: Tensor, n_hop: int, upstream: Tensor) -> Tensor:
    """Return the gradient with respect to ``signal``, given that with respect to the power.

    TensorFlow's own takes twice as long. The spectra are computed again: they would be the largest
    tensors that a training step keeps.
    """
    n_dft = window.shape[0]
    real, imaginary = _spectra(signal, window, n_hop)
    # The inverse of the real DFT divides by n_dft, and adds every bin twice but the outermost.
    times = np.ones(n_dft // 2 + 1)
    times[[0, -1] if n_dft % 2 == 0 else [0]] = 2.0
    upstream = upstream * ops.convert_to_tensor(n_dft * times, dtype=upstream.dtype)
    frames = ops.irfft((real * upstream, imaginary * upstream), fft_length=n_dft) * window
    return _added_frames(frames, n_hop, ops.shape(signal)[-1])


def power_of_convolution(signal: Tensor, kernels: tuple[Tensor, Tensor], n_hop: int) -> Tensor:
    """Return ``|X|^2`` of every frame through two strided convolutions.

    The shape is ``(batch, channel, n_time, n_freq)``, that of ``signal`` ``(batch, channel,
    samples)``, that of each kernel, the real and the imaginary one, ``(n_dft, 1, n_freq)``.

    With TensorFlow each is a matrix product with all frames: a training step takes two thirds of
    the time of one with ``ops.conv``. Elsewhere Keras' products are float32, and PyTorch exports
    no frames to ONNX.
    """
    if keras.backend.backend() == "tensorflow":
        frames = _frames(signal, kernels[0].shape[0], n_hop)
        real, imaginary = (ops.matmul(frames, ops.squeeze(kernel, 1)) for kernel in kernels)
        return real * real + imaginary * imaginary
    batch, channel, samples = ops.shape(signal)
    each = ops.reshape(signal, (-1, samples, 1))
    real, imaginary = (
        ops.conv(each, kernel, strides=n_hop, padding="valid", data_format="channels_last")
        for kernel in kernels
    )
    power = real * real + imaginary * imaginary
    return ops.reshape(power, (batch, channel, *power.shape[1:]))


def _frames(signal: Tensor, n_dft: int, n_hop: int) -> Tensor:
    """Return the frames, shape ``(..., n_time, n_dft)``.

    TensorFlow's own gradient scatters samples, which takes longer than adding frames.
    """

    def cut(signal: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        frames = ops.extract_sequences(signal, n_dft, n_hop)
        return frames, lambda upstream: _added_frames(upstream, n_hop, ops.shape(signal)[-1])

    return _with_gradient(cut, signal)


def _added_frames(frames: Tensor, n_hop: int, length: Any) -> Tensor:
    """Return a signal of ``length`` samples, the sum of frames at their places."""
    from tensorflow import signal as tf_signal

    added = tf_signal.overlap_and_add(frames, n_hop)
    others = [(0, 0)] * (len(added.shape) - 1)
    return ops.pad(added, (*others, (0, length - ops.shape(added)[-1])))


def sum_bands(power: Tensor, groups: Sequence[tuple[slice, Matrix]]) -> Tensor:
    """Return the sums of bins in mel bands, shape ``(..., n_mels)``.

    Args:
        power: Shape ``(..., n_freq)``.
        groups: Bins and weights, ``(bins, bands)``, of neighbouring bands.
    """
    dtype = keras.backend.standardize_dtype(power.dtype)

    def add(power: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        products = [
            ops.matmul(power[..., bins], ops.convert_to_tensor(weights, dtype=dtype))
            for bins, weights in groups
        ]
        bands = ops.concatenate(products, axis=-1) if len(products) > 1 else products[0]
        return bands, gradient

    def gradient(upstream: Tensor) -> Tensor:
        # TensorFlow's own adds a tensor of all bins for each group.
        matrix = _dense(groups, power.shape[-1])
        return ops.matmul(upstream, ops.convert_to_tensor(matrix.T, dtype=dtype))

    return _with_gradient(add, power)


def _dense(groups: Sequence[tuple[slice, Matrix]], n_freq: int) -> Matrix:
    """Return the weights of all bins and bands, shape ``(n_freq, n_mels)``."""
    columns = []
    for bins, weights in groups:
        columns.append(np.zeros((n_freq, weights.shape[1])))
        columns[-1][bins] = weights
    return np.concatenate(columns, axis=1)


def _with_gradient(
    function: Callable[[Tensor], tuple[Tensor, Callable[[Tensor], Tensor]]], argument: Tensor
) -> Tensor:
    """Return the first result of ``function``; TensorFlow takes the second as its gradient.

    Outside of :func:`own_gradients` it finds the gradient by itself, as other backends do.
    """
    if keras.backend.backend() != "tensorflow" or not _has_own_gradients.get():
        return function(argument)[0]
    from tensorflow import custom_gradient

    return custom_gradient(function)(argument)


def raise_to(power: Tensor, exponent: float) -> Tensor:
    """Return ``power ** exponent`` for ``power >= 0``, with a finite gradient at 0.

    Below an exponent of 1 the slope at 0 is infinite, and silence would turn every gradient into
    NaN: value and gradient are set to 0 there. NaN stays NaN.
    """
    if exponent == 1.0:
        return power
    if exponent > 1.0:
        return ops.power(power, exponent)
    if exponent == 0.5:
        # Three operations instead of five; silence still gives exactly 0.
        # The type of the maximum: on other backends than TensorFlow Keras makes float32 of float64.
        tiny, root_of_tiny = _TINY[keras.backend.result_type(power.dtype, float)]
        return ops.sqrt(ops.maximum(power, tiny)) - root_of_tiny
    silent = power <= 0
    positive = ops.where(silent, ops.ones_like(power), power)
    root = ops.power(positive, exponent)
    return ops.where(silent, ops.zeros_like(root), root)


def decibels(values: Tensor, amin: float) -> Tensor:
    """Return each example of a batch in decibels below its maximum, floored at -80.

    Values below ``amin`` are raised to it first. The reference is taken over all axes but the
    first, so examples are independent of each other.
    """
    log_values = 10.0 * ops.log10(ops.maximum(values, amin))
    others = tuple(range(1, len(values.shape)))
    # Without `initial`, Keras rejects an empty batch.
    largest = ops.max(log_values, axis=others, keepdims=True, initial=-math.inf)
    below = log_values - largest
    return ops.maximum(below, -DECIBEL_RANGE)


def initializer(values: npt.NDArray[np.float64]) -> Callable[..., Tensor]:
    """Return a Keras initializer that returns ``values`` for any shape."""

    def initialize(_shape: Sequence[int], dtype: Any = None) -> Tensor:
        return ops.convert_to_tensor(values, dtype=dtype)

    return initialize
