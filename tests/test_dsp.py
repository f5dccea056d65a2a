"""Window, mel matrix and decibels against SciPy and librosa."""

import warnings
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from librosa.filters import mel as mel_matrix

from kapre_cli import dsp
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
    ours = dsp.mel_filterbank(
        sr=sr, n_dft=n_dft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own about empty bands
        theirs = mel_matrix(
            sr=sr, n_fft=n_dft, n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk, norm=norm
        )
    assert np.abs(ours - theirs).max() <= MATRIX_TOLERANCE


@settings(deadline=None)
@given(st.floats(0, 200_000), st.booleans())
def test_mel_scale_is_librosas_and_its_inverse_undoes_it(hz: float, htk: bool) -> None:
    mel = dsp.hz_to_mel(hz, htk=htk)
    assert float(mel) == pytest.approx(float(librosa.hz_to_mel(hz, htk=htk)), rel=1e-12, abs=1e-12)
    assert float(dsp.mel_to_hz(mel, htk=htk)) == pytest.approx(hz, rel=1e-9, abs=1e-9)


def test_empty_bands_are_those_without_a_bin() -> None:
    matrix = dsp.mel_filterbank(sr=8000, n_dft=100, n_mels=60, fmin=0, fmax=4000)
    with pytest.warns(UserWarning, match="Empty filters"):
        theirs = mel_matrix(sr=8000, n_fft=100, n_mels=60)
    np.testing.assert_array_equal(dsp.empty_bands(matrix), np.flatnonzero(theirs.max(axis=1) == 0))
    assert dsp.empty_bands(matrix)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e8])
def test_decibels_are_librosas(scale: float) -> None:
    values = (scale * np.random.default_rng(0).uniform(0, 1, (50, 40)) ** 20).astype(np.float32)
    values[0, 0] = 0.0
    at_0_db = dsp.decibel_reference(float(values.max()), 1e-10)
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
