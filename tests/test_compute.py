"""The compiled function: traced once, and blind to what lies beside a frame."""

from typing import Any

import numpy as np
import pytest

from kapre_cli.pipeline import transform
from kapre_cli.pipeline.compute import CompiledLayer, HereComputer
from kapre_cli.pipeline.tape import Piece
from kapre_cli.settings import LayerConfig, MelspectrogramConfig, SpectrogramConfig
from tests import reference


def computed(config: LayerConfig, signals: list[Any], batch_size: int) -> list[Any]:
    """Return the features of signals that are whole frames of the layer's framing."""
    framing, n_frames = config.framing, transform.tape_frames(config, batch_size)
    pieces = []
    for signal in signals:
        count = (len(signal) - framing.n_dft) // framing.n_hop + 1
        results = np.full((count, config.n_features), np.nan, np.float32)
        pieces.append(Piece(signal, results, lambda _count, _finite: None))
    with HereComputer(config, n_frames) as computer:
        transform.run(pieces, framing, n_frames, computer)
    return [piece.results for piece in pieces]


def test_tapes_go_through_one_trace() -> None:
    config = SpectrogramConfig(n_dft=64, n_hop=16)
    layer = CompiledLayer(config, 32)
    for seed in range(3):
        features = layer(reference.noise(1, config.framing.n_samples(32), seed=seed)[0])
        assert features.shape == (32, 33)
    assert layer.n_traces == 1


@pytest.mark.parametrize("exponent", [0.999, 1.0])  # the first is computed in float64
def test_what_float32_cannot_hold_is_not_finite(exponent: float) -> None:
    config = SpectrogramConfig(n_dft=64, power_spectrogram=exponent)
    loud = np.full(config.framing.n_samples(16), 3e38, np.float32)
    features = CompiledLayer(config, 16)(loud)
    assert features.dtype == np.float32
    assert np.isinf(features[:, 0]).all()


@pytest.mark.parametrize("n_dft", [2, 3, 255, 400, 512, 1999, 2048])
@pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("mel", [False, True])
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_a_frame_has_the_same_bits_wherever_it_lies(n_dft: int, exponent: float, mel: bool) -> None:
    config: LayerConfig = (
        MelspectrogramConfig(sr=8000, n_mels=17, n_dft=n_dft, power_melgram=exponent)
        if mel
        else SpectrogramConfig(n_dft=n_dft, power_spectrogram=exponent)
    )
    n_hop = config.framing.n_hop
    frame = reference.noise(1, n_dft)[0]
    others = [reference.noise(1, n_dft + n_hop * n, seed=n)[0] for n in range(9)]
    signals = [signal for other in others for signal in (other, frame)]
    first = computed(config, [frame], 16)[0]
    for batch_size in (16, 48, 160):
        for results in computed(config, signals, batch_size)[1::2]:
            assert results.tobytes() == first.tobytes()
