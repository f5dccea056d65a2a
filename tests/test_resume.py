"""Going on where a run stopped, and bringing a finished output up to date."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.engines import batches
from kapre_cli.engines.batches import ChannelBlock
from kapre_cli.extraction import disk_usage
from kapre_cli.extraction.executor import previews
from kapre_cli.extraction.tasks import Preview
from kapre_cli.inputs import Source
from kapre_cli.outputs.locked_folders import MARKER
from tests import reference
from tests.conftest import Ended, blocks_of, files_below, interrupted_after, write_audio
from tests.stress.runs import check_valid, content

SMALL = ("--n-dft", 256, "--n-hop", 100, "--n-mels", 20)
OUTPUTS = ("out.h5", "out", "out.npy")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    write_audio(folder / "a.wav", reference.noise(1, 5000, 1), subtype="PCM_16")
    write_audio(folder / "b.flac", reference.noise(2, 9000, 2))
    write_audio(folder / "site/c.wav", reference.noise(3, 7000, 3))
    return folder


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the frames that are computed."""
    frames: list[int] = []
    before = batches.run_batches

    def run(segments: Any, *more: Any) -> None:
        def counted() -> Any:
            for segment in segments:
                assert isinstance(segment, ChannelBlock)
                frames.append(len(segment.results))
                yield segment

        before(counted(), *more)

    monkeypatch.setattr(batches, "run_batches", run)
    return frames


def inputs_of(audio: Path, output: Path) -> Path:
    return audio / "b.flac" if output.suffix == ".npy" else audio


@pytest.fixture
def small_blocks() -> Iterator[None]:
    """Let blocks of :data:`SMALL` have 16 frames."""
    with blocks_of(2**11):
        yield


