"""The engines that compute the features of frames: NumPy, and the Keras layers themselves."""

from kapre_cli.engines.batches import Engine
from kapre_cli.engines.numpy_engine import NumpyEngine
from kapre_cli.settings import LayerConfig, resolved_engine


def engine_for(
    config: LayerConfig, engine: str, n_frames: int, n_threads: int | None = None
) -> Engine:
    """Return an engine that computes batches of ``n_frames`` frames.

    Args:
        config: The layer's arguments.
        engine: One of ``ENGINE_CHOICES``.
        n_frames: See ``batch_frames``.
        n_threads: As for :class:`NumpyEngine`; TensorFlow has threads of its own.
    """
    if resolved_engine(engine, config) == "numpy":
        return NumpyEngine(config, n_frames, n_threads)
    # TensorFlow takes seconds to import: only where it is needed.
    from kapre_cli.engines.keras_engine import KerasEngine

    return KerasEngine(config, n_frames)
