"""How two outputs differ, in words, for a person."""

from collections.abc import Iterable, Iterator, Mapping

from kapre_cli.errors import printable, quoted
from kapre_cli.inspection.compare import N_WORST, Both, Comparison, Found
from kapre_cli.inspection.difference import EXACT, Tolerance
from kapre_cli.report import counted


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield how two outputs differ, line by line; the last one has the counts."""
    if found.settings:
        yield "other settings:"
        yield from _both(found.settings)
    if found.versions:
        yield "other versions, no difference by themselves:"
        yield from _both(found.versions)
    for path, keys in ((found.one, found.only_in_one), (found.other, found.only_in_other)):
        if keys:
            yield f"only in {quoted(path)}: {counted(len(keys), 'input')}"
            yield from _first(map(quoted, keys), len(keys))
    if found.unlike:
        yield f"not comparable: {counted(len(found.unlike), 'input')}"
        told = (f"{quoted(key)}: {why}" for key, why in found.unlike.items())
        yield from _first(told, len(found.unlike))
    if found.n_beyond:
        yield f"{_beyond(found.tolerance)}: {counted(found.n_beyond, 'input')}"
        yield from _first(map(_in_words, found.worst), found.n_beyond)
    if (most := found.absolute) is not None:
        yield f"largest difference: {quoted(most.key)}: {most.absolute}"
    if (most := found.relative) is not None:
        yield f"largest relative difference: {quoted(most.key)}: {most.relative}"
    yield _closing(found)


def _in_words(found: Found) -> str:
    n_beyond, n_values = found.difference.n_beyond, found.difference.n_values
    return f"{quoted(found.key)}: {n_beyond:,} of {n_values:,} values, by up to {found.absolute}"


def _both(pairs: Mapping[str, Both]) -> Iterator[str]:
    for name, (one, other) in pairs.items():
        yield f"  {printable(name)}: {printable(str(one))} against {printable(str(other))}"


def _first(lines: Iterable[str], number: int) -> Iterator[str]:
    """Yield the first of so many lines, and how many more there are."""
    for line, _ in zip(lines, range(N_WORST), strict=False):
        yield f"  {line}"
    if number > N_WORST:
        yield f"  and {number - N_WORST:,} more"


def _beyond(tolerance: Tolerance) -> str:
    """Say what values are that differ by more than is allowed."""
    return "different" if tolerance == EXACT else f"beyond {_allowed(tolerance)}"


def _allowed(tolerance: Tolerance) -> str:
    allowed = {"atol": tolerance.atol, "rtol": tolerance.rtol}
    return " + ".join(f"{name} {value:g}" for name, value in allowed.items() if value)


def _closing(found: Comparison) -> str:
    counts = [f"{found.n_same:,} the same"]
    if found.n_within:
        counts.append(f"{found.n_within:,} within {_allowed(found.tolerance)}")
    if found.n_beyond:
        counts.append(f"{found.n_beyond:,} {_beyond(found.tolerance)}")
    if found.unlike:
        counts.append(f"{len(found.unlike):,} not comparable")
    n_alone = len(found.only_in_one) + len(found.only_in_other)
    alone = f"; {n_alone:,} in one alone" if n_alone else ""
    return f"{counted(found.n_in_both, 'input')} in both: {', '.join(counts)}{alone}"
