"""Trainable kernels and filterbank: equal at the start, trained by gradients, saved and loaded."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import reference

MEL: dict[str, Any] = {"sr": 8000, "n_mels": 20, "n_dft": 256, "n_hop": 100}


@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.LayerWarning")  # wide hops
@pytest.mark.parametrize("n_dft", [2, 3, 400, 512, 2048])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_trainable_kernels_start_as_the_frozen_transform(n_dft: int, padding: str) -> None:
    signal = reference.noise(2, 5003)[None]
    for n_hop in (97, n_dft // 2, n_dft + 3):
        options: dict[str, Any] = {"n_dft": n_dft, "n_hop": n_hop, "padding": padding}
        frozen = np.asarray(Spectrogram(**options)(signal))
        trainable = np.asarray(Spectrogram(**options, trainable_kernel=True)(signal))
        reference.require_close(trainable, frozen)


@pytest.mark.parametrize("trainable", [{"trainable_fb": True}, {"trainable_kernel": True}])
def test_trainable_mel_layer_starts_as_the_frozen_one(trainable: dict[str, bool]) -> None:
    signal = reference.noise(2, 5003)[None]
    frozen = np.asarray(Melspectrogram(**MEL)(signal))
    reference.require_close(np.asarray(Melspectrogram(**MEL, **trainable)(signal)), frozen)


def test_frozen_layers_have_no_weights() -> None:
    for layer in (Spectrogram(), Melspectrogram(**MEL)):
        layer(reference.noise(1, 1000)[None])
        assert layer.weights == []


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (Spectrogram(n_dft=64, trainable_kernel=True), [(64, 1, 33), (64, 1, 33)]),
        (Melspectrogram(**MEL, trainable_fb=True), [(129, 20)]),
        (
            Melspectrogram(**MEL, trainable_fb=True, trainable_kernel=True),
            [(256, 1, 129), (256, 1, 129), (129, 20)],
        ),
    ],
)
def test_gradients_reach_every_weight_and_one_step_lowers_the_loss(
    layer: Spectrogram, shapes: list[tuple[int, ...]]
) -> None:
    model = keras.Sequential([keras.Input((1, 1000)), layer])
    assert [tuple(weight.shape) for weight in model.trainable_weights] == shapes
    signal = reference.noise(1, 1000)[None]
    target = 0.5 * np.asarray(model(signal))
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss="mse")
    before = [weight.numpy() for weight in model.trainable_weights]
    loss = model.evaluate(signal, target, verbose=0)
    model.fit(signal, target, epochs=3, verbose=0)
    assert model.evaluate(signal, target, verbose=0) < loss
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(weight.numpy()).all()
        assert (weight.numpy() != old).any()


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("decibel", [False, True])
def test_silence_gives_finite_gradients(exponent: float, decibel: bool) -> None:
    layers = [
        Spectrogram(
            n_dft=64,
            power_spectrogram=exponent,
            trainable_kernel=True,
            return_decibel_spectrogram=decibel,
        ),
        Melspectrogram(
            **MEL, power_melgram=exponent, trainable_fb=True, return_decibel_melgram=decibel
        ),
    ]
    for layer in layers:
        signal = tf.Variable(tf.zeros((1, 1, 1000)))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(signal))
        for gradient in tape.gradient(loss, [signal, *layer.trainable_weights]):
            assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize(
    "layer",
    [
        Spectrogram(n_dft=100, n_hop=33, padding="valid", power_spectrogram=1.5),
        Spectrogram(n_dft=64, trainable_kernel=True, image_data_format="channels_first"),
        Spectrogram(return_decibel_spectrogram=True, input_data_format="channels_last"),
        Melspectrogram(**MEL, norm=float("inf"), htk=True, return_decibel_melgram=True),
        Melspectrogram(**MEL, norm=None, trainable_fb=True, trainable_kernel=True, fmax=3000),
    ],
)
def test_models_are_saved_and_loaded_whole(layer: Spectrogram, tmp_path: Path) -> None:
    channels_last = layer.input_data_format == "channels_last"
    model = keras.Sequential([keras.Input((None, 2) if channels_last else (2, None)), layer])
    for weight in model.trainable_weights:  # trained, so that the file must carry the weights
        weight.assign(weight + 0.01 * keras.random.uniform(weight.shape, seed=1))
    signal = reference.noise(2, 3000)
    batch = (signal.T if channels_last else signal)[None]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(batch), loaded(batch))
    assert loaded.layers[0].get_config() == layer.get_config()


@pytest.mark.parametrize("layer", [Spectrogram(n_dft=100), Melspectrogram(**MEL, norm=2)])
def test_config_makes_the_same_layer(layer: Spectrogram) -> None:
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.name == layer.name
    batch = reference.noise(1, 1000)[None]
    np.testing.assert_array_equal(layer(batch), again(batch))


@pytest.mark.parametrize("through_a_file", [False, True])
def test_training_the_mel_matrix_silences_no_band(through_a_file: bool, tmp_path: Path) -> None:
    # Without a constraint Adam takes half of the bands below 0, where no gradient reaches them.
    layer = Melspectrogram(
        sr=8000, n_mels=40, n_dft=512, trainable_fb=True, return_decibel_melgram=True
    )
    model = keras.Sequential(
        [
            keras.Input((1, 4000)),
            layer,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    if through_a_file:
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    signals = np.stack([reference.noise(1, 4000, seed) for seed in range(16)]).astype(np.float32)
    before = np.asarray(model.layers[0](signals))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
    model.fit(signals, np.linspace(-1, 1, 16)[:, np.newaxis], epochs=30, verbose=0)
    (matrix,) = model.layers[0].trainable_weights
    assert (np.asarray(matrix) >= 0).all()
    after = np.asarray(model.layers[0](signals))
    assert (after != before).any()
    assert (before <= -80).mean() == 0
    assert (after <= -80).mean() == 0
