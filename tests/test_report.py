"""``--report`` and ``--max-failures``: a line an input, sums that agree, and nothing untrue."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import SettingsError
from kapre_cli.tolerance import MaxFailures
from tests import reference
from tests.conftest import PROGRAM, files_below, write_audio, write_silence
from tests.stress.runs import HERE

FIELDS = ["key", "source", "status", "reason", "note", "shape", "reference", "reference_db"]
FIELDS += ["seconds", "work_seconds"]
SUMS = ["inputs", "written", "failed", "skipped", "seconds", "work_seconds", "exit_code"]
STATUSES = ("written", "failed", "skipped")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    for number in range(6):
        write_audio(folder / f"{number}.wav", reference.noise(1 + number % 2, 3000, number))
    (folder / "1.wav").write_bytes(b"no audio")
    cut = write_audio(folder / "4.wav", reference.noise(1, 3000))
    os.truncate(cut, 6000)
    return folder


def read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the lines of a report, having held them against one another."""
    *records, sums = map(json.loads, path.read_text(encoding="ascii").splitlines())
    assert list(sums) == SUMS
    for record in records:
        assert list(record) == FIELDS
        assert (record["reason"] is None) == (record["status"] != "failed")
        assert (record["shape"] is None) == (record["status"] == "failed")
    counts = [sum(one["status"] == status for one in records) for status in STATUSES]
    assert [sums[status] for status in STATUSES] == counts
    assert sums["inputs"] == len(records) == sum(counts)
    for name in ("seconds", "work_seconds"):
        each = [one[name] or 0.0 for one in records if one["status"] == "written"]
        assert sums[name] == pytest.approx(sum(each))
    sources = [record["source"] for record in records]
    assert len(set(sources)) == len(sources)
    return records, sums


def by_source(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(record["source"]).name: record for record in records}


