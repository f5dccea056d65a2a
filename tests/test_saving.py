"""Models with the layers in files: saved and loaded, weights alone, served without this package."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import reference
from tests.backends import BACKEND, Array, needs_tensorflow, numbers
from tests.test_training import MEL, Subclassed


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
    np.testing.assert_array_equal(numbers(model(batch)), numbers(loaded(batch)))
    assert loaded.layers[0].get_config() == layer.get_config()


@pytest.mark.parametrize("layer", [Spectrogram(n_dft=100), Melspectrogram(**MEL, norm=2)])
def test_config_makes_the_same_layer(layer: Spectrogram) -> None:
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.name == layer.name
    batch = reference.noise(1, 1000)[None]
    np.testing.assert_array_equal(numbers(layer(batch)), numbers(again(batch)))


@pytest.mark.parametrize("style", ["sequential", "subclassed"])
def test_weights_alone_are_saved_and_loaded(style: str, tmp_path: Path) -> None:
    signal = reference.noise(1, 1000)[None]
    found = []
    for is_trained in (True, False):
        layer = Melspectrogram(**MEL, trainable_kernel=True, trainable_fb=True)
        model = Subclassed(layer) if style == "subclassed" else keras.Sequential([layer])
        before = numbers(model(signal))  # which builds it
        if is_trained:
            train(model)
            model.save_weights(tmp_path / "trained.weights.h5")
        else:
            model.load_weights(tmp_path / "trained.weights.h5")
        found.append(numbers(model(signal)))
        assert (found[-1] != before).any()
    np.testing.assert_array_equal(found[0], found[1])


def train(model: keras.Model) -> None:
    """Change the weights of a model, as training does."""
    for weight in model.trainable_weights:
        weight.assign(weight + 0.01 * keras.random.uniform(weight.shape, seed=1))


SERVE = """
import sys
sys.modules["kapre_cli"] = sys.modules["keras"] = None  # importing them fails
import numpy as np, tensorflow as tf
folder, *names = sys.argv[1:]
for name in names:
    model = tf.saved_model.load(f"{folder}/{name}")
    np.save(f"{folder}/{name}.npy", model.serve(np.load(f"{folder}/{name}.signals.npy")))
"""


@needs_tensorflow("SavedModel")
def test_exported_models_are_served_without_this_package(tmp_path: Path) -> None:
    decibels = {"return_decibel_melgram": True}
    made: dict[str, tuple[keras.Model, Array]] = {
        "frozen": (of_unknown_length(Melspectrogram(**MEL, **decibels)), noise(200_000)),
        "kernels": (of_unknown_length(Spectrogram(n_dft=64, trainable_kernel=True)), noise(3000)),
        "bands": (of_unknown_length(Melspectrogram(**MEL, trainable_fb=True)), noise(3000)),
        "half": (of_unknown_length(Melspectrogram(**MEL, dtype="mixed_float16")), noise(3000)),
        "subclassed": (Subclassed(Spectrogram(n_dft=100)), noise(3000)),
    }
    expected = {}
    for name, (model, signals) in made.items():
        train(model)
        expected[name] = numbers(model(signals))
        np.save(tmp_path / f"{name}.signals.npy", signals)
        model.export(tmp_path / name, format="tf_saved_model", verbose=False)
    command = [sys.executable, "-c", SERVE, str(tmp_path), *made]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    for name, values in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), values)


def of_unknown_length(layer: Spectrogram) -> keras.Model:
    return keras.Sequential([keras.Input((1, None)), layer])


def noise(length: int) -> Array:
    return np.stack([reference.noise(1, length, seed) for seed in range(2)])


@pytest.mark.parametrize(
    "layer",
    [
        Spectrogram(n_dft=100, trainable_kernel=True),
        Melspectrogram(
            **MEL, power_melgram=2.0, trainable_kernel=True, return_decibel_melgram=True
        ),
        Melspectrogram(**MEL, trainable_kernel=True, trainable_fb=True),
    ],
)
@pytest.mark.skipif(BACKEND == "jax", reason="Keras exports from JAX through jax2onnx")
@pytest.mark.filterwarnings("ignore")  # of the exporters
def test_trainable_kernels_are_exported_to_onnx(layer: Spectrogram, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    model = of_unknown_length(layer)
    train(model)
    expected = numbers(model(noise(3000)))  # Keras exports what has been called
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (inputs,) = session.get_inputs()
    for length in (3000, 1111):
        (values,) = session.run(None, {inputs.name: noise(length)})
        reference.require_close(values, numbers(model(noise(length))))
    assert values.shape != expected.shape
