"""The file that HDF5 writes to; it hides errors of the disk from HDF5.

HDF5 also writes when it closes a file or an object. If it cannot, it closes neither, and h5py
prints a traceback for each of them whenever they are released. So HDF5 never learns of an error.
"""

import io
from pathlib import Path

import h5py

from kapre_cli.osutil import write_fully


class Hdf5Target(io.FileIO):
    """A new file that records the first ``error``, and ignores all writes after it.

    Nothing is buffered: every write reaches the system when HDF5 makes it. HDF5's own file lock,
    which not all file systems have, is not used; the lock of the work folder excludes other runs.
    """

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        super().__init__(path, "x+b")

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write all bytes, or none after an error; return the number of all either way."""
        try:
            if self.error is None:
                n_written = super().write(data) or 0
                if n_written < len(data):  # rare
                    write_fully(self.fileno(), memoryview(data).cast("B")[n_written:])
        except BaseException as error:  # an interruption too, to be raised later
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, unless there was an error."""
        try:
            if self.error is None:
                super().truncate(size)
        except BaseException as error:
            self.error = error
        return size or 0

    def discard(self) -> None:
        """Ignore all further writes, as after an error."""
        self.error = self.error or OSError("the file is not complete")


def create_file(target: Hdf5Target) -> h5py.File:
    """Return a new HDF5 file without timestamps: equal work gives equal bytes."""
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_sieve_buf_size(0)
    access.set_cache(0, 0, 0, 0.75)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, target)
    name = repr(target).encode()
    return h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access))
