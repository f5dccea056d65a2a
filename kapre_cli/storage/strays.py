"""What lies in an output and is not of its making."""

import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from kapre_cli.sources import folder_id


def folders_of(files: Iterable[str]) -> set[str | bytes]:
    """Return the ``folder_id`` of every folder that files lie in, by their relative POSIX paths.

    >>> sorted(folders_of(["a.wav", "site/june/b.wav"]))
    ['site', 'site/june']
    """
    folders: set[str | bytes] = set()
    for file in files:
        folder = file.rpartition("/")[0]
        while folder and (one := folder_id(folder)) not in folders:
            folders.add(one)
            folder = folder.rpartition("/")[0]
    return folders


def strays_below(folder: Path, files: Set[str]) -> Iterator[str]:
    """Yield the relative path of all below ``folder`` that is neither one of ``files`` nor theirs.

    A link is none, whatever it is called. What lies in a folder that is a stray is not named.

    Args:
        folder: The folder.
        files: Relative POSIX paths.
    """
    folders = folders_of(files)
    for place, subfolders, names in os.walk(folder):
        above = os.path.relpath(place, folder)
        above = "" if above == os.curdir else f"{above}/"
        ours = {name for name in subfolders if folder_id(above + name) in folders}
        for group, known in ((subfolders, ours), (names, {n for n in names if above + n in files})):
            for name in sorted(group):
                if name not in known or os.path.islink(os.path.join(place, name)):
                    yield above + name
        subfolders[:] = [name for name in subfolders if name in ours]
