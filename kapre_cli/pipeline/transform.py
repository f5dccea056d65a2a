"""Pieces of signal through whatever computes them, while others are packed and delivered."""

import itertools
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from kapre_cli.audio.samples import Samples
from kapre_cli.closing import Closing
from kapre_cli.framing import Framing
from kapre_cli.pipeline.tape import Piece, Placement, Tape
from kapre_cli.settings import LayerConfig

Features = npt.NDArray[np.float32]

# Frames are computed by vector instructions, several values at once. A tape of a multiple of
# 16 frames leaves no odd values at its end, which would be computed by other instructions and
# could differ in the last bit.
_FRAMES_MULTIPLE = 16

_TAPES_BESIDE = 2  # those that are computed: one to be packed, one to be delivered

_DEFAULT_VALUES = 2**20  # samples of all frames of a tape together: 4 MiB, measured to be fast


class Computer(Closing):
    """Computes tapes in threads of its own, beside what its user does meanwhile.

    Args:
        config: The layer's arguments.
        n_frames: Frames of a tape.
        n_threads: How many tapes are computed at once.

    Attributes:
        tapes: Room for samples, each ``(n_samples,)``, to be used in turn.
    """

    def __init__(self, config: LayerConfig, n_frames: int, n_threads: int) -> None:
        n_samples = config.framing.n_samples(n_frames)
        self.tapes = [np.zeros(n_samples, np.float32) for _ in range(n_threads + _TAPES_BESIDE)]
        self._features = [np.zeros((n_frames, config.n_features), np.float32) for _ in self.tapes]
        self._threads = ThreadPoolExecutor(n_threads, "compute")
        self._under_way: deque[tuple[int, Future[None]]] = deque()

    @abstractmethod
    def _compute(self, samples: Samples, features: Features) -> None:
        """Compute the features of a tape into ``features``, in any thread."""

    def submit(self, number: int) -> None:
        """Let the tape of this number be computed; it must not be written to meanwhile."""
        computing = self._threads.submit(self._compute, self.tapes[number], self._features[number])
        self._under_way.append((number, computing))

    def collect(self) -> Features:
        """Wait for the features of the tape that was submitted longest ago.

        Returns:
            Shape ``(n_frames, n_features)``; theirs until that tape is submitted anew.
        """
        number, computing = self._under_way.popleft()
        computing.result()
        return self._features[number]

    def recompute(self, number: int, samples: slice) -> Features:
        """Compute a tape again, in this thread, with zeros in place of all other samples.

        Args:
            number: The tape's, which has not been written to since it was submitted.
            samples: The samples that stay.

        Returns:
            Shape ``(n_frames, n_features)``.
        """
        tape = np.zeros_like(self.tapes[number])
        tape[samples] = self.tapes[number][samples]
        features = np.zeros_like(self._features[number])
        self._compute(tape, features)
        return features

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(cancel_futures=True)


def tape_frames(config: LayerConfig, batch_size: int | None = None) -> int:
    """Return how many frames a tape has: ``batch_size``, or a size that suits the layer.

    Args:
        config: The layer's arguments.
        batch_size: Frames wanted, rounded up to a multiple of 16.
    """
    framing = config.framing
    wanted = batch_size or _DEFAULT_VALUES // max(framing.n_dft, framing.n_hop)
    return max(-(-wanted // _FRAMES_MULTIPLE), 1) * _FRAMES_MULTIPLE


def run(
    pieces: Iterable[Piece | None], framing: Framing, n_frames: int, computer: Computer
) -> None:
    """Compute every piece into its ``results`` and tell it so.

    Args:
        pieces: What is to be computed. ``None``: the next one will take a while; all that came
            before is computed and told so before it is asked for.
        framing: The layer's.
        n_frames: Frames of a tape.
        computer: What computes tapes.
    """
    under_way: deque[tuple[int, list[Placement]]] = deque()
    numbers = itertools.cycle(range(len(computer.tapes)))

    def deliver() -> None:
        number, placements = under_way.popleft()
        try:
            features = computer.collect()
        except Exception:  # of one input, which must not fail those beside it on the tape
            _deliver_apart(computer, number, placements, framing)
        else:
            _deliver(features, placements)

    def free_tapes() -> Iterator[Samples]:
        for tape in itertools.cycle(computer.tapes):
            while len(under_way) == len(computer.tapes):
                deliver()
            yield tape

    def deliver_all() -> None:
        while under_way:
            deliver()

    for placements in Tape(framing, n_frames).pack(pieces, free_tapes()):
        if placements:
            number = next(numbers)
            computer.submit(number)
            under_way.append((number, placements))
        else:
            deliver_all()
    deliver_all()


def _deliver_apart(
    computer: Computer, number: int, placements: Iterable[Placement], framing: Framing
) -> None:
    """Compute what lies on a tape one by one; what fails again is told of its failure."""
    for placed in placements:
        start = placed.position * framing.n_hop
        samples = slice(start, start + framing.n_samples(placed.count))
        try:
            features = computer.recompute(number, samples)
        except Exception as error:
            if placed.piece.failed is None:
                raise
            placed.piece.failed(error)
        else:
            _deliver(features, [placed])


def _deliver(features: Features, placements: Iterable[Placement]) -> None:
    """Give each piece what belongs to it."""
    are_finite = bool(np.isfinite(features).all())
    for placed in placements:
        computed = features[placed.position : placed.position + placed.count]
        placed.piece.results[placed.first : placed.first + placed.count] = computed
        placed.piece.computed(placed.count, are_finite)
