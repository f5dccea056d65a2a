"""An array of any size as an image of bounded size that keeps every peak."""

import numpy as np
import numpy.typing as npt

from kapre_cli.framing import spans
from kapre_cli.plotting.frequencies import Rows
from kapre_cli.plotting.view import Part

_BLOCK_VALUES = 2**22

Image = npt.NDArray[np.float32]


def peaks(part: Part, rows: Rows, n_columns: int, block_values: int = _BLOCK_VALUES) -> Image:
    """Return the largest value in each cell of a grid laid over the part of an array.

    The array is read once, a block of frames after the other. NaN stays visible: a cell that
    holds one is NaN.

    Args:
        part: What is shown.
        rows: Where the cells begin along the frequencies.
        n_columns: Cells along the time, at most; there are no more than frames.
        block_values: Values that are read at once, at most.

    Returns:
        Shape ``(channels, cells, columns)``, the lowest frequency and the first frame first.
    """
    array = part.array
    time, channel = array.axes.index("time"), array.axes.index("channel")
    feature = 3 - time - channel
    n_columns = min(n_columns, part.n_frames)
    image = np.full((len(part.channels), len(rows.starts), n_columns), -np.inf, np.float32)
    n_features = rows.features.stop - rows.features.start
    at_most = max(block_values // (array.shape[channel] * n_features), 1)
    for first, count in spans(part.n_frames, at_most):
        frames = slice(part.first + first, part.first + first + count)
        shown = {channel: slice(None), feature: rows.features, time: frames}
        block = array[tuple(shown[axis] for axis in range(3))].transpose(channel, feature, time)
        block = block[list(part.channels)].astype(np.float32, copy=False)
        block = np.maximum.reduceat(block, rows.starts, axis=1)
        column_of = np.arange(first, first + count) * n_columns // part.n_frames
        columns, starts = np.unique(column_of, return_index=True)
        found = np.maximum.reduceat(block, starts, axis=2)
        image[..., columns] = np.maximum(image[..., columns], found)
    return image
