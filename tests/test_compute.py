"""The compiled function: traced once, and blind to what lies beside a frame."""

from typing import Any

import numpy as np
import pytest

from kapre_cli.pipeline.compute import Transform
from kapre_cli.pipeline.tape import Piece
from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import reference


def computed(transform: Transform, signals: list[Any]) -> list[Any]:
    """Return the features of signals that are whole frames of the layer's framing."""
    framing = transform.framing
    pieces = []
    for signal in signals:
        n_frames = (len(signal) - framing.n_dft) // framing.n_hop + 1
        results = np.full((n_frames, transform.n_features), np.nan, np.float32)
        pieces.append(Piece(signal, results, lambda _count: None))
    transform.run(pieces)
    return [piece.results for piece in pieces]


def test_signals_of_every_length_go_through_one_trace() -> None:
    transform = Transform(Spectrogram(n_dft=64, n_hop=16), batch_size=32)
    computed(transform, [reference.noise(1, 64 + 16 * n)[0] for n in (0, 1, 5, 100, 1000)])
    assert transform.n_traces == 1


@pytest.mark.parametrize("n_dft", [2, 3, 255, 400, 512, 1999, 2048])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("mel", [False, True])
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_a_frame_has_the_same_bits_wherever_it_lies(n_dft: int, exponent: float, mel: bool) -> None:
    layer = (
        Melspectrogram(sr=8000, n_mels=17, n_dft=n_dft, power_melgram=exponent)
        if mel
        else Spectrogram(n_dft=n_dft, power_spectrogram=exponent)
    )
    frame = reference.noise(1, n_dft)[0]
    others = [reference.noise(1, n_dft + layer.n_hop * n, seed=n)[0] for n in range(9)]
    signals = [signal for other in others for signal in (other, frame)]
    first = computed(Transform(layer, 16), [frame])[0]
    for batch_size in (16, 48, 160):
        for results in computed(Transform(layer, batch_size), signals)[1::2]:
            assert results.tobytes() == first.tobytes()
