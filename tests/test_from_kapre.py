"""Coming from kapre: trained weights are moved, and what differs is as the page says."""

from pathlib import Path
from typing import Any

import h5py
import librosa
import numpy as np
import numpy.typing as npt
import pytest
import tf_keras

import kapre_cli as kx
from kapre_cli.errors import SettingsError
from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import kapre_01, reference

Array = npt.NDArray[Any]

N_DFT, N_HOP = kapre_01.OPTIONS["n_dft"], kapre_01.OPTIONS["n_hop"]
MEL, N_SAMPLES = kapre_01.MEL, kapre_01.N_SAMPLES
N_FREQ, N_MELS = N_DFT // 2 + 1, MEL["n_mels"]


def signals(n_samples: int = N_SAMPLES) -> Array:
    """Return three examples of two channels, which differ in loudness."""
    loudness = np.array([1.0, 0.1, 0.001], np.float32)[:, np.newaxis, np.newaxis]
    return loudness * np.stack([reference.noise(2, n_samples, seed) for seed in range(3)])


def spectrograms(batch: Array, **options: Any) -> Array:
    """Return the reference of a batch, ``(batch, channel, time, frequency)``."""
    given = {**kapre_01.OPTIONS, **options}
    return np.stack([reference.spectrogram(example, **given) for example in batch])


# Weights


@pytest.fixture(scope="module")
def old_mel() -> tf_keras.Model:
    """Give a trained model with a ``Melspectrogram`` as in kapre 0.1.7."""
    return kapre_01.trained_model(mel=MEL)


def old_layer(model: tf_keras.Model) -> Any:
    return model.get_layer("mel")


def read_weights(path: Path) -> dict[str, Array]:
    """Read the weights of the layer from a saved model, as the page does."""
    with h5py.File(path) as file:
        group = file["model_weights"]["mel"]
        return {name: group[name][()] for name in group.attrs["weight_names"]}


def with_weights(layer: Spectrogram, new: dict[str, Array]) -> Spectrogram:
    layer.build((None, 1, None))
    layer.set_weights([new[weight.name] for weight in layer.weights])
    return layer


def test_kernels_that_were_not_trained_are_those_that_a_layer_begins_with() -> None:
    new = kx.convert_weights(list(kapre_01.kernels(N_DFT)))
    layer = Spectrogram(n_dft=N_DFT, trainable_kernel=True)
    layer.build((None, 1, None))
    assert [*new] == [weight.name for weight in layer.weights]
    for weight in layer.weights:
        assert np.abs(new[weight.name] - weight.numpy()).max() < 2e-7, weight.name


@pytest.mark.parametrize("decibel", [False, True])
def test_a_trained_melspectrogram_of_an_h5_model_gives_the_same(
    old_mel: tf_keras.Model, tmp_path: Path, decibel: bool
) -> None:
    old = old_layer(old_mel)
    before = kapre_01.kernels(N_DFT)[0]
    assert np.abs(old.get_weights()[0] - before).max() > 3e-4  # although no weight was declared
    new = kx.convert_weights(read_weights(kapre_01.save(old_mel, tmp_path / "old.h5")))
    layer = Melspectrogram(
        **kapre_01.OPTIONS,
        **MEL,
        trainable_kernel=True,
        trainable_fb=True,
        return_decibel_melgram=decibel,
    )
    actual = np.asarray(with_weights(layer, new)(signals()))
    old.decibel = decibel
    expected = np.asarray(old(signals()))
    old.decibel = False
    assert actual.shape == (3, N_MELS, 42, 2)
    if decibel:
        assert np.abs(actual - expected).max() < reference.DECIBEL_TOLERANCE
    else:
        reference.require_close(actual, expected)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_a_trained_spectrogram_of_an_h5_model_has_time_before_frequency(
    tmp_path: Path, exponent: float
) -> None:
    model = kapre_01.trained_model(exponent=exponent)
    new = kx.convert_weights(read_weights(kapre_01.save(model, tmp_path / "old.h5")))
    layer = Spectrogram(**kapre_01.OPTIONS, power_spectrogram=exponent, trainable_kernel=True)
    actual = np.asarray(with_weights(layer, new)(signals()))
    expected = np.asarray(old_layer(model)(signals()))
    assert expected.shape == (3, N_FREQ, 42, 2)
    reference.require_close(actual, expected.swapaxes(1, 2))


def test_the_layer_of_kapre_that_these_tests_have_is_right() -> None:
    old = kapre_01.KapreLayer(**kapre_01.OPTIONS, exponent=1.0)
    actual = np.asarray(old(signals()))
    reference.require_close(actual, spectrograms(signals(), exponent=1.0).transpose(0, 3, 2, 1))


