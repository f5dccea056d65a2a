"""The layers against a float64 reference, SciPy's and librosa's."""

import os
import subprocess
import sys
from itertools import product
from typing import Any

import keras
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.time_frequency import (
    EmptyMelBandsWarning,
    LayerWarning,
    Melspectrogram,
    Spectrogram,
    conv_output_length,
)
from tests import reference
from tests.backends import BACKEND, compiled, gradients, needs_tensorflow, numbers

SIZES = (2, 3, 400, 512, 2048)


def first(features: Any) -> Any:
    """Return the one example of a batch."""
    assert features.shape[0] == 1
    return numbers(features)[0]


def lengths_around(n_dft: int) -> list[int]:
    return sorted({1, max(n_dft - 1, 1), n_dft, n_dft + 1, 1009, 4999})


def hops_around(n_dft: int) -> list[int]:
    return sorted({1 if n_dft < 8 else n_dft // 4, max(n_dft // 2, 1), n_dft, 2 * n_dft + 1, 97})


@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.LayerWarning")  # wide hops
@pytest.mark.parametrize("n_dft", SIZES)
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_spectrogram_is_the_references(n_dft: int, padding: str) -> None:
    for n_hop, length in product(hops_around(n_dft), lengths_around(n_dft)):
        if padding == "valid" and length < n_dft:
            continue
        signal = reference.noise(3, length, seed=length)
        layer = Spectrogram(
            n_dft=n_dft, n_hop=n_hop, padding=padding, image_data_format="channels_first"
        )
        expected = reference.spectrogram(signal, n_dft=n_dft, n_hop=n_hop, padding=padding)
        reference.require_close(first(layer(signal[None])), expected)


def test_amplitude_is_scipys() -> None:
    # SciPy's own STFT, framed and scaled by SciPy: nothing of tests.reference either.
    from scipy.signal import ShortTimeFFT, get_window

    signal = reference.noise(1, 8000)[0]
    transform = ShortTimeFFT(get_window("hann", 256), hop=100, fs=8000, phase_shift=None)
    inner = transform.stft(signal.astype(np.float64), p0=2, p1=70)  # frames inside the signal
    layer = Spectrogram(
        n_dft=256,
        n_hop=100,
        padding="valid",
        power_spectrogram=1.0,
        image_data_format="channels_first",
    )
    ours = first(layer(signal[None, None]))[0]
    # SciPy counts frame p from its centre at p * hop, we from its start: 2 * 100 - 128 = 72.
    shifted = first(layer(signal[None, None, 72:]))[0]
    assert len(ours) == (8000 - 256) // 100 + 1
    reference.require_close(shifted[:68], np.abs(inner).T[:68])


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7, 2.0, 3.0])
def test_every_power_is_the_references(exponent: float) -> None:
    signal = reference.noise(2, 3000)
    layer = Spectrogram(
        n_dft=400, n_hop=150, power_spectrogram=exponent, image_data_format="channels_first"
    )
    expected = reference.spectrogram(signal, n_dft=400, n_hop=150, exponent=exponent)
    reference.require_close(first(layer(signal[None])), expected)
    mel = Melspectrogram(
        sr=8000,
        n_mels=30,
        n_dft=400,
        n_hop=150,
        power_melgram=exponent,
        image_data_format="channels_first",
    )
    expected = reference.melspectrogram(
        signal, n_dft=400, n_hop=150, exponent=exponent, sr=8000, n_mels=30
    )
    reference.require_close(first(mel(signal[None])), expected.transpose(0, 2, 1))


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_quiet_bins_beside_a_tone_are_the_references(exponent: float) -> None:
    # A small exponent makes much of little: of float32's rounding errors, too.
    tone = np.sin(2 * np.pi * 0.023 * np.arange(8000))[None]
    signal = (0.9 * tone).astype(np.float32) + 1e-6 * reference.noise(1, 8000)
    layer = Spectrogram(n_dft=512, power_spectrogram=exponent, image_data_format="channels_first")
    expected = reference.spectrogram(signal, n_dft=512, n_hop=256, exponent=exponent)
    features = layer(signal[None])
    assert keras.backend.standardize_dtype(features.dtype) == "float32"
    reference.require_close(first(features), expected)
    mel: dict[str, Any] = {"sr": 8000, "n_mels": 20}
    mel_layer = Melspectrogram(
        **mel, n_dft=512, power_melgram=exponent, image_data_format="channels_first"
    )
    expected = reference.melspectrogram(signal, n_dft=512, n_hop=256, exponent=exponent, **mel)
    reference.require_close(first(mel_layer(signal[None])), expected.transpose(0, 2, 1))


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None, 1, 2, np.inf, "inf"])
@pytest.mark.parametrize(("fmin", "fmax"), [(0, None), (300, 3500)])
def test_melspectrogram_is_the_references(htk: bool, norm: Any, fmin: float, fmax: Any) -> None:
    signal = reference.noise(2, 5003)
    mel = {"sr": 8000, "n_mels": 24, "fmin": fmin, "fmax": fmax, "htk": htk}
    layer = Melspectrogram(
        **mel, norm=norm, n_dft=512, n_hop=200, image_data_format="channels_first"
    )
    expected = reference.melspectrogram(
        signal, n_dft=512, n_hop=200, **mel, norm=np.inf if norm == "inf" else norm
    )
    reference.require_close(first(layer(signal[None])), expected.transpose(0, 2, 1))