@pytest.mark.parametrize("output", ["out.h5", "out"])
def test_a_line_says_what_became_of_an_input(
    output: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text("what was there before\n" * 100)
    command = ["spectrogram", audio, "-o", tmp_path / output, "--report", path]
    ended = program(*command)
    records, sums = read(path)
    assert (ended.code, sums["exit_code"]) == (1, 1)
    assert (sums["written"], sums["failed"], sums["skipped"]) == (4, 2, 0)
    assert sums["seconds"] == 4 * 3000 / 8000
    written = [record for record in records if record["status"] == "written"]
    assert [record["key"] for record in written] == ["0.wav", "2.wav", "3.wav", "5.wav"]
    with kapre_cli.open_features(tmp_path / output) as features:
        for record in written:
            stored = features[record["key"]]
            assert record["source"] == stored.facts.source
            assert tuple(record["shape"]) == stored.shape
            assert record["seconds"] == 3000 / 8000
            assert 0 < record["work_seconds"] < 60
    failed = by_source(records)["1.wav"]
    assert failed["reason"].startswith("neither a WAV nor a FLAC file")
    assert f"failed: {failed['source']!r}: {failed['reason']}\n" in ended.err
    assert (failed["seconds"], failed["work_seconds"]) == (None, None)
    # What is there already has been worked on by another run.
    (audio / "1.wav").unlink()
    write_audio(audio / "6.wav", reference.noise(1, 100))
    assert program(*command, "--resume").code == 1
    records, sums = read(path)
    assert (sums["written"], sums["failed"], sums["skipped"]) == (1, 1, 4)
    assert sums["seconds"] == 100 / 8000
    skipped = by_source(records)["0.wav"]
    assert (skipped["status"], skipped["seconds"]) == ("skipped", 3000 / 8000)
    assert skipped["shape"] == by_source(written)["0.wav"]["shape"]
    assert skipped["work_seconds"] is None


@pytest.mark.usefixtures("audio")
def test_lines_go_to_standard_output(tmp_path: Path, process: Any) -> None:
    ended = process("spectrogram", "audio", "-o", "out.h5", "--report", "-", cwd=tmp_path)
    (tmp_path / "lines").write_text(ended.out)
    _, sums = read(tmp_path / "lines")
    assert (sums["written"], sums["exit_code"], ended.code) == (4, 1, 1)
    assert ended.err.endswith("6 inputs: 4 written, 2 failed (1.5 s of audio) -> 'out.h5'\n")


@pytest.mark.usefixtures("audio")
def test_a_reader_of_lines_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "audio", "-o", "out.h5", "--report", "-"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert ended.returncode == 141
    assert not [line for line in ended.stderr.splitlines() if not line.startswith(b"failed: ")]
    assert not (tmp_path / "out.h5").exists()


def test_what_gives_no_input_has_a_line_without_a_key(tmp_path: Path, program: Any) -> None:
    (tmp_path / "empty").mkdir()
    write_audio(tmp_path / "a.wav", reference.noise(1, 300))
    ended = program(
        *("spectrogram", tmp_path / "empty", tmp_path / "a.wav", "-o", tmp_path / "out"),
        *("--report", tmp_path / "r.jsonl"),
    )
    (refused, written), sums = read(tmp_path / "r.jsonl")
    assert (refused["key"], refused["source"]) == (None, str(tmp_path / "empty"))
    assert refused["reason"].startswith("holds no audio")
    assert (written["key"], sums["exit_code"], ended.code) == ("a.wav", 1, 1)


def test_inputs_none_of_which_has_a_header_are_recorded(tmp_path: Path, program: Any) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    command = ["spectrogram", tmp_path / "a.wav", tmp_path / "gone.wav", "-o", tmp_path / "out"]
    assert program(*command, "--report", tmp_path / "r.jsonl").code == 1
    records, sums = read(tmp_path / "r.jsonl")
    assert [record["key"] for record in records] == ["a.wav", "gone.wav"]
    assert sums["failed"] == 2


def test_odd_names_are_strings_of_json(tmp_path: Path, program: Any) -> None:
    names = [b"two\nlines.wav", b'"quoted" \xc3\xa9.wav', b"not utf-8 \xff.wav", b"-dash \x1b.wav"]
    for name in names:
        write_audio(tmp_path / "audio/x.wav", reference.noise(1, 300))
        os.rename(tmp_path / "audio/x.wav", os.fsencode(tmp_path / "audio") + b"/" + name)
    report = tmp_path / "r.jsonl"
    command = ["spectrogram", tmp_path / "audio", "-o", tmp_path / "out.h5", "--report", report]
    assert program(*command).code == 0
    assert report.read_bytes().isascii()
    records, _ = read(report)
    sources = [os.path.basename(os.fsencode(record["source"])) for record in records]
    assert sorted(sources) == sorted(names)
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert [record["key"] for record in records] == list(features)


# Runs that do not reach their end


@pytest.mark.parametrize("limit", [1_500_000, 2_400_000], ids=["journal", "output"])
def test_an_output_that_cannot_be_written_fails_every_input(limit: int, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 70_000))
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    write_audio(tmp_path / "b.wav", reference.noise(1, 70_000))
    names = ("a.wav", "bad.wav", "b.wav")
    command = [*PROGRAM, "spectrogram", *names, "-o", "out.h5", "--n-hop", "64"]
    ended = subprocess.run(
        [*command, "--dtype", "float64", "--report", "r.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, sums["failed"], sums["exit_code"]) == (1, 3, 1)
    found = by_source(records)
    assert found["bad.wav"]["reason"].startswith("neither")
    for name in ("a.wav", "b.wav"):
        assert found[name]["reason"].endswith("cannot be written: File too large")
        assert f"Error: {found[name]['reason']}\n" in ended.stderr
    if limit > 2e6:
        assert all(found[name]["work_seconds"] > 0 for name in ("a.wav", "b.wav"))


def test_an_interruption_claims_nothing(tmp_path: Path) -> None:
    write_silence(tmp_path / "hours.wav", 7200)
    journal = tmp_path / "out.h5.partial/journal"
    command = [*PROGRAM, "spectrogram", "gone.wav", "hours.wav", "-o", "out.h5"]
    with subprocess.Popen([*command, "--report", "r.jsonl"], cwd=tmp_path) as running:
        while not (journal.exists() and journal.stat().st_size > 5e6):
            assert running.poll() is None
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    (record,), sums = read(tmp_path / "r.jsonl")
    assert record["key"] == "gone.wav"
    assert sums["exit_code"] == 130
    # The next one without --resume is refused, and says no more than that.
    ended = subprocess.run(
        [*command, "--report", "r.jsonl"], cwd=tmp_path, capture_output=True, check=False
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, records, sums["exit_code"]) == (2, [], 2)


def test_a_crash_writes_no_line_twice(tmp_path: Path) -> None:
    shim = tmp_path / "shim.so"
    source = HERE / "shim.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True)
    for number in range(4):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(1, 3000, number))
    (tmp_path / "audio/2.wav").rename(tmp_path / "audio/2 crash.wav")
    (tmp_path / "audio/0 bad.wav").write_bytes(b"no audio")
    (tmp_path / "empty").mkdir()
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "empty", "audio", "-o", "out.h5", "--report", "r.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "SHIM_CRASH_ON_READ": "2 crash.wav"},
        check=False,
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, sums["written"], sums["failed"]) == (1, 3, 3)
    assert by_source(records)["2 crash.wav"]["reason"].startswith("the program crashed 2 times")
    assert ended.stderr.count("failed: 'empty'") == 1
    assert ended.stderr.splitlines()[-1].startswith("6 inputs: 3 written, 3 failed")


