"""Write outputs in one HDF5 file."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from kapre_cli.errors import wrap_os_errors
from kapre_cli.formats.array_chunks import ArrayChunks, Chunk, crc32
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.hdf5_index import index_datasets
from kapre_cli.formats.hdf5_objects import MAX_CHUNK_VALUES, packing_of
from kapre_cli.formats.hdf5_scales import ScaleWriter
from kapre_cli.formats.hdf5_target import Hdf5Target, create_file
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.writer import ByteRange, FeatureWriter
from kapre_cli.framing import largest_power_of_two
from kapre_cli.osutil import sync_file

FEATURES = "features"
INPUT = "input"
WEIGHTS = "weights"
LABELS = "DIMENSION_LABELS"

_LABELS = LABELS.encode()
_INPUT = INPUT.encode()

_GZIP_LEVEL = 4


class _Errors(wrap_os_errors):
    """Turns an error of HDF5, or the disk's error before it, into an OutputError."""

    def __init__(self, path: Path, target: Hdf5Target) -> None:
        super().__init__(path)
        self._target = target

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        first = self._target.error  # HDF5's error may only follow from it
        super().__exit__(kind, first or error, trace)
        if first is not None:
            raise first


class Hdf5Writer(FeatureWriter):
    """Writes one HDF5 file: ``/features/<key>``, the coordinate, the index, ``/weights``.

    The coordinate is ``/frequency``, or has the name that another layer gives it. If the metadata
    of the output says so, it writes the arrays' dimension scales too.
    """

    def __init__(self, path: Path, root: OutputMetadata) -> None:
        super().__init__(path, root)
        self._compression = root.compression
        with wrap_os_errors(self.path):
            self._target = Hdf5Target(path)
        self._errors = _Errors(path, self._target)
        self._file: Any = None
        try:
            with self._errors:
                self._file = create_file(self._target)
                for name, value in root.to_dict().items():
                    text = dumps(value) if isinstance(value, dict) else value
                    self._file.attrs[name] = _ascii(text) if isinstance(text, str) else text
                    self._file.flush()
                if root.weights is not None:
                    for name, array in root.weights.arrays.items():
                        self._file.create_dataset(f"{WEIGHTS}/{name}", data=array)
                self._features = self._file.create_group(FEATURES)
                self._scales: ScaleWriter | None = None
                if root.dimension_scales:
                    self._scales = ScaleWriter(self._file, root, self.coordinate)
        except BaseException:
            self.close()
            raise
        # h5py's own methods spend most of their time on arguments, so these are made once.
        self._as_links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        self._as_links.set_create_intermediate_group(True)
        self._as_links.set_char_encoding(h5py.h5t.CSET_UTF8)
        self._contiguous = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        self._contiguous.set_obj_track_times(False)
        self._label_type = h5py.h5t.py_create(h5py.string_dtype("ascii"), logical=True)
        self._label_objects = h5py.h5t.py_create(h5py.string_dtype("ascii"))  # as Python objects
        # The attribute that HDF5's own dimension labels are stored in.
        self._labels = np.array(root.layer.axes, dtype=object)
        self._label_space = h5py.h5s.create_simple((len(root.layer.axes),))
        self._scalar = h5py.h5s.create(h5py.h5s.SCALAR)

    def copy(self, stored: StoredArray) -> InputMetadata:
        """Store an array of another output, unchanged; return its metadata."""
        content = stored.content() if self._compression == "none" else None
        if content is None:
            return super().copy(stored)
        stored.check_crc32(crc32(content))
        values = np.frombuffer(content, stored.dtype)
        with self._errors:
            self._dataset = self._create_contiguous(stored.key, stored.shape, stored.dtype)
            self._write_whole(values)
            byte_range = self._byte_range()
        self._finish_array(stored.key, stored.metadata, byte_range)
        return stored.metadata

    def store_array(
        self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]
    ) -> ByteRange | None:
        """Write a dataset; compressed chunks of the same packing are copied as they are."""
        with self._errors:
            self._dataset = self._create_dataset(key, array)
            raw_chunks = array.raw_chunks
            if raw_chunks is not None and raw_chunks.packing == packing_of(self._dataset):
                for _ in chunks:  # only for the checksum of the values
                    pass
                for start, left_out, chunk in raw_chunks.chunks():
                    self._dataset.write_direct_chunk(start, chunk, left_out)
            elif array.n_chunks == 1:
                ((_, values),) = chunks
                self._write_whole(values)
            else:
                self._write_chunks(key, array, chunks)
            return self._byte_range() if self._compression == "none" else None

    def _write_chunks(self, key: str, array: ArrayChunks, chunks: Iterator[Chunk]) -> None:
        dataset = h5py.Dataset(self._dataset)
        in_order = self._compression == "none" and prod(array.shape[: array.time_axis]) == 1
        n_bytes = 0
        for index, values in chunks:
            dataset[index] = values
            n_bytes += values.nbytes
            if in_order:
                self.read_back.add(key, self._byte_range()._replace(n_bytes=n_bytes))

    def _write_whole(self, values: npt.NDArray[Any]) -> None:
        # The type in memory is that of the file: HDF5 looks up and converts nothing.
        self._dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values, _type_of(values.dtype))

    def _create_dataset(self, key: str, array: ArrayChunks) -> Any:
        if self._compression == "none":
            return self._create_contiguous(key, array.shape, array.dtype)
        # HDF5's chunk cache is off (see create_file), so a chunk must be written in one go: along
        # the time axis its length divides that of the chunks, which are whole along the others.
        n_time = array.shape[array.time_axis]
        frame_values = prod(array.shape) // n_time
        frames = min(max(MAX_CHUNK_VALUES // frame_values, 1), array.chunk_frames)
        chunk = list(array.shape)
        chunk[array.time_axis] = largest_power_of_two(frames)
        while prod(chunk) > MAX_CHUNK_VALUES:  # one frame is more than a chunk
            widest = chunk.index(max(chunk))
            chunk[widest] = -(-chunk[widest] // 2)
        dataset = self._features.create_dataset(
            key,
            array.shape,
            array.dtype,
            chunks=tuple(chunk),
            compression=self._compression,
            compression_opts=_GZIP_LEVEL if self._compression == "gzip" else None,
            shuffle=True,
        )
        return dataset.id

    def _create_contiguous(self, key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return h5py.h5d.create(
            self._features.id,
            key.encode(),
            _type_of(dtype),
            _space_of(shape),
            dcpl=self._contiguous,
            lcpl=self._as_links,
        )

    def store_metadata(self, key: str, metadata: InputMetadata) -> None:  # noqa: ARG002
        """Write the labels of the axes and the attribute ``input``."""
        with self._errors:
            create = partial(h5py.h5a.create, self._dataset)
            labels = create(_LABELS, self._label_type, self._label_space)
            labels.write(self._labels, self._label_objects)
            text = np.array(_ascii(metadata.to_json()))
            kind = _type_of(text.dtype)
            create(_INPUT, kind, self._scalar).write(text, kind)
            if self._scales is not None:
                self._scales.attach(self._dataset, metadata)

    def _byte_range(self) -> ByteRange:
        return ByteRange(self.path, self._dataset.get_offset(), self._dataset.get_storage_size())

    def finish(self) -> None:
        """Write the coordinates of features and the index, and sync the file to the disk."""
        with self._errors:
            if self._scales is None:
                name = self.root.layer.coordinate.name
                self._file.create_dataset(name, data=self.coordinate.astype("<f8"))
            for name, values in index_datasets(self.keys, self.metadata).items():
                self._file.create_dataset(name, data=values)
            if self._scales is not None:
                self._scales.finish()
            self._file.close()
        with wrap_os_errors(self.path):
            self._target.close()
            sync_file(self.path)

    def close(self) -> None:
        """Close the file; its content is invalid unless :meth:`finish` has returned."""
        super().close()
        if self._target.closed:
            return
        self._target.discard()
        with suppress(OSError, RuntimeError):
            if self._file is not None:
                self._file.close()
        self._target.close()


def _ascii(text: str) -> np.bytes_:
    # A string of fixed length: one of variable length can hang a reader of a torn file.
    return np.bytes_(text.encode("ascii"))


@lru_cache(maxsize=1024)
def _type_of(dtype: np.dtype[Any]) -> Any:
    return h5py.h5t.py_create(dtype)


@lru_cache(maxsize=1024)
def _space_of(shape: tuple[int, ...]) -> Any:
    return h5py.h5s.create_simple(shape)
