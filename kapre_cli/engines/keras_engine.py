"""The Keras layer itself, as one compiled function of one fixed shape."""

import warnings
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import Engine, FeatureArray
from kapre_cli.layers.filterbank import ROWS_MULTIPLE
from kapre_cli.layers.steps import in_chunks
from kapre_cli.settings import LayerConfig, Weights

_CHUNK_VALUES = 2**16  # samples of all frames of a chunk


def frames_per_chunk(config: LayerConfig) -> int:
    """Return how many frames are always computed together, for batches of any size."""
    return max(_CHUNK_VALUES // config.n_dft // ROWS_MULTIPLE, 1) * ROWS_MULTIPLE


class KerasEngine(Engine):
    """Runs the Keras layer, with TensorFlow's own threads.

    It runs on the CPU, even if there is a GPU: a training run keeps the card and its memory, and
    results do not depend on the hardware.
    """

    has_fixed_shape: ClassVar[bool] = True

    def __init__(self, config: LayerConfig, n_frames: int, weights: Weights | None = None) -> None:
        with warnings.catch_warnings():  # the command has already printed them
            warnings.simplefilter("ignore")
            if weights is None:
                layer = config.keras_layer(dtype="float32")
                layer.build((None, None, None))
            else:
                layer = config.keras_layer(weights.arrays, dtype=weights.dtype)
        signature = tf.TensorSpec((1, 1, config.framing.n_samples(n_frames)), tf.float32)
        n_chunk = frames_per_chunk(config)

        def transform(samples: Any) -> Any:
            return in_chunks(layer.transform, samples, config.framing, n_chunk)

        # No layer branches on values: AutoGraph would only take half a second.
        self._compiled = tf.function(transform, input_signature=[signature], autograph=False)
        super().__init__(config, n_frames, n_threads=1)

    @property
    def n_traces(self) -> int:
        """Number of times the layer has been traced: once, for blocks of any length."""
        return int(self._compiled.experimental_get_tracing_count())

    def _compute(self, samples: Samples, features: FeatureArray) -> None:
        with tf.device("CPU:0"):
            computed: Any = self._compiled(tf.constant(samples[np.newaxis, np.newaxis]))
        # NumPy rounds: TensorFlow turns float32's smallest numbers into zeros.
        with np.errstate(over="ignore"):  # the finiteness of features is checked later
            features[:] = computed.numpy()[0, 0]
