"""Frames of the arrays of one output, where they are mapped or as they are read."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import SettingsError, StoredArrayError, StoredDataError
from kapre_cli.formats.arrays import StoredArray, channel_numbers
from kapre_cli.formats.file_map import FileMap
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.validation import validated_shape
from kapre_cli.text import Argument, Text, counted, quoted

_UNKNOWN, _NOT_MAPPED = -1, -2  # in the place of an offset
_AHEAD = 64  # arrays: opening them in order takes a fraction of the time
_MAX_OPEN = 2**13  # arrays, of some kB each


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
        channel: The channel of the recording that is read; ``None``: all.

    Attributes:
        keys: The keys, in order. An array's number is its place in them.
        axes: The names of the axes.
        n_time: By number, how many frames the array has.
        starts: By number, the seconds to the centre of frame 0.
        is_segment: By number, whether the input is a segment of a recording.
        step: Seconds from frame to frame.
        dtype: The type of the values, in the byte order of this machine.

    Raises:
        ValueError: If an array does not have the channel, or arrays have different numbers of
            channels where all are read.
    """

    def __init__(
        self, arrays: Arrays, inputs: Mapping[str, InputMetadata], channel: int | None
    ) -> None:
        layer, audio = arrays.root.layer, arrays.root.audio
        self._arrays = arrays
        self.keys = tuple(inputs)
        self.axes = layer.axes
        self._time, self._channel = (self.axes.index(axis) for axis in ("time", "channel"))
        shapes = [validated_shape(key, one, layer) for key, one in inputs.items()]
        self._shapes = np.array(shapes, np.int64).reshape(-1, len(self.axes)).T.copy()
        self.n_time = self._shapes[self._time]
        self._first_channel = None
        if channel is None:
            self._check_channels()
        else:
            numbers = [
                _channel(key, channel, channel_numbers(one, audio.channels))
                for key, one in inputs.items()
            ]
            self._first_channel = np.array(numbers, np.int64)
        self._n_channels = int(self._shapes[self._channel][0]) if channel is None and shapes else 1
        self._n_features = layer.n_values
        self.starts = np.array([one.time_start for one in inputs.values()])
        self.is_segment = np.array([one.start is not None for one in inputs.values()], bool)
        self.step = layer.framing.times(1, audio.sr)[1]
        self.dtype = np.dtype(arrays.root.dtype)
        _, second, third = self._shapes
        last = np.full_like(third, self.dtype.itemsize)
        self._strides = second * third * last, third * last, last
        self._is_compressed = arrays.root.compression != "none"
        self._forget()

    def _check_channels(self) -> None:
        n_channels = self._shapes[self._channel]
        others = np.flatnonzero(n_channels != n_channels[:1])
        if others.size:
            number = int(others[0])
            first, other = (counted(int(n_channels[one]), "channel") for one in (0, number))
            raise SettingsError(
                Text(
                    f"{quoted(self.keys[0])} has {first} and {quoted(self.keys[number])} {other}: "
                    "their windows have different shapes (use ",
                    Argument("channel", 0),
                    ", or ",
                    Argument("keys"),
                    " with inputs of one kind)",
                )
            )

    def shape(self, n_frames: int) -> tuple[int, int, int]:
        """Return the shape of so many frames."""
        sizes = {"time": n_frames, "channel": self._n_channels}
        first, second, third = (sizes.get(axis, self._n_features) for axis in self.axes)
        return first, second, third

    def _forget(self) -> None:
        self._offsets = np.full(len(self.keys), _UNKNOWN, np.int64)
        self._open: OrderedDict[int, StoredArray] = OrderedDict()
        self._lock = Lock()
        self._map = None if self._is_compressed else self._arrays.file_map

    def __getstate__(self) -> dict[str, Any]:
        # What the file has is read again: it may have been replaced.
        return {**self.__dict__, "_offsets": None, "_open": None, "_lock": None, "_map": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def metadata(self, number: int) -> InputMetadata:
        """Return the metadata of an array."""
        return self._array(number).metadata

    def view(self, number: int, first: int, shape: tuple[int, int, int]) -> npt.NDArray[Any]:
        """Return frames of an array from ``first`` on, not to be changed; mapped if possible.

        Raise StoredDataError if they cannot be read, ValueError if the output is closed.
        """
        offset = self._offsets.item(number)
        if offset == _UNKNOWN:
            offset = self._located(number)
        if offset == _NOT_MAPPED:
            return self._read(number, first, first + shape[self._time])
        first_axis, second_axis, third_axis = self._strides
        strides = first_axis.item(number), second_axis.item(number), third_axis.item(number)
        offset += first * strides[self._time]
        return np.ndarray(shape, self.dtype, self._buffer(), offset, strides)

    def views(
        self,
        numbers: npt.NDArray[np.int64],
        firsts: npt.NDArray[np.int64],
        shape: tuple[int, int, int],
    ) -> Iterator[npt.NDArray[Any]]:
        """Yield what :meth:`view` returns of many arrays, in half the time."""
        offsets = self._offsets[numbers]
        for number in numbers[offsets == _UNKNOWN].tolist():
            self._located(number)
        offsets = self._offsets[numbers]
        strides = [axis[numbers] for axis in self._strides]
        places = np.where(offsets >= 0, offsets + firsts * strides[self._time], _NOT_MAPPED)
        each = zip(*(axis.tolist() for axis in strides), strict=True)
        buffer, dtype = self._buffer() if (offsets >= 0).any() else None, self.dtype
        for index, (place, along) in enumerate(zip(places.tolist(), each, strict=True)):
            if place == _NOT_MAPPED:
                first = firsts.item(index)
                yield self._read(numbers.item(index), first, first + shape[self._time])
            else:
                yield np.ndarray(shape, dtype, buffer, place, along)

    def _buffer(self) -> npt.NDArray[np.uint8]:
        """Return all bytes of the file; raise ValueError if the output is closed."""
        buffer = None if self._map is None else self._map.buffer
        if buffer is None:  # NumPy would make an array of anything in memory
            raise SettingsError(f"{quoted(self._arrays.path)} is closed")
        return buffer

    def _read(self, number: int, first: int, stop: int) -> npt.NDArray[Any]:
        index = [slice(None)] * len(self.axes)
        index[self._time] = slice(first, stop)
        if self._first_channel is not None:
            channel = self._first_channel.item(number)
            index[self._channel] = slice(channel, channel + 1)
        array = self._array(number)
        mapped = array.mapped()
        return array[tuple(index)] if mapped is None else mapped[tuple(index)]

    def _located(self, number: int) -> int:
        """Return where an array begins in the map of the file; look up the next ones too."""
        if self._map is None:
            self._offsets[number] = _NOT_MAPPED
        if self._offsets[number] != _UNKNOWN:
            return self._offsets.item(number)
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
        if self._first_channel is None:
            return array.offset
        channel = self._first_channel.item(number)
        return array.offset + channel * self._strides[self._channel].item(number)

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
        if array.shape != tuple(self._shapes[:, number].tolist()):
            raise StoredArrayError(array.key, "has changed since the output was opened")
        if array.dtype.newbyteorder("=") != self.dtype:
            raise StoredArrayError(
                array.key, f"has values of {array.dtype}, the others of its output {self.dtype}"
            )
        return array


def _channel(key: str, channel: int, numbers: Sequence[int]) -> int:
    """Return where a channel of a recording is on an axis that has some of them."""
    if channel not in numbers:
        has = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
        raise SettingsError(f"{quoted(key)} has no channel {channel}; it has {has}")
    return numbers.index(channel)
