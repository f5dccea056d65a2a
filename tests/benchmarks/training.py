"""The layers beside those of Keras and of kapre 0.4, in graphs, predictions and training steps.

    python -m tests.benchmarks.training

Each layer runs on one batch of noise: as a ``tf.function``; in ``model.predict``; in ``model.fit``,
as the first layer of a model; and there behind a layer that is trained, so that gradients pass
through it. In models, the mean of its output goes into a dense layer. A model of the same mean and
dense layer without it takes its turn too, and its time is subtracted: it is that of Keras' loop.
The contenders take turns; what is printed are medians in milliseconds a batch, and ratios, as a
Markdown table. All run on the processor even beside a GPU.

kapre is no dependency: ``pip install --no-deps kapre==0.4.1`` adds it. Where it is missing, it
is not measured. It has no trained kernels, and neither it nor Keras has a mel matrix that is
trained: beside ours stand their frozen ones.
"""

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kapre_cli import Melspectrogram, Spectrogram
from tests.benchmarks.layers import keras_magnitudes, keras_mel_bands
from tests.benchmarks.report import machine, table, tell

try:
    kapre: Any = importlib.import_module("kapre")
except ImportError:
    kapre = None

Signals = npt.NDArray[np.float32]
Layers = list[Any]
Run = Callable[[], Any]

OURS, KAPRE, KERAS, NONE = "ours", "kapre", "Keras", "no layer"
LIBRARIES = ("tensorflow", "keras", "kapre", "numpy")
SIZES = ((512, 256), (512, 128), (2048, 512))
N_MELS = {512: 64, 2048: 128}
CALLS = 5  # of a tf.function, in each round


@dataclass(frozen=True)
class Contender:
    """Layers that do the same as others.

    Attributes:
        make: Makes them; their output has the axes ``(batch, ..., channel)``.
        axis: Where the channel axis stands in their input; ``None``: it has none.
    """

    make: Callable[[], Layers]
    axis: int | None


def magnitudes(
    n_dft: int, n_hop: int, _sr: int, *, is_trained: bool = False
) -> dict[str, Contender]:
    """Return the layers for magnitudes, with trained kernels or with none."""
    keras_layer = partial(keras_magnitudes, n_dft, n_hop, trainable=is_trained)
    ours = partial(Spectrogram, n_dft, n_hop, power_spectrogram=1.0, trainable_kernel=is_trained)
    contenders = {OURS: Contender(lambda: [ours()], 1)}
    if kapre and not is_trained:
        stft = partial(_kapre_stft, n_dft, n_hop)
        contenders[KAPRE] = Contender(lambda: [stft(), kapre.Magnitude()], 1)
    return {**contenders, KERAS: Contender(lambda: [keras_layer()], 2)}


