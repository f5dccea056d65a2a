"""Standard input, kept in a file without a name: to be read again, and never left."""

import os
import select
from contextlib import suppress
from tempfile import TemporaryFile

from kapre_cli.closing import Closing
from kapre_cli.errors import AudioReadError, OutputError, quoted

STDIN = 0  # the descriptor of standard input
BLOCK_BYTES = 2**20


class PipeSpool(Closing):
    """A file below ``folder`` that nothing names: it is gone when the last process closes it.

    It is made before workers are forked, which read it. That it cannot be made is told when it
    is to be used: the folder may be refused for a better reason before.

    Args:
        folder: Where there is room. ``None``: the folder for temporary files.

    Attributes:
        descriptor: That of the file; -1 if it cannot be made.
    """

    def __init__(self, folder: str | None) -> None:
        self._place = (
            "the folder for temporary files (TMPDIR)"
            if folder is None
            else f"the folder {quoted(folder)}"
        )
        self.descriptor = -1
        self._failure: OSError | None = None
        try:
            with TemporaryFile(dir=folder, prefix=".kapre-extract-", buffering=0) as file:
                self.descriptor = os.dup(file.fileno())
        except OSError as error:
            self._failure = error

    @property
    def path(self) -> str:
        """A path under which the processes that have it open can open it."""
        return f"/dev/fd/{self.descriptor}"

    def fill(self) -> None:
        """Keep all that comes through standard input, to its end.

        Raises:
            AudioReadError: If it cannot be read.
            OutputError: If it cannot be kept, for want of room for instance.
        """
        try:
            if self._failure is not None:
                raise self._failure
            while block := _next_block():
                rest = memoryview(block)
                while rest:
                    rest = rest[os.write(self.descriptor, rest) :]
        except AudioReadError:
            raise
        except OSError as error:
            raise OutputError(
                f"standard input is kept in {self._place} until the run ends, "
                f"and that cannot be done: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _next_block() -> bytes:
    try:
        while True:
            with suppress(BlockingIOError):  # whoever shares it wants it so
                return os.read(STDIN, BLOCK_BYTES)
            select.select([STDIN], [], [])
    except OSError as error:
        raise AudioReadError(f"standard input cannot be read: {error.strerror or error}") from error
