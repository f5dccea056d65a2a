"""The engines, NumPy and the Keras layer: exact, and bit-identical whatever else is in a batch."""

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest

from kapre_cli.engines.batches import ChannelBlock, Engine, NumpyEngine, batch_frames, run_batches
from kapre_cli.engines.keras_engine import KerasEngine, frames_per_chunk
from kapre_cli.extraction.compute import engine_for
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.layers.filterbank import ROWS_MULTIPLE, BandSums, filterbank_of
from kapre_cli.osutil import n_processors
from kapre_cli.settings import (
    STANDARD_OUTPUT,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
)
from tests import reference

ENGINES: dict[str, Any] = {"numpy": NumpyEngine, "keras": KerasEngine}


def blocks_of(config: LayerConfig, signals: list[Any]) -> list[ChannelBlock]:
    """Return blocks of signals that are whole frames of the layer's framing."""
    framing = config.framing
    blocks = []
    for signal in signals:
        count = (len(signal) - framing.n_dft) // framing.n_hop + 1
        results = np.full((count, config.n_features), np.nan, np.float32)
        blocks.append(ChannelBlock(signal, results, lambda _count, _finite: None))
    return blocks


def computed(
    engine: str,
    config: LayerConfig,
    signals: list[Any],
    batch_size: int | None = None,
    **threads: int,
) -> list[Any]:
    """Return the features of such signals."""
    n_frames = batch_frames(config, batch_size)
    with ENGINES[engine](config, n_frames, **threads) as running:
        return run_by(running, config, signals, n_frames)


def run_by(engine: Engine, config: LayerConfig, signals: list[Any], n_frames: int) -> list[Any]:
    """Return the same, of an engine whose batches have ``n_frames``."""
    blocks = blocks_of(config, signals)
    run_batches(blocks, config.framing, n_frames, engine)
    return [block.results for block in blocks]


def test_all_batches_go_through_one_trace() -> None:
    config = SpectrogramConfig(n_dft=64, n_hop=16)
    signals = [reference.noise(1, config.framing.n_samples(n))[0] for n in (32, 5, 40)]
    with KerasEngine(config, 32) as engine:
        run_batches(blocks_of(config, signals), config.framing, 32, engine)
        assert engine.n_traces == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("exponent", [0.999, 1.0])  # the first is computed in float64
def test_what_float32_cannot_hold_is_not_finite(engine: str, exponent: float) -> None:
    config = SpectrogramConfig(n_dft=64, power_spectrogram=exponent)
    loud = np.full(config.framing.n_samples(16), 3e38, np.float32)
    (features,) = computed(engine, config, [loud])
    assert not np.isfinite(features[:, 0]).any()


def config_of(n_dft: int, exponent: float, mel: bool, decibel: bool = False) -> SpectrogramConfig:
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
LAYERS = pytest.mark.parametrize("n_dft", LENGTHS)


def is_computed_otherwise(engine: str, n_dft: int, exponent: float) -> bool:
    """Whether decibels, which are not taken here, change how an engine computes."""
    plain, decibel = (config_of(n_dft, exponent, False, taken) for taken in (False, True))
    return engine == "numpy" or plain.works_in_float64 != decibel.works_in_float64


@KINDS
@pytest.mark.parametrize(
    ("engine", "n_dft", "exponent", "decibel"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[1]}-{case[2]}-{'decibel' if case[3] else ''}")
        for case in itertools.product(ENGINES, LENGTHS, EXPONENTS, (False, True))
        if not case[3] or is_computed_otherwise(*case[:3])
    ],
)
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_a_frame_has_the_same_bits_wherever_it_lies(
    engine: str, n_dft: int, exponent: float, mel: bool, decibel: bool
) -> None:
    config = config_of(n_dft, exponent, mel, decibel)
    n_hop = config.framing.n_hop
    frame = reference.noise(1, n_dft)[0].astype(np.float32)
    others = [reference.noise(1, n_dft + n_hop * n, seed=n)[0].astype(np.float32) for n in range(9)]
    signals = [signal for other in others for signal in (other, frame)]
    n_chunk = frames_per_chunk(config)  # a batch of less than a lot, of a little more, and of many
    first = None
    for size in (1, n_chunk + 1, None):
        n_frames = batch_frames(config, size)
        with ENGINES[engine](config, n_frames) as running:
            if first is None:
                first = run_by(running, config, [frame], n_frames)[0].tobytes()
            for results in run_by(running, config, signals, n_frames)[1::2]:
                assert results.tobytes() == first


