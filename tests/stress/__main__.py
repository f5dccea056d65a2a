"""The stress command: ``python -m tests.stress [SCENARIO ...]``; all of it takes about an hour.

Scenarios: attacks (on files that are not the program's; it ends with a count of those that came
to harm), kills (random moments), changes (a kill at every change of a file), full (no space
from the k-th write on), errors (an error at the k-th change), lost (a write that is lost without
an error, at each write), disks (really full ones),
mutations (damaged audio through the reader), cost (the time that all this takes, against a run
with nothing made safe; on a machine that does nothing else).
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.stress import attacks, cost, mutations
from tests.stress.runs import Server, make_audio, server
from tests.stress.scenarios import (
    ERROR_ONCE,
    NO_SPACE_FROM,
    OUTPUTS,
    Case,
    cases,
    errors_at_changes,
    full_disks,
    kill_at_changes,
    lost_writes,
    random_kills,
)


def main() -> int:
    """Run what is asked for, and print the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    names = ("attacks", "kills", "changes", "full", "errors", "lost", "disks", "mutations", "cost")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(names))
    parser.add_argument("--kills", type=int, default=1000, help="random kills")
    parser.add_argument("--every", type=int, default=1, help="every N-th change only")
    parser.add_argument("--mutations", type=int, default=1_000_000, help="damaged files")
    parser.add_argument("--hours", type=float, default=1.0, help="limit of the mutations")
    parser.add_argument("--flac-hours", type=float, default=10.0, help="audio to time the cost on")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    given = parser.parse_args()
    wanted = given.scenarios or list(names)
    if unknown := set(wanted) - set(names):
        parser.error(f"no such scenario: {', '.join(unknown)}")
    figures: dict[str, object] = {"seed": given.seed}
    failed = False
    if "attacks" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            figures["attacks"] = made = attacks.attack_all(Path(folder))
        failed = made["harmed files"] > 0 or made["not refused as they should be"] > 0
    if set(wanted) - {"attacks", "mutations", "cost"}:
        figures |= _runs(wanted, given.kills, given.every, given.seed)
    if "mutations" in wanted:
        found = mutations.run(given.mutations, given.hours * 3600, first=given.seed)
        figures["mutations"] = {
            what: len(value) if isinstance(value, list) else round(value)
            for what, value in found.items()
        }
        failed |= bool(found["deaths"] or found["hangs"] or found["faults"])
    if "cost" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            figures |= cost.run(Path(folder), given.flac_hours)
    for name, value in figures.items():
        _tell(f"{name}: {_in_words(value)}")
    return int(failed)


def _runs(wanted: list[str], n_kills: int, every: int, seed: int) -> dict[str, object]:
    figures: dict[str, object] = {}

    def note(name: str, work: Callable[[], Counter[str]]) -> None:
        begun = time.monotonic()
        figures[name] = work()
        _tell(f"... {name}: {_in_words(figures[name])} ({time.monotonic() - begun:.0f} s)")

    with tempfile.TemporaryDirectory() as folder, server() as served:
        scratch = Path(folder)
        all_cases = cases(served, make_audio(scratch / "audio"), scratch, OUTPUTS)
        if "kills" in wanted:
            note(
                "kills at random",
                lambda: random_kills(served, all_cases, scratch, n_kills, seed),
            )
        for case in all_cases:
            _at_every_change(wanted, served, case, scratch, every, note)
    return figures


def _at_every_change(
    wanted: list[str],
    served: Server,
    case: Case,
    scratch: Path,
    every: int,
    note: Callable[[str, Callable[[], Counter[str]]], None],
) -> None:
    steps = range(1, case.n_calls + 1, every)
    if "changes" in wanted:
        note(
            f"{case.output}: a kill at every change",
            lambda: kill_at_changes(served, case, scratch, steps),
        )
    for name, mode in (("full", NO_SPACE_FROM), ("errors", ERROR_ONCE)):
        if name in wanted:
            what = "no space from the k-th write" if name == "full" else "an error at each change"
            note(
                f"{case.output}: {what}",
                lambda mode=mode: errors_at_changes(served, case, scratch, mode, steps),  # type: ignore[misc]
            )
    if "lost" in wanted:
        note(
            f"{case.output}: a write lost at each change",
            lambda: lost_writes(served, case, scratch, steps),
        )
    if "disks" in wanted:
        sizes = [round(2 ** (k / 4)) for k in range(48, 88, every)]
        note(f"{case.output}: small disks", lambda: full_disks(served, case, scratch, sizes))


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {what}" for what, count in value.items())
    return str(value)


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
