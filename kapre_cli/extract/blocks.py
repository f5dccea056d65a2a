"""One input as successive blocks of frames, in memory that does not grow with its length."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.reader import AudioReader
from kapre_cli.audio.samples import Samples
from kapre_cli.engines.batches import Segment
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.framing import Framing
from kapre_cli.inputs import Source
from kapre_cli.resume.journal import BlockEntry, Journal


@dataclass(slots=True, eq=False)
class ActiveInput:
    """One input while a worker decodes and computes it.

    Attributes:
        number: Its place among the inputs of the run.
        begun: When its file was opened (:func:`time.monotonic`).
        metadata: Its metadata; ``None`` until it has been opened.
        state: The state of its file, see ``journal.identity``.
        kept: First frames of the blocks that earlier runs have computed.
        n_kept: Number of frames in these.
        n_due: Number of blocks still to be computed.
        is_read: Whether its file has been read and checked to the end.
        has_failed: Whether it has failed; its pending blocks are void.
        work_seconds: Seconds from opening to the last computed frame; ``None`` without one.
    """

    number: int
    source: Source
    journal: Journal
    begun: float
    metadata: InputMetadata | None = None
    state: int = 0
    kept: tuple[int, ...] = ()
    n_kept: int = 0
    n_due: int = 0
    entries: list[BlockEntry] = field(default_factory=list)
    is_read: bool = False
    has_failed: bool = False
    work_seconds: float | None = None

    @property
    def known_metadata(self) -> InputMetadata:
        """Metadata of an input that has been opened."""
        if self.metadata is None:
            raise RuntimeError(f"{self.source.key!r} has not been opened")
        return self.metadata


@dataclass(slots=True)
class Block:
    """Successive frames of one input, to be computed.

    Attributes:
        samples: Samples of the frames, padding included: ``(n_channels, n_samples)``.
        results: The features, shape ``(n_channels, n_frames, n_features)``, once they are computed.
        peak: The largest feature so far: NaN or infinite if one of them is.
        n_due: Number of frames, over all channels, that are not computed yet.
    """

    input: ActiveInput
    first_frame: int
    n_frames: int
    samples: Samples
    results: npt.NDArray[np.float32] = field(init=False)
    peak: float = field(init=False, default=0.0)
    n_due: int = field(init=False)

    def segments(
        self,
        n_features: int,
        complete: Callable[["Block"], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> list[Segment]:
        """Return each channel's frames, of ``n_features`` features.

        ``complete`` is called once all frames have been computed, ``failed`` with the exception
        that computing some of them raises.
        """
        n_channels = len(self.samples)
        self.results = np.empty((n_channels, self.n_frames, n_features), np.float32)
        self.n_due = n_channels * self.n_frames

        def computed(count: int, peak: float) -> None:
            self.n_due -= count
            self.peak = float(np.maximum(self.peak, peak))  # NaN stays
            if self.n_due == 0:
                complete(self)

        return [
            Segment(samples, results, computed, failed)
            for samples, results in zip(self.samples, self.results, strict=True)
        ]


@dataclass(slots=True)
class EndOfInput:
    """The end of an input, which has been read and checked completely or has failed."""

    input: ActiveInput
    failure: Exception | None = None


Item = ActiveInput | Block | EndOfInput


def frame_blocks(
    active: ActiveInput,
    reader: AudioReader,
    framing: Framing,
    n_features: int,
    kept: Container[int] = (),
) -> Iterator[Block]:
    """Yield the frames of an input block by block; the file has been read completely at the end.

    ``kept`` has the first frames of blocks that are computed already and left out.

    Raises:
        SettingsError: If the input is too short for one frame.
        AudioReadError: If it is damaged or shorter than its header states.
    """
    length = reader.n_samples
    buffer = np.empty((reader.n_channels, 0), np.float32)  # the last samples read, as far as needed
    n_read = 0

    def samples(start: int, stop: int) -> Samples:
        """Return the samples of frames, zeros before the signal's start and after its end."""
        nonlocal buffer, n_read
        first, last = max(start, 0), min(stop, length)
        buffer = buffer[:, first - (n_read - buffer.shape[1]) :]
        while n_read < first:  # a hop longer than a frame leaves samples out
            n_read += len(reader.read(min(first - n_read, framing.block_values)))
        if n_read < last:
            new = reader.read(last - n_read).T
            n_read += new.shape[1]
            buffer = np.concatenate([buffer, new], axis=1) if buffer.size else new
        if (first, last) == (start, stop):
            return buffer
        padded = np.zeros((len(buffer), stop - start), np.float32)
        padded[:, first - start : last - start] = buffer
        return padded

    for first, count in framing.blocks(framing.n_time(length), n_features, reader.n_channels):
        if first not in kept:
            yield Block(active, first, count, samples(*framing.span(length, first, count)))
    reader.finish()
