"""Read HDF5 outputs. The description of an object is checked before it is read."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5g, h5l, h5o

from kapre_cli.errors import StoredArrayError, StoredDataError
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.features import Features
from kapre_cli.formats.file_map import FileMap
from kapre_cli.formats.hdf5_headers import DatasetHeader, FileWindow, HeaderReader, PlainValues
from kapre_cli.formats.hdf5_index import INDEX, KEYS, TEXTS, Hdf5Index
from kapre_cli.formats.hdf5_objects import (
    open_dataset,
    open_group,
    read_attribute,
    read_floats,
    wrap_hdf5_errors,
)
from kapre_cli.formats.hdf5_scales import DIMENSION_LIST, LENGTHS, ScaleNames
from kapre_cli.formats.hdf5_values import ChunkCache, Hdf5Values
from kapre_cli.formats.hdf5_writer import FEATURES, INPUT, LABELS, WEIGHTS
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.validation import (
    validated_coordinate,
    validated_json,
    validated_root,
    within_range,
)
from kapre_cli.framing import spans
from kapre_cli.inputs import folder_id, folders_of
from kapre_cli.settings import LayerConfig

_ROOT_JSON = ("layer", "settings", "versions", "shard", "weights")
_ATTRIBUTES = {"format", "format_version", *_ROOT_JSON}
_MAX_AHEAD = 2**8  # arrays
_MAX_OPEN = 2**6  # datasets
_PART_ROWS = 2**14

_Known = tuple[DatasetHeader, np.dtype[Any], InputMetadata]

_MEMBERS = {FEATURES, INDEX, KEYS, *TEXTS}


class Hdf5Features(Features):
    """The arrays of one HDF5 file; raise StoredDataError if it is no valid output."""

    format = "hdf5"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=0, rdcc_nslots=1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoredDataError(f"it is not a complete HDF5 file: {error}") from error
        try:
            with wrap_hdf5_errors("it"):
                top = h5g.open(self._file.id, b"/")
                self.root = validated_root(_root_metadata(top))
                self.coordinate = validated_coordinate(_coordinate(top, self.layer), self.root)
                self._index = Hdf5Index(top)
                self._inputs = self._index.rows
                self._top = open_group(top, FEATURES)
                self._folder, self._group = "", self._top
                self._own = {INPUT, LABELS}
                if self.root.dimension_scales:
                    self._own.add(DIMENSION_LIST)
                self._window = FileWindow(self._file.id.get_vfd_handle())
                self._chunks = ChunkCache()
                self._datasets: dict[str, Any] = {}  # open ones, by key
                self._headers = HeaderReader(self._window)
                self._ahead: dict[int, _Known | None] = {}  # by row
                self._n_ahead, self._last = 1, -1
        except BaseException:
            self.close()
            raise

    def open_array(self, key: str) -> StoredArray:
        """Return the array of a key, without HDF5 where the form of its header is known."""
        found = self._read_known(self._index.rows[key]) if self._headers.knows_any else None
        if found is None:
            return self._read(key)
        header, dtype, metadata = found
        values = PlainValues(self._window, header, dtype, lambda: h5py.Dataset(self._open(key)))
        return self.array_of(key, values, metadata)

    def _read_known(self, row: int) -> _Known | None:
        """Return the header and metadata of an array; ``None`` if HDF5 must read it."""
        with self._window.lock:
            if row not in self._ahead:
                # Twice as many each time that keys are read in order.
                is_next = row == self._last + 1
                self._n_ahead = min(2 * self._n_ahead, _MAX_AHEAD) if is_next else 1
                self._ahead = dict(enumerate(self._read_ahead(row, self._n_ahead), row))
            self._last = row
            return self._ahead[row]

    def _read_ahead(self, first: int, count: int) -> Iterator[_Known | None]:
        """Yield headers and metadata of arrays; doing each step for all is quicker."""
        addresses = [self._address(key) for key in self._index.keys[first : first + count]]
        headers = [None if one is None else self._headers.known(one) for one in addresses]
        rows = list(self._index.rows_of(first, count))
        for row, (known, metadata) in enumerate(zip(headers, rows, strict=True), first):
            found = None
            with suppress(StoredDataError):
                within_range(metadata, self.root)
                if known is not None and known[0].text == metadata.to_json().encode():
                    found = *known, metadata
                    self._index.is_plain[row] = True
            yield found

    def _address(self, key: str) -> int | None:
        """Return where the header of an array is; ``None`` if the name is a link."""
        try:
            group, name = self._located(key)
            link = group.links.get_info(name.encode())
        except (StoredDataError, LookupError, RuntimeError):
            return None
        return int(link.u) if link.type == h5l.TYPE_HARD else None

    def _open(self, key: str) -> Any:
        """Return a dataset; those that were opened last stay open."""
        with self._window.lock:
            found = self._datasets.pop(key, None)
            if found is None:
                group, name = self._located(key)
                try:
                    found = open_dataset(group, name)
                except StoredArrayError as error:  # which has the last part of the key
                    raise StoredArrayError(key, error.reason) from error
            self._datasets[key] = found
            if len(self._datasets) > _MAX_OPEN:
                del self._datasets[next(iter(self._datasets))]
            return found

    def _read(self, key: str) -> StoredArray:
        """Return an array as HDF5 reads it, with every check."""
        with wrap_hdf5_errors(key=key):
            dataset = self._open(key)
            stored = read_attribute(dataset, INPUT)
            if not isinstance(stored, bytes):
                raise StoredArrayError(key, "has no metadata")
            metadata = within_range(InputMetadata.from_dict(validated_json(stored)), self.root)
            self._index.check(key, metadata)
            values = Hdf5Values(key, partial(self._open, key), self._window, self._chunks)
            array = self.array_of(key, values, metadata)
            self._learn(dataset, values, stored)
            return array

    def _learn(self, dataset: Any, values: Hdf5Values, text: bytes) -> None:
        """Record the form of a header if this program wrote it."""
        offset = dataset.get_offset()
        if offset is None or {*_names_of_attributes(dataset)} != self._own:
            return
        header = self._headers.read(h5o.get_info(dataset).addr)
        if header is not None and header.text == text:
            self._headers.learn(header, values.dtype, values.shape, offset)

    @property
    def file_map(self) -> FileMap | None:
        """The map of the file."""
        return self._window.map

    def metadata(self) -> Iterator[tuple[str, InputMetadata]]:
        """Yield the key and the metadata of every input from the index."""
        for first, count in spans(len(self), _PART_ROWS):
            keys = self._index.keys[first : first + count]
            for key, metadata in zip(keys, self._index.rows_of(first, count), strict=True):
                yield key, within_range(metadata, self.root)

    def unexpected_files(self) -> Iterator[str]:
        """Yield the names of unexpected objects below ``/features``.

        Those of the root group are yielded as ``/name``, its attributes as ``attribute name``, and
        those of arrays as ``attribute name of key``.
        """
        members = _MEMBERS | {self.layer.coordinate.name}
        if self.root.weights is not None:
            members.add(WEIGHTS)
        if self.root.dimension_scales:
            members |= {*self._scales.names.values(), *LENGTHS.values()}
        with wrap_hdf5_errors("its root group"):
            objects = sorted({*self._file} - members)
            attributes = sorted({*self._file.attrs} - _ATTRIBUTES)
        yield from (f"/{name}" for name in objects)
        yield from (f"attribute {name}" for name in attributes)
        folders = folders_of(self)
        pending = [("", self._top)]
        while pending:
            above, group = pending.pop()
            with wrap_hdf5_errors("the list of its arrays"):
                names: list[bytes] = []
                group.links.iterate(names.append)
                for raw in sorted(names):
                    key = above + raw.decode("utf-8", "surrogateescape")
                    row = self._index.rows.get(key)
                    if row is not None and self._index.is_plain[row]:
                        continue  # all of its header has been read
                    # Only expected folders, each once: a group may contain itself.
                    if folder_id(key) in folders:
                        pending.append((f"{key}/", open_group(group, key.rpartition("/")[2])))
                    elif row is None:
                        yield key
                    else:
                        for one in sorted(_unexpected_attributes(group, raw, self._own)):
                            yield f"attribute {one} of {key}"

    def stored_weights(self) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """Read the datasets in ``/weights``."""
        with self._window.lock, wrap_hdf5_errors("its weights"):
            group = open_group(h5g.open(self._file.id, b"/"), WEIGHTS)
            return {
                name: read_floats(group, name, shape)
                for name, shape in self.layer.weight_shapes.items()
            }

    def check_scales(self) -> None:
        """Compare the dimension scales, if the file has them, with the metadata."""
        if self.root.dimension_scales:
            with wrap_hdf5_errors("a dimension scale"):
                self._scales.check(h5g.open(self._file.id, b"/"))

    @cached_property
    def _scales(self) -> ScaleNames:
        """The dimension scales expected from the metadata of all inputs."""
        scales = ScaleNames(self.root)
        for _, metadata in self.metadata():
            scales.add(metadata)
        return scales

    def _located(self, key: str) -> tuple[Any, str]:
        """Return an array's group and name in it; the group is cached for the next key."""
        folder, _, name = key.rpartition("/")
        if folder != self._folder:
            group = self._top
            for part in filter(None, folder.split("/")):
                group = open_group(group, part)
            self._folder, self._group = folder, group
        return self._group, name

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "_window"):
            self._window.close()
        if hasattr(self, "_datasets"):
            self._chunks.clear()
            self._datasets.clear()
        self._file.close()


