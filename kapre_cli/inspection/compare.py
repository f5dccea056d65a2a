"""Two outputs held against one another, key by key."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kapre_cli.errors import StoredDataError
from kapre_cli.inspection.difference import (
    EXACT,
    Apart,
    Difference,
    Tolerance,
    apart_words,
    difference,
    not_alike,
)
from kapre_cli.inspection.opening import opened, seconds_of, total_of
from kapre_cli.inspection.telling import reason
from kapre_cli.report import SILENT, ExitCode, Progress

N_WORST = 5  # inputs that are kept in mind, of those that differ by more than is allowed

Both = tuple[Any, Any]


class Found(NamedTuple):
    """How the two arrays of an input differ.

    Attributes:
        key: The input.
        difference: By how much.
        absolute: The values that differ most, in words.
        relative: Likewise, as a part of the other's value.
    """

    key: str
    difference: Difference
    absolute: str
    relative: str


@dataclass
class Comparison:
    """How two outputs differ.

    Attributes:
        one: The one.
        other: The other.
        tolerance: How far values may be apart.
        settings: Arguments and settings that differ, with both values.
        versions: Likewise, of programs and libraries.
        only_in_one: Inputs that the other lacks.
        only_in_other: Inputs that the one lacks.
        n_same: How many inputs have the same values in both.
        n_within: How many have values that differ by no more than is allowed.
        n_beyond: How many have values that differ by more.
        unlike: Inputs whose values cannot be held against one another, and why.
        worst: Some that differ by more than is allowed, the worst first.
        absolute: The input with the values that differ most.
        relative: Likewise, as a part of the other's value.
    """

    one: Path
    other: Path
    tolerance: Tolerance
    settings: dict[str, Both] = field(default_factory=dict)
    versions: dict[str, Both] = field(default_factory=dict)
    only_in_one: list[str] = field(default_factory=list)
    only_in_other: list[str] = field(default_factory=list)
    n_same: int = 0
    n_within: int = 0
    n_beyond: int = 0
    unlike: dict[str, str] = field(default_factory=dict)
    worst: list[Found] = field(default_factory=list)
    absolute: Found | None = None
    relative: Found | None = None

    @property
    def n_in_both(self) -> int:
        """How many inputs both have."""
        return self.n_same + self.n_within + self.n_beyond + len(self.unlike)

    @property
    def exit_code(self) -> ExitCode:
        """0 only if both have the same inputs and values, as far as is allowed."""
        differ = self.n_beyond or self.unlike or self.only_in_one or self.only_in_other
        return ExitCode.FAILED if differ else ExitCode.OK

    def add(self, found: Found) -> None:
        """Take an input into account that both have."""
        absolute, relative = found.difference.absolute, found.difference.relative
        if absolute is None or relative is None:
            self.n_same += 1
            return
        if self.absolute is None or absolute.by > _by(self.absolute.difference.absolute):
            self.absolute = found
        if self.relative is None or relative.by > _by(self.relative.difference.relative):
            self.relative = found
        if not found.difference.n_beyond:
            self.n_within += 1
            return
        self.n_beyond += 1
        self.worst.append(found)
        self.worst = heapq.nlargest(
            N_WORST, self.worst, key=lambda one: _by(one.difference.absolute)
        )


def compare(
    one: Path, other: Path, tolerance: Tolerance = EXACT, progress: Progress = SILENT
) -> Comparison:
    """Hold two outputs against one another, of whatever formats.

    Args:
        one: An output.
        other: What it is held against.
        tolerance: How far values may be apart.
        progress: Told how far the work has come.

    Raises:
        UsageError: If there is nothing at one of the paths.
        StoredDataError: If one of them is not a sound output of this program.
    """
    found = Comparison(one, other, tolerance)
    with opened(one) as first, opened(other) as second:
        found.settings = _differing(first.root.named, second.root.named)
        found.versions = _differing(first.versions, second.versions)
        found.only_in_one = [key for key in first if key not in second]
        found.only_in_other = [key for key in second if key not in first]
        common = [key for key in first if key in second]
        seconds = seconds_of(first)
        progress.checking(len(common), total_of(seconds, common))
        for key in common:
            try:
                here, there = first[key], second[key]
                if here.has_bytes_of(there):
                    found.n_same += 1
                elif (why := not_alike(here, there)) is None:
                    apart = difference(here, there, first.layer, tolerance, here.moving(progress))
                    absolute, relative = (
                        apart_words(one, first, here) if one else ""
                        for one in (apart.absolute, apart.relative)
                    )
                    found.add(Found(key, apart, absolute, relative))
                else:
                    found.unlike[key] = why
            except StoredDataError as error:
                found.unlike[key] = reason(key, error)
            progress.checked(seconds.get(key, 0.0))
    return found


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Both]:
    """Return what differs, by name; what only one has is none in the other."""
    names = dict.fromkeys((*one, *other))
    both = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _by(apart: Apart | None) -> float:
    return apart.by if apart is not None else 0.0
