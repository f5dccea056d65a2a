"""Outputs put together: shards to the bytes of the single run, and nothing that is not sound."""

import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli import merging
from kapre_cli.formats import hdf5_writer as hdf5
from kapre_cli.outputs.existing import Existing
from kapre_cli.resume.work_dir import WorkDir
from tests import reference
from tests.conftest import PROGRAM, Ended, blocks_of, files_below, write_audio
from tests.stress.runs import content, make_audio
from tests.test_storage import SPOILS, spoil, unsign

MEL = ("melspectrogram", "--n-dft", 256, "--n-hop", 100, "--n-mels", 20)

# Suffixes of outputs with what makes them.
OUTPUTS: dict[str, tuple[object, ...]] = {
    ".h5": (),
    " gzip.h5": ("--compression", "gzip", "--decibel"),
    " lzf.h5": ("--compression", "lzf", "--dtype", "float16", "--data-format", "channels_first"),
    " half": ("--dtype", "float16", "--decibel"),
    "": (),
}


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let arrays have several blocks, and several chunks in each."""
    monkeypatch.setattr(hdf5, "MAX_CHUNK_VALUES", 2**10)
    with blocks_of(2**13):
        yield


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make twelve inputs in several folders, one of them truncated; the longest has many blocks."""
    folder = make_audio(tmp_path / "audio")
    for number in range(6):
        write_audio(folder / f"more/{number}.wav", reference.noise(1, 1500, number))
    return folder


def shards(program: Any, of: int, suffix: str, *arguments: object) -> list[Path]:
    """Extract all shards, and return their outputs."""
    folder = Path("parts")
    folder.mkdir()
    outputs = []
    for index in range(1, of + 1):
        outputs.append(folder / f"{index}{suffix}")
        ended = program(*arguments, "-o", outputs[-1], "--shard", f"{index}/{of}")
        assert ended.code in (0, 1), ended.err
    return outputs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("of", [1, 2, 5, 14])
@pytest.mark.parametrize("suffix", OUTPUTS)
def test_shards_merged_are_the_single_run(
    suffix: str, of: int, audio: Path, here: Path, program: Any
) -> None:
    arguments = (*MEL, audio, "--sr", 8000, *OUTPUTS[suffix])
    single, merged = here / f"single/x{suffix}", here / f"merged/x{suffix}"
    single.parent.mkdir()
    merged.parent.mkdir()
    ended = program(*arguments, "-o", single)
    assert (ended.code, "12 inputs: 11 written, 1 failed" in ended.err) == (1, True)
    outputs = shards(program, of, suffix, *arguments)
    if of == 14:
        assert any(not keys_of(output) for output in outputs)
    ended = program("merge", *sorted(outputs), "-o", merged)  # 10 before 2
    noun = "output" if of == 1 else "outputs"
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"{of} {noun}: 11 arrays -> '{merged}'\n"
    assert content(merged) == content(single)
    assert os.listdir(merged.parent) == [merged.name]
    # What was merged is a whole output: a run finds nothing to be done.
    ended = program(*arguments, "-o", merged, "--resume")
    assert "11 skipped" in ended.err
    assert content(merged) == content(single)


def keys_of(output: Path) -> list[str]:
    with kapre_cli.open_features(output) as features:
        return list(features)


@pytest.mark.usefixtures("small_pieces")
def test_merges_can_be_merged_and_formats_changed(audio: Path, here: Path, program: Any) -> None:
    for output in ("single.h5", "single"):
        program(*MEL, audio, "-o", output)
    one, two, three, four = shards(program, 4, ".h5", *MEL, audio)
    assert program("merge", two, one, "--allow-missing", "-o", "first").code == 0
    assert program("merge", four, three, "--allow-missing", "-o", "second.h5").code == 0
    quiet = program("merge", "first", "second.h5", "--quiet", "-o", "all")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    assert content(here / "all") == content(here / "single")
    assert program("merge", "all", "-o", "all.h5").code == 0
    assert program("merge", "all.h5", "--format", "hdf5", "-o", "named otherwise").code == 0
    for name in ("all.h5", "named otherwise"):
        assert Path(name).read_bytes() == Path("single.h5").read_bytes()
    key = keys_of(here / "all")[0]
    program(*MEL, audio / key, "-o", "one.npy", "--root", audio)
    assert program("merge", "one.npy", "-o", "one.h5").code == 0
    assert program("merge", "one.h5", "-o", "again.npy").code == 0
    assert Path("again.npy").read_bytes() == Path("one.npy").read_bytes()
    assert Path("again.npy.json").read_bytes() == Path("one.npy.json").read_bytes()
    refused = program("merge", "all.h5", "-o", "several.npy")
    assert (refused.code, "would be one array, but there are" in refused.err) == (2, True)


