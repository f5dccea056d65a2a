"""Dimension scales: coordinates in seconds and Hz, for programs that read HDF5 as netCDF.

A scale is a dataset of the coordinates along one axis. Axes of equal coordinates share one, and the
attribute ``DIMENSION_LIST`` of an array refers to those of its axes. Scales lie in the root group:
netCDF looks for them in an array's own group and in those above it, and among the arrays they could
have the name of an input.

HDF5's own library also lists in each scale the arrays that refer to it. That list is an attribute,
which ends at 4,084 of them, and no known reader needs it: it is not written here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import h5py
import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.framing import spans
from kapre_cli.settings.limits import MAX_CHANNELS
from kapre_cli.storage.hdf5_objects import open_column
from kapre_cli.storage.metadata import InputFacts, RootFacts

FREQUENCY = "frequency"
DIMENSION_LIST = "DIMENSION_LIST"

# The axes of the datasets of the index have a length and no coordinates.
LENGTHS = {"index": "input", "keys": "key_byte", "sources": "source_byte", "notes": "note_byte"}
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10}"  # netCDF's own mark

_BAND_NAMES = {"frequency": "frequency of the bin", "mel": "centre frequency of the mel band"}
_PART_VALUES = 2**16

_REFERENCE_LIST = h5py.vlen_dtype(h5py.ref_dtype)


@dataclass(frozen=True)
class Frames:
    """The coordinates of an axis of time, in seconds."""

    n: int
    start: float
    step: float

    axis: ClassVar[str] = "time"
    units: ClassVar[str] = "s"
    long_name: ClassVar[str] = "time from the start of the recording to the centre of the frame"
    dtype: ClassVar[np.dtype[Any]] = np.dtype("<f8")

    def parts(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Yield the coordinates, some at a time, each time with their place."""
        for first, count in spans(self.n, _PART_VALUES):
            frames = np.arange(first, first + count, dtype=np.float64)
            yield slice(first, first + count), self.start + frames * self.step


