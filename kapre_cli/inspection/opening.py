"""Opening what a user names as an output."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kapre_cli.errors import StoredDataError, UsageError, quoted
from kapre_cli.storage.features import open_features
from kapre_cli.storage.stored import Features


def opened(path: Path) -> Features:
    """Return an output, open.

    Raises:
        UsageError: If there is nothing at ``path``.
        StoredDataError: If it is not a sound output of this program.
    """
    try:
        return open_features(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is nothing at {quoted(path)}") from error


def seconds_of(features: Features) -> dict[str, float]:
    """Return the seconds of audio behind each input, none if what is said of one is not sound."""
    try:
        return {key: facts.seconds for key, facts in features.facts()}
    except StoredDataError:  # opening that input will say so
        return {}


def total_of(seconds: Mapping[str, float], keys: Iterable[str]) -> float | None:
    """Return the seconds of audio behind inputs together, ``None`` if they are not known."""
    return sum(seconds[key] for key in keys) if seconds else None