def test_compression_is_dropped_on_the_way_to_npy(audio: Path, here: Path, program: Any) -> None:
    program(*MEL, audio, "-o", "packed.h5", "--compression", "gzip")
    program(*MEL, audio, "-o", "single")
    assert program("merge", "packed.h5", "-o", "merged").code == 0
    assert content(here / "merged") == content(here / "single")


def test_outputs_that_are_no_shards_stay_in_the_order_given(
    audio: Path, here: Path, program: Any
) -> None:
    folders = [folder for folder in sorted(audio.iterdir()) if folder.is_dir()]
    for folder in folders:
        program(*MEL, folder, "-o", f"{folder.name}.h5", "--root", audio)
    names = [f"{folder.name}.h5" for folder in folders]
    assert program("merge", *reversed(names), "-o", "all.h5").code == 0
    expected = [key for name in reversed(names) for key in keys_of(here / name)]
    assert keys_of(here / "all.h5") == expected
    assert expected != sorted(expected)
    # Shards of another list among them: in the places that shards have, in their own order.
    one, two, three = shards(program, 3, ".h5", *MEL, *sorted(audio.glob("*.*")), "--root", audio)
    assert program("merge", three, names[1], one, two, "-o", "mixed.h5").code == 0
    order = (one, names[1], two, three)
    assert keys_of(here / "mixed.h5") == [key for name in order for key in keys_of(Path(name))]


def test_compressed_chunks_are_copied_as_they_are(here: Path, program: Any) -> None:
    """A chunk that zlib packs otherwise here, and one that is not packed at all, stay so."""
    write_audio(here / "a.wav", reference.noise(1, 30_000))
    assert program(*MEL, "a.wav", "-o", "a.h5", "--compression", "gzip").code == 0
    with h5py.File("a.h5", "r+") as file:
        dataset = file["features/a.wav"]
        assert dataset.chunks == (20, 256, 1)
        shuffled = [zlib.decompress(dataset.id.read_direct_chunk((0, t, 0))[1]) for t in (0, 256)]
        dataset.id.write_direct_chunk((0, 0, 0), zlib.compress(shuffled[0], 0))
        dataset.id.write_direct_chunk((0, 256, 0), shuffled[1], filter_mask=2)
        raw_chunks = [dataset.id.read_direct_chunk((0, t, 0)) for t in (0, 256)]
        values = dataset[()]
    assert program("merge", "a.h5", "-o", "copy.h5").code == 0
    with h5py.File("copy.h5") as file:
        dataset = file["features/a.wav"]
        assert [dataset.id.read_direct_chunk((0, t, 0)) for t in (0, 256)] == raw_chunks
        np.testing.assert_array_equal(dataset[()], values)


def test_arrays_that_are_chunked_otherwise_are_packed_anew(here: Path, program: Any) -> None:
    write_audio(here / "a.wav", reference.noise(2, 30_000))
    assert program(*MEL, "a.wav", "-o", "a.h5", "--compression", "gzip").code == 0
    expected = Path("a.h5").read_bytes()

    def rechunk(file: Any) -> None:
        old = file["features/a.wav"]
        values, metadata = old[()], old.attrs["input"]
        del file["features/a.wav"]
        anew = file["features"].create_dataset(
            "a.wav", data=values, chunks=(3, 7, 2), compression="lzf"
        )
        anew.attrs["input"] = metadata

    spoil(here / "a.h5", rechunk)
    assert program("merge", "a.h5", "-o", "copy.h5").code == 0
    assert Path("copy.h5").read_bytes() == expected


