"""What an output must be before any work is done for it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kapre_cli.errors import UsageError, quoted
from kapre_cli.settings import STANDARD_OUTPUT, OutputSettings
from kapre_cli.sources import Source, folder_id, folders_above, nested
from kapre_cli.storage.collisions import check_collisions, folded
from kapre_cli.storage.existing import (
    existing_output,
    require_folder,
    require_kind,
    require_outside_outputs,
)
from kapre_cli.storage.npy import MANIFEST_NAME, NPY_SUFFIX, ROOT_NAME
from kapre_cli.storage.soundness import within
from kapre_cli.storage.work_dir import PARTIAL_SUFFIX


def check_output(
    output: OutputSettings, sources: Sequence[Source], *, resumable: bool = True
) -> None:
    """Refuse an output that cannot be had, before any work is done.

    Args:
        output: Where features go.
        sources: What they will be called, and where they come from.
        resumable: Whether what is asked for could go on with an output that exists.

    Raises:
        UsageError: If its folder does not exist, if something stands there that may not be
            replaced, if it is one of the inputs, if one of them lies in its work folder, if it
            would lie in another output, or if it cannot hold what they are called.
    """
    path = output.path
    require_folder("output", path)
    longest = os.pathconf(path.parent, "PC_NAME_MAX")
    if len(os.fsencode(path.name + PARTIAL_SUFFIX)) > longest:
        raise UsageError(
            f"the name of the output {quoted(path)} is too long: with {PARTIAL_SUFFIX!r} behind "
            f"it, where the output is made, it may have {longest} bytes"
        )
    require_kind(output)
    require_no_input("output", path, sources)
    require_not_in_work(path, (source.file for source in sources))
    require_outside_outputs("output", path)
    existing_output(output, resumable=resumable)
    if output.format == "npy-directory":
        _check_file_names(path, sources)
    if output.format == "npy" and len(sources) > 1:
        raise UsageError(
            f"{quoted(path)} would be one array, but there are {len(sources)} inputs; "
            "name a folder or a .h5 file to hold them"
        )


class Admission:
    """Lets inputs into an output one after another, as a list names them.

    Args:
        output: The output, which has been checked without them. It holds more than one.
        report: Where the run's report goes, if there is one.
    """

    def __init__(self, output: OutputSettings, report: Path | None = None) -> None:
        self._output = output
        self._report = None if report == STANDARD_OUTPUT else report
        self._files: dict[str, list[Source]] = {}  # by all that a file system may take it for
        self._folders: dict[str | bytes, Source] = {}  # likewise, one that lies in it

    def admit(self, source: Source) -> None:
        """Let ``source`` in.

        Raises:
            UsageError: If it is the output or the report, lies in the output's work folder, or
                would land on one that was let in before.
        """
        if self._report is not None:
            require_no_input("report", self._report, [source])
        if not self._output.is_stream:
            require_no_input("output", self._output.path, [source])
            require_not_in_work(self._output.path, [source.file])
        if self._output.format == "npy-directory":
            _check_file_names(self._output.path, [*self._near(source), source])

    def _near(self, source: Source) -> Iterator[Source]:
        """Yield those before ``source`` that it might collide with, and take note of it."""
        file = source.key + NPY_SUFFIX
        alike = self._files.setdefault(folded(file), [])
        yield from alike
        alike.append(source)
        if (one := folder_id(folded(file))) in self._folders:
            yield self._folders[one]
        for folder, one in folders_above(folded(file), self._folders):
            self._folders[one] = source
            yield from self._files.get(folder, ())


def require_no_input(what: str, path: Path, sources: Iterable[Source]) -> None:
    """Raise UsageError if the place of ``what`` is one of the inputs."""
    if os.path.exists(path) and any(
        os.path.exists(source.file) and os.path.samefile(source.file, path) for source in sources
    ):
        raise UsageError(f"the {what} {quoted(path)} is one of the inputs; name another file")


def require_not_in_work(output: Path, inputs: Iterable[str | Path]) -> None:
    """Raise UsageError for inputs in the work folder: it is emptied and removed."""
    folder = f"{output}{PARTIAL_SUFFIX}"
    if not os.path.isdir(folder):
        return
    place = os.path.realpath(folder)
    for one in inputs:
        if "\0" not in str(one) and within(one, place):  # with a NUL it cannot be opened
            raise UsageError(
                f"the input {quoted(one)} lies in {quoted(folder)}, where the output is made and "
                "other files are removed; move it away, or name another output"
            )


def _check_file_names(path: Path, sources: Sequence[Source]) -> None:
    """Refuse keys whose files would not fit beside one another, or their names into a folder."""
    files = {
        **dict.fromkeys((ROOT_NAME, MANIFEST_NAME), "the output's own metadata"),
        **{source.key + NPY_SUFFIX: source.path for source in sources},
    }
    longest = os.pathconf(path.parent, "PC_NAME_MAX")
    at_most = os.pathconf(path.parent, "PC_PATH_MAX") - 1
    refused = "cannot be stored in a folder of .npy files:"
    for source in sources:
        file = source.key + NPY_SUFFIX
        for part in file.split("/"):
            if len(os.fsencode(part)) > longest:
                raise UsageError(
                    f"{quoted(source.path)} {refused} {quoted(part)} is longer than the {longest} "
                    "bytes a name may have; write one .h5 file"
                )
        # Where the output is made until it is complete its path is longest.
        if len(os.fsencode(f"{path}{PARTIAL_SUFFIX}/output/{file}")) > at_most:
            raise UsageError(
                f"{quoted(source.path)} {refused} with {quoted(path)} in front its path would be "
                f"longer than the {at_most} bytes a path may have; write one .h5 file"
            )
    for folder, file in nested(files):
        raise UsageError(
            f"{quoted(files[file])} {refused} {quoted(folder)} would be a file and a folder; "
            "write one .h5 file"
        )
    check_collisions(path.parent, files)
