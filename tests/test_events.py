"""Events and results of a run in Python, without the command line."""

import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest

from kapre_cli import events
from kapre_cli.cli.options import as_option, error_text
from kapre_cli.errors import (
    AudioReadError,
    FeatureError,
    SampleRateError,
    TooManyFailuresError,
    UnexpectedError,
    UsageError,
    input_error,
)
from kapre_cli.event_text import event_text, log
from kapre_cli.events import Event
from kapre_cli.extraction.executor import Executor
from kapre_cli.extraction.local_workers import LocalWorkers
from kapre_cli.extraction.run import extract
from kapre_cli.inputs import Source
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.run_result import MaxFailures, RunResult
from kapre_cli.settings import AudioSettings, ExtractionSettings, OutputSettings
from kapre_cli.text import Argument, Text
from tests import reference
from tests.conftest import write_audio


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    write_audio(tmp_path / "fast.wav", reference.noise(1, 3000), 44100)
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    return [Source(str(tmp_path / name), name) for name in ("a.wav", "fast.wav", "bad.wav")]


def settings_of(folder: Path, resume: str | None = None) -> ExtractionSettings:
    return ExtractionSettings(
        layer=SpectrogramConfig(n_dft=64, image_data_format="channels_last"),
        audio=AudioSettings(sr=8000),
        output=OutputSettings(path=folder / "out.h5", format="hdf5", resume=resume),
    )