@pytest.mark.parametrize("n_dft", SIZES[2:])
def test_melspectrogram_is_librosas_own(n_dft: int) -> None:
    # librosa frames and pads by itself; without padding the two rules agree.
    signal = reference.noise(1, 22050)[0]
    layer = Melspectrogram(
        sr=22050,
        n_mels=32,
        n_dft=n_dft,
        padding="valid",
        power_melgram=2.0,
        image_data_format="channels_first",
    )
    expected = librosa.feature.melspectrogram(
        y=signal.astype(np.float64),
        sr=22050,
        n_fft=n_dft,
        hop_length=n_dft // 2,
        n_mels=32,
        center=False,
    )
    reference.require_close(first(layer(signal[None, None]))[0], expected)


def make(kind: str, **arguments: Any) -> Spectrogram:
    if kind == "mel":
        return Melspectrogram(sr=8000, n_mels=20, n_dft=256, n_hop=100, **arguments)
    return Spectrogram(n_dft=256, n_hop=100, **arguments)


def decibel_argument(kind: str) -> str:
    return "return_decibel_melgram" if kind == "mel" else "return_decibel_spectrogram"


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
def test_decibels_are_the_references(kind: str) -> None:
    signal = reference.noise(3, 4001)
    linear = make(kind, image_data_format="channels_first")
    layer = make(kind, image_data_format="channels_first", **{decibel_argument(kind): True})
    expected = (
        reference.melspectrogram(signal, n_dft=256, n_hop=100, sr=8000, n_mels=20)
        if kind == "mel"
        else reference.spectrogram(signal, n_dft=256, n_hop=100)
    )
    order = (0, 2, 1) if kind == "mel" else (0, 1, 2)
    reference.require_close(first(linear(signal[None])), expected.transpose(order))
    actual = first(layer(signal[None]))
    reference.require_close_decibels(actual, reference.decibels(expected).transpose(order))


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
def test_one_example_never_changes_another(kind: str) -> None:
    # Quiet beside loud: with the reference taken over the batch the quiet one would sink.
    loud, quiet = reference.noise(2, 4000, 1), 1e-3 * reference.noise(2, 4000, 2)
    layer = make(kind, **{decibel_argument(kind): True})
    together = numbers(layer(np.stack([loud, quiet])))
    for example, signal in enumerate((loud, quiet)):
        np.testing.assert_allclose(together[example], first(layer(signal[None])), atol=1e-4)
        assert together[example].max() == 0.0


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
def test_silence_is_its_own_reference(kind: str) -> None:
    layer = make(kind, **{decibel_argument(kind): True})
    assert (numbers(layer(np.zeros((1, 1, 1000), "float32"))) == 0.0).all()


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
@pytest.mark.parametrize("decibel", [False, True])
def test_data_formats_are_orders_of_axes_alone(kind: str, decibel: bool) -> None:
    signal = reference.noise(3, 2000)
    options = {decibel_argument(kind): decibel}
    channels_first = first(make(kind, image_data_format="channels_first", **options)(signal[None]))
    channels_last = first(make(kind, image_data_format="channels_last", **options)(signal[None]))
    np.testing.assert_array_equal(np.moveaxis(channels_first, 0, -1), channels_last)
    turned = make(
        kind, image_data_format="channels_last", input_data_format="channels_last", **options
    )
    np.testing.assert_array_equal(first(turned(signal.T[None])), channels_last)


