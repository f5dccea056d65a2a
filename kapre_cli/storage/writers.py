"""What every format's writer is: arrays in one by one, then the facts that concern them all."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kapre_cli.closing import Closing
from kapre_cli.storage.assembly import FinalArray
from kapre_cli.storage.metadata import InputFacts, RootFacts, crc32_of


class FeatureWriter(Closing):
    """Writes one output, at a place where nobody reads it yet.

    Args:
        path: Where the output is made; nothing stands there.
        root: The facts of the whole output.
        frequency: Hz of each bin or band centre.
    """

    def __init__(self, path: Path, root: RootFacts, frequency: npt.NDArray[np.float64]) -> None:
        self.path = path
        self.root = root
        self.frequency = frequency

    def add(self, key: str, array: FinalArray, facts: InputFacts) -> InputFacts:
        """Store an input's array and its facts; return these with the checksum of what was stored.

        Raises:
            OutputError: If they cannot be written.
        """
        facts = replace(facts, crc32=crc32_of(self._store(key, array)))
        self._describe(key, array, facts)
        return facts

    @abstractmethod
    def _store(self, key: str, array: FinalArray) -> Iterator[npt.NDArray[Any]]:
        """Write the array, then yield its values in C order, read back where it had to be cut."""

    @abstractmethod
    def _describe(self, key: str, array: FinalArray, facts: InputFacts) -> None:
        """Write the facts of the array stored last."""

    @abstractmethod
    def finish(self) -> None:
        """Write what concerns the whole output and see it through to the disk.

        Raises:
            OutputError: If it cannot be written.
        """
