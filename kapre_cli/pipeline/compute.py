"""The Keras layer itself, as one compiled function of one fixed shape."""

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from kapre_cli.audio.samples import Samples
from kapre_cli.pipeline.transform import Computer, Features
from kapre_cli.settings import LayerConfig
from kapre_cli.time_frequency import layer_of
from kapre_cli.time_frequency.steps import in_pieces

# Products of matrices take 6, 8, 12 or 24 rows at once, as suits the processor, and what is left
# over in another way, which may round otherwise. Lots of a multiple of 48 frames leave none over.
_FRAMES_MULTIPLE = 48
_LOT_VALUES = 2**16  # samples of all frames of a lot together


def lot_frames(config: LayerConfig) -> int:
    """Return how many frames are always computed together, whatever the size of a tape."""
    return max(_LOT_VALUES // config.n_dft // _FRAMES_MULTIPLE, 1) * _FRAMES_MULTIPLE


class CompiledLayer:
    """Computes the frames of a tape; a frame's bits do not depend on its company.

    It is the processor that computes, even beside a GPU: a training run next door keeps the
    card and its memory, and the result does not depend on whether there is one.

    Args:
        config: The layer's arguments; its padding and decibels are not applied here.
        n_frames: Frames of a tape.
    """

    def __init__(self, config: LayerConfig, n_frames: int) -> None:
        with warnings.catch_warnings():  # the command has said them already
            warnings.simplefilter("ignore")
            layer = layer_of(config, dtype="float32")
        layer.build((None, None, None))
        signature = tf.TensorSpec((1, 1, layer.framing.n_samples(n_frames)), tf.float32)
        n_lot = lot_frames(config)

        def transform(tape: Any) -> Any:
            return in_pieces(layer.transform, tape, layer.framing, n_lot)

        # Nothing in a layer branches on values: AutoGraph would take half a second for nothing.
        self._compiled = tf.function(transform, input_signature=[signature], autograph=False)

    @property
    def n_traces(self) -> int:
        """How often the layer has been traced: once, whatever the lengths of the pieces."""
        return int(self._compiled.experimental_get_tracing_count())

    def __call__(self, samples: Samples) -> Features:
        """Return the features of a tape, shape ``(n_frames, n_features)``."""
        with tf.device("CPU:0"):
            computed: Any = self._compiled(tf.constant(samples[np.newaxis, np.newaxis]))
        # Not by TensorFlow, which makes zeros of float32's smallest numbers.
        with np.errstate(over="ignore"):  # the finiteness of features is checked later
            features: Features = computed.numpy()[0, 0].astype(np.float32, copy=False)
        return features


class LayerComputer(Computer):
    """Runs the Keras layer, which has threads of TensorFlow's to spread over.

    Args:
        config: The layer's arguments.
        n_frames: Frames of a tape.
    """

    def __init__(self, config: LayerConfig, n_frames: int) -> None:
        self._layer = CompiledLayer(config, n_frames)
        super().__init__(config, n_frames, 1)

    def _compute(self, samples: Samples, features: Features) -> None:
        features[:] = self._layer(samples)
