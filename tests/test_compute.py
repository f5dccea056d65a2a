"""What computes frames, in NumPy and as the Keras layer: right, and blind to what lies beside."""

import itertools
from typing import Any

import numpy as np
import pytest

from kapre_cli.pipeline import transform
from kapre_cli.pipeline.compute import CompiledLayer, LayerComputer, lot_frames
from kapre_cli.pipeline.kernel import KernelComputer
from kapre_cli.pipeline.tape import Piece
from kapre_cli.pipeline.transform import Computer
from kapre_cli.settings import LayerConfig, MelspectrogramConfig, SpectrogramConfig
from tests import reference

COMPUTERS: dict[str, Any] = {"numpy": KernelComputer, "keras": LayerComputer}


def computed(
    engine: str, config: LayerConfig, signals: list[Any], batch_size: int | None = None
) -> list[Any]:
    """Return the features of signals that are whole frames of the layer's framing."""
    n_frames = transform.tape_frames(config, batch_size)
    with COMPUTERS[engine](config, n_frames) as computer:
        return computed_by(computer, config, signals, n_frames)


def computed_by(
    computer: Computer, config: LayerConfig, signals: list[Any], n_frames: int
) -> list[Any]:
    """Return the same, of tapes of ``n_frames``."""
    framing, pieces = config.framing, []
    for signal in signals:
        count = (len(signal) - framing.n_dft) // framing.n_hop + 1
        results = np.full((count, config.n_features), np.nan, np.float32)
        pieces.append(Piece(signal, results, lambda _count, _finite: None))
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


def config_of(n_dft: int, exponent: float, mel: bool, decibel: bool = False) -> LayerConfig:
    if mel:
        return MelspectrogramConfig(
            sr=8000,
            n_mels=17,
            n_dft=n_dft,
            power_melgram=exponent,
            return_decibel_melgram=decibel,
        )
    return SpectrogramConfig(
        n_dft=n_dft, power_spectrogram=exponent, return_decibel_spectrogram=decibel
    )


LENGTHS = (2, 3, 255, 400, 512, 1999, 2048)
EXPONENTS = (0.3, 1.0, 1.7, 2.0)
KINDS = pytest.mark.parametrize("mel", [False, True], ids=["spectrogram", "melspectrogram"])


def is_computed_otherwise(n_dft: int, exponent: float, decibel: bool) -> bool:
    """Whether decibels, which are not taken here, change how the layer computes."""
    plain, other = (config_of(n_dft, exponent, False, taken) for taken in (False, decibel))
    return not decibel or plain.works_in_float64 != other.works_in_float64


@KINDS
@pytest.mark.parametrize(
    ("n_dft", "exponent", "decibel"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1]}-{'decibel' if case[2] else ''}")
        for case in itertools.product(LENGTHS, EXPONENTS, (False, True))
        if is_computed_otherwise(*case)
    ],
)
@pytest.mark.parametrize("engine", COMPUTERS)
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_a_frame_has_the_same_bits_wherever_it_lies(
    engine: str, n_dft: int, exponent: float, mel: bool, decibel: bool
) -> None:
    config = config_of(n_dft, exponent, mel, decibel)
    n_hop = config.framing.n_hop
    frame = reference.noise(1, n_dft)[0].astype(np.float32)
    others = [reference.noise(1, n_dft + n_hop * n, seed=n)[0].astype(np.float32) for n in range(9)]
    signals = [signal for other in others for signal in (other, frame)]
    n_lot = lot_frames(config)  # a tape of less than a lot, of a little more, and of many
    sizes = [transform.tape_frames(config, size) for size in (1, n_lot + 1, None)]
    first = None
    for n_frames in sizes:
        with COMPUTERS[engine](config, n_frames) as computer:
            if first is None:
                (first,) = computed_by(computer, config, [frame], n_frames)
            for results in computed_by(computer, config, signals, n_frames)[1::2]:
                assert results.tobytes() == first.tobytes()


@pytest.mark.parametrize("n_dft", [64, 256, 1999, 2048, 8192])
@pytest.mark.parametrize("n_mels", [None, 1, 17, 64, 128])
@pytest.mark.parametrize("engine", COMPUTERS)
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_frames_that_are_the_same_have_the_same_bits(
    engine: str, n_dft: int, n_mels: int | None
) -> None:
    config: LayerConfig = SpectrogramConfig(n_dft=n_dft)
    if n_mels is not None:
        config = MelspectrogramConfig(sr=44100, n_mels=n_mels, n_dft=n_dft, power_melgram=2.0)
    n_frames = 2 * lot_frames(config)
    # What repeats itself every hop is the same in every frame.
    tape = np.tile(reference.noise(1, config.framing.n_hop)[0], n_frames + 3).astype(np.float32)
    (features,) = computed(engine, config, [tape[: config.framing.n_samples(n_frames)]], n_frames)
    assert len({frame.tobytes() for frame in features}) == 1


@pytest.mark.parametrize("n_dft", LENGTHS)
@pytest.mark.parametrize("exponent", EXPONENTS)
@KINDS
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_numpy_computes_what_the_layer_does(n_dft: int, exponent: float, mel: bool) -> None:
    config = config_of(n_dft, exponent, mel)
    signal = reference.noise(1, n_dft + 100 * config.framing.n_hop)[0].astype(np.float32)
    signal[: n_dft // 2] *= 1e-4  # quiet and loud
    found, expected = (computed(engine, config, [signal])[0] for engine in ("numpy", "keras"))
    # Both are within 2e-5 of a float64 reference; they are much closer to one another.
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * expected.max())


@KINDS
@pytest.mark.parametrize("engine", COMPUTERS)
def test_what_is_not_a_number_stays_in_its_frames(engine: str, mel: bool) -> None:
    config = config_of(64, 2.0, mel)
    signal = reference.noise(1, 64 + 99 * 32)[0].astype(np.float32)
    clean = computed(engine, config, [signal], 16)[0]
    signal[1000] = np.nan
    (found,) = computed(engine, config, [signal], 16)
    touched = [frame for frame in range(100) if frame * 32 <= 1000 < frame * 32 + 64]
    assert not np.isfinite(found[touched]).any()
    others = np.delete(np.arange(100), touched)
    np.testing.assert_array_equal(found[others], clean[others])
