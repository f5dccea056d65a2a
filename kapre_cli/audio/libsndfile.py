"""Decoding encoded WAV and common FLAC. The only module that imports soundfile."""

from typing import Any

import numpy as np
import soundfile

from kapre_cli.audio.decoders import decoding_errors
from kapre_cli.audio.files import HashingReader
from kapre_cli.audio.samples import Decoded

_ERRORS = (soundfile.SoundFileError, RuntimeError, TypeError, ValueError)


class LibsndfileReader:
    """A :class:`.decoders.SampleReader` for files that libsndfile reads.

    Args:
        stream: The file.
        integers: The type to read integers as, ``"int16"`` or ``"int32"``; ``None``: floats.

    Attributes:
        n_samples: Samples of each channel that libsndfile expects; undefined for FLAC.

    Raises:
        DecodingError: If libsndfile cannot read it.
    """

    read_ahead = 2**14  # twice the buffer of libFLAC

    def __init__(self, stream: HashingReader, integers: str | None = None) -> None:
        self._stream = stream
        self._dtype = integers or "float32"
        with decoding_errors(stream, _ERRORS, "libsndfile cannot open it"):
            self._file = _ForwardOnly(stream)
        self.sr: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.n_samples: int = self._file.frames

    def read(self, n_samples: int) -> Decoded:
        """Return the next samples, as :class:`.decoders.SampleReader` defines."""
        with decoding_errors(self._stream, _ERRORS, "libsndfile"):
            block: Decoded = self._file.read(n_samples, dtype=self._dtype, always_2d=True)
        # A short block is a view of a buffer for the full length, which need not be kept.
        return block if len(block) == n_samples else np.array(block)


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """A sound file that is read through callbacks, without seeking.

    soundfile seeks to the current position after every read. That costs more than reading a
    small block, and fails at the end of a FLAC stream without a total.
    """

    def seekable(self) -> bool:
        return False

    # A signal handler may run in any Python function, and its exception is lost in a destructor.
    # So the destructor is an empty C function, and cffi closes the file, in C too.
    __del__ = object.__init__

    def _open(self, *arguments: Any) -> Any:
        return soundfile._ffi.gc(super()._open(*arguments), soundfile._snd.sf_close)

    def close(self) -> None:
        self._file = None

    def _init_virtual_io(self, file: HashingReader) -> Any:
        """Give libsndfile its callbacks, as soundfile's own method of this name does.

        Python may run a signal handler inside a callback. Its exception (KeyboardInterrupt, for
        example) cannot pass through libsndfile, and would be printed and lost. The callbacks store
        it until :meth:`HashingReader.raise_failure`.
        """
        ffi = soundfile._ffi

        def store(_kind: object, failure: BaseException, _trace: object) -> None:
            file.failure = file.failure or failure

        def callback(kind: str, function: Any) -> Any:
            return ffi.callback(kind, function, error=0, onerror=store)

        self._virtual_io = {
            "get_filelen": callback("sf_vio_get_filelen", lambda _: file.size),
            "seek": callback("sf_vio_seek", lambda offset, whence, _: file.seek(offset, whence)),
            "tell": callback("sf_vio_tell", lambda _: file.tell()),
            "read": callback("sf_vio_read", lambda ptr, n, _: file.readinto(ffi.buffer(ptr, n))),
        }
        return ffi.new("SF_VIRTUAL_IO*", self._virtual_io)
