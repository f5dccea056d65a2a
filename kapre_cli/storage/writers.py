"""What every format's writer is: arrays in one by one, then the facts that concern them all."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from kapre_cli.closing import Closing
from kapre_cli.storage.assembly import FinalArray, Part, stored_array
from kapre_cli.storage.checksum import PieceCrc
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.read_back import Place, ReadBack
from kapre_cli.storage.soundness import frequencies
from kapre_cli.storage.stored import StoredArray


class FeatureWriter(Closing):
    """Writes one output, at a place where nobody reads it yet.

    Args:
        path: Where the output is made; nothing stands there.
        root: The facts of the whole output.

    Attributes:
        frequency: Hz of each bin or band centre.
        read_back: Compares arrays with their checksums while the next ones are written.
        keys: Those of the arrays that have been written, in order,
        facts: and what was written of them.
    """

    def __init__(self, path: Path, root: RootFacts) -> None:
        self.path = path
        self.root = root
        self.frequency = frequencies(root.layer, root.audio.sr)
        self.read_back = ReadBack()
        self.keys: list[str] = []
        self.facts: list[InputFacts] = []

    def add(self, key: str, array: FinalArray, facts: InputFacts) -> InputFacts:
        """Store an input's array and its facts; return these with what follows from the array.

        That is the checksum of what was stored and the reference of its decibels.

        Raises:
            OutputError: If they cannot be written.
        """
        crc = PieceCrc(array.shape, array.time_axis, array.dtype.itemsize)
        place = self._store(key, array, crc.through(array.pieces()))
        facts = facts._replace(crc32=crc.value()).with_reference(array.reference)
        self._finish_array(key, facts, place)
        return facts

    def _finish_array(self, key: str, facts: InputFacts, place: Place | None) -> None:
        """Write the facts of an array that is stored, and have it read back."""
        self._describe(key, facts)
        self.keys.append(key)
        self.facts.append(facts)
        if place is not None:
            self.read_back.add(key, place, facts.crc32)

    def copy(self, stored: StoredArray) -> InputFacts:
        """Store an array of another output and its facts, as they are; return these.

        Raises:
            StoredDataError: If the array is damaged.
            OutputError: If it cannot be written.
        """
        array = stored_array(stored, self.root.layer)
        facts = self.add(stored.key, array, stored.facts)
        stored.require_crc32(facts.crc32)
        return facts

    @abstractmethod
    def _store(self, key: str, array: FinalArray, pieces: Iterator[Part]) -> Place | None:
        """Write the array, going through these pieces of it to their end.

        Return where its bytes are; ``None`` if they are compressed.
        """

    @abstractmethod
    def _describe(self, key: str, facts: InputFacts) -> None:
        """Write the facts of the array stored last."""

    @abstractmethod
    def finish(self) -> None:
        """Write what concerns the whole output and see it through to the disk.

        Raises:
            OutputError: If it cannot be written.
        """

    def close(self) -> None:
        """Release what is held; unless :meth:`finish` has ended, what was written is void."""
        self.read_back.close()


def writer_class(format_: str) -> type[FeatureWriter]:
    """Return what writes a format, after loading the library that it needs."""
    from kapre_cli.storage.hdf5 import Hdf5Writer  # which are such writers themselves
    from kapre_cli.storage.npy import NpyDirectoryWriter, NpyWriter

    if format_ == "hdf5":
        return Hdf5Writer
    return NpyWriter if format_ == "npy" else NpyDirectoryWriter
