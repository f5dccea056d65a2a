"""Arrays for xarray: with labelled axes, read when their values are used."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from xarray import DataArray, Dataset, Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from kapre_cli.errors import SettingsError
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.validation import validated_shape
from kapre_cli.settings import LayerConfig
from kapre_cli.text import quoted

NAME = "features"

_TIME = {"units": "s", "long_name": "time from the start of the recording to the frame's centre"}
_FROM_FIRST = {"units": "s", "long_name": "time from the centre of the first frame"}
_START = {"units": "s", "long_name": "time from the start of the recording to the first frame"}
_CHANNEL = {"long_name": "channel of the recording, counted from 0"}

Index = tuple[int | slice, ...]
Read = Callable[[Any], npt.NDArray[Any]]


class Array(Protocol):
    """The array of one input; see ``FeatureArray``."""

    key: str
    axes: tuple[str, str, str]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    metadata: InputMetadata
    layer: LayerConfig

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds to each frame's centre."""

    @property
    def coordinate(self) -> npt.NDArray[np.float64]:
        """Where each feature lies."""

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels of the recording."""

    def __getitem__(self, index: Any, /) -> npt.NDArray[Any]:
        """Return a copy of some values."""


def data_array(array: Array) -> DataArray:
    """Return the array of one input."""
    attributes = {name: one for name, one in array.metadata.to_dict().items() if one is not None}
    values = _Lazy(array.shape, array.dtype, array.__getitem__)
    time = Variable("time", array.times, _TIME)
    labelled = _labelled(array.axes, values, array, time)
    labelled.attrs |= {"key": array.key, **attributes}
    return labelled


def dataset(
    arrays: Mapping[str, Array], inputs: Mapping[str, InputMetadata], root: OutputMetadata
) -> Dataset:
    """Return the arrays of some inputs as one variable with a first dimension ``input``.

    Raise ValueError if there are no inputs, or the shapes of two arrays differ.
    """
    keys = tuple(inputs)
    if not keys:
        raise SettingsError("`keys` has no key")
    first = arrays[keys[0]]
    for key, metadata in inputs.items():
        shape = validated_shape(key, metadata, root.layer)
        if shape != first.shape:
            raise SettingsError(
                f"{quoted(first.key)} has the shape {first.shape} and {quoted(key)} {shape}: "
                "arrays of one shape alone make a Dataset (use `features[key].to_xarray()` for "
                "each, or `features.windows`)"
            )

    def read(index: Index) -> npt.NDArray[Any]:
        selected, inside = index[0], index[1:]
        if isinstance(selected, slice):
            each = [arrays[key][inside] for key in keys[selected]]
            return np.stack(each) if each else np.empty((0, *first.shape))[index]
        return arrays[keys[selected]][inside]

    values = _Lazy((len(keys), *first.shape), first.dtype, read)
    step = first.metadata.time_step * np.arange(len(first.times))
    time = Variable("time", step, _FROM_FIRST)
    made = Dataset({NAME: _labelled(("input", *first.axes), values, first, time)})
    starts = [one.time_start for one in inputs.values()]
    made = made.assign_coords(input=list(keys), time_start=Variable("input", starts, _START))
    described = root.to_dict()
    return made.assign_attrs(
        {name: dumps(one) if isinstance(one, dict) else one for name, one in described.items()}
    )


def _labelled(
    dimensions: Sequence[str], values: "_Lazy", array: Array, time: Variable
) -> DataArray:
    """Return values with the coordinates of an array, except for ``time``."""
    layer = array.layer
    coordinate, axis = layer.coordinate, layer.feature_axis
    described = {"long_name": coordinate.long_name}
    if coordinate.unit:
        described["units"] = coordinate.unit
    coordinates = {
        "time": time,
        coordinate.name: Variable(axis, array.coordinate, described),
        "channel": Variable("channel", np.array(array.channels), _CHANNEL),
    }
    attributes = {"long_name": layer.values.label}
    variable = Variable(dimensions, indexing.LazilyIndexedArray(values), attributes)
    labelled = DataArray(variable, coordinates, name=NAME)
    return labelled if axis == coordinate.name else labelled.set_xindex(coordinate.name)


class _Lazy(BackendArray):
    """Values that ``read`` returns for integers and slices."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Read) -> None:
        self.shape = shape
        self.dtype = dtype
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        basic = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, basic, self._read)
