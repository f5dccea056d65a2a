"""An output held against what was meant to be in it, before anybody relies on it."""

from collections.abc import Sequence
from pathlib import Path

from kapre_cli.errors import OutputError, StoredDataError, quoted
from kapre_cli.report import SILENT, Progress
from kapre_cli.storage.features import open_features
from kapre_cli.storage.metadata import InputFacts, RootFacts
from kapre_cli.storage.read_back import ReadBack


def require_written(
    path: Path,
    root: RootFacts,
    written: Sequence[tuple[str, InputFacts]],
    progress: Progress = SILENT,
    read_back: ReadBack | None = None,
) -> None:
    """Read an output back: every fact, and every array by its checksum.

    Libraries and disks have been seen to lose writes without an error.

    Args:
        path: The output.
        root: The facts of the whole.
        written: The key and the facts of every array, in order.
        progress: Told how far the work has come.
        read_back: Has read arrays while others were written; they are not read again.

    Raises:
        OutputError: If anything is not as it was written.
    """
    try:
        with open_features(path) as features:
            if features.root != root or list(features) != [key for key, _ in written]:
                raise StoredDataError("its facts are not those that were written")
            progress.reading_back(len(written), sum(facts.seconds for _, facts in written))
            compared = None
            if read_back is not None:
                read_back.finish()
                compared = read_back.compared
            features.require(written, progress, compared)
    except (StoredDataError, OSError) as error:
        raise OutputError(f"{quoted(path)} was written and cannot be read back: {error}") from error
