"""A run: every input through the layer, then all of them into one output."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kapre_cli import dsp
from kapre_cli.audio import AudioReader
from kapre_cli.errors import AudioReadError, FeatureError
from kapre_cli.framing import Framing
from kapre_cli.pipeline.blocks import Block, frame_blocks
from kapre_cli.pipeline.tape import Piece
from kapre_cli.report import SILENT, Progress, Report, counted
from kapre_cli.settings import ExtractionSettings, LayerConfig, MelspectrogramConfig
from kapre_cli.sources import Source
from kapre_cli.storage.admission import check_output
from kapre_cli.storage.assembly import final_array
from kapre_cli.storage.formats import open_writer
from kapre_cli.storage.journal import BlockEntry, Journal
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.workspace import Workspace, undisturbed


@dataclass
class _Work:
    """One input on its way.

    Attributes:
        source: The input.
        facts: What is known of it; ``None`` until it has been opened.
        entries: Its blocks that are in the journal.
        failed: Whether it has failed; whatever of it is still under way is void.
    """

    source: Source
    facts: InputFacts | None = None
    entries: list[BlockEntry] = field(default_factory=list)
    failed: bool = False


def extract(
    sources: Sequence[Source],
    settings: ExtractionSettings,
    report: Report,
    progress: Progress = SILENT,
) -> None:
    """Extract the features of every source into one output.

    An input that fails is reported and harms no other. The output appears whole, when all
    inputs have been tried, or not at all: if none could be read there is none.

    Args:
        sources: The inputs, in the order in which the output will have them.
        settings: What to compute and where to put it.
        report: Told what becomes of every input.
        progress: Told how far the work has come.

    Raises:
        UsageError: If the output is refused before any work is done.
        OutputError: If the output cannot be written; nothing has been changed then.
    """
    check_output(settings.output, sources)
    with Workspace(settings.output) as workspace, Journal(workspace.journal) as journal:
        run = _Run(settings, journal, report)
        works = run.compute(sources, progress)
        written = run.put_together(works, workspace.staged, progress)
        if written:
            with undisturbed():
                workspace.publish()
                workspace.close()
        for facts in written:
            report.written(facts.n_samples / facts.sr)


class _Run:
    """The layer and the journal of one run."""

    def __init__(self, settings: ExtractionSettings, journal: Journal, report: Report) -> None:
        # TensorFlow takes seconds to import: not before it is certain that it is needed.
        from kapre_cli.pipeline.compute import Transform
        from kapre_cli.time_frequency import EmptyMelBandsWarning, layer_of

        self._journal = journal
        self._report = report
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", EmptyMelBandsWarning)
            layer = layer_of(settings.layer, dtype="float32")
        for warning in caught:
            report.warn(str(warning.message))
        self._config: LayerConfig = layer.config  # its image data format is resolved
        self._settings = replace(settings, layer=self._config)
        self._transform = Transform(layer, settings.batch_size)

    def compute(self, sources: Sequence[Source], progress: Progress) -> list[_Work]:
        """Compute every input into the journal."""
        works = [_Work(source) for source in sources]

        def pieces() -> Iterator[Piece]:
            for work in works:
                for block in self._blocks(work, progress):
                    yield from block.pieces(partial(self._keep, work))
                progress.ended(work.source.key)

        self._transform.run(pieces())
        return works

    def _blocks(self, work: _Work, progress: Progress) -> Iterator[Block]:
        """Yield the blocks of one input; report it and stop if it fails."""
        source, audio = work.source, self._settings.audio
        try:
            with AudioReader(source.path, audio) as reader:
                framing = self._config.framing
                _require_frame(framing, reader.n_samples)
                work.facts = _facts(source, reader, *framing.times(reader.n_samples, reader.sr))
                seconds = reader.n_samples / reader.sr
                n_time = framing.n_time(reader.n_samples)
                for block in frame_blocks(reader, framing, self._transform.n_features):
                    yield block
                    if work.failed:  # its features cannot be used: no need to read on
                        return
                    share = block.results.shape[1] / n_time
                    progress.read(source.key, seconds * share, share)
        except (AudioReadError, FeatureError) as error:
            self._fail(work, error)

    def _fail(self, work: _Work, reason: Exception) -> None:
        if not work.failed:
            work.failed = True
            self._report.failed(work.source.path, reason)

    def _keep(self, work: _Work, block: Block) -> None:
        """Put a computed block into the journal."""
        if work.failed:
            return
        if not np.isfinite(block.results).all():
            last = block.first_frame + block.results.shape[1] - 1
            reason = (
                f"its samples are so large that float32 overflows in frames {block.first_frame:,} "
                f"to {last:,}; scale it down, for instance to [-1, 1]"
            )
            self._fail(work, FeatureError(reason))
            return
        key = work.source.key
        work.entries.append(self._journal.append(key, block.first_frame, block.results))

    def put_together(
        self, works: Sequence[_Work], path: Path, progress: Progress
    ) -> list[InputFacts]:
        """Write every input that has not failed into a new output at ``path``, in order."""
        output = self._settings.output
        root = RootFacts.of(self._settings)
        frequency = frequencies(self._config, self._settings.audio.sr)
        written = []
        progress.writing(sum(not work.failed for work in works))
        with open_writer(output, path, root, frequency) as writer:
            for work in works:
                if work.failed:
                    continue
                assert work.facts is not None  # noqa: S101 - for the type checker: it was opened
                try:
                    array = final_array(self._journal, work.entries, self._config, output.dtype)
                except FeatureError as error:
                    self._fail(work, error)
                    continue
                writer.add(work.source.key, array, work.facts)
                written.append(work.facts)
                progress.wrote()
            writer.finish()
        return written


def _require_frame(framing: Framing, n_samples: int) -> None:
    if framing.padding == "valid" and n_samples < framing.n_dft:
        raise FeatureError(
            f"it has {counted(n_samples, 'sample')}, fewer than the {framing.n_dft:,} of one "
            "frame; take --padding same or a smaller --n-dft"
        )


def _facts(source: Source, reader: AudioReader, time_start: float, time_step: float) -> InputFacts:
    return InputFacts(
        source=source.path,
        sr=reader.sr,
        source_sr=reader.file.sr,
        n_samples=reader.n_samples,
        n_channels=reader.n_channels,
        time_start=time_start,
        time_step=time_step,
        source_size=reader.file.size,
        source_mtime_ns=reader.file.mtime_ns,
    )


def frequencies(config: LayerConfig, sr: int) -> npt.NDArray[np.float64]:
    """Return the frequency in Hz of each bin, or the centre of each mel band."""
    if isinstance(config, MelspectrogramConfig):
        assert config.fmax is not None  # noqa: S101 - for the type checker: settled when made
        return dsp.mel_edges(config.n_mels, config.fmin, config.fmax, htk=config.htk)[1:-1]
    return dsp.dft_frequencies(sr, config.n_dft)
