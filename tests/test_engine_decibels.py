"""Decibels and small exponents by both engines: of tones, chirps, clicks, silence and noise."""

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.conftest import write_audio
from tests.test_decibels import EXPONENTS, KINDS, N_MELS, SIGNALS, SR, values_of


def extracted(program: Any, folder: Path, *options: object) -> dict[str, Any]:
    """Return the arrays of all signals, each in a file of its own, in float64."""
    audio = folder / "audio"
    for name, signal in SIGNALS.items():
        subtype = "PCM_16" if name.endswith("16 bit") else "FLOAT"
        write_audio(audio / f"{name}.wav", signal, SR, subtype)
    options = (*options, "--data-format", "channels_first", "--format", "npy-directory")
    ended = program(*options, audio, "-o", folder / "out")
    assert ended.code == 0, ended.err
    return {name: np.load(folder / f"out/{name}.wav.npy").astype(np.float64) for name in SIGNALS}


LENGTHS = (400, 512, 1999)
CASES = [
    *(("numpy", n_dft, exponent) for n_dft in LENGTHS for exponent in EXPONENTS),
    # The layer itself is tested at every length by its own tests.
    *(("keras", n_dft, exponent) for n_dft, exponent in zip(cycle(LENGTHS), EXPONENTS)),
]


@KINDS
@pytest.mark.parametrize(("engine", "n_dft", "exponent"), CASES)
def test_decibels_of_the_engines_are_the_references(
    program: Any, tmp_path: Path, engine: str, kind: str, n_dft: int, exponent: float
) -> None:
    options = [kind, "--engine", engine, "--n-dft", n_dft, "--power", exponent, "--decibel"]
    mel = ["--n-mels", N_MELS] if kind == "melspectrogram" else []
    for name, actual in extracted(program, tmp_path, *options, *mel).items():
        values = values_of(kind, SIGNALS[name], n_dft, exponent)
        reference.require_close_decibels_where_resolved(actual, values, exponent)


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.9])
@KINDS
@pytest.mark.parametrize("engine", ["numpy", "keras"])
def test_small_exponents_of_tones_are_the_references(
    program: Any, tmp_path: Path, engine: str, kind: str, exponent: float
) -> None:
    # Without decibels. Computed in float32 a tone would be 2e-3 of the largest value off.
    options = [kind, "--engine", engine, "--power", exponent, "--no-decibel"]
    mel = ["--n-mels", N_MELS] if kind == "melspectrogram" else []
    for name, actual in extracted(program, tmp_path, *options, *mel).items():
        reference.require_close(actual, values_of(kind, SIGNALS[name], 512, exponent))
