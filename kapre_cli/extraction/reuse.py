"""Which inputs need not be computed, because an earlier run has done it, and which in part."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError, quoted
from kapre_cli.extraction.job import Job, tells_state
from kapre_cli.report import Report, counted
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.limits import within_int64
from kapre_cli.sources import Source, is_hidden
from kapre_cli.storage.earlier import Earlier
from kapre_cli.storage.journals import Remembered
from kapre_cli.storage.metadata import InputFacts, RootFacts


@dataclass
class ReusePolicy:
    """Decides what of earlier runs each input keeps.

    What is kept is decided by the input's path, size and time of change, or by its bytes (always
    so if they came through a pipe or the time does not fit into 64 bits), and by the integrity of
    what is there; never by a name alone.

    Attributes:
        earlier: What earlier runs have left, made with this run's settings.
        settings: This run's.
        versions: Versions of the programs and libraries at work now.
        report: Told of what is not kept though it might have been expected.
    """

    earlier: Earlier
    settings: ExtractionSettings
    versions: Mapping[str, str]
    report: Report
    _retained: list[Job] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Parse the settings of the runs that wrote the journals."""
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

    def others(self, known: Collection[str]) -> list[str]:
        """Return the keys of the finished output that no input has.

        Args:
            known: The keys of the inputs.
        """
        return [key for key in self.earlier.features or () if key not in known]

    def contents(self, jobs: Sequence[Job], n_rejected: int) -> list[Job]:
        """Return whose arrays the output will have, in order, once all inputs have been tried.

        An array of an earlier run stays as long as its input fails, whatever the reason: an older
        state of a recording is better than none. And while a path cannot be opened, nothing tells
        which inputs are gone for good: no array leaves the output.

        Args:
            jobs: All inputs; :meth:`retain` has been asked about those that failed.
            n_rejected: How many paths gave no input, such as folders that cannot be read.
        """
        unopened = any(job.failed and not _can_be_opened(job.source) for job in jobs)
        staying = self._retained
        retained = {id(job) for job in staying}
        behind: dict[str, list[Job]] = {}  # by the input's key that they stood behind
        features = self.earlier.features
        if features is not None:
            known = {job.source.key for job in jobs}
            others = self.others(known)
            if unopened or n_rejected:
                last = ""
                for key in features:
                    last = key if key in known else last
                    job = Job(Source(key, key), failed=True)
                    if key not in known and self._retain_from_output(job):
                        staying.append(job)
                        behind.setdefault(last, []).append(job)
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
        for job in jobs:
            if not job.failed or id(job) in retained:
                arrays.append(job)
            arrays += behind.get(job.source.key, [])
        if staying:
            keys = [job.source.key for job in staying]
            self.report.say(
                f"note: {counted(len(keys), 'array')} of an earlier run "
                f"{'stays' if len(keys) == 1 else 'stay'}, since inputs cannot be read now: "
                f"{_named(keys)}"
            )
        return arrays

    def retain(self, job: Job) -> bool:
        """Give an input that failed the array of an earlier run; return whether there is one."""
        is_retained = self._retain_from_journals(job) or self._retain_from_output(job)
        if is_retained:
            self._retained.append(job)
        return is_retained

    def _retain_from_journals(self, job: Job) -> bool:
        remembered = self.earlier.journal.inputs.get(job.source.key)
        if remembered is None or remembered.facts is None:
            return False
        facts, root = remembered.facts, self._roots[remembered.run]
        return self._may_stay(facts, root) and job.take_complete(
            remembered.of, remembered.entries, facts, self.settings.layer
        )

    def _retain_from_output(self, job: Job) -> bool:
        features, key = self.earlier.features, job.source.key
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
        job.facts, job.stored_in, job.restated = stored.facts, features, False
        return True

    def keep(self, job: Job) -> None:
        """Give ``job`` what earlier runs have done for it."""
        remembered = self.earlier.journal.inputs.get(job.source.key)
        if remembered is not None:
            self._keep_from_journals(job, remembered)
        if not job.done:
            self._keep_from_output(job)
        if job.done and self.report.verbose:
            self.report.say(f"kept: {job.told(self.settings.layer)}")

    def _keep_from_journals(self, job: Job, remembered: Remembered) -> None:
        job.state, job.entries, job.was_tried = remembered.of, remembered.entries, True
        if remembered.facts is not None:
            facts = self._current(remembered.facts, self._roots[remembered.run], job.source)
            if facts is not None:
                job.done = job.kept = job.take_complete(
                    remembered.of, remembered.entries, facts, self.settings.layer
                )

    def _keep_from_output(self, job: Job) -> None:
        features, key = self.earlier.features, job.source.key
        if features is None or key not in features:
            return
        try:
            stored = features[key]
            facts = self._current(stored.facts, features.root, job.source)
            if facts is not None:
                stored.verify()
                # Not the array itself: that would keep as many datasets open as there are.
                job.facts, job.stored_in = facts, features
                job.restated = facts != stored.facts
                job.done = job.kept = True
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
