"""Decide which inputs an earlier run has computed, in full or in part."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError
from kapre_cli.extract.jobs import Job, tells_state
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import Source, is_hidden
from kapre_cli.report import Report
from kapre_cli.resume.previous_run import PreviousRun
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.checks import within_int64
from kapre_cli.text import counted, quoted

# Given an input's metadata and settings from an earlier run, and the input: the metadata that this
# run would write, ``None`` if the array cannot be reused.
_Reusable = Callable[[InputMetadata, OutputMetadata, Source], InputMetadata | None]

_RECOMPUTED, _REMOVED = "is recomputed", "will be removed"  # damaged arrays


@dataclass
class ReusePolicy:
    """Decides which results of earlier runs each input keeps.

    The decision depends on the input's path, size and modification time, or on its bytes (always so
    if they came through a pipe or the time does not fit into 64 bits), and on the integrity of the
    stored data; never on a name alone.

    Attributes:
        earlier: The results of earlier runs with this run's settings.
        versions: Versions of the programs and libraries in use now.
    """

    earlier: PreviousRun
    settings: ExtractionSettings
    versions: Mapping[str, str]
    report: Report
    _retained: list[Job] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._roots = [OutputMetadata.from_dict(root) for root in self.earlier.journal.roots]

    def tell_versions(self) -> None:
        """Print a note if the finished output was computed with other versions."""
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
        """Return the keys of the finished output that belong to no input."""
        return [key for key in self.earlier.features or () if key not in known]

    def contents(self, jobs: Sequence[Job], n_rejected: int) -> list[Job]:
        """Return the inputs whose arrays the output will have, in order, once all have been tried.

        An array of an earlier run stays as long as its input fails, for any reason: an older
        state of a recording is better than none. And while a path cannot be opened, nothing tells
        which inputs are gone for good: no array leaves the output.

        :meth:`retain` must have been called for failed inputs. ``n_rejected`` is the number of
        paths that gave no input, such as unreadable folders.
        """
        retained = {id(job) for job in self._retained}
        behind: defaultdict[str, list[Job]] = defaultdict(list)  # by the key that they followed
        known = {job.source.key for job in jobs}
        others = self.others(known)
        if others and (n_rejected or any(j.failed and not _can_be_opened(j.source) for j in jobs)):
            last = ""
            for key in self.earlier.features or ():
                job = Job(Source(key, key), failed=True)
                if key in known:
                    last = key
                elif self._take_stored(job, self._if_allowed, _REMOVED):
                    self._retained.append(job)
                    behind[last].append(job)
        elif others:
            self._tell_removed(others)
        arrays = behind[""]
        for job in jobs:
            if not job.failed or id(job) in retained:
                arrays.append(job)
            arrays += behind.get(job.source.key, [])
        if self._retained:
            keys = [job.source.key for job in self._retained]
            self.report.say(
                f"note: {counted(len(keys), 'array')} of an earlier run "
                f"{'stays' if len(keys) == 1 else 'stay'}, since inputs cannot be read now: "
                f"{_named(keys)}"
            )
        return arrays

    def _tell_removed(self, keys: Sequence[str]) -> None:
        hidden = [key for key in keys if any(map(is_hidden, key.split("/")))]
        skipped = f"; {len(hidden):,} of them hidden: --hidden keeps those" if hidden else ""
        path = quoted(self.settings.output.path)
        self.report.say(
            f"note: {counted(len(keys), 'array')} of {path} will be removed, since no input has "
            f"its key: {_named(keys)}{skipped}"
        )

    def keep(self, job: Job) -> None:
        """Give ``job`` the results of earlier runs."""
        remembered = self.earlier.journal.inputs.get(job.source.key)
        if remembered is not None:
            job.state, job.entries, job.was_tried = remembered.of, remembered.entries, True
        job.done = job.kept = self._take_remembered(job, self._if_current) or self._take_stored(
            job, self._if_current, _RECOMPUTED
        )
        if job.done and self.report.verbose:
            self.report.say(f"kept: {job.told(self.settings.layer)}")

    def retain(self, job: Job) -> bool:
        """Give a failed input the array of an earlier run; return whether there is one."""
        is_retained = self._take_remembered(job, self._if_allowed) or self._take_stored(
            job, self._if_allowed, _REMOVED
        )
        if is_retained:
            self._retained.append(job)
        return is_retained

    def _take_remembered(self, job: Job, reusable: _Reusable) -> bool:
        """Take an input's blocks in journals, if they cover all of it and can be reused."""
        remembered = self.earlier.journal.inputs.get(job.source.key)
        if remembered is None or remembered.metadata is None:
            return False
        metadata = reusable(remembered.metadata, self._roots[remembered.run], job.source)
        return metadata is not None and job.take_complete(
            remembered.of, remembered.entries, metadata, self.settings.layer
        )

    def _take_stored(self, job: Job, reusable: _Reusable, damaged: str) -> bool:
        """Take an input's array in the finished output, if it can be reused."""
        features, key = self.earlier.features, job.source.key
        if features is None or key not in features:
            return False
        try:
            stored = features[key]
            metadata = reusable(stored.metadata, features.root, job.source)
            if metadata is None:
                return False
            stored.verify()
        except StoredDataError as error:
            self.report.say(f"note: {quoted(key)} is damaged in the output and {damaged}: {error}")
            return False
        # Not the array itself: that would keep as many datasets open as there are.
        job.metadata, job.stored_in, job.restated = metadata, features, metadata != stored.metadata
        return True

    def _if_current(
        self, metadata: InputMetadata, root: OutputMetadata, source: Source
    ) -> InputMetadata | None:
        """Return the metadata as this run would write it, ``None`` if the input has changed."""
        if self._if_allowed(metadata, root, source) is None:
            return None
        try:
            status = os.stat(source.file)
            time = 0 if source.is_stream else within_int64(status.st_mtime_ns)
            now = metadata._replace(
                source=source.path, source_size=status.st_size, source_mtime_ns=time
            )
            if self.settings.output.resume == "content" or not tells_state(source, time):
                return now if sha256_of(source.file) == metadata.sha256 else None
        except (OSError, AudioReadError):  # reading it will tell why
            return None
        return now if now == metadata else None

    def _if_allowed(
        self, metadata: InputMetadata, root: OutputMetadata, _source: Source
    ) -> InputMetadata | None:
        """Return the metadata if this run's settings allow an array of an earlier run."""
        audio = self.settings.audio
        may_stay = not (
            (metadata.n_missing and not audio.allow_truncated)
            or (metadata.n_non_finite and audio.non_finite != root.audio.non_finite)
            or (metadata.source_sr != metadata.sr and not audio.resample)
        )
        return metadata if may_stay else None


def _can_be_opened(source: Source) -> bool:
    try:
        os.close(os.open(source.file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    return True


def _named(keys: Sequence[str]) -> str:
    return ", ".join(map(quoted, keys[:3])) + (", ..." if len(keys) > 3 else "")
