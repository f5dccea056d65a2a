"""Which computer belongs to which engine."""

from kapre_cli.pipeline.kernel import KernelComputer
from kapre_cli.pipeline.transform import Computer
from kapre_cli.settings import ExtractionSettings


def computer_for(settings: ExtractionSettings, n_frames: int, n_threads: int) -> Computer:
    """Return what computes tapes of ``n_frames`` frames by the engine of a run."""
    if settings.engine == "numpy":
        return KernelComputer(settings.layer, n_frames, n_threads)
    # TensorFlow takes seconds to import: not before it is certain that it is needed.
    from kapre_cli.pipeline.compute import LayerComputer

    return LayerComputer(settings.layer, n_frames)
