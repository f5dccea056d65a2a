"""The transform of the NumPy engine beside others, and the engine itself.

    python -m tests.benchmarks.transforms

The Fourier transforms of a lot of frames by NumPy and SciPy take turns in one thread, and so do the
engines of some layers with the plain steps in fresh memory that they replace: window, ``rfft``,
squares, mel matrix, root. What is printed are medians, in microseconds of processor time a frame,
as Markdown tables. For each number of frames in a lot there is a row.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import scipy.fft

from kapre_cli.engines.batches import NumpyEngine, batch_frames
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig, dsp
from kapre_cli.layers.filterbank import filterbank_of
from tests.benchmarks.report import machine, table, tell

SR = 44100
LENGTHS = (256, 400, 512, 1000, 1024, 2048, 4096)
LOT_VALUES = (2**15, 2**16, 2**17)
SECONDS = 0.01  # that a way runs for before the next takes its turn


def main() -> None:
    """Time every way, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15, help="how often each is timed")
    parser.add_argument("--n-dft", type=int, nargs="+", default=LENGTHS)
    given = parser.parse_args()
    rows = []
    for n_dft in given.n_dft:
        for values in LOT_VALUES:
            took = _alternating(_transforms(n_dft, values // n_dft), given.rounds)
            rows.append((f"{n_dft}, {values // n_dft} frames", *_figures(took)))
    tell(table(("n_dft", *took), rows) + "\n")
    rows = []
    for n_dft in given.n_dft:
        for name, config in _layers(n_dft).items():
            took = _alternating(_engines(config), given.rounds)
            ratio = took["engine"] / took["plain steps"]
            rows.append((f"{name}, n_dft {n_dft}", *_figures(took), f"{ratio:.2f}"))
    tell(table(("layer", *took, "ratio"), rows) + "\n")
    tell(machine(("numpy", "scipy")))


def _transforms(n_dft: int, n_frames: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Return ways to transform some frames, and how many there are."""
    single = np.random.default_rng(0).standard_normal((n_frames, n_dft), np.float32)
    double = single.astype(np.float64)
    shape = (n_frames, n_dft // 2 + 1)
    of_single: Any = np.empty(shape, np.complex64)  # NumPy's types know of double precision alone
    of_double = np.empty(shape, np.complex128)
    scipys = single.copy()
    ways: dict[str, Callable[[], object]] = {
        "NumPy, float32": lambda: np.fft.rfft(single),
        "float32, scaled, out=": lambda: np.fft.rfft(single, norm="forward", out=of_single),
        "float64": lambda: np.fft.rfft(double),
        "float64, out=": lambda: np.fft.rfft(double, out=of_double),
        "SciPy, float32": lambda: scipy.fft.rfft(single, workers=1),
        "float32, overwrite_x": lambda: scipy.fft.rfft(scipys, workers=1, overwrite_x=True),
        "SciPy, float64": lambda: scipy.fft.rfft(double, workers=1),
    }
    return {name: (way, n_frames) for name, way in ways.items()}


def _layers(n_dft: int) -> dict[str, SpectrogramConfig]:
    n_hop, n_mels = n_dft // 4, 128 if n_dft >= 1000 else 64
    return {
        "power": SpectrogramConfig(n_dft=n_dft, n_hop=n_hop),
        "power in dB": SpectrogramConfig(n_dft=n_dft, n_hop=n_hop, return_decibel_spectrogram=True),
        "magnitude in dB": SpectrogramConfig(
            n_dft=n_dft, n_hop=n_hop, power_spectrogram=1.0, return_decibel_spectrogram=True
        ),
        "mel magnitude": MelspectrogramConfig(sr=SR, n_mels=n_mels, n_dft=n_dft, n_hop=n_hop),
        "mel power in dB": MelspectrogramConfig(
            sr=SR,
            n_mels=n_mels,
            n_dft=n_dft,
            n_hop=n_hop,
            power_melgram=2.0,
            return_decibel_melgram=True,
        ),
        "mel magnitude in dB": MelspectrogramConfig(
            sr=SR, n_mels=n_mels, n_dft=n_dft, n_hop=n_hop, return_decibel_melgram=True
        ),
    }


def _engines(config: SpectrogramConfig) -> dict[str, tuple[Callable[[], object], int]]:
    """Return the engine for a batch, the plain steps for it, and its frames."""
    n_frames = batch_frames(config)
    random = np.random.default_rng(0)
    samples = 0.1 * random.standard_normal(config.framing.n_samples(n_frames), np.float32)
    features = np.empty((n_frames, config.n_features), np.float32)
    dtype = np.float64 if config.works_in_float64 else np.float32
    window = dsp.hann(config.n_dft).astype(dtype)
    matrix = None
    if isinstance(config, MelspectrogramConfig):
        matrix = filterbank_of(config).dense().T.astype(dtype)
    frames = np.lib.stride_tricks.sliding_window_view(samples, config.n_dft)
    frames = frames[:: config.framing.n_hop]

    def plain_steps() -> None:
        for first in range(0, n_frames, 64):
            spectra = np.fft.rfft(frames[first : first + 64] * window)
            power = spectra.real**2 + spectra.imag**2
            values = power if matrix is None else power @ matrix
            features[first : first + 64] = values ** (config.power / 2)

    engine = NumpyEngine(config, n_frames, 1)
    engine.close()  # it computes in this thread
    return {
        "plain steps": (plain_steps, n_frames),
        "engine": (lambda: engine._compute(samples, features), n_frames),
    }


def _alternating(
    ways: Mapping[str, tuple[Callable[[], object], int]], rounds: int
) -> dict[str, float]:
    """Return the median of the microseconds of processor time a frame that each way takes."""
    repeats = {}
    for name, (way, _) in ways.items():
        way()
        begun = time.thread_time()
        way()
        repeats[name] = max(int(SECONDS / max(time.thread_time() - begun, 1e-6)), 1)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, n_frames) in ways.items():
            begun = time.thread_time()
            for _ in range(repeats[name]):
                way()
            took[name].append((time.thread_time() - begun) / repeats[name] / n_frames * 1e6)
    return {name: statistics.median(times) for name, times in took.items()}


def _figures(took: Mapping[str, float]) -> Sequence[str]:
    return [f"{median:.2f}" for median in took.values()]


if __name__ == "__main__":
    main()
