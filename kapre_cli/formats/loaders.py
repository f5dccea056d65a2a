"""Batches of windows for TensorFlow and PyTorch, and their order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError
from kapre_cli.settings import checks
from kapre_cli.text import counted


class BatchOrder:
    """Which windows each batch of an epoch has.

    The order of an epoch follows from ``seed`` and the number of the epoch alone.

    Args:
        n_windows: How many windows there are.
        batch_size: Windows of a batch; the last one may have fewer.
        shuffle: Whether the windows are shuffled in each epoch.
        seed: Another seed gives other orders.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, n_windows: int, batch_size: int, *, shuffle: bool, seed: int) -> None:
        self.n_windows = n_windows
        self._size = checks.integer("batch_size", batch_size, at_least=1)
        self._shuffle = checks.boolean("shuffle", shuffle)
        self._seed = checks.integer("seed", seed, at_least=0)
        self._last: tuple[int, npt.NDArray[np.int64]] = -1, np.empty(0, np.int64)

    def __len__(self) -> int:
        return -(-self.n_windows // self._size)

    def batch(self, epoch: int, number: int) -> slice | npt.NDArray[np.int64]:
        """Return the windows of a batch."""
        if not 0 <= number < len(self):
            raise IndexError(f"batch {number} is out of range: there are {len(self):,}")
        part = slice(number * self._size, min((number + 1) * self._size, self.n_windows))
        return self._order(epoch)[part] if self._shuffle else part

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        last, order = self._last
        if last != epoch:
            order = np.random.default_rng((self._seed, epoch)).permutation(self.n_windows)
            self._last = epoch, order
        return order

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": (-1, np.empty(0, np.int64))}

    def __repr__(self) -> str:
        return f"<{counted(self.n_windows, 'window')} in batches of {self._size}>"


def tf_dataset(windows: Any, order: BatchOrder) -> Any:
    """Return batches of windows as a ``tf.data.Dataset``; raise ValueError if there are none."""
    import tensorflow as tf

    if not order.n_windows:
        raise SettingsError("there are no windows to make a data set of")
    n_epochs = 0

    def batches() -> Iterator[Any]:
        nonlocal n_epochs
        epoch, n_epochs = n_epochs, n_epochs + 1
        for number in range(len(order)):
            yield windows[order.batch(epoch, number)]

    def spec(values: npt.NDArray[Any]) -> Any:
        return tf.TensorSpec((None, *values.shape[1:]), tf.as_dtype(values.dtype))

    first = windows[:1]
    signature = tuple(map(spec, first)) if isinstance(first, tuple) else spec(first)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(order))).prefetch(1)


class TorchWindows:
    """Windows as a map-style data set of PyTorch; see ``Windows.as_torch``.

    A ``DataLoader`` reads all windows of a batch by one call.
    """

    def __init__(self, windows: Any) -> None:
        self._windows = windows

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Any:
        return self._windows[number]

    def __getitems__(self, numbers: list[int]) -> list[Any]:
        """Return some windows, or pairs of a window and its label."""
        batch = self._windows[numbers]
        return list(zip(*batch, strict=True)) if isinstance(batch, tuple) else list(batch)
