"""What exists at the place of an output, and whether it may be replaced.

One rule for all that this program writes: it replaces nothing that it did not make. What may be
replaced is checked once more at the moment of publishing, see ``publishing``.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.features import Features
from kapre_cli.formats.npy_reader import NpyFeatures
from kapre_cli.formats.npy_writer import (
    MANIFEST_NAME,
    NPY_SUFFIX,
    ROOT_NAME,
    is_sidecar,
    sidecar_of,
)
from kapre_cli.formats.opening import begins_as_our_hdf5, open_features
from kapre_cli.formats.validation import validated_shape
from kapre_cli.settings import OutputSettings
from kapre_cli.text import quoted

_SPECIAL_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link that leads to itself",
}

_HEAD_SIZES = range(64, 512, 64)  # of a .npy file


class Stamp(NamedTuple):
    """Kind, size and time of change, which tell whether something is unchanged.

    For a folder they are those of its manifest, which every change by this program changes.
    """

    kind: int
    size: int
    mtime_ns: int


class Existing(NamedTuple):
    """The stamps of an output, and of the metadata beside a single .npy file, when the run checked.

    ``None`` stands for one that did not exist.
    """

    output: Stamp | None = None
    sidecar: Stamp | None = None


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of ``path``, links not followed; ``None`` if nothing is there."""
    try:
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            if not os.path.lexists(path / MANIFEST_NAME):
                return Stamp(kind, 0, 0)
            status = os.lstat(path / MANIFEST_NAME)
    except FileNotFoundError:
        return None
    return Stamp(kind, status.st_size, status.st_mtime_ns)


def existing_output(output: OutputSettings, *, resumable: bool = True) -> Existing:
    """Return the stamps of an existing output; raise UsageError if it may not be replaced.

    ``resumable`` tells whether the command offers ``--resume``, for the message.
    """
    path = output.path
    require_kind(output)
    if output.format == "npy":
        _require_sidecar(path)
    if is_something(path):
        _require_ours(path, output.format)
        if not (output.overwrite or output.resume is not None):
            resume = "--resume brings it up to date, " if resumable else ""
            raise UsageError(
                f"the output {quoted(path)} exists; {resume}"
                "--overwrite replaces it once the new one is complete"
            )
        if output.format == "hdf5":
            _check_no_unexpected_files(path)
    sidecar = stamp_of(sidecar_of(path)) if output.format == "npy" else None
    return Existing(stamp_of(path), sidecar)


def require_folder(what: str, path: Path) -> None:
    """Raise UsageError if the folder of ``path`` does not exist."""
    if not os.path.isdir(path.parent):
        raise UsageError(
            f"the folder {quoted(path.parent)} for the {what} {quoted(path.name)} does not exist; "
            "make it first"
        )


def require_outside_outputs(what: str, path: Path) -> None:
    """Raise UsageError if ``path`` would lie in a folder that is an output."""
    above = Path(os.path.realpath(path.parent))
    for folder in (above, *above.parents):
        if all(os.path.isfile(folder / name) for name in (ROOT_NAME, MANIFEST_NAME)):
            raise UsageError(
                f"the {what} {quoted(path)} would lie in {quoted(folder)}, which is an output of "
                "kapre-extract and holds nothing else; name another folder"
            )


def require_no_lone_sidecar(output: OutputSettings) -> None:
    """Raise UsageError for metadata without its array, unless it may be replaced."""
    sidecar = sidecar_of(output.path)
    may_replace = output.overwrite or output.resume is not None
    if output.format != "npy" or may_replace or os.path.lexists(output.path):
        return
    if os.path.lexists(sidecar):
        raise UsageError(
            f"{quoted(sidecar)} is in the way: the metadata of an array that is not there; move it "
            "away, or add --overwrite, which replaces it once the new array is complete"
        )


def require_kind(output: OutputSettings) -> None:
    """Raise UsageError for a file in a folder's place, or a non-file in a file's."""
    path = output.path
    if output.format != "npy-directory":
        require_regular(path, "output")
    elif os.path.lexists(path) and not path.is_dir():
        raise UsageError(
            f"the output {quoted(path)} is a file; a folder of .npy files was asked for "
            "(.h5, .hdf5 and .npy are written as one file)"
        )


def is_something(path: Path) -> bool:
    """Whether anything but an empty folder exists at ``path``."""
    is_folder = path.is_dir() and not path.is_symlink()
    return any(path.iterdir()) if is_folder else os.path.lexists(path)


