"""What an output must be before any work is done for it."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kapre_cli.errors import StoredDataError, UsageError, quoted
from kapre_cli.settings import OutputSettings
from kapre_cli.sources import Source
from kapre_cli.storage.npy import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME, sidecar_of
from kapre_cli.storage.npy_features import open_npy_directory
from kapre_cli.storage.workspace import PARTIAL_SUFFIX


def check_output(output: OutputSettings, sources: Sequence[Source]) -> None:
    """Refuse an output that cannot be had, before any work is done.

    Raises:
        UsageError: If its folder does not exist, if something stands there that may not be
            replaced, if it is one of the inputs, or if it cannot hold what they are called.
    """
    path = output.path
    if not os.path.isdir(path.parent):
        raise UsageError(
            f"the folder {quoted(path.parent)} for the output {quoted(path.name)} does not exist; "
            "make it first"
        )
    longest = os.pathconf(path.parent, "PC_NAME_MAX")
    if len(os.fsencode(path.name + PARTIAL_SUFFIX)) > longest:
        raise UsageError(
            f"the name of the output {quoted(path)} is too long: with {PARTIAL_SUFFIX!r} behind "
            f"it, where the output is made, it may have {longest} bytes"
        )
    if output.format == "npy-directory":
        _check_directory(path, overwrite=output.overwrite)
        _check_file_names(sources, longest)
    else:
        _check_file(path, is_npy=output.format == "npy", overwrite=output.overwrite)
    if output.format == "npy" and len(sources) > 1:
        raise UsageError(
            f"{quoted(path)} would be one array, but there are {len(sources)} inputs; "
            "name a folder or a .h5 file to hold them"
        )
    if os.path.lexists(path):
        for source in sources:
            if os.path.exists(source.path) and os.path.samefile(source.path, path):
                raise UsageError(f"the output {quoted(path)} is one of the inputs")


def _check_file(path: Path, *, is_npy: bool, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"the output {quoted(path)} is a folder; a file was asked for")
    for taken in (path, sidecar_of(path)) if is_npy else (path,):
        if os.path.lexists(taken) and not overwrite:
            raise UsageError(_exists(taken))


def _check_directory(path: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise UsageError(
            f"the output {quoted(path)} is a file; a folder of .npy files was asked for "
            "(.h5, .hdf5 and .npy are written as one file)"
        )
    if not any(path.iterdir()):
        return
    if not (path / ROOT_NAME).is_file():
        raise UsageError(
            f"the folder {quoted(path)} is not empty and not an output of kapre-extract; "
            "it is left alone"
        )
    if not overwrite:
        raise UsageError(_exists(path))
    _require_nothing_else(path)


def _require_nothing_else(path: Path) -> None:
    """Refuse to replace an output that somebody has put other files into."""
    try:
        keys = set(open_npy_directory(path))
    except (StoredDataError, OSError) as error:
        raise UsageError(
            f"the folder {quoted(path)} is not a whole output of kapre-extract ({error}); "
            "it is left alone: remove it if it is of no use"
        ) from error
    ours = {ROOT_NAME, MANIFEST_NAME, *(key + NPY_SUFFIX for key in keys)}
    ours |= {str(parent) for file in ours for parent in PurePosixPath(file).parents}
    for folder, subfolders, names in os.walk(path):
        for name in (*subfolders, *names):
            file = Path(folder, name)
            if file.relative_to(path).as_posix() not in ours or file.is_symlink():
                raise UsageError(
                    f"{quoted(file)} in the output is not of this program's making; "
                    "move it away, since the whole folder would be replaced"
                )


def _check_file_names(sources: Sequence[Source], longest: int) -> None:
    """Refuse keys whose files would not fit beside one another, or their names into a folder."""
    files = {source.key + NPY_SUFFIX: source for source in sources}
    for file, source in files.items():
        posix = PurePosixPath(file)
        for part in posix.parts:
            if len(os.fsencode(part)) > longest:
                raise UsageError(
                    f"{quoted(source.path)} cannot be stored in a folder of .npy files: "
                    f"{quoted(part)} is longer than the {longest} bytes a name may have; "
                    "write one .h5 file"
                )
        for parent in map(str, posix.parents):
            if parent in files or parent in (ROOT_NAME, MANIFEST_NAME):
                raise UsageError(
                    f"{quoted(source.path)} cannot be stored in a folder of .npy files: "
                    f"{quoted(parent)} would be a file and a folder; write one .h5 file"
                )


def _exists(path: Path) -> str:
    return f"the output {quoted(path)} exists; --overwrite replaces it once the new one is complete"
