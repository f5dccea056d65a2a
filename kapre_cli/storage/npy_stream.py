"""Arrays one after another as one stream of .npy files, which ``numpy.load`` reads in a loop."""

import tempfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.descriptors import write_all
from kapre_cli.errors import OutputError, StoredDataError
from kapre_cli.storage.assembly import FinalArray
from kapre_cli.storage.npy import npy_head, write_npy

_HELD_BYTES = 2**24  # arrays up to this size are put together in memory
_COPIED_BYTES = 2**20


def write_array(descriptor: int, array: FinalArray) -> None:
    """Write an array in C order, whatever the order of its axes, to a place that only goes on.

    Raises:
        BrokenPipeError: If nobody reads it.
        OutputError: If it cannot be written.
    """
    write = partial(write_all, descriptor, name="standard output")
    if array.time_axis == 0:
        write(npy_head(array))
        for _, values in array.pieces():
            write(values.data.cast("B"))
        return
    try:
        is_small = array.dtype.itemsize * prod(array.shape) <= _HELD_BYTES
        with BytesIO() if is_small else tempfile.TemporaryFile() as file:
            write_npy(file, array, array.pieces())
            file.seek(0)
            while part := file.read(_COPIED_BYTES):
                write(part)
    except (OutputError, BrokenPipeError):  # of where its content goes
        raise
    except OSError as error:
        raise OutputError(
            f"a temporary file cannot be used: {error.strerror or error}; "
            "TMPDIR names the folder that it is made in"
        ) from error


def read_arrays(file: IO[bytes]) -> Iterator[npt.NDArray[Any]]:
    """Yield the arrays of a stream, one after another, as they arrive.

    ``numpy.load`` reads them as well, but from a file only, not from a pipe.

    Args:
        file: A binary file or pipe that ``kapre-extract ... -o -`` writes: ``sys.stdin.buffer``,
            for instance.

    Yields:
        The array of each input, in the order of the inputs, with the axes and the type of the run.

    Raises:
        StoredDataError: If the stream ends within an array, or holds something else.

    >>> stream = BytesIO()
    >>> for n_time in (3, 5):
    ...     np.save(stream, np.zeros((2, n_time, 1), "float32"))
    >>> _ = stream.seek(0)
    >>> [array.shape for array in read_arrays(stream)]
    [(2, 3, 1), (2, 5, 1)]
    """
    while head := file.read(np.lib.format.MAGIC_LEN):
        try:
            np.lib.format.read_magic(BytesIO(head))
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise StoredDataError(f"the stream does not go on with an array: {error}") from error
        if fortran_order or dtype.hasobject:
            raise StoredDataError("the stream does not go on with an array of this program")
        array = np.empty(shape, dtype)
        left = array.reshape(-1).view(np.uint8).data
        while left:
            data = file.read(min(len(left), _COPIED_BYTES))
            if not data:
                raise StoredDataError(
                    f"the stream ends within an array of shape {shape}: "
                    f"{len(left):,} bytes of it are missing"
                )
            left[: len(data)] = data
            left = left[len(data) :]
        yield array