@pytest.mark.parametrize("n_dft", [64, 256, 1999, 2048, 8192])
@pytest.mark.parametrize("n_mels", [None, 1, 17, 64, 128])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.EmptyMelBandsWarning")
def test_frames_that_are_the_same_have_the_same_bits(
    engine: str, n_dft: int, n_mels: int | None
) -> None:
    config: LayerConfig = SpectrogramConfig(n_dft=n_dft)
    if n_mels is not None:
        config = MelspectrogramConfig(sr=44100, n_mels=n_mels, n_dft=n_dft, power_melgram=2.0)
    n_frames = 2 * frames_per_chunk(config)
    # What repeats itself every hop is the same in every frame.
    tape = np.tile(reference.noise(1, config.framing.n_hop)[0], n_frames + 3).astype(np.float32)
    (features,) = computed(engine, config, [tape[: config.framing.n_samples(n_frames)]], n_frames)
    assert len({frame.tobytes() for frame in features}) == 1


@LAYERS
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


@pytest.mark.parametrize("n_dft", [255, 400, 512, 1999, 2048, 8192])
@pytest.mark.parametrize("exponent", EXPONENTS)
@KINDS
@pytest.mark.parametrize("decibel", [False, True], ids=["", "decibel"])
def test_numpy_computes_what_the_reference_does(
    n_dft: int, exponent: float, mel: bool, decibel: bool
) -> None:
    """In decibels, the features before the logarithm have the precision of float32 or double."""
    config = config_of(n_dft, exponent, mel, decibel)
    signal = reference.noise(1, n_dft + 100 * config.framing.n_hop)[0].astype(np.float32)
    signal[: n_dft // 2] *= 1e-4
    (found,) = computed("numpy", config, [signal])
    layer: dict[str, Any] = {"n_dft": n_dft, "n_hop": config.framing.n_hop, "exponent": exponent}
    of_reference: Any = reference.spectrogram
    if mel:
        of_reference, layer = reference.melspectrogram, layer | {"sr": 8000, "n_mels": 17}
    (expected,) = of_reference(signal[np.newaxis], padding="valid", **layer)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * expected.max())
    if decibel:
        audible = expected > expected.max() * 1e-8
        np.testing.assert_allclose(found[audible], expected[audible], rtol=1e-6)


@pytest.mark.parametrize("n_dft", [1024, 2002, 4004])
def test_numpys_decibels_of_sweeps_are_exact(n_dft: int) -> None:
    """A float32 transform of a sweep is at times 0.01 dB off where it is 80 dB down."""
    random = np.random.default_rng(1)
    time = np.arange(n_dft)
    config = SpectrogramConfig(n_dft=n_dft, n_hop=n_dft, return_decibel_spectrogram=True)
    start, rate = random.uniform(0, 0.5, (300, 1)), random.uniform(0, 0.02, (300, 1)) / n_dft
    sweeps = np.sin(2 * np.pi * (start + rate * time) * time).astype(np.float32)
    (found,) = computed("numpy", config, [sweeps.ravel()])
    expected = reference.power(sweeps.reshape(1, -1), n_dft, n_dft, "valid")[0]
    audible = expected > expected.max(axis=1, keepdims=True) * 1e-8
    off = 10 * np.log10(found[audible] / expected[audible])
    assert np.abs(off).max() < 1e-5


