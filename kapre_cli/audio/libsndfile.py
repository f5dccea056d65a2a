"""Decoding WAV and the common FLAC. The only door to soundfile."""

from typing import Any

import numpy as np
import soundfile

from kapre_cli.audio.decoding import DecodingError
from kapre_cli.audio.samples import Decoded
from kapre_cli.audio.stream import HashingReader


class LibsndfileDecoder:
    """A :class:`~kapre_cli.audio.decoding.Decoder` for what libsndfile reads.

    Args:
        stream: The file.
        integers: The type to read integers in, ``"int16"`` or ``"int32"``; ``None``: floats.

    Raises:
        DecodingError: If libsndfile cannot read it.
    """

    read_ahead = 2**14  # twice the buffer of libFLAC

    def __init__(self, stream: HashingReader, integers: str | None = None) -> None:
        self._stream = stream
        self._dtype = integers or "float32"
        try:
            self._file = _ForwardOnly(stream)
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            stream.raise_failure()
            raise DecodingError(f"libsndfile cannot read it: {_reason(error)}") from error
        stream.raise_failure()
        self.sr: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.n_samples: int = self._file.frames

    def read(self, n_samples: int) -> Decoded:
        """Return the next frames, as :class:`~kapre_cli.audio.decoding.Decoder` says."""
        try:
            block: Decoded = self._file.read(n_samples, dtype=self._dtype, always_2d=True)
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
            self._stream.raise_failure()
            raise DecodingError(_reason(error)) from error
        self._stream.raise_failure()
        # What is short is a view of the room made for the whole: the rest need not be held.
        return block if len(block) == n_samples else np.array(block)


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """A sound file that is read through callbacks and never sought in.

    soundfile seeks to where it already is after every read. That costs more than reading a
    small block, and fails at the end of a FLAC stream without a total.
    """

    def seekable(self) -> bool:
        return False

    # A signal handler may run in any function of Python, and what it raises in a destructor is
    # lost. So this one does nothing, in C, and cffi closes the file, in C too.
    __del__ = object.__init__

    def _open(self, *arguments: Any) -> Any:
        return soundfile._ffi.gc(super()._open(*arguments), soundfile._snd.sf_close)

    def close(self) -> None:
        self._file = None

    def _init_virtual_io(self, file: HashingReader) -> Any:
        """Give libsndfile its callbacks, as soundfile's own method of this name does.

        Python runs signal handlers in the first Python function it comes to: here, in a
        callback. What they raise, an interrupt above all, has no one to go to and would be
        lost with a trace on the terminal. These keep it for the call that follows.
        """
        ffi = soundfile._ffi

        def keep(_kind: object, failure: BaseException, _trace: object) -> None:
            file.failure = file.failure or failure

        def callback(kind: str, function: Any) -> Any:
            return ffi.callback(kind, function, error=0, onerror=keep)

        self._virtual_io = {
            "get_filelen": callback("sf_vio_get_filelen", lambda _: file.size),
            "seek": callback("sf_vio_seek", lambda offset, whence, _: file.seek(offset, whence)),
            "tell": callback("sf_vio_tell", lambda _: file.tell()),
            "read": callback("sf_vio_read", lambda ptr, n, _: file.readinto(ffi.buffer(ptr, n))),
        }
        return ffi.new("SF_VIRTUAL_IO*", self._virtual_io)


def _reason(error: Exception) -> str:
    return getattr(error, "error_string", None) or str(error) or type(error).__name__
