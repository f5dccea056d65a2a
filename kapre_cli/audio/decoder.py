"""Decoding one file, checked against its header. The only door to soundfile."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import soundfile

from kapre_cli.audio.headers import Header, read_header
from kapre_cli.closing import Closing
from kapre_cli.errors import AudioReadError

Samples = npt.NDArray[np.float32]

BLOCK_VALUES = 2**18  # samples of all channels together that are decoded at once: 1 MiB

_SMALL_BLOCK_FRAMES = 16

_SPECIAL_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class AudioFile(Closing):
    """A WAV or FLAC file, open for reading from its beginning to its end.

    Args:
        path: The file.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_frames: Number of frames: what the header promises; where it leaves that open, what
            is there.
        size: Bytes of the file.
        mtime_ns: Time of its last change in nanoseconds.

    Raises:
        AudioReadError: If the file cannot be opened, is no WAV or FLAC, holds no frames, or
            ends before what its header promises.
    """

    def __init__(self, path: str) -> None:
        self._fd = _open_regular(path)
        try:
            status = os.fstat(self._fd)
            self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
            header = read_header(self._fd)
            self._decoder = _decoder(self._fd)
            self.sr: int = self._decoder.samplerate
            self.n_channels: int = self._decoder.channels
            self.n_frames = self._settled_frames(header)
        except BaseException:
            self.close()
            raise

    def _settled_frames(self, header: Header) -> int:
        came: int = self._decoder.frames
        if header.missing_bytes:
            if header.n_frames is None:
                raise AudioReadError(
                    f"truncated: {header.missing_bytes:,} bytes that the header promises are "
                    f"missing, {came:,} frames came"
                )
            raise AudioReadError(
                f"truncated: the header promises {header.n_frames:,} frames, {came:,} frames came"
            )
        if header.stray_bytes:
            raise AudioReadError(
                f"the header says 0 frames, yet {header.stray_bytes:,} bytes follow it: the "
                "recorder may have stopped before it could write the length into the header"
            )
        if header.kind == "FLAC" and header.n_frames is None:
            came = self._counted()
        if came == 0:
            raise AudioReadError("the file has a header and no samples (0 frames)")
        if header.n_frames is not None and came != header.n_frames:
            raise AudioReadError(
                f"the header promises {header.n_frames:,} frames, {came:,} frames came"
            )
        return came

    def _counted(self) -> int:
        """Decode to the end, for a FLAC stream without a total, and begin anew."""
        came = 0
        try:
            while block := len(self._read(self._block_frames)):
                came += block
        except soundfile.LibsndfileError as error:
            raise AudioReadError(f"decoding stopped after {came:,} frames: {error}") from error
        self._rewind()
        return came

    def _rewind(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._decoder = _decoder(self._fd)

    def _decodable(self, came: int) -> int:
        """Return how many frames can be decoded, after an error somewhere behind ``came``.

        An error loses the block in which it happens, so the end is felt for in small ones.
        """
        self._rewind()
        position = 0
        with suppress(soundfile.LibsndfileError):
            while position < came:
                position += len(self._read(min(self._block_frames, came - position)))
            while block := len(self._read(_SMALL_BLOCK_FRAMES)):
                position += block
        return position

    @property
    def _block_frames(self) -> int:
        return max(BLOCK_VALUES // self.n_channels, 1)

    def _read(self, n_frames: int) -> Samples:
        samples: Samples = self._decoder.read(n_frames, dtype="float32", always_2d=True)
        return samples

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in order as blocks of shape ``(frames, channels)``.

        Integer encodings are scaled to [-1, 1), float encodings are as they are stored.

        Raises:
            AudioReadError: If decoding fails, fewer frames come than were promised, or a
                sample is NaN or infinite. What was yielded until then is void.
        """
        came = 0
        while came < self.n_frames:
            try:
                block = self._read(min(self._block_frames, self.n_frames - came))
            except soundfile.LibsndfileError as error:
                raise AudioReadError(
                    f"damaged or truncated: the header promises {self.n_frames:,} frames, "
                    f"{self._decodable(came):,} frames came: {error}"
                ) from error
            if len(block) == 0:
                raise AudioReadError(
                    f"truncated: the header promises {self.n_frames:,} frames, {came:,} frames came"
                )
            _require_finite(block, came, self.sr)
            came += len(block)
            yield block

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _ForwardOnly(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no types
    """A sound file that is never sought in.

    soundfile seeks to where it already is after every read. That costs more than reading a
    small block, and fails at the end of a FLAC stream without a total.
    """

    def seekable(self) -> bool:
        return False


def _open_regular(path: str) -> int:
    """Open a file for reading, unless it is one that could block or never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise AudioReadError(f"cannot be opened: {error.strerror}") from error
    mode = os.fstat(fd).st_mode
    for is_kind, kind in _SPECIAL_FILES:
        if is_kind(mode):
            os.close(fd)
            raise AudioReadError(f"it is {kind}, not a regular file")
    return fd


def _decoder(fd: int) -> _ForwardOnly:
    try:
        return _ForwardOnly(fd, closefd=False)
    except soundfile.LibsndfileError as error:
        raise AudioReadError(f"libsndfile cannot read it: {error.error_string}") from error


def _require_finite(block: Samples, position: int, sr: int) -> None:
    if np.isfinite(block).all():
        return
    frame, channel = np.argwhere(~np.isfinite(block))[0]
    at = position + int(frame)
    raise AudioReadError(
        f"NaN or infinite samples, the first at frame {at:,} ({at / sr:.3f} s) "
        f"of channel {channel}: {block[frame, channel]}"
    )
