"""``--report`` and ``--max-failures``: a line an input, sums that agree, and nothing untrue."""

import fcntl
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.cli.event_lines import FailureCounts
from kapre_cli.cli.report_file import check_report, open_report
from kapre_cli.errors import AudioReadError, OutputError, SettingsError
from kapre_cli.outputs.locked_folders import MARKER
from kapre_cli.result_log import ResultLog
from kapre_cli.run_result import MaxFailures
from kapre_cli.settings import OutputSettings
from tests import reference
from tests.conftest import PROGRAM, files_below, write_audio, write_silence
from tests.stress.runs import HERE

FIELDS = ["key", "source", "status", "reason", "note", "shape", "reference", "reference_db"]
FIELDS += ["seconds", "work_seconds"]
SUMS = ["inputs", "written", "failed", "not_tried", "skipped", "seconds", "work_seconds"]
SUMS += ["exit_code"]
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
    header, *records, sums = map(json.loads, path.read_text(encoding="ascii").splitlines())
    assert header == {
        "program": "kapre-extract",
        "version": metadata.version("kapre-extract"),
        "report_version": 1,
    }
    assert list(sums) == SUMS
    for record in records:
        assert list(record) == FIELDS
        assert (record["reason"] is None) == (record["status"] != "failed")
        assert (record["shape"] is None) == (record["status"] == "failed")
    counts = [sum(one["status"] == status for one in records) for status in STATUSES]
    assert [sums[status] for status in STATUSES] == counts
    assert sums["inputs"] == len(records) == sum(counts)
    untried = [one for one in records if (one["reason"] or "").startswith("not tried: ")]
    assert sums["not_tried"] == len(untried) <= sums["failed"]
    assert not any(one["seconds"] or one["work_seconds"] for one in untried)
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
            assert record["source"] == stored.metadata.source
            assert tuple(record["shape"]) == stored.shape
            assert record["seconds"] == 3000 / 8000
            assert 0 < record["work_seconds"] < 60
    failed = by_source(records)["1.wav"]
    assert failed["reason"].startswith("it is not WAV or FLAC")
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
def test_lines_go_to_standard_output(tmp_path: Path, at_once: Any) -> None:
    ended = at_once("spectrogram", "audio", "-o", "out.h5", "--report", "-", cwd=tmp_path)
    (tmp_path / "lines").write_text(ended.out)
    _, sums = read(tmp_path / "lines")
    assert (sums["written"], sums["exit_code"], ended.code) == (4, 1, 1)
    assert ended.err.endswith("6 inputs: 4 written, 2 failed (1.5 s of audio) -> 'out.h5'\n")


@pytest.mark.usefixtures("audio")
def test_a_reader_of_lines_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    reading, wrap_os_errors = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "audio", "-o", "out.h5", "--report", "-"],
        cwd=tmp_path,
        stdout=wrap_os_errors,
        stderr=subprocess.PIPE,
        check=False,
        timeout=300,
    )
    os.close(wrap_os_errors)
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
    names = ("bad.wav", "a.wav", "b.wav")
    command = [*PROGRAM, "spectrogram", *names, "-o", "out.h5", "--n-hop", "64"]
    ended = subprocess.run(
        [*command, "--dtype", "float64", "--report", "r.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
        timeout=300,
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, sums["failed"], sums["exit_code"]) == (1, 3, 1)
    found = by_source(records)
    assert found["bad.wav"]["reason"].startswith("it is not WAV")
    for name in ("a.wav", "b.wav"):
        assert found[name]["reason"].endswith("cannot be written: File too large")
        assert f"Error: {found[name]['reason']}\n" in ended.stderr
    if limit > 2e6:
        assert all(found[name]["work_seconds"] > 0 for name in ("a.wav", "b.wav"))


def test_an_interruption_claims_nothing(tmp_path: Path) -> None:
    write_silence(tmp_path / "hours.wav", 7200)
    journal = tmp_path / "out.h5.partial/journal-1"
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
    # The next one without --resume is refused, and leaves the report as it is.
    before = (tmp_path / "r.jsonl").read_bytes()
    ended = subprocess.run(
        [*command, "--report", "r.jsonl"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert (tmp_path / "r.jsonl").read_bytes() == before


def test_a_crash_writes_no_line_twice(tmp_path: Path) -> None:
    shim = tmp_path / "shim.so"
    source = HERE / "shim.c"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", shim, source, "-ldl"], check=True, timeout=300
    )
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
        timeout=300,
    )
    records, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, sums["written"], sums["failed"]) == (1, 3, 3)
    assert by_source(records)["2 crash.wav"]["reason"].startswith(
        "the worker process died twice (SIGSEGV)"
    )
    assert ended.stderr.count("failed: 'empty'") == 1
    assert ended.stderr.splitlines()[-1].startswith("6 inputs: 3 written, 3 failed")


