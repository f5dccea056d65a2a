"""Validate the path of an output, and the names of files in it, before any work is done.

Some file systems take ``A.wav`` for ``a.wav``, one accented letter written in two ways for the
same, or drop dots and spaces at the end of a name. Each has tables of its own for that: so names
that are merely alike are tried out, and so are names with characters that some reserve, such as
the colons of a time.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from kapre_cli.errors import UsageError, wrap_os_errors
from kapre_cli.formats.validation import within
from kapre_cli.inputs import Source, folder_id, folders_above, prefix_conflicts
from kapre_cli.osutil import longest_name, longest_path
from kapre_cli.outputs.existing import (
    check_folder_exists,
    check_kind,
    check_outside_outputs,
    existing_output,
)
from kapre_cli.outputs.publishing import PARTIAL_SUFFIX
from kapre_cli.outputs.scratch import scratch_folder
from kapre_cli.settings import STANDARD_OUTPUT, Format, OutputSettings
from kapre_cli.text import quoted

_NAME_REJECTED = (errno.EINVAL, errno.EILSEQ)
_RESERVED = re.compile(r'[\x01-\x1f"*:<>?\\|\x7f]|[. ](?=/|$)')
_ENDS_OF_NAMES = re.compile(r"[. ]+(?=/|$)")


def validate_output(
    output: OutputSettings, sources: Sequence[Source], *, resumable: bool = True
) -> None:
    """Raise UsageError for an output that cannot be written, before any work is done.

    That is one whose folder does not exist, that may not be replaced, is an input, would lie in
    another output, has an input in its work folder, or cannot hold the keys of ``sources``.
    ``resumable`` tells whether the command offers ``--resume``, for the message.

    A run calls it once: the command line before it reads standard input, with the inputs of all
    shards, or else ``extract``. What may have changed since then, an output that has appeared, is
    checked once more under the run's lock (``existing_output``) and when it is published.
    """
    path = output.path
    check_folder_exists("output", path)
    longest = longest_name(path.parent)
    if len(os.fsencode(path.name + PARTIAL_SUFFIX)) > longest:
        raise UsageError(
            f"the name of the output {quoted(path)} is too long: with {PARTIAL_SUFFIX!r} behind "
            f"it, where the output is made, it may have {longest} bytes"
        )
    check_kind(output)
    check_not_an_input("output", path, sources)
    check_not_in_work_folder(path, (source.file for source in sources))
    check_outside_outputs("output", path)
    existing_output(output, resumable=resumable)
    if output.file_format.is_folder:
        _check_file_names(path, output.file_format, sources)
    if not output.file_format.holds_many and len(sources) > 1:
        raise UsageError(
            f"{quoted(path)} would be one array, but there are {len(sources)} inputs; "
            "name a folder or a .h5 file to hold them"
        )


class OutputPathValidator:
    """Accepts or rejects inputs one after another, as a list names them.

    The output has been checked without them and can hold more than one.
    """

    def __init__(self, output: OutputSettings, report: Path | None = None) -> None:
        self._output = output
        self._format = output.file_format
        self._report = None if report == STANDARD_OUTPUT else report
        self._files: dict[str, list[Source]] = {}  # by ``folded``
        self._folders: dict[str | bytes, Source] = {}  # by ``folded``: one input in the folder

    def validate(self, source: Source) -> None:
        """Accept ``source``, or raise UsageError.

        It may not be the output or the report, lie in the output's work folder, or collide with an
        input accepted before.
        """
        if self._report is not None:
            check_not_an_input("report", self._report, [source])
        if not self._output.is_stream:
            check_not_an_input("output", self._output.path, [source])
            check_not_in_work_folder(self._output.path, [source.file])
        if self._format.is_folder:
            _check_file_names(self._output.path, self._format, [*self._near(source), source])

    def _near(self, source: Source) -> Iterator[Source]:
        """Yield earlier inputs that might collide with ``source``, and record it."""
        file = self._format.array_file(source.key)
        alike = self._files.setdefault(folded(file), [])
        yield from alike
        alike.append(source)
        if (one := folder_id(folded(file))) in self._folders:
            yield self._folders[one]
        for folder, one in folders_above(folded(file), self._folders):
            self._folders[one] = source
            yield from self._files.get(folder, ())


def check_not_an_input(what: str, path: Path, sources: Iterable[Source]) -> None:
    """Raise UsageError if ``path`` is one of the inputs."""
    place = _status(path)
    if place is None:
        return
    for source in sources:
        status = _status(source.file)
        if status is not None and os.path.samestat(status, place):
            raise UsageError(f"the {what} {quoted(path)} is one of the inputs; name another file")


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def check_not_in_work_folder(output: Path, inputs: Iterable[str | Path]) -> None:
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


def _check_file_names(path: Path, format_: Format, sources: Sequence[Source]) -> None:
    """Raise UsageError for keys whose files collide or have names that are too long."""
    files = {
        **dict.fromkeys(format_.folder_files, "the output's own metadata"),
        **{format_.array_file(source.key): source.path for source in sources},
    }
    longest = longest_name(path.parent)
    at_most = longest_path(path.parent)
    cause = f"cannot be stored in {format_.summary}:"
    for source in sources:
        file = format_.array_file(source.key)
        for part in file.split("/"):
            if len(os.fsencode(part)) > longest:
                raise UsageError(
                    f"{quoted(source.path)} {cause} {quoted(part)} is longer than the {longest} "
                    "bytes a name may have; write one .h5 file"
                )
        # The path is longest in the work folder.
        if len(os.fsencode(f"{path}{PARTIAL_SUFFIX}/output/{file}")) > at_most:
            raise UsageError(
                f"{quoted(source.path)} {cause} with {quoted(path)} in front its path would be "
                f"longer than the {at_most} bytes a path may have; write one .h5 file"
            )
    for folder, file in prefix_conflicts(files):
        raise UsageError(
            f"{quoted(files[file])} {cause} {quoted(folder)} would be a file and a folder; "
            "write one .h5 file"
        )
    check_collisions(path.parent, files)


def check_collisions(parent: Path, files: Mapping[str, str]) -> None:
    """Raise UsageError if the file system takes two files for one, or rejects a name.

    Names in doubt are tried out in a folder below ``parent``, which is removed again; without any,
    nothing is touched. Raise OutputError if nothing can be made there. ``files`` gives the source
    of each file, such as an input's path, by the file's POSIX path; none is a folder of another.
    """
    doubtful = list(dict.fromkeys((*_alike(files), *_reserved(files))))
    if not doubtful:
        return
    with wrap_os_errors(parent), scratch_folder(parent) as place:
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
                if error.errno not in _NAME_REJECTED:
                    raise
                raise UsageError(
                    f"{quoted(files[file])} cannot be stored: the file system of "
                    f"{quoted(parent)} does not allow a name like {quoted(file)} "
                    f"({error.strerror}); write one .h5 file"
                ) from error


def _alike(files: Iterable[str]) -> Iterator[str]:
    """Yield the files that may be taken for one another, or for each other's folders.

    Folders that are alike merge, which does no harm. The first file in a folder stands for it.
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
    """Return one file for each set of reserved characters."""
    first_with: dict[frozenset[str], str] = {}
    for file in files:
        first_with.setdefault(frozenset(_RESERVED.findall(file)), file)
    first_with.pop(frozenset(), None)
    return first_with.values()


def folded(path: str) -> str:
    r"""Return a form that is equal for all paths that any file system might take for one another.

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
