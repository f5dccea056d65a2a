"""The layer as one compiled function of one fixed shape, made by TensorFlow itself."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kapre_cli.pipeline.tape import Piece, Tape
from kapre_cli.time_frequency import Spectrogram

# Frames are computed by vector instructions, several values at once. A tape of a multiple of
# 16 frames leaves no odd values at its end, which would be computed by other instructions and
# could differ in the last bit.
_FRAMES_MULTIPLE = 16

_DEFAULT_VALUES = 2**21  # samples of all frames of a tape together: 8 MiB, measured to be fast


class Transform:
    """Computes pieces of signal in batches; a frame's bits do not depend on its company.

    It is the processor that computes, even beside a GPU: a training run next door keeps the
    card and its memory, and the result does not depend on whether there is one.

    Args:
        layer: The layer, whose padding and decibels are not applied here.
        batch_size: Frames computed at once, rounded up to a multiple of 16; ``None``: a number
            chosen from ``n_dft`` and ``n_hop``.

    Attributes:
        framing: The layer's.
        n_features: Values of a frame.
    """

    def __init__(self, layer: Spectrogram, batch_size: int | None = None) -> None:
        self.framing = layer.framing
        self.n_features = layer.config.n_features
        self._tape = Tape(layer.framing, tape_frames(layer, batch_size))
        layer.build((None, None, None))
        signature = tf.TensorSpec((1, 1, self._tape.n_samples), tf.float32)
        # Nothing in a layer branches on values: AutoGraph would take half a second for nothing.
        self._compiled = tf.function(layer.transform, input_signature=[signature], autograph=False)

    @property
    def n_traces(self) -> int:
        """How often the layer has been traced: once, whatever the lengths of the pieces."""
        return int(self._compiled.experimental_get_tracing_count())

    def run(self, pieces: Iterable[Piece]) -> None:
        """Compute every piece into its ``results`` and tell it so."""
        for samples, placements in self._tape.pack(pieces):
            features = self._features(samples)
            for placed in placements:
                computed = features[placed.position : placed.position + placed.count]
                placed.piece.results[placed.first : placed.first + placed.count] = computed
                placed.piece.computed(placed.count)

    def _features(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with tf.device("CPU:0"):
            computed: Any = self._compiled(tf.constant(samples[np.newaxis, np.newaxis]))
        features: npt.NDArray[np.float32] = computed.numpy()[0, 0]
        return features


def tape_frames(layer: Spectrogram, batch_size: int | None) -> int:
    """Return how many frames a tape has: ``batch_size``, or a size that suits the layer."""
    wanted = batch_size or _DEFAULT_VALUES // max(layer.n_dft, layer.n_hop)
    return max(-(-wanted // _FRAMES_MULTIPLE), 1) * _FRAMES_MULTIPLE
