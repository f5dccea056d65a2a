"""Coming from kapre: trained weights are moved, and what differs is as the page says."""

from pathlib import Path
from typing import Any

import h5py
import keras
import librosa
import numpy as np
import numpy.typing as npt
import pytest
import tf_keras
from librosa.filters import mel as mel_matrix

import kapre_cli as kx
from kapre_cli.errors import SettingsError
from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import kapre_01, reference
from tests.conftest import read_audio, write_audio

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


def test_a_trained_spectrogram_of_an_h5_model_has_time_before_frequency(tmp_path: Path) -> None:
    model = kapre_01.trained_model()
    old = old_layer(model)
    new = kx.convert_weights(read_weights(kapre_01.save(model, tmp_path / "old.h5")))
    for exponent in (1.0, 2.0):
        old.exponent = exponent
        expected = np.asarray(old(signals()))
        assert expected.shape == (3, N_FREQ, 42, 2)
        layer = Spectrogram(**kapre_01.OPTIONS, power_spectrogram=exponent, trainable_kernel=True)
        actual = np.asarray(with_weights(layer, new)(signals()))
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
        bands = mel_matrix(n_fft=N_DFT, dtype=np.float64, **MEL).T
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
        (
            [KERNEL, np.full_like(KERNEL, -np.inf), MATRIX],
            "Received: 40 of 40 values of array 1 are NaN",
        ),
        ([KERNEL, KERNEL, MATRIX[:4]], r"same number of frequency bins. .* shape \(4, 3\)"),
        ([KERNEL, np.ones((4, 1, 1, 3)), MATRIX], "same number of frequency bins"),
    ],
)
def test_what_is_no_weight_of_kapre_is_rejected(old: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=f"`old` must .*{message}"):
        kx.convert_weights(old)


# What differs, as docs/guides/from-kapre.md has it


def test_das_kapre_takes_samples_before_channels() -> None:
    batch = signals().transpose(0, 2, 1)
    spectrogram = Spectrogram(**kapre_01.OPTIONS, input_data_format="channels_last")
    expected = spectrograms(signals()).transpose(0, 2, 3, 1)
    reference.require_close(np.asarray(spectrogram(batch)), expected)
    mel = Melspectrogram(**kapre_01.OPTIONS, **MEL, input_data_format="channels_last")
    old = kapre_01.KapreLayer(**kapre_01.OPTIONS, mel=MEL)
    reference.require_close(np.asarray(mel(batch)), np.asarray(old(signals())))


def test_decibels_are_relative_to_each_example_and_not_to_the_batch() -> None:
    values = spectrograms(signals())
    log = 10 * np.log10(np.maximum(values, 1e-10))
    of_example = np.maximum(log - log.max(axis=(1, 2, 3), keepdims=True), -80)
    of_batch = np.maximum(log - log.max(), -80)
    layer = Spectrogram(
        **kapre_01.OPTIONS, return_decibel_spectrogram=True, image_data_format="channels_first"
    )
    actual = np.asarray(layer(signals()))
    assert np.abs(actual - of_example).max() < reference.DECIBEL_TOLERANCE
    assert np.abs(actual - of_batch)[0].max() < reference.DECIBEL_TOLERANCE
    assert of_batch[2].max() == pytest.approx(-60, abs=3)  # a thousandth as loud


def test_decibels_of_a_tone_show_where_float32_is_too_coarse() -> None:
    tone = 0.9 * np.sin(2 * np.pi * np.arange(N_SAMPLES) / 8)
    batch = np.broadcast_to(tone, (1, 2, N_SAMPLES)).astype(np.float32)
    options: dict[str, Any] = {**kapre_01.OPTIONS, "padding": "valid"}
    layer = Spectrogram(
        **options,
        power_spectrogram=1.0,
        return_decibel_spectrogram=True,
        image_data_format="channels_first",
    )
    actual = np.asarray(layer(batch))[0]
    values = spectrograms(batch, exponent=1.0, padding="valid")[0]
    reference.require_close_decibels_where_resolved(actual, values, 1.0)
    old = kapre_01.KapreLayer(**kapre_01.OPTIONS, exponent=1.0, decibel=True)
    inside = np.asarray(old(batch))[0].transpose(2, 1, 0)[:, 1:-1]
    assert np.abs(inside - reference.decibels(values)[:, : inside.shape[1]]).max() > 1.0


def test_norm_1_was_the_area_of_a_band_and_is_the_sum_of_its_weights() -> None:
    options: dict[str, Any] = {"sr": 22050, "n_dft": 512, "n_mels": 40}
    triangles = mel_matrix(n_fft=512, sr=22050, n_mels=40, norm=None, dtype=np.float64).T
    edges = librosa.mel_frequencies(n_mels=42, fmin=0.0, fmax=22050 / 2)
    expected = {
        "slaney": triangles * 2 / (edges[2:] - edges[:-2]),
        None: triangles,
        1: triangles / triangles.sum(axis=0),
        np.inf: triangles / triangles.max(axis=0),
    }
    matrices = {}
    for norm, matrix in expected.items():
        layer = Melspectrogram(**options, norm=norm, trainable_fb=True)
        layer.build((None, 1, None))
        matrices[norm] = layer.mel_filterbank.numpy()
        assert np.abs(matrices[norm] - matrix).max() < 1e-6 * matrix.max(), norm
    wide = edges[2:] - edges[:-2] > 8 * 22050 / 512
    ratio = matrices[1].max(axis=0)[wide] / matrices["slaney"].max(axis=0)[wide]
    assert ratio == pytest.approx(43, rel=0.05)


# kapre 0.4, whose input has samples before channels

LAST: dict[str, Any] = {
    **kapre_01.OPTIONS,
    "power_spectrogram": 1.0,
    "padding": "valid",
    "input_data_format": "channels_last",
}