# What is refused


@pytest.fixture
def parts(here: Path, audio: Path, program: Any) -> list[Path]:
    assert audio.parent == here
    return shards(program, 3, ".h5", *MEL, audio)


def refused(program: Any, *arguments: object) -> str:
    """Merge, hold that this is a usage error that changes nothing, and return the message."""
    before = content(Path.cwd())
    output, *inputs = arguments
    ended: Ended = program("merge", *inputs, "-o", output)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert "Traceback" not in ended.err
    assert content(Path.cwd()) == before
    return " ".join(ended.err.split())


@pytest.mark.usefixtures("here")
def test_other_settings_are_refused_with_the_difference(audio: Path, program: Any) -> None:
    others: dict[str, tuple[object, ...]] = {
        "n_mels: 21, not 20": (*MEL, "--n-mels", 21),
        "sr: 16000, not 8000": (*MEL, "--sr", 16000, "--resample"),
        "dtype: 'float16', not 'float32'": (*MEL, "--dtype", "float16"),
        "compression: 'gzip', not 'none'": (*MEL, "--compression", "gzip"),
        "non_finite: 'zero', not 'fail'": (*MEL, "--non-finite", "zero"),
        "allow_truncated: True, not False": (*MEL, "--allow-truncated"),
        "mono: True, not False": (*MEL, "--mono"),
        "layer: 'Spectrogram', not 'Melspectrogram'": ("spectrogram",),
    }
    program(*MEL, audio / "a.wav", "-o", "one.h5")
    for difference, arguments in others.items():
        program(*arguments, audio / "long.flac", "-o", "two.h5", "--overwrite")
        message = refused(program, "x.h5", "one.h5", "two.h5")
        assert "'two.h5' was made with other settings than 'one.h5' (" in message
        assert difference in message


def test_shards_that_are_missing_are_named(parts: list[Path], here: Path, program: Any) -> None:
    message = refused(program, "x.h5", parts[2], parts[0])
    assert "1 shard of the list of inputs of 'parts/1.h5' is missing: 2/3" in message
    message = refused(program, "x.h5", parts[1])
    assert "2 shards of the list of inputs of 'parts/2.h5' are missing: 1/3, 3/3" in message
    assert program("merge", parts[2], parts[0], "--allow-missing", "-o", "x.h5").code == 0
    assert keys_of(here / "x.h5") == keys_of(parts[0]) + keys_of(parts[2])


