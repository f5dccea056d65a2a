"""Outputs that are to be merged: looked at, put in order, held against one another."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kapre_cli.errors import StoredDataError, UsageError, quoted
from kapre_cli.report import counted
from kapre_cli.settings import Shard
from kapre_cli.sources import nested
from kapre_cli.storage.earlier import differing, settings_of
from kapre_cli.storage.features import open_features
from kapre_cli.storage.metadata import RootFacts
from kapre_cli.storage.stored import Features
from kapre_cli.storage.work_dir import PARTIAL_SUFFIX

_NAMED = 3  # of many


@dataclass(frozen=True)
class Part:
    """One of the outputs, as it was when it was looked at.

    Not open: there may be more of them than files a process may keep open.

    Attributes:
        path: Where it is.
        root: The facts of the whole.
        keys: The keys of its arrays, in order.
    """

    path: Path
    root: RootFacts
    keys: tuple[str, ...]

    @classmethod
    def look(cls, path: Path) -> "Part":
        """Return what stands at ``path``; raise UsageError if nothing does."""
        with _opened(path) as features:
            return cls(path, features.root, tuple(features))

    @contextmanager
    def open(self) -> Iterator[Features]:
        """Open it again; raise StoredDataError if it is another one now."""
        with _opened(self.path) as features:
            try:
                if features.root != self.root or tuple(features) != self.keys:
                    raise StoredDataError(
                        "it was changed while it was read; merge again when no run writes to it"
                    )
                yield features
            except StoredDataError as error:
                raise StoredDataError(f"{quoted(self.path)} cannot be merged: {error}") from error


def _opened(path: Path) -> Features:
    if path.name.endswith(PARTIAL_SUFFIX) and path.is_dir():
        raise UsageError(
            f"{quoted(path)} is the work of a run that has not come to its end; wait for it, or "
            "go on with it by its own command with --resume"
        )
    try:
        return open_features(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no output {quoted(path)}") from error


def in_order(parts: Sequence[Part]) -> list[Part]:
    """Return parts as given, but shards in the order of their list, each there once."""
    ordered = list(parts)
    for shards in _lists(parts):
        by_index: dict[int, Part] = {}
        for place, shard in shards:
            part = parts[place]
            other = by_index.setdefault(shard.index, part)
            if other is not part:
                raise UsageError(
                    f"{quoted(other.path)} and {quoted(part.path)} are both shard {shard} "
                    "of one list of inputs; leave one of them out"
                )
        for (place, _), index in zip(shards, sorted(by_index), strict=True):
            ordered[place] = by_index[index]
    return ordered


def require_alike(parts: Sequence[Part]) -> None:
    """Raise UsageError for parts of different settings, with what differs."""
    first = parts[0]
    for part in parts[1:]:
        there, here = settings_of(part.root), settings_of(first.root)
        del there["shard"], here["shard"]
        found = [f"{name}: {one!r}, not {other!r}" for name, one, other in differing(there, here)]
        if found:
            raise UsageError(
                f"{quoted(part.path)} was made with other settings than {quoted(first.path)} "
                f"({'; '.join(found)}); one output has one layer and one set of settings"
            )


def require_complete(parts: Sequence[Part]) -> None:
    """Raise UsageError if a shard is missing."""
    for shards in _lists(parts):
        there = {shard.index for _, shard in shards}
        place, shard = shards[0]
        missing = [index for index in range(1, shard.of + 1) if index not in there]
        if not missing:
            continue
        named = ", ".join(f"{index}/{shard.of}" for index in missing[:_NAMED])
        more = ", ..." if len(missing) > _NAMED else ""
        raise UsageError(
            f"{counted(len(missing), 'shard')} of the list of inputs of "
            f"{quoted(parts[place].path)} {'is' if len(missing) == 1 else 'are'} missing: "
            f"{named}{more}{_stray(parts, shard, missing)}; --allow-missing does without"
        )


def require_distinct(parts: Sequence[Part]) -> None:
    """Raise UsageError if two parts have one key, or one key is a folder of another."""
    owners: dict[str, Part] = {}
    for part in parts:
        for key in part.keys:
            other = owners.setdefault(key, part)
            if other is not part:
                raise UsageError(
                    f"{quoted(other.path)} and {quoted(part.path)} both have an array "
                    f"{quoted(key)}; leave one of them out, or extract with --root so that "
                    "inputs have names of their own"
                )
    for folder, key in nested(owners):
        raise UsageError(
            f"{quoted(folder)} in {quoted(owners[folder].path)} is a folder of {quoted(key)} in "
            f"{quoted(owners[key].path)}; one output cannot have both"
        )


def _lists(parts: Sequence[Part]) -> Collection[list[tuple[int, Shard]]]:
    """Return the shards with their places, those of one list of inputs together."""
    lists: dict[tuple[int, str], list[tuple[int, Shard]]] = {}
    for place, part in enumerate(parts):
        shard = part.root.shard
        if shard is not None:
            lists.setdefault((shard.of, shard.inputs), []).append((place, shard))
    return lists.values()


def _stray(parts: Sequence[Part], shard: Shard, missing: Sequence[int]) -> str:
    """Say which of the shards that are missing is there, but of another list of inputs."""
    for part in parts:
        other = part.root.shard
        if other is not None and (other.of, other.index) == (shard.of, missing[0]):
            return (
                f" ({quoted(part.path)} is {other} of another list: inputs were added, removed or "
                "changed between the runs; --resume brings each shard up to date)"
            )
    return ""
