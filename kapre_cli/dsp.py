"""The signal processing behind the layers, in NumPy: window, mel matrix, decibels."""

import math

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError

DECIBEL_RANGE = 80.0

# The mel scale of Slaney's Auditory Toolbox (M. Slaney, Interval Research Technical Report
# 1998-010): linear up to 1 kHz with 200/3 Hz a mel, then 27 mels for each factor of 6.4.
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_HZ = 1000.0
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = math.log(6.4) / 27.0

# The mel scale of the Hidden Markov Model Toolkit (S. Young et al., The HTK Book, eq. 5.13).
_HTK_FACTOR = 2595.0
_HTK_CORNER_HZ = 700.0

FloatArray = npt.NDArray[np.floating]


def hann(n_dft: int) -> npt.NDArray[np.float64]:
    """Return the periodic Hann window: one period of a raised cosine, its end left out.

    Args:
        n_dft: Number of points, at least 1.

    Returns:
        Shape ``(n_dft,)``, values from 0 to 1, the peak at ``n_dft / 2``.

    >>> hann(4)
    array([0. , 0.5, 1. , 0.5])
    """
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_dft) / n_dft)


def dft_frequencies(sr: float, n_dft: int) -> npt.NDArray[np.float64]:
    """Return the frequency in Hz of each of the ``n_dft // 2 + 1`` bins.

    >>> dft_frequencies(8000, 4)
    array([   0., 2000., 4000.])
    """
    return np.arange(n_dft // 2 + 1, dtype=np.float64) * (sr / n_dft)


def hz_to_mel(hz: npt.ArrayLike, *, htk: bool = False) -> npt.NDArray[np.float64]:
    """Return frequencies in Hz as mels, on Slaney's scale or HTK's.

    >>> hz_to_mel([200.0, 1000.0]).round(3), hz_to_mel(1000.0, htk=True).round(3)
    (array([ 3., 15.]), np.float64(999.986))
    """
    hz = np.asarray(hz, dtype=np.float64)
    if htk:
        return _HTK_FACTOR * np.log10(1.0 + hz / _HTK_CORNER_HZ)
    above = np.log(np.maximum(hz, _SLANEY_BREAK_HZ) / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP
    return np.minimum(hz, _SLANEY_BREAK_HZ) / _SLANEY_HZ_PER_MEL + above


def mel_to_hz(mel: npt.ArrayLike, *, htk: bool = False) -> npt.NDArray[np.float64]:
    """Return mels as frequencies in Hz, the inverse of :func:`hz_to_mel`.

    >>> mel_to_hz([3.0, 15.0]).round(3)
    array([ 200., 1000.])
    """
    mel = np.asarray(mel, dtype=np.float64)
    if htk:
        return _HTK_CORNER_HZ * (10.0 ** (mel / _HTK_FACTOR) - 1.0)
    above = np.exp(_SLANEY_LOG_STEP * np.maximum(mel - _SLANEY_BREAK_MEL, 0.0))
    return np.minimum(mel, _SLANEY_BREAK_MEL) * _SLANEY_HZ_PER_MEL * above


def mel_edges(
    n_mels: int, fmin: float, fmax: float, *, htk: bool = False
) -> npt.NDArray[np.float64]:
    """Return the ``n_mels + 2`` corner frequencies in Hz, evenly spaced in mels.

    Band ``i`` rises from corner ``i``, peaks at corner ``i + 1`` and falls to corner ``i + 2``.
    """
    low, high = hz_to_mel([fmin, fmax], htk=htk)
    return mel_to_hz(np.linspace(low, high, n_mels + 2), htk=htk)


def mel_filterbank(
    *,
    sr: float,
    n_dft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    htk: bool = False,
    norm: str | float | None = "slaney",
) -> npt.NDArray[np.float64]:
    """Return the matrix that sums the power of frequency bins into mel bands.

    Args:
        sr: Sample rate in Hz.
        n_dft: Samples in a frame.
        n_mels: Number of bands, at least 1.
        fmin: Lower edge of the lowest band in Hz.
        fmax: Upper edge of the highest band in Hz.
        htk: Use HTK's mel scale instead of Slaney's.
        norm: ``"slaney"`` divides each triangle by half its width in Hz, so that each has
            the same area; a number (or infinity) divides it by that p-norm of its weights;
            ``None`` leaves every peak at 1.

    Returns:
        Shape ``(n_mels, n_dft // 2 + 1)``, no value below 0. A band narrower than the distance
        of two bins may hold none and be zero throughout: see :func:`empty_bands`.
    """
    edges = mel_edges(n_mels, fmin, fmax, htk=htk)[:, np.newaxis]
    bins = dft_frequencies(sr, n_dft)
    widths = np.diff(edges, axis=0)
    rising = (bins - edges[:-2]) / widths[:-1]
    falling = (edges[2:] - bins) / widths[1:]
    weights = np.maximum(np.minimum(rising, falling), 0.0)
    if norm is None:
        return weights
    if norm == "slaney":
        return weights * (2.0 / (edges[2:] - edges[:-2]))
    return weights / _row_norms(weights, float(norm))


def _row_norms(weights: npt.NDArray[np.float64], order: float) -> npt.NDArray[np.float64]:
    """Return the p-norm of each row as a column; 1 where a row is too small to be divided by it.

    Orders 0, infinity and minus infinity are the number of weights above 0, the largest and
    the smallest one, as in ``librosa.util.normalize``.
    """
    if order < 0 and order != -math.inf:
        raise SettingsError(f"`norm` must not be a negative number. Received: norm={order}")
    norms = np.linalg.norm(weights, ord=order, axis=1, keepdims=True)
    return np.where(norms < np.finfo(np.float32).tiny, 1.0, norms)


def empty_bands(filterbank: FloatArray) -> list[int]:
    """Return the numbers, from 0, of the mel bands that no frequency bin falls into.

    >>> empty_bands(np.array([[0.0, 1.0], [0.0, 0.0]]))
    [1]
    """
    return [int(band) for band in np.flatnonzero(~filterbank.any(axis=1))]


def decibel_reference(peak: float, amin: float) -> float:
    """Return the value that is at 0 dB where ``peak`` is the largest one."""
    return max(peak, amin)


def decibels_below(
    values: npt.NDArray[np.float32], reference: float, amin: float
) -> npt.NDArray[np.float32]:
    """Return ``values`` as decibels below ``reference``, from 0 down to a floor of -80.

    ``max(10 * log10(max(v, amin)) - 10 * log10(reference), -80)``.

    Args:
        values: Any shape, none above ``reference``.
        reference: See :func:`decibel_reference`; of the whole that ``values`` is a part of.
        amin: Smaller values are raised to this one.
    """
    decibels = _decibels(values, amin)
    # The same steps: the largest value is at 0 exactly.
    decibels -= _decibels(np.array([reference], np.float32), amin)
    np.maximum(decibels, -DECIBEL_RANGE, out=decibels)
    return np.minimum(decibels, 0.0, out=decibels)


def _decibels(values: npt.NDArray[np.float32], amin: float) -> npt.NDArray[np.float32]:
    # Through the natural logarithm: NumPy has vector code for it, for log10 it has none.
    decibels = np.maximum(values, np.float32(amin))
    np.log(decibels, out=decibels)
    decibels *= np.float32(10.0 / math.log(10.0))
    return decibels