def test_decibels_of_kapre_04_differ_by_the_maximum_of_the_example() -> None:
    values = spectrograms(signals(), exponent=1.0, padding="valid").transpose(0, 2, 3, 1)
    theirs = 10 * np.log10(np.maximum(values, 1e-5))
    largest = theirs.max(axis=(1, 2, 3), keepdims=True)
    theirs = np.maximum(theirs, largest - 80)
    assert theirs[0].max() > 5
    layer = Spectrogram(**LAST, return_decibel_spectrogram=True, amin=1e-5)
    actual = np.asarray(layer(signals().transpose(0, 2, 1)))
    assert np.abs(actual - (theirs - largest)).max() < reference.DECIBEL_TOLERANCE


def test_mel_bands_of_kapre_04_are_sums_of_amplitudes() -> None:
    amplitudes = spectrograms(signals(), exponent=1.0, padding="valid")
    matrix = mel_matrix(n_fft=N_DFT, dtype=np.float64, **MEL).T
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            Spectrogram(**LAST, image_data_format="channels_first"),
            keras.layers.Dense(N_MELS, use_bias=False),
        ]
    )
    model.layers[-1].set_weights([matrix])
    batch = signals().transpose(0, 2, 1)
    reference.require_close(np.asarray(model(batch)), amplitudes @ matrix)
    ours = np.asarray(Melspectrogram(**kapre_01.OPTIONS, **MEL, padding="valid")(signals()))
    theirs = (amplitudes @ matrix).transpose(0, 3, 2, 1)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() > 0.1 * theirs.max()


@pytest.mark.parametrize("begin", [0, N_DFT - N_HOP])
@pytest.mark.parametrize("fills_end", [False, True])
def test_padding_of_kapre_04_is_zeros_before_the_layer(begin: int, fills_end: bool) -> None:
    n_time = -(-(N_SAMPLES + begin) // N_HOP)
    end = (n_time - 1) * N_HOP + N_DFT - N_SAMPLES - begin if fills_end else 0
    model = keras.Sequential(
        [
            keras.Input((None, 2)),
            keras.layers.ZeroPadding1D((begin, end)),
            Spectrogram(**LAST),
        ]
    )
    actual = np.asarray(model(signals().transpose(0, 2, 1)))
    padded = np.pad(signals(), ((0, 0), (0, 0), (begin, end)))
    expected = spectrograms(padded, exponent=1.0, padding="valid").transpose(0, 2, 3, 1)
    reference.require_close(actual, expected)
    if fills_end:
        assert actual.shape[1] == n_time


# A model in the style of DAS


def das_model(n_channels: int = 2) -> keras.Model:
    """Return a compiled model of samples before channels with a trainable transform."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((None, n_channels)),
            Spectrogram(
                n_dft=N_DFT,
                n_hop=16,
                power_spectrogram=1.0,
                return_decibel_spectrogram=True,
                trainable_kernel=True,
                image_data_format="channels_last",
                input_data_format="channels_last",
                name="trainable_stft",
            ),
            keras.layers.Rescaling(1 / 80, offset=1),
            keras.layers.Reshape((-1, N_FREQ * n_channels)),
            keras.layers.Conv1D(8, 3, padding="same", activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
            keras.layers.UpSampling1D(16),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    return model


def train_das_model(model: keras.Model) -> None:
    """Train a model for ten steps: which samples are loud."""
    n_channels = model.input_shape[-1]
    batch = np.stack([reference.noise(n_channels, 1024, seed) for seed in range(4)])
    is_loud = np.broadcast_to(np.arange(1024) > 512, (4, 1024)).astype(np.int32)
    model.fit(batch.transpose(0, 2, 1), is_loud, epochs=5, batch_size=2, verbose=0)


def test_a_model_in_the_style_of_das_is_trained_saved_loaded_and_extracted_with(
    tmp_path: Path, process: Any
) -> None:
    model = das_model()
    old = kapre_01.kernels(N_DFT)
    stft = model.get_layer("trainable_stft")
    stft.set_weights([*kx.convert_weights([*old]).values()])
    train_das_model(model)
    changes = [
        np.abs(weight[:, np.newaxis] - sign * kernel).max()
        for weight, kernel, sign in zip(stft.get_weights(), old, (1, -1), strict=True)
    ]
    assert min(changes) > 3e-4
    model.save(tmp_path / "das.keras")
    loaded = keras.saving.load_model(tmp_path / "das.keras")
    batch = signals(1024).transpose(0, 2, 1)
    expected = np.asarray(model(batch))
    assert expected.shape == (3, 1024, 2)
    assert np.array_equal(np.asarray(loaded(batch)), expected)
    layer = loaded.get_layer("trainable_stft")
    assert np.array_equal(np.asarray(layer(batch)), np.asarray(stft(batch)))
    assert np.asarray(layer(batch)).shape == (3, 64, N_FREQ, 2)
    assert (layer.input_data_format, layer.trainable_kernel) == ("channels_last", True)

    # The command extracts what the layer of the model computes.
    audio = write_audio(tmp_path / "song.wav", reference.noise(2, 5000), sr=8000)
    ended = process(
        "spectrogram", audio, "-o", tmp_path / "x.h5", "--layer", tmp_path / "das.keras"
    )
    assert ended.code == 0, ended.err
    samples = read_audio(audio).T[np.newaxis].astype(np.float32)
    with kx.open_features(tmp_path / "x.h5") as features:
        (array,) = features.values()
        np.testing.assert_allclose(array[:], np.asarray(layer(samples))[0], rtol=0, atol=2e-5)
    again = kx.load_layer(tmp_path / "x.h5")
    assert np.array_equal(np.asarray(again(samples)), np.asarray(layer(samples)))
