"""kapre-extract verify: what was written is correct, and each thing that is wrong is named."""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.cli import run
from kapre_cli.events import ignore
from kapre_cli.inspect.recompute import Recomputation
from kapre_cli.layers import SpectrogramConfig
from tests import reference
from tests.conftest import PROGRAM, write_audio
from tests.tears import counted
from tests.test_hostile import HDF5, MEL, NPY, ROWS, column, edit, without_checksums
from tests.test_terminal import shown_by

FORMATS = ("out.h5", "out", "out.npy")
SHAPE = (8, 25, 1)  # mel, time, channel of "a.wav"
KEYS = ("a.wav", "site/b.wav")
CHANGED = "has changed: its SHA-256 is another"
CLOSE = "to within 2e-05 of the largest value"
N_TEARS = {"out.h5": 120, "out": 60}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with one output of each format beside its audio."""
    folder = tmp_path_factory.mktemp("originals")
    for number, key in enumerate(KEYS):
        write_audio(folder / "audio" / key, reference.noise(1, 800 + 100 * number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        for name in FORMATS:
            audio = folder / "audio" / ("a.wav" if name == "out.npy" else "")
            assert run(["melspectrogram", str(audio), "-o", str(folder / name), *MEL]) == 0
    return folder


@pytest.fixture
def work(originals: Path, tmp_path: Path) -> Path:
    """Give copies of the outputs that may be spoilt."""
    return Path(shutil.copytree(originals, tmp_path / "work"))


def lines(ended: Any) -> list[str]:
    """Return what a check printed; it printed nothing else, and no control character."""
    assert ended.err == ""
    assert ended.out.replace("\n", "").isprintable()
    told: list[str] = ended.out.splitlines()
    return told


# What is right


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_is_right(name: str, work: Path, program: Any) -> None:
    ended = program("verify", work / name)
    n_inputs = "1 input: 1" if name == "out.npy" else "2 inputs: 2"
    assert lines(ended) == [f"'{work / name}': {n_inputs} correct, 0 wrong"]
    assert ended.code == 0


SETTINGS: dict[str, tuple[str, ...]] = {
    "decibels": ("spectrogram", "--decibel", "--power", "1"),
    "halves": ("melspectrogram", "--n-mels", "9", "--dtype", "float16", "--decibel"),
    "doubles": ("spectrogram", "--dtype", "float64", "--data-format", "channels_first"),
    "packed": ("melspectrogram", "--compression", "gzip", "--padding", "valid", "--n-mels", "5"),
    "kept": ("spectrogram", "--non-finite", "keep", "--decibel"),
    "zeros": ("spectrogram", "--non-finite", "zero", "--mono"),
    "resampled": ("melspectrogram", "--sr", "11025", "--resample", "--channel", "0"),
    "long": ("spectrogram", "--allow-truncated", "--max-samples", "5000"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_results_of_all_settings_are_right(case: str, tmp_path: Path, program: Any) -> None:
    audio = tmp_path / "audio"
    for n_channels in (1, 2):
        samples = reference.noise(n_channels, 3000)
        if case in ("kept", "zeros"):
            samples[0, 1000:1010] = [np.nan, np.inf, *8 * [-np.inf]]
        path = write_audio(audio / f"{n_channels} ä%41.wav", samples)
        if case == "long":
            path.write_bytes(path.read_bytes()[:-8])
    command, *more = SETTINGS[case]
    for name in ("out.h5", "out"):
        if case == "packed" and name == "out":
            more = [option for option in more if option not in ("--compression", "gzip")]
        output = tmp_path / name
        ended = program(command, audio, "-o", output, "--n-dft", 128, *more)
        assert ended.code == 0, ended.err
        ended = program("verify", output, "--against", audio, "--all")
        assert lines(ended) == [
            f"'{output}': 2 inputs: 2 correct, 0 wrong; 2 recomputed, bit for bit"
        ]
        assert ended.code == 0


@pytest.mark.parametrize(("name", "n_values"), [("out.h5", 2**22), ("out", 2**20)])
def test_long_arrays_are_looked_at_in_parts(
    name: str, n_values: int, tmp_path: Path, program: Any
) -> None:
    """They have more values than are read at once."""
    n_time = n_values // (64 * 2) + 1000
    place = (7, n_time - 500, 1)
    output = tmp_path / name
    write_audio(tmp_path / "audio/a.wav", reference.noise(2, 4 * n_time))
    layer = ("--n-dft", 256, "--n-hop", 4, "--n-mels", 64)
    assert program("melspectrogram", tmp_path / "audio", "-o", output, *layer).code == 0
    ended = program("verify", output, "--against", tmp_path / "audio")
    assert (ended.code, len(lines(ended))) == (0, 1)
    rewrite(output, "a.wav", place, -1.0)
    ended = program("verify", output)
    assert ended.code == 1
    assert (
        "wrong: 'a.wav': it has 1 value beyond what magnitudes can be, such as -1"
        in lines(ended)[0]
    )
    rewrite(output, "a.wav", place, 1e-3)
    ended = program("verify", output, "--against", tmp_path / "audio")
    assert ended.code == 1
    of = 64 * n_time * 2
    assert f"1 of {of:,} values differ from the recomputed ones, by up to " in ended.out
    with kapre_cli.open_features(output) as features:
        seconds, hertz = features["a.wav"].times[place[1]], features.frequency[7]
    assert f" at {seconds:.4f} s, {hertz:.1f} Hz, channel 1\n" in ended.out


def test_inputs_are_computed_again_in_lots(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, output = tmp_path / "audio", tmp_path / "out.h5"
    for number in range(5):
        write_audio(audio / f"{number}.wav", reference.noise(1, 2000, number))
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    write_audio(audio / "3.wav", reference.noise(1, 2000, 9))
    found: list[tuple[str, str]] = []
    with kapre_cli.open_features(output) as features:
        n_bytes = features["0.wav"][:].nbytes
        for lot_bytes in (1, n_bytes + 1, 2**28):
            found.clear()
            monkeypatch.setattr("kapre_cli.inspect.recompute._CHUNK_BYTES", lot_bytes)
            again = Recomputation(features, audio, {}, lambda *fault: found.append(fault), ignore)
            again.check(list(features))
            assert again.n_inputs == 4
            ((key, why),) = found
            assert (key, "its SHA-256 is another" in str(why)) == ("3.wav", True)


# What is wrong with arrays


def rewrite(output: Path, key: str, place: Any, value: float, dtype: str = "<f4") -> None:
    """Change values of an array and do what whoever tampers with it has to do beside."""
    metadata: dict[str, Any]
    if output.is_dir() or output.suffix == ".npy":
        file = output / f"{key}.npy" if output.is_dir() else output
        values = np.load(file).astype(dtype)
        values[place] = value
        np.save(file, values)
        if output.is_dir():
            edit(output / "kapre-extract.json", without_checksums)
            manifest = output / "manifest.jsonl"
            rows = [json.loads(row) for row in manifest.read_text().splitlines()]
            for row in rows:
                if row["key"] == key:
                    row["crc32"] = zlib.crc32(values.tobytes())
            manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        else:

            def resign(root: dict[str, Any]) -> None:
                without_checksums(root)
                root["input"]["crc32"] = zlib.crc32(values.tobytes())

            edit(output.with_name("out.npy.json"), resign)
        return
    with h5py.File(output, "r+") as file5:
        values = file5[f"features/{key}"][()].astype(dtype)
        values[place] = value
        attributes = dict(file5[f"features/{key}"].attrs)
        del file5[f"features/{key}"]
        made = file5.create_dataset(f"features/{key}", data=values)
        metadata = json.loads(attributes["input"]) | {"crc32": zlib.crc32(values.tobytes())}
        made.attrs["input"] = np.bytes_(json.dumps(metadata))
        keys = file5["keys"][:].tobytes().decode().split("\0")
        checksums = file5["index"]["crc32"]
        checksums[keys.index(key)] = metadata["crc32"]
        column("crc32", checksums, "<u4")(file5)


VALUES: dict[str, tuple[float, str, str]] = {
    "NaN": (np.nan, "<f4", "it has 10 values that should not be NaN"),
    "infinity": (-np.inf, "<f4", "it has 10 infinite values"),
    "less than nothing": (
        -0.5,
        "<f4",
        "it has 10 values beyond what magnitudes can be, such as -0.5",
    ),
    "another type": (1.0, "<f8", "it is of float64, the settings have float32"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("case", VALUES)
def test_values_that_cannot_be_are_named(case: str, name: str, work: Path, program: Any) -> None:
    value, dtype, message = VALUES[case]
    rewrite(work / name, "a.wav", (0, slice(3, 13)), value, dtype)
    ended = program("verify", work / name)
    first, last = lines(ended)
    assert first == f"wrong: 'a.wav': {message}"
    assert last.endswith(" correct, 1 wrong")
    assert ended.code == 1


@pytest.mark.parametrize("value", [0.25, -80.5])
def test_decibels_out_of_range_are_named(value: float, tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    output = tmp_path / "out.h5"
    assert program("spectrogram", tmp_path / "a.wav", "-o", output, "--decibel").code == 0
    with kapre_cli.open_features(output) as features:
        (key,) = features
    rewrite(output, key, (2, 3, 0), value)
    ended = program("verify", output)
    assert ended.code == 1
    assert (
        lines(ended)[0]
        == f"wrong: 'a.wav': it has 1 value beyond what decibels can be, such as {value}"
    )


def test_values_that_are_not_finite_are_wrong_where_none_were_kept(
    tmp_path: Path, program: Any
) -> None:
    # Kept in one input does not mean that another may have some.
    samples = reference.noise(1, 3000)
    write_audio(tmp_path / "in/whole.wav", samples)
    samples[0, 5] = np.nan
    write_audio(tmp_path / "in/holes.wav", samples)
    output = tmp_path / "out.h5"
    options = ("--non-finite", "keep")
    assert program("spectrogram", tmp_path / "in", "-o", output, *options).code == 0
    assert program("verify", output).code == 0
    rewrite(output, "whole.wav", (2, 3, 0), np.nan)
    rewrite(output, "holes.wav", (2, 3, 0), np.inf)
    assert lines(program("verify", output))[:2] == [
        "wrong: 'holes.wav': it has 1 infinite value",
        "wrong: 'whole.wav': it has 1 value that should not be NaN",
    ]


def test_values_are_finite_where_samples_became_zeros(tmp_path: Path, program: Any) -> None:
    samples = reference.noise(1, 3000)
    samples[0, 5] = np.nan
    write_audio(tmp_path / "in/holes.wav", samples)
    output = tmp_path / "out.h5"
    options = ("--non-finite", "zero")
    assert program("spectrogram", tmp_path / "in", "-o", output, *options).code == 0
    assert program("verify", output).code == 0
    rewrite(output, "holes.wav", (2, 3, 0), np.nan)
    assert program("verify", output).code == 1


def test_times_that_are_not_those_of_the_layer_are_named(work: Path, program: Any) -> None:
    edit(work / "out/kapre-extract.json", without_checksums)
    edit(work / "out/manifest.jsonl", lambda row: row.update(time_step=0.1))
    ended = program("verify", work / "out")
    assert ended.code == 1
    assert "wrong: 'a.wav': its metadata has frames from " in lines(ended)[0]


# What is wrong with files


def named(ended: Any) -> None:
    """Hold what was said of a spoilt output: exit code 1, words, no traceback."""
    assert ended.code == 1
    told = ended.out + ended.err
    assert "Traceback" not in told
    if ended.out:
        *wrong, last = lines(ended)
        assert wrong
        assert all(line.startswith(("wrong: ", "unexpected: ")) for line in wrong)
        assert "wrong" in last
    else:
        assert ended.err.startswith("kapre-extract: Error: ")


@pytest.mark.parametrize("spoilt", HDF5)
def test_spoilt_hdf5_is_named(spoilt: str, work: Path, program: Any) -> None:
    change, _ = HDF5[spoilt]
    with h5py.File(work / "out.h5", "r+") as file:
        change(file)
    named(program("verify", work / "out.h5"))


@pytest.mark.parametrize("spoilt", NPY)
def test_spoilt_npy_is_named(spoilt: str, work: Path, program: Any) -> None:
    change, _ = NPY[spoilt]
    change(work)
    named(program("verify", work / "out"))
    if spoilt != "nothing":
        named(program("verify", work / "out.npy"))


@pytest.mark.parametrize("spoilt", ROWS)
def test_spoilt_manifests_are_named(spoilt: str, work: Path, program: Any) -> None:
    change, _ = ROWS[spoilt]
    edit(work / "out/kapre-extract.json", without_checksums)
    edit(work / "out/manifest.jsonl", change)
    named(program("verify", work / "out"))


def test_everything_wrong_is_named(work: Path, program: Any) -> None:
    (work / "out/site/b.wav.npy").unlink()
    np.save(work / "out/a.wav.npy", np.ones(SHAPE, "f4"))
    (work / "out/note.txt").write_text("mine")
    ended = program("verify", work / "out")
    assert ended.code == 1
    first, second, third, last = lines(ended)
    assert first.startswith("wrong: 'a.wav': is damaged: its values have the CRC-32 ")
    assert second.startswith("wrong: 'site/b.wav': ")
    assert second.endswith("b.wav.npy' cannot be read: No such file or directory")
    assert third == "unexpected: 'note.txt' is not of this output"
    assert last == f"'{work / 'out'}': 2 inputs: 0 correct, 2 wrong, 1 unexpected"


def test_an_array_that_is_gone_from_hdf5_is_named(work: Path, program: Any) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        del file["features/site/b.wav"]
    ended = program("verify", work / "out.h5")
    assert (ended.code, lines(ended)[0]) == (1, "wrong: 'site/b.wav': it has no 'b.wav'")


def test_a_group_in_place_of_an_array_is_named_once(work: Path, program: Any) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        del file["features/site/b.wav"]
        file.create_group("features/site/b.wav")
    ended = program("verify", work / "out.h5")
    assert (ended.code, lines(ended)[0]) == (1, "wrong: 'site/b.wav': is not a dataset")


def test_other_frequencies_are_told(work: Path, program: Any) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        file["frequency"][3] += 1
    ended = program("verify", work / "out.h5")
    assert (ended.code, ended.out) == (1, "")
    assert "its `frequency` is not that of its layer" in ended.err


# Strays


def stray_links(file: Any) -> None:
    file["features/soft"] = h5py.SoftLink("/features/a.wav")
    file["features/site/outside"] = h5py.ExternalLink("other.h5", "/")


def stray_circle(file: Any) -> None:
    file["features/site/site"] = file["features/site"]
    file["features/above"] = file["features"]


def stray_neighbours(file: Any) -> None:
    file["annotations"] = [1, 2]
    file.attrs["mine"] = "call of a wren"


def stray_attributes(file: Any) -> None:
    file["features/a.wav"].attrs["mine"] = "call of a wren"
    del file["features/site/b.wav"].attrs["DIMENSION_LABELS"]
    file["features/site/b.wav"].attrs.update({"more": 1, "caf\xe9": 2})


STRAYS: dict[str, tuple[Callable[[Any], object], list[str]]] = {
    "a dataset": (
        lambda file: file.create_dataset("features/site/c\x1b.wav", data=[1.0]),
        ["site/c\x1b.wav"],
    ),
    "a folder": (lambda file: file.create_group("features/more/and more"), ["more"]),
    "links": (stray_links, ["soft", "site/outside"]),
    "what stands beside": (stray_neighbours, ["/annotations", "attribute mine"]),
    "attributes of arrays": (
        stray_attributes,
        [
            "attribute mine of a.wav",
            "attribute more of site/b.wav",
            "attribute caf\xe9 of site/b.wav",
        ],
    ),
    "a circle": (stray_circle, ["above", "site/site"]),
    "a type": (lambda file: file.__setitem__("features/type", np.dtype("f4")), ["type"]),
}


@pytest.mark.parametrize("case", STRAYS)
def test_strays_in_hdf5_are_named(case: str, work: Path, program: Any) -> None:
    add, names = STRAYS[case]
    with h5py.File(work / "out.h5", "r+") as file:
        add(file)
    ended = program("verify", work / "out.h5")
    *unexpected_files, last = lines(ended)
    assert set(unexpected_files) == {
        f"unexpected: {name!r} is not of this output" for name in names
    }
    assert last.endswith(f"2 correct, 0 wrong, {len(names)} unexpected")
    assert ended.code == 1


def test_strays_in_a_folder_are_named(work: Path, program: Any) -> None:
    (work / "out/site/more").mkdir()
    (work / "out/site/more/c.wav.npy").touch()
    (work / "out/a.wav").touch()
    (work / "out/self").symlink_to(work / "out")
    ended = program("verify", work / "out")
    assert ended.code == 1
    assert lines(ended)[:-1] == [
        f"unexpected: {name!r} is not of this output" for name in ("self", "a.wav", "site/more")
    ]


# Against the audio


def test_a_sample_is_spread_over_the_output(tmp_path: Path, program: Any) -> None:
    for number in range(12):
        write_audio(tmp_path / f"audio/{number:02}.wav", reference.noise(1, 500, seed=number))
    output = tmp_path / "out"
    assert program("spectrogram", tmp_path / "audio", "-o", output).code == 0
    for number in (0, 5, 11):
        rewrite(output, f"{number:02}.wav", (0, 5, 0), 0.125)
    assert program("verify", output).code == 0
    for arguments, n_recomputed, wrong in (
        ((), 10, {"00", "11"}),
        (("--sample", "1"), 1, {"00"}),
        (("--sample", "2"), 2, {"00", "11"}),
        (("--sample", "50"), 12, {"00", "05", "11"}),
        (("--all",), 12, {"00", "05", "11"}),
    ):
        ended = program("verify", output, "--against", tmp_path / "audio", *arguments)
        *told, last = lines(ended)
        assert last.endswith(f"{len(wrong)} wrong; {n_recomputed} recomputed, bit for bit")
        assert all("1 of 514 values differ from the recomputed ones" in line for line in told)
        assert {line.split("'")[1] for line in told} >= {f"{key}.wav" for key in wrong}
        assert len(told) == len(wrong)
        assert ended.code == 1


def test_sources_that_are_gone_or_others_are_told(work: Path, program: Any) -> None:
    audio = work / "audio"
    (audio / "a.wav").unlink()
    write_audio(audio / "site/b.wav", reference.noise(1, 900, seed=7))
    ended = program("verify", work / "out.h5", "--against", audio)
    assert ended.code == 1
    assert lines(ended) == [
        f"wrong: 'a.wav': its source '{audio / 'a.wav'}' is missing",
        f"wrong: 'site/b.wav': its source '{audio / 'site/b.wav'}' {CHANGED}",
        f"'{work / 'out.h5'}': 2 inputs: 0 correct, 2 wrong; 0 recomputed, bit for bit",
    ]
    os.mkfifo(audio / "a.wav")
    ended = program("verify", work / "out.h5", "--against", audio, "--all")
    assert "it is a named pipe, not a regular file" in lines(ended)[0]


def test_a_folder_that_no_key_lies_in_is_refused_with_the_one_that_may_be_meant(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write_audio(tmp_path / f"audio/site/{number}.wav", reference.noise(1, 300, number))
    (tmp_path / "other/empty").mkdir(parents=True)

    def refused(output: str, folder: str, told: str) -> None:
        ended = program("verify", output, "--against", folder)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            f"kapre-extract: Error: none of the inputs of {output!r} lies in the folder "
            f"{folder!r}; looked for: {told}\n"
        )

    few, many = "'site/0.wav', 'site/1.wav', 'site/2.wav', ...", "where 'site/0.wav' is"
    for name in ("out.h5", "out"):
        assert program("spectrogram", "audio", "-o", name, *MEL[:4]).code == 0
        for wrong in (".", "audio/site", "other/empty"):
            refused(name, wrong, f"{few}; did you mean 'audio', {many}?")
    # Without the folder that the recordings were read from, those nearby are looked into.
    (tmp_path / "audio").rename("other/moved")
    for wrong in ("other", "other/moved/site"):
        refused("out.h5", wrong, f"{few}; did you mean 'other/moved', {many}?")
    refused("out.h5", ".", few)
    assert program("verify", "out.h5", "--against", "other/moved").code == 0
    # One of the inputs is enough to be looked at: what is gone is told by name.
    for number in range(3):
        (tmp_path / f"other/moved/site/{number}.wav").unlink()
    ended = program("verify", "out.h5", "--against", "other/moved")
    assert (ended.code, ended.out.count(" is missing\n")) == (1, 3)


def test_one_input_may_be_held_against_its_file(work: Path, program: Any) -> None:
    single = work / "out.npy"
    ended = program("verify", single, "--against", work / "audio/a.wav")
    assert ended.code == 0
    assert lines(ended)[0].endswith("0 wrong; 1 recomputed, bit for bit")
    ended = program("verify", single, "--against", work / "audio/site/b.wav")
    assert ended.code == 1
    ended = program("verify", work / "out", "--against", work / "audio/a.wav")
    assert (ended.code, ended.out) == (2, "")
    assert "is one file, " in ended.err
    ended = program("verify", single, "--against", work / "gone")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no audio at" in ended.err


def test_names_that_are_escaped_are_found(tmp_path: Path, program: Any) -> None:
    plain = write_audio(tmp_path / "plain.wav", reference.noise(1, 500))
    for name in ("100%41.wav", os.fsdecode(b"caf\xe9.wav"), "-dash.wav", "x" * 250 + ".wav"):
        target = tmp_path / "audio" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(plain.read_bytes())
    output = tmp_path / "out.h5"
    assert program("spectrogram", tmp_path / "audio", "-o", output).code == 0
    ended = program("verify", output, "--against", tmp_path / "audio")
    assert ended.code == 0, ended.out


def test_keys_that_lead_out_of_the_audio_are_refused(work: Path, program: Any) -> None:
    # What an escape hides: whoever undoes it carelessly reads what lies beside the folder.
    (work / "secret.wav").write_bytes((work / "audio/a.wav").read_bytes())
    out = work / "out"
    edit(out / "kapre-extract.json", without_checksums)
    manifest = out / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"a.wav"', '"%2e%2e/secret.wav"', 1))
    (out / "%2e%2e").mkdir()
    (out / "a.wav.npy").rename(out / "%2e%2e/secret.wav.npy")
    ended = program("verify", out, "--against", work / "audio")
    assert ended.code == 1
    assert "wrong: '%2e%2e/secret.wav': " in lines(ended)[0]
    assert "1 recomputed" in ended.out


def test_other_versions_may_differ_a_little(work: Path, program: Any) -> None:
    output = work / "out"
    with kapre_cli.open_features(output) as features:
        values = features["a.wav"][:]
    quiet = tuple(int(place) for place in np.unravel_index(values.argmin(), values.shape))
    near, far = (float(values[quiet] + part * values.max()) for part in (1e-5, 1e-4))
    rewrite(output, "a.wav", quiet, near)
    against = ("--against", work / "audio")
    assert program("verify", output, *against).code == 1
    edit(output / "kapre-extract.json", lambda root: root["versions"].update(numpy="1.0.0"))
    ended = program("verify", output, *against)
    assert lines(ended) == [f"'{output}': 2 inputs: 2 correct, 0 wrong; 2 recomputed, {CLOSE}"]
    rewrite(output, "a.wav", quiet, far)
    ended = program("verify", output, *against)
    assert ended.code == 1
    assert "values differ from the recomputed ones" in lines(ended)[0]


def test_the_engine_of_the_output_computes_anew(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "audio/a.wav", reference.noise(1, 3000))
    output = tmp_path / "out.h5"
    options = ("--engine", "keras", "--decibel")
    assert program("spectrogram", tmp_path / "audio", "-o", output, *options).code == 0
    ended = program("verify", output, "--against", tmp_path / "audio")
    assert lines(ended) == [f"'{output}': 1 input: 1 correct, 0 wrong; 1 recomputed, bit for bit"]


def test_layers_too_large_to_be_computed_are_told(work: Path, program: Any) -> None:
    edit(work / "out/kapre-extract.json", without_checksums)
    row = json.loads((work / "out/manifest.jsonl").read_text().splitlines()[0])
    layer = SpectrogramConfig(
        n_dft=2**16, n_hop=2**16, trainable_kernel=True, image_data_format="channels_last"
    )

    def grow(root: dict[str, Any]) -> None:
        root["layer"] = {"class_name": "Spectrogram", "config": layer.to_dict()}
        root["frequency"] = np.linspace(0, 4000, 2**15 + 1).tolist()

    edit(work / "out/kapre-extract.json", grow)
    start, step = layer.framing.times(row["n_samples"], 8000)
    row |= {"axes": list(layer.axes), "time_start": start, "time_step": step}
    values = np.zeros((1, 2**15 + 1, 1), "<f4")
    np.save(work / "out/a.wav.npy", values)
    row["crc32"] = zlib.crc32(values.tobytes())
    (work / "out/manifest.jsonl").write_text(json.dumps(row) + "\n")
    shutil.rmtree(work / "out/site")
    assert program("verify", work / "out").code == 0
    ended = program("verify", work / "out", "--against", work / "audio")
    assert ended.code == 1
    assert "its layer would have 4,295,098,368 weights" in ended.err


def test_nothing_is_left_of_what_is_computed_anew(work: Path, at_once: Any) -> None:
    (work / "tmp").mkdir()
    against = ("--against", work / "audio", "--all")
    ended = at_once("verify", work / "out.h5", *against, TMPDIR=str(work / "tmp"))
    assert (ended.code, ended.err) == (0, "")
    assert list((work / "tmp").iterdir()) == []
    ended = at_once("verify", work / "out.h5", *against, TMPDIR="/proc/self")
    assert ended.code in (0, 1)  # another folder may be found
    assert "Traceback" not in ended.err


# A terminal, and torn files


def test_a_terminal_sees_a_bar_over_the_inputs(work: Path) -> None:
    np.save(work / "out/a.wav.npy", np.ones(SHAPE, "f4"))
    command = [*PROGRAM, "verify", "out", "--against", "audio"]
    code, shown = shown_by(command, work)
    assert code == 1
    assert "checking: ? left   0%|" in shown
    assert "| 0.0 s of 0.2 s of audio, 0/2 inputs [00:00]" in shown
    assert "| 0.0 s of 0.1 s of audio, 0/1 input [00:00]" in shown  # what is computed again
    seen = [line.rsplit("\r", 1)[-1] for line in shown.replace("\r\n", "\n").split("\n")]
    assert any(line.startswith("wrong: 'a.wav': is damaged") for line in seen)
    assert any(
        line.startswith("'out': 2 inputs: 1 correct, 1 wrong; 1 recomputed") for line in seen
    )


@pytest.mark.parametrize("name", N_TEARS)
def test_tears_are_named_or_do_no_harm(name: str, originals: Path, tmp_path: Path) -> None:
    counts, told = counted(originals / name, tmp_path, N_TEARS[name], "verdict")
    assert sum(counts.values()) == N_TEARS[name]
    assert set(counts) <= {"error", "same"}, counts
    assert counts["error"] > N_TEARS[name] / 3
    assert "Traceback" not in told
