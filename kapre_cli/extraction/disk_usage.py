"""How many bytes of the disk a run will take, as far as can be known beforehand."""

import math
from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from kapre_cli.audio.reader import resampled_length
from kapre_cli.extraction.job import Job
from kapre_cli.extraction.preview import Preview
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import MAX_CHANNELS

_JOURNAL_BYTES = 4  # float32

# More than real recordings have; a header that promises more may be lying, and must not keep the
# other inputs from being read.
_FRAMES_IN_A_BYTE = 4
_FLAC_CHANNELS = 8  # more channels take more bytes a frame


def upper_bound_bytes(jobs: Sequence[Job], settings: ExtractionSettings) -> float:
    """Return a number that :func:`required_bytes` does not exceed, told from the files' sizes.

    Where so much is free no header need be read. It is infinite if it cannot be told.
    """
    if settings.audio.resample:
        return math.inf
    layer, n_bytes = settings.layer, 0.0
    for job in jobs:
        if job.done and job.facts is not None:
            continue
        size = job.n_bytes
        n_channels = min(MAX_CHANNELS, size)  # each with one more frame than samples make full
        n_bytes += _FRAMES_IN_A_BYTE * _FLAC_CHANNELS * size / layer.framing.n_hop + n_channels
    n_bytes *= layer.n_features * (_JOURNAL_BYTES + np.dtype(settings.output.dtype).itemsize)
    return n_bytes + output_bytes([job for job in jobs if job.done], settings)


def required_bytes(
    jobs: Sequence[Job], previews: Mapping[Job, Preview], settings: ExtractionSettings
) -> int:
    """Return how many bytes the journals and then the output will take, at least.

    Args:
        jobs: The inputs.
        previews: What the headers of those tell that are to be computed.
        settings: The run's.
    """
    n_values = sum(_n_values(job, seen, settings) for job, seen in previews.items())
    n_kept = sum(prod(entry.shape) for job in previews for entry in job.entries.values())
    n_bytes = max(n_values - n_kept, 0) * _JOURNAL_BYTES
    if settings.output.compression == "none":
        n_bytes += n_values * np.dtype(settings.output.dtype).itemsize
    return n_bytes + output_bytes([job for job in jobs if job.done], settings)


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


def _n_values(job: Job, seen: Preview, settings: ExtractionSettings) -> int:
    """Return how many features an input will have, 0 if that cannot be known."""
    if seen.n_samples is None or seen.failure is not None:
        return 0
    layer = settings.layer
    believed = resampled_length(_FRAMES_IN_A_BYTE * job.n_bytes, seen.source_sr, settings.audio.sr)
    n_time = layer.framing.n_time(min(seen.n_samples, max(believed, layer.n_dft)))
    return n_time * layer.n_features * seen.n_channels
