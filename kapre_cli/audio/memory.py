"""Samples in memory, read as a recording is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.decoders import samples_at_once
from kapre_cli.audio.samples import FiniteCheck, Samples, as_floats
from kapre_cli.errors import AudioReadError, SettingsError
from kapre_cli.settings import AudioSettings
from kapre_cli.settings.checks import MAX_CHANNELS
from kapre_cli.text import counted

_INTEGERS = (np.dtype(np.int16), np.dtype(np.int32))


class SampleArray:
    """Samples in memory, with the attributes of :class:`.reader.AudioFile`.

    Args:
        samples: Shape ``(samples,)`` or ``(channels, samples)``: floats, or integers of 16 or 32
            bits, which are scaled to [-1, 1).
        settings: Their rate, and how NaN and infinite samples are treated.

    Raises:
        SettingsError: If they have another shape or type.
        AudioReadError: If there are none.
    """

    size = 0
    mtime_ns = 0
    sha256 = ""
    n_missing = 0
    notes: tuple[str, ...] = ()

    def __init__(self, samples: npt.ArrayLike, settings: AudioSettings) -> None:
        array: npt.NDArray[Any] = np.asarray(samples)
        if array.ndim not in (1, 2) or not (array.dtype.kind == "f" or array.dtype in _INTEGERS):
            raise SettingsError(
                "samples must be floats, or integers of 16 or 32 bits, of shape (samples,) or "
                f"(channels, samples). Received: shape {array.shape} of {array.dtype}"
            )
        self._samples = array[np.newaxis] if array.ndim == 1 else array
        self.n_channels, self.n_samples = self._samples.shape
        if self.n_channels > MAX_CHANNELS:
            raise SettingsError(
                f"samples have {self.n_channels:,} channels, and at most {MAX_CHANNELS:,} are "
                "read: the shape must be (channels, samples)"
            )
        if not self._samples.size:
            channels = counted(self.n_channels, "channel")
            raise AudioReadError(f"there are no samples: {channels} of {self.n_samples:,}")
        self.sr = settings.sr
        self._finite = FiniteCheck(settings.non_finite, self.sr, "scale them by {} or less".format)

    @property
    def n_non_finite(self) -> int:
        """Samples read so far that are NaN or infinite, in all channels."""
        return self._finite.count

    def blocks(self) -> Iterator[Samples]:
        """Yield copies of the samples in order as blocks of shape ``(samples, channels)``.

        Raises:
            AudioReadError: If a sample is NaN or infinite and may not be.
        """
        at_once = samples_at_once(self.n_channels)
        for first in range(0, self.n_samples, at_once):
            block = np.array(self._samples[:, first : first + at_once].T, order="C")
            floats = as_floats(block)
            yield self._finite.apply(floats, block) if block.dtype.kind == "f" else floats

    def close(self) -> None:
        """Do nothing: there is no file."""
