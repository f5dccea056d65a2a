"""Decoding FLAC of the sample sizes that libsndfile refuses. The only door to av (FFmpeg)."""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from kapre_cli.audio.decoding import DecodingError
from kapre_cli.audio.samples import Decoded
from kapre_cli.audio.stream import HashingReader

_ERRORS = (av.FFmpegError, ValueError, IndexError, RuntimeError, OSError)

# Check every frame's checksum, and give up where it is wrong instead of playing on.
_STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}


class FfmpegDecoder:
    """A :class:`~kapre_cli.audio.decoding.Decoder` for FLAC of any number of bits.

    Args:
        stream: The file.
        bits: Bits of a sample.

    Raises:
        DecodingError: If FFmpeg cannot read it.
    """

    read_ahead = 2**63  # it looks for the beginnings of many frames
    n_samples = 0  # what FFmpeg expects is what the header says: of no use

    def __init__(self, stream: HashingReader, bits: int) -> None:
        self._stream = stream
        self._dtype = np.dtype(np.int16 if bits <= 16 else np.int32)
        try:
            container = av.open(_Bytes(stream), mode="r", format="flac")
            audio = container.streams.audio[0]
            audio.codec_context.options = _STRICT
            self.sr: int = audio.codec_context.sample_rate
            self.n_channels: int = audio.codec_context.channels
        except _ERRORS as error:
            stream.raise_failure()
            raise DecodingError(f"FFmpeg cannot read it: {_reason(error)}") from error
        stream.raise_failure()
        self._frames = self._decoded(container, audio)
        self._held: list[Decoded] = []
        self._failure: DecodingError | None = None

    def read(self, n_samples: int) -> Decoded:
        """Return the next frames, as :class:`~kapre_cli.audio.decoding.Decoder` says.

        What came before an error is returned before the error is raised.
        """
        while sum(map(len, self._held)) < n_samples and self._failure is None:
            try:
                block = next(self._frames, None)
            except DecodingError as error:
                self._failure = error
            else:
                if block is None:
                    break
                self._held.append(block)
        if not self._held:
            if self._failure is not None:
                raise self._failure
            return np.empty((0, self.n_channels), self._dtype)
        together = np.concatenate(self._held)
        self._held = [together[n_samples:]] if len(together) > n_samples else []
        return together[:n_samples]

    def _decoded(self, container: Any, audio: Any) -> Iterator[Decoded]:
        """Yield one FLAC frame after the other, shape ``(frames, channels)``."""
        decoded = 0
        try:
            for packet in container.demux(audio):
                for frame in audio.codec_context.decode(packet):
                    # Every frame has its place in it: FFmpeg itself does not mind a gap.
                    place = frame.pts and round(frame.pts * frame.time_base * self.sr)
                    if place is not None and place != decoded:
                        raise DecodingError(f"the frame for place {decoded:,} says {place:,}")
                    values = frame.to_ndarray()
                    values = values.T if frame.format.is_planar else values
                    values = values.reshape(-1, self.n_channels)
                    if values.dtype != self._dtype:
                        raise DecodingError(f"FFmpeg gives {values.dtype} for {self._dtype}")
                    decoded += len(values)
                    yield values
                self._stream.raise_failure()
        except DecodingError:
            raise
        except _ERRORS as error:
            self._stream.raise_failure()
            raise DecodingError(_reason(error)) from error


class _Bytes:
    """The file as av reads it: what goes wrong is kept, since av may print it and read on."""

    def __init__(self, stream: HashingReader) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, n_bytes: int) -> bytes:
        try:
            return self._stream.read(n_bytes)
        except BaseException as failure:  # an interrupt among others
            self._stream.failure = self._stream.failure or failure
            return b""


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
