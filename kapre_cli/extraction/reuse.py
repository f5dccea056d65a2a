"""Decide which results of earlier runs a run reuses, instead of computing them.

See :func:`kapre_cli.resume.journal.input_state` for single blocks of an input.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from kapre_cli.audio import sha256_of
from kapre_cli.errors import AudioReadError, StoredDataError
from kapre_cli.events import ArrayDamaged, ArraysRemoved, ArraysRetained, OtherVersions
from kapre_cli.extraction.tasks import Job, input_blocks
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.inputs import Source, is_hidden
from kapre_cli.osutil import open_to_read
from kapre_cli.resume.journal import is_identified_by_mtime
from kapre_cli.resume.previous_run import PreviousRun
from kapre_cli.run_result import RunResult
from kapre_cli.settings import ExtractionSettings
from kapre_cli.settings.checks import within_int64

# Given an input's metadata and settings from an earlier run, and the input: the metadata that this
# run would write, ``None`` if the array cannot be reused.
_Reusable = Callable[[InputMetadata, OutputMetadata, Source], InputMetadata | None]


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
    result: RunResult
    _retained: list[Job] = field(default_factory=list, init=False)
    _hashed: tuple[object, str] | None = field(default=None, init=False)  # the file hashed last

    def __post_init__(self) -> None:
        self._roots = [OutputMetadata.from_dict(root) for root in self.earlier.journal.roots]

    def compare_versions(self) -> None:
        """Emit an event if the finished output was computed with other versions."""
        features = self.earlier.features
        if features is None:
            return
        others = [
            f"{name} {version}"
            for name, version in features.versions.items()
            if self.versions.get(name) != version
        ]
        if others:
            self.result.emit(OtherVersions(features.path, others))

    def unclaimed(self, known: Collection[str]) -> list[str]:
        """Return the keys of the finished output that belong to no input."""
        return [key for key in self.earlier.features or () if key not in known]

    def output_jobs(self, jobs: Sequence[Job], n_rejected: int) -> list[Job]:
        """Return the inputs of the output, in order, once all have been tried.

        An array of an earlier run stays as long as its input fails, for any reason: an older
        state of a recording is better than none. And while a path cannot be opened, it is unknown
        which inputs are missing for good: no array leaves the output.

        :meth:`retain` must have been called for failed inputs. ``n_rejected`` is the number of
        paths that gave no input, such as unreadable folders.
        """
        retained = {id(job) for job in self._retained}
        followers: defaultdict[str, list[Job]] = defaultdict(list)  # by the key that they followed
        known = {job.source.key for job in jobs}
        unclaimed = self.unclaimed(known)
        if unclaimed and (
            n_rejected or any(j.has_failed and not _can_be_opened(j.source) for j in jobs)
        ):
            last = ""
            for key in self.earlier.features or ():
                job = Job(Source(key, key), has_failed=True)
                if key in known:
                    last = key
                elif self._reuse_stored(job, self._allowed_metadata):
                    self._retained.append(job)
                    followers[last].append(job)
        elif unclaimed:
            hidden = [key for key in unclaimed if any(map(is_hidden, key.split("/")))]
            path = self.settings.output.path
            self.result.emit(ArraysRemoved(path, unclaimed, len(hidden)))
        arrays = followers[""]
        for job in jobs:
            if not job.has_failed or id(job) in retained:
                arrays.append(job)
            arrays += followers.get(job.source.key, [])
        if self._retained:
            self.result.emit(ArraysRetained([job.source.key for job in self._retained]))
        return arrays

    def reuse(self, job: Job) -> None:
        """Give ``job`` the results of earlier runs."""
        entry = self.earlier.journal.inputs.get(job.source.key)
        if entry is not None:
            job.state, job.entries, job.was_tried = entry.state, entry.entries, True
        job.is_done = job.is_reused = self._reuse_journaled(
            job, self._current_metadata
        ) or self._reuse_stored(job, self._current_metadata, is_recomputed=True)

    def retain(self, job: Job) -> bool:
        """Give a failed input the array of an earlier run; return whether there is one."""
        is_retained = self._reuse_journaled(job, self._allowed_metadata) or self._reuse_stored(
            job, self._allowed_metadata
        )
        if is_retained:
            self._retained.append(job)
        return is_retained

    def _reuse_journaled(self, job: Job, reusable: _Reusable) -> bool:
        """Reuse an input's blocks in journals, if they cover all of it and can be reused."""
        entry = self.earlier.journal.inputs.get(job.source.key)
        if entry is None or entry.metadata is None:
            return False
        metadata = reusable(entry.metadata, self._roots[entry.run], job.source)
        if metadata is None:
            return False
        blocks, entries = input_blocks(metadata, self.settings.layer), entry.entries
        if any(first not in entries or entries[first].shape[1] != n for first, n in blocks):
            return False
        job.state, job.metadata = entry.state, metadata
        job.entries = {first: entries[first] for first, _ in blocks}
        return True

    def _reuse_stored(self, job: Job, reusable: _Reusable, *, is_recomputed: bool = False) -> bool:
        """Reuse an input's array in the finished output, if it can be reused.

        ``is_recomputed`` is whether a damaged one is recomputed; else it is removed.
        """
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
            self.result.emit(ArrayDamaged(key, is_recomputed, error))
            return False
        # Not the array itself: that would keep as many datasets open as there are.
        job.metadata, job.stored_in = metadata, features
        job.has_new_metadata = metadata != stored.metadata
        return True

    def _current_metadata(
        self, metadata: InputMetadata, root: OutputMetadata, source: Source
    ) -> InputMetadata | None:
        """Return the metadata of this run; ``None`` if the input has changed."""
        if self._allowed_metadata(metadata, root, source) is None:
            return None
        place = (None, None, None) if source.segment is None else source.segment.place
        if (metadata.start, metadata.end, metadata.channel) != place:
            return None  # a recording that has the key of a segment now, or the other way round
        try:
            status = os.stat(source.file)
            time = 0 if source.is_stream else within_int64(status.st_mtime_ns)
            now = metadata._replace(
                source=source.path,
                source_size=status.st_size,
                source_mtime_ns=time,
                label="" if source.segment is None else source.segment.label,
            )
            if self.settings.output.resume == "content" or not is_identified_by_mtime(source, time):
                return now if self._sha256(source, status) == metadata.sha256 else None
        except (OSError, AudioReadError):  # reading it will fail with the reason
            return None
        return now if now == metadata._replace(label=now.label) else None

    def _sha256(self, source: Source, status: os.stat_result) -> str:
        """Return the SHA-256 of a file; all segments of a recording ask for it."""
        state = source.file, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = state, sha256_of(source.file)
        return self._hashed[1]

    def _allowed_metadata(
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
        os.close(open_to_read(source.file))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False
    return True
