"""Dimension scales: coordinates for programs that read HDF5 as netCDF.

A scale is a dataset of the coordinates along one axis. Axes of equal coordinates share one, and the
attribute ``DIMENSION_LIST`` of an array refers to those of its axes. Scales lie in the root group:
netCDF looks for them in an array's own group and in those above it; beside an array they could have
the name of an input.

HDF5's own library also lists in each scale the arrays that refer to it. This program does not: the
list is an attribute, limited to 4,084 arrays, and no known reader needs it.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from kapre_cli.errors import StoredDataError
from kapre_cli.formats.hdf5_objects import open_column
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.framing import spans
from kapre_cli.settings.checks import MAX_CHANNELS
from kapre_cli.text import quoted

DIMENSION_LIST = "DIMENSION_LIST"

# The axes of the datasets of the index have a length and no coordinates.
LENGTHS = {
    "index": "input",
    "keys": "key_byte",
    "sources": "source_byte",
    "notes": "note_byte",
    "labels": "label_byte",
}
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable.{:10}"  # netCDF's own mark

_UNITS_AND_NAMES = {
    "time": ("s", "time from the start of the recording to the centre of the frame"),
    "channel": ("1", "channel of the recording, counted from 0"),
}
_PART_VALUES = 2**16

_REFERENCE_LIST = h5py.vlen_dtype(h5py.ref_dtype)


class Scale(NamedTuple):
    """The ``n`` coordinates of an axis: times of frames, or numbers of channels.

    Times are in seconds. The first time is ``start``, the next one is ``step`` later. ``numbers``
    are channels, from 0.
    """

    axis: str
    n: int
    start: float = 0.0
    step: float = 0.0
    numbers: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored type of the coordinates."""
        return np.dtype("<i4" if self.numbers else "<f8")

    def parts(self) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        """Yield parts of the coordinates, each with its slice."""
        for first, count in spans(self.n, _PART_VALUES):
            part = slice(first, first + count)
            times = self.start + np.arange(first, first + count, dtype=np.float64) * self.step
            yield part, np.array(self.numbers[part], self.dtype) if self.numbers else times


class ScaleNames:
    """The scales of time and channels, and their names.

    These are ``time``, ``time_2``, ``channel`` and so on, in the order of the inputs that need them
    first.
    """

    def __init__(self, root: OutputMetadata) -> None:
        self._framing = root.layer.framing
        self._audio = root.audio
        self._n_of_axis: Counter[str] = Counter()
        self.names: dict[Scale, str] = {}

    def add(self, metadata: InputMetadata) -> tuple[Scale, Scale]:
        """Return the coordinates of one input's array, and give them names."""
        (_, n_time), n_channels = metadata.frames(self._framing), metadata.n_channels
        numbers = self._audio.channels or ()
        if metadata.channel is not None:
            numbers = (metadata.channel,)
        if len(numbers) != n_channels or max(numbers) >= MAX_CHANNELS:
            numbers = tuple(range(n_channels))
        scales = (
            Scale("time", n_time, metadata.time_start, metadata.time_step),
            Scale("channel", n_channels, numbers=numbers),
        )
        for one in scales:
            if one not in self.names:
                self._n_of_axis[one.axis] += 1
                number = self._n_of_axis[one.axis]
                self.names[one] = one.axis if number == 1 else f"{one.axis}_{number}"
        return scales

    def check(self, top: Any) -> None:
        """Raise StoredDataError if a file has other coordinates; no reference is followed."""
        for expected, name in self.names.items():
            stored = open_column(top, name, expected.dtype)
            if len(stored) != expected.n or not all(
                np.array_equal(stored[part], values) for part, values in expected.parts()
            ):
                raise StoredDataError(
                    f"the dimension scale {quoted(name)} is not that of its arrays"
                )


class ScaleWriter:
    """Writes the scales of an output while its arrays are written.

    Nothing but the root attributes may be in the file yet. ``coordinate`` has the position of each
    feature on its axis.
    """

    def __init__(
        self, file: h5py.File, root: OutputMetadata, coordinate: npt.NDArray[np.float64]
    ) -> None:
        self._file = file
        self._axes = root.layer.axes
        self._scales = ScaleNames(root)
        self._creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        self._creation.set_obj_track_times(False)
        self._list_type = h5py.h5t.py_create(_REFERENCE_LIST, logical=True)
        self._references: dict[str, npt.NDArray[Any]] = {}
        self._coordinate = described = root.layer.coordinate
        dataset = self._create(described.name, len(coordinate), np.dtype("<f8"))
        dataset[:] = coordinate
        self._describe(dataset, described.name, (described.unit or "1", described.long_name))

    def attach(self, dataset: Any, metadata: InputMetadata) -> None:
        """Refer from an array to the scales of its axes; write those that are new."""
        of_axis = {}
        for one in self._scales.add(metadata):
            of_axis[one.axis] = name = self._scales.names[one]
            if name not in self._references:
                scale = self._create(name, one.n, one.dtype)
                for part, values in one.parts():
                    scale[part] = values
                self._describe(scale, name, _UNITS_AND_NAMES[one.axis])
        self._refer(dataset, [of_axis.get(axis, self._coordinate.name) for axis in self._axes])

    def finish(self) -> None:
        """Give the datasets of the index, which now exist, dimensions of their length."""
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

    def _describe(
        self, scale: h5py.Dataset, name: str, described: tuple[str, str] | None = None
    ) -> None:
        h5py.h5ds.set_scale(scale.id, name.encode())
        if described is not None:
            units, long_name = described
            scale.attrs["units"] = np.bytes_(units)
            scale.attrs["long_name"] = np.bytes_(long_name)

    def _refer(self, dataset: Any, names: list[str]) -> None:
        references = np.empty(len(names), _REFERENCE_LIST)
        for axis, name in enumerate(names):
            references[axis] = self._references[name]
        space = h5py.h5s.create_simple((len(names),))
        written = h5py.h5a.create(dataset, DIMENSION_LIST.encode(), self._list_type, space)
        written.write(references)
