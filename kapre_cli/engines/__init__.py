"""The engines that compute the features of frames: NumPy, and the Keras layers themselves."""

from typing import TYPE_CHECKING

from kapre_cli.settings import LayerConfig, resolved_engine

if TYPE_CHECKING:
    from kapre_cli.engines.batches import Engine


def engine_for(
    config: LayerConfig, engine: str, n_frames: int, n_threads: int | None = None
) -> "Engine":
    """Return an engine that computes batches of ``n_frames`` frames; only it is imported.

    Args:
        config: The layer's arguments.
        engine: One of ``ENGINE_CHOICES``.
        n_frames: See ``batch_frames``.
        n_threads: As for ``NumpyEngine``; TensorFlow has threads of its own.
    """
    if resolved_engine(engine, config) == "numpy":
        from kapre_cli.engines.numpy_engine import NumpyEngine

        return NumpyEngine(config, n_frames, n_threads)
    from kapre_cli.engines.keras_engine import KerasEngine

    return KerasEngine(config, n_frames)
