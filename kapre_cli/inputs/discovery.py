"""Find the inputs below paths, and select those of a shard."""

import json
import os
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import accumulate, chain, filterfalse

from kapre_cli.audio import DECODERS, audio_suffixes
from kapre_cli.errors import UsageError
from kapre_cli.inputs.keys import (
    STREAM,
    STREAM_KEY,
    TOO_LONG,
    KeyRegistry,
    RejectedPath,
    Source,
    file_key,
    grouped,
    is_too_long,
)
from kapre_cli.settings import ClipSettings, Shard
from kapre_cli.text import Argument, Text, counted, quoted

# Folders that systems and storage devices make for themselves, in lower case: bins, snapshots,
# thumbnails, files recovered by a disk check.
_SYSTEM_FOLDERS = frozenset(
    {
        *("$recycle.bin", "recycler", "#recycle", "@recycle"),
        *("#snapshot", "@eadir", "lost+found", "system volume information"),
    }
)
_MAX_NAMED = 3  # folders, and files, that a note names
_MAX_SUFFIXES = 5  # that a note names


@dataclass(frozen=True)
class Inputs:
    """The inputs found in a list of paths.

    Attributes:
        sources: In the order given, those of a folder in the order of their names.
        rejected_paths: Paths that yield no input and should have; each counts as a failure.
        notes: Sentences on what was skipped on purpose.
    """

    sources: tuple[Source, ...]
    rejected_paths: tuple[RejectedPath, ...] = ()
    notes: tuple[Text | str, ...] = ()

    @property
    def n_inputs(self) -> int:
        """Number of inputs, rejected ones included."""
        return len(self.sources) + len(self.rejected_paths)


def discover(
    paths: Iterable[str],
    root: str | None = None,
    *,
    spooled: str | None = None,
    listed: Iterable[str] = (),
    hidden: bool = False,
) -> Inputs:
    """Return the inputs that ``paths``, then ``listed``, name, in that order.

    A file is accepted with any suffix, even if it does not exist (reading it fails later). Below
    a folder of ``paths`` every file with a suffix of :func:`.audio.audio_suffixes` is accepted, in
    any case. Hidden files, and files below hidden folders, are skipped unless ``hidden`` is set.
    Links to files are followed, links to folders are not. Folders in ``listed`` are skipped.

    Keys are relative to ``root``. Without it, a file below a folder argument is keyed relative
    to that argument; a file argument by its path as given, or by its name if that path is absolute
    or has ``..`` in it. ``spooled`` is the file with the bytes of standard input, which ``-`` then
    means; without it ``-`` is an ordinary name.

    Raises:
        UsageError: If two inputs have one key, one key is a folder of another, an input lies
            outside ``root``, ``root`` is no folder, or a path names nothing.
    """
    sources: list[Source] = []
    rejected_paths: list[RejectedPath] = []
    notes: list[Text | str] = []
    if root is not None and not os.path.isdir(root):
        raise UsageError(f"the root {quoted(root)} is not a folder; name a folder above all inputs")
    for path in paths:
        if spooled is not None and path == STREAM:
            sources.append(Source(path, STREAM_KEY, spooled))
        elif os.path.isdir(_validated_path(path)):
            walk = Walk(path, hidden=hidden)
            sources += _sources_of(walk, path if root is None else root, rejected_paths)
            rejected_paths += walk.rejected_paths
            notes += walk.notes()
        else:
            sources += _sources_of([path], root, rejected_paths)
    folders = ListedFolders()
    sources += _sources_of(filterfalse(folders.skips, listed), root, rejected_paths)
    registry = KeyRegistry()
    kept = tuple(source for source in sources if registry.add(source))
    return Inputs(
        kept, tuple(rejected_paths), (*notes, *DECODERS.broken.values(), *folders.notes())
    )


def _sources_of(
    paths: Iterable[str], root: str | None, rejected_paths: list[RejectedPath]
) -> Iterator[Source]:
    for path in paths:
        if is_too_long(path):
            rejected_paths.append(RejectedPath(path, TOO_LONG))
        else:
            yield Source(path, file_key(path, root))


def _validated_path(path: str) -> str:
    if not path:
        raise UsageError(
            "an input is an empty path, as from a variable of a shell that is not set; remove it"
        )
    if "\0" in path:
        raise UsageError(
            f"the input {quoted(path)} has a NUL in its name, which no file has; remove it"
        )
    return path


