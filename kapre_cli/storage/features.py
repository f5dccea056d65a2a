"""Reading outputs back: the same mapping from key to array for every format.

A file is data. Nothing in it can make this module import, run or build anything but the two
layers with arguments in range; it follows no link out of the file and loads no pickle.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.settings import AudioSettings, LayerConfig
from kapre_cli.storage.metadata import InputFacts, RootFacts, loads
from kapre_cli.storage.npy import MANIFEST_NAME, ROOT_NAME, sidecar_of

if TYPE_CHECKING:
    from kapre_cli.time_frequency import Spectrogram

PathLike = str | os.PathLike[str]


class StoredArray:
    """One input's array, read when it is indexed.

    Attributes:
        key: The input's key.
        shape: The array's shape.
        dtype: Its type.
        axes: The names of its axes: ``time``, ``frequency`` or ``mel``, ``channel``.
        facts: What is known of the input.
    """

    def __init__(self, key: str, values: Any, axes: tuple[str, ...], facts: InputFacts) -> None:
        self.key = key
        self.axes = axes
        self.facts = facts
        self._values = values
        self.shape: tuple[int, ...] = tuple(values.shape)
        self.dtype: np.dtype[Any] = values.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        return np.asarray(self._values[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        values = np.array(self._values[()])
        return values if dtype is None else values.astype(dtype, copy=bool(copy))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds from the start of the audio to the centre of each frame."""
        frames = np.arange(self.shape[self.axes.index("time")], dtype=np.float64)
        return self.facts.time_start + frames * self.facts.time_step

    def __repr__(self) -> str:
        return f"<{quoted(self.key)} {dict(zip(self.axes, self.shape, strict=True))} {self.dtype}>"


class Features(Mapping[str, StoredArray]):
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

    def __enter__(self) -> "Features":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {quoted(self.path)}: {len(self)} arrays>"


class _NpyFeatures(Features):
    """The arrays of a directory of .npy files, or of a single one."""

    def __init__(self, path: Path, stored: Any, rows: list[tuple[Any, Path]]) -> None:
        self.path = path
        self.root = RootFacts.from_dict(stored)
        self.frequency = np.asarray(stored.get("frequency"), dtype=np.float64)
        self._rows = {}
        for row, file in rows:
            key, axes, facts = _split_row(row)
            self._rows[key] = (axes, facts, file)

    def __getitem__(self, key: str) -> StoredArray:
        axes, facts, file = self._rows[key]
        try:
            values = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoredDataError(f"{quoted(file)} cannot be read: {error}") from error
        return StoredArray(key, values, axes, facts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _split_row(row: Any) -> tuple[str, tuple[str, ...], InputFacts]:
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        raise StoredDataError("a row of its manifest has no `key`")
    if not isinstance(row.get("axes"), list):
        raise StoredDataError("a row of its manifest has no `axes`")
    rest = {name: value for name, value in row.items() if name not in ("key", "axes")}
    return row["key"], tuple(map(str, row["axes"])), InputFacts.from_dict(rest)


def _open_npy_directory(path: Path) -> Features:
    with (path / MANIFEST_NAME).open(encoding="ascii") as manifest:
        rows = [loads(line) for line in manifest]
    located = []
    for row in rows:
        key = _split_row(row)[0]
        file = path / f"{key}.npy"
        if os.path.isabs(key) or ".." in Path(key).parts:
            raise StoredDataError(f"the key {quoted(key)} leads out of the output")
        located.append((row, file))
    return _NpyFeatures(path, loads((path / ROOT_NAME).read_bytes()), located)


def _open_npy(path: Path) -> Features:
    stored = loads(sidecar_of(path).read_bytes())
    if not isinstance(stored, dict):
        raise StoredDataError(f"{quoted(sidecar_of(path))} holds no facts")
    return _NpyFeatures(path, stored, [(stored.get("input"), path)])


def open_features(output: PathLike) -> Features:
    """Open an output of ``kapre-extract``, of any format, for reading.

    Args:
        output: The HDF5 file, the .npy file, or the directory of .npy files.

    Returns:
        A mapping from key to :class:`StoredArray`; arrays are read when they are indexed.

    Raises:
        FileNotFoundError: If there is nothing at ``output``.
        StoredDataError: If it is not a sound output of this program; a ``ValueError`` too.
    """
    path = Path(output)
    try:
        if path.is_dir():
            return _open_npy_directory(path)
        if path.suffix.lower() == ".npy":
            return _open_npy(path)
        from kapre_cli.storage.hdf5_features import Hdf5Features  # h5py only where it is needed

        return Hdf5Features(path)
    except StoredDataError as error:
        raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
    except FileNotFoundError as error:
        if not path.exists():
            raise
        raise StoredDataError(
            f"{quoted(path)} is not a whole output of kapre-extract: "
            f"{quoted(error.filename)} is missing"
        ) from error


def load_layer(output: PathLike) -> "Spectrogram":
    """Return the live Keras layer that made an output, built from its stored arguments.

    Args:
        output: The HDF5 file, the .npy file, or the directory of .npy files.

    Raises:
        FileNotFoundError: If there is nothing at ``output``.
        StoredDataError: If it is not a sound output of this program; a ``ValueError`` too.
    """
    with open_features(output) as features:
        config = features.layer
    from kapre_cli.time_frequency import layer_of  # TensorFlow only where it is needed

    return layer_of(config)
