"""The array of one input, in memory or in a file, the same for every format."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredArrayError
from kapre_cli.events import Observer, PhaseProgress
from kapre_cli.formats.array_chunks import (
    ArrayChunks,
    Chunk,
    RawChunks,
    frame_index,
)
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.validation import check_shape
from kapre_cli.formats.values import ChunkVisitor, Values, ValuesInMemory
from kapre_cli.settings import LayerConfig
from kapre_cli.text import quoted

if TYPE_CHECKING:
    from xarray import DataArray

_SMALL_VALUES = 2**16
_MAX_MAPPED_BYTES = 2**22


class FeatureArray:
    """The array of one input, read when it is indexed as NumPy indexes.

    ``array[:, 1000:2000]`` reads no more than that; ``array[:]`` reads all of it. Either is a copy.

    Args:
        key: The input's key.
        values: Its values, in memory or in a file.
        metadata: The input's metadata.
        config: The arguments of the layer.
        coordinate: Where each feature lies on its axis. ``None``: computed from the layer.
        channels: The channels of the recording that the run took, in order. ``None``: all.

    Attributes:
        key: The input's key.
        shape: The array's shape.
        dtype: The type of its values: float32, float16 or float64.
        axes: The names of its axes: ``time``, ``frequency`` or ``mel``, ``channel``.
        metadata: The input's metadata.
        layer: The arguments of the layer.

    Raises:
        StoredDataError: If the array's shape is not the one that its layer gives for its input.
    """

    def __init__(
        self,
        key: str,
        values: Values | npt.NDArray[Any],
        metadata: InputMetadata,
        config: LayerConfig,
        coordinate: npt.NDArray[np.float64] | None = None,
        channels: Sequence[int] | None = None,
    ) -> None:
        check_shape(key, values.shape, metadata, config)
        self.key = key
        self.axes = config.axes
        self.metadata = metadata
        self._values = ValuesInMemory(values) if isinstance(values, np.ndarray) else values
        self.layer = config
        self._coordinate = coordinate
        self._channels = channels
        self.shape = values.shape
        self.dtype = values.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        try:
            mapped = self._values.mapped()
            if mapped is not None:
                selected = mapped[index]
                # More is read with system calls: pages of a map count as this process's memory.
                if selected.nbytes <= _MAX_MAPPED_BYTES:
                    return np.array(selected)
            return self._values[index]
        except (OSError, RuntimeError) as error:
            self._fail(error)

    def read(self, index: Any) -> npt.NDArray[Any]:
        """Return the values that an index selects, read with system calls.

        An error of the disk is an exception, where a map of the file would end the process.

        Raises:
            StoredDataError: If the values cannot be read.
        """
        try:
            return self._values[index]
        except (OSError, RuntimeError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> NoReturn:
        """Raise the error of reading; those of HDF5 are OSError or RuntimeError."""
        raise StoredArrayError(self.key, f"cannot be read: {error}") from error

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return all values without a copy, not to be changed; ``None`` if they must be read."""
        return self._values.mapped()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("reading an array makes a copy of it")
        return self[()].astype(dtype or self.dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all values, uncompressed."""
        return self.size * self.dtype.itemsize

    @property
    def time_axis(self) -> int:
        """The number of the time axis."""
        return self.axes.index("time")

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds from the recording's start to each frame's centre, shape (n_time,)."""
        frames = np.arange(self.shape[self.time_axis], dtype=np.float64)
        return self.metadata.time_start + frames * self.metadata.time_step

    @property
    def coordinate(self) -> npt.NDArray[np.float64]:
        """Where each feature lies on its axis, in the unit of the layer's coordinate."""
        if self._coordinate is None:
            self._coordinate = self.layer.feature_positions(self.metadata.sr).values
        return self._coordinate

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Hz of each bin, or of the centre of each mel band.

        Raises:
            AttributeError: If the features of the layer are not at frequencies.
        """
        check_frequencies(self.layer)
        return self.coordinate

    @property
    def channels(self) -> tuple[int, ...]:
        """The recording's channels along the channel axis, counted from 0."""
        return channel_numbers(self.metadata, self._channels)

    def to_xarray(self) -> "DataArray":
        """Return the array with labelled axes, read when its values are used.

        Returns:
            An ``xarray.DataArray`` with the dimensions ``axes`` and the coordinates ``time`` in
            seconds, ``frequency`` in Hz (or that of another layer) and ``channel``. Its attributes
            are the metadata of the input.

        Raises:
            ImportError: If xarray is not installed.

        >>> from kapre_cli import open_features
        >>> with open_features("docs/sample_features.h5") as features:
        ...     bird = features["bird.flac"].to_xarray()
        ...     part = bird.sel(time=slice(0.5, 0.6), channel=0)
        ...     print(part.dims, part.shape, float(part.max()))
        ('mel', 'time') (32, 4) -6.69921875
        """
        with xarray_needed():
            from kapre_cli.formats.labelled import data_array
        return data_array(self)

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis, some megabytes at a time.

        Raises:
            StoredDataError: If the values cannot be read.
        """
        try:
            yield from self._values.blocks(self.time_axis)
        except (OSError, RuntimeError) as error:
            self._fail(error)

    def __repr__(self) -> str:
        return f"<{quoted(self.key)} {dict(zip(self.axes, self.shape, strict=True))} {self.dtype}>"


class StoredArray(FeatureArray):
    """The array of one input in an output.

    Attributes:
        offset: Where its values begin in the file, if all of them are stored there uncompressed.
    """

    def __init__(
        self,
        key: str,
        values: Values,
        metadata: InputMetadata,
        config: LayerConfig,
        coordinate: npt.NDArray[np.float64] | None = None,
        channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__(key, values, metadata, config, coordinate, channels)
        self.offset = values.offset

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the array is not compressed."""
        return self._values.raw_chunks

    def verify(self, visit: ChunkVisitor | None = None) -> None:
        """Read all values and compare them with the checksum they were written with.

        ``visit`` is called with all values, part by part, as they are read, for more checks. Raise
        StoredDataError if the values have changed or cannot be read.
        """
        try:
            found = self._values.crc32(self.time_axis, visit)
        except (OSError, RuntimeError) as error:
            self._fail(error)
        self.check_crc32(found)

    def has_bytes_of(self, other: "StoredArray") -> bool:
        """Whether two small arrays are the same, byte for byte.

        For large arrays and those that are not stored unchanged this is ``False``.
        """
        if (self.axes, self.shape, self.dtype) != (other.axes, other.shape, other.dtype):
            return False
        content = self.content()
        return content is not None and content == other.content()

    def content(self) -> bytes | None:
        """Return all bytes of a small array; ``None`` if large or stored otherwise."""
        parts = self._values.parts() if self.size < _SMALL_VALUES else None
        try:
            return None if parts is None else b"".join(parts)
        except (OSError, RuntimeError) as error:
            self._fail(error)

    def progress_visitor(self, emit: Observer) -> ChunkVisitor | None:
        """Return a function that emits the progress of each part passed to it.

        ``None`` for a small array, which is read at once.
        """
        if self.size < _SMALL_VALUES:
            return None
        per_value = self.metadata.seconds / self.size

        def visit(values: npt.NDArray[Any]) -> None:
            emit(PhaseProgress(values.size * per_value))

        return visit

    def check_crc32(self, crc32: int) -> None:
        """Raise StoredDataError unless the stored checksum is ``crc32``."""
        if crc32 != self.metadata.crc32:
            raise StoredArrayError(
                self.key,
                f"is damaged: its values have the CRC-32 {crc32:08x}, "
                f"they were written with {self.metadata.crc32:08x}",
            )


def channel_numbers(
    metadata: InputMetadata, channels: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the channels of the recording that an array has, in the order of its axis.

    ``channels`` are those that the run took; ``None``: all.
    """
    if metadata.channel is not None:
        return (metadata.channel,)
    if channels is None or len(channels) != metadata.n_channels:  # such as their average
        return tuple(range(metadata.n_channels))
    return tuple(channels)


@contextmanager
def xarray_needed() -> Iterator[None]:
    """Say how xarray is installed if it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = "pip install 'kapre-extract[xarray]'"
        raise ImportError(f"{error}; {remedy} installs what `to_xarray` needs") from error


def check_frequencies(config: LayerConfig) -> None:
    """Raise AttributeError if the features of a layer are not at frequencies."""
    name = config.coordinate.name
    if name != "frequency":
        raise AttributeError(f"the features of this layer are at a {name}: see `coordinate`")


def stored_array(stored: StoredArray, config: LayerConfig) -> ArrayChunks:
    """Return the array of another output, cut into chunks as if from the journal."""
    time_axis, channel_axis = config.axes.index("time"), config.axes.index("channel")
    n_time, n_channels = stored.shape[time_axis], stored.shape[channel_axis]
    blocks = list(config.framing.blocks(n_time, config.n_features, n_channels))

    def chunks() -> Iterator[Chunk]:
        for first, count in blocks:
            index = frame_index(config, first, count)
            yield index, stored.read(index)

    return ArrayChunks(
        shape=stored.shape,
        dtype=stored.dtype,
        time_axis=time_axis,
        n_chunks=len(blocks),
        chunk_frames=blocks[0][1],
        chunks=chunks,
        reference=stored.metadata.reference,
        raw_chunks=stored.raw_chunks,
    )
