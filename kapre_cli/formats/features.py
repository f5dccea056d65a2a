"""An open output and its arrays, the same for every format."""

import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredArrayError, StoredDataError
from kapre_cli.events import Observer, PhaseInputEnded, PhaseProgress, ignore
from kapre_cli.formats.array_chunks import (
    ArrayChunks,
    ArrayCrc32,
    Chunk,
    RawChunks,
    crc32,
    frame_index,
    little_endian,
)
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.validation import check_shape
from kapre_cli.framing import largest_power_of_two, spans
from kapre_cli.inputs import folder_id, folders_of
from kapre_cli.osutil import Resource
from kapre_cli.settings import AudioSettings, LayerConfig
from kapre_cli.text import counted, quoted

ChunkVisitor = Callable[[npt.NDArray[Any]], object]

BLOCK_VALUES = 2**22  # of an array, read at once
_SMALL_VALUES = 2**16


class Values(ABC):
    """An array in a file.

    ``offset`` is where its values begin, if all of them lie there uncompressed.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None = None

    @abstractmethod
    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        """Return a copy of the values that ``index`` selects."""

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the array is not compressed."""
        return None

    def parts(self) -> Iterator[bytes] | None:
        """Return all bytes in parts of some MB; ``None`` if not stored unchanged."""
        return None

    def crc32(self, time_axis: int, visit: ChunkVisitor | None = None) -> int:
        """Read all values, part by part; return their CRC-32.

        It is that of the values in C order, little-endian. Each part is passed to ``visit`` as it
        is read, in any shape.
        """
        visit = visit or (lambda _values: None)
        parts = self.parts()
        if parts is None:
            array_crc = ArrayCrc32(self.shape, time_axis, self.dtype.itemsize)
            for values in self.blocks(time_axis):
                array_crc.add(little_endian(values))
                visit(values)
            return array_crc.value()
        crc, is_swapped = 0, self.dtype.str.startswith(">")
        for part in parts:
            values = np.frombuffer(part, self.dtype)
            crc = crc32(little_endian(values).data if is_swapped else part, crc)
            visit(values)
        return crc

    def blocks(self, time_axis: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all values in blocks along the time axis, some megabytes at a time."""
        n_time = self.shape[time_axis]
        at_once = largest_power_of_two(max(BLOCK_VALUES * n_time // prod(self.shape), 1))
        for first, count in spans(n_time, at_once):
            index = [slice(None)] * len(self.shape)
            index[time_axis] = slice(first, first + count)
            yield self[tuple(index)]


class StoredArray:
    """The array of one input, read when it is indexed.

    ``array[:, 1000:2000]`` reads no more than that; ``array[:]`` reads all of it.

    Attributes:
        key: The input's key.
        shape: The array's shape.
        dtype: The type of its values: float32, float16 or float64.
        axes: The names of its axes: ``time``, ``frequency`` or ``mel``, ``channel``.
        metadata: The input's metadata.
        offset: Where its values begin in the file, if all of them are stored there uncompressed.

    Raises:
        StoredDataError: If the array's shape is not the one that its layer gives for its input.
    """

    def __init__(
        self, key: str, values: Values, metadata: InputMetadata, config: LayerConfig
    ) -> None:
        check_shape(key, values.shape, metadata, config)
        self.key = key
        self.axes = config.axes
        self.metadata = metadata
        self._values = values
        self.shape = values.shape
        self.dtype = values.dtype
        self.offset = values.offset

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        with self._reading():
            return self._values[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("reading an array makes a copy of it")
        return self[()].astype(dtype or self.dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def raw_chunks(self) -> RawChunks | None:
        """The chunks as stored; ``None`` if the array is not compressed."""
        return self._values.raw_chunks

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds from the recording's start to each frame's centre, shape (n_time,)."""
        frames = np.arange(self.shape[self.axes.index("time")], dtype=np.float64)
        return self.metadata.time_start + frames * self.metadata.time_step

    def verify(self, visit: ChunkVisitor | None = None) -> None:
        """Read all values and compare them with the checksum they were written with.

        ``visit`` is called with all values, part by part, as they are read, for more checks. Raise
        StoredDataError if the values have changed or cannot be read.
        """
        with self._reading():
            found = self._values.crc32(self.axes.index("time"), visit)
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
        parts = self._values.parts() if prod(self.shape) < _SMALL_VALUES else None
        with self._reading():
            return None if parts is None else b"".join(parts)

    def progress_visitor(self, emit: Observer) -> ChunkVisitor | None:
        """Return a function that emits the progress of each part passed to it.

        ``None`` for a small array, which is read at once.
        """
        n_values = prod(self.shape)
        if n_values < _SMALL_VALUES:
            return None
        per_value = self.metadata.seconds / n_values

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

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # HDF5's errors are either
            raise StoredArrayError(self.key, f"cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"<{quoted(self.key)} {dict(zip(self.axes, self.shape, strict=True))} {self.dtype}>"


def stored_array(stored: StoredArray, config: LayerConfig) -> ArrayChunks:
    """Return the array of another output, cut into chunks as if from the journal."""
    time_axis, channel_axis = config.axes.index("time"), config.axes.index("channel")
    n_time, n_channels = stored.shape[time_axis], stored.shape[channel_axis]
    blocks = list(config.framing.blocks(n_time, config.n_features, n_channels))

    def chunks() -> Iterator[Chunk]:
        for first, count in blocks:
            index = frame_index(config, first, count)
            yield index, stored[index]

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


class Features(Mapping[str, StoredArray], Resource):
    """The arrays of one output by key, in the order of the inputs.

    It is a read-only mapping, and a context manager that closes the files. A format derives its
    reader from this class; its constructor sets the attributes and ``_inputs``, whose keys are
    those of the output. Returned by :func:`~kapre_cli.open_features`.

    Attributes:
        path: The path of the output.
        format: The name of the output's format, such as ``"hdf5"``.
        root: The metadata of the whole output.
        coordinate: Where each feature lies on its axis, in the unit of the layer's coordinate.
    """

    path: Path
    format: str
    root: OutputMetadata
    coordinate: npt.NDArray[np.float64]
    _inputs: Mapping[str, Any]  # by key; each format has its own values

    def __getitem__(self, key: str) -> StoredArray:
        if key not in self._inputs:
            raise UnknownKeyError(unknown_key(key, self._inputs))
        return self.open_array(key)

    @abstractmethod
    def open_array(self, key: str) -> StoredArray:
        """Return the array of a key that is in ``_inputs``."""

    def __contains__(self, key: object) -> bool:
        return key in self._inputs  # Mapping's own would open the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def layer(self) -> LayerConfig:
        """The arguments of the layer that computed the arrays."""
        return self.root.layer

    @property
    def frequency(self) -> npt.NDArray[np.float64]:
        """Hz of each bin, or of the centre of each mel band.

        Raises:
            AttributeError: If the features of the layer are not at frequencies.
        """
        name = self.layer.coordinate.name
        if name != "frequency":
            raise AttributeError(f"the features of this layer are at a {name}: see `coordinate`")
        return self.coordinate

    @property
    def settings(self) -> AudioSettings:
        """Sample rate, channels, and how the files were read."""
        return self.root.audio

    @property
    def versions(self) -> dict[str, str]:
        """Version of each program and library that computed the arrays."""
        return self.root.versions

    @abstractmethod
    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input, without opening its array.

        A hundred thousand inputs take about a second. The metadata has not been compared with the
        array. Raise StoredDataError if the metadata of an input is damaged.
        """

    def unexpected_files(self) -> Iterator[str]:
        """Yield the names of unexpected files or datasets among the arrays.

        Raise StoredDataError if the arrays cannot be listed.
        """
        return iter(())

    def replaced_arrays(self) -> Iterator[str]:
        """Yield the names of array files that cannot be those this program wrote.

        No array is opened. Raise StoredDataError if the metadata is damaged.
        """
        return iter(())

    def check_scales(self) -> None:
        """Compare the dimension scales, if there are any, with the metadata.

        Raise StoredDataError if one differs or cannot be read.
        """

    def check_written(
        self,
        written: Iterable[tuple[str, InputMetadata]],
        emit: Observer = ignore,
        compared: Mapping[str, int] | None = None,
    ) -> None:
        """Raise StoredDataError unless all arrays and their metadata are as written.

        An array whose values lie where its file was ``compared`` already is not read again.
        """
        self.check_scales()
        for key, metadata in written:
            stored = self[key]
            if stored.metadata != metadata:
                raise StoredDataError(f"the metadata of {quoted(key)} is not that written")
            if compared is None or stored.offset is None or compared.get(key) != stored.offset:
                stored.verify(stored.progress_visitor(emit))
            emit(PhaseInputEnded(metadata.seconds))

    def close(self) -> None:
        """Close the files."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {quoted(self.path)}: {counted(len(self), 'array')}>"


class UnknownKeyError(KeyError):
    """A key that an output does not have; its text is shown without quotes."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown_key(key: object, keys: Collection[str]) -> str:
    """Return the message that ``key`` is missing among ``keys``, with similar keys."""
    some = list(islice(keys, 10_000))  # comparing with a million is too slow
    close = difflib.get_close_matches(str(key)[:1000], some, n=3)
    which = "similar keys are" if close else "the first key is"
    similar = ", ".join(map(quoted, close or some[:1]))
    hint = f", {which} {similar}" if similar else ""
    return f"no input has the key {quoted(key)}; the output has {counted(len(keys), 'key')}{hint}"


def unexpected_in_folder(path: Path, files: Collection[str]) -> Iterator[str]:
    """Yield all paths below a folder but ``files`` and the folders they are in."""
    folders = folders_of(files)
    for folder, subfolders, names in os.walk(path):
        above = os.path.relpath(folder, path)
        above = "" if above == os.curdir else f"{above}/"
        expected = {name for name in subfolders if folder_id(above + name) in folders}
        known = expected | {name for name in names if above + name in files}
        for name in (*sorted(subfolders), *sorted(names)):
            if name not in known or os.path.islink(os.path.join(folder, name)):
                yield above + name
        subfolders[:] = [name for name in subfolders if name in expected]
