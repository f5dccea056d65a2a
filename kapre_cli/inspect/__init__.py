"""Inspect outputs: their contents, their correctness, and how two differ."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.features import Features
from kapre_cli.formats.opening import open_features
from kapre_cli.text import quoted


def opened(path: Path) -> Features:
    """Open an output; raise UsageError if nothing is there, StoredDataError if it is invalid."""
    try:
        return open_features(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is nothing at {quoted(path)}") from error


def seconds_of(features: Features) -> dict[str, float]:
    """Return the seconds of audio of each input; empty if the metadata of one is damaged."""
    try:
        return {key: metadata.seconds for key, metadata in features.metadata()}
    except StoredDataError:  # opening that input will say so
        return {}


def total_of(seconds: Mapping[str, float], keys: Iterable[str]) -> float | None:
    """Return the seconds of audio of all ``keys``; ``None`` if they are not known."""
    return sum(seconds[key] for key in keys) if seconds else None