@dataclass(frozen=True)
class Channels:
    """The coordinates of an axis of channels: their numbers in the recording, from 0."""

    numbers: tuple[int, ...]

    axis: ClassVar[str] = "channel"
    units: ClassVar[str] = "1"
    long_name: ClassVar[str] = "channel of the recording, counted from 0"
    dtype: ClassVar[np.dtype[Any]] = np.dtype("<i4")

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def parts(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Yield the coordinates with their place."""
        yield slice(0, self.n), np.array(self.numbers, self.dtype)


class ScaleNames:
    """The scales of time and channels, by coordinates: ``time``, ``time_2``, ``channel``, ...

    Args:
        root: The metadata of the output.

    Attributes:
        names: The name of each scale, in the order of the inputs that need them first.
    """

    def __init__(self, root: RootFacts) -> None:
        self._framing = root.layer.framing
        self._audio = root.audio
        self._n_of_axis = {Frames.axis: 0, Channels.axis: 0}
        self.names: dict[Frames | Channels, str] = {}

    def add(self, metadata: InputFacts) -> tuple[Frames, Channels]:
        """Return the coordinates of one input's array, which have names from now on."""
        n_time = self._framing.n_time(metadata.n_samples)
        frames = Frames(n_time, metadata.time_start, metadata.time_step)
        channels = Channels(self._numbers(metadata.n_channels))
        for one in (frames, channels):
            if one not in self.names:
                self._n_of_axis[one.axis] += 1
                number = self._n_of_axis[one.axis]
                self.names[one] = one.axis if number == 1 else f"{one.axis}_{number}"
        return frames, channels

    def _numbers(self, n_channels: int) -> tuple[int, ...]:
        taken = self._audio.channels or ()
        if len(taken) == n_channels and max(taken) < MAX_CHANNELS:
            return taken
        return tuple(range(n_channels))


class ScaleWriter:
    """Writes the scales of an output while its arrays are written.

    Args:
        file: The output, to which nothing but the root attributes has been written.
        root: The metadata of the output.
        frequency: Hz of each bin or band centre.
    """

    def __init__(
        self, file: h5py.File, root: RootFacts, frequency: npt.NDArray[np.float64]
    ) -> None:
        self._file = file
        self._axes = root.layer.axes
        self._scales = ScaleNames(root)
        self._creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        self._creation.set_obj_track_times(False)
        self._list_type = h5py.h5t.py_create(_REFERENCE_LIST, logical=True)
        self._references: dict[str, npt.NDArray[Any]] = {}
        band_axis = next(name for name in self._axes if name in _BAND_NAMES)
        dataset = self._create(FREQUENCY, len(frequency), np.dtype("<f8"))
        dataset[:] = frequency
        self._describe(dataset, FREQUENCY, units="Hz", long_name=_BAND_NAMES[band_axis])

    def attach(self, dataset: Any, metadata: InputFacts) -> None:
        """Refer from an array to the scales of its axes, which are written with the first one."""
        of_axis = {}
        for one in self._scales.add(metadata):
            of_axis[one.axis] = name = self._scales.names[one]
            if name not in self._references:
                scale = self._create(name, one.n, one.dtype)
                for place, values in one.parts():
                    scale[place] = values
                self._describe(scale, name, units=one.units, long_name=one.long_name)
        self._refer(dataset, [of_axis.get(axis, FREQUENCY) for axis in self._axes])

    def finish(self) -> None:
        """Give the datasets of the index, which are there by now, dimensions of their length."""
        for name, length in LENGTHS.items():
            (n_values,) = self._file[name].shape
            dimension = self._create(length, n_values, np.dtype(">f4"))  # without values
            self._describe(dimension, _NO_VARIABLE.format(n_values))
            self._refer(self._file[name].id, [length])

    def _create(self, name: str, n_values: int, dtype: np.dtype[Any]) -> h5py.Dataset:
        kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple((n_values,))
        made = h5py.h5d.create(self._file.id, name.encode(), kind, space, dcpl=self._creation)
        reference = h5py.h5r.create(self._file.id, name.encode(), h5py.h5r.OBJECT)
        self._references[name] = np.array([reference], h5py.ref_dtype)
        return h5py.Dataset(made)

    def _describe(self, scale: h5py.Dataset, name: str, **attributes: str) -> None:
        for attribute, text in {"CLASS": "DIMENSION_SCALE", "NAME": name}.items():
            # HDF5 takes a CLASS with a NUL at its end, and no other.
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(len(text) + 1)
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            written = h5py.h5a.create(scale.id, attribute.encode(), kind, space)
            written.write(np.array(text.encode(), f"S{len(text) + 1}"))
        for attribute, text in attributes.items():
            scale.attrs[attribute] = np.bytes_(text)

    def _refer(self, dataset: Any, names: list[str]) -> None:
        references = np.empty(len(names), _REFERENCE_LIST)
        for axis, name in enumerate(names):
            references[axis] = self._references[name]
        space = h5py.h5s.create_simple((len(names),))
        written = h5py.h5a.create(dataset, DIMENSION_LIST.encode(), self._list_type, space)
        written.write(references)


def scale_members(scales: ScaleNames) -> set[str]:
    """Return the names of all members of the root group that are there for the scales' sake."""
    return {*scales.names.values(), *LENGTHS.values()}


def require_scales(top: Any, scales: ScaleNames) -> None:
    """Compare the coordinates in a file with those that its metadata gives.

    No reference is followed: the names are known.

    Args:
        top: The file's root group.
        scales: All inputs have been added to it.

    Raises:
        StoredDataError: If some differ, or cannot be read.
    """
    for expected, name in scales.names.items():
        stored = open_column(top, name, expected.dtype)
        if len(stored) != expected.n or not all(
            np.array_equal(stored[place], values) for place, values in expected.parts()
        ):
            raise StoredDataError(f"the dimension scale {quoted(name)} is not that of its arrays")
