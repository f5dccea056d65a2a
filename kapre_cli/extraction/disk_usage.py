"""Estimate the disk space that a run needs."""

import math
from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from kapre_cli.audio.reader import resampled_length
from kapre_cli.extraction.executor import Executor, previews
from kapre_cli.extraction.tasks import Job, Preview, TaskSettings
from kapre_cli.osutil import check_free_bytes, free_bytes
from kapre_cli.settings import ExtractionSettings
from kapre_cli.text import quoted

_JOURNAL_BYTES = 4  # float32

# Samples of each channel, more than real recordings have. A header that states more may be wrong,
# and must not prevent the other inputs from being read.
_SAMPLES_IN_A_BYTE = 4
_FLAC_CHANNELS = 8  # more channels take more bytes a sample


def check_disk(jobs: Sequence[Job], common: TaskSettings, executor: Executor) -> None:
    """Raise OutputError if the disk is too small for the journals and then the output.

    If the files' sizes show that enough is free, no header is read.
    """
    settings = common.settings
    output = settings.output.path
    free = free_bytes(output.parent)
    pending = [job for job in jobs if not job.is_done]
    if free is None or not pending:
        return
    n_bytes_done = output_bytes([job for job in jobs if job.is_done], settings)
    if _upper_bound_bytes(pending, settings) + n_bytes_done <= free:
        return
    previewed = previews([job.source for job in pending], common, executor)
    n_bytes = _required_bytes(pending, previewed, settings) + n_bytes_done
    check_free_bytes(output.parent, n_bytes, f"{quoted(output)}, with the work beside it, at least")


def output_bytes(jobs: Iterable[Job], settings: ExtractionSettings) -> int:
    """Return a lower bound of the bytes that finished inputs take in the output."""
    opened = (job.metadata for job in jobs if job.metadata is not None)
    n_values = sum(prod(metadata.shape(settings.layer)) for metadata in opened)
    return _stored_bytes(n_values, settings)


def value_bytes(settings: ExtractionSettings) -> int:
    """Return the bytes of a value in the output, before compression."""
    return np.dtype(settings.output.dtype).itemsize


def _stored_bytes(n_values: int, settings: ExtractionSettings) -> int:
    output = settings.output
    return output.file_format.required_bytes(n_values * value_bytes(settings), output.compression)


def _upper_bound_bytes(pending: Sequence[Job], settings: ExtractionSettings) -> float:
    """Return an upper bound of :func:`_required_bytes`, from the files' sizes.

    A file with more channels than FLAC allows is larger, unless it is over in an eighth of a hop.
    """
    if settings.audio.resample:
        return math.inf
    layer, n_frames = settings.layer, 0.0
    for job in pending:
        n_frames += _SAMPLES_IN_A_BYTE * _FLAC_CHANNELS * job.n_bytes / layer.framing.n_hop
        n_frames += _FLAC_CHANNELS  # of each channel, one that is not full
    of_journal, stored = layer.n_features * _JOURNAL_BYTES, layer.n_values * value_bytes(settings)
    return n_frames * (of_journal + stored)


def _required_bytes(
    pending: Sequence[Job], previewed: Sequence[Preview], settings: ExtractionSettings
) -> int:
    """Return a lower bound of the bytes that inputs take, from their headers."""
    n_values = 0
    for job, one in zip(pending, previewed, strict=True):
        if one.n_samples is not None and one.failure is None:
            at_most = _SAMPLES_IN_A_BYTE * job.n_bytes
            plausible = resampled_length(at_most, one.source_sr, settings.audio.sr)
            n_samples = min(one.n_samples, max(plausible, settings.layer.n_dft))
            shape = settings.layer.shape(n_samples, one.n_channels)
            n_values += min(prod(shape), prod(one.shape(settings.layer) or shape))
    n_kept = sum(prod(entry.shape) for job in pending for entry in job.entries.values())
    n_computed = n_values // settings.layer.n_values * settings.layer.n_features
    n_bytes_journals = max(n_computed - n_kept, 0) * _JOURNAL_BYTES
    return n_bytes_journals + _stored_bytes(n_values, settings)
