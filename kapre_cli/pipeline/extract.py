"""A run: every input through the layer, then all of them into one output."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kapre_cli.engines.batches import batch_frames
from kapre_cli.engines.registry import engine_for
from kapre_cli.errors import (
    OutputError,
    StoredDataError,
    TooManyFailuresError,
    input_error,
    quoted,
)
from kapre_cli.pipeline.computation import Computation, Endings
from kapre_cli.pipeline.earlier import Keeper
from kapre_cli.pipeline.reading import Readers
from kapre_cli.pipeline.room import bytes_at_most, bytes_due, bytes_written
from kapre_cli.pipeline.work import Work
from kapre_cli.pipeline.works import Works
from kapre_cli.report import SILENT, UNWATCHED, Progress, Report, Watch, counted
from kapre_cli.settings import ExtractionSettings, LayerConfig
from kapre_cli.settings.keras_file import resolved
from kapre_cli.sources import Arriving, Source
from kapre_cli.storage.admission import check_output
from kapre_cli.storage.assembly import FinalArray, final_array, moving, stored_array
from kapre_cli.storage.disk import free_bytes, require_free_bytes
from kapre_cli.storage.earlier import Earlier, require_no_work
from kapre_cli.storage.existing import Existing, existing_output
from kapre_cli.storage.formats import open_writer
from kapre_cli.storage.journal import Journal
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.replay import replay
from kapre_cli.storage.soundness import frequencies
from kapre_cli.storage.verification import require_written
from kapre_cli.storage.work_dir import WorkDir, signals_deferred


def extract(
    sources: Sequence[Source] | Arriving,
    settings: ExtractionSettings,
    report: Report,
    progress: Progress = SILENT,
    watch: Watch = UNWATCHED,
) -> None:
    """Extract the features of every source into one output.

    An input that fails is reported and harms no other. The output appears whole, when all
    inputs have been tried, or not at all: if none could be read there is none, but for a shard,
    which the others may have to be merged with. Work that is finished when a run breaks off is
    kept beside the output, for a run that resumes it.

    Args:
        sources: The inputs, in the order in which the output will have them: all of them, or as
            they come. Those that come are begun at once, and have been checked for the output.
        settings: What to compute and where to put it.
        report: Told what becomes of every input.
        progress: Told how far the work has come.
        watch: Told which inputs are being read.

    Raises:
        UsageError: If the output is refused before any work is done.
        OutputError: If the output cannot be written; what stood there is unchanged then.
        TooManyFailuresError: If more inputs fail than may; likewise.
    """
    settings = replace(settings, layer=resolved(settings.layer))
    works = Works(sources, report, progress)
    try:
        _extract(works, settings, report, progress, watch)
        report.warn_of_floor(settings.layer.amin)
    except (OutputError, StoredDataError, TooManyFailuresError) as error:
        report.broken = True
        if not report.is_there:
            for work in works.all:
                if not work.failed:
                    known = work.known(settings.layer)
                    report.unwritten(work.source.path, error, known, tried=work.was_tried)
        raise


def _extract(
    works: Works,
    settings: ExtractionSettings,
    report: Report,
    progress: Progress,
    watch: Watch,
) -> None:
    known = [work.source for work in works.all]
    n_rejected = report.n_failed  # paths that should have given inputs, and could not be read
    check_output(settings.output, known)
    with WorkDir(settings.output) as work_dir:
        replayed = replay(work_dir.journal)
        work_dir.keep = replayed.holds_work
        existing = existing_output(settings.output)  # another run may have published just now
        if not watch.again:
            require_no_work(work_dir, replayed, settings.output)
            if work_dir.note is not None:
                report.say(f"note: {work_dir.note}")
        root = RootFacts.of(settings)
        output = settings.output
        with Earlier(work_dir, replayed, output, root, again=watch.again) as earlier:
            if report.verbose:
                report.say(", ".join(f"{name} {number}" for name, number in root.versions.items()))
            keeper = Keeper(earlier, settings, root.versions, report, again=watch.again)
            keeper.tell_versions()
            report.begin()
            with work_dir.open_journal(earlier.journal.end) as journal:
                run = _Run(settings, root, journal, report)
                try:
                    if not (watch.again and earlier.journal.roots):
                        journal.run(root)
                    run.compute(works, keeper, progress, watch)
                    work_dir.require_in_place()
                    arrays = keeper.contents(works.all, n_rejected)
                    run.finish(works.all, arrays, work_dir, existing, earlier, progress)
                except BaseException:
                    work_dir.keep = not work_dir.published and (
                        earlier.journal.holds_work or any(work.entries for work in works.all)
                    )
                    if work_dir.keep:
                        with suppress(OutputError):  # the error under way says enough
                            journal.sync()
                        if work_dir.place is not None:
                            report.kept = _kept(works.all, work_dir.place)
                    raise


def _kept(works: Sequence[Work], folder: Path) -> str:
    n_done = sum(work.done and not work.failed for work in works)
    n_begun = sum(bool(work.entries) and not (work.done or work.failed) for work in works)
    parts = f" and parts of {n_begun:,} more" if n_begun else ""
    return (
        f"{n_done:,} of {counted(len(works), 'input')} done{parts}: kept in {quoted(folder)}; "
        "the same command with --resume goes on"
    )


class _Journaled(Endings):
    """Tells of failures at once, and lets the journal know, should the process come down."""

    def __init__(self, config: LayerConfig, journal: Journal, report: Report) -> None:
        self._config = config
        self._journal = journal
        self._report = report

    def failed(self, work: Work, reason: Exception) -> None:
        """Name an input that has failed."""
        self._report.failed(work.source.path, reason, work.known(self._config))
        self._journal.failed(work.source.key, str(reason))

    def done(self, work: Work) -> None:
        """Do nothing: the output is put together when all have ended."""


class _Run:
    """One run from its first input to the published output."""

    def __init__(
        self, settings: ExtractionSettings, root: RootFacts, journal: Journal, report: Report
    ) -> None:
        self._settings = settings
        self._config = settings.layer
        self._root = root
        self._journal = journal
        self._report = report

    def compute(self, works: Works, keeper: Keeper, progress: Progress, watch: Watch) -> None:
        """Compute every input that has not been done into the journal."""
        self._report.require_few_failures()
        due = works.begin(keeper)
        self._report.require_few_failures()  # some may have failed before the process came down
        if due is None:
            return
        if not works.grows:
            self._require_room(works.all)
        n_frames = batch_frames(self._config, self._settings.batch_size)
        endings = _Journaled(self._config, self._journal, self._report)
        computation = Computation(self._settings, self._journal, endings, self._report, progress)
        # In this order: while TensorFlow is imported, if it is, inputs are read already.
        with (
            Readers(due, self._settings, watch) as readers,
            works,  # closed before the readers, which may wait for it
            engine_for(self._config, self._settings.engine, n_frames) as engine,
        ):
            computation.compute(readers, engine, n_frames)

    def _require_room(self, works: Sequence[Work]) -> None:
        folder = self._settings.output.path.parent
        what = f"{quoted(self._settings.output.path)}, with the work beside it,"
        free = free_bytes(folder)
        if free is not None and bytes_at_most(works, self._settings) > free:
            require_free_bytes(folder, bytes_due(works, self._settings), f"{what} at least")

    def finish(
        self,
        works: Sequence[Work],
        arrays: Sequence[Work],
        work_dir: WorkDir,
        existing: Existing,
        earlier: Earlier,
        progress: Progress,
    ) -> None:
        """Put the output together, read it back and move it into its place.

        Args:
            works: All inputs.
            arrays: Those whose arrays the output will have, and what else it keeps.
            work_dir: Where it is put together.
            existing: What stood at its place when the run began.
            earlier: What earlier runs have left.
            progress: Told how far it has come.
        """
        alive = [work for work in arrays if not work.failed]
        if (arrays or not works) and self._is_up_to_date(arrays, earlier):
            self._report.is_there = True
            path = quoted(self._settings.output.path)
            if len(alive) == len(works):
                self._report.say(f"note: {path} is up to date: nothing was computed")
            else:
                self._report.say(f"note: {path} is left as it is: nothing new could be read")
        elif arrays and not alive:
            n_finished = sum(bool(work.entries) for work in arrays)
            work_dir.keep = n_finished > 0
            if work_dir.keep:
                self._report.kept = (
                    f"the finished work of {counted(n_finished, 'input')} is kept in "
                    f"{quoted(work_dir.place or work_dir.folder)}; the same command with "
                    "--resume goes on with it"
                )
            return
        elif arrays or self._may_be_empty(works):
            if arrays:
                folder = self._settings.output.path.parent
                n_bytes = bytes_written(arrays, self._settings)
                require_free_bytes(folder, n_bytes, quoted(self._settings.output.path))
            written = self._put_together(arrays, work_dir.staging, progress)
            arrays = [work for work, _ in written]
            if arrays or self._may_be_empty(works):
                facts = [(work.source.key, facts) for work, facts in written]
                require_written(work_dir.staging, self._root, facts, progress)
                self._publish(arrays, work_dir, existing, earlier)
                return
        work_dir.keep = False
        self._count(arrays)

    def _may_be_empty(self, works: Sequence[Work]) -> bool:
        """Whether an output without arrays is one: of a shard, and not in place of a better one."""
        is_shard = self._settings.shard is not None and self._settings.output.format != "npy"
        return is_shard and not (works and os.path.lexists(self._settings.output.path))

    def _publish(
        self, arrays: Sequence[Work], work_dir: WorkDir, existing: Existing, earlier: Earlier
    ) -> None:
        """Move the output into its place and remove what led to it, as one deed.

        An interrupt in between would be told as if there were no output.
        """
        with signals_deferred():
            try:
                work_dir.publish(existing)
            finally:
                if work_dir.published:
                    self._report.is_there = True
                    self._count(arrays)
            # Network file systems keep a removed file as long as it is open.
            self._journal.close()
            earlier.close()
            work_dir.close()

    def _count(self, arrays: Sequence[Work]) -> None:
        """Count the inputs whose arrays are in the output; one that failed has been counted."""
        for work in arrays:
            if not work.failed:
                tell = self._report.skipped if work.kept else self._report.written
                tell(work.source.path, work.known(self._config))

    def _is_up_to_date(self, arrays: Sequence[Work], earlier: Earlier) -> bool:
        """Whether the finished output holds all that there is to hold, just so."""
        features = earlier.features
        if features is None:
            return False
        return (
            replace(features.root, versions=self._root.versions) == self._root
            and list(features) == [work.source.key for work in arrays]
            and all(work.stored_in is features and not work.restated for work in arrays)
        )

    def _put_together(
        self, works: Sequence[Work], path: Path, progress: Progress
    ) -> list[tuple[Work, InputFacts]]:
        """Write what has not failed into a new output at ``path``, in order; return what is in."""
        output = self._settings.output
        frequency = frequencies(self._config, self._settings.audio.sr)
        written: list[tuple[Work, InputFacts]] = []
        progress.writing(len(works), sum(work.facts.seconds for work in works if work.facts))
        with open_writer(output, path, self._root, frequency) as writer:
            for work in works:
                assert work.facts is not None  # noqa: S101 - for the type checker: it was opened
                try:
                    array = self._array(work)
                except (OutputError, StoredDataError):
                    raise
                except Exception as error:
                    if not work.failed:
                        work.failed = True
                        reason = input_error(error)
                        self._report.failed(work.source.path, reason, work.known(self._config))
                        self._report.require_few_failures()
                    continue
                key = work.source.key
                facts = writer.add(key, moving(array, work.facts.seconds, progress), work.facts)
                if work.stored_in is not None and facts.crc32 != work.facts.crc32:
                    raise OutputError(f"{quoted(key)} changed in the old output as it was copied")
                work.facts = facts
                written.append((work, facts))
                progress.wrote(facts.seconds)
            writer.finish()
        return written

    def _array(self, work: Work) -> FinalArray:
        if work.stored_in is not None:
            return stored_array(work.stored_in[work.source.key], self._config)
        entries = list(work.entries.values())
        return final_array(self._journal, entries, self._config, self._settings.output.dtype)
