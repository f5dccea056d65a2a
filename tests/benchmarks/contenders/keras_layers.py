"""``keras.layers.MelSpectrogram``, a file's channels as a batch, in a loop over the files."""

import functools
from typing import Any

import keras
import tensorflow as tf

from tests.benchmarks.contenders.task import Array, Task, told
from tests.benchmarks.contenders.writing import write_each


@functools.cache
def compiled(sr: int, n_dft: int, n_hop: int, n_mels: int) -> Any:
    """Return the layer as one graph for all lengths: 4 to 20 times as fast as a bare call."""
    layer = keras.layers.MelSpectrogram(
        fft_length=n_dft,
        sequence_stride=n_hop,
        sampling_rate=sr,
        num_mel_bins=n_mels,
        min_freq=0.0,
    )
    signature = [tf.TensorSpec((None, None), tf.float32)]
    return tf.function(layer, input_signature=signature, autograph=False)


def features(task: Task, samples: Array, sr: int) -> Array:
    """Return the features of one file; the layer's decibels are not relative to its maximum."""
    layer = compiled(sr, task.n_dft, task.n_hop, task.n_mels)
    decibels: Array = layer(samples).numpy()
    return decibels - decibels.max()


if __name__ == "__main__":
    write_each(told(), features)
