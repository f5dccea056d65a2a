"""Inputs that arrive during a run: from a list or from standard input."""

import codecs
import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from kapre_cli.errors import AudioReadError, OutputError, UsageError
from kapre_cli.inputs.discovery import Inputs, ListedFolders
from kapre_cli.inputs.keys import STREAM, TOO_LONG, KeyRegistry, Source, file_key, is_too_long
from kapre_cli.osutil import Resource, open_to_read, read_at, write_fully
from kapre_cli.text import Argument, Text, quoted

STDIN = 0  # the descriptor of standard input

_BLOCK_BYTES = 2**20
_MAX_NAME_BYTES = 2**16  # bytes; longer than any system's limit

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES = 2**10  # of a list, enough to detect its encoding
_MIN_LINE_BYTES = 2  # enough to detect UTF-16 without a mark in a list of lines
_MIN_BYTES = 8  # likewise in a list of names that end in NUL


class FileList(Resource):
    """A list of names, open for reading; raise UsageError if it cannot be read.

    Names end in NUL, as from ``find -print0``, if ``null`` is set, else in a newline.
    ``grows`` is true for a pipe, whose end is not known in advance.
    """

    def __init__(self, path: str, *, null: bool) -> None:
        self._end = b"\0" if null else b"\n"
        self._label = "the list on standard input" if path == STREAM else f"the list {quoted(path)}"
        try:
            self.descriptor = os.dup(STDIN) if path == STREAM else open_to_read(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{self._label} cannot be read: {reason}") from error
        mode = os.fstat(self.descriptor).st_mode
        if stat.S_ISDIR(mode):
            os.close(self.descriptor)
            raise UsageError(f"{self._label} is a folder; name it as an input to have it searched")
        self.grows = not stat.S_ISREG(mode)
        self._poll = select.poll()
        self._poll.register(self.descriptor, select.POLLIN)
        self._start = 0 if self.grows else os.lseek(self.descriptor, 0, os.SEEK_CUR)

    def read(self) -> Iterator[str]:
        """Yield the names as they arrive; raise UsageError if it is no list.

        Blank lines are skipped. Carriage returns at the end of a name, as Windows ends lines, and
        a UTF-8 byte order mark at the start of the first are dropped, unless a file has the name
        with them.
        """
        for name in self.read_now():
            if name is None:
                self.wait()
            else:
                yield name

    def wait(self) -> None:
        """Wait until more arrives."""
        self._poll.poll()

    def read_now(self) -> Iterator[str | None]:
        """Yield names as :meth:`read` does, but ``None`` instead of waiting."""
        is_first = True
        for name in self._between_ends():
            if name is None:
                yield None
                continue
            if is_first and name.startswith(codecs.BOM_UTF8) and not os.path.lexists(name):
                name = name.removeprefix(codecs.BOM_UTF8)
            while self._end == b"\n" and name.endswith(b"\r") and not os.path.lexists(name):
                name = name[:-1]
            is_first = False
            if name:
                yield os.fsdecode(name)

    def _between_ends(self) -> Iterator[bytes | None]:
        head = rest = b""
        holds_nul = False
        for block in self._blocks():
            if block is None:
                yield None
                continue
            head += block[: _HEAD_BYTES - len(head)]
            holds_nul |= b"\0" in block
            if holds_nul and len(head) >= _MIN_LINE_BYTES:
                self._check_names(head)
                holds_nul = False
            *names, rest = (rest + block).split(self._end)
            if len(rest) > _MAX_NAME_BYTES:
                raise UsageError(
                    f"{self._label} holds a name of more than {_MAX_NAME_BYTES:,} bytes: "
                    "it is no list of paths, one a line; name another"
                )
            yield from names
        if holds_nul:
            self._check_names(head)
        yield rest

    def _check_names(self, head: bytes) -> None:
        """Reject UTF-16, and NUL unless names end in it."""
        encoding = utf16_of(head, _MIN_BYTES if self._end == b"\0" else _MIN_LINE_BYTES)
        first = next(filter(None, head.split(self._end)), b"")
        if encoding is not None and not os.path.lexists(first):
            raise UsageError(
                f"{self._label} is in UTF-16, as Windows programs save text; save it as UTF-8, or "
                f"convert it: iconv -f {encoding} -t UTF-8"
            )
        if self._end != b"\0":
            raise UsageError(
                Text(
                    f"{self._label} holds NUL, which no name does; ",
                    Argument("null", True),
                    " reads lists whose names end in it, such as find -print0 writes",
                )
            )

    def _blocks(self) -> Iterator[bytes | None]:
        """Yield blocks of the list; ``None`` where a pipe has nothing yet."""
        position = self._start
        while True:
            block: bytes | None = None
            try:
                if not self.grows:
                    block = read_at(self.descriptor, _BLOCK_BYTES, position, at_least=1)
                    position += len(block)
                elif self._poll.poll(0):
                    # Another process may have read the available bytes.
                    with suppress(BlockingIOError):
                        block = os.read(self.descriptor, _BLOCK_BYTES)
            except OSError as error:
                raise UsageError(f"{self._label} cannot be read: {error.strerror}") from error
            if block == b"":
                return
            yield block

    def no_names_error(self) -> UsageError:
        """Return the error for a list without names."""
        return UsageError(f"{self._label} names no files, and there is no other input")

    def close(self) -> None:
        """Close the list."""
        os.close(self.descriptor)


def utf16_of(head: bytes, n_min: int) -> str | None:
    """Return the UTF-16 encoding that the first bytes show; ``None`` if none.

    Without a byte order mark, at least ``n_min`` bytes with Latin letters show it: every other
    byte is NUL.
    """
    if head.startswith(_UTF16_MARKS):
        return "UTF-16"
    if len(head) < n_min:
        return None
    for encoding, letters, zeros in (
        ("UTF-16LE", head[::2], head[1::2]),
        ("UTF-16BE", head[1::2], head[::2]),
    ):
        if 0 not in letters and 2 * zeros.count(0) > len(zeros):
            return encoding
    return None


class SpooledPipe(Resource):
    """Standard input, copied to a file without a name below ``folder``.

    The file is made before the workers that read it are forked, and deleted when the last process
    closes it. A failure to make it (then ``descriptor`` is -1) is raised only by :meth:`fill`: the
    folder may be rejected for a better reason before. Without ``folder`` the file is made in the
    folder for temporary files.
    """

    def __init__(self, folder: str | None) -> None:
        from tempfile import TemporaryFile  # slow to import

        self._location = "the folder for temporary files (TMPDIR)"
        if folder is not None:
            self._location = f"the folder {quoted(folder)}"
        self.descriptor = -1
        self._failure: OSError | None = None
        try:
            with TemporaryFile(dir=folder, prefix=".kapre-extract-", buffering=0) as file:
                self.descriptor = os.dup(file.fileno())
        except OSError as error:
            self._failure = error

    @property
    def path(self) -> str:
        """A path for processes that have inherited the descriptor."""
        return f"/dev/fd/{self.descriptor}"

    def fill(self) -> None:
        """Copy standard input, to its end, to the file.

        Raise AudioReadError if it cannot be read, OutputError if the file cannot be made or filled.
        """
        try:
            if self._failure is not None:
                raise self._failure
            while block := _next_block():
                write_fully(self.descriptor, block)
        except AudioReadError:
            raise
        except OSError as error:
            raise OutputError(
                f"standard input cannot be stored in {self._location} until the run ends: "
                f"{error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _next_block() -> bytes:
    try:
        while True:
            with suppress(BlockingIOError):  # another process that shares it has set it so
                return os.read(STDIN, _BLOCK_BYTES)
            select.select([STDIN], [], [])
    except OSError as error:
        raise AudioReadError(f"standard input cannot be read: {error.strerror or error}") from error


@dataclass(eq=False)
class InputStream:
    """Yields the inputs known in advance, then those of the list as they arrive.

    An input of the list can be rejected only once the run has started: it fails by name, and the
    others are not affected.

    Attributes:
        known: The inputs known in advance.
        names: The list.
        root: The folder that all keys are relative to, if one was given.
        validate: Raises :class:`UsageError` for an input that the output cannot hold.
        on_rejected: Called with the path of each rejected input and the reason.
        n_inputs: Number of inputs so far, rejected ones included.
        is_over: Whether no more will arrive.
    """

    known: Inputs
    names: FileList
    root: str | None
    validate: Callable[[Source], None]
    on_rejected: Callable[[str, UsageError], None]

    def __post_init__(self) -> None:
        self.n_inputs = self.known.n_inputs
        self.is_over = False
        self._folders = ListedFolders()
        self._upcoming: Iterator[Source | None] = self._sources()

    def fileno(self) -> int:
        """Return the descriptor of the list, which is readable when more arrives."""
        return self.names.descriptor

    def next_now(self) -> Source | None:
        """Return the next input; ``None`` if it is skipped, not arrived or none is left.

        Raise UsageError if the list is invalid, or names nothing and there is no other input.
        """
        try:
            return next(self._upcoming)
        except StopIteration:
            self.is_over = True
            return None

    def __iter__(self) -> Iterator[Source]:
        """Yield the inputs; wait for those that have not arrived."""
        while not self.is_over:
            source = self.next_now()
            if source is not None:
                yield source
            elif not self.is_over:
                self.names.wait()

    def unread(self, sources: Iterable[Source]) -> None:
        """Yield these inputs, which have been yielded before, again before all others."""
        self._upcoming = chain(sources, self._upcoming)

    def notes(self) -> Iterator[str]:
        """Yield sentences on what has been skipped."""
        return self._folders.notes()

    def _sources(self) -> Iterator[Source | None]:
        registry = KeyRegistry()
        for source in filter(registry.add, self.known.sources):
            self.validate(source)
            yield source
        for path in self.names.read_now():
            # ``None`` for a skipped name, too: a list may go on with such names without an end.
            if path is None or self._folders.skips(path):
                yield None
            else:
                yield self._source_of(path, registry)
        if self.n_inputs == 0:
            raise self.names.no_names_error()

    def _source_of(self, path: str, registry: KeyRegistry) -> Source | None:
        """Return the input of a path; ``None`` if it is rejected or a duplicate."""
        try:
            if is_too_long(path):
                raise UsageError(TOO_LONG)
            source = Source(path, file_key(path, self.root))
            if not registry.add(source):
                return None
            self.validate(source)
        except UsageError as error:
            self.n_inputs += 1
            self.on_rejected(path, error)
            return None
        self.n_inputs += 1
        return source
