"""The input of the layer: the chosen channels of a file at the run's rate, by soxr."""

from collections.abc import Iterator

import numpy as np
import soxr

from kapre_cli.audio.audio_file import AudioFile
from kapre_cli.audio.decoders import BLOCK_VALUES
from kapre_cli.audio.samples import Samples
from kapre_cli.errors import AudioReadError, SampleRateError
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings
from kapre_cli.text import Argument, Text, counted

RESAMPLING_QUALITY = "VHQ"
MAX_RATIO = 256  # between two rates, from bats at 384 kHz to whales at 2 kHz and back


class AudioReader(Resource):
    """One input of the layer, read forward in chunks of any length.

    Args:
        path: A recording.
        settings: Rate and channels of the run, and how strictly the file is read.
        is_stream: Whether the file holds the bytes of a pipe.

    Attributes:
        file: The recording, with its own rate, size and time of change.
        sr: Sample rate in Hz after resampling.
        n_channels: Chosen channels; 1 if they are averaged.
        n_samples: Samples in each channel after resampling.

    Raises:
        AudioReadError: As :class:`AudioFile`, and if the file lacks a chosen channel, has another
            rate and may not be resampled, or a rate too far from the run's.
    """

    def __init__(self, path: str, settings: AudioSettings, *, is_stream: bool = False) -> None:
        self.file = AudioFile(path, settings, is_stream=is_stream)
        try:
            self.sr = settings.sr
            self._settings = settings
            self._channels = _chosen_channels(settings, self.file.n_channels)
            self._is_silent = np.ones(len(self._channels), np.bool_)
            self.n_channels = 1 if settings.mono else len(self._channels)
            _check_rate(settings, self.file.sr)
            self.n_samples = resampled_length(self.file.n_samples, self.file.sr, self.sr)
            if self.n_samples == 0:
                samples = counted(self.file.n_samples, "sample")
                raise AudioReadError(
                    Text(
                        f"its {samples} at {self.file.sr} Hz make less than one sample at "
                        f"{self.sr} Hz; leave it out, or raise ",
                        Argument("sr"),
                    )
                )
        except BaseException:
            self.close()
            raise
        self._blocks = self._prepared()
        self._buffered: list[Samples] = []

    @property
    def n_silent_channels(self) -> int:
        """How many of the chosen channels are all zeros so far."""
        return int(np.count_nonzero(self._is_silent))

    def _prepared(self) -> Iterator[Samples]:
        """Yield the samples in order, shape ``(samples, channels)``, chosen, mixed, resampled."""
        selected = (self._select(block) for block in self.file.blocks())
        if self.file.sr == self.sr:
            return selected
        return self._resampled(selected)

    def _select(self, block: Samples) -> Samples:
        if self._channels != tuple(range(self.file.n_channels)):
            block = block[:, self._channels]
        if self._is_silent.any():
            with np.errstate(invalid="ignore"):  # NaN, also signalling ones, may be kept
                self._is_silent &= ~block.any(axis=0)
        if self._settings.mono and block.shape[1] > 1:
            with np.errstate(invalid="ignore"):  # infinities may be kept
                mixed = block.mean(axis=1, dtype=np.float64, keepdims=True)
            block = mixed.astype(np.float32)
        return block

    def _resampled(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        """Convert to the run's rate and yield exactly ``n_samples`` samples.

        The resampler's own number may differ by one from the rounded one.
        """
        try:
            stream = soxr.ResampleStream(
                self.file.sr, self.sr, self.n_channels, dtype="float32", quality=RESAMPLING_QUALITY
            )
        except (RuntimeError, ValueError, MemoryError) as error:
            raise AudioReadError(f"soxr cannot resample it: {error}") from error

        def converted(chunk: Samples, last: bool) -> Samples:
            try:
                return stream.resample_chunk(np.ascontiguousarray(chunk), last=last)
            except (RuntimeError, ValueError, MemoryError) as error:
                raise AudioReadError(f"resampling failed: {error}") from error

        # Converted blocks stay small, even where one sample becomes many.
        at_once = max(BLOCK_VALUES * self.file.sr // (self.sr * self.n_channels), 1)
        due = self.n_samples
        for block in blocks:
            for start in range(0, len(block), at_once):
                chunk = converted(block[start : start + at_once], last=False)[:due]
                due -= len(chunk)
                yield chunk
        rest = converted(np.empty((0, self.n_channels), np.float32), last=True)[:due]
        yield rest
        yield np.zeros((due - len(rest), self.n_channels), np.float32)

    def read(self, n_samples: int) -> Samples:
        """Return the next ``n_samples`` samples, shape ``(n_samples, channels)``.

        Raises:
            AudioReadError: If the file is damaged or shorter than declared.
        """
        chunks, due = [], n_samples
        while due > 0:
            block = self._buffered.pop() if self._buffered else next(self._blocks)
            if len(block) > due:
                self._buffered.append(block[due:])
                block = block[:due]
            chunks.append(block)
            due -= len(block)
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def finish(self) -> None:
        """Read the rest, so that the whole file has been checked.

        Raises:
            AudioReadError: If the rest is damaged or shorter than declared.
        """
        self._buffered.clear()
        for _ in self._blocks:
            pass

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def resampled_length(n_samples: int, source_sr: int, sr: int) -> int:
    """Return the number of ``n_samples`` samples at another rate, rounded half up.

    >>> resampled_length(441, 44100, 22050)
    221
    """
    return (2 * n_samples * sr + source_sr) // (2 * source_sr)


def n_channels_taken(settings: AudioSettings, sr: int, n_channels: int) -> int:
    """Return how many channels of a file are the layer's input.

    Raises:
        AudioReadError: If it lacks a chosen channel, or its rate cannot be converted.
    """
    chosen = _chosen_channels(settings, n_channels)
    _check_rate(settings, sr)
    return 1 if settings.mono else len(chosen)


def _check_rate(settings: AudioSettings, sr: int) -> None:
    if sr != settings.sr and not settings.resample:
        raise SampleRateError(sr, settings.sr)
    if not 1 / MAX_RATIO <= sr / settings.sr <= MAX_RATIO:
        raise AudioReadError(
            Text(
                f"sample rate is {sr:,} Hz, this run uses {settings.sr:,} Hz: more than a factor "
                f"of {MAX_RATIO} apart, which is not resampled (use ",
                Argument("sr", sr),
                ")",
            )
        )


def _chosen_channels(settings: AudioSettings, n_channels: int) -> tuple[int, ...]:
    if settings.channels is None:
        return tuple(range(n_channels))
    for channel in settings.channels:
        if channel >= n_channels:
            raise AudioReadError(
                f"it has no channel {channel}: it has {counted(n_channels, 'channel')}, from 0 on"
            )
    return settings.channels