@pytest.mark.parametrize("configured", ["channels_first", "channels_last"])
def test_default_data_format_is_settled_when_the_layer_is_made(configured: str) -> None:
    before = keras.config.image_data_format()
    try:
        keras.config.set_image_data_format(configured)
        layer = Spectrogram()
    finally:
        keras.config.set_image_data_format(before)
    assert layer.image_data_format == configured
    assert layer.get_config()["image_data_format"] == configured


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
@pytest.mark.parametrize("shape", [(None, 2, None), (None, 2, 200_001), (3, 2, 200_001)])
def test_long_signals_are_the_references_too(kind: str, shape: tuple[int | None, ...]) -> None:
    # So long that they are computed in pieces, whose last is not full.
    layer = make(kind, image_data_format="channels_first")
    signals = np.stack([reference.noise(2, 200_001, seed) for seed in range(3)]).astype("float32")
    features = numbers(compiled(layer, shape)(signals))
    for example, of_example in zip(signals, features, strict=True):
        expected = (
            reference.melspectrogram(example, sr=8000, n_mels=20, n_dft=256, n_hop=100)
            if kind == "mel"
            else reference.spectrogram(example, n_dft=256, n_hop=100)
        )
        order = (0, 2, 1) if kind == "mel" else (0, 1, 2)
        reference.require_close(of_example, expected.transpose(order))
    assert layer(np.zeros((0, 2, 200_001), "float32")).shape[0] == 0


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
def test_gradients_pass_through_long_signals(kind: str) -> None:
    layer = make(kind)
    signal = reference.noise(1, 150_000)[None]
    layer.build(signal.shape)
    (slope,) = gradients(layer, signal)
    length = np.linalg.norm(slope)
    step = 1e-2 * slope / length
    risen = numbers(layer(signal + step)).sum() - numbers(layer(signal - step)).sum()
    np.testing.assert_allclose(risen, 2e-2 * length, rtol=1e-2)


@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
def test_channels_are_computed_each_by_itself(kind: str) -> None:
    signal = reference.noise(4, 3000)
    layer = make(kind, image_data_format="channels_first")
    together = first(layer(signal[None]))
    for channel in range(4):
        alone = first(layer(signal[None, channel : channel + 1]))[0]
        # JAX rounds products of other shapes otherwise.
        np.testing.assert_allclose(together[channel], alone, rtol=1e-6 if BACKEND == "jax" else 0)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("options", [{}, {"trainable_kernel": True}])
def test_length_may_be_unknown(padding: str, options: dict[str, Any]) -> None:
    layer = Spectrogram(n_dft=64, n_hop=24, padding=padding, **options)
    model = keras.Sequential([keras.Input((2, None)), layer])
    for length in (64, 65, 333, 1009):
        signal = reference.noise(2, length)[None]
        assert model.output_shape == layer.compute_output_shape((None, 2, None))
        np.testing.assert_allclose(
            model.predict(signal, verbose=0), numbers(layer(signal)), rtol=1e-5, atol=1e-4
        )


@needs_tensorflow("lengths that are unknown while a graph is built")
def test_too_short_a_signal_of_unknown_length_fails_when_it_comes() -> None:
    import tensorflow as tf

    called = compiled(Spectrogram(n_dft=64, padding="valid"), (None, 1, None))
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least 64 samples long"):
        called(np.zeros((1, 1, 63), "float32"))


@pytest.mark.parametrize("dtype", ["int16", "float64", "float16"])
def test_input_of_any_number_type_is_taken(dtype: str) -> None:
    signal = np.round(100 * reference.noise(1, 700)).astype(dtype)
    layer = make("spectrogram", image_data_format="channels_first")
    expected = reference.spectrogram(signal, n_dft=256, n_hop=100)
    reference.require_close(first(layer(signal[None])), expected)


def test_float64_policy_computes_in_float64() -> None:
    signal = reference.noise(1, 900).astype(np.float64) + 1e-9
    for options in ({}, {"trainable_kernel": True}):
        layer = make("spectrogram", dtype="float64", image_data_format="channels_first", **options)
        expected = reference.spectrogram(signal, n_dft=256, n_hop=100)
        np.testing.assert_allclose(first(layer(signal[None])), expected, rtol=1e-9, atol=1e-9)


SMALL = st.integers(1, 40)


