"""A slice of the stress command: kills, full disks and errors in real runs, output by output.

``python -m tests.stress`` does all of it.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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

if shutil.which("cc") is None:
    pytest.skip("no C compiler: the faults cannot be made", allow_module_level=True)


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def all_cases(served: Server, scratch: Path) -> list[Case]:
    return cases(served, make_audio(scratch / "audio"), scratch, OUTPUTS)


@pytest.fixture(params=OUTPUTS)
def case(request: pytest.FixtureRequest, all_cases: list[Case]) -> Case:
    return next(one for one in all_cases if one.output == request.param)


def steps(case: Case, count: int) -> range:
    """Return about ``count`` of the moments at which a run changes something, odd and even."""
    return range(1, case.n_calls + 1, max(case.n_calls // count, 1) | 1)


def test_random_kills_lose_nothing(served: Server, all_cases: list[Case], scratch: Path) -> None:
    assert random_kills(served, all_cases, scratch, 15)["runs to the end"] > 0


def test_a_kill_at_any_change_publishes_no_damage(
    served: Server, case: Case, scratch: Path
) -> None:
    figures = kill_at_changes(served, case, scratch, steps(case, 8))
    assert figures["kills"] >= 7


@pytest.mark.parametrize("output", ["x.npy", "x"])
def test_a_kill_as_an_output_takes_the_place_of_another(
    output: str, served: Server, all_cases: list[Case], scratch: Path
) -> None:
    case = next(one for one in all_cases if one.output == output)
    last = range(case.n_calls - 8, case.n_calls + 6)
    figures = kill_at_changes(served, case, scratch, last, always_replace=True)
    assert figures["kills"] >= 8


def test_a_write_that_is_lost_is_noticed(served: Server, case: Case, scratch: Path) -> None:
    figures = lost_writes(served, case, scratch, steps(case, 9))
    assert figures["noticed"] >= 3, figures


def test_a_full_disk_is_told_and_harms_nothing(served: Server, case: Case, scratch: Path) -> None:
    figures = errors_at_changes(served, case, scratch, NO_SPACE_FROM, steps(case, 6))
    assert figures["failures"] >= 4


def test_an_error_of_the_disk_is_told_and_harms_nothing(
    served: Server, case: Case, scratch: Path
) -> None:
    figures = errors_at_changes(served, case, scratch, ERROR_ONCE, steps(case, 6))
    assert figures["failures"] >= 5


def test_a_disk_that_is_really_full(served: Server, all_cases: list[Case], scratch: Path) -> None:
    try:
        figures = full_disks(served, all_cases[0], scratch, [2**12, 2**14, 2**16, 2**18, 2**22])
    except PermissionError as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    assert figures["too small"] >= 2
    assert figures["fit"] >= 1