def _root_metadata(top: Any) -> dict[str, Any]:
    stored: dict[str, Any] = {"format_version": read_attribute(top, "format_version")}
    made_by = read_attribute(top, "format")
    stored["format"] = made_by.decode() if isinstance(made_by, bytes) else made_by
    for name in _ROOT_JSON:
        text = read_attribute(top, name)
        stored[name] = validated_json(text) if isinstance(text, bytes) else text
    return stored


def _coordinate(top: Any, layer: LayerConfig) -> npt.NDArray[np.float64]:
    name = layer.coordinate.name
    values = Hdf5Values(name, partial(open_dataset, top, name))
    if values.shape != (layer.n_values,) or values.dtype.itemsize != np.float64().itemsize:
        raise StoredDataError(f"its `{name}` has shape {values.shape} of {values.dtype}")
    return values[()].astype(np.float64, copy=False)


def _unexpected_attributes(group: Any, raw: bytes, own: set[str]) -> set[str]:
    """Return the names of an array's unexpected attributes."""
    is_link = group.links.get_info(raw).type != h5l.TYPE_HARD
    if is_link or h5o.get_info(group, raw).num_attrs == len(own):
        return set()  # comparing the number alone is ten times as fast
    return {*_names_of_attributes(h5o.open(group, raw))} - own


def _names_of_attributes(dataset: Any) -> Iterator[str]:
    for number in range(h5a.get_num_attrs(dataset)):
        yield h5a.open(dataset, index=number).name.decode("utf-8", "surrogateescape")