@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.LayerWarning")
@settings(max_examples=150 if BACKEND == "tensorflow" else 30)  # JAX compiles each
@given(
    length=st.integers(1, 120),
    n_dft=st.integers(2, 40),
    n_hop=SMALL,
    padding=st.sampled_from(["same", "valid"]),
    formats=st.tuples(*[st.sampled_from(["channels_first", "channels_last"])] * 2),
    mel=st.booleans(),
    trainable=st.booleans(),
)
def test_computed_output_shape_is_the_real_one(
    length: int,
    n_dft: int,
    n_hop: int,
    padding: str,
    formats: tuple[str, str],
    mel: bool,
    trainable: bool,
) -> None:
    options: dict[str, Any] = {
        "n_dft": n_dft,
        "n_hop": n_hop,
        "padding": padding,
        "image_data_format": formats[0],
        "input_data_format": formats[1],
        "trainable_kernel": trainable,
    }
    layer = Melspectrogram(n_mels=1, fmax=11025, **options) if mel else Spectrogram(**options)
    shape = (2, 3, length) if formats[1] == "channels_first" else (2, length, 3)
    if padding == "valid" and length < n_dft:
        for refused in (layer.compute_output_shape, lambda s: layer(np.zeros(s, "float32"))):
            with pytest.raises(ValueError, match=f"length={length}, n_dft={n_dft}"):
                refused(shape)
        return
    expected = layer.compute_output_shape(shape)
    assert not layer.built  # a pure function of its argument
    assert tuple(layer(np.zeros(shape, "float32")).shape) == expected
    unknown = tuple(None if size == length else size for size in shape)
    if length not in (2, 3):
        symbolic = layer.compute_output_shape(unknown)
        assert [size for size in symbolic if size is not None] == [
            size for axis, size in enumerate(expected) if symbolic[axis] is not None
        ]
        assert symbolic.count(None) == 1


@given(length=st.integers(1, 500), size=SMALL, stride=SMALL, dilation=st.integers(1, 4))
@settings(max_examples=60)
def test_conv_output_length_is_that_of_keras_convolutions(
    length: int, size: int, stride: int, dilation: int
) -> None:
    if stride > 1 and dilation > 1:
        dilation = 1  # TensorFlow has no convolution with both
    reach = (size - 1) * dilation + 1
    for padding in ("same", "valid", "causal"):
        if padding == "valid" and length < reach:
            assert conv_output_length(length, size, padding, stride, dilation) == 0
            continue
        layer = keras.layers.Conv1D(
            1, size, strides=stride, padding=padding, dilation_rate=dilation
        )
        expected = layer.compute_output_shape((1, length, 1))[1]
        assert conv_output_length(length, size, padding, stride, dilation) == expected
    full = len(np.convolve(np.ones(length), np.ones(reach), "full"))
    assert conv_output_length(length, size, "full", stride, dilation) == -(-full // stride)
    for bad in ({"filter_size": 0}, {"stride": 0}, {"dilation": -1}):
        arguments = {"filter_size": size, "stride": stride, **bad}
        with pytest.raises(ValueError, match=r"must be at least 1\. Received: "):
            conv_output_length(length, padding="same", **arguments)
    assert conv_output_length(None, size, "same", stride, dilation) is None


def test_conv_output_length_refuses_another_padding() -> None:
    with pytest.raises(ValueError, match="Received: padding='reflect'"):
        conv_output_length(10, 3, "reflect", 1)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"n_dft": 0}, "n_dft=0"),
        ({"n_dft": 1}, "n_dft=1"),
        ({"n_dft": 512.5}, "n_dft=512.5"),
        ({"n_dft": True}, "n_dft=True"),
        ({"n_hop": 0}, "n_hop=0"),
        ({"n_hop": -3}, "n_hop=-3"),
        ({"padding": "causal"}, "padding='causal'"),
        ({"power_spectrogram": 0}, "power_spectrogram=0"),
        ({"power_spectrogram": float("nan")}, "power_spectrogram=nan"),
        ({"return_decibel_spectrogram": 1}, "return_decibel_spectrogram=1"),
        ({"trainable_kernel": None}, "trainable_kernel=None"),
        ({"image_data_format": "first"}, "image_data_format='first'"),
        ({"input_data_format": "default"}, "input_data_format='default'"),
        ({"amin": 0}, "amin=0"),
        ({"amin": -1e-10}, "amin=-1e-10"),
        ({"amin": 1e-38}, "amin=1e-38"),  # 0 where float32's smallest numbers are taken for 0
        ({"amin": 1e39}, "amin=1e\\+39"),
        ({"amin": float("nan")}, "amin=nan"),
        ({"amin": float("inf")}, "amin=inf"),
        ({"amin": "1e-10"}, "amin='1e-10'"),
        ({"amin": True}, "amin=True"),
    ],
)
def test_bad_spectrogram_arguments_are_refused(arguments: dict[str, Any], received: str) -> None:
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        Spectrogram(**arguments)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"sr": 0}, "sr=0"),
        ({"n_mels": 0}, "n_mels=0"),
        ({"fmin": -1.0}, "fmin=-1.0"),
        ({"fmin": 5000, "fmax": 5000}, "fmin=5000.0, fmax=5000.0"),
        ({"fmin": 12000}, "fmin=12000"),
        ({"fmax": 12000}, "fmax=12000.0, sr=22050.0"),
        ({"power_melgram": -1}, "power_melgram=-1"),
        ({"norm": "area"}, "norm='area'"),
        ({"norm": -2}, "norm=-2"),
        ({"norm": True}, "norm=True"),
        ({"htk": "yes"}, "htk='yes'"),
        ({"trainable_fb": 1}, "trainable_fb=1"),
        ({"power_spectrogram": 1.0}, "power_spectrogram=1.0"),
        ({"return_decibel_spectrogram": True}, "return_decibel_spectrogram=True"),
        ({"n_dft": 0}, "n_dft=0"),
        ({"amin": 0.0}, "amin=0.0"),
    ],
)
def test_bad_mel_arguments_are_refused(arguments: dict[str, Any], received: str) -> None:
    with pytest.raises(ValueError, match=f"Received: .*{received}"):
        Melspectrogram(**arguments)