def interrupted(program: Any, arguments: tuple[object, ...], after: int) -> Ended:
    """Run the program until so many blocks are in the journal."""
    with blocks_of(2**11), interrupted_after(after):
        ended: Ended = program(*arguments)
    return ended


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupted_run_goes_on_and_writes_the_same_bytes(
    name: str,
    audio: Path,
    tmp_path: Path,
    program: Any,
    computed: list[int],
) -> None:
    output, inputs = tmp_path / name, inputs_of(audio, tmp_path / name)
    arguments = ("melspectrogram", inputs, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    whole, all_frames = content(output), sum(computed)
    assert all_frames > 0
    shutil.rmtree(output) if output.is_dir() else output.unlink()
    output.with_name("out.npy.json").unlink(missing_ok=True)

    ended = interrupted(program, arguments, after=5)
    assert ended.code == 130
    assert "interrupted: no output was written or changed" in ended.err
    assert f"kept in '{output}.partial'; the same command with --resume goes on" in ended.err
    assert content(output) is None
    refused = program(*arguments)
    assert refused.code == 2
    assert "--resume goes on with it, --overwrite starts over" in refused.err

    computed.clear()
    ended = program(*arguments, "--resume")
    assert ended.code == 0, ended.err
    check_valid(ended_as_run(ended))
    assert 0 < sum(computed) < all_frames
    assert content(output) == whole
    assert f"{name}.partial" not in files_below(tmp_path)


def ended_as_run(ended: Ended) -> Any:
    from tests.stress.runs import Ended as RunEnded

    return RunEnded(ended.code, ended.err, 0)


@pytest.mark.usefixtures("small_blocks")
def test_a_long_file_goes_on_from_its_last_block(
    tmp_path: Path, program: Any, computed: list[int]
) -> None:
    path = write_audio(tmp_path / "long.wav", reference.noise(1, 60_000))
    arguments = ("melspectrogram", path, "-o", tmp_path / "out.h5", *SMALL)
    ended = interrupted(program, arguments, after=20)
    assert "0 of 1 input done and parts of 1 more: kept in" in ended.err
    computed.clear()
    assert program(*arguments, "--resume").code == 0
    n_time, block = 600, 16
    assert sum(computed) == n_time - 20 * block


@pytest.mark.parametrize("how", ["--resume", "--resume=content"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_finished_output_is_left_as_it_is(
    how: str, name: str, audio: Path, tmp_path: Path, program: Any, computed: list[int]
) -> None:
    output, inputs = tmp_path / name, inputs_of(audio, tmp_path / name)
    arguments = ("melspectrogram", inputs, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    before, changed = content(output), os.stat(output).st_mtime_ns
    computed.clear()
    ended = program(*arguments, how)
    n_inputs = 1 if name == "out.npy" else 3
    assert (ended.code, computed) == (0, [])
    assert f"'{output}' is up to date: nothing was computed" in ended.err
    assert f" 0 written, 0 failed, {n_inputs} skipped" in ended.err
    assert (content(output), os.stat(output).st_mtime_ns) == (before, changed)


@pytest.mark.parametrize("name", ["out.h5", "gzip.h5", "out"])
def test_inputs_added_changed_and_removed_bring_an_output_up_to_date(
    name: str, audio: Path, tmp_path: Path, program: Any, computed: list[int]
) -> None:
    more = ("--compression", "gzip") if name == "gzip.h5" else ()
    output, anew = tmp_path / name, tmp_path / "anew" / name
    anew.parent.mkdir()
    arguments = ("melspectrogram", audio, *SMALL, "--decibel", *more, "-o")
    assert program(*arguments, output).code == 0
    (audio / "a.wav").unlink()
    write_audio(audio / "b.flac", reference.noise(2, 9000, 5))
    write_audio(audio / "site/b.wav", reference.noise(1, 4000, 6))
    computed.clear()
    ended = program(*arguments, output, "--resume")
    assert (ended.code, "2 written, 0 failed, 1 skipped" in ended.err) == (0, True), ended.err
    assert sorted(computed) == [40, 90, 90]  # in whichever order they were read
    assert f"note: 1 array of '{output}' will be removed, since no input has its " in ended.err
    assert program(*arguments, anew).code == 0
    assert content(output) == content(anew)


def test_what_is_kept_is_decided_by_path_size_and_time(
    audio: Path, tmp_path: Path, program: Any, computed: list[int]
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    path = audio / "a.wav"
    status = path.stat()

    def resumed(how: str) -> str:
        computed.clear()
        ended = program(*arguments, how)
        assert ended.code == 0, ended.err
        return str(ended.err)

    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert "1 written, 0 failed, 2 skipped" in resumed("--resume")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 2))
    assert "0 written, 0 failed, 3 skipped" in resumed("--resume=content")
    with h5py.File(output) as file:  # its metadata is today's
        assert str(status.st_mtime_ns + 2) in file["features/a.wav"].attrs["input"].decode()
    now = path.stat()
    changed = bytearray(path.read_bytes())
    changed[100] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))
    assert "0 written, 0 failed, 3 skipped" in resumed("--resume")  # as it says it would
    assert "1 written, 0 failed, 2 skipped" in resumed("--resume=content")
    moved = audio.rename(tmp_path / "moved")
    ended = program("melspectrogram", moved, "-o", output, *SMALL, "--resume=content")
    assert "0 written, 0 failed, 3 skipped" in ended.err
    moved.rename(audio)
    assert "3 written, 0 failed (" in resumed("--resume")


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_damage_in_the_output_is_mended_not_kept(
    name: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / name
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    whole = content(output)
    if output.is_dir():
        with (output / "b.flac.npy").open("r+b") as array:
            array.seek(500)
            array.write(b"damage")
    else:
        with h5py.File(output, "r+") as file:
            file["features/b.flac"][3, 4] = 0
    ended = program(*arguments, "--resume")
    assert ended.code == 0
    assert "note: 'b.flac' is damaged in the output and is recomputed: " in ended.err
    assert "1 written, 0 failed, 2 skipped" in ended.err
    assert content(output) == whole


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_an_array_that_is_gone_from_the_output_is_computed_anew(
    name: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / name
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    whole = content(output)
    if output.is_dir():
        (output / "b.flac.npy").unlink()
    else:
        with h5py.File(output, "r+") as file:
            del file["features/b.flac"]
    ended = program(*arguments, "--resume")
    assert ended.code == 0, ended.err
    assert "1 written, 0 failed, 2 skipped" in ended.err
    assert content(output) == whole


OTHER_SETTINGS: dict[tuple[object, ...], str] = {
    ("--n-mels", 21): "n_mels: 20 before, 21 now",
    ("--decibel",): "return_decibel_melgram: False before, True now",
    ("--n-hop", 101): "n_hop: 100 before, 101 now",
    ("--mono",): "mono: False before, True now",
    ("--channel", 0): "channels: None before, [0] now",
    ("--dtype", "float64"): "dtype: 'float32' before, 'float64' now",
    ("--compression", "lzf"): "compression: 'none' before, 'lzf' now",
    ("--engine", "keras"): "engine: 'numpy' before, 'keras' now",
    ("--sr", 16000, "--resample"): "sr: 8000 before, 16000 now",
    ("--format", "npy-directory"): "is a file; a folder of .npy files was asked for",
}


def test_what_auto_stands_for_is_stored_and_compared(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    assert kapre_cli.open_features(output).root.engine == "numpy"
    for engine in ("auto", "numpy"):
        ended = program(*arguments, "--engine", engine, "--resume")
        assert (ended.code, "0 written, 0 failed, 3 skipped" in ended.err) == (0, True), ended.err


@pytest.mark.parametrize("other", OTHER_SETTINGS)
def test_other_settings_are_refused_with_the_difference(
    other: tuple[object, ...],
    audio: Path,
    tmp_path: Path,
    program: Any,
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    if "--format" not in other:
        assert interrupted(program, arguments, after=1).code == 130
        ended = program(*arguments, *other, "--resume")
        assert ended.code == 2
        assert "holds the work of a run with other settings" in ended.err
        assert OTHER_SETTINGS[other] in ended.err
    assert program(*arguments, "--overwrite").code == 0
    before = content(output)
    ended = program(*arguments, *other, "--resume")
    assert ended.code == 2
    assert OTHER_SETTINGS[other] in ended.err
    assert content(output) == before
    if "--format" in other:
        return
    assert "was made with other settings" in ended.err
    assert program(*arguments, *other, "--resume", "--overwrite").code == 0
    assert content(output) != before


def test_another_layer_is_other_settings(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    assert program("melspectrogram", audio, "-o", output, *SMALL).code == 0
    ended = program("spectrogram", audio, "-o", output, *SMALL[:4], "--resume")
    assert ended.code == 2
    assert "layer: 'Melspectrogram' before, 'Spectrogram' now" in ended.err


def test_failed_inputs_are_tried_again_and_options_may_mend_them(
    audio: Path, tmp_path: Path, program: Any, computed: list[int]
) -> None:
    output = tmp_path / "out.h5"
    broken = write_audio(audio / "nan.wav", np.full((1, 3000), np.nan))
    write_audio(audio / "other rate.wav", reference.noise(1, 3000), sr=16_000)
    truncated = write_audio(audio / "z.wav", reference.noise(1, 3000), subtype="PCM_16")
    whole = truncated.read_bytes()
    os.truncate(truncated, 3000)
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert "6 inputs: 3 written, 3 failed" in program(*arguments).err
    changed = output.stat().st_mtime_ns
    computed.clear()
    ended = program(*arguments, "--resume")
    assert "6 inputs: 0 written, 3 failed, 3 skipped" in ended.err
    assert ended.code == 1
    assert f"'{output}' is left as it is: nothing new could be read" in ended.err
    assert output.stat().st_mtime_ns == changed
    lenient = ("--resample", "--non-finite", "zero", "--allow-truncated")
    ended = program(*arguments, "--resume", *lenient)
    assert "6 inputs: 3 written, 0 failed, 3 skipped" in ended.err, ended.err
    with kapre_cli.open_features(output) as features:
        assert features["z.wav"].metadata.n_missing > 0
        assert features["nan.wav"].metadata.n_non_finite == 3000
    # Without the options, what only they let pass is not kept.
    truncated.write_bytes(whole)
    broken.unlink()
    ended = program(*arguments, "--resume")
    assert "5 inputs: 1 written, 1 failed, 3 skipped" in ended.err, ended.err


@pytest.mark.usefixtures("small_blocks")
def test_zeroed_samples_are_not_kept_for_a_run_that_keeps_them(
    tmp_path: Path, program: Any
) -> None:
    signal = reference.noise(1, 20_000)
    signal[0, 1000] = np.inf
    path = write_audio(tmp_path / "a.wav", signal)
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", path, "-o", output, *SMALL)
    interrupted(program, (*arguments, "--non-finite", "zero"), after=3)
    assert program(*arguments, "--non-finite", "keep", "--resume").code == 0
    with kapre_cli.open_features(output) as features:
        kept = features["a.wav"][:]
    assert np.isnan(kept[:, 9:11]).all()
    assert np.isfinite(kept[:, 11:]).all()
    assert program(*arguments, "--non-finite", "zero", "--resume").code == 0
    with kapre_cli.open_features(output) as features:
        assert np.isfinite(features["a.wav"][:]).all()


def test_unverified_work_does_not_stand_for_verified(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments, "--no-verify-audio").code == 0
    ended = program(*arguments, "--resume")
    assert ended.code == 2
    assert "verify_audio: False before, True now" in ended.err
    assert program(*arguments, "--overwrite").code == 0
    assert "3 skipped" in program(*arguments, "--resume", "--no-verify-audio").err


def test_an_old_output_stays_until_the_new_one_is_there(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments, "--decibel").code == 0
    before = content(output)
    assert interrupted(program, (*arguments, "--overwrite"), 3).code == 130
    assert content(output) == before
    ended = program(*arguments, "--resume")
    assert (ended.code, "before, False now" in ended.err) == (2, True)
    assert program(*arguments, "--resume", "--overwrite").code == 0
    assert content(output) != before


def test_if_every_input_fails_the_output_stays(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL, "--sr", 8000)
    assert program(*arguments).code == 0
    before = content(output)
    for path in audio.rglob("*.*"):
        path.write_bytes(b"no longer audio")
    ended = program(*arguments, "--resume")
    assert "3 inputs: 0 written, 3 failed" in ended.err
    assert "is left as it is: nothing new could be read" in ended.err
    assert content(output) == before


def test_what_is_not_an_output_is_not_resumed(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    output.write_bytes(b"something else")
    ended = program("melspectrogram", audio, "-o", output, *SMALL, "--resume")
    assert ended.code == 2
    assert f"the output '{output}' exists, and kapre-extract did not make it" in ended.err
    assert output.read_bytes() == b"something else"


def test_resume_takes_its_value_only_with_an_equals_sign(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    for _ in range(2):
        ended = program("melspectrogram", "--resume", audio, "-o", output, *SMALL)
        assert ended.code == 0, ended.err
    ended = program("melspectrogram", "--resume=size", audio, "-o", output, *SMALL)
    assert (ended.code, "'size' is not one of 'stat', 'content'" in ended.err) == (2, True)


def test_a_kill_between_the_moves_of_a_pair_is_healed(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output, partial = tmp_path / "out.npy", tmp_path / "out.npy.partial"
    arguments = ("melspectrogram", audio / "a.wav", "-o", output, *SMALL)
    assert program(*arguments).code == 0
    whole = content(output)
    partial.mkdir()
    (partial / "lock").write_bytes(MARKER)
    output.rename(partial / "replaced")
    (tmp_path / "out.npy.json").rename(partial / "replaced.json")
    (tmp_path / "out.npy.json").write_text('{"format": "kapre-extract", "of another run": 0}')
    ended = program(*arguments)
    assert (ended.code, "exists" in ended.err) == (2, True)
    assert content(output) == whole
    # Metadata without an array may be what a killed run leaves, and somebody's own.
    output.unlink()
    ended = program(*arguments)
    assert (ended.code, "of an array that is missing" in ended.err) == (2, True)
    assert program(*arguments, "--resume").code == 0
    assert content(output) == whole
    output.unlink()
    (tmp_path / "out.npy.json").write_text("somebody's own file")
    ended = program(*arguments)
    assert (ended.code, "is in the way" in ended.err) == (2, True)


def test_a_killed_run_of_another_format_is_cleared(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output, partial = tmp_path / "out.h5", tmp_path / "out.h5.partial"
    (partial / "output").mkdir(parents=True)
    (partial / "lock").write_bytes(MARKER)
    (partial / "output/a.wav.npy").write_bytes(b"")  # the run was killed while it removed these
    assert program("melspectrogram", audio, "-o", output, *SMALL).code == 0
    assert not partial.exists()


@pytest.mark.parametrize("n_bytes", [0, 1, len(MARKER) - 1])
def test_a_kill_before_the_mark_is_whole_stops_no_later_run(
    audio: Path, tmp_path: Path, program: Any, n_bytes: int
) -> None:
    output, partial = tmp_path / "out.h5", tmp_path / "out.h5.partial"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    partial.mkdir()
    (partial / "lock").write_bytes(MARKER[:n_bytes])
    (partial / "journal-1").write_bytes(b"no run has written this without a mark")
    ended = program(*arguments)
    assert (ended.code, "has no mark of this program" in ended.err) == (2, True)
    (partial / "journal-1").unlink()
    assert program(*arguments).code == 0
    assert not partial.exists()


def test_there_must_be_room_before_the_work_begins(
    audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    full = os.statvfs(tmp_path)
    little = os.statvfs_result((*full[:4], 1, *full[5:]))  # one block is free
    monkeypatch.setattr(os, "statvfs", lambda _: little)
    output = tmp_path / "out.h5"
    ended = program("spectrogram", audio, "-o", output)
    # (20 + 2 * 36 + 3 * 28) frames of 257 bins, in the journal and in the output
    n_bytes = (20 + 2 * 36 + 3 * 28) * 257 * 4 * 2
    assert ended.code == 1
    assert f"with the work beside it, at least needs {n_bytes / 1e3:.1f} kB" in ended.err
    assert "3 inputs: 0 written, 3 failed" in ended.err
    assert computed == []
    assert not any(name.startswith("out.h5") for name in files_below(tmp_path))


def test_headers_are_read_beforehand_only_where_the_disk_may_be_too_small(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write_audio(
            tmp_path / f"audio/{number}.wav", reference.noise(1, 800, number), subtype="PCM_16"
        )
    seen: list[int] = []

    def counted(sources: Sequence[Source], *more: Any) -> list[Preview]:
        seen.append(len(sources))
        return previews(sources, *more)

    monkeypatch.setattr(disk_usage, "previews", counted)
    full = os.statvfs(tmp_path)
    for free, expected in ((3 * 2**20, []), (2**20, [20])):
        blocks = free // full.f_frsize
        little = os.statvfs_result((*full[:3], blocks, blocks, *full[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _, little=little: little)
        ended = program("melspectrogram", tmp_path / "audio", "-o", tmp_path / f"{free}.h5", *SMALL)
        assert (ended.code, seen) == (0, expected), ended.err


def test_arrays_of_other_versions_are_kept_and_told_of(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert program(*arguments).code == 0
    root = output / "kapre-extract.json"
    stored = json.loads(root.read_text())
    stored["versions"]["keras"] = "3.0.0"
    del stored["crc32"], stored["manifest_crc32"]
    root.write_text(json.dumps(stored))
    ended = program(*arguments, "--resume")
    assert ended.code == 0
    assert "were computed with other versions (keras 3.0.0) and are kept" in ended.err


def test_work_for_other_inputs_is_kept_until_the_output_is_there(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    arguments = ("melspectrogram", audio, "-o", output, *SMALL)
    assert interrupted(program, arguments, after=3).code == 130
    journal = tmp_path / "out.h5.partial" / "journal-1"
    kept = journal.read_bytes()
    fewer = ("melspectrogram", audio / "site", "-o", output, *SMALL, "--resume")
    with interrupted_after(0):
        assert program(*fewer).code == 130
    assert journal.read_bytes() == kept


@pytest.mark.parametrize("resume", ["--resume", "--resume=content"])
@pytest.mark.parametrize("output", ["out.h5", "out"])
@pytest.mark.parametrize(
    "why",
    [
        *("gone", "a folder", "a link to nothing", "closed", "folder closed"),
        *("a pipe", "empty", "truncated", "no audio"),
    ],
)
def test_the_array_of_an_input_that_cannot_be_read_stays(
    why: str, output: str, resume: str, unprivileged: Path, program: Any
) -> None:
    here = unprivileged
    names = ("a.wav", "site/b.wav", "c.wav")
    for number, name in enumerate(names):
        write_audio(here / name, reference.noise(1, 4000, number))
    paths = [here / name for name in names]
    command = ("melspectrogram", *paths, "-o", here / output, *SMALL, "--root", here)
    assert program(*command).code == 0
    with kapre_cli.open_features(here / output) as features:
        before = {key: features[key].metadata.crc32 for key in features}
    lost = paths[1]
    if why == "closed":
        os.utime(lost, (1, 1))  # else nothing has to be read of it
        lost.chmod(0)
    elif why == "folder closed":
        lost.parent.chmod(0)
    elif why in ("empty", "truncated", "no audio"):
        content = {"empty": b"", "truncated": lost.read_bytes()[:5000], "no audio": b"no " * 99}
        lost.write_bytes(content[why])
    else:
        lost.rename(here / "aside")
        if why == "a folder":
            lost.mkdir()
        elif why == "a link to nothing":
            lost.symlink_to("nothing")
        elif why == "a pipe":
            os.mkfifo(lost)
    write_audio(paths[2], reference.noise(1, 6000, 9))  # so that there is something to do
    ended = program(*command, resume)
    lost.parent.chmod(0o755)
    assert ended.code == 1, ended.err
    assert str(lost) in ended.err
    assert "1 array of an earlier run stays" in ended.err
    with kapre_cli.open_features(here / output) as features:
        after = {key: features[key].metadata.crc32 for key in features}
        for key in features:
            features[key].verify()
    assert list(after) == list(before)
    assert [after[name] == before[name] for name in names] == [True, True, False]
    assert "1 written, 1 failed, 1 skipped" in ended.err


@pytest.mark.parametrize("output", ["out.h5", "out"])
def test_finished_work_of_an_input_that_cannot_be_opened_stays(
    output: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    command = ("melspectrogram", audio, "-o", tmp_path / output, *SMALL, "-j", 1)
    with interrupted_after(2):
        assert program(*command).code == 130
    (audio / "a.wav").rename(tmp_path / "aside.wav")
    named = ("melspectrogram", *(audio / n for n in ("a.wav", "b.flac", "site/c.wav")))
    ended = program(*named, *command[2:], "--root", audio, "--resume")
    assert ended.code == 1, ended.err
    with kapre_cli.open_features(tmp_path / output) as features:
        assert list(features) == ["a.wav", "b.flac", "site/c.wav"]
        for key in features:
            features[key].verify()
