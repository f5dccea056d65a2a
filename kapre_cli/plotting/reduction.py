"""An array of any size as an image of bounded size that keeps every peak."""

import numpy as np
import numpy.typing as npt

from kapre_cli.framing import spans
from kapre_cli.plotting.view import Part

_BLOCK_VALUES = 2**22

Image = npt.NDArray[np.float32]


def peaks(part: Part, n_rows: int, n_columns: int, block_values: int = _BLOCK_VALUES) -> Image:
    """Return the largest value in each cell of a grid laid over the part of an array.

    The array is read once, a block of frames after the other. NaN stays visible: a cell that
    holds one is NaN.

    Args:
        part: What is shown.
        n_rows: Cells along the frequencies, at most; there are no more than bins or bands.
        n_columns: Cells along the time, at most; there are no more than frames.
        block_values: Values that are read at once, at most.

    Returns:
        Shape ``(channels, rows, columns)``, the lowest frequency and the first frame first.
    """
    array = part.array
    time = array.axes.index("time")
    order = array.axes.index("channel"), 3 - time - array.axes.index("channel"), time
    n_channels, n_features, _ = (array.shape[axis] for axis in order)
    n_columns = min(n_columns, part.n_frames)
    rows = _cell_starts(n_features, n_rows)
    image = np.full((len(part.channels), len(rows), n_columns), -np.inf, np.float32)
    at_most = max(block_values // (n_channels * n_features), 1)
    for first, count in spans(part.n_frames, at_most):
        index = [slice(None)] * 3
        index[time] = slice(part.first + first, part.first + first + count)
        block = array[tuple(index)].transpose(order)[list(part.channels)]
        block = np.maximum.reduceat(block.astype(np.float32, copy=False), rows, axis=1)
        column_of = np.arange(first, first + count) * n_columns // part.n_frames
        columns, starts = np.unique(column_of, return_index=True)
        found = np.maximum.reduceat(block, starts, axis=2)
        image[..., columns] = np.maximum(image[..., columns], found)
    return image


def _cell_starts(n_values: int, n_cells: int) -> npt.NDArray[np.intp]:
    """Return where each of at most ``n_cells`` cells begins, of sizes as equal as can be."""
    n_cells = min(n_cells, n_values)
    return np.arange(n_cells) * n_values // n_cells
