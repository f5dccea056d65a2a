"""What the layers should give, in float64, from SciPy and librosa: no code of this project.

Signals have shape ``(channels, samples)``; results are ``(channels, frames, features)``.
"""

from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
from librosa.filters import mel as mel_matrix

Array = npt.NDArray[Any]

# float32 carries 24 bits; a sum over a frame and the transform's butterflies lose a few of them.
# What the contract allows: this much of the largest value of the reference.
RELATIVE_TOLERANCE = 2e-5
DECIBEL_TOLERANCE = 0.01
DECIBEL_FLOOR = -80.0


def pad_same(signal: Array, n_dft: int, n_hop: int) -> Array:
    """Lay zeros as TensorFlow's documentation of SAME describes it."""
    length = signal.shape[1]
    left = length % n_hop
    total = max(n_dft - (n_hop if left == 0 else left), 0)
    front = total // 2
    return np.concatenate(
        [
            np.zeros((len(signal), front)),
            signal.astype(np.float64),
            np.zeros((len(signal), total - front)),
        ],
        axis=1,
    )


def power(signal: Array, n_dft: int, n_hop: int, padding: str) -> Array:
    """Return |X|^2, frame by frame."""
    if padding == "same":
        signal = pad_same(signal, n_dft, n_hop)
    window = scipy.signal.get_window("hann", n_dft, fftbins=True)
    frames = []
    start = 0
    while start + n_dft <= signal.shape[1]:
        spectrum = scipy.fft.rfft(signal[:, start : start + n_dft].astype(np.float64) * window)
        frames.append(np.abs(spectrum) ** 2)
        start += n_hop
    return np.stack(frames, axis=1)


def spectrogram(
    signal: Array, *, n_dft: int, n_hop: int, padding: str = "same", exponent: float = 2.0
) -> Array:
    """Return |X| ** exponent."""
    magnitude = np.sqrt(power(signal, n_dft, n_hop, padding))
    return np.asarray(magnitude**exponent)


def melspectrogram(
    signal: Array,
    *,
    n_dft: int,
    n_hop: int,
    padding: str = "same",
    exponent: float = 1.0,
    **mel: Any,
) -> Array:
    """Return (mel @ |X|^2) ** (exponent / 2) with librosa's matrix in float64."""
    matrix = mel_matrix(n_fft=n_dft, dtype=np.float64, **mel)
    bands = np.einsum("mf,ctf->ctm", matrix, power(signal, n_dft, n_hop, padding))
    return np.asarray(np.sqrt(bands) ** exponent)


def decibels(values: Array, amin: float = 1e-10) -> Array:
    """Return decibels below the largest value, by librosa."""
    below = librosa.power_to_db(values, ref=1.0, amin=amin, top_db=None)
    return np.asarray(np.maximum(below - below.max(), DECIBEL_FLOOR))


def require_close(actual: Array, expected: Array, tolerance: float = RELATIVE_TOLERANCE) -> None:
    """Hold ``actual`` against the tolerance of the contract, or another one."""
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    largest = np.abs(expected).max()
    assert np.abs(actual - expected).max() <= tolerance * largest


def require_close_decibels(actual: Array, expected: Array) -> None:
    """Hold decibels against the tolerance of the contract, above the floor."""
    assert actual.shape == expected.shape
    assert actual.max() == 0.0
    assert actual.min() >= DECIBEL_FLOOR
    above = expected > DECIBEL_FLOOR + DECIBEL_TOLERANCE
    assert np.abs(actual - expected)[above].max() <= DECIBEL_TOLERANCE
    assert (actual[~above] <= DECIBEL_FLOOR + 2 * DECIBEL_TOLERANCE).all()


def require_close_decibels_where_resolved(
    actual: Array, values: Array, exponent: float, amin: float = 1e-10
) -> None:
    """Hold decibels against those of ``values``, but for what float64 itself cannot tell from 0.

    A magnitude of less than 1e-12 of the largest is made of rounding errors to a good part, in the
    reference too. Only an exponent below 1 lifts it above -80 dB.
    """
    expected = decibels(values, amin)
    is_resolved = np.maximum(values, amin) >= values.max() * 1e-12**exponent
    assert actual.shape == expected.shape
    assert (actual[~is_resolved] <= max(-120.0 * exponent, DECIBEL_FLOOR) + DECIBEL_TOLERANCE).all()
    require_close_decibels(
        np.where(is_resolved, actual, DECIBEL_FLOOR),
        np.where(is_resolved, expected, DECIBEL_FLOOR),
    )


def signals(sr: int, length: int) -> dict[str, Array]:
    """Return what puts loud beside quiet, each of one channel, float32 and as 16-bit PCM has it."""
    time = np.arange(length) / sr
    click = np.zeros(length)
    click[[length // 5, length // 2, length - 40]] = 0.9, -0.5, 0.7
    made = {
        "tone": 0.9 * np.sin(2 * np.pi * 440.3 * time),
        "tone of a whole number of samples": 0.9 * np.sin(2 * np.pi * sr / 32 * time),
        "chirp": 0.9 * np.sin(2 * np.pi * (200 * time + 800 * time**2)),
        "click": click,
        "silence": np.zeros(length),
        "noise": noise(1, length)[0],
    }
    floats = {name: signal[None].astype(np.float32) for name, signal in made.items()}
    return floats | {
        f"{name}, 16 bit": (np.round(signal * 2**15) / 2**15).clip(-1, 1 - 2.0**-15)
        for name, signal in floats.items()
    }


def noise(n_channels: int, length: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return noise whose loudness differs from channel to channel and along the signal."""
    random = np.random.default_rng(seed)
    loudness = np.linspace(0.1, 1.0, n_channels)[:, np.newaxis] * np.linspace(0.2, 1.0, length)
    return (loudness * random.uniform(-1, 1, (n_channels, length))).astype(np.float32)
