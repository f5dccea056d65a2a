"""How much room on the disk a run will need, as far as can be known beforehand."""

import math
from collections.abc import Sequence
from math import prod

import numpy as np

from kapre_cli.audio.reader import resampled_length
from kapre_cli.pipeline.foresight import foresee
from kapre_cli.pipeline.work import Work
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import MAX_CHANNELS

_JOURNAL_BYTES = 4  # float32

# More than real recordings have; a header that promises more may be lying, and must not keep the
# other inputs from being read.
_FRAMES_IN_A_BYTE = 4
_FLAC_CHANNELS = 8  # more channels take more bytes a frame


def bytes_at_most(works: Sequence[Work], settings: ExtractionSettings) -> float:
    """Return a number that :func:`bytes_due` surely does not exceed, told from the files' sizes.

    Where so much is free no header need be read. It is infinite if it cannot be told.
    """
    if settings.audio.resample:
        return math.inf
    layer, n_bytes = settings.layer, 0.0
    for work in works:
        if work.done and work.facts is not None:
            continue
        size = work.source.size
        n_channels = min(MAX_CHANNELS, size)  # each with one more frame than samples make full
        n_bytes += _FRAMES_IN_A_BYTE * _FLAC_CHANNELS * size / layer.framing.n_hop + n_channels
    n_bytes *= layer.n_features * (_JOURNAL_BYTES + np.dtype(settings.output.dtype).itemsize)
    return n_bytes + bytes_written([work for work in works if work.done], settings)


def bytes_due(works: Sequence[Work], settings: ExtractionSettings) -> int:
    """Return how many bytes the work that is due and then the output will take, at least."""
    due = [work for work in works if not (work.done or work.failed)]
    n_values = sum(_n_values(work, settings) for work in due)
    n_kept = sum(prod(entry.shape) for work in due for entry in work.entries.values())
    n_bytes = max(n_values - n_kept, 0) * _JOURNAL_BYTES
    if settings.output.compression == "none":
        n_bytes += n_values * np.dtype(settings.output.dtype).itemsize
    return n_bytes + bytes_written([work for work in works if work.done], settings)


def bytes_written(works: Sequence[Work], settings: ExtractionSettings) -> int:
    """Return how many bytes inputs that are done will take in the output, at least."""
    if settings.output.compression != "none":
        return 0
    layer = settings.layer
    n_values = sum(
        layer.framing.n_time(work.facts.n_samples) * layer.n_features * work.facts.n_channels
        for work in works
        if work.facts is not None
    )
    return n_values * np.dtype(settings.output.dtype).itemsize


def _n_values(work: Work, settings: ExtractionSettings) -> int:
    """Return how many features an input will have, 0 if that cannot be known."""
    seen = foresee(work.source, settings)
    if seen.n_samples is None or seen.failure is not None:
        return 0
    layer = settings.layer
    believed = resampled_length(
        _FRAMES_IN_A_BYTE * work.source.size, seen.source_sr, settings.audio.sr
    )
    n_time = layer.framing.n_time(min(seen.n_samples, max(believed, layer.n_dft)))
    return n_time * layer.n_features * seen.n_channels
