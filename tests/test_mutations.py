"""A slice of the damaged files that the stress test reads by the million."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.stress import mutations


def test_damaged_files_are_refused_or_read_and_nothing_else() -> None:
    figures = mutations.run(count=20_000, seconds=5)
    assert (figures["deaths"], figures["hangs"], figures["faults"]) == ([], [], [])
    assert figures["tried"] == figures["read"] + figures["refused"] > 200
    # Damage that is always noticed, or never, would test nothing.
    assert 0.02 < figures["read"] / figures["tried"] < 0.6


def test_cases_follow_from_their_numbers(tmp_path: Path) -> None:
    assert [mutations.damaged(n) for n in range(50)] == [mutations.damaged(n) for n in range(50)]
    assert len({mutations.damaged(n) for n in range(50)}) > 45
    assert mutations.outcome(7, tmp_path / "a") == mutations.outcome(7, tmp_path / "a")


class _Broken:
    """A reader with a fault of its own."""

    def __init__(self, *_: Any) -> None:
        raise KeyError("no such thing")


def test_what_escapes_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "AudioReader", _Broken)
    assert mutations.outcome(0, tmp_path / "a").startswith("escaped: KeyError")


def test_a_death_is_counted_and_named_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # The workers are processes of their own: the fault reaches them through a start-up file.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, kapre_cli.audio.reader as audio\n"
        "class Deadly(audio.AudioReader):\n"
        "    def __init__(self, path, settings):\n"
        f"        settings.mono and os.kill(os.getpid(), {signal.SIGKILL.value})\n"
        "        super().__init__(path, settings)\n"
        "audio.AudioReader = Deadly\n"
    )
    paths = (str(tmp_path), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    deadly = [number for number in range(8) if mutations.settings_of(number).mono]
    assert 0 < len(deadly) < 8
    figures = mutations.run(count=8, seconds=60, workers=1)
    assert (figures["tried"], figures["deaths"]) == (8, deadly)
    told = capfd.readouterr().err
    assert all(f"died of -9: case {number}" in told for number in deadly)
