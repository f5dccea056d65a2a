"""Reading outputs of .npy files back."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kapre_cli.errors import StoredDataError, quoted
from kapre_cli.storage.metadata import InputFacts, RootFacts, loads
from kapre_cli.storage.npy import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.storage.stored import Features, StoredArray


class NpyFeatures(Features):
    """The arrays of a directory of .npy files, or of a single one.

    Args:
        path: The output.
        stored: Its root facts as they were read.
        rows: The facts of each input as they were read.
        file_of: Gives the file of a key.
    """

    def __init__(
        self, path: Path, stored: Any, rows: list[Any], file_of: Callable[[str], Path]
    ) -> None:
        self.path = path
        self.root = RootFacts.from_dict(stored)
        frequency = stored.get("frequency")
        if not isinstance(frequency, list):
            raise StoredDataError("its `frequency` is missing")
        self.frequency = np.asarray(frequency, dtype=np.float64)
        self._file_of = file_of
        self._rows = {key: (axes, facts) for key, axes, facts in map(_checked_row, rows)}

    def __getitem__(self, key: str) -> StoredArray:
        axes, facts = self._rows[key]
        file = self._file_of(key)
        if not file.resolve().is_relative_to(self.path.resolve()):
            raise StoredDataError(f"{quoted(file)} is a link that leads out of the output")
        try:
            values = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoredDataError(f"{quoted(file)} cannot be read: {error}") from error
        return StoredArray(key, values, axes, facts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def open_npy_directory(path: Path) -> Features:
    """Open a directory of .npy files.

    Raises:
        FileNotFoundError: If one of the files that hold the facts is missing.
        StoredDataError: If the facts are not sound.
    """
    with (path / MANIFEST_NAME).open(encoding="ascii") as manifest:
        rows = [loads(line) for line in manifest]
    stored = loads((path / ROOT_NAME).read_bytes())
    return NpyFeatures(path, stored, rows, lambda key: path / f"{key}{NPY_SUFFIX}")


def open_npy(path: Path) -> Features:
    """Open a single .npy file with its facts beside it.

    Raises:
        FileNotFoundError: If the file that holds the facts is missing.
        StoredDataError: If the facts are not sound.
    """
    stored = loads(sidecar_of(path).read_bytes())
    if not isinstance(stored, dict):
        raise StoredDataError("its facts are not a JSON object")
    return NpyFeatures(path, stored, [stored.get("input")], lambda _key: path)


def _checked_row(row: Any) -> tuple[str, tuple[str, ...], InputFacts]:
    """Return the key, the axes and the facts of one input.

    Raises:
        StoredDataError: If one is missing, or the key leads out of the output.
    """
    if not isinstance(row, dict):
        raise StoredDataError("the facts of an input are not a JSON object")
    facts = dict(row)
    key, axes = facts.pop("key", None), facts.pop("axes", None)
    if not isinstance(key, str) or not isinstance(axes, list):
        raise StoredDataError("the facts of an input lack `key` or `axes`")
    if os.path.isabs(key) or ".." in Path(key).parts:
        raise StoredDataError(f"the key {quoted(key)} leads out of the output")
    return key, tuple(map(str, axes)), InputFacts.from_dict(facts)
