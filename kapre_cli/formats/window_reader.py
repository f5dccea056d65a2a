"""Frames of the arrays of one output, where they are mapped or as they are read."""

from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError, StoredArrayError, StoredDataError
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.file_map import FileMap
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.validation import validated_shape
from kapre_cli.text import quoted

_UNKNOWN, _NOT_MAPPED = -1, -2  # in the place of an offset
_AHEAD = 64  # arrays: opening them in order takes a fraction of the time
_MAX_OPEN = 2**10  # arrays; a compressed one takes some 40 kB

Inputs = dict[str, InputMetadata]


class Arrays(Protocol):
    """An open output; see ``Features``."""

    path: Path
    root: OutputMetadata

    @property
    def file_map(self) -> FileMap | None:
        """The map of the one file in which all uncompressed arrays lie."""

    def __getitem__(self, key: str, /) -> StoredArray:
        """Return the array of a key."""


class FrameReader:
    """Reads frames of the arrays of an output, which are opened when they are first read.

    It has some numbers for each array and no object. Threads may share it; another process opens
    the output again.

    Args:
        arrays: The open output.
        inputs: The metadata of the arrays that are read, by key.

    Attributes:
        keys: The keys, in order. An array's number is its place in them.
        axes: The names of the axes.
        n_features: The length of the feature axis.
        n_time: By number, how many frames the array has.
        n_channels: By number, how many channels.
        starts: By number, the seconds to the centre of frame 0.
        step: Seconds from frame to frame.
        dtype: The type of the values, in the byte order of this machine.
    """

    def __init__(self, arrays: Arrays, inputs: Inputs) -> None:
        layer = arrays.root.layer
        self._arrays = arrays
        self.keys = tuple(inputs)
        self.axes = layer.axes
        self.n_features = layer.n_values
        shapes = [validated_shape(key, one, layer) for key, one in inputs.items()]
        by_axis = np.array(shapes, np.int64).reshape(-1, len(self.axes)).T
        self.n_time = by_axis[self.axes.index("time")].copy()
        self.n_channels = by_axis[self.axes.index("channel")].copy()
        self.starts = np.array([one.time_start for one in inputs.values()])
        self.is_segment = np.array([one.start is not None for one in inputs.values()], bool)
        self.step = layer.framing.times(1, arrays.root.audio.sr)[1]
        self.dtype = np.dtype(arrays.root.dtype)
        sizes = {"time": 0, "channel": 2}
        self._roles = [sizes.get(axis, 1) for axis in self.axes]
        self._time = self.axes.index("time")
        self._is_compressed = arrays.root.compression != "none"
        self._forget()

    def _forget(self) -> None:
        self._offsets = np.full(len(self.keys), _UNKNOWN, np.int64)
        self._open: OrderedDict[int, StoredArray] = OrderedDict()
        self._lock = Lock()
        found = None if self._is_compressed else self._arrays.file_map
        self._buffer = None if found is None else found.buffer

    def __getstate__(self) -> dict[str, Any]:
        # What the file has is read again: it may have been replaced.
        return {**self.__dict__, "_offsets": None, "_open": None, "_lock": None, "_buffer": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def metadata(self, number: int) -> InputMetadata:
        """Return the metadata of an array."""
        return self._array(number).metadata

    def view(self, number: int, first: int, count: int) -> npt.NDArray[Any]:
        """Return frames of an array, not to be changed: mapped if that is possible.

        Raise StoredDataError if they cannot be read.
        """
        offset = self._offsets.item(number)
        if offset == _UNKNOWN:
            offset = self._located(number)
        if offset == _NOT_MAPPED:
            index: list[slice] = [slice(None)] * len(self.axes)
            index[self._time] = slice(first, first + count)
            array = self._array(number)
            mapped = array.mapped()
            return array[tuple(index)] if mapped is None else mapped[tuple(index)]
        sizes = self.n_time.item(number), self.n_features, self.n_channels.item(number)
        shape = [sizes[role] for role in self._roles]
        itemsize = self.dtype.itemsize
        row = shape[2] * itemsize
        strides = (shape[1] * row, row, itemsize)
        shape[self._time] = count
        offset += first * strides[self._time]
        try:
            return np.ndarray(shape, self.dtype, self._buffer, offset, strides)
        except ValueError as error:
            raise SettingsError(f"{quoted(self._arrays.path)} is closed") from error

    def _located(self, number: int) -> int:
        """Return where an array begins in the map of the file; look up the next ones too."""
        if self._buffer is None:
            return _NOT_MAPPED
        self._offsets[number] = self._offset(number)
        for other in range(number + 1, min(number + _AHEAD, len(self.keys))):
            if self._offsets[other] == _UNKNOWN:
                with suppress(StoredDataError):  # it is not read yet
                    self._offsets[other] = self._offset(other)
        return self._offsets.item(number)

    def _offset(self, number: int) -> int:
        array = self._opened(number)
        if array.offset is None or array.dtype != self.dtype or array.mapped() is None:
            return _NOT_MAPPED
        return array.offset

    def _array(self, number: int) -> StoredArray:
        """Return an array; those that were read last are kept open."""
        with self._lock:
            found = self._open.get(number)
            if found is not None:
                self._open.move_to_end(number)
                return found
        found = self._opened(number)
        with self._lock:
            self._open[number] = found
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        return found

    def _opened(self, number: int) -> StoredArray:
        """Open an array; raise StoredDataError if it is not the one that the index describes."""
        array = self._arrays[self.keys[number]]
        sizes = dict(zip(self.axes, array.shape, strict=True))
        expected = self.n_time[number], self.n_channels[number]
        if (sizes["time"], sizes["channel"]) != expected:
            raise StoredArrayError(array.key, "has changed since the output was opened")
        if array.dtype.newbyteorder("=") != self.dtype:
            raise StoredArrayError(
                array.key, f"has values of {array.dtype}, the others of its output {self.dtype}"
            )
        return array
