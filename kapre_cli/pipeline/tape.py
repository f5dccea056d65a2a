"""Signals of any length packed into batches of one fixed shape, with next to no padding.

The batch is a tape of samples. Pieces of signal are laid on it one after another, each beginning
at a multiple of the hop, and the tape is framed as one signal. A frame that starts in one piece
and ends in the next belongs to neither and is dropped: ``n_straddling`` frames for each piece.
A piece that does not fit is cut at a frame, and its rest opens the next tape.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.samples import Samples
from kapre_cli.framing import Framing


@dataclass(slots=True)
class Piece:
    """Successive frames of one channel, to be computed.

    Attributes:
        samples: The samples that the frames cover, pads included.
        results: Where their features go, shape ``(n_frames, n_features)``.
        computed: Called with how many more of its frames have been computed, and whether the
            features of all of them are finite.
        failed: Called with the exception that computing some of its frames raises. ``None``: the
            exception is raised.
    """

    samples: Samples
    results: npt.NDArray[np.float32]
    computed: Callable[[int, bool], None]
    failed: Callable[[Exception], None] | None = None


@dataclass(slots=True)
class Placement:
    """Some frames of a piece on a tape.

    Attributes:
        piece: The piece.
        first: Its first frame on this tape.
        count: How many of its frames are on this tape.
        position: Number of the frame on the tape.
    """

    piece: Piece
    first: int
    count: int
    position: int


class Tape:
    """Packs pieces into tapes of ``n_frames`` frames.

    Args:
        framing: How a signal is framed; the pads have been laid before.
        n_frames: Frames of a tape.
    """

    def __init__(self, framing: Framing, n_frames: int) -> None:
        self.framing = framing
        self.n_frames = n_frames
        self.n_samples = framing.n_samples(n_frames)

    def pack(
        self, pieces: Iterable[Piece | None], tapes: Iterator[Samples]
    ) -> Iterator[list[Placement]]:
        """Fill tapes and yield, for each, what lies where on it.

        Args:
            pieces: What is to be laid on tapes. ``None``: the next one will take a while; the tape
                that has been begun is not kept waiting, and an empty list is yielded after it.
            tapes: Gives room for samples, ``(n_samples,)``, when a new tape is begun. What they
                held before is left in the gaps.
        """
        samples, placements, position = next(tapes), list[Placement](), 0
        for piece in pieces:
            if piece is None:
                if placements:
                    yield placements
                    samples, placements, position = next(tapes), [], 0
                yield []
                continue
            first, n_frames = 0, len(piece.results)
            while first < n_frames:
                count = min(n_frames - first, self.n_frames - position)
                if count <= 0:
                    yield placements
                    samples, placements, position = next(tapes), [], 0
                    continue
                self._lay(piece, first, count, samples, position)
                placements.append(Placement(piece, first, count, position))
                first += count
                position += count + self.framing.n_straddling
        if placements:
            yield placements

    def _lay(self, piece: Piece, first: int, count: int, tape: Samples, position: int) -> None:
        length = self.framing.n_samples(count)
        source, target = first * self.framing.n_hop, position * self.framing.n_hop
        tape[target : target + length] = piece.samples[source : source + length]
