"""What an open output is to its reader, whatever its format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.closing import Closing
from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.report import counted
from kapre_cli.settings import AudioSettings, LayerConfig
from kapre_cli.storage.metadata import InputFacts, RootFacts


class StoredArray:
    """One input's array, read when it is indexed.

    Attributes:
        key: The input's key.
        shape: The array's shape.
        dtype: Its type.
        axes: The names of its axes: ``time``, ``frequency`` or ``mel``, ``channel``.
        facts: What is known of the input.

    Raises:
        StoredDataError: If the axes are not those of the array.
    """

    def __init__(self, key: str, values: Any, axes: tuple[str, ...], facts: InputFacts) -> None:
        if len(axes) != len(values.shape):
            raise StoredDataError(
                f"{quoted(key)} has {len(values.shape)} axes, its facts name {len(axes)}"
            )
        self.key = key
        self.axes = axes
        self.facts = facts
        self._values = values
        self.shape: tuple[int, ...] = tuple(values.shape)
        self.dtype: np.dtype[Any] = values.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        values = self._values[index]
        return np.array(values) if isinstance(values, np.memmap) else np.asarray(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("reading an array makes a copy of it")
        return np.array(self._values[()], dtype=dtype)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds from the start of the audio to the centre of each frame."""
        frames = np.arange(self.shape[self.axes.index("time")], dtype=np.float64)
        return self.facts.time_start + frames * self.facts.time_step

    def __repr__(self) -> str:
        return f"<{quoted(self.key)} {dict(zip(self.axes, self.shape, strict=True))} {self.dtype}>"


class Features(Mapping[str, StoredArray], Closing):
    """The arrays of one output by key, in the order of the inputs; read-only.

    Made by :func:`open_features`; usable as a context manager.

    Attributes:
        path: The output.
        root: The facts of the whole output.
        frequency: Hz of each bin or band centre.
    """

    path: Path
    root: RootFacts
    frequency: npt.NDArray[np.float64]

    @property
    def layer(self) -> LayerConfig:
        """The layer's arguments."""
        return self.root.layer

    @property
    def settings(self) -> AudioSettings:
        """Sample rate, channels and resampling."""
        return self.root.audio

    @property
    def versions(self) -> dict[str, str]:
        """Version of each program and library behind the numbers."""
        return self.root.versions

    def close(self) -> None:
        """Let go of the files."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {quoted(self.path)}: {counted(len(self), 'array')}>"
