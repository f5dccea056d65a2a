"""One input as blocks of frames, read in order, so that no memory grows with its length."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kapre_cli.audio import AudioReader
from kapre_cli.audio.samples import Samples
from kapre_cli.framing import BLOCK_VALUES, Framing
from kapre_cli.pipeline.tape import Piece


@dataclass
class Block:
    """Successive frames of one input, to be computed.

    Attributes:
        first_frame: Number of its first frame in the input.
        samples: What the frames cover in each channel, pads included: ``(n_channels, samples)``.
        results: The features, shape ``(n_channels, n_frames, n_features)``.
        n_due: How many of its frames, over all channels, have not been computed yet.
    """

    first_frame: int
    samples: Samples
    results: npt.NDArray[np.float32]
    n_due: int = field(init=False)

    def __post_init__(self) -> None:
        """Count what there is to compute."""
        self.n_due = self.results.shape[0] * self.results.shape[1]

    def pieces(self, complete: Callable[["Block"], None]) -> Iterator[Piece]:
        """Yield each channel's frames; ``complete`` is called once all have been computed."""

        def computed(count: int) -> None:
            self.n_due -= count
            if self.n_due == 0:
                complete(self)

        for samples, results in zip(self.samples, self.results, strict=True):
            yield Piece(samples, results, computed)


def frame_blocks(
    reader: AudioReader, framing: Framing, n_features: int, kept: Container[int] = ()
) -> Iterator[Block]:
    """Yield the frames of an input block by block; the whole file has been read at the end.

    Args:
        reader: The input, at its beginning.
        framing: How it is framed.
        n_features: Features of a frame.
        kept: First frames of blocks that have been computed before and are left out.

    Raises:
        SettingsError: If the input is too short for one frame.
        AudioReadError: If it turns out to be damaged or shorter than promised.
    """
    length = reader.n_samples
    n_time = framing.n_time(length)
    window = _Window(reader.read, length, reader.n_channels)
    for first, count in framing.blocks(n_time, n_features, reader.n_channels):
        if first in kept:
            continue
        start, stop = framing.span(length, first, count)
        results = np.empty((reader.n_channels, count, n_features), np.float32)
        yield Block(first, window.samples(start, stop), results)
    reader.finish()


class _Window:
    """A view that moves forward over a signal, with zeros before its start and after its end.

    Args:
        read: Gives the next so many samples, shape ``(samples, channels)``.
        length: Samples in the signal.
        n_channels: Channels in the signal.
    """

    def __init__(self, read: Callable[[int], Samples], length: int, n_channels: int) -> None:
        self._read = read
        self._length = length
        self._held = np.empty((n_channels, 0), np.float32)
        self._held_start = 0  # position in the signal of the first sample held

    def samples(self, start: int, stop: int) -> Samples:
        """Return the samples from ``start`` to ``stop``, shape ``(channels, stop - start)``.

        ``start`` must not be before that of the call before.
        """
        first, last = max(start, 0), min(stop, self._length)
        self._move(first, last)
        held = self._held[:, : last - first]
        if (first, last) == (start, stop):
            return held
        padded = np.zeros((held.shape[0], stop - start), np.float32)
        padded[:, first - start : first - start + held.shape[1]] = held
        return padded

    def _move(self, first: int, last: int) -> None:
        """Hold the samples of the signal from ``first`` to ``last``."""
        held_stop = self._held_start + self._held.shape[1]
        while held_stop < first:  # a hop longer than a frame leaves samples out
            held_stop += len(self._read(min(first - held_stop, BLOCK_VALUES)))
        kept = self._held[:, max(first - self._held_start, 0) :]
        new = self._read(last - held_stop).T if last > held_stop else kept[:, :0]
        self._held = np.concatenate([kept, new], axis=1)
        self._held_start = first