@pytest.mark.parametrize("trainable", [{"trainable_kernel": True}, {"trainable_fb": True}])
def test_a_layer_takes_the_weights_that_it_trains(
    old_mel: tf_keras.Model, trainable: dict[str, bool]
) -> None:
    new = kx.convert_weights(old_layer(old_mel).get_weights())
    layer = with_weights(Melspectrogram(**kapre_01.OPTIONS, **MEL, **trainable), new)
    kernels, bands = kapre_01.kernels(N_DFT), new["mel_filterbank"]
    if "trainable_kernel" in trainable:
        kernels = new["kernel_real"][:, np.newaxis], new["kernel_imaginary"][:, np.newaxis]
        bands = librosa.filters.mel(n_fft=N_DFT, dtype=np.float64, **MEL).T
    padded = reference.pad_same(signals()[0], N_DFT, N_HOP)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_DFT, axis=1)[:, ::N_HOP]
    power = sum((frames @ kernel[:, 0, 0]) ** 2 for kernel in kernels)
    expected = np.sqrt(power @ bands).transpose(2, 1, 0)
    reference.require_close(np.asarray(layer(signals()))[0], expected)


def test_negative_weights_of_a_mel_matrix_give_no_negative_power() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(N_FREQ, N_MELS))
    options: dict[str, Any] = {**MEL, "power_melgram": 2.0, "trainable_fb": True}
    layer = with_weights(
        Melspectrogram(**kapre_01.OPTIONS, **options), kx.convert_weights([matrix])
    )
    expected = (spectrograms(signals()) @ matrix).transpose(0, 3, 2, 1)
    assert expected.min() < -0.1 * expected.max()
    reference.require_close(np.asarray(layer(signals())), np.maximum(expected, 0.0))


KERNEL = np.arange(8 * 5, dtype=np.float32).reshape(8, 1, 1, 5)
MATRIX = np.arange(5 * 3, dtype=np.float32).reshape(5, 3)


@pytest.mark.parametrize(
    "old",
    [
        [KERNEL, 2 * KERNEL, MATRIX],
        (MATRIX, KERNEL, 2 * KERNEL),  # a trained matrix and constant kernels; das.kapre of Keras 3
        {"imag_kernels:0": 2 * KERNEL, "real_kernels:0": KERNEL, "Variable:0": MATRIX},
        {
            "a/mel_1/imag_kernels_2:0": 2 * KERNEL,
            "a/mel_1/real_kernels_2:0": KERNEL,
            "a/mel_1/freq2mel": MATRIX,
        },
        {b"mel/real_kernels:0": KERNEL, b"mel/imag_kernels:0": 2 * KERNEL, b"x": MATRIX},
    ],
)
def test_weights_are_known_by_order_or_by_name(old: Any) -> None:
    new = kx.convert_weights(old)
    assert [*new] == ["kernel_real", "kernel_imaginary", "mel_filterbank"]
    assert np.array_equal(new["kernel_real"], KERNEL.reshape(8, 1, 5))
    assert np.array_equal(new["kernel_imaginary"], -2 * KERNEL.reshape(8, 1, 5))
    assert np.array_equal(new["mel_filterbank"], MATRIX)
    assert {array.dtype for array in new.values()} == {np.dtype(np.float32)}
    new["kernel_real"][:] = new["mel_filterbank"][:] = -1
    assert KERNEL.min() == MATRIX.min() == 0


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (KERNEL, "list of arrays or a mapping .* Received: ndarray"),
        ([], "Received: no array"),
        ([KERNEL, MATRIX], "both kernels. Received: array 0 without the other"),
        ({"imag_kernels:0": KERNEL}, "both kernels. Received: 'imag_kernels:0' without"),
        ([KERNEL, KERNEL, KERNEL], "one layer. Received: array 0 and array 2"),
        ({"a": MATRIX, "dense/kernel:0": MATRIX}, "one layer. Received: 'a' and 'dense/kernel:0'"),
        ([KERNEL[:, 0], KERNEL[:, 0]], r"\(n_dft, 1, 1, .* Received: array 0 of shape \(8, 1, 5\)"),
        ([KERNEL[:7], KERNEL[:7]], r"Received: array 0 of shape \(7, 1, 1, 5\)"),
        ([KERNEL.T, KERNEL.T], r"Received: array 0 of shape \(5, 1, 1, 8\)"),
        ({"kernel": KERNEL}, r"Received: 'kernel' of shape \(8, 1, 1, 5\)"),
        ([MATRIX[:0]], r"Received: array 0 of shape \(0, 3\)"),
        ([np.zeros((5, 3), int)], "floating-point numbers. Received: array 0 of dtype int64"),
        ([MATRIX * np.nan], "Received: 15 of 15 values of array 0 are NaN or infinite"),
        ([KERNEL, np.full_like(KERNEL, -np.inf), MATRIX], "Received: 40 of 40 values of array 1 are NaN"),
        ([KERNEL, KERNEL, MATRIX[:4]], r"same number of frequency bins. .* shape \(4, 3\)"),
        ([KERNEL, np.ones((4, 1, 1, 3)), MATRIX], "same number of frequency bins"),
    ],
)
def test_what_is_no_weight_of_kapre_is_rejected(old: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=f"`old` must .*{message}"):
        kx.convert_weights(old)