def test_shards_of_lists_that_differ_are_told_apart(
    parts: list[Path], audio: Path, program: Any
) -> None:
    """A file that came while the jobs were started would be in no part, or in two."""
    n_bytes = sum(path.stat().st_size for path in audio.rglob("*.*"))
    write_audio(audio / "z/z.wav", reference.noise(1, n_bytes // 4))  # twice as much in all
    before = keys_of(parts[0]) + keys_of(parts[2])
    program(*MEL, audio, "-o", parts[1], "--shard", "2/3", "--overwrite")
    assert set(before) & set(keys_of(parts[1]))
    message = refused(program, "x.h5", *parts)
    assert "is missing: 2/3 ('parts/2.h5' is 2/3 of another list: inputs were added" in message
    for index, part in enumerate(parts, 1):
        program(*MEL, audio, "-o", part, "--shard", f"{index}/3", "--resume")
    assert program("merge", *parts, "-o", "x.h5").code == 0
    program(*MEL, audio, "-o", "single.h5")
    assert Path("x.h5").read_bytes() == Path("single.h5").read_bytes()


def test_equal_keys_and_equal_shards_are_refused(
    parts: list[Path], audio: Path, here: Path, program: Any
) -> None:
    message = refused(program, "x.h5", *parts, parts[1])
    assert "'parts/2.h5' and 'parts/2.h5' are both shard 2/3 of one list" in message
    program(*MEL, audio / "a.wav", "-o", "again.h5", "--root", audio)
    message = refused(program, "x.h5", *parts, "again.h5")
    assert "'parts/1.h5' and 'again.h5' both have an array 'a.wav'" in message
    write_audio(here / "other/a.wav/b.wav", reference.noise(1, 1000))
    program(*MEL, here / "other", "-o", "below.h5")
    message = refused(program, "x.h5", "below.h5", *parts)
    assert "'a.wav' in 'parts/1.h5' is a folder of 'a.wav/b.wav' in 'below.h5'" in message


def test_names_that_the_output_cannot_hold_are_refused(here: Path, program: Any) -> None:
    write_audio(here / "one/a.wav", reference.noise(1, 1000))
    write_audio(here / "two/a.wav.npy/b.wav", reference.noise(1, 1000))
    for name in ("one", "two"):
        program(*MEL, name, "-o", f"{name}.h5")
    assert "would be a file and a folder" in refused(program, "x", "one.h5", "two.h5")
    assert program("merge", "one.h5", "two.h5", "-o", "x.h5").code == 0


def test_outputs_that_may_not_be_replaced_are_left_alone(
    parts: list[Path], here: Path, audio: Path, program: Any
) -> None:
    program(*MEL, audio / "a.wav", "-o", "old.h5")
    program(*MEL, audio / "a.wav", "-o", "old")
    for name in ("old.h5", "old"):
        message = refused(program, name, *parts)
        assert f"the output '{name}' exists; --overwrite replaces it once" in message
    Path("old/mine.txt").write_text("mine")
    assert "was not made by this program" in refused(program, "old", *parts, "--overwrite")
    assert "is not empty and not an output" in refused(program, "audio", *parts, "--overwrite")
    assert "is one of the inputs" in refused(program, parts[0], *parts, "--overwrite")
    os.symlink(parts[0], "link.h5")
    assert "is one of the inputs" in refused(program, "link.h5", *parts, "--overwrite")
    assert "does not exist; make it first" in refused(program, "gone/x.h5", *parts)
    assert "there is no output 'gone.h5'" in refused(program, "x.h5", *parts, "gone.h5")
    assert "Missing argument 'INPUTS...'" in refused(program, "x.h5")
    assert "standard output (-)" in refused(program, "-", *parts)
    assert program("merge", *parts, "--overwrite", "-o", "old.h5").code == 0
    assert len(keys_of(here / "old.h5")) == 11


def test_work_of_an_interrupted_run_is_not_thrown_away(
    parts: list[Path], audio: Path, here: Path, program: Any
) -> None:
    from tests.test_resume import interrupted

    assert interrupted(program, (*MEL, audio, "-o", "x.h5"), after=5).code == 130
    message = refused(program, "all.h5", *parts, "x.h5.partial")
    assert "'x.h5.partial' is the work of a run that has not ended" in message
    assert "holds the work of a run that did not reach its end" in refused(program, "x.h5", *parts)
    before = content(here)
    assert "resume that run, or name another" in refused(program, "x.h5", *parts, "--overwrite")
    assert content(here) == before


@pytest.mark.parametrize("output", ["x.h5", "x", "x.npy"])
def test_an_array_of_another_recording_of_that_name_is_not_replaced(
    output: str, here: Path, program: Any
) -> None:
    """Two sites have recordings of one name."""
    for site in (1, 2):
        write_audio(here / f"{site}/a.wav", reference.noise(1, 900, site))
        assert program(*MEL, f"{site}", "-o", f"{site}.h5").code == 0
    assert program(*MEL, "2", "-o", output).code == 0
    before = content(here)
    message = refused(program, output, here / "1.h5", "--overwrite")
    assert "has 1 array that none of the inputs has ('a.wav' of another recording)" in message
    assert content(here) == before
    assert program("merge", "2.h5", "-o", output, "--overwrite").code == 0


def test_nothing_to_merge_is_an_output_without_arrays(
    audio: Path, here: Path, program: Any
) -> None:
    one, two = shards(program, 2, ".h5", *MEL, audio / "a.wav")
    assert (
        program("merge", one, "--allow-missing", "-o", "x.h5").err
        == "1 output: 0 arrays -> 'x.h5'\n"
    )
    assert keys_of(here / "x.h5") == []
    assert "the inputs have no array" in refused(program, "x.npy", one, "--allow-missing")
    assert program("merge", one, two, "-o", "x.npy").code == 0


# What is damaged or means harm


def damaged(program: Any, *arguments: object) -> str:
    """Merge, hold that this fails and publishes nothing, and return the message."""
    before = content(Path.cwd())
    output, *inputs = arguments
    ended: Ended = program("merge", *inputs, "-o", output)
    assert (ended.code, ended.out) == (1, ""), ended.err
    assert "Traceback" not in ended.err
    assert ended.err.endswith("no output is written or changed\n")
    assert content(Path.cwd()) == before
    assert not list(Path.cwd().glob("*.partial"))
    return ended.err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("suffix", [".h5", " gzip.h5", ""])
def test_a_damaged_array_is_named_and_nothing_is_published(
    suffix: str, audio: Path, program: Any
) -> None:
    parts = shards(program, 2, suffix, *MEL, audio, *OUTPUTS[suffix])
    assert program("merge", *parts, "-o", f"x{suffix}").code == 0
    if suffix:
        with h5py.File(parts[1], "r+") as file:
            file["features/night 2/d.wav"][3, 4] = 0.25
    else:
        with (parts[1] / "night 2/d.wav.npy").open("r+b") as array:
            array.seek(500)
            array.write(b"damage")
    message = damaged(program, f"x{suffix}", *parts, "--overwrite")
    assert f"'{parts[1]}' cannot be merged: 'night 2/d.wav' is damaged: its values have" in message


@pytest.mark.parametrize("spoilt", SPOILS)
def test_hostile_or_broken_parts_are_refused(spoilt: str, here: Path, program: Any) -> None:
    for name in ("a.wav", "b.wav"):
        write_audio(here / name, reference.noise(1, 4000))
    program(*MEL, "a.wav", "-o", "a.h5")
    program(*MEL, "b.wav", "-o", "b.h5")
    change, _ = SPOILS[spoilt]
    spoil(here / "a.h5", change)
    assert "'a.h5' cannot be " in damaged(program, "x.h5", "b.h5", "a.h5")


def test_arrays_of_another_type_than_their_output_says_are_refused(
    here: Path, program: Any
) -> None:
    write_audio(here / "a.wav", reference.noise(1, 4000))
    program(*MEL, "a.wav", "-o", "a")
    values = np.load("a/a.wav.npy")
    for dtype in ("<f8", ">f4"):
        np.save("a/a.wav.npy", values.astype(dtype))
        assert f"'a.wav' is of {np.dtype(dtype)}, its output's metadata has float32" in damaged(
            program, "x.h5", "a"
        )


def test_links_out_of_a_folder_are_not_followed(here: Path, program: Any) -> None:
    write_audio(here / "a.wav", reference.noise(1, 4000))
    program(*MEL, "a.wav", "-o", "a")
    os.rename("a/a.wav.npy", "secret.npy")
    os.symlink(here / "secret.npy", "a/a.wav.npy")
    assert "is a link that leads out of the output" in damaged(program, "x.h5", "a")


# Versions


def with_versions(output: Path, **versions: str) -> None:
    root = output / "kapre-extract.json"
    metadata = json.loads(root.read_text())
    metadata["versions"] |= versions
    root.write_text(json.dumps(metadata))
    unsign(root)


@pytest.mark.usefixtures("here")
def test_all_versions_behind_the_arrays_are_named(audio: Path, program: Any) -> None:
    one, two, three, empty = parts = [Path(name) for name in ("one", "two", "three", "empty")]
    for name, part in zip(("a.wav", "long.flac", "more"), parts, strict=False):
        program(*MEL, audio / name, "-o", part, "--root", audio)
    program(*MEL, audio / "a.wav", "-o", empty, "--shard", "1/2")
    with_versions(one, numpy="2.3.0")
    with_versions(two, numpy="2.4.1", scipy="1.0")
    with_versions(three, numpy="2.3.0", scipy="1.0")
    with_versions(empty, numpy="0.1")  # which has computed nothing
    ended = program("merge", empty, *parts[:3], "--allow-missing", "-o", "x.h5")
    assert ended.code == 0
    assert ended.err.startswith(
        "note: not all arrays were computed with the same versions (numpy 2.3.0, 2.4.1); "
    )
    with kapre_cli.open_features("x.h5") as features:
        assert features.versions["numpy"] == "2.3.0, 2.4.1"
        assert features.versions["scipy"] == "1.0"
    assert program("merge", one, two, "-o", "first.h5").code == 0
    assert program("merge", "first.h5", three, "-o", "again.h5").code == 0
    assert Path("again.h5").read_bytes() == Path("x.h5").read_bytes()


# Interruptions, and processes


def test_an_interruption_leaves_what_stood_there(
    parts: list[Path], here: Path, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(*MEL, audio / "a.wav", "-o", "x.h5")
    before = content(here)

    def stop(number: int) -> Callable[..., None]:
        return lambda *_: os.kill(os.getpid(), number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with monkeypatch.context() as context:
            context.setattr(merging, "check_written", stop(number))
            ended = program("merge", *parts, "--overwrite", "-o", "x.h5")
        assert ended.code == 128 + number
        assert "no output was written or changed" in ended.err
        assert content(here) == before
        assert "x.h5.partial" not in files_below(here)
    publish = WorkDir.publish

    def stopped_late(work_dir: WorkDir, existing: Existing) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        publish(work_dir, existing)

    with monkeypatch.context() as context:
        context.setattr(WorkDir, "publish", stopped_late)
        ended = program("merge", *parts, "--overwrite", "-o", "x.h5")
    assert (ended.code, ended.err) == (0, "3 outputs: 11 arrays -> 'x.h5'\n")


def test_more_outputs_are_merged_than_files_may_be_open(here: Path, program: Any) -> None:
    for number in range(40):
        write_audio(here / f"audio/{number:02}.wav", reference.noise(1, 300, number))
    parts = shards(program, 40, ".h5", *MEL, "audio")
    program(*MEL, "audio", "-o", "single.h5")
    command = f"ulimit -n 30 && exec {sys.executable} -m kapre_cli merge parts/*.h5 -o x.h5"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=300
    )
    assert (ended.returncode, ended.stderr) == (0, "40 outputs: 40 arrays -> 'x.h5'\n")
    assert Path("x.h5").read_bytes() == Path("single.h5").read_bytes()
    assert len(parts) == 40


def test_odd_names_are_merged_and_printed_escaped(here: Path, at_once: Any) -> None:
    odd = "-\n'ü\x1b[31m.h5"
    write_audio(here / "a.wav", reference.noise(1, 1000))
    write_audio(here / "b.wav", reference.noise(1, 1000))
    assert at_once("spectrogram", "a.wav", "-o", odd, cwd=here).code == 0
    assert at_once("spectrogram", "b.wav", "-o", "b.h5", cwd=here).code == 0
    ended = at_once("merge", "-o", f"merged {odd}", "--", odd, "b.h5", cwd=here)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.endswith(f"2 outputs: 2 arrays -> {f'merged {odd}'!r}\n")
    assert keys_of(here / f"merged {odd}") == ["a.wav", "b.wav"]
    ended = at_once("merge", "-o", odd, "--", odd, cwd=here)
    assert (ended.code, "\x1b" in ended.err, "is one of the inputs" in ended.err) == (
        2,
        False,
        True,
    )


def test_messages_into_a_closed_pipe(here: Path, program: Any) -> None:
    write_audio(here / "a.wav", reference.noise(1, 1000))
    program(*MEL, "a.wav", "-o", "a.h5")
    command = [*PROGRAM, "merge", "a.h5", "-o", "x.h5"]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(command, stderr=write, check=False, timeout=120)
    os.close(write)
    assert ended.returncode == 1  # a message is lost, the work is done
    assert keys_of(here / "x.h5") == ["a.wav"]