@pytest.mark.parametrize("mel", [False, True])
@pytest.mark.parametrize("n_dft", [64, 2048, 8192])
def test_the_number_of_threads_changes_no_bit(n_dft: int, mel: bool) -> None:
    config = config_of(n_dft, 2.0, mel)
    signal = reference.noise(1, config.framing.n_samples(333))[0].astype(np.float32)
    one, three = (computed("numpy", config, [signal], 16, n_threads=n)[0] for n in (1, 3))
    assert one.tobytes() == three.tobytes()


@pytest.mark.parametrize(("rounded", "n_rows"), [(0, ROWS_MULTIPLE), (5, 1)])
def test_frames_are_multiplied_alone_where_rows_differ(
    rounded: int, n_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some libraries round the last rows of a product in another way; here it is made so."""
    multiply = np.matmul

    def differing(a: Any, b: Any, out: Any) -> None:
        multiply(a, b, out=out)
        if a.shape[-2] > 1:
            out[..., a.shape[-2] - rounded :, :] *= np.float32(1.0000001)

    monkeypatch.setattr(np, "matmul", differing)
    config = MelspectrogramConfig(sr=8000, n_mels=17, n_dft=256)
    sums = BandSums(filterbank_of(config), ROWS_MULTIPLE, np.float32)
    assert sums.n_rows == n_rows
    power = np.tile(reference.noise(1, 129)[0] ** 2, (ROWS_MULTIPLE, 1)).astype(np.float32)
    found = np.empty((ROWS_MULTIPLE, 17), np.float32)
    sums.sum_bands(power, found)
    assert len({row.tobytes() for row in found}) == 1
    np.testing.assert_allclose(found[0], filterbank_of(config).dense() @ power[0], rtol=1e-5)


@pytest.mark.parametrize(("engine", "n_computed"), [("numpy", [160, 16]), ("keras", [160, 160])])
def test_a_batch_that_is_partly_filled_costs_what_is_filled(
    engine: str, n_computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Keras layer is compiled for one shape."""
    compute, computes = ENGINES[engine]._compute, []

    def counting(self: Any, samples: Any, features: Any) -> None:
        computes.append(len(features))
        compute(self, samples, features)

    monkeypatch.setattr(ENGINES[engine], "_compute", counting)
    config = SpectrogramConfig(n_dft=64)
    signal = reference.noise(1, config.framing.n_samples(163))[0].astype(np.float32)
    computed(engine, config, [signal], 160)
    assert sorted(computes) == sorted(n_computed)


def test_an_engine_has_as_many_threads_as_it_is_given() -> None:
    def settings(engine: str) -> ExtractionSettings:
        output = OutputSettings(path=STANDARD_OUTPUT, format="npy-stream")
        layer, audio = SpectrogramConfig(n_dft=64), AudioSettings(sr=8000)
        return ExtractionSettings(layer=layer, audio=audio, output=output, engine=engine)

    for n_threads, expected in ((None, n_processors()), (1, 1), (5, 5)):
        with engine_for(settings("auto"), 16, n_threads) as engine:
            assert isinstance(engine, NumpyEngine)
            assert engine._threads._max_workers == expected
    with engine_for(settings("keras"), 16) as other:
        assert isinstance(other, KerasEngine)


@KINDS
@pytest.mark.parametrize("engine", ENGINES)
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


def tell(told: dict[int, bool], number: int, _count: int, peak: float) -> None:
    told[number] = math.isfinite(peak)


def test_features_that_are_not_finite_are_told_of_their_own_segment() -> None:
    config = SpectrogramConfig(n_dft=64)
    blocks = blocks_of(config, [reference.noise(1, 640)[0].astype(np.float32)] * 3)
    blocks[1].samples = blocks[1].samples * np.float32(np.nan)
    told: dict[int, bool] = {}
    for number, block in enumerate(blocks):
        block.computed = partial(tell, told, number)
    with NumpyEngine(config, 160) as engine:
        run_batches(blocks, config.framing, 160, engine)
    assert told == {0: True, 1: False, 2: True}
