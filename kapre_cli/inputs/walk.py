"""The audio files below a folder, and notes on what was skipped."""

import os
from collections import Counter
from collections.abc import Iterator

from kapre_cli.audio import audio_suffixes
from kapre_cli.inputs.keys import RejectedPath
from kapre_cli.text import Argument, Text, counted, quoted

# Folders that systems and storage devices make for themselves, in lower case: bins, snapshots,
# thumbnails, files recovered by a disk check.
_SYSTEM_FOLDERS = frozenset(
    {
        *("$recycle.bin", "recycler", "#recycle", "@recycle"),
        *("#snapshot", "@eadir", "lost+found", "system volume information"),
    }
)
_MAX_NAMED = 3  # hidden folders, and files, that a note names


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
        self._takes_hidden = hidden
        self._suffixes = audio_suffixes()
        self._links: list[str] = []
        self._hidden: dict[str, list[str]] = {"folder": [], "file": []}
        self._apple_doubles = 0
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
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
                    elif is_hidden(entry.name) and not self._takes_hidden:
                        self._hidden["folder"].append(entry.path)
                    else:
                        subfolders.append(entry.path)
                elif not self._is_audio(entry.name):
                    continue
                elif entry.name.startswith(".") and not self._takes_hidden:
                    self._hidden["file"].append(entry.path)
                else:
                    is_found = True
                    yield entry.path
            folders += reversed(subfolders)
        if not is_found and not self.rejected_paths:
            self.rejected_paths.append(RejectedPath(self.top, self._why_none()))

    def _why_none(self) -> Text | str:
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
        for what, paths in self._hidden.items():
            if paths:
                named = [quoted(os.path.relpath(path, self.top)) for path in paths[:_MAX_NAMED]]
                more = ", ..." if len(paths) > _MAX_NAMED else ""
                number = counted(len(paths), f"hidden {what}")
                skipped.append(f"{number} ({', '.join(named)}{more})")
        if skipped:
            skipped_files = f"{top}: skipped {' and '.join(skipped)}; "
            yield Text(skipped_files, Argument("hidden", True), " includes them")
        if self._apple_doubles:
            yield f"{top}: skipped {counted(self._apple_doubles, 'AppleDouble file')} (._*)"
        if self._others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in self._others.most_common(5)
            )
            more = ", ..." if len(self._others) > 5 else ""
            yield (
                f"{top}: skipped {counted(self._others.total(), 'file')} "
                f"with another ending than {', '.join(self._suffixes)} ({kinds}{more})"
            )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for instance a loop of links: reading it as a file fails later
        return False
