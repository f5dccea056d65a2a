"""Decibels of the layers: of tones, chirps, clicks, silence and noise."""

from typing import Any

import numpy as np
import pytest
import scipy.signal

from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import reference
from tests.backends import numbers

SR, N_MELS = 8000, 30
SIGNALS = reference.signals(SR, 6000)

EXPONENTS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
KINDS = pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])


def layer_of(
    kind: str, n_dft: int, exponent: float, decibel: bool = True, **options: Any
) -> Spectrogram:
    """Return a layer that gives decibels, or what they are decibels of."""
    options = {"n_dft": n_dft, "image_data_format": "channels_first", **options}
    if kind == "spectrogram":
        return Spectrogram(
            power_spectrogram=exponent, return_decibel_spectrogram=decibel, **options
        )
    return Melspectrogram(
        sr=SR, n_mels=N_MELS, power_melgram=exponent, return_decibel_melgram=decibel, **options
    )


def values_of(kind: str, signal: Any, n_dft: int, exponent: float) -> Any:
    """Return what the reference has to say, in the order of axes of the layers."""
    framing: dict[str, Any] = {"n_dft": n_dft, "n_hop": n_dft // 2, "exponent": exponent}
    if kind == "spectrogram":
        return reference.spectrogram(signal, **framing)
    mel = reference.melspectrogram(signal, sr=SR, n_mels=N_MELS, **framing)
    return mel.transpose(0, 2, 1)


@pytest.mark.parametrize("n_dft", [400, 512, 1999])
@pytest.mark.parametrize("exponent", EXPONENTS)
@KINDS
def test_decibels_of_the_layer_are_the_references(kind: str, n_dft: int, exponent: float) -> None:
    layer = layer_of(kind, n_dft, exponent)
    batch = np.stack(list(SIGNALS.values())).astype(np.float32)
    for signal, actual in zip(SIGNALS.values(), numbers(layer(batch)), strict=True):
        values = values_of(kind, signal, n_dft, exponent)
        reference.require_close_decibels_where_resolved(actual, values, exponent)


@pytest.mark.parametrize("n_dft", [257, 461, 482, 2018, 3750, 4095, 4096])
def test_decibels_of_noise_are_the_references_whatever_the_factors(n_dft: int) -> None:
    # Noise without its upper fifth: beside it lie bins that are almost at the floor.
    low_pass = scipy.signal.firwin(801, 0.8, window=("kaiser", scipy.signal.kaiser_beta(80)))
    noise = np.random.default_rng(0).standard_normal(88_200)
    signal = (0.3 * scipy.signal.lfilter(low_pass, 1, noise))[None].astype(np.float32)
    actual = numbers(layer_of("spectrogram", n_dft, 2.0)(signal[None]))[0]
    values = values_of("spectrogram", signal, n_dft, 2.0)
    reference.require_close_decibels(actual, reference.decibels(values))


def test_decibels_of_power_of_long_frames_are_the_references() -> None:
    # A float32 transform of so many samples, a prime number, is no longer exact enough.
    n_dft = 8191
    time = np.arange(2 * n_dft) / (2 * n_dft)
    chirp = 0.9 * np.sin(2 * np.pi * (200 + 3600 * time) * time)[None].astype(np.float32)
    actual = numbers(layer_of("spectrogram", n_dft, 2.0)(chirp[None]))[0]
    values = values_of("spectrogram", chirp, n_dft, 2.0)
    reference.require_close_decibels(actual, reference.decibels(values))


# What the docstring of Spectrogram says of kernels that are float32 numbers.
@pytest.mark.parametrize(
    ("exponent", "part", "below"),
    [(0.3, 5e-3, 10), (0.5, 2e-4, 10), (1.0, 2e-5, 5), (1.5, 2e-5, 0.1), (2.0, 2e-5, 0.01)],
)
@pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
def test_trainable_kernels_keep_to_their_limits(
    kind: str, exponent: float, part: float, below: float
) -> None:
    batch = np.stack(list(SIGNALS.values())).astype(np.float32)
    decibels = numbers(layer_of(kind, 512, exponent, trainable_kernel=True)(batch))
    linear = numbers(layer_of(kind, 512, exponent, trainable_kernel=True, decibel=False)(batch))
    exact = numbers(layer_of(kind, 512, exponent, trainable_kernel=True, dtype="float64")(batch))
    for number, signal in enumerate(SIGNALS.values()):
        values = values_of(kind, signal, 512, exponent)
        resolved = values >= values.max() * 1e-12**exponent
        off = np.abs(decibels[number] - reference.decibels(values))
        assert off[resolved].max() <= below
        assert np.abs(linear[number] - values).max() <= part * values.max()
        reference.require_close_decibels_where_resolved(exact[number], values, exponent)
