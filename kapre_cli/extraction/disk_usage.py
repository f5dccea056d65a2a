"""How many bytes of the disk a run will take, as far as can be known beforehand."""

import math
from collections.abc import Sequence
from math import prod

import numpy as np

from kapre_cli.audio.reader import resampled_length
from kapre_cli.errors import quoted
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.job import Job
from kapre_cli.extraction.preview import Preview, previews
from kapre_cli.extraction.tasks import TaskSettings
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import MAX_CHANNELS
from kapre_cli.storage.disk import free_bytes, require_free_bytes

_JOURNAL_BYTES = 4  # float32

# More than real recordings have; a header that promises more may be lying, and must not keep the
# other inputs from being read.
_FRAMES_IN_A_BYTE = 4
_FLAC_CHANNELS = 8  # more channels take more bytes a frame


def check_disk(jobs: Sequence[Job], common: TaskSettings, executor: Executor) -> None:
    """Raise OutputError if the disk is too small for the journals and then the output.

    Where the files' sizes say that enough is free no header need be read.
    """
    settings = common.settings
    output = settings.output.path
    free = free_bytes(output.parent)
    due = [job for job in jobs if not job.done]
    if free is None or not due:
        return
    n_bytes_done = output_bytes([job for job in jobs if job.done], settings)
    if _upper_bound_bytes(due, settings) + n_bytes_done <= free:
        return
    seen = previews([job.source for job in due], common, executor)
    n_bytes = _required_bytes(due, seen, settings) + n_bytes_done
    require_free_bytes(
        output.parent, n_bytes, f"{quoted(output)}, with the work beside it, at least"
    )


def output_bytes(jobs: Sequence[Job], settings: ExtractionSettings) -> int:
    """Return how many bytes inputs that are done will take in the output, at least."""
    if settings.output.compression != "none":
        return 0
    layer = settings.layer
    n_values = sum(
        layer.framing.n_time(job.facts.n_samples) * layer.n_features * job.facts.n_channels
        for job in jobs
        if job.facts is not None
    )
    return n_values * np.dtype(settings.output.dtype).itemsize


def _upper_bound_bytes(due: Sequence[Job], settings: ExtractionSettings) -> float:
    """Return a number that :func:`_required_bytes` does not exceed, told from the files' sizes."""
    if settings.audio.resample:
        return math.inf
    layer, n_frames = settings.layer, 0.0
    for job in due:
        n_channels = min(
            MAX_CHANNELS, job.n_bytes
        )  # each with one more frame than samples make full
        n_samples = _FRAMES_IN_A_BYTE * _FLAC_CHANNELS * job.n_bytes
        n_frames += n_samples / layer.framing.n_hop + n_channels
    itemsize = np.dtype(settings.output.dtype).itemsize
    return n_frames * layer.n_features * (_JOURNAL_BYTES + itemsize)


def _required_bytes(
    due: Sequence[Job], seen: Sequence[Preview], settings: ExtractionSettings
) -> int:
    """Return how many bytes inputs will take, at least, by what their headers tell."""
    n_values = sum(_n_values(*both, settings) for both in zip(due, seen, strict=True))
    n_kept = sum(prod(entry.shape) for job in due for entry in job.entries.values())
    n_bytes = max(n_values - n_kept, 0) * _JOURNAL_BYTES
    if settings.output.compression == "none":
        n_bytes += n_values * np.dtype(settings.output.dtype).itemsize
    return n_bytes


def _n_values(job: Job, seen: Preview, settings: ExtractionSettings) -> int:
    """Return how many features an input will have, 0 if that cannot be known."""
    if seen.n_samples is None or seen.failure is not None:
        return 0
    layer = settings.layer
    believed = resampled_length(_FRAMES_IN_A_BYTE * job.n_bytes, seen.source_sr, settings.audio.sr)
    n_time = layer.framing.n_time(min(seen.n_samples, max(believed, layer.n_dft)))
    return n_time * layer.n_features * seen.n_channels
