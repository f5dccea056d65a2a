"""The journals of a run's folder: made for its workers, and read back by block."""

import os
import re
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from kapre_cli.closing import Closing
from kapre_cli.errors import OutputError, StoredDataError, quoted, writing
from kapre_cli.storage.blocks import BlockEntry, Frames, read_into
from kapre_cli.storage.disk import is_at

_NAME = re.compile(r"journal-([1-9][0-9]{0,8})")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def is_journal(name: str) -> bool:
    """Whether a file in a work folder has the name of a journal."""
    return _NAME.fullmatch(name) is not None


class Journals(Closing):
    """The journals of one folder. Each is kept open: only this very file is read, or removed.

    Args:
        folder: The folder.

    Attributes:
        names: Names of the journals, in the order in which they were made.

    Raises:
        OutputError: If the folder or a journal cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fds: dict[str, int] = {}
        self._last = 0
        with writing(folder, "read"):
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = filter(_NAME.fullmatch, os.listdir(self._folder))
            for name in sorted(found, key=_number):
                with writing(folder / name, "read"):
                    self._fds[name] = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=self._folder)
                self._last = _number(name)
        except BaseException:
            self.close()
            raise

    @property
    def names(self) -> list[str]:
        """Names of the journals, in the order in which they were made."""
        return [*self._fds]

    def create(self) -> Path:
        """Make an empty journal and return its path.

        Raises:
            OutputError: If it cannot be made, or something has its name.
        """
        self._last += 1
        name = f"journal-{self._last}"
        path = self.folder / name
        with writing(path):
            try:
                self._fds[name] = os.open(name, _NEW | _FLAGS, 0o666, dir_fd=self._folder)
            except FileExistsError as error:
                raise OutputError(
                    f"{quoted(path)} appeared while the run was on; it is left as it is: "
                    "move it away"
                ) from error
        return path

    def open(self, name: str) -> int:
        """Return a descriptor of a journal; it stays this object's."""
        return self._fds[name]

    def read(self, entry: BlockEntry) -> Frames:
        """Return a block.

        Raises:
            StoredDataError: If the bytes are not those that were written.
            OutputError: If they cannot be read.
        """
        block = np.empty(entry.shape, dtype="<f4")
        try:
            n_read = read_into(self._fds[entry.journal], block, entry.position)
        except OSError:
            with writing(self.folder / entry.journal, "read back"):
                raise
        if n_read != block.nbytes or zlib.crc32(block.data) != entry.crc32:
            raise StoredDataError(
                f"{quoted(self.folder / entry.journal)} does not hold what was written to it, "
                "so its disk may be faulty; --resume recomputes what was lost"
            )
        return block

    def sync(self) -> None:
        """Sync all journals to the disk.

        Raises:
            OutputError: If that fails.
        """
        for name, fd in self._fds.items():
            with writing(self.folder / name):
                os.fsync(fd)

    def remove(self, name: str) -> None:
        """Remove a journal, unless somebody has put something else in its place."""
        fd = self._fds.pop(name)
        is_in_place = is_at(fd, name, self._folder)
        os.close(fd)  # network file systems keep a removed file as long as it is open
        if is_in_place:
            with writing(self.folder / name, "removed"), suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def remove_all(self) -> None:
        """Remove all journals, as :meth:`remove` does."""
        for name in self.names:
            self.remove(name)

    def close(self) -> None:
        """Close the journals."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
