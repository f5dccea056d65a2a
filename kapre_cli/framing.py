"""Integer arithmetic of frames: their number, their positions, the padding.

Lengths and positions are in samples.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from kapre_cli.errors import SettingsError
from kapre_cli.text import Argument, Text

BLOCK_VALUES = 2**21  # features, or samples, of a block in all its channels: 8 MiB of float32

_MICROSECOND = 1e-6  # to which the bounds of segments are rounded

CONVOLUTION_PADDINGS = ("same", "valid", "full", "causal")


def conv_output_length(
    input_length: int | None, filter_size: int, padding: str, stride: int, dilation: int = 1
) -> int | None:
    """Return the number of outputs of a one-dimensional convolution.

    Args:
        input_length: Number of input samples; ``None`` where it is not known.
        filter_size: Number of filter taps, at least 1.
        padding: ``"same"`` or ``"causal"`` (as many outputs as inputs before striding),
            ``"valid"`` (only whole overlaps) or ``"full"`` (every overlap).
        stride: Samples between two outputs, at least 1.
        dilation: Samples between two taps, at least 1.

    Returns:
        The number of outputs, 0 where the filter does not fit, ``None`` for ``None``.

    Raises:
        ValueError: If ``padding`` is none of the four, or a size is below 1.

    >>> conv_output_length(1000, 512, "same", 256)
    4
    >>> conv_output_length(1000, 512, "valid", 256)
    2
    """
    if padding not in CONVOLUTION_PADDINGS:
        rule = f" must be one of {CONVOLUTION_PADDINGS}. Received: "
        raise SettingsError(Text(Argument("padding"), rule, Argument("padding", padding)))
    for name, value in (("filter_size", filter_size), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise SettingsError(f"`{name}` must be at least 1. Received: {name}={value}")
    if input_length is None:
        return None
    reach = (filter_size - 1) * dilation  # samples a filter spans beyond its first tap
    unstrided = {
        "same": input_length,
        "causal": input_length,
        "valid": input_length - reach,
        "full": input_length + reach,
    }[padding]
    return max(-(-unstrided // stride), 0)


@dataclass(frozen=True)
class Framing:
    """The frames of one layer: ``n_dft`` samples each, one every ``n_hop`` samples.

    Attributes:
        n_dft: Samples in a frame.
        n_hop: Samples from the start of a frame to the start of the next.
        padding: ``"same"`` or ``"valid"``.
        block_values: Features, or samples, that a block has at most in all its channels.
    """

    n_dft: int
    n_hop: int
    padding: str
    block_values: int = field(default_factory=lambda: BLOCK_VALUES, repr=False)

    @property
    def min_samples(self) -> int:
        """Samples of the shortest signal that has a frame."""
        return self.n_dft if self.padding == "valid" else 1

    def n_time(self, length: int) -> int:
        """Return the number of frames of a signal of ``length`` samples.

        Raise ValueError if it is empty, or shorter than one frame under ``"valid"``.
        """
        if length < 1:
            raise SettingsError(
                f"The signal must hold at least one sample. Received: length={length}"
            )
        if length < self.min_samples:
            rule = ("With ", Argument("padding", "valid"), " the signal must be at least ")
            received = f" samples long. Received: length={length}, "
            n_dft = Argument("n_dft", self.n_dft)
            raise SettingsError(Text(*rule, Argument("n_dft"), received, n_dft))
        n_time = conv_output_length(length, self.n_dft, self.padding, self.n_hop)
        assert n_time is not None  # noqa: S101 - for the type checker: length is not None
        return n_time

    def frames_between(self, length: int, start: float, stop: float) -> tuple[int, int]:
        """Return the first frame centred at ``start`` or later, and their number up to ``stop``.

        Positions are in samples of a signal of ``length`` samples. A frame that is centred at
        ``stop`` is not counted, so that each frame is in one of two stretches that adjoin. A
        millionth of a hop does not count: positions come from times in decimals.

        >>> framing = Framing(n_dft=4, n_hop=2, padding="valid")  # frames centred at 2, 4, 6, 8
        >>> framing.frames_between(10, 2, 6), framing.frames_between(10, 6, 10)
        ((0, 2), (2, 2))
        """
        centre = self.n_dft / 2 - self.pads(length)[0]
        n_time = self.n_time(length)
        first, last = (
            min(max(ceil(round((one - centre) / self.n_hop, 6)), 0), n_time)
            for one in (start, stop)
        )
        return first, last - first

    def frames_in(self, length: int, sr: float, start: float, end: float) -> tuple[int, int]:
        """Return the first frame centred in a segment, and their number; bounds are in seconds.

        A segment that ends with the signal has all frames up to the last, whose centre may lie
        beyond the end.

        >>> framing = Framing(n_dft=512, n_hop=512, padding="same")  # centred at 1 and 513
        >>> framing.frames_in(513, 1000, 0.0, 0.512), framing.frames_in(513, 1000, 0.0, 0.513)
        ((0, 1), (0, 2))
        """
        is_to_end = end > length / sr - _MICROSECOND
        stop = length + self.n_dft if is_to_end else end * sr
        return self.frames_between(length, start * sr, stop)

    def pads(self, length: Any, maximum: Callable[[Any, int], Any] = max) -> tuple[Any, Any]:
        """Return the number of zeros before and after a signal of ``length`` samples.

        ``"same"`` is TensorFlow's rule: just enough zeros for ``ceil(length / n_hop)`` frames,
        the smaller half of them in front. ``length`` may be a tensor; ``maximum`` is then the
        tensor library's.
        """
        if self.padding == "valid":
            return 0, 0
        n_time = (length + self.n_hop - 1) // self.n_hop
        total = maximum((n_time - 1) * self.n_hop + self.n_dft - length, 0)
        return total // 2, total - total // 2

    def span(self, length: int, first: int, n_frames: int) -> tuple[int, int]:
        """Return the samples ``(start, stop)`` of ``n_frames`` frames from ``first`` on.

        Sample 0 is the first of the signal; pads lie below 0 and from ``length`` on.
        """
        start = first * self.n_hop - self.pads(length)[0]
        return start, start + self.n_samples(n_frames)

    def n_samples(self, n_frames: int) -> int:
        """Return the number of samples that ``n_frames`` successive frames cover."""
        return (n_frames - 1) * self.n_hop + self.n_dft

    def blocks(self, n_time: int, n_features: int, n_channels: int) -> Iterator[tuple[int, int]]:
        """Cut the frames of an input into ``(first, count)`` blocks of bounded memory.

        All but the last have the same number of frames, a power of two. The cuts depend only on the
        input and the layer.
        """
        at_most = self.block_values // (max(n_features, self.n_hop) * n_channels)
        return spans(n_time, largest_power_of_two(at_most))

    @property
    def n_seam_frames(self) -> int:
        """Number of frames across the seam of two signals that adjoin on the hop grid."""
        return -(-self.n_dft // self.n_hop) - 1

    def times(self, length: int, sr: float, first: int = 0) -> tuple[float, float]:
        """Return ``(time_start, time_step)`` in seconds, of the frames from ``first`` on.

        Frame i of these is centred at ``time_start + i * time_step``. The centre of a frame is the
        peak of its periodic window, ``n_dft / 2`` samples in.
        """
        centre = self.n_dft / 2 - self.pads(length)[0] + first * self.n_hop
        return centre / sr, self.n_hop / sr


def largest_power_of_two(at_most: int) -> int:
    """Return the largest power of two that is not above ``at_most``, at least 1.

    Blocks of frames, and the chunks of compressed output, are cut at powers of two, so that
    every block fills whole chunks.

    >>> largest_power_of_two(100), largest_power_of_two(0)
    (64, 1)
    """
    return 1 << max(at_most.bit_length() - 1, 0)


def spans(n_frames: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut ``n_frames`` frames into ``(first, count)`` spans of ``at_most`` frames.

    >>> list(spans(10, 4))
    [(0, 4), (4, 4), (8, 2)]
    """
    for first in range(0, n_frames, at_most):
        yield first, min(at_most, n_frames - first)
