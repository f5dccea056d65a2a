"""A run from its inputs: the inputs of a shard, the sample rate, the settings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kapre_cli.audio import read_header
from kapre_cli.errors import AudioReadError, KapreExtractError, UsageError
from kapre_cli.events import InputArrived, InputResult, Note, Warned
from kapre_cli.inputs import Inputs, InputStream, Source, grouped, inputs_of_shard
from kapre_cli.inputs.segments import clips_of
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    ClipSettings,
    ExtractionSettings,
    OutputSettings,
    Shard,
    resolved_layer,
)
from kapre_cli.text import Argument, Text, quoted

if TYPE_CHECKING:
    from kapre_cli.extraction.executor import Executor


def of_shard(
    inputs: Inputs,
    shard: Shard | None,
    output: OutputSettings,
    clips: ClipSettings | None = None,
) -> tuple[Inputs, Shard | None]:
    """Return the inputs of a run, and its shard with the digest of all inputs.

    ``clips`` is how the run cuts them. Raise UsageError if the output is a single array and the
    shard has no inputs.
    """
    if shard is None:
        return inputs, None
    sources, shard = inputs_of_shard(inputs.sources, shard, clips)
    if inputs.sources and not sources and not output.file_format.holds_many:
        raise UsageError(
            f"shard {shard} has no inputs, and {quoted(output.path)} would be one array; "
            "name a .h5 file or a folder, or use fewer shards"
        )
    return replace(inputs, sources=tuple(sources)), shard


@dataclass(frozen=True)
class Extraction:
    """A run whose sample rate may follow from its inputs.

    Attributes:
        settings_at: Returns the settings at a sample rate in Hz.
        inputs: The inputs of this run, as far as they are known before it starts.
        all_sources: The inputs of all shards, likewise.
        sr: The sample rate in Hz; ``None``: that of the first input.
        shard: The shard that this run computes, if it is one.
        clips: How the recordings are cut, see :meth:`cut`; ``None``: they are not.
    """

    settings_at: Callable[[int], ExtractionSettings]
    inputs: Inputs
    all_sources: Sequence[Source]
    sr: int | None = None
    shard: Shard | None = None
    clips: ClipSettings | None = None

    def report_inputs(self, result: RunResult) -> None:
        """Emit notes on the inputs, and count rejected paths as failed."""
        for note in self.inputs.notes:
            result.emit(Note(note))
        if self.all_sources and not self.inputs.sources:
            result.emit(Note(f"shard {self.shard} has no inputs: its output has no arrays"))
        for rejected in self.inputs.rejected_paths:
            result.failed(rejected.path, UsageError(rejected.reason))

    def settings(
        self, result: RunResult, arriving: InputStream | None = None
    ) -> ExtractionSettings | None:
        """Return the settings; emit warnings of unusual arguments of the layer.

        ``None``: there are no inputs, or none states a sample rate; these have been counted.

        Raises:
            AudioReadError: If no input of any shard states a sample rate, and this run has none.
            TooManyFailuresError: If too many arriving inputs fail.
        """
        sources = self.all_sources if arriving is None else arriving
        sr = self.sr
        if sr is None:
            sr = sample_rate(sources, self.inputs.sources, result)
        if sr is None or not sources:
            return None
        settings = self.settings_at(sr)
        for warning in settings.layer.warnings(lists_bands=result.is_detailed):
            result.emit(Warned(warning))
        return settings

    def cut(
        self, settings: ExtractionSettings, result: RunResult, executor: "Executor | None"
    ) -> "Extraction":
        """Return the run of the clips of its recordings, if they are to be cut.

        Every recording is opened; one that cannot be is counted as failed. A clip in which no frame
        is centred is left out.

        Raises:
            SettingsError: If a clip, or the step from one to the next, is shorter than a hop.
        """
        if self.clips is None:
            return self
        from kapre_cli.extraction.executor import InProcess, previews
        from kapre_cli.extraction.tasks import TaskSettings
        from kapre_cli.formats.metadata import OutputMetadata

        framing, sr = settings.layer.framing, settings.audio.sr
        self.clips.check_framing(framing, sr)
        settings = replace(settings, layer=resolved_layer(settings.layer))
        common = TaskSettings(settings, OutputMetadata.of(settings))
        sources: list[Source] = []
        with InProcess() as here:
            found = previews(self.inputs.sources, common, executor or here, counts_samples=True)
        for recording, preview in zip(self.inputs.sources, found, strict=True):
            if preview.failure is not None or preview.n_samples is None or preview.seconds is None:
                error = preview.failure or AudioReadError("its length is not known")
                result.failed(recording.path, error, InputResult(recording.key))
                continue
            for clip in clips_of(preview.seconds, self.clips):
                if framing.frames_in(preview.n_samples, sr, clip.start, clip.end)[1]:
                    sources.append(recording.part(clip))
        result.n_expected = result.n_failed + len(sources)
        for source in sources:
            if not source.is_stream:
                result.emit(InputArrived(source.key, source.amount))
        return replace(self, inputs=replace(self.inputs, sources=tuple(sources)))

    def run(
        self,
        settings: ExtractionSettings,
        result: RunResult,
        executor: "Executor | None",
        arriving: InputStream | None = None,
        descriptor: int | None = None,
    ) -> None:
        """Extract into the output, which has been validated, or send arrays to a descriptor.

        This process computes, unless there is an executor.

        Raises:
            OutputError: If the output cannot be written; an earlier one is unchanged then.
            TooManyFailuresError: If more inputs fail than allowed; likewise.
        """
        # The workers import decoders; this process waits for them.
        from kapre_cli.extraction import run

        sources = self.inputs.sources if arriving is None else arriving
        for source in self.inputs.sources if arriving is None else ():
            if source.is_stream:  # received by now
                result.emit(InputArrived(source.key, source.amount))
        if descriptor is None:
            is_validated = self.clips is None  # else for recordings, not for their clips
            run.extract(sources, settings, result, executor, is_validated=is_validated)
        else:
            run.stream(sources, settings, result, descriptor, executor)


def sample_rate(
    sources: Sequence[Source] | InputStream, own: Collection[Source], result: RunResult
) -> int | None:
    """Return the sample rate of the first input whose header states one.

    All shards have one rate: ``sources`` are the inputs of all shards, or those that arrive. If no
    header states a rate, the inputs of this run are counted as failed, its ``own`` or all that
    arrive, and ``None`` is returned.

    Raises:
        AudioReadError: If no header states a rate, and this run has no input.
        TooManyFailuresError: If too many arriving inputs fail.
    """
    failures: dict[Source, AudioReadError] = {}
    arriving = sources if isinstance(sources, InputStream) else None
    try:
        for source in sources:
            before = next(reversed(failures), None)
            if before is not None and source.is_beside(before):
                failures[source] = failures[before]
                continue
            try:
                sr = read_header(source.file, is_stream=source.is_stream).sr
            except AudioReadError as error:
                failures[source] = error
                if arriving is not None:
                    result.check_failures(len(failures))
                continue
            if arriving is not None:
                arriving.unread([*failures, source])
            return sr
    except KapreExtractError:  # earlier failures are reported first
        _count_failures(failures, result)
        raise
    of_run = {*own} if arriving is None else failures
    _count_failures({one: error for one, error in failures.items() if one in of_run}, result)
    if arriving is None and sources and not own:
        cause = "no input of any shard states a rate; name it with "
        raise AudioReadError(Text(cause, Argument("sr")))
    return None


def _count_failures(failures: Mapping[Source, AudioReadError], result: RunResult) -> None:
    for of_one in grouped(failures, lambda source: source):
        for index, source in enumerate(of_one):
            n_alike = 0 if index else len(of_one)
            result.failed(source.path, failures[source], InputResult(source.key), n_alike)
