"""The audio files below a folder, and what is passed over on the way."""

import os
from collections import Counter
from collections.abc import Iterator

from kapre_cli.errors import quoted
from kapre_cli.report import counted
from kapre_cli.sources.source import Refusal

AUDIO_SUFFIXES = (".wav", ".wave", ".flac")


class Walk:
    """The audio files below one directory, and what was passed over on the way."""

    def __init__(self, top: str) -> None:
        self.top = top
        self.refusals: list[Refusal] = []
        self._links: list[str] = []
        self._apple_doubles = 0
        self._others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        found = False
        # A stack of our own: paths may be longer than Python's recursion is deep.
        folders = [self.top]
        while folders:
            folder = folders.pop()
            subfolders: list[str] = []
            for entry in self._entries(folder):
                if _leads_to_folder(entry):
                    (self._links if entry.is_symlink() else subfolders).append(entry.path)
                elif self._is_audio(entry.name):
                    found = True
                    yield entry.path
            folders += reversed(subfolders)
        if not found and not self.refusals:
            self.refusals.append(
                Refusal(self.top, f"holds no audio: no file ends in {', '.join(AUDIO_SUFFIXES)}")
            )

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            self.refusals.append(Refusal(folder, reason))
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
        """Say in sentences what was passed over, once the walk has ended."""
        place = quoted(self.top)
        for link in self._links:
            yield (
                f"{quoted(link)} is a link to a folder and was not followed; "
                "name it as an input to have it read"
            )
        if self._apple_doubles:
            yield f"{place}: passed over {counted(self._apple_doubles, 'AppleDouble file')} (._*)"
        if self._others:
            kinds = ", ".join(
                f"{count} {suffix or 'without a suffix'}"
                for suffix, count in self._others.most_common(5)
            )
            more = ", ..." if len(self._others) > 5 else ""
            yield (
                f"{place}: passed over {counted(self._others.total(), 'file')} "
                f"with another ending than {', '.join(AUDIO_SUFFIXES)} ({kinds}{more})"
            )


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, say: reading it as a file will tell
        return False
