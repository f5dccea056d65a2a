"""The audio files below a folder, and notes on what was skipped."""

import os
from collections import Counter
from collections.abc import Iterator

from kapre_cli.inputs.keys import RejectedPath
from kapre_cli.text import counted, quoted

AUDIO_SUFFIXES = (".wav", ".wave", ".flac")

# Folders that systems and storage devices make for themselves, in lower case: bins, snapshots,
# thumbnails, files recovered by a disk check.
_SYSTEM_FOLDERS = frozenset(
    {
        *("$recycle.bin", "recycler", "#recycle", "@recycle"),
        *("#snapshot", "@eadir", "lost+found", "system volume information"),
    }
)
_NAMED = 3  # hidden folders, and files, that a note names


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is skipped below a folder by default.

    >>> is_hidden(".git"), is_hidden("$RECYCLE.BIN"), is_hidden("night.1")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


class Walk:
    """Iterate over the audio files below one directory and count what is skipped.

    The directory ``top`` is searched even if it is itself hidden, but what is hidden below it only
    with ``hidden``. ``rejected_paths`` are folders that should have given inputs and could not.
    """

    def __init__(self, top: str, *, hidden: bool = False) -> None:
        self.top = top
        self.rejected_paths: list[RejectedPath] = []
        self._takes_hidden = hidden
        self._links: list[str] = []
        self._hidden: dict[str, list[str]] = {"folder": [], "file": []}
        self._apple_doubles = 0
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        found = False
        # An explicit stack: paths may be nested deeper than Python's recursion limit.
        folders = [self.top]
        while folders:
            folder = folders.pop()
            subfolders: list[str] = []
            for entry in self._entries(folder):
                if _leads_to_folder(entry):
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
                    found = True
                    yield entry.path
            folders += reversed(subfolders)
        if not found and not self.rejected_paths:
            self.rejected_paths.append(RejectedPath(self.top, self._why_none()))

    def _why_none(self) -> str:
        if any(self._hidden.values()):
            hidden = next(iter(Walk(self.top, hidden=True)), None)
            if hidden is not None:
                example = quoted(os.path.relpath(hidden, self.top))
                return f"holds audio only where it is hidden, such as {example}; --hidden takes it"
        return f"holds no audio: no file ends in {', '.join(AUDIO_SUFFIXES)}"

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            self.rejected_paths.append(RejectedPath(folder, reason))
            return []

    def _is_audio(self, name: str) -> bool:
        if not name.lower().endswith(AUDIO_SUFFIXES):
            self._others[os.path.splitext(name)[1].lower()] += 1
            return False
        if name.startswith("._"):
            self._apple_doubles += 1
            return False
        return True

    def notes(self) -> Iterator[str]:
        """Yield sentences on what was skipped, once the walk has ended."""
        place = quoted(self.top)
        for link in self._links:
            yield (
                f"{quoted(link)} is a link to a folder and was not followed; "
                "name it as an input to have it read"
            )
        skipped = []
        for what, paths in self._hidden.items():
            if paths:
                named = [quoted(os.path.relpath(path, self.top)) for path in paths[:_NAMED]]
                more = ", ..." if len(paths) > _NAMED else ""
                number = counted(len(paths), f"hidden {what}")
                skipped.append(f"{number} ({', '.join(named)}{more})")
        if skipped:
            yield f"{place}: skipped {' and '.join(skipped)}; --hidden takes what is hidden"
        if self._apple_doubles:
            yield f"{place}: skipped {counted(self._apple_doubles, 'AppleDouble file')} (._*)"
        if self._others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in self._others.most_common(5)
            )
            more = ", ..." if len(self._others) > 5 else ""
            yield (
                f"{place}: skipped {counted(self._others.total(), 'file')} "
                f"with another ending than {', '.join(AUDIO_SUFFIXES)} ({kinds}{more})"
            )


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # for instance a loop of links: reading it as a file fails later
        return False