@pytest.mark.usefixtures("audio")
def test_a_full_disk_ends_the_report_and_not_the_run(tmp_path: Path, at_once: Any) -> None:
    ended = at_once(
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
        ("audio", "out.h5", "the report 'audio' is a folder, which is not replaced"),
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


# Other people's files


OURS = b'{"program": "kapre-extract", "version": "0.1", "report_version": 1}\n'
THEIRS = {
    "notes": b"field notes\n",
    "config": b"n-dft = 128\n",
    "a record of another program": b'{"program": "another", "report_version": 1}\n',
    "one that names this program later": b'{"by": 1, ' + OURS[1:],
    "our header in part": OURS[:-3],
    "our header in the second line": b"\n" + OURS,
    "a blank": b" ",
    "no version": b'{"program": "kapre-extract"}\n',
    "a list": b'["program", "kapre-extract"]\n',
    "a long line": b'{"program": "kapre-extract", "x": "'
    + b"x" * 10**6
    + b'", "report_version": 1}',
    "deep": b"[" * 10**5,
    "no text": b"\x00\xff" * 100,
}


@pytest.mark.parametrize("option", [None, "--overwrite", "--resume"])
@pytest.mark.parametrize("content", THEIRS)
def test_a_file_of_somebody_else_is_never_a_report(
    content: str, option: str | None, audio: Path, at_once: Any
) -> None:
    here = audio.parent
    for name in ("theirs", "linked"):
        (here / name).write_bytes(THEIRS[content])
    (here / "link").symlink_to("linked")
    before = states_below(here)
    for name in ("theirs", "link"):
        command = ["spectrogram", "audio/0.wav", "-o", "o.h5", "--report", name]
        ended = at_once(*command, *([option] if option else []), cwd=here)
        assert (ended.code, ended.out) == (2, "")
        assert f"the report '{name}' exists, and kapre-extract did not make it" in ended.err
        assert states_below(here) == before


def test_the_files_that_a_run_reads_are_no_reports(audio: Path, at_once: Any) -> None:
    here = audio.parent
    (here / "c.toml").write_text('overwrite = true\noutput = "o.h5"\n')
    (here / "empty.toml").touch()
    (here / "list").write_text("audio/0.wav\n")
    (here / "link.toml").symlink_to("empty.toml")
    os.link(here / "empty.toml", here / "hard.toml")
    os.link(audio / "0.wav", here / "hard.wav")
    before = states_below(here)
    overwriting = ["-o", "o.h5", "--overwrite"]
    for arguments, message in (
        (["audio/0.wav", "--config", "c.toml", "--report", "c.toml"], "--config names"),
        (
            ["audio/0.wav", *overwriting, "--config", "empty.toml", "--report", "empty.toml"],
            "the report 'empty.toml' is the file that --config names",
        ),
        (
            ["audio/0.wav", *overwriting, "--config", "empty.toml", "--report", "link.toml"],
            "--config names",
        ),
        (
            ["audio/0.wav", *overwriting, "--config", "empty.toml", "--report", "hard.toml"],
            "--config names",
        ),
        (["audio/0.wav", *overwriting, "--report", "hard.wav"], "is one of the inputs"),
        (["--files-from", "list", *overwriting, "--report", "list"], "is the list of inputs"),
    ):
        ended = at_once("spectrogram", *arguments, cwd=here)
        assert (ended.code, message in ended.err) == (2, True), ended.err
        assert states_below(here) == before


def test_a_report_is_replaced_when_that_is_asked_for(audio: Path, at_once: Any) -> None:
    here = audio.parent
    command = ["spectrogram", "audio/0.wav", "-o", "o.h5", "--report", "r.jsonl"]
    assert at_once(*command, cwd=here).code == 0
    os.link(here / "r.jsonl", here / "kept.jsonl")
    first = (here / "r.jsonl").read_bytes()
    (here / "o.h5").unlink()
    ended = at_once(*command, cwd=here)
    assert (ended.code, "'r.jsonl' exists; --overwrite replaces it" in ended.err) == (2, True)
    assert (here / "r.jsonl").read_bytes() == first
    (here / "r.jsonl").chmod(0o640)
    for option in ("--overwrite", "--resume"):
        assert at_once(*command, option, cwd=here).code == 0
        records, _ = read(here / "r.jsonl")
        assert [record["key"] for record in records] == ["audio/0.wav"]
        assert (here / "r.jsonl").stat().st_mode & 0o777 == 0o640
    assert (here / "kept.jsonl").read_bytes() == first  # nothing is emptied
    # Arrays to standard output are never replaced, so nothing says that a report may be.
    ended = at_once("spectrogram", "audio/0.wav", "-o", "-", "--report", "r.jsonl", cwd=here)
    assert (ended.code, "'r.jsonl' exists; remove it, or name" in ended.err) == (2, True)
    assert files_below(here)[-3:] == ["kept.jsonl", "o.h5", "r.jsonl"]


@pytest.mark.parametrize(
    "refused",
    [
        ["audio/0.wav", "-o", "o.h5"],  # it exists
        ["audio/0.wav", "-o", "theirs.h5", "--overwrite"],
        ["audio/0.wav", "-o", "x.h5", "--overwrite", "--n-dft", "0"],
        ["audio/0.wav", "-o", "x.nc", "--overwrite"],
        [
            "gone.wav",
            "audio/0.wav",
            "-o",
            "x.h5",
            "--overwrite",
            "--channel",
            "1",
            "--channel",
            "1",
        ],
        ["gone.wav", "audio/0.wav", "-o", "busy.h5", "--overwrite"],
    ],
)
def test_a_run_that_is_refused_leaves_the_report(
    refused: list[str], audio: Path, at_once: Any
) -> None:
    here = audio.parent
    done = at_once("spectrogram", "audio", "-o", "o.h5", "--report", "r.jsonl", cwd=here)
    assert done.code == 1
    (here / "theirs.h5").write_text("mine")
    (here / "busy.h5.partial").mkdir(mode=0o700)
    with open(here / "busy.h5.partial/lock", "wb") as lock:
        lock.write(MARKER)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run is at work
        before = states_below(here)
        for report in ("r.jsonl", "new.jsonl"):
            ended = at_once("spectrogram", *refused, "--report", report, cwd=here)
            assert ended.code == 2, ended.err
            assert states_below(here) == before


def test_a_file_that_appears_while_the_report_is_opened_is_left(
    audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = audio.parent
    start = ResultLog.start

    def beaten(log: ResultLog) -> None:
        if log.descriptor is None:
            (here / "r.jsonl").write_text("mine")
        start(log)

    monkeypatch.setattr(ResultLog, "start", beaten)
    command = ["spectrogram", audio / "0.wav", "-o", here / "o.h5", "--report", here / "r.jsonl"]
    ended = program(*command)
    assert (ended.code, "appeared during the run" in ended.err) == (1, True)
    assert (here / "r.jsonl").read_text() == "mine"
    assert files_below(here)[-1:] == ["r.jsonl"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "other report", "folder"])
def test_what_appears_at_the_place_of_a_report_stays(kind: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    report = tmp_path / "r.jsonl"
    if kind in ("other report", "folder"):
        report.write_bytes(OURS)
    output = OutputSettings(path=tmp_path / "out.h5", format="hdf5", overwrite=True)
    place = check_report(report, output, [])
    report.unlink(missing_ok=True)
    if kind == "folder":
        report.mkdir()
    elif kind.endswith("link"):
        report.symlink_to("gone" if kind == "dangling link" else "victim")
    else:
        report.write_bytes(OURS + b"{}\n")
    before = states_below(tmp_path)
    with pytest.raises(OutputError, match="during the run; it is left as it is"):
        open_report(place)
    assert states_below(tmp_path) == before
    assert (tmp_path / "victim").read_bytes() == b"mine"


# Pipes and devices


def test_a_named_pipe_is_written_into(audio: Path) -> None:
    os.mkfifo(audio.parent / "pipe")
    command = [*PROGRAM, "spectrogram", "audio/0.wav", "-o", "o.h5", "--report", "pipe"]
    with subprocess.Popen(["cat", "pipe"], cwd=audio.parent, stdout=subprocess.PIPE) as reader:
        ended = subprocess.run([*command, "--overwrite"], cwd=audio.parent, check=False, timeout=60)
        lines, _ = reader.communicate(timeout=60)
    assert ended.returncode == 0
    (audio.parent / "lines").write_bytes(lines)
    assert len(read(audio.parent / "lines")[0]) == 1
    assert stat.S_ISFIFO((audio.parent / "pipe").stat().st_mode)


def test_a_pipe_that_nobody_reads_is_told_of(audio: Path, at_once: Any) -> None:
    os.mkfifo(audio.parent / "pipe")
    command = ["spectrogram", "audio/0.wav", "-o", "o.h5", "--report", "pipe"]
    ended = at_once(*command, "--overwrite", cwd=audio.parent)  # within its limit
    assert ended.code == 2
    assert "the report 'pipe' is a named pipe that nobody reads; start its reader" in ended.err
    assert stat.S_ISFIFO((audio.parent / "pipe").stat().st_mode)
    assert files_below(audio.parent)[-1] == "pipe"


def test_a_process_substitution_takes_a_report(audio: Path) -> None:
    command = f"'{sys.executable}' -m kapre_cli spectrogram audio/0.wav -o o.h5 --report"
    ended = subprocess.run(
        ["bash", "-c", f"{command} >(cat > lines) && sleep 0.5; {command} /dev/stdout --resume"],
        cwd=audio.parent,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(read(audio.parent / "lines")[0]) == 1
    (audio.parent / "lines").write_bytes(ended.stdout)
    assert read(audio.parent / "lines")[0][0]["status"] == "skipped"


def test_a_device_is_written_into_and_stays_one(audio: Path, at_once: Any) -> None:
    if os.geteuid():
        pytest.skip("only root can make a device")
    device = audio.parent / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (audio.parent / "link").symlink_to("null")
    for name in ("null", "link"):
        command = ["spectrogram", "audio/0.wav", "-o", "o.h5", "--report", name]
        assert at_once(*command, "--overwrite", cwd=audio.parent).code == 0
    assert stat.S_ISCHR(device.stat().st_mode)
    assert (audio.parent / "link").is_symlink()
    os.mknod(audio.parent / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 255))
    for name, kind in (("disk", "a device"), ("socket", "a socket")):
        with socket.socket(socket.AF_UNIX) as bound:
            if name == "socket":
                bound.bind(str(audio.parent / name))
            command = ["spectrogram", "audio/0.wav", "-o", "o.h5", "--report", name]
            ended = at_once(*command, "--overwrite", cwd=audio.parent)
        assert (ended.code, f"the report '{name}' is {kind}" in ended.err) == (2, True), ended.err


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
        timeout=300,
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
    reasons = [(record["reason"] or "").removeprefix("not tried: ") for record in records]
    n_gone = 0 if output != "-" else {1: 1, 2: 3}[n_failed]
    assert sums["written"] == n_gone
    assert reasons.count(reason) >= 6 - n_gone - 2
    untried = f", {sums['not_tried']} of them not tried" if sums["not_tried"] else ""
    assert said.splitlines()[-1].startswith(
        f"6 inputs: {n_gone} written, {6 - n_gone} failed{untried} ("
    )
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
    assert (sums["failed"], sums["not_tried"]) == (2, 1)
    assert records[1]["reason"].startswith(
        "not tried: 1 of 2 inputs failed, and --max-failures allows 0"
    )
    assert "\n2 inputs: 0 written, 2 failed, 1 of them not tried (0.0 s of audio); no" in ended.err


@pytest.mark.parametrize("output", ["out.h5", "-"])
@pytest.mark.parametrize("why", ["--max-failures", "a full disk"])
def test_inputs_that_were_not_tried_are_told_apart(output: str, why: str, tmp_path: Path) -> None:
    for number in range(30):  # each takes longer than a stop does
        write_silence(tmp_path / f"audio/{number:02}.wav", 600)
    stopping = ["--max-failures", "0"] if why == "--max-failures" else []
    if stopping:
        (tmp_path / "audio/00.wav").write_bytes(b"no audio")
    command = ["spectrogram", "audio", "-o", output, "--report", "r.jsonl", "--jobs", "1"]
    ended = subprocess.run(
        [*PROGRAM, *command, *stopping],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        timeout=300,
        check=False,
    )
    _, sums = read(tmp_path / "r.jsonl")
    assert ended.returncode == sums["exit_code"] == 1
    assert (sums["written"], sums["failed"], sums["skipped"]) == (0, 30, 0)
    assert 15 <= sums["not_tried"] < 30
    *said, closing = ended.stderr.decode().splitlines()
    assert closing.startswith(
        f"30 inputs: 0 written, 30 failed, {sums['not_tried']} of them not tried (0.0 s of audio)"
    )
    assert sum(line.startswith("failed: ") for line in said) == len(stopping) / 2


def test_no_other_input_is_tried_if_standard_input_cannot_be_kept(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 30_000))
    with (tmp_path / "a.wav").open("rb") as audio:
        ended = subprocess.run(
            [*PROGRAM, "spectrogram", "-", "a.wav", "-o", "x.h5", "--report", "r.jsonl"],
            cwd=tmp_path,
            stdin=audio,
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000)),
            timeout=300,
            check=False,
        )
    _, sums = read(tmp_path / "r.jsonl")
    assert (ended.returncode, sums["failed"], sums["not_tried"]) == (1, 2, 1)
    assert "2 inputs: 0 written, 2 failed, 1 of them not tried" in ended.stderr


