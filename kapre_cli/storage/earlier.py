"""What earlier runs have left for an output: a journal, and an output that is finished."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kapre_cli.closing import Closing
from kapre_cli.errors import StoredDataError, UsageError, quoted
from kapre_cli.report import counted
from kapre_cli.settings import OutputSettings
from kapre_cli.storage.features import open_features
from kapre_cli.storage.journals import Replayed
from kapre_cli.storage.metadata import RootFacts
from kapre_cli.storage.stored import Features
from kapre_cli.storage.work_dir import WorkDir

# Settings that decide which inputs fail and never what becomes of the others. What is kept of
# an input must agree with them, see ``extraction.reuse``; the run as a whole need not.
_LENIENT = ("resample", "allow_truncated", "non_finite", "max_frames")


class Earlier(Closing):
    """What this run may go on from; all of it made with this run's settings.

    Args:
        work_dir: The run's work folder, locked.
        replayed: What its journals hold.
        output: Where the output is or will be, and whether to resume or to overwrite it.
        root: The facts of the output that is to be made.

    Attributes:
        journal: What the journals hold.
        features: The finished output, open; ``None`` if there is none to go on from.

    Raises:
        UsageError: If work or an output stands there that was made with other settings, or that
            was not asked to be kept or replaced.
    """

    def __init__(
        self, work_dir: WorkDir, replayed: Replayed, output: OutputSettings, root: RootFacts
    ) -> None:
        self._root = root
        self._output = output
        self.journal = replayed
        self.features: Features | None = None
        if output.resume is None or self._is_other_work(work_dir.folder):
            self.journal = Replayed()
            work_dir.journals.remove_all()
        if output.resume is not None and output.path.exists():
            self.features = self._finished()

    def _is_other_work(self, folder: Path) -> bool:
        """Whether the journal's settings are others, and it may be given up for that."""
        if not self.journal.holds_work:
            return True
        try:
            stored = RootFacts.from_dict(self.journal.roots[-1])
            differing = differences(stored, self._root)
        except (StoredDataError, IndexError) as error:
            differing = [str(error)]
        if differing and not self._output.overwrite:
            raise UsageError(
                f"{quoted(folder)} holds the work of a run with other settings "
                f"({'; '.join(differing)}); give those to go on with it, "
                "or add --overwrite to start over"
            )
        return bool(differing)

    def _finished(self) -> Features | None:
        """Return the finished output, unless it is to be replaced whatever it is."""
        path = self._output.path
        try:
            features = open_features(path)
        except (StoredDataError, FileNotFoundError) as error:
            if self._output.overwrite:
                return None
            raise UsageError(
                f"the output {quoted(path)} cannot be resumed: {error}; --overwrite replaces it"
            ) from error
        differing = differences(features.root, self._root)
        if features.format != self._output.format:
            differing.append(f"format: {features.format} there, {self._output.format} now")
        if not differing:
            return features
        features.close()
        if self._output.overwrite:
            return None
        raise UsageError(
            f"the output {quoted(path)} was made with other settings ({'; '.join(differing)}); "
            "give those to resume it, or add --overwrite to replace it"
        )

    def close(self) -> None:
        """Let go of the finished output."""
        if self.features is not None:
            self.features.close()


def require_no_work(work_dir: WorkDir, replayed: Replayed, output: OutputSettings) -> None:
    """Raise UsageError if work of an interrupted run may be neither used nor removed."""
    if replayed.holds_work and output.resume is None and not output.overwrite:
        raise UsageError(
            f"{quoted(work_dir.folder)} holds the work of a run that did not reach its end "
            f"({counted(replayed.n_done, 'input')} done); --resume goes on with it, "
            "--overwrite starts over"
        )


def differences(stored: RootFacts, wanted: RootFacts) -> list[str]:
    """Return in which settings two runs differ whose results could not stand in one output.

    Versions of libraries do not count, nor do settings that merely let more inputs pass.
    """
    there, now = settings_of(stored), settings_of(wanted)
    for name in _LENIENT:
        del there[name], now[name]
    # Samples that were never held against their checksum are not what was asked for.
    if stored.audio.verify_audio or not wanted.audio.verify_audio:
        del there["verify_audio"], now["verify_audio"]
    return [f"{name}: {one!r} there, {other!r} now" for name, one, other in differing(there, now)]


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each of the settings that differ, with both values; of two layers, what both have."""
    for name in other:
        if name in one and one[name] != other[name]:
            yield name, one[name], other[name]


def settings_of(root: RootFacts) -> dict[str, Any]:
    """Return all that an output was made with, by name, its place among shards included."""
    return {
        **root.named,
        "dimension_scales": root.dimension_scales,
        "shard": None if root.shard is None else str(root.shard),
    }
