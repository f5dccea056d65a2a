"""Every input that is due, through the layer and into the journal."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from kapre_cli.audio import AudioReader
from kapre_cli.errors import AudioReadError, FeatureError
from kapre_cli.framing import Framing
from kapre_cli.pipeline.blocks import Block, frame_blocks
from kapre_cli.pipeline.compute import Transform
from kapre_cli.pipeline.tape import Piece
from kapre_cli.pipeline.work import Work
from kapre_cli.report import Progress, Report, Watch, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.sources import Source
from kapre_cli.storage.journal import Journal, identity
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.time_frequency import EmptyMelBandsWarning, layer_of

_CRASHES_ALLOWED = 1  # after which an input is tried once more


class Computation:
    """The layer at work.

    Args:
        settings: The run's, the layer's image data format resolved.
        journal: Where blocks go.
        report: Told of every input that fails.
    """

    def __init__(self, settings: ExtractionSettings, journal: Journal, report: Report) -> None:
        self._settings = settings
        self._config = settings.layer
        self._journal = journal
        self._report = report
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", EmptyMelBandsWarning)
            layer = layer_of(settings.layer, dtype="float32")
        for warning in caught:
            report.warn(str(warning.message))
        self._transform = Transform(layer, settings.batch_size)

    def compute(self, works: Sequence[Work], progress: Progress, watch: Watch) -> None:
        """Compute the blocks of every input that the journal does not have."""

        def pieces() -> Iterator[Piece]:
            for work in works:
                key = work.source.key
                watch.reading(key)
                crashes = watch.crashes(key)
                if len(crashes) > _CRASHES_ALLOWED:
                    self._fail(work, AudioReadError(_crashed(crashes)))
                else:
                    for block in self._blocks(work, progress):
                        yield from block.pieces(partial(self._keep, work))
                progress.ended(key)

        self._transform.run(pieces())

    def _blocks(self, work: Work, progress: Progress) -> Iterator[Block]:
        """Yield the blocks of one input; report it and stop if it fails."""
        audio = self._settings.audio
        try:
            with AudioReader(work.source.path, audio) as reader:
                framing = self._config.framing
                _require_frame(framing, reader.n_samples)
                work.facts = _facts(
                    work.source, reader, *framing.times(reader.n_samples, reader.sr)
                )
                of = identity(work.facts, audio.non_finite)
                if work.of != of:  # what the journal has is of another state of the file
                    work.of, work.entries = of, {}
                else:
                    work.drop_misfits(self._config)
                seconds = reader.n_samples / reader.sr
                n_time = framing.n_time(reader.n_samples)
                n_features = self._transform.n_features
                for block in frame_blocks(reader, framing, n_features, tuple(work.entries)):
                    yield block
                    if work.failed:  # its features cannot be used: no need to read on
                        return
                    share = block.results.shape[1] / n_time
                    progress.read(work.source.key, seconds * share, share)
                work.facts = replace(
                    work.facts,
                    n_non_finite=reader.file.n_non_finite,
                    sha256=reader.file.sha256,
                )
                work.read = True
                self._settle(work)
        except (AudioReadError, FeatureError) as error:
            self._fail(work, error)

    def _fail(self, work: Work, reason: Exception) -> None:
        if not work.failed:
            work.failed = True
            self._report.failed(work.source.path, reason)
            self._journal.failed(work.source.key, str(reason))

    def _keep(self, work: Work, block: Block) -> None:
        """Put a computed block into the journal."""
        if work.failed:
            return
        finite = np.isfinite(block.results)
        if self._settings.audio.non_finite == "keep":
            block.results[~finite] = np.nan  # whatever the transform made of an infinity
        elif not finite.all():
            last = block.first_frame + block.results.shape[1] - 1
            reason = (
                f"its samples are so large that float32 overflows in frames {block.first_frame:,} "
                f"to {last:,}; scale it down, for instance to [-1, 1]"
            )
            self._fail(work, FeatureError(reason))
            return
        entry = self._journal.block(work.source.key, work.of, block.first_frame, block.results)
        work.entries[block.first_frame] = entry
        self._settle(work)

    def _settle(self, work: Work) -> None:
        """Close the books on an input once it has been read to the end and computed."""
        if work.failed or work.done or not work.read:
            return
        if work.is_whole(self._config):
            assert work.facts is not None  # noqa: S101 - for the type checker: it was opened
            self._journal.done(work.source.key, work.of, work.facts)
            work.done = True


def _crashed(crashes: Sequence[str]) -> str:
    return (
        f"the program crashed {counted(len(crashes), 'time')} ({', '.join(crashes)}) while it was "
        "reading it: the file must be damaged in a way that its decoder cannot stand"
    )


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
        n_missing=reader.file.n_missing,
    )
