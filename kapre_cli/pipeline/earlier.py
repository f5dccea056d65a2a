"""Which inputs need not be computed, because an earlier run has done it, and which in part."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError, quoted
from kapre_cli.pipeline.work import Work, tells_state
from kapre_cli.report import Report, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import within_int64
from kapre_cli.sources import Source, is_hidden
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

    def tell_versions(self) -> None:
        """Say that arrays of the finished output were computed with other versions, if so."""
        features = self.earlier.features
        if features is None:
            return
        others = [
            f"{name} {version}"
            for name, version in features.versions.items()
            if self.versions.get(name) != version
        ]
        if others:
            self.report.say(
                f"note: the arrays in {quoted(features.path)} were computed with other versions "
                f"({', '.join(others)}) and are kept; --overwrite computes all of them again"
            )

    def contents(self, works: Sequence[Work], n_rejected: int) -> list[Work]:
        """Return whose arrays the output will have, in order, once all inputs have been tried.

        An array of an earlier run stays as long as its input fails, whatever the reason: an older
        state of a recording is better than none. And while a path cannot be opened, nothing tells
        which inputs are gone for good: no array leaves the output.

        Args:
            works: All inputs.
            n_rejected: How many paths gave no input, such as folders that cannot be read.
        """
        failed = [work for work in works if work.failed]
        unopened = any(not _can_be_opened(work.source) for work in failed)
        staying = [work for work in failed if self._retain(work)]
        retained = {id(work) for work in staying}
        behind: dict[str, list[Work]] = {}  # by the input's key that they stood behind
        features = self.earlier.features
        if features is not None:
            known = {work.source.key for work in works}
            others = [key for key in features if key not in known]
            if unopened or n_rejected:
                last = ""
                for key in features:
                    last = key if key in known else last
                    work = Work(Source(key, key), failed=True)
                    if key not in known and self._retain_from_output(work):
                        staying.append(work)
                        behind.setdefault(last, []).append(work)
            elif others:
                hidden = [key for key in others if any(map(is_hidden, key.split("/")))]
                skipped = (
                    f"; {len(hidden):,} of them hidden: --hidden keeps those" if hidden else ""
                )
                self.report.say(
                    f"note: {counted(len(others), 'array')} of {quoted(features.path)} will be "
                    f"removed, since no input has its key: {_named(others)}{skipped}"
                )
        arrays = behind.get("", [])
        for work in works:
            if not work.failed or id(work) in retained:
                arrays.append(work)
            arrays += behind.get(work.source.key, [])
        if staying:
            keys = [work.source.key for work in staying]
            self.report.say(
                f"note: {counted(len(keys), 'array')} of an earlier run "
                f"{'stays' if len(keys) == 1 else 'stay'}, since inputs cannot be read now: "
                f"{_named(keys)}"
            )
        return arrays

    def _retain(self, work: Work) -> bool:
        """Give an input that failed the array of an earlier run; return whether there is one."""
        remembered = self.earlier.journal.inputs.get(work.source.key)
        if remembered is not None and remembered.facts is not None:
            facts = remembered.facts
            if self._may_stay(facts, self._roots[remembered.run]):
                work.of, work.entries = remembered.of, remembered.entries
                work.open(facts, self.settings.layer)
                work.drop_misfits(self.settings.layer)
                if work.n_lacking == 0:
                    return True
        return self._retain_from_output(work)

    def _retain_from_output(self, work: Work) -> bool:
        features, key = self.earlier.features, work.source.key
        if features is None or key not in features:
            return False
        try:
            stored = features[key]
            if not self._may_stay(stored.facts, features.root):
                return False
            stored.verify()
        except StoredDataError as error:
            self.report.say(
                f"note: {quoted(key)} is damaged in the output and will be removed: {error}"
            )
            return False
        work.facts, work.stored_in, work.restated = stored.facts, features, False
        return True

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
            self.report.failed_before(work.source.path, remembered.failure)

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
                f"note: {quoted(key)} is damaged in the output and is recomputed: {error}"
            )

    def _current(self, facts: InputFacts, root: RootFacts, source: Source) -> InputFacts | None:
        """Return the facts as this run would state them, or ``None`` if the input is another now.

        Args:
            facts: What an earlier run knew.
            root: The settings of that run.
            source: The input.
        """
        if not self._may_stay(facts, root):
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

    def _may_stay(self, facts: InputFacts, root: RootFacts) -> bool:
        """Whether this run's settings let an array of an earlier run stand.

        Args:
            facts: What the earlier run knew.
            root: The settings of that run.
        """
        audio = self.settings.audio
        return not (
            (facts.n_missing and not audio.allow_truncated)
            or (facts.n_non_finite and audio.non_finite != root.audio.non_finite)
            or (facts.source_sr != facts.sr and not audio.resample)
        )


def _can_be_opened(source: Source) -> bool:
    try:
        os.close(os.open(source.file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    return True


def _named(keys: Sequence[str]) -> str:
    return ", ".join(map(quoted, keys[:3])) + (", ..." if len(keys) > 3 else "")
