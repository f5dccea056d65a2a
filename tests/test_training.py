"""Trainable kernels and filterbank: gradients, training, compilation, mixed precision."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from librosa.filters import mel as mel_matrix

from kapre_cli.time_frequency import LayerWarning, Melspectrogram, Spectrogram
from tests import reference
from tests.backends import Array, gradients, numbers

MEL: dict[str, Any] = {"sr": 8000, "n_mels": 20, "n_dft": 256, "n_hop": 100}


@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.LayerWarning")  # wide hops
@pytest.mark.parametrize("n_dft", [2, 3, 400, 512, 2048])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_trainable_kernels_start_as_the_frozen_transform(n_dft: int, padding: str) -> None:
    signal = reference.noise(2, 5003)[None]
    for n_hop in (97, n_dft // 2, n_dft + 3):
        options: dict[str, Any] = {"n_dft": n_dft, "n_hop": n_hop, "padding": padding}
        frozen = numbers(Spectrogram(**options)(signal))
        trainable = numbers(Spectrogram(**options, trainable_kernel=True)(signal))
        reference.require_close(trainable, frozen)


@pytest.mark.parametrize("trainable", [{"trainable_fb": True}, {"trainable_kernel": True}])
def test_trainable_mel_layer_starts_as_the_frozen_one(trainable: dict[str, bool]) -> None:
    signal = reference.noise(2, 5003)[None]
    frozen = numbers(Melspectrogram(**MEL)(signal))
    reference.require_close(numbers(Melspectrogram(**MEL, **trainable)(signal)), frozen)


def test_frozen_layers_have_no_weights() -> None:
    for layer in (Spectrogram(), Melspectrogram(**MEL)):
        layer(reference.noise(1, 1000)[None])
        assert layer.weights == []


# Gradients

TINY_MEL: dict[str, Any] = {"sr": 8000, "n_mels": 3, "n_dft": 16, "n_hop": 7}


def layer_of(kind: str, exponent: float, decibel: bool, **options: Any) -> Spectrogram:
    """Return a small layer: frozen, with trained kernels, or with a trained mel matrix too."""
    options |= {"trainable_kernel": "kernels" in kind}
    if "bands" not in kind:
        options |= {"power_spectrogram": exponent, "return_decibel_spectrogram": decibel}
        return Spectrogram(n_dft=8, n_hop=3, **options)
    options |= {"power_melgram": exponent, "return_decibel_melgram": decibel}
    return Melspectrogram(**TINY_MEL, trainable_fb="trained" in kind, **options)


def features_of(layer: Spectrogram, batch: Array, weights: list[Array]) -> Array:
    """Return what a layer of these weights should give, in NumPy and float64.

    Batch and result have their channels first.
    """
    n_dft, n_hop = layer.n_dft, layer.n_hop
    if layer.trainable_kernel:
        real, imaginary, *weights = weights
        padded = np.stack([reference.pad_same(signal, n_dft, n_hop) for signal in batch])
        frames = np.lib.stride_tricks.sliding_window_view(padded, n_dft, axis=-1)[:, :, ::n_hop]
        power = (frames @ real[:, 0]) ** 2 + (frames @ imaginary[:, 0]) ** 2
    else:
        power = np.stack([reference.power(signal, n_dft, n_hop, "same") for signal in batch])
    exponent = layer.config.power
    if isinstance(layer, Melspectrogram):
        arguments = {"sr": layer.sr, "n_mels": layer.n_mels}
        matrix = mel_matrix(n_fft=n_dft, dtype=np.float64, **arguments).T
        power = (power @ (weights[0] if weights else matrix)).swapaxes(2, 3)
    values = np.sqrt(power) ** exponent
    if layer.config.takes_decibels:
        return np.stack([reference.decibels(one) for one in values])
    return values


def slopes_of(function: Callable[[], float], array: Array) -> Array:
    """Return the slope of a function in each number of an array, by central differences."""
    slopes, step = np.empty_like(array), 1e-6 * np.abs(array).max()
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + step
        above = function()
        array[place] = value - step
        slopes[place] = (above - function()) / (2 * step)
        array[place] = value
    return slopes


@pytest.mark.parametrize("order", ["channels_first", "channels_last"])
@pytest.mark.parametrize("decibel", [False, True])
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    "kind", ["frozen", "frozen bands", "kernels", "trained bands", "kernels, trained bands"]
)
def test_gradients_are_those_of_finite_differences(
    kind: str, exponent: float, decibel: bool, order: str
) -> None:
    random = np.random.default_rng(5)
    layer = layer_of(
        *(kind, exponent, decibel),
        image_data_format=order,
        input_data_format=order,
        dtype="float64",
    )
    batch = random.uniform(-1, 1, (2, 2, 20))  # channels first
    is_last = order == "channels_last"
    given = batch.swapaxes(1, 2) if is_last else batch
    layer.build(given.shape)
    weights = [
        numbers(one) * random.uniform(0.8, 1.2, one.shape) for one in layer.trainable_weights
    ]
    layer.set_weights(weights)
    expected = features_of(layer, batch, weights)
    slopes = random.uniform(-1, 1, expected.shape)
    given_slopes = np.moveaxis(slopes, 1, -1) if is_last else slopes

    def total() -> float:
        return float((slopes * features_of(layer, batch, weights)).sum())

    of_samples, *of_weights = gradients(layer, given, given_slopes)
    found = [of_samples.swapaxes(1, 2) if is_last else of_samples, *of_weights]
    assert len(found) == 1 + 2 * ("kernels" in kind) + ("trained" in kind)
    for gradient, array in zip(found, [batch, *weights], strict=True):
        slope = slopes_of(total, array)
        assert np.abs(slope).max() > 0
        np.testing.assert_allclose(gradient, slope, rtol=0, atol=2e-5 * np.abs(slope).max())


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("decibel", [False, True])
@pytest.mark.parametrize("kind", ["frozen", "kernels", "kernels, trained bands"])
def test_silence_gives_finite_gradients(kind: str, exponent: float, decibel: bool) -> None:
    layer = layer_of(kind, exponent, decibel)
    silence = np.zeros((1, 1, 100), "float32")
    layer.build(silence.shape)
    for gradient in gradients(layer, silence):
        assert np.isfinite(gradient).all()


# Training

BANDS: dict[str, Any] = {
    "sr": 8000,
    "n_mels": 6,
    "n_dft": 64,
    "power_melgram": 2.0,
    "image_data_format": "channels_first",
}
KINDS: dict[str, dict[str, Any]] = {
    "frozen": {},
    "kernels": {"trainable_kernel": True},
    "bands": {"trainable_fb": True},
}


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """The same layers, in a call that is written by hand."""

    def __init__(self, *parts: keras.layers.Layer) -> None:
        super().__init__()
        self.parts = list(parts)

    def call(self, inputs: Any) -> Any:
        for part in self.parts:
            inputs = part(inputs)
        return inputs


def model_of(style: str, length: int | None, *parts: keras.layers.Layer) -> keras.Model:
    if style == "subclassed":
        return Subclassed(*parts)
    inputs = keras.Input((1, length))
    if style == "sequential":
        return keras.Sequential([inputs, *parts])
    outputs = inputs
    for part in parts:
        outputs = part(outputs)
    return keras.Model(inputs, outputs)


def network_of(
    layer: Spectrogram, style: str = "sequential", length: int | None = None, **options: Any
) -> keras.Model:
    """Return a compiled model of two numbers; if the layer has weights, it alone is trained."""
    keras.utils.set_random_seed(1)
    pooling = keras.layers.GlobalAveragePooling2D(data_format="channels_first")
    is_frozen = not (layer.trainable_kernel or getattr(layer, "trainable_fb", False))
    dense = keras.layers.Dense(2, trainable=is_frozen)
    model = model_of(style, length, layer, keras.layers.Permute((2, 1, 3)), pooling, dense)
    model.compile(keras.optimizers.Adam(1e-3), "mse", **options)
    return model


def examples(n: int = 8, length: int = 500) -> tuple[Array, Array]:
    signals = np.stack([reference.noise(1, length, seed) for seed in range(n)])
    return signals, np.linspace(-1, 1, 2 * n, dtype="float32").reshape(n, 2)


@pytest.mark.parametrize(
    ("style", "kind"),
    [
        ("functional", "frozen"),
        ("functional", "bands"),
        ("sequential", "kernels"),
        ("subclassed", "kernels"),
        ("subclassed", "bands"),
    ],
)
def test_training_lowers_the_loss(style: str, kind: str) -> None:
    layer = Melspectrogram(**BANDS, **KINDS[kind])
    model = network_of(layer, style, None if style == "functional" else 500)
    signals, targets = examples()
    model(signals)  # builds a subclassed model
    shapes = {"frozen": [], "kernels": [(64, 1, 33)] * 2, "bands": [(33, 6)]}
    assert [weight.shape for weight in layer.weights] == shapes[kind]
    before, values = layer.get_weights(), numbers(layer(signals))
    losses = model.fit(signals, targets, epochs=4, verbose=0).history["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    for weight, old in zip(layer.get_weights(), before, strict=True):
        assert np.isfinite(weight).all()
        assert (weight != old).any()
    changed = numbers(layer(signals))
    assert (kind == "frozen") == np.array_equal(changed, values)
    if style == "functional":  # of unknown length
        assert np.isfinite(model.train_on_batch(*examples(length=731)))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of PyTorch
@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_model_computes_and_learns_the_same(kind: str) -> None:
    # Of unknown length, and so long that a layer may compute in pieces.
    signals, targets = examples(n=2, length=70_000)
    found = []
    for is_compiled in (False, True):
        layer = Melspectrogram(**BANDS, **KINDS[kind])
        model = network_of(layer, jit_compile=is_compiled)
        before = model.predict(signals, verbose=0)
        model.fit(signals, targets, epochs=2, batch_size=2, verbose=0)
        found.append([before, *model.get_weights()])
    for one, other in zip(*found, strict=True):
        assert np.abs(one - other).max() <= 1e-4 * np.abs(one).max()


# Mixed precision


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set a policy for all layers."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_mixed_precision_rounds_results_alone_and_learns(kind: str, policy: str) -> None:
    signals, targets = examples()
    layer = Melspectrogram(**BANDS, **KINDS[kind])
    model = network_of(layer)
    exact = Melspectrogram(**BANDS, **KINDS[kind], dtype="float32")(signals)
    for rounding in (layer, Melspectrogram(**BANDS, **KINDS[kind], dtype=policy)):
        values = rounding(signals)
        assert keras.backend.standardize_dtype(values.dtype) == policy.removeprefix("mixed_")
        np.testing.assert_array_equal(numbers(values), numbers(keras.ops.cast(exact, values.dtype)))
    losses = model.fit(signals, targets, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for weight in layer.weights:
        assert keras.backend.standardize_dtype(weight.dtype) == "float32"
        assert np.isfinite(numbers(weight)).all()


def full_scale(n_samples: int = 4096) -> Array:
    return np.sin(2 * np.pi / 16 * np.arange(n_samples, dtype="float32"))[None, None]


TOO_LARGE = r"up to {} for samples from -1 to 1, and above 65,504 they are inf in float16 "


def test_a_full_scale_sine_is_too_large_for_float16_at_the_power_of_2() -> None:
    told = TOO_LARGE.format("262144") + (
        r"\(use return_decibel_spectrogram=True, or power_spectrogram=1.0, or dtype='float32' "
    )
    with pytest.warns(LayerWarning, match=told) as caught:
        layer = Spectrogram(n_dft=1024, dtype="mixed_float16")
    assert [warning.filename for warning in caught] == [__file__]
    values, exact = numbers(layer(full_scale())), numbers(Spectrogram(n_dft=1024)(full_scale()))
    assert np.isinf(values).any()
    np.testing.assert_array_equal(np.isfinite(values), exact < 65520)  # the rest is rounded down
    remedies: list[dict[str, Any]] = [
        {"return_decibel_spectrogram": True},
        {"power_spectrogram": 1.0},
        {"dtype": "float32"},
        {"dtype": "mixed_bfloat16"},
    ]
    for remedy in remedies:  # warnings are errors
        layer = Spectrogram(n_dft=1024, **{"dtype": "mixed_float16", **remedy})
        assert np.isfinite(numbers(layer(full_scale()))).all()


@pytest.mark.parametrize(
    ("options", "largest"),
    [
        ({"n_dft": 1024, "power_melgram": 2.0, "norm": None}, "196594"),
        ({"n_dft": 1024, "power_melgram": 3.0, "norm": "slaney"}, "[0-9e+.]*"),
        ({"n_dft": 400, "power_melgram": 1e4}, "inf"),
    ],
)
def test_a_mel_layer_that_is_too_large_for_float16_warns(
    options: dict[str, Any], largest: str
) -> None:
    with pytest.warns(LayerWarning, match=TOO_LARGE.format(largest) + "\\(use return_decibel_mel"):
        layer = Melspectrogram(sr=16000, n_mels=40, **options, dtype="mixed_float16")
    assert np.isinf(numbers(layer(10 * full_scale()))).any()


@pytest.mark.parametrize("n_dft", [510, 511, 512])
def test_the_warning_begins_where_float16_ends(n_dft: int) -> None:
    if n_dft == 512:
        with pytest.warns(LayerWarning, match="up to 65536"):
            layer = Spectrogram(n_dft=n_dft, dtype="mixed_float16")
    else:
        layer = Spectrogram(n_dft=n_dft, dtype="mixed_float16")
    values = numbers(layer(np.ones((1, 1, 2000), "float32")))
    assert np.isinf(values).any() == (n_dft == 512)


@pytest.mark.parametrize("norm", [None, "slaney", 1.0])
@pytest.mark.parametrize("n_dft", [63, 64, 300])
def test_no_band_exceeds_the_largest_magnitude(n_dft: int, norm: Any) -> None:
    options: dict[str, Any] = {"sr": 8000, "n_mels": 5, "n_dft": n_dft, "norm": norm}
    layer = Melspectrogram(**options, n_hop=n_dft)
    phases = np.arange(4 * n_dft) * np.linspace(0, np.pi, 2 * n_dft)[:, np.newaxis]
    signals = np.concatenate([np.cos(phases), np.sign(np.cos(phases)), np.sign(np.sin(phases))])
    largest = numbers(layer(signals[:, np.newaxis].astype("float32"))).max()
    assert largest <= layer.config.largest_magnitude
    assert largest >= layer.config.largest_magnitude / 3


def test_training_the_mel_matrix_silences_no_band(tmp_path: Path) -> None:
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
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    signals = np.stack([reference.noise(1, 4000, seed) for seed in range(16)]).astype(np.float32)
    before = numbers(model.layers[0](signals))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
    model.fit(signals, np.linspace(-1, 1, 16)[:, np.newaxis], epochs=30, verbose=0)
    (matrix,) = model.layers[0].trainable_weights
    assert (numbers(matrix) >= 0).all()
    after = numbers(model.layers[0](signals))
    assert (after != before).any()
    assert (before <= -80).mean() == 0
    assert (after <= -80).mean() == 0