@pytest.mark.parametrize("shape", [(100,), (1, 100), (1, 1, 100, 1)])
def test_input_of_another_rank_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(batch, channel, samples\).*Received: input_shape="):
        Spectrogram()(np.zeros(shape, "float32"))


def test_more_channels_than_samples_are_warned_of() -> None:
    signal = np.zeros((2, 1024, 1), "float32")
    for layer, arguments in LAYERS:
        with pytest.warns(
            LayerWarning, match="more channels .1024. than samples .1.*channels_last"
        ):
            layer(**arguments)(signal)
        for stated in ("channels_last", "channels_first"):  # warnings are errors
            layer(**arguments, input_data_format=stated)(signal)
        with pytest.warns(LayerWarning, match="more channels"):
            layer(**arguments, input_data_format=None)(signal)


def test_few_samples_in_an_unknown_number_of_channels_are_warned_of() -> None:
    for layer, arguments in LAYERS:
        for samples, told in ((1, "1 sample in"), (64, "64 samples in")):
            with pytest.warns(LayerWarning, match=f"{told} a number of channels .*channels_last"):
                keras.Sequential([keras.Input((None, samples)), layer(**arguments, n_dft=512)])
        keras.Sequential([keras.Input((None, 65)), layer(**arguments, n_dft=512)])
        for shape, stated in (((None, 65), None), ((None, 1), "channels_last"), ((2, None), None)):
            keras.Sequential(  # warnings are errors
                [keras.Input(shape), layer(**arguments, n_dft=512, input_data_format=stated)]
            )
    keras.Sequential([keras.Input((None, 16)), Spectrogram(n_dft=16)])  # no more than a frame


LAYERS: list[tuple[type[Spectrogram], dict[str, Any]]] = [
    (Spectrogram, {}),
    (Melspectrogram, {"n_mels": 20}),
]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_samples_are_refused(dtype: str) -> None:
    # Keras 3.4 knows no complex types and refuses them itself.
    refused = f"takes real samples. Received: dtype=.*{dtype}|^Invalid dtype: {dtype}$"
    for layer, arguments in LAYERS:
        with pytest.raises(ValueError, match=refused):
            layer(**arguments)(np.zeros((1, 1, 1000), dtype))
        with pytest.raises(ValueError, match=refused):
            layer(**arguments)(keras.Input((1, 1000), dtype=dtype))


@pytest.mark.parametrize(
    "options", [{}, {"trainable_kernel": True}, {"trainable_fb": True}, {"decibel": True}], ids=str
)
@pytest.mark.parametrize("kind", ["spectrogram", "mel"])
@pytest.mark.parametrize("length", [1000, 200_001])
def test_an_empty_batch_gives_an_empty_result(
    kind: str, options: dict[str, Any], length: int
) -> None:
    if kind == "spectrogram" and "trainable_fb" in options:
        options = {"trainable_kernel": True, "decibel": True}
    options = dict(options)
    layer = make(kind, **{decibel_argument(kind): options.pop("decibel", False)}, **options)
    batch = np.zeros((0, 2, length), "float32")
    shape = layer.compute_output_shape(batch.shape)
    assert tuple(layer(batch).shape) == shape
    for known in (batch.shape, (None, 2, length), (None, None, None)):
        assert tuple(compiled(layer, known)(batch).shape) == shape
    model = keras.Sequential([keras.Input((2, length)), layer])
    assert tuple(model(batch).shape) == shape
    assert model.predict_on_batch(batch).shape == shape


