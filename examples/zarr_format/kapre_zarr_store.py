"""Write and read Zarr groups; see ``kapre_zarr``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from kapre_zarr import (
    ARRAY,
    ATTRIBUTES,
    COORDINATE,
    FEATURES,
    GROUP,
    INPUTS,
    WEIGHTS,
    ZarrFormat,
)
from numcodecs import GZip

from kapre_cli.errors import StoredArrayError, StoredDataError, wrap_os_errors
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.features import Features, unexpected_in_folder
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.validation import (
    MAX_METADATA_BYTES,
    validated_coordinate,
    validated_json,
    validated_key,
    validated_root,
    within,
    within_range,
)
from kapre_cli.formats.values import Values
from kapre_cli.formats.writer import FeatureWriter
from kapre_cli.osutil import open_plain, sync_file, sync_folder
from kapre_cli.text import quoted

DIMENSIONS = "_ARRAY_DIMENSIONS"  # the attribute in which xarray finds the names of the axes

_DTYPES = ("<f2", "<f4", "<f8")
_IS_ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3


class ZarrWriter(FeatureWriter):
    """Writes a group; all inputs first, its own metadata at the end."""

    def __init__(self, path: Path, root: OutputMetadata) -> None:
        super().__init__(path, root)
        with wrap_os_errors(path):
            version: dict[str, Any] = {"zarr_format": 2} if _IS_ZARR_3 else {}
            self._group = zarr.open_group(str(path), mode="w-", **version)
            self._features = self._group.create_group(FEATURES)
            self._inputs = (path / INPUTS).open("xb")
            for name, values in root.weights.arrays.items() if root.weights else ():
                _create(self._group, f"{WEIGHTS}/{name}", values.shape, values.shape, values.dtype)[
                    ...
                ] = values
        self._array: Any = None

    def store_array(self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]) -> None:
        """Write an array; its chunks are those in which it is computed."""
        size = list(array.shape)
        size[array.time_axis] = array.chunk_frames
        compressor = GZip(level=4) if self.root.compression == "gzip" else None
        with wrap_os_errors(self.path / FEATURES / key):
            self._array = _create(
                self._features, key, array.shape, tuple(size), array.dtype, compressor
            )
            for index, values in chunks:
                self._array[index] = values

    def store_metadata(self, key: str, metadata: InputMetadata) -> None:
        """Write the attributes of an array, and its line in the list of inputs."""
        axes = zip(self.root.layer.axes, self._array.shape, strict=True)
        # xarray takes axes of one name for one axis: so each length has a name of its own.
        names = [f"{axis}_{n}" if axis in ("time", "channel") else axis for axis, n in axes]
        with wrap_os_errors(self.path / FEATURES / key):
            self._array.attrs.update({**metadata.to_dict(), DIMENSIONS: names})
            self._inputs.write(f"{dumps({'key': key, **metadata.to_dict()})}\n".encode())

    def finish(self) -> None:
        """Write the coordinate and the root metadata, and sync all files to the disk."""
        with wrap_os_errors(self.path):
            n = len(self.coordinate)
            array = _create(self._group, COORDINATE, (n,), (n,), np.dtype("<f8"))
            array[:] = self.coordinate
            layer = self.root.layer
            described = {"long_name": layer.coordinate.long_name, "units": layer.coordinate.unit}
            array.attrs.update({**described, DIMENSIONS: [layer.feature_axis]})
            self._inputs.close()
            (self.path / ATTRIBUTES).write_text(dumps(self.root.to_dict()), encoding="ascii")
            for folder, _, names in os.walk(self.path):
                for name in names:
                    sync_file(Path(folder, name))
                sync_folder(Path(folder))

    def close(self) -> None:
        """Close the list of inputs."""
        super().close()
        self._inputs.close()


def _create(
    group: Any, name: str, shape: Any, chunks: Any, dtype: Any, compressor: Any = None
) -> Any:
    """Create an array in which chunks of zeros are written like all others."""
    common = {"shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": 0.0}
    if _IS_ZARR_3:
        config = {"write_empty_chunks": True}
        return group.create_array(name, compressors=compressor, config=config, **common)
    return group.create_dataset(name, compressor=compressor, write_empty_chunks=True, **common)


class ZarrFeatures(Features):
    """The arrays of a group. Only what :class:`ZarrWriter` writes is passed on to Zarr."""

    format = ZarrFormat.name

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = os.path.realpath(path)
        self.root = validated_root(self._json(ATTRIBUTES))
        # The length is a statement of the file: no more values are read than the layer has.
        coordinate = self._values(COORDINATE)[: self.layer.n_values + 1]
        self.coordinate = validated_coordinate(coordinate, self.root)
        self._inputs: dict[str, InputMetadata] = {}
        with open_plain(self._within(INPUTS)) as file:
            while line := file.readline(MAX_METADATA_BYTES):
                stored = validated_json(line)
                key = validated_key(stored.pop("key", None) if isinstance(stored, dict) else None)
                if key in self._inputs:
                    raise StoredDataError(f"{INPUTS} has the key {quoted(key)} twice")
                self._inputs[key] = within_range(InputMetadata.from_dict(stored), self.root)

    def open_array(self, key: str) -> StoredArray:
        """Return an array; its attributes are compared with the list of inputs."""
        metadata = self._inputs[key]
        stored, values = self._stored(key)
        stored.pop(DIMENSIONS, None)
        if stored != metadata.to_dict():
            raise StoredArrayError(key, f"has other attributes than in {INPUTS}")
        return self.array_of(key, values, metadata)

    def stored_weights(self) -> dict[str, Any]:
        """Read the weights, whose shapes are compared with those of the layer first."""
        weights = {}
        for name, shape in self.layer.weight_shapes.items():
            values = self._values(f"{WEIGHTS}/{name}")
            if values.shape != shape or values.chunks != shape:
                raise StoredDataError(f"its weight {quoted(name)} is not stored as this program")
            weights[name] = values[...]
        return weights

    def _stored(self, key: str) -> "tuple[dict[str, Any], ZarrValues]":
        """Return attributes and values of an array."""
        name = f"{FEATURES}/{key}"
        try:
            return self._json(f"{name}/{ATTRIBUTES}"), self._values(name)
        except OSError as error:
            raise StoredArrayError(key, f"cannot be read: {error}") from error

    def _values(self, name: str) -> "ZarrValues":
        described = self._json(f"{name}/{ARRAY}")
        compressor = described.get("compressor") or {"id": "gzip"}
        if (
            described.get("dtype") not in _DTYPES  # no Python objects
            or described.get("filters")  # which may run any code that is installed
            or not isinstance(compressor, dict)
            or compressor.get("id") != "gzip"
        ):
            raise StoredDataError(f"{quoted(name)} is not stored as this program does")
        return ZarrValues(self.path / name)

    def _json(self, name: str) -> dict[str, Any]:
        with open_plain(self._within(name)) as file:
            found = validated_json(file.read(MAX_METADATA_BYTES))
        if not isinstance(found, dict):
            raise StoredDataError(f"{quoted(name)} is not a JSON object")
        return found

    def _within(self, name: str) -> Path:
        if not within(self.path / name, self._place):
            raise StoredDataError(f"{quoted(name)} is a link that leads out of the output")
        return self.path / name

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input."""
        return iter(self._inputs.items())

    def unexpected_files(self) -> Iterator[str]:
        """Yield the paths of files that are no part of an array or of the group."""
        files = {*ZarrFormat.folder_files, f"{FEATURES}/{ATTRIBUTES}"}
        if self.root.weights is not None:
            files |= {f"{WEIGHTS}/{name}" for name in (GROUP, ATTRIBUTES)}
            for name, shape in self.layer.weight_shapes.items():
                chunk = ".".join("0" * len(shape))
                files |= {f"{WEIGHTS}/{name}/{one}" for one in (ARRAY, ATTRIBUTES, chunk)}
        for key in self:
            folder = f"{FEATURES}/{key}"
            files |= {f"{folder}/{name}" for name in (ARRAY, ATTRIBUTES)}
            _, array = self._stored(key)
            time = self.layer.axes.index("time")
            for n in range(-(-array.shape[time] // array.chunks[time])):
                files.add(f"{folder}/{'.'.join(str(n * (a == time)) for a in range(3))}")
            while folder := folder.rpartition("/")[0]:
                files |= {f"{folder}/{name}" for name in (GROUP, ATTRIBUTES)}
        yield from unexpected_in_folder(self.path, files)


class ZarrValues(Values):
    """The values of an array."""

    def __init__(self, path: Path) -> None:
        try:
            self._array: Any = zarr.open_array(str(path), mode="r")
        except Exception as error:  # Zarr has many
            raise StoredDataError(f"{quoted(path)} cannot be read: {error}") from error
        self.shape = tuple(self._array.shape)
        self.chunks = tuple(self._array.chunks)
        self.dtype = np.dtype(self._array.dtype)

    def __getitem__(self, index: Any) -> Any:
        try:
            return np.asarray(self._array[index])
        except IndexError:
            raise
        except Exception as error:
            raise StoredDataError(f"a chunk cannot be read: {error}") from error
