"""Compare two outputs key by key, and describe how they differ."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from kapre_cli.errors import StoredDataError
from kapre_cli.events import Observer, PhaseInputEnded, PhaseStarted, ignore
from kapre_cli.exit_codes import ExitCode
from kapre_cli.inspect.difference import (
    EXACT,
    Apart,
    Difference,
    Tolerance,
    apart_words,
    difference,
    not_alike,
)
from kapre_cli.inspect.opening import opened, seconds_of, total_of
from kapre_cli.inspect.texts import reason
from kapre_cli.text import counted, printable, quoted

_N_WORST = 5  # listed inputs of those that differ by more than the tolerance

Both = tuple[Any, Any]


class Largest(NamedTuple):
    """The largest difference between the two arrays of an input, as a number and in words."""

    by: float
    words: str


_NO_DIFFERENCE = Largest(0.0, "")
_by = attrgetter("by")


@dataclass
class Comparison:
    """How two outputs differ.

    Attributes:
        settings: Arguments and settings that differ, with both values.
        versions: Versions of programs and libraries that differ, with both values.
        n_same: Number of inputs with the same values in both.
        n_within: Number of inputs with differences within the tolerance.
        n_beyond: Number of inputs with larger differences.
        unlike: Keys of arrays that cannot be compared, and why.
        worst: The largest differences beyond the tolerance, the largest first.
        absolute: The input with the values that differ most.
        relative: Likewise, as a fraction of the other's value.
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
    worst: list[Largest] = field(default_factory=list)
    absolute: Largest = _NO_DIFFERENCE
    relative: Largest = _NO_DIFFERENCE

    @property
    def exit_code(self) -> ExitCode:
        """0 only if both have the same inputs and, within the tolerance, the same values."""
        differ = self.n_beyond or self.unlike or self.only_in_one or self.only_in_other
        return ExitCode.FAILED if differ else ExitCode.OK

    def add(self, key: str, found: Difference, words: Callable[[Apart], str]) -> None:
        """Add an input that both have; ``words`` says how two values differ."""
        if found.absolute is None or found.relative is None:
            self.n_same += 1
            return
        absolute, relative = words(found.absolute), words(found.relative)
        name, by = quoted(key), found.absolute.by
        self.absolute = max(self.absolute, Largest(by, f"{name}: {absolute}"), key=_by)
        self.relative = max(
            self.relative, Largest(found.relative.by, f"{name}: {relative}"), key=_by
        )
        if not found.n_beyond:
            self.n_within += 1
            return
        self.n_beyond += 1
        line = f"{name}: {found.n_beyond:,} of {found.n_values:,} values, by up to {absolute}"
        self.worst = heapq.nlargest(_N_WORST, [*self.worst, Largest(by, line)], key=_by)


def compare(
    one: Path, other: Path, tolerance: Tolerance = EXACT, emit: Observer = ignore
) -> Comparison:
    """Compare two outputs, of any formats.

    Raises:
        UsageError: If nothing is at one of the paths.
        StoredDataError: If one of them is not a valid output of this program.
    """
    found = Comparison(one, other, tolerance)
    with opened(one) as first, opened(other) as second:
        found.settings = _differing(first.root.named, second.root.named)
        found.versions = _differing(first.versions, second.versions)
        found.only_in_one = [key for key in first if key not in second]
        found.only_in_other = [key for key in second if key not in first]
        common = [key for key in first if key in second]
        seconds = seconds_of(first)
        emit(PhaseStarted("checking", len(common), total_of(seconds, common)))
        for key in common:
            try:
                here, there = first[key], second[key]
                if here.has_bytes_of(there):
                    found.n_same += 1
                elif (why := not_alike(here, there)) is None:
                    apart = difference(here, there, first.layer, tolerance, here.moving(emit))
                    found.add(key, apart, partial(apart_words, features=first, array=here))
                else:
                    found.unlike[key] = why
            except StoredDataError as error:
                found.unlike[key] = reason(key, error)
            emit(PhaseInputEnded(seconds.get(key, 0.0)))
    return found


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Both]:
    """Return the pairs of values that differ, by name; a missing value is ``None``."""
    names = dict.fromkeys((*one, *other))
    both = {name: (one.get(name), other.get(name)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield how two outputs differ, line by line; the last one has the counts."""
    for heading, pairs in (
        ("other settings:", found.settings),
        ("other versions, no difference by themselves:", found.versions),
    ):
        if pairs:
            yield heading
        for name, (one, other) in pairs.items():
            yield f"  {printable(name)}: {printable(str(one))} against {printable(str(other))}"
    for path, keys in ((found.one, found.only_in_one), (found.other, found.only_in_other)):
        yield from _first(f"only in {quoted(path)}", map(quoted, keys), len(keys))
    unlike = (f"{quoted(key)}: {why}" for key, why in found.unlike.items())
    yield from _first("not comparable", unlike, len(found.unlike))
    allowed = " + ".join(
        f"{name} {value:g}"
        for name, value in (("atol", found.tolerance.atol), ("rtol", found.tolerance.rtol))
        if value
    )
    beyond = f"beyond {allowed}" if allowed else "different"
    yield from _first(beyond, (one.words for one in found.worst), found.n_beyond)
    if found.absolute.words:
        yield f"largest difference: {found.absolute.words}"
        yield f"largest relative difference: {found.relative.words}"
    n_in_both = found.n_same + found.n_within + found.n_beyond + len(found.unlike)
    n_alone = len(found.only_in_one) + len(found.only_in_other)
    counts = [f"{found.n_same:,} the same"]
    counts += [f"{found.n_within:,} within {allowed}"] if found.n_within else []
    counts += [f"{found.n_beyond:,} {beyond}"] if found.n_beyond else []
    counts += [f"{len(found.unlike):,} not comparable"] if found.unlike else []
    alone = f"; {n_alone:,} in one alone" if n_alone else ""
    yield f"{counted(n_in_both, 'input')} in both: {', '.join(counts)}{alone}"


def _first(heading: str, lines: Iterable[str], number: int) -> Iterator[str]:
    """Yield a heading, the first few lines and how many of ``number`` are left; nothing for 0."""
    if number:
        yield f"{heading}: {counted(number, 'input')}"
    for line in islice(lines, _N_WORST):
        yield f"  {line}"
    if number > _N_WORST:
        yield f"  and {number - _N_WORST:,} more"
