"""Inputs of a command: arguments, standard input, a list."""

import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import click

from kapre_cli.errors import UsageError
from kapre_cli.inputs import (
    STDIN,
    STREAM,
    FileList,
    Inputs,
    InputStream,
    SpooledPipe,
    discover,
)
from kapre_cli.osutil import Resource, is_at, is_regular
from kapre_cli.settings import OutputSettings
from kapre_cli.text import quoted


class StdinInputs(Resource):
    """Inputs that arrive through standard input or a list, still unread.

    Attributes:
        arrives: Whether inputs arrive from a list during the run. A dry run, a shard, segments of
            recordings and an output of one array, for which two names are one too many, wait for
            the end of the list.
    """

    def __init__(self, options: Mapping[str, Any], output: OutputSettings) -> None:
        _check(options)
        listed = options["files_from"]
        folder = None if output.is_stream else str(output.path.parent)
        self._options = options
        self._output = output
        self._names = None if listed is None else FileList(listed, null=options["null"])
        self._tables: Collection[str] = ()
        self._stream = SpooledPipe(folder) if STREAM in options["inputs"] else None
        needs_all = (
            not output.file_format.holds_many
            or options["shard"] is not None
            or options["dry_run"]
            or options["segments"]
            or options["clip"] is not None
        )
        self.arrives = self._names is not None and self._names.grows and not needs_all

    @property
    def descriptors(self) -> Collection[int]:
        """Descriptors under which inputs are opened."""
        return () if self._stream is None else (self._stream.descriptor,)

    def known(self) -> Inputs:
        """Return the inputs known before any work; raise UsageError if invalid or none."""
        if not self._options["segments"]:
            return self._recordings()
        from kapre_cli.inputs.segments import annotated, read_annotations, recordings_of

        annotations = read_annotations(self._options["segments"])
        self._tables = annotations.tables
        if self._options["inputs"] or self._names is not None:
            recordings = self._recordings()
        else:
            recordings = recordings_of(annotations, self._options["root"])
        channels = self._options["channels"] or None
        return annotated(recordings, annotations, channels=channels, is_mono=self._options["mono"])

    def _recordings(self) -> Inputs:
        inputs = discover(
            self._options["inputs"],
            self._options["root"],
            spooled=None if self._stream is None else self._stream.path,
            listed=() if self._names is None or self.arrives else self._names.read(),
            hidden=self._options["hidden"],
        )
        if self._names is not None and not self.arrives and inputs.n_inputs == 0:
            raise self._names.no_names_error()
        return inputs

    def check_not_read(self, role: str, path: Path) -> None:
        """Raise UsageError if ``path``, to be overwritten, is the list or standard input."""
        if not os.path.exists(path) or stat.S_ISCHR(os.stat(path).st_mode):
            return  # such as /dev/null, which may be read and written at once
        if self._names is not None and is_at(self._names.descriptor, path, follow_links=True):
            label = "the list of inputs"
        elif self._stream is not None and is_at(STDIN, path, follow_links=True):
            label = "standard input"
        elif any(os.path.exists(one) and path.samefile(one) for one in self._tables):
            label = "a table of segments"
        else:
            return
        raise UsageError(f"the {role} {quoted(path)} is {label}; name another file")

    def check_stdout_is_no_input(self, inputs: Inputs, descriptor: int) -> None:
        """Raise UsageError if standard output is the file of an input or of the list."""
        if not is_regular(descriptor):
            return
        if self._names is not None and os.path.sameopenfile(descriptor, self._names.descriptor):
            label = "the list of inputs"
        else:
            for source in inputs.sources:
                if is_at(descriptor, source.file, follow_links=True):
                    label = f"the input {quoted(source.path)}"
                    break
            else:
                return
        raise UsageError(
            f"standard output is {label}, which would be overwritten; redirect standard output "
            "into another file"
        )

    def receive(self) -> None:
        """Read standard input, if it is an input.

        Raise AudioReadError if that fails, OutputError if there is no space for it.
        """
        if self._stream is not None:
            self._stream.fill()

    def arriving(
        self, known: Inputs, rejected: Callable[[str, UsageError], None]
    ) -> InputStream | None:
        """Return the known inputs and the others as they arrive; ``None``: none arrive.

        ``rejected`` is called with the path of each rejected one and the error.
        """
        if self._names is None or not self.arrives:
            return None
        from kapre_cli.outputs.validation import OutputPathValidator

        validate = OutputPathValidator(self._output, self._options["report"]).validate
        return InputStream(known, self._names, self._options["root"], validate, rejected)

    def close(self) -> None:
        """Close the list, and drop the content of standard input."""
        for one in (self._names, self._stream):
            if one is not None:
                one.close()


def _check(options: Mapping[str, Any]) -> None:
    inputs, listed = options["inputs"], options["files_from"]
    if not inputs and listed is None and not options["segments"]:
        raise click.UsageError("Missing argument 'INPUTS...'; a list may name them: --files-from.")
    if options["null"] and listed is None:
        raise click.UsageError("-0 is about the names in a list: add --files-from LIST.")
    if inputs.count(STREAM) > 1:
        raise click.UsageError("Standard input (-) is named twice; it can be read once.")
    if STREAM in inputs and listed == STREAM:
        raise click.UsageError(
            "Standard input (-) cannot be an input and the list of inputs at once."
        )
    if STREAM in inputs and options["shard"] is not None:
        raise click.UsageError("Standard input (-) has one reader: it is no part of a --shard.")
    if options["raw_format"] is not None:
        for path in inputs:
            if os.path.isdir(path):
                raise click.UsageError(
                    f"--raw-format is for files without a header, and the folder {quoted(path)} "
                    "would be searched for WAV and FLAC; name the files, for instance by "
                    "--files-from."
                )
    if (STREAM in inputs or listed == STREAM) and os.isatty(STDIN):
        example = "find . -name '*.wav' |" if listed == STREAM else "ffmpeg -i FILE -f wav - |"
        raise click.UsageError(
            f"Standard input (-) is a terminal: pipe from a program, such as {example}"
        )
