"""Arrays one after another as one stream of .npy files, which ``numpy.load`` reads in a loop."""

import os
import select
import stat
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from kapre_cli.descriptors import write_all
from kapre_cli.errors import StoredDataError
from kapre_cli.storage.assembly import FinalArray
from kapre_cli.storage.npy import npy_head, write_npy
from kapre_cli.storage.spool import temporary_errors, temporary_file

_NAME = "standard output"
_HELD_BYTES = 2**24  # arrays up to this size are put together in memory
_COPIED_BYTES = 2**20


class NpyStream:
    """Writes arrays in C order, whatever the order of their axes, to a place that only goes on.

    Args:
        descriptor: Where they go.
        wrote: Called with how many bytes of the array under way have gone out, each time that
            some have. A pipe takes all of what it is given at once or nothing, so this is true at
            any moment, even if the process comes down just then.
    """

    def __init__(self, descriptor: int, wrote: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._wrote = wrote
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._at_once = _COPIED_BYTES if is_file else select.PIPE_BUF
        self._n_gone = 0
        self._n_passed = 0

    def write(self, array: FinalArray, n_gone: int = 0) -> None:
        """Write an array.

        Args:
            array: The array.
            n_gone: How many bytes of it have gone out before.

        Raises:
            BrokenPipeError: If nobody reads it.
            OutputError: If it cannot be written.
        """
        self._n_gone, self._n_passed = n_gone, 0
        n_bytes = array.dtype.itemsize * int(np.prod(array.shape, dtype=np.int64))
        if array.time_axis == 0:
            self._write(npy_head(array))
            for _, values in array.pieces():
                self._write(values.data.cast("B"))
        elif n_bytes <= _HELD_BYTES:
            whole = np.empty(array.shape, array.dtype)
            for index, values in array.pieces():
                whole[index] = values
            self._write(npy_head(array))
            self._write(whole.data.cast("B"))
        else:
            with temporary_errors(), temporary_file() as file:
                write_npy(file, array, array.pieces())  # type: ignore[arg-type]
                position = 0
                while part := os.pread(file.fileno(), _COPIED_BYTES, position):
                    self._write(part)
                    position += len(part)

    def _write(self, data: bytes | memoryview) -> None:
        """Write what comes next of the array, but for what has gone out before."""
        begins = self._n_passed
        self._n_passed += len(data)
        left = memoryview(data)[max(self._n_gone - begins, 0) :]
        write_all(self._descriptor, left, _NAME, self._at_once, self._count)

    def _count(self, n_bytes: int) -> None:
        self._n_gone += n_bytes
        self._wrote(self._n_gone)


def read_arrays(file: IO[bytes]) -> Iterator[npt.NDArray[Any]]:
    """Yield the arrays of a stream as they come, from a pipe too.

    ``numpy.load`` reads them as well, but only from what can be rewound.

    Args:
        file: What ``-o -`` has written, or writes: ``sys.stdin.buffer``, say.

    Raises:
        StoredDataError: If the stream ends within an array, or is none of arrays.
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
