"""Decode FLAC that libsndfile cannot check; the only module that imports av."""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from kapre_cli.audio.decoders import DecodingError, decoding_errors
from kapre_cli.audio.files import HashingReader
from kapre_cli.audio.samples import Decoded

_ERRORS = (av.FFmpegError, ValueError, IndexError, RuntimeError, OSError)

# Check the checksum of every FLAC frame, and stop at a wrong one instead of skipping it.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


class FfmpegReader:
    """A :class:`.decoders.SampleReader` for FLAC with any number of bits a sample.

    Raises:
        DecodingError: If FFmpeg cannot read it.
    """

    read_ahead = 2**63  # it looks for the beginnings of many FLAC frames

    def __init__(self, stream: HashingReader, bits: int) -> None:
        self._stream = stream
        self._dtype = np.dtype(np.int16 if bits <= 16 else np.int32)
        with decoding_errors(stream, _ERRORS, "FFmpeg cannot open it"):
            container = av.open(_Bytes(stream), mode="r", format="flac")
            audio = container.streams.audio[0]
            audio.codec_context.options = _STRICT
            self.sr: int = audio.codec_context.sample_rate
            self.n_channels: int = audio.codec_context.channels
        self._frames = self._decode(container, audio)
        self._buffered: list[Decoded] = []
        self._failure: DecodingError | None = None

    def read(self, n_samples: int) -> Decoded:
        """Return the next samples, as :class:`.decoders.SampleReader` defines.

        The samples before an error are returned before the error is raised.
        """
        while sum(map(len, self._buffered)) < n_samples and self._failure is None:
            try:
                block = next(self._frames, None)
            except DecodingError as error:
                self._failure = error
            else:
                if block is None:
                    break
                self._buffered.append(block)
        if not self._buffered:
            if self._failure is not None:
                raise self._failure
            return np.empty((0, self.n_channels), self._dtype)
        joined = np.concatenate(self._buffered)
        self._buffered = [joined[n_samples:]] if len(joined) > n_samples else []
        return joined[:n_samples]

    def _decode(self, container: Any, audio: Any) -> Iterator[Decoded]:
        """Yield the samples of each FLAC frame, shape ``(samples, channels)``."""
        decoded = 0
        with decoding_errors(self._stream, _ERRORS, "FFmpeg"):
            for packet in container.demux(audio):
                for frame in audio.codec_context.decode(packet):
                    # Every FLAC frame has its position in it: FFmpeg does not check for gaps.
                    position = frame.pts and round(frame.pts * frame.time_base * self.sr)
                    if position is not None and position != decoded:
                        raise DecodingError(
                            f"the FLAC frame after {decoded:,} samples is the one for sample "
                            f"{position:,}"
                        )
                    values = frame.to_ndarray()
                    values = values.T if frame.format.is_planar else values
                    values = values.reshape(-1, self.n_channels)
                    if values.dtype != self._dtype:
                        raise DecodingError(f"FFmpeg returns {values.dtype} for {self._dtype}")
                    decoded += len(values)
                    yield values
                self._stream.raise_failure()


class _Bytes:
    """The file as av reads it; stores exceptions, which av may print and ignore."""

    def __init__(self, stream: HashingReader) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, n_bytes: int) -> bytes:
        try:
            return self._stream.read(n_bytes)
        except BaseException as failure:  # an interrupt among others
            self._stream.failure = self._stream.failure or failure
            return b""
