"""A recording, read from its beginning to its end; the input of the layer."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from kapre_cli.audio.decoders import READ_VALUES
from kapre_cli.audio.files import RegularFile, read_errors
from kapre_cli.audio.identify import identify
from kapre_cli.audio.memory import SampleArray
from kapre_cli.audio.remedies import scaled
from kapre_cli.audio.samples import FiniteCheck, OmittedSilence, SampleMd5, Samples, as_floats
from kapre_cli.errors import AudioReadError, SampleRateError
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings
from kapre_cli.text import Argument, Text, counted

_QUALITY = "VHQ"  # of resampling
_MAX_RATIO = 256  # between two rates, from bats at 384 kHz to whales at 2 kHz and back
_DEFAULTS = AudioSettings(sr=1)  # AudioFile does not check the rate


class AudioFile(Resource):
    """A recording, decoded from its beginning to its end and compared with its header.

    Args:
        path: The file.
        settings: How strictly it is read, and the format of its samples if it has no header; the
            rate and the channels of the run are ignored.
        is_stream: Whether the file holds the bytes of a pipe.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Samples to read in each channel: as many as the header declares, or the
            available ones if fewer or more are allowed.
        n_missing: Declared samples less available ones: negative if there are more, 0 for a
            complete file. Where the header declares bytes only, an estimate. At least 1 where it
            declares nothing and decoding stops at damage; at most -1 where a second file after the
            samples is left out.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.
        sha256: SHA-256 of the file's bytes in hexadecimal; empty until it has been read to its
            end.
        notes: Harmless peculiarities of the file, in sentences.

    Raises:
        AudioReadError: If the file cannot be opened or decoded, has no samples or too many, or
            fewer or more than its header declares.
    """

    def __init__(
        self, path: str, settings: AudioSettings = _DEFAULTS, *, is_stream: bool = False
    ) -> None:
        self.sha256 = ""
        self._file = RegularFile(path, is_stream=is_stream)
        try:
            with read_errors():
                self.size, self.mtime_ns = self._file.size, self._file.mtime_ns
                kind, header = identify(self._file, settings.raw_format)
                self.sr, self.n_channels = header.sr, header.n_channels
                # Not a method: a reference to this file would keep its buffers in memory.
                has_header = settings.raw_format is None
                scaling = partial(_scaling, self._file, has_header=has_header)
                self._finite = FiniteCheck(settings.non_finite, self.sr, scaling)
                self._decoder = decoder = kind(self._file, header, settings)
                self._md5 = decoder.md5 if settings.verify_audio else None
                self.n_samples, self.n_missing = decoder.n_samples, decoder.n_missing
                self.notes = decoder.notes
                decoder.check_limit(self.n_samples)
                if self.n_samples == 0:
                    raise AudioReadError(
                        "the file has a header and no samples: the recorder has stopped before it "
                        "wrote any; leave it out"
                    )
        except BaseException:
            self.close()
            raise

    @property
    def n_non_finite(self) -> int:
        """Samples read so far that are NaN or infinite, in all channels."""
        return self._finite.count

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in order as blocks of shape ``(samples, channels)``, once.

        Integer encodings are scaled to [-1, 1), float encodings are as they are stored. The file
        as a whole is checked after the last block.

        Raises:
            AudioReadError: If decoding fails, there are fewer or more samples than declared, their
                MD5 differs from the header's, a sample is NaN or infinite and may not be, or the
                file changes meanwhile. The blocks yielded before are invalid then.
        """
        with read_errors():
            try:
                yield from self._checked_blocks()
            except AudioReadError:
                self._file.check_unchanged()  # a change is the better explanation
                raise
            self._file.check_unchanged()
            self.sha256 = self._decoder.stream.sha256()
            self._file.check_unchanged()

    def _checked_blocks(self) -> Iterator[Samples]:
        header = self._decoder.header
        samples_md5 = SampleMd5(header.bits) if self._md5 else None
        omitted = OmittedSilence(header)
        for block in self._decoder.blocks():
            if samples_md5 is not None:
                samples_md5.update(block)
            omitted.check(block)
            floats = as_floats(block)
            yield self._finite.apply(floats, block) if block.dtype.kind == "f" else floats
        if samples_md5 is not None and samples_md5.digest() != self._md5:
            raise AudioReadError(
                Text(
                    "damaged: the MD5 of its samples is not the one in its header; ",
                    Argument("verify_audio", False),
                    " reads them as they are",
                )
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _scaling(file: RegularFile, factor: str, *, has_header: bool) -> str:
    """Return the remedy for samples beyond float32: scale them by a factor."""
    remedy = f"scale the recording down first, by {factor} or less"
    return f"{remedy}: {scaled(file.shell_name, factor)}" if has_header else remedy


class AudioReader(Resource):
    """One input of the layer, read forward in chunks of any length.

    The arguments are those of :class:`AudioFile`; the settings have the rate and the channels too.
    Samples in memory may have the place of the path.

    Attributes:
        file: The recording, with its own rate, size and time of change.
        sr: Sample rate in Hz after resampling.
        n_channels: Chosen channels; 1 if they are averaged.
        n_samples: Samples in each channel after resampling.
        channels: The chosen channels of the file, in their order.

    Raises:
        AudioReadError: As :class:`AudioFile`, and if the file lacks a chosen channel, has another
            rate and may not be resampled, or a rate too far from the run's.
    """

    def __init__(
        self, path: str | SampleArray, settings: AudioSettings, *, is_stream: bool = False
    ) -> None:
        self.file: AudioFile | SampleArray
        if isinstance(path, SampleArray):
            self.file = path
        else:
            self.file = AudioFile(path, settings, is_stream=is_stream)
        try:
            self.sr = settings.sr
            self._settings = settings
            self.channels = _chosen_channels(settings, self.file.n_channels)
            self._is_silent = np.ones(len(self.channels), np.bool_)
            self.n_channels = 1 if settings.mono else len(self.channels)
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
        selected = map(self._select, self.file.blocks())
        self._blocks = selected if self.file.sr == self.sr else self._resampled(selected)
        self._buffered: list[Samples] = []

    @property
    def n_silent_channels(self) -> int:
        """How many of the chosen channels are all zeros so far."""
        return int(np.count_nonzero(self._is_silent))

    def is_silent(self, channel: int) -> bool:
        """Whether one of the chosen channels is all zeros so far."""
        return bool(self._is_silent[self.channels.index(channel)])

    def _select(self, block: Samples) -> Samples:
        """Return the chosen channels of a block, or their mean."""
        if self.channels != tuple(range(self.file.n_channels)):
            block = block[:, self.channels]
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
        import soxr  # a library that few runs need

        try:
            stream = soxr.ResampleStream(
                self.file.sr, self.sr, self.n_channels, dtype="float32", quality=_QUALITY
            )
        except (RuntimeError, ValueError, MemoryError) as error:
            raise AudioReadError(f"soxr cannot resample it: {error}") from error

        def converted(chunk: Samples, last: bool) -> Samples:
            try:
                return stream.resample_chunk(np.ascontiguousarray(chunk), last=last)
            except (RuntimeError, ValueError, MemoryError) as error:
                raise AudioReadError(f"resampling failed: {error}") from error

        # Converted blocks stay small, even where one sample becomes many.
        at_once = max(READ_VALUES * self.file.sr // (self.sr * self.n_channels), 1)
        n_left = self.n_samples
        for block in blocks:
            for start in range(0, len(block), at_once):
                chunk = converted(block[start : start + at_once], last=False)[:n_left]
                n_left -= len(chunk)
                yield chunk
        rest = converted(np.empty((0, self.n_channels), np.float32), last=True)[:n_left]
        yield rest
        yield np.zeros((n_left - len(rest), self.n_channels), np.float32)

    def read(self, n_samples: int) -> Samples:
        """Return the next ``n_samples`` samples, shape ``(n_samples, channels)``.

        Raises:
            AudioReadError: If the file is damaged or shorter than declared.
        """
        chunks, n_left = [], n_samples
        while n_left > 0:
            block = self._buffered.pop() if self._buffered else next(self._blocks)
            if len(block) > n_left:
                self._buffered.append(block[n_left:])
                block = block[:n_left]
            chunks.append(block)
            n_left -= len(block)
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


def n_chosen_channels(settings: AudioSettings, sr: int, n_channels: int) -> int:
    """Return how many of a file's channels are the layer's input.

    Raises:
        AudioReadError: If it lacks a chosen channel, or its rate cannot be converted.
    """
    chosen = _chosen_channels(settings, n_channels)
    _check_rate(settings, sr)
    return 1 if settings.mono else len(chosen)


def _check_rate(settings: AudioSettings, sr: int) -> None:
    if sr != settings.sr and not settings.resample:
        raise SampleRateError(sr, settings.sr)
    if not 1 / _MAX_RATIO <= sr / settings.sr <= _MAX_RATIO:
        raise AudioReadError(
            Text(
                f"sample rate is {sr:,} Hz, this run uses {settings.sr:,} Hz: more than a factor "
                f"of {_MAX_RATIO} apart, which is not resampled (use ",
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
