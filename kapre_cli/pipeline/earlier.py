"""Which inputs need not be computed, because an earlier run has done it, and which in part."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError, quoted
from kapre_cli.pipeline.work import Work, tells_state
from kapre_cli.report import Report, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import within_int64
from kapre_cli.sources import Source
from kapre_cli.storage.earlier import Earlier
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.replay import Remembered


@dataclass
class Keeper:
    """Gives each input what earlier runs have done for it.

    What is kept is decided by the input's path, size and time of change, or by its bytes (always
    so if they came through a pipe or the time does not fit into 64 bits), and by the integrity of
    what is there; never by a name alone.

    Attributes:
        earlier: What earlier runs have left, made with this run's settings.
        settings: This run's.
        versions: Versions of the programs and libraries at work now.
        report: Told of what is not kept though it might have been expected.
        again: Whether the last run in the journal is this very one, whose process came down.
    """

    earlier: Earlier
    settings: ExtractionSettings
    versions: Mapping[str, str]
    report: Report
    again: bool = False

    def __post_init__(self) -> None:
        """Understand the settings of the runs in the journal."""
        self._roots = [RootFacts.from_dict(root) for root in self.earlier.journal.roots]

    def tell_changes(self, sources: Iterable[Source]) -> None:
        """Say what of the finished output will not be in the new one, or is not of this program."""
        features = self.earlier.features
        if features is None:
            return
        wanted = {source.key for source in sources}
        gone = [key for key in features if key not in wanted]
        if gone:
            named = ", ".join(map(quoted, gone[:3])) + (", ..." if len(gone) > 3 else "")
            self.report.say(
                f"note: {counted(len(gone), 'array')} of {quoted(features.path)} will leave it, "
                f"since no input is called so any more: {named}"
            )
        others = [
            f"{name} {version}"
            for name, version in features.versions.items()
            if self.versions.get(name) != version
        ]
        if others:
            self.report.say(
                f"note: the arrays in {quoted(features.path)} were computed with other versions "
                f"({', '.join(others)}) and are kept; --overwrite computes all of them anew"
            )

    def keep(self, work: Work) -> None:
        """Give ``work`` what has been done for it."""
        remembered = self.earlier.journal.inputs.get(work.source.key)
        if remembered is not None:
            self._keep_from_journal(work, remembered)
        if not work.done:
            self._keep_from_output(work)
        if work.done and self.report.verbose:
            self.report.say(f"kept: {work.told(self.settings.layer)}")

    def _keep_from_journal(self, work: Work, remembered: Remembered) -> None:
        work.of, work.entries = remembered.of, remembered.entries
        this_run = self.again and remembered.run == len(self._roots) - 1
        if remembered.facts is not None:
            root = self._roots[remembered.run]
            facts = self._current(remembered.facts, root, work.source)
            if facts is not None:
                work.open(facts, self.settings.layer)
                work.drop_misfits(self.settings.layer)
                work.done = work.n_lacking == 0
                work.kept = work.done and not this_run
        elif remembered.failure is not None and this_run:
            work.failed = True  # it has been named already
            self.report.failed_before(work.source.path)

    def _keep_from_output(self, work: Work) -> None:
        features, key = self.earlier.features, work.source.key
        if features is None or key not in features:
            return
        try:
            stored = features[key]
            facts = self._current(stored.facts, features.root, work.source)
            if facts is not None:
                stored.verify()
                # Not the array itself: that would keep as many datasets open as there are.
                work.facts, work.stored_in = facts, features
                work.restated = facts != stored.facts
                work.done = work.kept = True
        except StoredDataError as error:
            self.report.say(
                f"note: {quoted(key)} is damaged in the output, and computed anew: {error}"
            )

    def _current(self, facts: InputFacts, root: RootFacts, source: Source) -> InputFacts | None:
        """Return the facts as this run would state them, or ``None`` if the input is another now.

        Args:
            facts: What an earlier run knew.
            root: The settings of that run.
            source: The input.
        """
        audio = self.settings.audio
        if (
            (facts.n_missing and not audio.allow_truncated)
            or (facts.n_non_finite and audio.non_finite != root.audio.non_finite)
            or (facts.source_sr != facts.sr and not audio.resample)
        ):
            return None
        try:
            status = os.stat(source.file)
            time = 0 if source.is_stream else within_int64(status.st_mtime_ns)
            now = facts._replace(
                source=source.path, source_size=status.st_size, source_mtime_ns=time
            )
            by_content = self.settings.output.resume == "content" or not tells_state(source, time)
            if by_content:
                return now if sha256_of(source.file) == facts.sha256 else None
        except (OSError, AudioReadError):  # reading it will tell why
            return None
        return now if now == facts else None
