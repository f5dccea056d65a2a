"""Batches of windows for Keras."""

from typing import Any

import keras

from kapre_cli.formats.loaders import BatchOrder


class KerasWindows(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of windows, in another order in each epoch if they are shuffled."""

    def __init__(self, windows: Any, order: BatchOrder, **options: Any) -> None:
        super().__init__(**options)
        self._windows = windows
        self._order = order
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, number: int) -> Any:
        return self._windows[self._order.batch(self._epoch, number)]

    def on_epoch_end(self) -> None:
        """Begin the next epoch."""
        self._epoch += 1
