"""The work of earlier runs for an output: journals, and a finished output."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.features import Features
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.opening import open_features
from kapre_cli.osutil import Resource
from kapre_cli.resume.journals import JournalState
from kapre_cli.resume.work_dir import WorkDir
from kapre_cli.settings import OutputSettings
from kapre_cli.text import Argument, Text, counted, quoted

# Settings that decide which inputs fail and never change the features of the others. A reused
# input must agree with them, see ``extract.reuse``; the run as a whole need not.
_LENIENT = ("resample", "allow_truncated", "non_finite", "max_frames")

_USE_THOSE = (
    "; give those to resume it, or add ",
    Argument("overwrite", True),
    " to replace it",
)


class PreviousRun(Resource):
    """The work that this run may reuse, all of it made with this run's settings.

    ``journal`` is the reusable content of the journals, ``features`` the finished output, open, or
    ``None``. Raise UsageError if either has other settings or cannot be read, and may not be
    overwritten. The work folder is locked; ``root`` is the metadata of the new output.
    """

    def __init__(
        self,
        work_dir: WorkDir,
        replayed: JournalState,
        output: OutputSettings,
        root: OutputMetadata,
    ) -> None:
        self._root = root
        self._output = output
        self.journal = replayed
        self.features: Features | None = None
        if output.resume is None or self._is_other_work(work_dir.folder):
            self.journal = JournalState()
            work_dir.journals.remove_all()
        if output.resume is not None and output.path.exists():
            self.features = self._finished()

    def _is_other_work(self, folder: Path) -> bool:
        """Whether the journals have no work to reuse; raise UsageError if they must be kept."""
        if not self.journal.holds_work:
            return True
        try:
            stored = OutputMetadata.from_dict(self.journal.roots[-1])
            differing = differences(stored, self._root)
        except (StoredDataError, IndexError) as error:
            differing = [str(error)]
        if differing and not self._output.overwrite:
            raise UsageError(
                Text(
                    f"{quoted(folder)} holds the work of a run with other settings "
                    f"({'; '.join(differing)})",
                    *_USE_THOSE,
                )
            )
        return bool(differing)

    def _finished(self) -> Features | None:
        """Return the finished output; ``None`` if it is to be overwritten."""
        path = self._output.path
        try:
            features = open_features(path)
        except (StoredDataError, FileNotFoundError) as error:
            if self._output.overwrite:
                return None
            cause = f"the output {quoted(path)} cannot be resumed: {error}; "
            raise UsageError(Text(cause, Argument("overwrite", True), " replaces it")) from error
        differing = differences(features.root, self._root)
        if features.format != self._output.format:
            differing.append(f"format: {features.format} there, {self._output.format} now")
        if not differing:
            return features
        features.close()
        if self._output.overwrite:
            return None
        settings = "; ".join(differing)
        raise UsageError(
            Text(
                f"the output {quoted(path)} was made with other settings ({settings})", *_USE_THOSE
            )
        )

    def close(self) -> None:
        """Close the finished output."""
        if self.features is not None:
            self.features.close()


def check_no_kept_work(work_dir: WorkDir, replayed: JournalState, output: OutputSettings) -> None:
    """Raise UsageError if an interrupted run's work may be neither used nor removed."""
    if replayed.holds_work and output.resume is None and not output.overwrite:
        raise UsageError(
            Text(
                f"{quoted(work_dir.folder)} holds the work of a run that did not reach its end "
                f"({counted(replayed.n_done, 'input')} done); ",
                Argument("resume", True),
                " goes on with it, ",
                Argument("overwrite", True),
                " starts over",
            )
        )


def differences(stored: OutputMetadata, wanted: OutputMetadata) -> list[str]:
    """Return the settings in which two runs differ whose results could not share one output.

    Versions of libraries do not count, nor do settings that merely let more inputs pass.
    """
    before, now = settings_of(stored), settings_of(wanted)
    for name in _LENIENT:
        del before[name], now[name]
    # `verify_audio` asks for samples that were compared with their checksum.
    if stored.audio.verify_audio or not wanted.audio.verify_audio:
        del before["verify_audio"], now["verify_audio"]
    return [f"{name}: {one!r} there, {other!r} now" for name, one, other in differing(before, now)]


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each setting that both have and that differs, with both values."""
    for name in other:
        if name in one and one[name] != other[name]:
            yield name, one[name], other[name]


def settings_of(root: OutputMetadata) -> dict[str, Any]:
    """Return all settings of an output by name, its shard included."""
    return {
        **root.named,
        "dimension_scales": root.dimension_scales,
        "shard": None if root.shard is None else str(root.shard),
    }
