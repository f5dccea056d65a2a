"""Files that a file system takes for one another or cannot hold, found before any work is done.

Some file systems take ``A.wav`` for ``a.wav``, two ways to write one accented letter for one
another, or drop the dots and spaces that a name ends in. Which of them, and for which letters,
each system has its own tables for: so names that are merely alike are tried out. So are names
with characters that some of them reserve, such as the colons of a time.
"""

import errno
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from kapre_cli.errors import UsageError, quoted, writing
from kapre_cli.sources import folders_above
from kapre_cli.storage.scratch import scratch_folder

_NAME_REFUSED = (errno.EINVAL, errno.EILSEQ)
_RESERVED = re.compile(r'[\x01-\x1f"*:<>?\\|\x7f]|[. ](?=/|$)')
_ENDS_OF_NAMES = re.compile(r"[. ]+(?=/|$)")


def check_collisions(parent: Path, files: Mapping[str, str]) -> None:
    """Refuse files of which one would land on another, or that cannot be made at all.

    Those in doubt are made in a folder of their own below ``parent``, which is removed again;
    where there are none nothing is touched.

    Args:
        parent: The folder on whose file system the files will be.
        files: What stands behind each file, such as an input's path, by the POSIX path that the
            file will have. No file is a folder of another.

    Raises:
        UsageError: If the file system takes two of them for one, or refuses a name.
        OutputError: If nothing can be made in ``parent``.
    """
    doubtful = list(dict.fromkeys((*_alike(files), *_reserved(files))))
    if not doubtful:
        return
    with writing(parent), scratch_folder(parent) as place:
        for number, file in enumerate(doubtful):
            try:
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                (place / file).open("x").close()
            except (FileExistsError, NotADirectoryError) as error:
                other = _taken_for(place, doubtful[:number], file)
                raise UsageError(
                    f"{quoted(files[other])} and {quoted(files[file])} cannot both be stored: "
                    f"the file system of {quoted(parent)} takes {quoted(other)} and "
                    f"{quoted(file)} for one another; write one .h5 file"
                ) from error
            except OSError as error:
                if error.errno not in _NAME_REFUSED:
                    raise
                raise UsageError(
                    f"{quoted(files[file])} cannot be stored: the file system of "
                    f"{quoted(parent)} does not allow a name like {quoted(file)} "
                    f"({error.strerror}); write one .h5 file"
                ) from error


def _alike(files: Iterable[str]) -> Iterator[str]:
    """Yield the files that may be taken for one another, or for each other's folders.

    Folders that are alike merge, which does no harm. The first file below it stands for a folder.
    """
    claims: dict[str, list[str]] = {}
    for file in files:
        claims.setdefault(folded(file), []).append(file)
    seen: set[str | bytes] = set()
    for file in files:
        for folder, one in folders_above(file, seen):
            seen.add(one)
            claim = claims.get(folded(folder))
            if claim is not None:
                claim.append(file)
    for claim in claims.values():
        if len(claim) > 1:
            yield from claim


def _reserved(files: Iterable[str]) -> Iterable[str]:
    """Return one file for each choice of reserved characters."""
    first_with: dict[frozenset[str], str] = {}
    for file in files:
        first_with.setdefault(frozenset(_RESERVED.findall(file)), file)
    first_with.pop(frozenset(), None)
    return first_with.values()


def folded(path: str) -> str:
    r"""Return what all paths share that any file system might take for ``path``.

    >>> folded("Café. /A.wav") == folded("CAFE\N{COMBINING ACUTE ACCENT}/a.WAV")
    True
    """
    return normalize("NFC", normalize("NFC", _ENDS_OF_NAMES.sub("", path)).casefold())


def _taken_for(place: Path, made: Iterable[str], file: str) -> str:
    """Return the one of the files ``made`` in ``place`` that ``file`` or its folder is."""
    claimed = [place / file, *(place / parent for parent in PurePosixPath(file).parents)]
    return next(
        other
        for other in made
        if any(path.exists() and path.samefile(place / other) for path in claimed)
    )