@pytest.mark.usefixtures("audio")
def test_a_full_disk_ends_the_report_and_not_the_run(tmp_path: Path, process: Any) -> None:
    ended = process(
        "spectrogram", "audio/0.wav", "-o", "out", "--report", "/dev/full", cwd=tmp_path
    )
    assert ended.code == 1
    assert ended.err.splitlines() == [
        (
            "kapre-extract: Error: '/dev/full' cannot be written: No space left on device; "
            "it ends there, the run goes on"
        ),
        "1 input: 1 written, 0 failed (0.4 s of audio) -> 'out'",
    ]


# What is refused


def states_below(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return what changes of a file or folder when it is written to; reading changes more."""
    states = {name: (folder / name).lstat() for name in files_below(folder)}
    return {name: (one.st_ino, one.st_size, one.st_mtime_ns) for name, one in states.items()}


@pytest.mark.parametrize(
    ("report", "output", "message"),
    [
        ("gone/r.jsonl", "out.h5", "the folder 'gone' for the report 'r.jsonl' does not exist"),
        ("audio", "out.h5", "the report 'audio' is a folder; name a file"),
        ("audio/0.wav", "out.h5", "the report 'audio/0.wav' is one of the inputs"),
        ("link.wav", "out.h5", "the report 'link.wav' is one of the inputs"),
        ("out.h5", "out.h5", "the report 'out.h5' would be part of the output 'out.h5'"),
        ("out.npy.json", "out.npy", "would be part of the output 'out.npy'"),
        ("empty/r", "empty", "would be part of the output 'empty'"),
    ],
)
def test_a_report_that_cannot_be_had_is_refused_before_any_work(
    report: str,
    output: str,
    message: str,
    audio: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(audio.parent)
    Path("link.wav").symlink_to("audio/0.wav")
    Path("empty").mkdir()
    before = states_below(audio.parent)
    ended = program("spectrogram", "audio/0.wav", "-o", output, "--report", report)
    assert (ended.code, message in ended.err) == (2, True)
    assert states_below(audio.parent) == before


def test_a_report_that_cannot_be_opened_is_told_of(unprivileged: Path, program: Any) -> None:
    audio = write_audio(unprivileged / "a.wav", reference.noise(1, 300))
    report, output = unprivileged / "r.jsonl", unprivileged / "out.h5"
    report.touch(mode=0o444)
    ended = program("spectrogram", audio, "-o", output, "--report", report)
    assert ended.code == 1
    assert ended.err == f"kapre-extract: Error: '{report}' cannot be written: Permission denied\n"
    assert not output.exists()


# How many may fail


@pytest.mark.parametrize(
    ("allowed", "stops"), [("0", True), ("1", True), ("2", False), ("33%", True), ("34%", False)]
)
@pytest.mark.parametrize("output", ["out.h5", "-"])
def test_a_run_is_stopped_when_more_fail_than_may(
    allowed: str, stops: bool, output: str, audio: Path, tmp_path: Path
) -> None:
    command = ["spectrogram", *sorted(audio.iterdir()), "-o", output, "--max-failures", allowed]
    ended = subprocess.run(
        [*PROGRAM, *map(str, command), "--report", "r.jsonl", "--jobs", "1"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    said = ended.stderr.decode()
    records, sums = read(tmp_path / "r.jsonl")
    assert ended.returncode == sums["exit_code"] == 1
    assert sums["inputs"] == 6
    if not stops:
        assert (sums["written"], sums["failed"]) == (4, 2)
        return
    n_failed = 1 if allowed == "0" else 2
    reason = (
        f"{n_failed} of 6 inputs failed, and --max-failures allows {allowed}: the run was stopped"
    )
    assert f"kapre-extract: Error: {reason}\n" in said
    reasons = [record["reason"] for record in records]
    n_gone = 0 if output != "-" else {1: 1, 2: 3}[n_failed]
    assert sums["written"] == n_gone
    assert reasons.count(reason) >= 6 - n_gone - 2
    assert said.splitlines()[-1].startswith(f"6 inputs: {n_gone} written, {6 - n_gone} failed")
    if output == "out.h5":
        assert said.endswith("; no output is written or changed\n")
        assert not (tmp_path / "out.h5").exists()


def test_what_was_finished_before_the_stop_is_kept(tmp_path: Path, program: Any) -> None:
    for number in range(30):
        write_audio(tmp_path / f"audio/{number:02}.wav", reference.noise(1, 60_000, number))
    (tmp_path / "audio/28.wav").write_bytes(b"no audio")
    command = ["spectrogram", tmp_path / "audio", "-o", tmp_path / "out.h5", "-j", 1]
    command += ["--report", tmp_path / "r.jsonl"]
    ended = program(*command, "--max-failures", 0)
    assert ended.code == 1
    assert "--resume goes on" in ended.err
    assert program(*command, "--resume").code == 1
    _, sums = read(tmp_path / "r.jsonl")
    assert (sums["written"] + sums["skipped"], sums["failed"]) == (29, 1)
    assert sums["skipped"] > 0


def test_folders_that_cannot_be_read_count_as_well(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 300))
    (tmp_path / "empty").mkdir()
    ended = program(
        *("spectrogram", tmp_path / "empty", tmp_path / "a.wav", "-o", tmp_path / "out.h5"),
        *("--max-failures", "0", "--report", tmp_path / "r.jsonl"),
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert ended.code == 1
    assert sums["failed"] == 2
    assert records[1]["reason"].startswith("1 of 2 inputs failed, and --max-failures allows 0")


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 200))
def test_a_share_is_one_of_all_inputs_or_of_enough(share: int, n_failed: int, n_ended: int) -> None:
    allowed = MaxFailures.parse(f"{share}%")
    is_more = n_failed / n_ended > share / 100 + 1e-12
    assert allowed.is_exceeded(n_failed, 1, n_ended) == is_more
    assert allowed.is_exceeded(n_failed, n_ended, None) == (is_more and n_ended >= 20)
    assert MaxFailures.parse(str(share)).is_exceeded(n_failed, n_ended, None) == (n_failed > share)


@pytest.mark.parametrize("text", ["", "%", "-1", "1.5", "nan", "inf", "101%", "-1%", "ten", "1%%"])
def test_what_is_no_number_of_failures_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="`max_failures` must be a number of inputs"):
        MaxFailures.parse(text)
