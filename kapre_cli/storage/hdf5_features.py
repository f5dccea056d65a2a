"""Reading HDF5 outputs back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.storage.hdf5 import FEATURES, FREQUENCY, INDEX, INPUT
from kapre_cli.storage.metadata import InputFacts, RootFacts, loads
from kapre_cli.storage.stored import Features, StoredArray

_PLAIN_ROOT_FACTS = ("format", "format_version")


class Hdf5Features(Features):
    """The arrays of one HDF5 file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = h5py.File(path, "r")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoredDataError(f"it is not a whole HDF5 file: {error}") from error
        try:
            self.root = RootFacts.from_dict(self._root_facts())
            self.frequency = np.asarray(_plain_dataset(self._file, FREQUENCY)[()])
            index = _plain_dataset(self._file, INDEX)
            if index.dtype.names is None or "key" not in index.dtype.names:
                raise StoredDataError("its index has no keys")
            self._keys = dict.fromkeys(key.decode() for key in index["key"])
        except BaseException:
            self.close()
            raise

    def _root_facts(self) -> dict[str, Any]:
        stored: dict[str, Any] = {}
        for name, value in self._file.attrs.items():
            if isinstance(value, bytes):
                stored[name] = value.decode() if name in _PLAIN_ROOT_FACTS else loads(value)
            elif isinstance(value, np.integer):
                stored[name] = int(value)
        return stored

    def __getitem__(self, key: str) -> StoredArray:
        if key not in self._keys:
            raise KeyError(key)
        dataset = _plain_dataset(self._file, f"{FEATURES}/{key}")
        facts = dataset.attrs.get(INPUT)
        if not isinstance(facts, bytes):
            raise StoredDataError(f"{quoted(key)} has no facts")
        axes = tuple(dimension.label for dimension in dataset.dims)
        return StoredArray(key, dataset, axes, InputFacts.from_dict(loads(facts)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _plain_dataset(file: Any, name: str) -> Any:
    """Return a dataset whose values lie in this very file, nowhere else.

    Raises:
        StoredDataError: If there is none, or a link or its storage leads to another file.
    """
    group = file
    *folders, last = name.split("/")
    for part in folders:
        group = _hard_linked(group, part)
    dataset = _hard_linked(group, last)
    if not isinstance(dataset, h5py.Dataset):
        raise StoredDataError(f"{quoted(name)} is not a dataset")
    if dataset.is_virtual or dataset.external:
        raise StoredDataError(f"{quoted(name)} leads to another file")
    return dataset


def _hard_linked(group: Any, name: str) -> Any:
    if not isinstance(group, h5py.Group) or name not in group:
        raise StoredDataError(f"it has no {quoted(name)}")
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise StoredDataError(f"{quoted(name)} is a link to another place")
    return group[name]