# Many failures of a kind


@pytest.mark.parametrize("output", ["out.h5", "-", "dry"])
def test_many_failures_of_a_kind_are_summed_up_at_the_end(output: str, tmp_path: Path) -> None:
    write_audio(tmp_path / "audio/a.wav", reference.noise(1, 900))
    for number in range(24):
        sr = 44100 if number % 3 else 48000
        write_audio(tmp_path / f"audio/rate {number}.wav", reference.noise(1, 900), sr)
    for number in range(11):
        cut = write_audio(tmp_path / f"audio/cut {number}.wav", reference.noise(1, 900 + number))
        os.truncate(cut, 2000 + 40 * number)
        (tmp_path / f"audio/few {number}.wav").write_bytes(b"" if number < 9 else b"no audio")
    more = ["-o", "out.h5", "--dry-run"] if output == "dry" else ["-o", output]
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", "audio", *more, "--sr", "8000"],
        cwd=tmp_path,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1
    lines = (ended.stdout if output == "dry" else ended.stderr).decode().splitlines()
    assert sum(line.startswith("failed: 'audio/rate ") for line in lines) == 24
    of_rates, truncated = lines[-3:-1]
    assert of_rates == (
        "24 inputs failed: other sample rates than this run's 8,000 Hz (44,100 Hz in 16, 48,000 Hz "
        "in 8); --resample converts them, --sr 44100 makes a run at the rate of most of them"
    )
    assert truncated == (
        "11 inputs failed: truncated: the header declares N samples, N are available; "
        "--allow-truncated reads the available samples"
    )
    assert lines[-1].startswith("47 inputs: 1 ")
    assert not any(line.startswith("9 inputs") for line in lines)  # few enough to be seen


def test_kinds_of_failures_take_bounded_memory() -> None:
    counts = FailureCounts()
    for number in range(5000):
        letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        counts.add(AudioReadError(f"{letters} {'long ' * 1000}"))
        reason = f"'{letters}' has {number:,} of b'{letters}', {number / 7:.3f} s"
        counts.add(AudioReadError(reason))
    assert list(counts.lines()) == ["5,000 inputs failed: '...' has N of '...', N s"]


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