def _sent(value: Any) -> Any:
    """Return a value as another process would receive it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - from here


def test_a_result_has_counts_failures_and_output(sources: list[Source], tmp_path: Path) -> None:
    seen: list[Event] = []
    result = RunResult(seen.append, failures=[])
    extract(sources, settings_of(tmp_path), result)
    assert (result.n_inputs, result.n_written, result.n_failed) == (3, 1, 2)
    assert (result.output, result.kept) == (tmp_path / "out.h5", None)
    assert result.failures is not None
    fast, bad = result.failures
    assert isinstance(fast.error, SampleRateError)
    assert (fast.path, fast.error.sr, fast.error.wanted) == (sources[1].path, 44100, 8000)
    assert (bad.path, type(bad.error), bad.result.key) == (
        sources[2].path,
        AudioReadError,
        "bad.wav",
    )
    assert fast.error.__traceback__ is bad.error.__traceback__ is None  # they hold no samples
    kinds = [type(event) for event in seen]
    assert isinstance(seen[0], events.RunStarted)
    assert seen[0].n_inputs == 3
    assert kinds.count(events.InputStarted) == kinds.count(events.InputEnded) == 3
    written = [event for event in seen if isinstance(event, events.InputWritten)]
    assert [event.result.shape for event in written] == [(94, 33, 1)]
    assert events.InputDetails not in kinds
    # Each field can be sent to another process.
    assert [repr(event) for event in _sent(seen)] == list(map(repr, seen))


def test_details_are_for_those_who_ask(sources: list[Source], tmp_path: Path) -> None:
    for is_reused in (False, True):
        seen: list[Event] = []
        settings = settings_of(tmp_path, "stat" if is_reused else None)
        extract(sources[:1], settings, RunResult(seen.append, is_detailed=True))
        (details,) = (event for event in seen if isinstance(event, events.InputDetails))
        axes = ("time", "frequency", "channel")
        assert details == ("a.wav", is_reused, axes, (94, 33, 1), 3000 / 8000)
        assert any(isinstance(event, events.InputSkipped) for event in seen) == is_reused
        assert any(isinstance(event, events.OutputUnchanged) for event in seen) == is_reused


@pytest.mark.parametrize("jobs", [None, 2])
def test_an_error_of_the_observer_ends_the_run(
    jobs: int | None, sources: list[Source], tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    def observer(event: Event) -> None:
        if isinstance(event, events.InputFailed):
            raise StopError

    result = RunResult(observer)
    executor: Executor | None = None if jobs is None else LocalWorkers(jobs)
    try:
        with pytest.raises(StopError):
            extract(sources, settings_of(tmp_path), result, executor)
    finally:
        if executor is not None:
            executor.close()
    assert not (tmp_path / "out.h5").exists()


def test_a_stopped_run_counts_every_input(sources: list[Source], tmp_path: Path) -> None:
    result = RunResult(max_failures=MaxFailures(0), failures=[], n_expected=3)
    with pytest.raises(TooManyFailuresError) as stopped:
        extract(sources[1:] + sources[:1], settings_of(tmp_path), result)
    assert (result.n_inputs, result.n_failed, result.is_broken) == (3, 3, True)
    assert result.failures is not None
    first, *_, last = result.failures
    assert (first.is_own, last.is_own, last.error) == (True, False, stopped.value)
    assert traceback.extract_tb(stopped.value.__traceback__)[-1].name == "check_failures"
    assert result.n_untried == sum(not failure.is_tried for failure in result.failures) > 0
    assert result.output is None


def test_a_collected_failure_keeps_no_variables_of_functions() -> None:
    result = RunResult(events.ignore, failures=[])
    errors: list[BaseException] = []
    try:
        try:
            raise MemoryError
        except MemoryError as error:
            errors.append(error)
            raise KeyError("left") from None
    except KeyError as error:
        errors.append(error)
        errors.append(error.__context__ or error)
        failure = input_error(error)
    failure.__context__ = failure.__cause__
    result.failed("a.wav", failure)
    assert isinstance(failure, UnexpectedError)
    assert 'raise KeyError("left")' in failure.trace
    assert [error.__traceback__ for error in (failure, *errors)] == [None] * 4


def test_library_errors_name_arguments_and_the_command_line_options() -> None:
    cases = [
        (SampleRateError(44100, 8000), "use --resample, or --sr 44100"),
        (TooManyFailuresError(3, 10, "2"), "--max-failures allows 2"),
    ]
    for error, option in cases:
        assert "--" not in str(error)
        assert option in error_text(error)
        assert error_text(_sent(error)) == error_text(error)
    assert error_text(FeatureError("as it is")) == "as it is"


def test_events_have_texts_unless_progress_shows_them() -> None:
    error = UsageError("why")
    quiet: list[Event] = [
        events.InputStarted("a"),
        events.InputProgress("a", 1.0, 1.0, 1.0),
        events.InputEnded("a"),
        events.InputWritten("a", events.NO_RESULT),
        events.PhaseProgress(1.0),
    ]
    assert [event_text(event) for event in quiet] == [None] * 5
    removed = "2 arrays of 'o' will be removed, since no input has its key: 'a', 'b'"
    goes_on = "the same command with --resume goes on"
    lines: list[tuple[Event, str]] = [
        (
            events.ArraysRemoved("o", ["a", "b"], 1),
            f"{removed}; 1 of them hidden: --hidden keeps those",
        ),
        (
            events.ArrayDamaged("a", True, error),
            "'a' is damaged in the output and is recomputed: why",
        ),
        (
            events.WorkKept("p", 2),
            f"the finished work of 2 inputs is kept in 'p'; {goes_on} with it",
        ),
        (
            events.WorkKept("p", 1, 2, 5),
            f"1 of 5 inputs done and parts of 2 more: kept in 'p'; {goes_on}",
        ),
    ]
    for event, text in lines:
        found = event_text(event)
        assert found is not None
        assert found.spelled(as_option) == text
        assert "--" not in str(found)


def test_a_caller_without_an_observer_reads_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="kapre_cli"):
        for event in (
            events.InputStarted("a"),
            events.RunStarted({"numpy": "2"}, 1),
            events.Note("odd"),
            events.Warned(Text("take ", Argument("overwrite", True))),
            events.InputFailed("a.wav", UsageError("why")),
            events.InputFailed("b.wav", UsageError("the disk is full"), is_own=False),
        ):
            log(event)
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [
        ("DEBUG", "numpy 2"),
        ("INFO", "odd"),
        ("WARNING", "take overwrite=True"),
        ("ERROR", "'a.wav': why"),
    ]
