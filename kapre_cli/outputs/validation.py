"""Validate the path of an output and the names of its files before any work.

Some file systems treat ``A.wav`` and ``a.wav`` as one name, or two spellings of one accented
letter, or drop dots and spaces at the end of a name. Each has tables of its own for that: so names
that are alike are tried out, and so are names with characters that some reserve, such as the colons
of a time.
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
from kapre_cli.outputs.locked_folders import scratch_folder
from kapre_cli.outputs.publishing import PARTIAL_SUFFIX
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
    ``resumable`` is that of :func:`existing_output`.

    A run calls it once: the command line before it reads standard input, with the inputs of all
    shards, or else ``extract``. An output that has appeared since then is found by
    ``existing_output`` under the run's lock, and when the new one is published.
    """
    path = output.path
    check_folder_exists("output", path)
    longest = longest_name(path.parent)
    if len(os.fsencode(path.name + PARTIAL_SUFFIX)) > longest:
        raise UsageError(
            f"the name of the output {quoted(path)} is too long: with {PARTIAL_SUFFIX!r} at its "
            f"end, as the work folder has it, it may have {longest} bytes"
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
            "name a folder or a .h5 file for them"
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
        """Accept an input, or raise UsageError.

        It may not be the output or the report, lie in the work folder, or collide with an input
        that was accepted before.
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
    status = _status(path)
    if status is None:
        return
    for found in map(_status, (source.file for source in sources)):
        if found is not None and os.path.samestat(found, status):
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
    real = os.path.realpath(folder)
    for one in inputs:
        if "\0" not in str(one) and within(one, real):  # with a NUL it cannot be opened
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
        for name in file.split("/"):
            if len(os.fsencode(name)) > longest:
                raise UsageError(
                    f"{quoted(source.path)} {cause} {quoted(name)} is longer than the {longest} "
                    "bytes a name may have; write one .h5 file"
                )
        # The path is longest in the work folder.
        if len(os.fsencode(f"{path}{PARTIAL_SUFFIX}/output/{file}")) > at_most:
            raise UsageError(
                f"{quoted(source.path)} {cause} its path in {quoted(path)} would be longer than "
                f"the {at_most} bytes a path may have; write one .h5 file"
            )
    for folder, file in prefix_conflicts(files):
        raise UsageError(
            f"{quoted(files[file])} {cause} {quoted(folder)} would be a file and a folder; "
            "write one .h5 file"
        )
    check_collisions(path.parent, files)


def check_collisions(parent: Path, files: Mapping[str, str]) -> None:
    """Raise UsageError for names that collide or that the file system rejects.

    Doubtful names are tried out in a temporary folder below ``parent``. Raise OutputError if that
    cannot be made. ``files`` has the source of each file, such as an input's path, by the file's
    POSIX path; none is a folder of another.
    """
    doubtful = list(dict.fromkeys((*_alike(files), *_reserved(files))))
    if not doubtful:
        return
    with wrap_os_errors(parent), scratch_folder(parent) as folder:
        for number, file in enumerate(doubtful):
            try:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).open("x").close()
            except (FileExistsError, NotADirectoryError) as error:
                other = _same_file(folder, doubtful[:number], file)
                raise UsageError(
                    f"{quoted(files[other])} and {quoted(files[file])} cannot both be stored: "
                    f"{quoted(other)} and {quoted(file)} are one name for the file system of "
                    f"{quoted(parent)}; write one .h5 file"
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
    """Yield the files that may have one name, or that of another's folder.

    Folders that are alike merge, which does no harm. The first file in a folder represents it.
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
    r"""Return a form that is equal for all paths that are one for any file system.

    >>> folded("Café. /A.wav") == folded("CAFE\N{COMBINING ACUTE ACCENT}/a.WAV")
    True
    """
    return normalize("NFC", normalize("NFC", _ENDS_OF_NAMES.sub("", path)).casefold())


def _same_file(folder: Path, made: Iterable[str], file: str) -> str:
    """Return the file of ``made`` in ``folder`` that ``file`` or its folder is."""
    paths = [folder / file, *(folder / parent for parent in PurePosixPath(file).parents)]
    return next(
        other
        for other in made
        if any(path.exists() and path.samefile(folder / other) for path in paths)
    )
