"""A stream of .npy arrays, one after another, as ``-o -`` writes it."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from math import prod
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.errors import OutputError, StoredDataError
from kapre_cli.formats.array_chunks import ArrayChunks
from kapre_cli.formats.npy import npy_head, parts, write_into
from kapre_cli.osutil import write_all

_MAX_BYTES_IN_MEMORY = 2**24  # of an array that is assembled for the stream
_COPIED_BYTES = 2**20


def write_array(descriptor: int, array: ArrayChunks) -> None:
    """Write an array to a descriptor that cannot seek.

    It is written in C order, for any order of its axes. Raise BrokenPipeError if nobody reads it,
    OutputError if it cannot be written.
    """
    write = partial(write_all, descriptor, name="standard output")
    if array.time_axis == 0:
        write(npy_head(array))
        for _, values in array.chunks():
            write(values.data.cast("B"))
        return
    from tempfile import TemporaryFile  # slow to import

    try:
        is_small = array.dtype.itemsize * prod(array.shape) <= _MAX_BYTES_IN_MEMORY
        with BytesIO() if is_small else TemporaryFile() as file:
            write_into(file, array, array.chunks())
            file.seek(0)
            for part in parts(file):
                write(part)
    except (OutputError, BrokenPipeError):  # of standard output
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
        StoredDataError: If the stream ends within an array, or contains something else.

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
        missing = array.reshape(-1).view(np.uint8).data
        while missing:
            data = file.read(min(len(missing), _COPIED_BYTES))
            if not data:
                raise StoredDataError(
                    f"the stream ends within an array of shape {shape}: "
                    f"{len(missing):,} bytes of it are missing"
                )
            missing[: len(data)] = data
            missing = missing[len(data) :]
        yield array
