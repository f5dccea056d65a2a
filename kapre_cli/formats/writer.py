"""The base of the writers of all formats."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

from kapre_cli.formats.array_chunks import ArrayChunks, Part, stored_array
from kapre_cli.formats.checksum import PieceCrc
from kapre_cli.formats.features import StoredArray
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.formats.read_back import Place, ReadBack
from kapre_cli.osutil import Resource


class FeatureWriter(Resource):
    """Writes one output, at a new path that nobody reads yet.

    ``coordinate`` has the position of each feature on its axis. ``keys`` and ``metadata`` are those
    of the arrays that have been written. ``read_back`` checks them while the next ones are written.
    """

    def __init__(self, path: Path, root: OutputMetadata) -> None:
        self.path = path
        self.root = root
        self.coordinate = root.layer.feature_positions(root.audio.sr).values
        self.read_back = ReadBack()
        self.keys: list[str] = []
        self.metadata: list[InputMetadata] = []

    def add(self, key: str, array: ArrayChunks, metadata: InputMetadata) -> InputMetadata:
        """Store an input's array and its metadata; raise OutputError if that fails.

        Return the metadata with the checksum of the stored values and the reference of decibels.
        """
        crc = PieceCrc(array.shape, array.time_axis, array.dtype.itemsize)
        place = self._store(key, array, crc.through(array.pieces()))
        metadata = metadata._replace(crc32=crc.value()).with_reference(array.reference)
        self._finish_array(key, metadata, place)
        return metadata

    def _finish_array(self, key: str, metadata: InputMetadata, place: Place | None) -> None:
        self._describe(key, metadata)
        self.keys.append(key)
        self.metadata.append(metadata)
        if place is not None:
            self.read_back.add(key, place, metadata.crc32)

    def copy(self, stored: StoredArray) -> InputMetadata:
        """Store an array of another output and its metadata, unchanged; return the metadata.

        Raise StoredDataError if the array is damaged, OutputError if it cannot be written.
        """
        array = stored_array(stored, self.root.layer)
        metadata = self.add(stored.key, array, stored.metadata)
        stored.require_crc32(metadata.crc32)
        return metadata

    @abstractmethod
    def _store(self, key: str, array: ArrayChunks, pieces: Iterator[Part]) -> Place | None:
        """Write all pieces; return where the bytes are, ``None`` if they are compressed."""

    @abstractmethod
    def _describe(self, key: str, metadata: InputMetadata) -> None:
        """Write the metadata of the array stored last."""

    @abstractmethod
    def finish(self) -> None:
        """Write the metadata of the output and sync it; raise OutputError if that fails."""

    def close(self) -> None:
        """Release resources; the output is invalid unless :meth:`finish` has returned."""
        self.read_back.close()
