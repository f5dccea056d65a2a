"""``amin``, the smallest value that decibels are taken of, and the reference that is stored."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kapre_cli
from kapre_cli.errors import StoredDataError
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.time_frequency import Melspectrogram, Spectrogram
from tests import reference
from tests.conftest import PROGRAM, Ended, files_below, read_audio, write_audio

SR, N_DFT, N_HOP, N_MELS = 8000, 256, 100, 24
LOUDER = 500
KINDS = pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
ENGINES = pytest.mark.parametrize("engine", ["numpy", "keras"])
FRAMES = ("--n-dft", N_DFT, "--n-hop", N_HOP, "--data-format", "channels_first")
DECIBELS = ("spectrogram", *FRAMES, "--decibel")
WARNING = "have less than 80 dB of range"


def values_of(kind: str, signal: Any, exponent: float = 2.0) -> Any:
    """Return what the reference has to say, in the order of axes of the layers."""
    framing: dict[str, Any] = {"n_dft": N_DFT, "n_hop": N_HOP, "exponent": exponent}
    if kind == "spectrogram":
        return reference.spectrogram(signal, **framing)
    mel = reference.melspectrogram(signal, sr=SR, n_mels=N_MELS, **framing)
    return mel.transpose(0, 2, 1)


def layer_of(kind: str, exponent: float, amin: float, **options: Any) -> Spectrogram:
    options |= {"n_dft": N_DFT, "n_hop": N_HOP, "amin": amin, "image_data_format": "channels_first"}
    if kind == "spectrogram":
        return Spectrogram(power_spectrogram=exponent, return_decibel_spectrogram=True, **options)
    return Melspectrogram(
        sr=SR, n_mels=N_MELS, power_melgram=exponent, return_decibel_melgram=True, **options
    )


def quiet() -> Any:
    """Return noise that decays far, of two channels, 60 dB below full scale, as 24 bits have it."""
    signal = 1e-3 * reference.noise(2, 6000) * np.logspace(0, -3, 6000)
    return np.round(signal * 2**23) / 2**23


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("amin", [1e-30, 1e-16, 1e-4, 10.0])
@KINDS
def test_the_floor_of_the_layer_is_librosas(kind: str, amin: float, exponent: float) -> None:
    signal = quiet()
    actual = np.asarray(layer_of(kind, exponent, amin)(signal[None].astype(np.float32)))[0]
    expected = reference.decibels(values_of(kind, signal, exponent), amin)
    reference.require_close_decibels(actual, expected)


@pytest.mark.parametrize("kernel", [{"trainable_kernel": True}, {"dtype": "float64"}])
def test_other_layers_have_the_same_floor(kernel: dict[str, Any]) -> None:
    actual = np.asarray(layer_of("spectrogram", 2.0, 1e-16, **kernel)(quiet()[None]))[0]
    expected = reference.decibels(values_of("spectrogram", quiet()), 1e-16)
    reference.require_close_decibels(actual, expected)


@KINDS
def test_amin_is_saved_with_a_layer(kind: str, tmp_path: Path) -> None:
    layer = layer_of(kind, 2.0, 1e-16)
    assert layer.get_config()["amin"] == 1e-16
    assert type(layer)().get_config()["amin"] == 1e-10
    model = keras.Sequential([keras.Input((2, 6000)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    signal = quiet()[None].astype(np.float32)
    np.testing.assert_array_equal(loaded(signal), model(signal))


def extracted(program: Any, path: Path, *options: object) -> tuple[Any, InputMetadata, Ended]:
    """Return the array of one file, in float64, its metadata, and how the run ended."""
    output = path.with_suffix(".h5")
    ended = program(*options, path, "-o", output, "--overwrite")
    assert ended.code == 0, ended.err
    with kapre_cli.open_features(output) as features:
        stored = features[next(iter(features))]
        return stored[:].astype(np.float64), stored.metadata, ended


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.0])
@KINDS
@ENGINES
def test_a_quiet_recording_is_as_the_same_one_louder(
    program: Any, tmp_path: Path, engine: str, kind: str, exponent: float
) -> None:
    low = write_audio(tmp_path / "low.wav", quiet(), SR, "PCM_24")
    high = write_audio(tmp_path / "high.wav", LOUDER * quiet(), SR, "DOUBLE")
    command = [kind, "--engine", engine, *FRAMES, "--power", exponent, "--decibel"]
    command += ["--n-mels", N_MELS] if kind == "melspectrogram" else []
    amin = 1e-10
    loud, louder, _ = extracted(program, high, *command)
    soft, softer, _ = extracted(program, low, *command, "--amin", amin / LOUDER**exponent)
    assert np.abs(soft - loud).max() <= reference.DECIBEL_TOLERANCE
    assert softer.reference is not None
    assert louder.reference == pytest.approx(softer.reference * LOUDER**exponent, rel=1e-4)
    # With the same floor they differ, which is what amin is for.
    as_low, _, _ = extracted(program, low, *command)
    if exponent >= 2:
        assert np.abs(as_low - loud).max() > 1
    values = values_of(kind, read_audio(low), exponent)
    reference.require_close_decibels(soft, reference.decibels(values, amin / LOUDER**exponent))


@KINDS
@ENGINES
def test_a_recording_of_a_millionth_is_not_flat(
    program: Any, tmp_path: Path, engine: str, kind: str
) -> None:
    signal = (1e-6 * reference.noise(1, 6000)).astype(np.float32)
    path = write_audio(tmp_path / "low.wav", signal, SR)
    command = [kind, "--engine", engine, *FRAMES, "--power", 2, "--decibel"]
    command += ["--n-mels", N_MELS] if kind == "melspectrogram" else []
    flat, metadata, ended = extracted(program, path, *command, "--amin", 1e-5)
    assert not flat.any()
    assert metadata.reference == 1e-5
    assert "1 of 1 input has less than 80 dB of range" in ended.err
    actual, metadata, ended = extracted(program, path, *command, "--amin", 1e-24)
    assert actual.min() < -20
    assert ended.err.startswith("1 input: 1 written")
    values = values_of(kind, signal)
    reference.require_close_decibels(actual, reference.decibels(values, 1e-24))
    assert metadata.reference == pytest.approx(values.max(), rel=1e-5)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@KINDS
@ENGINES
def test_absolute_level_is_had_back(
    program: Any, tmp_path: Path, engine: str, kind: str, dtype: str, exponent: float
) -> None:
    signal = 0.01 * reference.noise(2, 6000)
    path = write_audio(tmp_path / "a.wav", signal, SR)
    command = [kind, "--engine", engine, *FRAMES, "--power", exponent, "--decibel"]
    command += ["--n-mels", N_MELS] if kind == "melspectrogram" else []
    actual, metadata, _ = extracted(program, path, *command, "--dtype", dtype)
    values = values_of(kind, signal, exponent)
    level = 10 * np.log10(values)
    shown = actual > -79.9
    assert metadata.reference is not None
    assert metadata.reference_db is not None
    assert np.abs(actual + metadata.reference_db - level)[shown].max() <= 0.01
    linear = metadata.reference * 10 ** (actual / 10)
    np.testing.assert_allclose(linear[shown], values[shown], rtol=10**0.001 - 1)
    assert metadata.reference == pytest.approx(values.max(), rel=2e-5)


def folder_of(folder: Path) -> Path:
    """Make recordings, some quiet, some silent, one of them longer than a block."""
    for number, scale in enumerate([1.0, 1e-4, 1e-7, 0.5]):
        write_audio(folder / f"{number}.wav", scale * reference.noise(2, 4000, number), SR)
    write_audio(folder / "long.wav", 1e-5 * reference.noise(2, 200_000, 9), SR)
    write_audio(folder / "silent.wav", np.zeros((2, 3000)), SR)
    half = np.stack([1e-4 * reference.noise(1, 3000)[0], np.zeros(3000)])
    write_audio(folder / "half.wav", half, SR)
    return folder


def references(output: Path) -> dict[str, float | None]:
    with kapre_cli.open_features(output) as features:
        return {key: metadata.reference for key, metadata in features.metadata()}


def test_references_are_those_of_the_reference(program: Any, tmp_path: Path) -> None:
    audio = folder_of(tmp_path / "audio")
    ended = program(*DECIBELS, audio, "-o", tmp_path / "out.h5")
    assert ended.err.count(WARNING) == 1
    assert "warning: 4 of 7 inputs have less than 80 dB of range" in ended.err
    assert "smaller --amin" in ended.err
    for key, found in references(tmp_path / "out.h5").items():
        values = values_of("spectrogram", read_audio(audio / key))
        assert found == pytest.approx(max(values.max(), 1e-10), rel=2e-5)
    # Every file has less range than 80 dB below a floor that is high enough; silence has none.
    ended = program(*DECIBELS, audio, "-o", tmp_path / "high.h5", "--amin", 1)
    assert "warning: 6 of 7 inputs have less" in ended.err
    ended = program(*DECIBELS, audio, "-o", tmp_path / "low.h5", "--amin", 1e-22)
    assert "warning" not in ended.err
    ended = program("spectrogram", audio, "-o", tmp_path / "linear.h5", "--amin", 1)
    assert "warning" not in ended.err
    assert set(references(tmp_path / "linear.h5").values()) == {None}


@pytest.mark.parametrize("decibel", ["--decibel", "--no-decibel"])
def test_every_format_has_the_reference_and_the_index_too(
    decibel: str, program: Any, tmp_path: Path
) -> None:
    audio = folder_of(tmp_path / "audio")
    command = ["spectrogram", *FRAMES, decibel]
    assert program(*command, audio, "-o", tmp_path / "out.h5").code == 0
    assert program(*command, audio, "-o", f"{tmp_path}/out/").code == 0
    assert program(*command, audio / "2.wav", "-o", tmp_path / "2.npy").code == 0
    rows = {
        row["key"]: (row["reference"], row["reference_db"])
        for row in map(json.loads, (tmp_path / "out/manifest.jsonl").read_text().splitlines())
    }
    single = json.loads((tmp_path / "2.npy.json").read_text())["input"]
    assert (single["reference"], single["reference_db"]) == rows["2.wav"]
    with h5py.File(tmp_path / "out.h5") as file:
        table = file["index"][:]
        for number, (key, (linear, in_db)) in enumerate(rows.items()):
            stored = json.loads(file[f"features/{key}"].attrs["input"])
            assert (stored["reference"], stored["reference_db"]) == (linear, in_db)
            row = table[number]
            if decibel == "--decibel":
                assert (row["reference"], row["reference_db"]) == (linear, in_db)
                assert in_db == pytest.approx(10 * np.log10(linear), abs=1e-12)
            else:
                assert linear is None
                assert in_db is None
                assert np.isnan([row["reference"], row["reference_db"]]).all()
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert {key: metadata.reference for key, metadata in features.metadata()} == {
            key: linear for key, (linear, _) in rows.items()
        }


def test_the_reference_does_not_depend_on_how_a_run_goes(program: Any, tmp_path: Path) -> None:
    audio, whole = folder_of(tmp_path / "audio"), tmp_path / "whole.h5"
    assert program(*DECIBELS, audio, "-o", whole).code == 0
    for number, options in enumerate([("--batch-size", 16), ("--batch-size", 999), ("-j", 1)]):
        other = tmp_path / f"{number}.h5"
        assert program(*DECIBELS, audio, "-o", other, *options).code == 0
        assert other.read_bytes() == whole.read_bytes()
    parts = [tmp_path / f"part{number}.h5" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        assert program(*DECIBELS, audio, "-o", part, "--shard", f"{number}/3").code == 0
    assert program("merge", *parts, "-o", tmp_path / "merged.h5").code == 0
    assert (tmp_path / "merged.h5").read_bytes() == whole.read_bytes()
    assert program("merge", whole, "-o", f"{tmp_path}/plain/").code == 0
    assert references(tmp_path / "plain") == references(whole)
    ended = program("verify", whole, "--against", audio, "--all")
    assert "7 recomputed, bit for bit" in ended.out


@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_the_reference_and_the_warning_stay_when_a_run_is_resumed(
    name: str, program: Any, tmp_path: Path
) -> None:
    audio, output = folder_of(tmp_path / "audio"), tmp_path / name
    late = [audio / "2.wav", audio / "3.wav"]
    for path in late:
        path.rename(tmp_path / path.name)
    ended = program(*DECIBELS, audio, "-o", output)
    assert "3 of 5 inputs have less than 80 dB" in ended.err
    for path in late:
        (tmp_path / path.name).rename(path)
    ended = program(*DECIBELS, audio, "-o", output, "--resume")
    assert "4 of 7 inputs have less than 80 dB" in ended.err
    assert ended.err.endswith(f"2 written, 0 failed, 5 skipped (1.0 s of audio) -> '{output}'\n")
    ended = program(*DECIBELS, audio, "-o", output, "--resume")
    assert "nothing was computed" in ended.err
    assert "4 of 7 inputs have less than 80 dB" in ended.err
    fresh = tmp_path / "fresh" / name
    fresh.parent.mkdir()
    assert program(*DECIBELS, audio, "-o", fresh).code == 0
    assert files_below(fresh) == files_below(output)
    ended = program(*DECIBELS, audio, "-o", output, "--resume", "--amin", 1e-20)
    assert ended.code == 2
    assert "amin" in ended.err


def test_a_stream_has_the_same_arrays_and_its_report_the_references(
    program: Any, tmp_path: Path
) -> None:
    audio = folder_of(tmp_path / "audio")
    report, stream = tmp_path / "report.jsonl", tmp_path / "stream.npys"
    assert program(*DECIBELS, audio, "-o", tmp_path / "out.h5").code == 0
    ended = program(*DECIBELS, audio, "-o", tmp_path / "again.h5", "--report", report)
    of_file = [json.loads(line) for line in report.read_text().splitlines()[1:-1]]
    report.unlink()
    ended = streamed(stream, *DECIBELS, audio, "-o", "-", "--report", report)
    assert "4 of 7 inputs have less than 80 dB" in ended
    of_stream = [json.loads(line) for line in report.read_text().splitlines()[1:-1]]
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        arrays = list(kapre_cli.read_arrays(io.BytesIO(stream.read_bytes())))
        for array, line, other in zip(arrays, of_stream, of_file, strict=True):
            stored = features[line["key"]]
            np.testing.assert_array_equal(array, stored[:])
            found = (stored.metadata.reference, stored.metadata.reference_db)
            assert found == (line["reference"], line["reference_db"])
            assert found == (other["reference"], other["reference_db"])


def streamed(path: Path, *arguments: object) -> str:
    """Run the program with its standard output in a file; return what it said."""
    with path.open("wb") as out:
        ended = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=120,
            check=True,
        )
    return ended.stderr.decode()


def test_verify_finds_another_reference(program: Any, tmp_path: Path) -> None:
    audio = folder_of(tmp_path / "audio")
    output = tmp_path / "out"
    assert program(*DECIBELS, audio, "-o", f"{output}/").code == 0
    root = json.loads((output / "kapre-extract.json").read_text())
    del root["manifest_crc32"], root["crc32"]
    (output / "kapre-extract.json").write_text(json.dumps(root))
    rows = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    for row in rows:
        if row["key"] == "0.wav":
            row |= {"reference": row["reference"] * 2}
            row["reference_db"] = 10 * np.log10(row["reference"])
    (output / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = program("verify", output, "--against", audio, "--all")
    assert ended.code == 1
    assert "wrong: '0.wav': its reference_db is" in ended.out


@pytest.mark.parametrize(
    ("linear", "in_db"),
    [(None, None), (1.0, None), (1.0, 3.0), (1e-11, -110.0), (1e39, 390.0), (-1.0, 0.0), (0, 0)],
)
@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_a_reference_that_cannot_be_is_refused(
    name: str, linear: Any, in_db: Any, program: Any, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 4000), SR)
    output = tmp_path / name
    assert program(*DECIBELS, path, "-o", output).code == 0
    if name == "out":
        root = json.loads((output / "kapre-extract.json").read_text())
        del root["manifest_crc32"], root["crc32"]
        (output / "kapre-extract.json").write_text(json.dumps(root))
        row = json.loads((output / "manifest.jsonl").read_text())
        row |= {"reference": linear, "reference_db": in_db}
        (output / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    else:
        with h5py.File(output, "r+") as file:
            table = file["index"][:]
            table["reference"] = np.nan if linear is None else linear
            table["reference_db"] = np.nan if in_db is None else in_db
            file["index"][:] = table
    refused = pytest.raises(StoredDataError, match="an input has the reference")
    with refused, kapre_cli.open_features(output) as features:
        list(features.metadata())


def test_info_shows_the_reference(program: Any, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 4000), SR)
    assert program(*DECIBELS, path, "-o", tmp_path / "a.npy").code == 0
    ended = program("info", tmp_path / "a.npy", "a.wav")
    largest = values_of("spectrogram", read_audio(path)).max()
    assert f"0 dB is  {largest:.6g}"[:14] in ended.out
    assert f"{10 * np.log10(largest):.2f} dB" in ended.out


@pytest.mark.parametrize("amin", ["0", "-1", "nan", "inf", "1e-39", "1e40"])
def test_amin_out_of_range_is_a_usage_error(amin: str, program: Any, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 4000), SR)
    ended = program(*DECIBELS, path, "-o", tmp_path / "a.npy", "--amin", amin)
    assert ended.code == 2
    assert "amin" in ended.err
    assert not (tmp_path / "a.npy").exists()


def test_amin_is_taken_from_a_configuration_file(program: Any, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", 1e-4 * reference.noise(1, 4000), SR)
    (tmp_path / "x.toml").write_text("amin = 1e-17\ndecibel = true\n")
    config = ("--config", tmp_path / "x.toml")
    ended = program("spectrogram", *config, path, "-o", tmp_path / "a.npy")
    assert ended.code == 0, ended.err
    layer = json.loads((tmp_path / "a.npy.json").read_text())["layer"]["config"]
    assert layer["amin"] == 1e-17
    assert kapre_cli.load_layer(tmp_path / "a.npy").amin == 1e-17