def mel_bands(n_dft: int, n_hop: int, sr: int, *, is_trained: bool = False) -> dict[str, Contender]:
    """Return the layers for mel bands: ours of power, those of the others of magnitudes.

    kapre's layers are those of its ``get_melspectrogram_layer``.
    """
    n_mels = N_MELS[n_dft]
    ours = partial(
        Melspectrogram,
        sr,
        n_mels,
        power_melgram=2.0,
        n_dft=n_dft,
        n_hop=n_hop,
        trainable_fb=is_trained,
    )
    theirs = partial(keras_mel_bands, n_dft, n_hop, sr, n_mels)
    contenders = {OURS: Contender(lambda: [ours()], 1)}
    if kapre:
        bank = {"sample_rate": sr, "n_freq": n_dft // 2 + 1, "n_mels": n_mels}
        contenders[KAPRE] = Contender(
            lambda: [
                _kapre_stft(n_dft, n_hop),
                kapre.Magnitude(),
                kapre.ApplyFilterbank("mel", bank, data_format="channels_last"),
            ],
            1,
        )
    reshape = partial(keras.layers.Reshape, (n_mels, -1, 1))
    return {**contenders, KERAS: Contender(lambda: [theirs(), reshape()], None)}


def _kapre_stft(n_dft: int, n_hop: int) -> Any:
    formats = {"input_data_format": "channels_first", "output_data_format": "channels_last"}
    return kapre.STFT(n_fft=n_dft, hop_length=n_hop, pad_end=True, **formats)


class Gain(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Multiplies with a trained number."""

    def build(self, _input_shape: Any) -> None:
        """Create the number."""
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, inputs: Any) -> Any:
        """Return the product."""
        return inputs * self.gain


def function(layers: Layers, signals: Signals, _n_steps: int) -> tuple[Run, int]:
    """Return calls of a graph, and how many they are."""
    compiled = tf.function(keras.Sequential([_input(signals), *layers]), autograph=False)
    batch = tf.constant(signals)

    def run() -> None:
        for _ in range(CALLS):
            compiled(batch).numpy()

    return run, CALLS


def predict(layers: Layers, signals: Signals, n_steps: int) -> tuple[Run, int]:
    """Return a prediction of many batches, and how many they are."""
    model = _model(layers, signals)
    batches = tf.data.Dataset.from_tensors(signals).repeat(n_steps)
    return lambda: model.predict(batches, verbose=0), n_steps


def fit(layers: Layers, signals: Signals, n_steps: int) -> tuple[Run, int]:
    """Return an epoch of many steps, and how many they are."""
    model = _model(layers, signals)
    model.compile("sgd", "mse")
    pair = signals, np.zeros((len(signals), 2), np.float32)
    batches = tf.data.Dataset.from_tensors(pair).repeat(n_steps)
    return lambda: model.fit(batches, verbose=0), n_steps


def fit_through(layers: Layers, signals: Signals, n_steps: int) -> tuple[Run, int]:
    """Return an epoch of a model that trains a layer before these ones."""
    return fit([Gain(), *layers], signals, n_steps)


def _model(layers: Layers, signals: Signals) -> Any:
    mean = keras.layers.GlobalAveragePooling2D(data_format="channels_last")
    return keras.Sequential([_input(signals), *layers, mean, keras.layers.Dense(2)])


def _input(signals: Signals) -> Any:
    return keras.Input(signals.shape[1:])


WAYS = {
    "tf.function": function,
    "predict": predict,
    "fit": fit,
    "fit, gradient through it": fit_through,
}
LAYERS: dict[str, tuple[Callable[..., dict[str, Contender]], tuple[str, ...]]] = {
    "magnitudes": (magnitudes, tuple(WAYS)),
    "mel bands": (mel_bands, tuple(WAYS)),
    "trained kernels": (partial(magnitudes, is_trained=True), ("tf.function", "predict", "fit")),
    "trained mel matrix": (partial(mel_bands, is_trained=True), ("fit",)),
}


def main() -> None:
    """Time all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed")
    parser.add_argument("--batch", type=int, default=16, metavar="N", help="examples in a batch")
    parser.add_argument("--seconds", type=float, default=1.0, help="audio in an example")
    parser.add_argument("--sr", type=int, default=44100, help="samples in a second")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="batches of a model")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="time all threads of this process, for a machine that does other work",
    )
    parser.add_argument("--only", choices=LAYERS, nargs="+", default=list(LAYERS))
    given = parser.parse_args()
    clock = time.process_time if given.processor_time else time.perf_counter
    shape = (given.batch, round(given.seconds * given.sr))
    signals = 0.1 * np.random.default_rng(0).standard_normal(shape, np.float32)
    rows = []
    for name in given.only:
        make, ways = LAYERS[name]
        for n_dft, n_hop in SIZES:
            for way in ways:
                contenders = make(n_dft, n_hop, given.sr)
                runs = _runs(contenders, way, signals, given.steps)
                took = _alternating(runs, given.rounds, clock)
                rows.append((f"{name}, {n_dft}, {n_hop}", way, *_figures(took)))
                sys.stderr.write(" | ".join(rows[-1]) + "\n")
    if not kapre:
        tell("kapre 0.4 is not installed, and not measured.\n")
    tell(
        f"Batches of {given.batch} examples of {given.seconds:g} s at {given.sr} Hz, {given.steps} "
        f"of them for a model; medians of {given.rounds} rounds in turns, "
        f"{'of processor' if given.processor_time else 'of wall'} time.\n"
    )
    header = ("n_dft, n_hop", "in", "ours ms", "kapre ms", "Keras ms", "ours / kapre")
    tell(table((*header, "ours / Keras", "subtracted ms"), rows) + "\n")
    tell(machine(LIBRARIES))


def _runs(
    contenders: Mapping[str, Contender], way: str, signals: Signals, n_steps: int
) -> dict[str, tuple[Run, int]]:
    runs = {}
    for name, one in contenders.items():
        inputs = signals if one.axis is None else np.expand_dims(signals, one.axis)
        runs[name] = WAYS[way](one.make(), inputs, n_steps)
    if way != "tf.function":
        reshape = keras.layers.Reshape((1, -1, 1))
        runs[NONE] = WAYS[way]([reshape], signals, n_steps)
    return runs


def _alternating(
    runs: Mapping[str, tuple[Run, int]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Return the median of the milliseconds that each takes for a batch.

    A round before the first, in which graphs are traced, is not timed.
    """
    took: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        # The other way round in every second round.
        for name in list(runs)[:: 1 if number % 2 else -1]:
            run, n_batches = runs[name]
            begun = clock()
            run()
            if number:
                took[name].append(1e3 * (clock() - begun) / n_batches)
    return {name: statistics.median(times) for name, times in took.items()}


def _figures(took: Mapping[str, float]) -> Sequence[str]:
    without = took.get(NONE, 0.0)
    net = {name: one - without for name, one in took.items() if name != NONE}
    times = [f"{net[name]:.1f}" if name in net else "-" for name in (OURS, KAPRE, KERAS)]
    ratios = [f"{net[OURS] / net[name]:.2f}" if name in net else "-" for name in (KAPRE, KERAS)]
    return [*times, *ratios, f"{without:.1f}" if without else "-"]


if __name__ == "__main__":
    main()
