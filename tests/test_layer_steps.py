"""The layers on batches that are computed in parts, and their gradients on TensorFlow."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from kapre_cli import Melspectrogram, Spectrogram

SR = 44100
LARGE = 26  # seconds, one an example: they have more samples in frames than are computed at once


def _noise(*shape: int) -> npt.NDArray[np.float32]:
    return 0.1 * np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        Spectrogram(2048, 512),
        Spectrogram(2048, 500, power_spectrogram=1.0),
        Melspectrogram(SR, 70, n_dft=2048, n_hop=512),
        Melspectrogram(SR, 70, n_dft=2048, n_hop=512, trainable_fb=True),
        Spectrogram(512, 128, trainable_kernel=True),
    ],
)
def test_examples_of_a_large_batch_are_those_alone(layer: Any, training: bool) -> None:
    signals = _noise(LARGE, 1, SR)
    alone = np.concatenate([layer(signals[n : n + 1]) for n in range(LARGE)])
    atol = 1e-6 * alone.max()
    np.testing.assert_allclose(layer(signals, training=training), alone, rtol=0, atol=atol)
    unknown = tf.TensorSpec((None, None, None), tf.float32)
    compiled = tf.function(lambda x: layer(x, training=training), input_signature=[unknown])
    np.testing.assert_allclose(compiled(signals), alone, rtol=0, atol=atol)
    channels = signals.reshape(LARGE // 2, 2, SR)
    moved = np.moveaxis(compiled(channels), layer.config.axes.index("channel") + 1, 1)
    of_channels = moved.reshape(LARGE, *moved.shape[2:])
    both = np.moveaxis(alone, layer.config.axes.index("channel") + 1, 1)[:, 0]
    np.testing.assert_allclose(of_channels, both, rtol=0, atol=atol)


def test_a_long_signal_is_computed_in_parts_of_itself() -> None:
    layer = Spectrogram(512, 256, padding="valid", image_data_format="channels_first")
    signals = _noise(2, 1, 3_000_000)
    whole = layer(signals).numpy()
    first, last = layer(signals[..., : 256 * 9 + 512]), layer(signals[..., 256 * 11_000 :])
    np.testing.assert_allclose(whole[:, :, :10], first, rtol=0, atol=1e-6 * whole.max())
    np.testing.assert_allclose(whole[:, :, 11_000:], last, rtol=0, atol=1e-6 * whole.max())


LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "even": (Spectrogram, {"n_dft": 16, "n_hop": 4}),
    "odd, amplitude": (Spectrogram, {"n_dft": 15, "n_hop": 4, "power_spectrogram": 1.0}),
    "the shortest": (Spectrogram, {"n_dft": 2, "n_hop": 1}),
    "samples in no frame": (Spectrogram, {"n_dft": 8, "n_hop": 20}),
    "samples left over": (Spectrogram, {"n_dft": 10, "n_hop": 7, "padding": "valid"}),
    "kernels": (Spectrogram, {"n_dft": 16, "n_hop": 5, "trainable_kernel": True}),
    "mel": (Melspectrogram, {"n_dft": 256, "n_hop": 100, "n_mels": 20}),
    "mel matrix": (
        Melspectrogram,
        {"n_dft": 256, "n_hop": 100, "n_mels": 20, "trainable_fb": True},
    ),
    "many bands": (Melspectrogram, {"n_dft": 2048, "n_hop": 512, "n_mels": 100}),
    "bands of some bins": (
        Melspectrogram,
        {"n_dft": 2048, "n_hop": 512, "n_mels": 70, "fmin": 3000.0, "fmax": 9000.0},
    ),
    "empty bands": (Melspectrogram, {"n_dft": 256, "n_hop": 100, "n_mels": 200}),
}


@pytest.mark.filterwarnings("ignore::kapre_cli.layers.spectrogram.LayerWarning")
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_differences(name: str, training: bool) -> None:
    layer_class, arguments = LAYERS[name]
    layer = layer_class(dtype="float64", **arguments)
    random = np.random.default_rng(0)
    signal, direction = random.standard_normal((2, 2, 1, 5000))
    weights = random.random(layer(signal).shape)

    def total(signal: Any) -> Any:
        return tf.reduce_sum(tf.constant(weights) * layer(signal, training=training))

    def derivative(function: Any) -> Any:
        """Return the derivative of a function in the direction."""

        def derived(signal: Any) -> Any:
            signal = tf.constant(signal)
            with tf.GradientTape() as tape:
                tape.watch(signal)
                value = function(signal)
            return tf.reduce_sum(tape.gradient(value, signal) * direction)

        return derived

    slope = derivative(total)
    curvature = derivative(slope)
    step = 1e-6
    ahead, behind = signal + step * direction, signal - step * direction
    between = (total(ahead) - total(behind)) / (2 * step)
    np.testing.assert_allclose(slope(signal), between, rtol=1e-5)
    between = (slope(ahead) - slope(behind)) / (2 * step)
    np.testing.assert_allclose(curvature(signal), between, rtol=1e-4)


def test_gradients_of_a_large_batch_are_those_alone() -> None:
    layer = Melspectrogram(SR, 70, n_dft=2048, n_hop=512)
    signals = tf.constant(_noise(LARGE, 1, SR))

    def of_signals(signals: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(signals)
            total = tf.reduce_sum(layer(signals, training=True) ** 2)
        return tape.gradient(total, signals)

    gradient = tf.function(of_signals)
    alone = np.concatenate([gradient(signals[n : n + 1]) for n in range(LARGE)])
    atol = 1e-5 * np.abs(alone).max()
    np.testing.assert_allclose(gradient(signals), alone, rtol=0, atol=atol)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_kernels_have_the_gradients_of_differences(jit_compile: bool) -> None:
    layer = Spectrogram(16, 5, trainable_kernel=True, dtype="float64")
    random = np.random.default_rng(0)
    signal = random.standard_normal((3, 1, 200))
    layer.build(signal.shape)

    def of_kernels() -> Any:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(signal, training=True) ** 2)
        return tape.gradient(total, layer.trainable_variables)

    gradients = tf.function(of_kernels, jit_compile=jit_compile)()
    for variable, slopes in zip(layer.trainable_variables, gradients, strict=True):
        values, direction = variable.numpy(), random.standard_normal(variable.shape)
        totals = []
        for step in (1e-6, -1e-6):
            variable.assign(values + step * direction)
            totals.append(float(tf.reduce_sum(layer(signal) ** 2)))
        variable.assign(values)
        between = (totals[0] - totals[1]) / 2e-6
        np.testing.assert_allclose(np.sum(slopes * direction), between, rtol=1e-5)


def test_an_exported_model_has_gradients(tmp_path: Path) -> None:
    layer = Melspectrogram(SR, 70, n_dft=2048, n_hop=512)
    model = keras.Sequential([keras.Input((1, None)), layer])
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    signals = tf.constant(_noise(2, 1, SR))
    gradients = []
    for function in (exported.serve, lambda signals: model(signals, training=True)):
        with tf.GradientTape() as tape:
            tape.watch(signals)
            total = tf.reduce_sum(function(signals))
        gradients.append(tape.gradient(total, signals).numpy())
    atol = 1e-5 * np.abs(gradients[1]).max()
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=0, atol=atol)