def require_regular(path: Path, what: str, named: Path | None = None) -> None:
    """Raise UsageError for a folder, device, pipe or socket in the place of a file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise UsageError(f"the {what} {quoted(named or path)} is a folder; a file was asked for")
    kind = _SPECIAL_KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise UsageError(
            f"the {what} {quoted(named or path)} is {kind}, and nothing is put in its place; "
            "name a file"
        )


def _require_sidecar(path: Path) -> None:
    sidecar = sidecar_of(path)
    if os.path.lexists(sidecar) and not is_sidecar(sidecar):
        raise UsageError(
            f"{quoted(sidecar)} is in the way: the metadata of {quoted(path.name)} is kept in a "
            "file of that name, and kapre-extract did not make the one there; move it away, or "
            "name another output"
        )


def _require_ours(path: Path, format_: str) -> None:
    """Reject an output that this program did not make; an empty file may be replaced."""
    if format_ == "npy-directory":
        require_unmixed(path)
        return
    if os.lstat(path).st_size == 0:
        return
    try:
        is_ours = is_sidecar(sidecar_of(path)) if format_ == "npy" else begins_as_our_hdf5(path)
    except (OSError, StoredDataError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the output {quoted(path)} exists and cannot be read ({reason}); it is left alone: "
            "move it away, or name another output"
        ) from error
    if not is_ours:
        raise UsageError(
            f"the output {quoted(path)} exists, and kapre-extract did not make it; it is left "
            "alone: move it away, or name another output"
        )
    if format_ == "npy":
        _require_pair(path)


def _require_pair(path: Path) -> None:
    """Reject an array that its metadata does not describe; its values may be damaged."""
    try:
        with NpyFeatures(path) as features:
            for stored in features.values():
                if stored.dtype != np.dtype(features.root.dtype):
                    raise StoredDataError(f"it is of {stored.dtype}, not {features.root.dtype}")
    except (StoredDataError, OSError) as error:
        raise UsageError(
            f"the output {quoted(path)} is not the array that {quoted(sidecar_of(path).name)} "
            f"tells of ({error}); it is left alone: move both away, or name another output"
        ) from error


def _check_no_unexpected_files(path: Path) -> None:
    """Reject an HDF5 file with unexpected objects; a damaged one counts as having none."""
    unexpected = None
    with suppress(FileNotFoundError):
        now = os.stat(path)
        state = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        unexpected = _first_unexpected(path, state)
    if unexpected is not None:
        raise UsageError(
            f"{quoted(unexpected)} in the output {quoted(path)} is not of this program's making; "
            "move it into another file, since the whole file would be replaced"
        )


@lru_cache(maxsize=4)
def _first_unexpected(path: Path, _state: tuple[int, ...]) -> str | None:
    """Return the name of an unexpected object; the cache saves a second search of the file."""
    try:
        with open_features(path) as features:
            return next(features.unexpected_files(), None)
    except (StoredDataError, FileNotFoundError):
        return None


def require_unmixed(path: Path) -> None:
    """Raise UsageError for a folder that is no output, or holds unexpected files."""
    try:
        is_ours = (path / ROOT_NAME).is_file()
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            f"the folder {quoted(path)} is not empty and not an output of kapre-extract; "
            "it is left alone: name another output"
        )
    try:
        features = NpyFeatures(path)
        unexpected = [*features.unexpected_files(), *_other_arrays(path, features)]
    except (StoredDataError, OSError) as error:
        raise UsageError(
            f"the folder {quoted(path)} is not a whole output of kapre-extract ({error}); "
            "it is left alone: remove it if it is of no use"
        ) from error
    for name in unexpected:
        raise UsageError(
            f"{quoted(path / name)} in the output is not of this program's making; "
            "move it away, since the whole folder would be replaced"
        )


def _other_arrays(path: Path, features: Features) -> Iterator[str]:
    """Yield the names of arrays whose files cannot be those that this program wrote.

    Only kind and size are compared: opening a hundred thousand files takes too long.
    """
    itemsize = np.dtype(features.root.dtype).itemsize
    for key, metadata in features.metadata():
        n_bytes = prod(validated_shape(key, metadata, features.layer)) * itemsize
        name = key + NPY_SUFFIX
        try:
            status = os.lstat(f"{path}/{name}")
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(status.st_mode) or status.st_size - n_bytes not in _HEAD_SIZES:
            yield name
