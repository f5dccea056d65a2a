"""The engine that computes the transform of a layer with NumPy."""

import threading
from typing import ClassVar

import numpy as np

from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import Engine, Features
from kapre_cli.framing import spans
from kapre_cli.layers.transform import FrameTransform
from kapre_cli.osutil import n_processors
from kapre_cli.settings import LayerConfig

_BUFFER_VALUES = 2**10  # that NumPy converts to another type at once: they stay in the cache


class NumpyEngine(Engine):
    """Computes a layer's transform in threads, by default one for each usable processor."""

    has_fixed_shape: ClassVar[bool] = False

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int | None = None) -> None:
        self._transform: FrameTransform = config.frame_transform()
        self._local = threading.local()
        super().__init__(config, n_frames, n_threads or n_processors())

    def _compute(self, samples: Samples, features: Features) -> None:
        framing, n_chunk = self._framing, self._transform.n_chunk
        if not hasattr(self._local, "scratch"):
            self._local.scratch = self._transform.scratch()
        windows = np.lib.stride_tricks.sliding_window_view(samples, framing.n_dft)
        frames = windows[:: framing.n_hop]
        with np.errstate(over="ignore", invalid="ignore"):  # finiteness is checked later
            np.setbufsize(_BUFFER_VALUES)  # up to the end of this block
            for first, count in spans(len(features), n_chunk):
                chunk = slice(first, first + count)
                self._transform.compute(frames[chunk], features[chunk], self._local.scratch)
