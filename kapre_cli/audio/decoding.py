"""What every decoder gives, and how many frames one has to give."""

from collections.abc import Callable
from typing import Protocol

from kapre_cli.audio.samples import Decoded
from kapre_cli.errors import AudioReadError

BLOCK_VALUES = 2**18  # samples of all channels together that are decoded at once: 1 MiB

_FINER_STEPS = (512, 1)
_MAX_ERRORS_BEHIND = 1000


class DecodingError(AudioReadError):
    """A decoder that cannot open a file, or cannot go on."""


class Decoder(Protocol):
    """Decodes a file once, from its beginning to its end.

    Attributes:
        sr: Sample rate in Hz.
        n_channels: Number of channels.
        n_samples: Frames that the decoder expects; means nothing for FLAC.
        read_ahead: Bytes that it may have read behind the frames that it has given, at most.
    """

    sr: int
    n_channels: int
    n_samples: int
    read_ahead: int

    def read(self, n_samples: int) -> Decoded:
        """Return the next frames, shape ``(frames, channels)``: fewer or none at the end.

        FLAC and WAV of integers come as integers that fill their type from its highest bit on,
        other WAV as floats as libsndfile makes them.

        Raises:
            DecodingError: If it cannot go on. What this call would have returned is lost.
        """


def count_samples(
    open_reader: Callable[[], Decoder], limit: int | None = None
) -> tuple[int, DecodingError | None]:
    """Decode to the end, or to the first error, and return how many frames come until then.

    An error loses the block in which it happens, so the end is felt for in ever smaller ones.

    Args:
        open_reader: Gives a decoder at the file's beginning.
        limit: Stop as soon as more frames than this have come.

    Returns:
        The frames, and the error that ended them if one did.
    """
    decoded, first_error = 0, None
    for finer_step in (0, *_FINER_STEPS):
        try:
            decoder = open_reader()
            block = max(BLOCK_VALUES // decoder.n_channels, 1)
            skipped = 0
            while skipped < decoded:
                skipped += len(decoder.read(min(block, decoded - skipped)))
            while n_more := len(decoder.read(finer_step or block)):
                decoded += n_more
                if limit is not None and decoded > limit:
                    return decoded, first_error
        except DecodingError as error:
            first_error = first_error or error
        else:
            break
    return decoded, first_error


def trailing_samples(decoder: Decoder, limit: int | None = None) -> int:
    """Return how many frames come behind those that have been read.

    Errors are passed over: a tag or padding behind the last frame is no frame.

    Args:
        decoder: A decoder from which all frames that were promised have been read.
        limit: Stop as soon as more than this have come.
    """
    decoded = 0
    block = max(BLOCK_VALUES // decoder.n_channels, 1)
    for _ in range(_MAX_ERRORS_BEHIND):
        try:
            while n_more := len(decoder.read(block if decoded else 1)):
                decoded += n_more
                if limit is not None and decoded > limit:
                    break
        except DecodingError:
            continue
        break
    return decoded
