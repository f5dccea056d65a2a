"""The signal processing of the layers, in NumPy: window, mel matrix, decibels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.settings.layers import DECIBEL_RANGE
from kapre_cli.text import Argument, Text

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
    """Return the periodic Hann window, shape ``(n_dft,)``.

    It is one period of a raised cosine without its end point: from 0 to 1, its peak at
    ``n_dft / 2``.

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

    >>> hz_to_mel([200.0, 1000.0]).round(3), float(hz_to_mel(1000.0, htk=True).round(3))
    (array([ 3., 15.]), 999.986)
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


@dataclass(frozen=True)
class MelBands:
    """A sparse mel matrix: of each band only a span of neighbouring bins.

    Attributes:
        n_freq: Number of bins.
        starts: The first bin of each band's span.
        lengths: The bins of each band's span. No weight outside it is above 0.
        weights: The weights of all spans, one after another.
    """

    n_freq: int
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]

    @property
    def bins(self) -> npt.NDArray[np.int64]:
        """The bin of each weight."""
        return np.arange(len(self.weights)) - np.repeat(self._offsets - self.starts, self.lengths)

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.lengths) - self.lengths

    @property
    def is_empty(self) -> npt.NDArray[np.bool_]:
        """Which bands no frequency bin falls into: all their weights are 0."""
        return np.asarray(np.add.reduceat(self.weights, self._offsets) == 0)

    def select(self, bands: npt.NDArray[np.int64]) -> "MelBands":
        """Return the bands of these numbers."""
        begins = self._offsets[bands]
        ends = begins + self.lengths[bands]
        spans = [self.weights[begin:end] for begin, end in zip(begins, ends, strict=True)]
        return MelBands(self.n_freq, self.starts[bands], self.lengths[bands], np.concatenate(spans))

    def dense(self, first_bin: int = 0, end_bin: int | None = None) -> npt.NDArray[np.float64]:
        """Return the matrix, shape ``(n_mels, n_freq)``, or the columns of some bins."""
        end_bin = self.n_freq if end_bin is None else end_bin
        matrix = np.zeros((len(self.starts), end_bin - first_bin))
        bands, bins = np.repeat(np.arange(len(self.starts)), self.lengths), self.bins
        inside = (bins >= first_bin) & (bins < end_bin)
        matrix[bands[inside], bins[inside] - first_bin] = self.weights[inside]
        return matrix


def mel_bands(
    *,
    sr: float,
    n_dft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    htk: bool = False,
    norm: str | float | None = "slaney",
) -> MelBands:
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
        No weight is below 0. A band narrower than the distance of two bins may hold none and be
        zero throughout: see :func:`empty_bands`.
    """
    edges = mel_edges(n_mels, fmin, fmax, htk=htk)
    frequencies = dft_frequencies(sr, n_dft)
    n_freq = len(frequencies)
    # One bin more at either end than the triangle reaches.
    starts = np.floor(edges[:-2] / sr * n_dft).astype(np.int64) - 1
    ends = np.ceil(edges[2:] / sr * n_dft).astype(np.int64) + 2
    starts = np.clip(starts, 0, n_freq - 1)
    lengths = np.clip(ends, starts + 1, n_freq) - starts
    bands = MelBands(n_freq, starts, lengths, np.empty(int(lengths.sum())))
    hz = frequencies[bands.bins]
    low, peak, high = (np.repeat(one, lengths) for one in (edges[:-2], edges[1:-1], edges[2:]))
    weights = np.maximum(np.minimum((hz - low) / (peak - low), (high - hz) / (high - peak)), 0.0)
    if norm == "slaney":
        weights *= np.repeat(2.0 / (edges[2:] - edges[:-2]), lengths)
    elif norm is not None:
        spans = np.split(weights, np.cumsum(lengths)[:-1])
        weights /= np.repeat(_norms(spans, float(norm)), lengths)
    return replace(bands, weights=weights)


def _norms(spans: Sequence[FloatArray], order: float) -> npt.NDArray[np.float64]:
    """Return the p-norm of each span; 1 where it is too small to be divided by it.

    Orders 0, infinity and minus infinity are the number of weights above 0, the largest and
    the smallest one, as in ``librosa.util.normalize``. Every span has a 0 if its band has.
    """
    if order < 0 and order != -math.inf:
        rule = " must not be a negative number. Received: "
        raise SettingsError(Text(Argument("norm"), rule, Argument("norm", order)))
    norms = np.array([np.linalg.norm(span, ord=order) for span in spans])
    return np.where(norms < np.finfo(np.float32).tiny, 1.0, norms)


def empty_bands(bands: MelBands) -> list[int]:
    """Return the numbers, from 0, of the mel bands that no frequency bin falls into."""
    return [int(band) for band in np.flatnonzero(bands.is_empty)]


def decibels_below(
    values: npt.NDArray[np.float32], reference: float, amin: float
) -> npt.NDArray[np.float32]:
    """Return ``values`` in decibels below ``reference``, with a floor at -80.

    ``max(10 * log10(max(v, amin)) - 10 * log10(reference), -80)``.

    Args:
        values: Any shape, none above ``reference``.
        reference: The largest value of the whole input, or ``amin`` if that is larger.
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
