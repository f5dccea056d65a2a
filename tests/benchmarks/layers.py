"""The frozen layers beside those of Keras, inside a TensorFlow graph.

    python -m tests.benchmarks.layers

Each pair is run as a ``tf.function`` on one batch, and inside a model by ``model.predict`` on many
batches. The two take turns; what is printed are medians, how many seconds of audio each takes in a
second, and the ratio of the times, as a Markdown table. The signals are noise at 44.1 kHz, one
channel, and the layers run on the processor even beside a GPU.

``keras.layers.STFTSpectrogram`` and this project's ``Spectrogram`` give magnitudes,
``keras.layers.MelSpectrogram`` and ``Melspectrogram`` the power in mel bands, not in decibels.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kapre_cli import Melspectrogram, Spectrogram
from tests.benchmarks.report import machine, table, tell

Signals = npt.NDArray[np.float32]
Run = Callable[[], Any]

SR = 44100
N_MELS = 128
OURS, KERAS = "ours", "keras"
LIBRARIES = ("tensorflow", "keras", "numpy")


@dataclass(frozen=True)
class Pair:
    """Two layers that do the same.

    Attributes:
        name: What the table calls them.
        ours: Makes this project's.
        theirs: Makes Keras'.
        axis: Where the channel axis stands in the input of Keras' layer; ``None``: it has none.
    """

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    axis: int | None


def keras_magnitudes(n_dft: int, n_hop: int, *, trainable: bool = False) -> Any:
    """Return Keras' layer for magnitudes."""
    return keras.layers.STFTSpectrogram(
        mode="magnitude",
        frame_length=n_dft,
        frame_step=n_hop,
        fft_length=n_dft,
        scaling=None,
        periodic=True,
        padding="same",
        expand_dims=True,
        trainable=trainable,
    )


def keras_mel_bands(n_dft: int, n_hop: int, sr: int, n_mels: int) -> Any:
    """Return Keras' layer for mel bands."""
    return keras.layers.MelSpectrogram(
        fft_length=n_dft,
        sequence_stride=n_hop,
        sampling_rate=sr,
        num_mel_bins=n_mels,
        min_freq=0.0,
        power_to_db=False,
    )


def magnitudes(n_dft: int, n_hop: int) -> Pair:
    """Return the layers for magnitudes."""
    return Pair(
        f"magnitudes, n_dft {n_dft}, n_hop {n_hop}",
        lambda: Spectrogram(n_dft, n_hop, power_spectrogram=1.0),
        lambda: keras_magnitudes(n_dft, n_hop),
        axis=2,
    )


def mel_bands(n_dft: int, n_hop: int) -> Pair:
    """Return the layers for power in mel bands."""
    return Pair(
        f"{N_MELS} mel bands, n_dft {n_dft}, n_hop {n_hop}",
        lambda: Melspectrogram(SR, N_MELS, power_melgram=2.0, n_dft=n_dft, n_hop=n_hop),
        lambda: keras_mel_bands(n_dft, n_hop, SR, N_MELS),
        axis=None,
    )


PAIRS = (magnitudes(512, 256), magnitudes(2048, 512), mel_bands(2048, 512))


def main() -> None:
    """Time every pair, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="examples in a batch")
    parser.add_argument("--seconds", type=float, default=10.0, help="audio in an example")
    parser.add_argument("--batches", type=int, default=8, metavar="N", help="for model.predict")
    given = parser.parse_args()
    n_samples = round(given.seconds * SR)
    shape = (given.batches * given.batch, n_samples)
    signals = 0.1 * np.random.default_rng(0).standard_normal(shape, np.float32)
    rows = []
    for pair in PAIRS:
        ways = {
            "tf.function": (_functions(pair, signals[: given.batch]), given.batch),
            "model.predict": (_models(pair, signals, given.batch), len(signals)),
        }
        for way, (runs, n_examples) in ways.items():
            took = _alternating(runs, given.rounds)
            rows.append((pair.name, way, *_figures(took, n_examples * given.seconds)))
            sys.stderr.write(f"{pair.name}, {way}\n")
    header = (
        "",
        "in",
        "ours ms",
        "Keras ms",
        "ours / Keras",
        "ours x real time",
        "Keras x real time",
    )
    tell(
        f"Batches of {given.batch} examples of {given.seconds:g} s at {SR} Hz, {given.batches} of "
        f"them for model.predict; medians of {given.rounds} rounds in turns.\n"
    )
    tell(table(header, rows) + "\n")
    tell(machine(LIBRARIES))


def _functions(pair: Pair, signals: Signals) -> dict[str, Run]:
    """Return each layer as a graph of its own, applied to one batch."""

    def run(layer: Any, inputs: Signals) -> Run:
        batch = tf.constant(inputs)
        layer.build(batch.shape)
        compiled = tf.function(layer, autograph=False)
        return lambda: compiled(batch).numpy()

    return {
        OURS: run(pair.ours(), signals[:, np.newaxis]),
        KERAS: run(pair.theirs(), _theirs(pair, signals)),
    }


def _models(pair: Pair, signals: Signals, n_batch: int) -> dict[str, Run]:
    """Return the prediction of a model of each layer, for all batches."""

    def run(layer: Any, inputs: Signals) -> Run:
        model = keras.Sequential([keras.Input(inputs.shape[1:]), layer])
        return lambda: model.predict(inputs, batch_size=n_batch, verbose=0)

    return {
        OURS: run(pair.ours(), signals[:, np.newaxis]),
        KERAS: run(pair.theirs(), _theirs(pair, signals)),
    }


def _theirs(pair: Pair, signals: Signals) -> Signals:
    return signals if pair.axis is None else np.expand_dims(signals, pair.axis)


def _alternating(runs: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Return the median of the seconds that each takes.

    A round before the first, in which graphs are traced, is not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _figures(took: Mapping[str, float], audio_seconds: float) -> list[str]:
    return [
        f"{1e3 * took[OURS]:,.1f}",
        f"{1e3 * took[KERAS]:,.1f}",
        f"{took[OURS] / took[KERAS]:.2f}",
        f"{audio_seconds / took[OURS]:,.0f}",
        f"{audio_seconds / took[KERAS]:,.0f}",
    ]


if __name__ == "__main__":
    main()
