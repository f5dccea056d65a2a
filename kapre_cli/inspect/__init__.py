"""Inspect outputs: their contents, their correctness, and how two differ."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kapre_cli.errors import StoredArrayError, StoredDataError, UsageError
from kapre_cli.formats.features import Features
from kapre_cli.formats.opening import open_features
from kapre_cli.text import quoted


def opened(path: Path) -> Features:
    """Open an output; raise UsageError if missing, StoredDataError if invalid."""
    try:
        return open_features(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is nothing at {quoted(path)}") from error


def seconds_of(features: Features) -> dict[str, float]:
    """Return the seconds of audio of each input; empty if any metadata is damaged."""
    try:
        return {key: metadata.seconds for key, metadata in features.metadata()}
    except StoredDataError:  # opening that input raises it again
        return {}


def total_of(seconds: Mapping[str, float], keys: Iterable[str]) -> float | None:
    """Return the seconds of audio of all ``keys``; ``None`` if they are not known."""
    return sum(seconds[key] for key in keys) if seconds else None


def reason_of(error: StoredDataError, key: str) -> str:
    """Return an error's message on one line, without ``key`` if it is of that array."""
    if isinstance(error, StoredArrayError) and error.key == key:
        return " ".join(error.reason.split())
    return " ".join(str(error).split())