@pytest.mark.parametrize(
    ("layer", "arguments"),
    [
        (Spectrogram, {"n_dft": 2**15, "trainable_kernel": True}),
        (Melspectrogram, {"n_dft": 2**20, "n_mels": 2**10, "trainable_fb": True}),
    ],
)
def test_weights_that_fill_the_memory_are_refused(
    layer: type[Spectrogram], arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"trainable weights, .* Received: n_dft=\d+"):
        layer(**arguments)


def test_empty_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="length=0"):
        Spectrogram()(np.zeros((1, 1, 0), "float32"))


def test_empty_mel_bands_are_named_with_the_remedy() -> None:
    told = r"^2 of 60 mel bands are empty, .* \(use n_dft=128, or n_mels=57\).*: 0, 25$"
    with pytest.warns(EmptyMelBandsWarning, match=told):
        layer = Melspectrogram(sr=8000, n_mels=60, n_dft=100)
    features = numbers(layer(reference.noise(1, 1000)[None]))
    silent = np.flatnonzero((features == 0).all(axis=(0, 2, 3)))
    np.testing.assert_array_equal(silent, [0, 25])


def test_a_hop_that_leaves_samples_out_is_warned_of_when_a_layer_is_made() -> None:
    told = (
        r"^`n_hop` \(300\) is above `n_dft` \(256\): of every 300 samples 44 lie in no frame "
        r"\(use n_hop=256 or less, or n_dft=512\)$"
    )
    mel: dict[str, Any] = {"n_mels": 10}
    layers: list[tuple[type[Spectrogram], dict[str, Any]]]
    layers = [(Spectrogram, {}), (Melspectrogram, mel)]
    for layer, arguments in layers:
        with pytest.warns(LayerWarning, match=told) as caught:
            layer(n_dft=256, n_hop=300, **arguments)
        assert [warning.filename for warning in caught] == [__file__]
        layer(n_dft=256, n_hop=256, **arguments)


NO_FLOAT64 = """
import warnings
import jax, keras, numpy as np
from kapre_cli.time_frequency import LayerWarning, Melspectrogram, Spectrogram
signal = np.sin(0.3 * np.arange(4000, dtype="float32"))[None, None]
for exact in (False, True):
    jax.config.update("jax_enable_x64", exact)
    for layer, arguments in (
        (Spectrogram, {"power_spectrogram": 1.0, "return_decibel_spectrogram": True}),
        (Melspectrogram, {"power_melgram": 0.5}),
        (Spectrogram, {"dtype": "float64"}),
        (Spectrogram, {}),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = layer(**arguments)
            made(signal), made(signal)
        told = [str(one.message) for one in caught if issubclass(one.category, LayerWarning)]
        print(len(told), *("jax_enable_x64" in text for text in told))
"""


def test_float32_of_jax_is_warned_of_once_where_float64_is_needed() -> None:
    pytest.importorskip("jax", reason="JAX is not installed: its float32 cannot be tried")
    ended = subprocess.run(
        [sys.executable, "-c", NO_FLOAT64],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert ended.stdout.splitlines() == ["1 True"] * 3 + ["0"] * 5


@pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_samples_that_are_not_numbers_are_never_taken_for_silence(kind: str, power: float) -> None:
    signal = reference.noise(1, 2000).astype(np.float32)[None]
    signal[0, 0, 1000] = np.nan
    layer = (
        Spectrogram(n_dft=256, power_spectrogram=power)
        if kind == "spectrogram"
        else Melspectrogram(n_dft=256, n_mels=20, sr=8000, power_melgram=power)
    )
    values = numbers(layer(signal))
    axis = 1 if kind == "spectrogram" else 2
    frames = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    touched = [i for i in range(len(frames)) if i * 128 - 64 <= 1000 < i * 128 - 64 + 256]
    assert np.isnan(frames[touched]).all()
    assert np.isfinite(np.delete(frames, touched, axis=0)).all()
