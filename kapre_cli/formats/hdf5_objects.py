"""Open objects of an HDF5 file if they are harmless.

HDF5 alone would follow links and storage into other files, load libraries for filters it does not
know, decompress a chunk to any size, and never return from a damaged string of variable length.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

from kapre_cli.errors import StoredArrayError, StoredDataError
from kapre_cli.formats.validation import MAX_METADATA_BYTES
from kapre_cli.text import quoted

MAX_CHUNK_VALUES = 2**18

# By filter its rank in the order of application, of each rank one at most: two that compress could
# expand without bound.
_STAGES = {
    h5z.FILTER_SHUFFLE: 0,
    h5z.FILTER_DEFLATE: 1,
    h5z.FILTER_LZF: 1,
    h5z.FILTER_FLETCHER32: 2,
}
_MAX_NUMBER_BYTES = 8


@contextmanager
def wrap_hdf5_errors(what: str = "", *, key: str | None = None) -> Iterator[None]:
    """Turn all errors of h5py into a StoredDataError, of a file or of one array."""
    try:
        yield
    except StoredDataError:
        raise
    except (OSError, RuntimeError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = f"cannot be read: {error}"
        if key is not None:
            raise StoredArrayError(key, reason) from error
        raise StoredDataError(f"{what} {reason}") from error


def open_dataset(group: Any, name: str) -> Any:
    """Return a dataset; raise StoredDataError unless its values are safe to read.

    They must lie in this very file and need no foreign code to be read.
    """
    dataset = _member(group, name)
    if not isinstance(dataset, h5d.DatasetID):
        raise StoredArrayError(name, "is not a dataset")
    creation = dataset.get_create_plist()
    if creation.get_layout() == h5d.VIRTUAL or creation.get_external_count():
        raise StoredArrayError(name, "leads to another file")
    filters = [creation.get_filter(number)[0] for number in range(creation.get_nfilters())]
    if unknown := {*filters} - _STAGES.keys():
        raise StoredArrayError(name, f"is packed with unknown filters {unknown}")
    stages = [_STAGES[one] for one in filters]
    if stages != sorted(set(stages)):
        raise StoredArrayError(name, f"is packed with filters in the order {filters}")
    return dataset


def open_group(group: Any, name: str) -> Any:
    """Return a group of this very file; raise StoredDataError for anything else."""
    found = _member(group, name)
    if not isinstance(found, h5g.GroupID):
        raise StoredDataError(f"{quoted(name)} is not a group")
    return found


def _member(group: Any, name: str) -> Any:
    """Open a direct member of a group, unless it is a link to another place."""
    raw = name.encode()
    try:
        link = group.links.get_info(raw)  # "in" would follow a link
    except (KeyError, RuntimeError) as error:
        raise StoredDataError(f"it has no {quoted(name)}") from error
    if link.type != h5l.TYPE_HARD:
        raise StoredArrayError(name, "is a link to another place")
    return h5o.open(group, raw)


def open_column(group: Any, name: str, dtype: np.dtype[Any]) -> h5py.Dataset:
    """Return a one-axis dataset of this type, all of whose bytes are in the file."""
    dataset = open_dataset(group, name)
    if not dataset.get_type().equal(h5t.py_create(dtype)):
        raise StoredDataError(f"{quoted(name)} is not of the type that this program writes")
    shape: tuple[int, ...] = dataset.shape or ()
    if len(shape) != 1 or dataset.get_create_plist().get_layout() != h5d.CONTIGUOUS:
        raise StoredDataError(f"{quoted(name)} is not stored as this program does")
    n_bytes = shape[0] * dtype.itemsize
    n_stored = dataset.get_storage_size()
    if n_bytes != n_stored or n_bytes > h5py.h5i.get_file_id(dataset).get_filesize():
        raise StoredDataError(
            f"{quoted(name)} declares {n_bytes:,} bytes, which the file cannot have"
        )
    return h5py.Dataset(dataset)


def read_floats(group: Any, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.floating[Any]]:
    """Return a dataset of floating-point numbers of this shape, all of whose bytes are stored."""
    dataset = open_dataset(group, name)
    if dataset.shape != shape:
        raise StoredArrayError(name, f"has shape {dataset.shape}, its layer's has {shape}")
    dtype = np.dtype(dataset.dtype)
    if dtype.kind != "f" or dtype.itemsize > _MAX_NUMBER_BYTES:
        raise StoredArrayError(name, f"is of {dtype}, not of floating-point numbers")
    is_contiguous = dataset.get_create_plist().get_layout() == h5d.CONTIGUOUS
    n_bytes = math.prod(shape) * dtype.itemsize
    if not is_contiguous or dataset.get_storage_size() != n_bytes:
        raise StoredArrayError(name, f"does not have its {n_bytes:,} bytes in one run")
    values: npt.NDArray[np.floating[Any]] = h5py.Dataset(dataset)[()]
    return values


def read_attribute(owner: Any, name: str) -> bytes | int | None:
    """Return an integer or a string of fixed length; ``None`` if missing or a float."""
    if not h5a.exists(owner, name.encode()):
        return None
    attribute = h5a.open(owner, name.encode())
    kind = attribute.get_type()
    n_bytes, is_text = kind.get_size(), kind.get_class() == h5t.STRING
    if is_text:
        is_plain = not kind.is_variable_str() and n_bytes <= MAX_METADATA_BYTES
    else:
        is_plain = kind.get_class() in (h5t.INTEGER, h5t.FLOAT) and n_bytes <= _MAX_NUMBER_BYTES
    if not is_plain or attribute.get_space().get_simple_extent_type() != h5s.SCALAR:
        raise StoredDataError(f"the attribute {name!r} is not a plain string or number")
    if is_text:
        text = np.empty((), f"S{n_bytes}")
        attribute.read(text, kind)
        return bytes(text[()])
    number = np.empty((), kind.dtype)
    attribute.read(number)
    return number.item() if number.dtype.kind in "iu" else None


def packing_of(dataset: Any) -> tuple[Any, ...] | None:
    """Return a dataset's chunk shape and filters; ``None`` if it is not chunked."""
    creation = dataset.get_create_plist()
    if creation.get_layout() != h5d.CHUNKED:
        return None
    filters = [creation.get_filter(number)[:3] for number in range(creation.get_nfilters())]
    return (creation.get_chunk(), *filters)