class ListedFolders:
    """The folders that a list of files names, as ``find`` does; they are skipped."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def skips(self, path: str) -> bool:
        """Whether a path is a folder, which is counted and skipped."""
        if not os.path.isdir(path):
            return False
        self._count += 1
        if self._count <= _MAX_NAMED:
            self._first.append(path)
        return True

    def notes(self) -> Iterator[str]:
        """Yield a sentence that names the skipped folders, if any."""
        if self._count:
            yield (
                f"the list names {counted(self._count, 'folder')}, skipped: "
                f"{_examples(self._first, self._count)}; "
                "a folder that is to be searched is named as an input"
            )


def _examples(first: Iterable[str], count: int) -> str:
    """Return the first of ``count`` paths, quoted; dots stand for the others."""
    return ", ".join(map(quoted, first)) + (", ..." if count > _MAX_NAMED else "")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is skipped below a folder by default.

    >>> is_hidden(".git"), is_hidden("$RECYCLE.BIN"), is_hidden("night.1")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


class Walk:
    """Iterate over the audio files below one folder and count what is skipped.

    The folder ``top`` is searched even if it is itself hidden; hidden files and folders below it
    only with ``hidden``. ``rejected_paths`` are folders that yield no inputs and should have.
    """

    def __init__(self, top: str, *, hidden: bool = False) -> None:
        self.top = top
        self.rejected_paths: list[RejectedPath] = []
        self._includes_hidden = hidden
        self._suffixes = audio_suffixes()
        self._links: list[str] = []
        self._hidden: dict[str, list[str]] = {"folder": [], "file": []}
        self._apple_doubles = 0
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        """Yield the paths, those of each folder in the order of their names."""
        is_found = False
        # An explicit stack: paths may be nested deeper than Python's recursion limit.
        folders = [self.top]
        while folders:
            folder = folders.pop()
            subfolders: list[str] = []
            for entry in self._entries(folder):
                if _is_folder(entry):
                    if entry.is_symlink():
                        self._links.append(entry.path)
                    elif is_hidden(entry.name) and not self._includes_hidden:
                        self._hidden["folder"].append(entry.path)
                    else:
                        subfolders.append(entry.path)
                elif not self._is_audio(entry.name):
                    continue
                elif entry.name.startswith(".") and not self._includes_hidden:
                    self._hidden["file"].append(entry.path)
                else:
                    is_found = True
                    yield entry.path
            folders += reversed(subfolders)
        if not is_found and not self.rejected_paths:
            self.rejected_paths.append(RejectedPath(self.top, self._reason_for_none()))

    def _reason_for_none(self) -> Text | str:
        if any(self._hidden.values()):
            hidden = next(iter(Walk(self.top, hidden=True)), None)
            if hidden is not None:
                example = quoted(os.path.relpath(hidden, self.top))
                return Text(
                    f"holds audio only where it is hidden, such as {example}; ",
                    Argument("hidden", True),
                    " includes it",
                )
        return f"holds no audio: no file ends in {', '.join(self._suffixes)}"

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            self.rejected_paths.append(RejectedPath(folder, reason))
            return []

    def _is_audio(self, name: str) -> bool:
        if not name.lower().endswith(self._suffixes):
            self._others[os.path.splitext(name)[1].lower()] += 1
            return False
        if name.startswith("._"):
            self._apple_doubles += 1
            return False
        return True

    def notes(self) -> Iterator[Text | str]:
        """Yield sentences on what was skipped, once the walk has ended."""
        top = quoted(self.top)
        for link in self._links:
            yield (
                f"{quoted(link)} is a link to a folder and was not followed; "
                "name it as an input to have it read"
            )
        skipped = []
        for kind, paths in self._hidden.items():
            if paths:
                first = [os.path.relpath(path, self.top) for path in paths[:_MAX_NAMED]]
                number = counted(len(paths), f"hidden {kind}")
                skipped.append(f"{number} ({_examples(first, len(paths))})")
        if skipped:
            yield Text(
                f"{top}: skipped {' and '.join(skipped)}; ",
                Argument("hidden", True),
                " includes them",
            )
        if self._apple_doubles:
            yield f"{top}: skipped {counted(self._apple_doubles, 'AppleDouble file')} (._*)"
        if self._others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in self._others.most_common(_MAX_SUFFIXES)
            )
            more = ", ..." if len(self._others) > _MAX_SUFFIXES else ""
            yield (
                f"{top}: skipped {counted(self._others.total(), 'file')} "
                f"with another ending than {', '.join(self._suffixes)} ({kinds}{more})"
            )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for instance a loop of links: reading it as a file fails later
        return False


def inputs_of_shard(
    sources: Sequence[Source], shard: Shard, clips: ClipSettings | None = None
) -> tuple[Sequence[Source], Shard]:
    """Return the inputs of a shard, and the shard with the digest of all inputs.

    Runs that find the same inputs, of the same sizes, cut them in the same way. All segments of a
    recording are in one shard. ``clips`` is how the recordings will be cut, which the digest
    covers.
    """
    recordings = list(grouped(sources, lambda source: source))
    sizes = [of_one[0].size for of_one in recordings]
    selected = shard_range(sizes, shard.index, shard.of)
    digest = sha256()
    for of_one, size in zip(recordings, sizes, strict=True):
        for source in of_one:
            digest.update(json.dumps([source.key, size]).encode())
    if clips is not None:
        digest.update(json.dumps(asdict(clips)).encode())
    of_shard = list(chain.from_iterable(recordings[selected.start : selected.stop]))
    return of_shard, replace(shard, inputs=digest.hexdigest())


def shard_range(sizes: Sequence[int], index: int, of: int) -> range:
    """Return the indices of the ``index``-th of ``of`` parts, counted from 1.

    All inputs, laid end to end, are cut into equal lengths; an input belongs to the part that
    contains its middle. So no part exceeds such a length plus the largest input. If all sizes are
    0, every input counts the same. Parts may be empty.

    >>> [list(shard_range([5, 1, 1, 1, 2], index, 2)) for index in (1, 2)]
    [[0], [1, 2, 3, 4]]
    """
    if not any(sizes):
        sizes = [1] * len(sizes)
    total = sum(sizes)
    parts = [
        min((2 * before + size) * of // (2 * total), of - 1)  # an input of 0 bytes at the very end
        for before, size in zip(accumulate(sizes, initial=0), sizes, strict=False)
    ]
    return range(bisect_left(parts, index - 1), bisect_right(parts, index - 1))
