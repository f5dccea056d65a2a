"""Window, mel matrix and decibels against SciPy and librosa."""

import tracemalloc
import warnings
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from librosa.filters import mel as mel_matrix

from kapre_cli.layers import MelspectrogramConfig, dsp, filterbank
from kapre_cli.layers.configs import MAX_MELS
from kapre_cli.settings.layers import MAX_DFT
from tests import reference

MATRIX_TOLERANCE = 1e-6


@pytest.mark.parametrize("n_dft", [1, 2, 3, 400, 512, 2047])
def test_window_is_scipys_periodic_hann(n_dft: int) -> None:
    expected = scipy.signal.get_window("hann", n_dft, fftbins=True)
    if n_dft == 1:
        expected = np.zeros(1)  # one period of a raised cosine; SciPy makes an exception of it
    np.testing.assert_allclose(dsp.hann(n_dft), expected, atol=1e-15)


@pytest.mark.parametrize("htk", [False, True])
@pytest.mark.parametrize("norm", ["slaney", None, 0, 1, 2, 3.5, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("sr", "n_dft", "n_mels", "fmin", "fmax"),
    [(22050, 2048, 128, 0, 11025), (250000, 1024, 64, 15000, 120000), (8000, 401, 40, 50.5, 3999)],
)
def test_mel_matrix_is_librosas(
    sr: int, n_dft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: Any
) -> None:
    ours = dsp.mel_bands(
        sr=sr, n_dft=n_dft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    ).dense()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own about empty bands
        theirs = mel_matrix(
            sr=sr, n_fft=n_dft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
        )
    assert np.abs(ours - theirs).max() <= MATRIX_TOLERANCE


@given(st.floats(0, 200_000), st.booleans())
def test_mel_scale_is_librosas_and_its_inverse_undoes_it(hz: float, htk: bool) -> None:
    mel = dsp.hz_to_mel(hz, htk=htk)
    assert float(mel) == pytest.approx(float(librosa.hz_to_mel(hz, htk=htk)), rel=1e-12, abs=1e-12)
    assert float(dsp.mel_to_hz(mel, htk=htk)) == pytest.approx(hz, rel=1e-9, abs=1e-9)


def test_the_largest_mel_matrix_takes_little_memory() -> None:
    config = MelspectrogramConfig(sr=192_000, n_dft=MAX_DFT, n_mels=MAX_MELS)
    tracemalloc.start()
    try:
        bands = filterbank.filterbank_of(config)
        sums = filterbank.BandSums(bands, 1, np.float32)
        groups = list(filterbank.band_groups(bands))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**30  # as a matrix it would be a TiB
    power = np.random.default_rng(0).uniform(0, 1, config.n_freq).astype(np.float32)[np.newaxis]
    found = np.zeros((1, MAX_MELS), np.float32)
    sums.sum_bands(power, found)
    grouped = np.concatenate([power[:, bins] @ weights for bins, weights in groups], axis=1)
    np.testing.assert_allclose(found, grouped, rtol=1e-4)
    # librosa's triangles of single bands, from its own edges.
    edges = librosa.mel_frequencies(MAX_MELS + 2, fmin=0, fmax=96_000)
    hz = np.arange(config.n_freq) * (192_000 / MAX_DFT)
    for band in (1, 20_000, MAX_MELS - 1):
        low, peak, high = edges[band : band + 3]
        triangle = np.interp(hz, [low, peak, high], [0, 1, 0]) * 2 / (high - low)
        assert found[0, band] == pytest.approx(power[0] @ triangle, rel=1e-3)


def test_a_wide_mel_matrix_of_few_bands_is_librosas() -> None:
    arguments: dict[str, Any] = {"sr": 44100, "n_mels": 40, "fmin": 0.0, "fmax": 22050.0}
    theirs = mel_matrix(n_fft=2**18, dtype=np.float64, **arguments)
    config = MelspectrogramConfig(n_dft=2**18, **arguments)
    groups = list(filterbank.band_groups(filterbank.filterbank_of(config)))
    assert len(groups) > 1  # one would be too large
    ours = np.zeros_like(theirs)
    band = 0
    for bins, weights in groups:
        ours[band : band + weights.shape[1], bins] = weights.T
        band += weights.shape[1]
    assert np.abs(ours - theirs).max() <= MATRIX_TOLERANCE * theirs.max()


def test_empty_bands_are_those_without_a_bin() -> None:
    bands = dsp.mel_bands(sr=8000, n_dft=100, n_mels=60, fmin=0, fmax=4000)
    with pytest.warns(UserWarning, match="Empty filters"):
        theirs = mel_matrix(sr=8000, n_fft=100, n_mels=60)
    np.testing.assert_array_equal(dsp.empty_bands(bands), np.flatnonzero(theirs.max(axis=1) == 0))
    assert dsp.empty_bands(bands)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e8])
def test_decibels_are_librosas(scale: float) -> None:
    values = (scale * np.random.default_rng(0).uniform(0, 1, (50, 40)) ** 20).astype(np.float32)
    values[0, 0] = 0.0
    at_0_db = max(float(values.max()), 1e-10)
    below = dsp.decibels_below(values, at_0_db, 1e-10)
    reference.require_close_decibels(below, reference.decibels(values.astype(np.float64)))


def test_decibels_in_parts_are_those_of_the_whole() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 1003).astype(np.float32)
    whole = dsp.decibels_below(values, float(values.max()), 1e-10)
    for size in (1, 7, 64):
        parts = [
            dsp.decibels_below(values[start : start + size], float(values.max()), 1e-10)
            for start in range(0, len(values), size)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
