"""What is written, read back with plain h5py, NumPy and json, the same for every format."""

import hashlib
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import StoredDataError
from kapre_cli.formats import values as formats_values
from kapre_cli.formats.array_chunks import ArrayCrc32
from kapre_cli.formats.hdf5_index import Hdf5Index, index_datasets
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.values import Values
from kapre_cli.settings import get_format
from kapre_cli.time_frequency import Melspectrogram
from tests import reference
from tests.conftest import files_below, write_audio

MEL = ("--n-dft", 256, "--n-hop", 100, "--n-mels", 20, "--data-format", "channels_last")
FORMATS = ("out.h5", "out")
NAMES = ("a.wav", "b.flac", "site ä/night 1.wav")
ROOT_KEYS = {"format", "format_version", "layer", "settings", "versions"}
FACTS = {
    "source",
    "sr",
    "source_sr",
    "n_samples",
    "n_channels",
    "time_start",
    "time_step",
    "source_size",
    "source_mtime_ns",
    "n_missing",
    "n_non_finite",
    "n_silent_channels",
    "note",
    "start",
    "end",
    "channel",
    "label",
    "reference",
    "reference_db",
    "sha256",
    "crc32",
}


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    for n_channels, name in enumerate(NAMES, 1):
        write_audio(folder / name, reference.noise(n_channels, 1000 * n_channels))
    return folder


@pytest.fixture(params=FORMATS)
def output(request: pytest.FixtureRequest, audio: Path, tmp_path: Path, program: Any) -> Path:
    path: Path = tmp_path / request.param
    ended = program("melspectrogram", audio, "-o", path, *MEL)
    assert ended.code == 0, ended.err
    return path


def plainly(output: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], Any]:
    """Return (root metadata, arrays, metadata, frequency) without any code of this project."""
    if output.is_dir():
        root = json.loads((output / "kapre-extract.json").read_text())
        rows = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
        values = {row["key"]: np.load(output / f"{row['key']}.npy") for row in rows}
        metadata = {row["key"]: {name: row[name] for name in FACTS} for row in rows}
        return root, values, metadata, np.array(root.pop("frequency"))
    with h5py.File(output) as file:
        root = {
            name: value.decode() if isinstance(value, bytes) else int(value)
            for name, value in file.attrs.items()
        }
        root = {
            name: json.loads(value) if name in ("layer", "settings", "versions") else value
            for name, value in root.items()
        }
        keys = texts(file["keys"])
        values = {key: file[f"features/{key}"][()] for key in keys}
        metadata = {key: json.loads(file[f"features/{key}"].attrs["input"]) for key in keys}
        return root, values, metadata, file["frequency"][()]


def texts(dataset: Any) -> list[str]:
    """Return texts that have a NUL behind them, as the README shows it."""
    return [os.fsdecode(text) for text in dataset[:].tobytes().split(b"\0")[:-1]]


def test_both_formats_say_the_same(output: Path, audio: Path) -> None:
    root, values, metadata, frequency = plainly(output)
    assert set(root) - {"crc32", "manifest_crc32"} == ROOT_KEYS
    assert (root["format"], root["format_version"]) == ("kapre-extract", 1)
    assert root["layer"]["class_name"] == "Melspectrogram"
    assert root["layer"]["config"]["n_mels"] == 20
    assert root["settings"] == {
        "sr": 8000,
        "resample": False,
        "channels": None,
        "mono": False,
        "allow_truncated": False,
        "non_finite": "fail",
        "verify_audio": True,
        "max_samples": None,
        "raw_format": None,
        "dtype": "float32",
        "engine": "numpy",
        "compression": "none",
    }
    assert root["versions"]["kapre-extract"] == kapre_cli.__version__
    assert list(values) == list(NAMES)
    assert len(frequency) == 20
    for n_channels, key in enumerate(NAMES, 1):
        of_key = metadata[key]
        assert set(of_key) == FACTS
        assert values[key].shape == (20, 10 * n_channels, n_channels)
        assert of_key["crc32"] == zlib.crc32(values[key].tobytes())
        status = os.stat(audio / key)
        assert of_key["source_size"] == status.st_size
        assert of_key["source_mtime_ns"] == status.st_mtime_ns
        assert of_key["source"] == str(audio / key)
        assert of_key["sha256"] == hashlib.sha256((audio / key).read_bytes()).hexdigest()
        assert (of_key["n_samples"], of_key["n_channels"]) == (1000 * n_channels, n_channels)
        assert of_key["time_step"] == 100 / 8000


def test_hdf5_has_labelled_axes_and_an_index(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    with h5py.File(output) as file:
        for key in NAMES:
            dataset = file[f"features/{key}"]
            assert [axis.label for axis in dataset.dims] == ["mel", "time", "channel"]
            assert set(dataset.attrs) == {"DIMENSION_LABELS", "input"}
        index = file["index"][()]
        names = ("keys", "sources", "notes", "labels")
        keys, sources, notes, labels = (texts(file[name]) for name in names)
        assert set(index.dtype.names) == FACTS - {"source", "note", "label"}
        rows = zip(keys, sources, notes, labels, index, strict=True)
        for key, source, note, label, row in rows:
            stored = json.loads(file[f"features/{key}"].attrs["input"])
            found = {name: row[name].item() for name in index.dtype.names}
            found["sha256"] = found["sha256"].decode()
            for name in ("reference", "reference_db", "start", "end"):  # no decibels, no segments
                assert np.isnan(found[name])
                found[name] = None
            assert found.pop("channel") == -1
            text = {"source": source, "note": note, "label": label, "channel": None}
            assert found | text == stored


def test_the_index_names_sources_as_they_were_given(
    audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(audio)
    names = ["./a%20b.wav", os.fsdecode(b"caf\xe9.wav")]
    for name in names:
        Path(name).write_bytes((audio / "a.wav").read_bytes())
    assert program("spectrogram", *names, "-o", tmp_path / "out.h5").code == 0
    with h5py.File(tmp_path / "out.h5") as file:
        assert texts(file["sources"]) == names
        metadata = [json.loads(item.attrs["input"]) for item in file["features"].values()]
        assert [one["source"] for one in metadata] == names
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert [array.metadata.source for array in features.values()] == names


def test_frames_are_timed_from_the_start_of_the_audio(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    # 1,000 samples, a frame of 256 every 100: 10 frames, 156 zeros, 78 of them in front.
    for padding, start in (("same", (128 - 78) / 8000), ("valid", 128 / 8000)):
        output = tmp_path / f"{padding}.h5"
        program("melspectrogram", audio / "a.wav", "-o", output, *MEL, "--padding", padding)
        with kapre_cli.open_features(output) as features:
            (array,) = features.values()
            assert array.metadata.time_start == start
            assert array.times[1] == start + 100 / 8000


def test_band_centres_and_bins_are_librosas(audio: Path, tmp_path: Path, program: Any) -> None:
    import librosa

    program("melspectrogram", audio, "-o", tmp_path / "m.h5", *MEL, "--fmin", 100)
    program("spectrogram", audio, "-o", tmp_path / "s.h5", "--n-dft", 256)
    with h5py.File(tmp_path / "m.h5") as file:
        expected = librosa.mel_frequencies(22, fmin=100, fmax=4000)[1:-1]
        np.testing.assert_allclose(file["frequency"], expected)
    with h5py.File(tmp_path / "s.h5") as file:
        np.testing.assert_allclose(file["frequency"], librosa.fft_frequencies(sr=8000, n_fft=256))


def test_open_features_gives_what_is_stored(output: Path) -> None:
    _, values, metadata, frequency = plainly(output)
    with kapre_cli.open_features(output) as features:
        assert list(features) == list(NAMES)
        assert len(features) == 3
        np.testing.assert_array_equal(features.frequency, frequency)
        assert features.layer.n_features == 20
        assert features.settings.sr == 8000
        for key in NAMES:
            array = features[key]
            assert array.shape == values[key].shape
            assert array.dtype == "<f4"
            assert array.axes == ("mel", "time", "channel")
            np.testing.assert_array_equal(array[:], values[key])
            np.testing.assert_array_equal(np.asarray(array), values[key])
            np.testing.assert_array_equal(array[3, 2:5], values[key][3, 2:5])
            assert type(array[:]) is np.ndarray
            assert array[:].flags.writeable
            assert array.metadata.to_dict() == metadata[key]
            assert len(array.times) == values[key].shape[1]
        with pytest.raises(KeyError):
            features["missing.wav"]


def test_load_layer_gives_the_live_layer(output: Path) -> None:
    layer = kapre_cli.load_layer(output)
    assert isinstance(layer, Melspectrogram)
    assert (layer.n_dft, layer.n_hop, layer.n_mels, layer.sr) == (256, 100, 20, 8000)


@pytest.mark.parametrize("norm", ["inf", "none", "slaney", "2.5"])
def test_every_norm_survives_storage(norm: str, audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    assert program("melspectrogram", audio, "-o", output, *MEL, "--norm", norm).code == 0
    expected: Any = {"inf": float("inf"), "none": None, "slaney": "slaney", "2.5": 2.5}[norm]
    assert kapre_cli.load_layer(output).config.norm == expected  # type: ignore[attr-defined]


def test_a_single_npy_has_its_metadata_beside_it(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "x.npy"
    assert program("melspectrogram", audio / "a.wav", "-o", output, *MEL).code == 0
    stored = json.loads((tmp_path / "x.npy.json").read_text())
    assert set(stored) == ROOT_KEYS | {"frequency", "input", "crc32"}
    assert set(stored["input"]) == FACTS | {"key", "axes"}
    values = np.load(output)
    assert stored["input"]["crc32"] == zlib.crc32(values.tobytes())
    with kapre_cli.open_features(output) as features:
        assert list(features) == ["a.wav"]
        np.testing.assert_array_equal(features["a.wav"][:], values)
    assert kapre_cli.load_layer(output).config.n_features == 20


def test_formats_are_told_by_their_content(audio: Path, tmp_path: Path, program: Any) -> None:
    for name, kind in (("x.h5", "npy"), ("y.npy", "hdf5"), ("z.npy", "npy-directory")):
        ended = program("spectrogram", audio / "a.wav", "-o", tmp_path / name, "--format", kind)
        assert ended.code == 0
        with kapre_cli.open_features(tmp_path / name) as features:
            assert features["a.wav"][:].shape == (4, 257, 1)


def test_reading_makes_a_copy_and_says_so(output: Path) -> None:
    with kapre_cli.open_features(output) as features:
        array = features["a.wav"]
        assert np.asarray(array, dtype=np.float64).dtype == np.float64
        with pytest.raises(ValueError, match="makes a copy"):
            array.__array__(copy=False)


@pytest.mark.parametrize("name", [*FORMATS, "out.npy"])
@pytest.mark.parametrize("compression", ["none", "gzip", "lzf"])
def test_equal_work_gives_equal_bytes(
    name: str, compression: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    if compression != "none" and not name.endswith(".h5"):
        return
    inputs = audio / "a.wav" if name.endswith(".npy") else audio
    contents = []
    for folder in ("one", "two"):
        if folder == "two":
            time.sleep(1.1)  # HDF5's clock counts whole seconds
        (tmp_path / folder).mkdir()
        output = tmp_path / folder / name
        ended = program("spectrogram", inputs, "-o", output, "--compression", compression)
        assert ended.code == 0
        contents.append(
            {
                file: (tmp_path / folder / file).read_bytes()
                for file in files_below(tmp_path / folder)
                if (tmp_path / folder / file).is_file()
            }
        )
    assert contents[0] == contents[1]
    assert contents[0]


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_compression_changes_no_value(
    compression: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    for output, more in (("plain.h5", ()), ("packed.h5", ("--compression", compression))):
        assert program("spectrogram", audio, "-o", tmp_path / output, *more).code == 0
    plain, raw_chunks = plainly(tmp_path / "plain.h5"), plainly(tmp_path / "packed.h5")
    assert plain[2] == raw_chunks[2]
    for key in NAMES:
        assert plain[1][key].tobytes() == raw_chunks[1][key].tobytes()
    with h5py.File(tmp_path / "packed.h5") as file:
        assert file["features/a.wav"].compression == compression


@settings(max_examples=200)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 4)),
    time_axis=st.integers(0, 2),
    cuts=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_chunks_along_time_have_the_checksum_of_the_whole(
    shape: tuple[int, int, int], time_axis: int, cuts: int, seed: int
) -> None:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    crc = ArrayCrc32(shape, time_axis, 4)
    for chunk in np.array_split(values, cuts, axis=time_axis):
        crc.add(chunk)
    assert crc.value() == zlib.crc32(values.tobytes())


class InMemory(Values):
    """An array of a format whose bytes are not stored unchanged."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, index: Any) -> Any:
        return self.values[index]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2"])
@pytest.mark.parametrize("time_axis", [0, 1, 2])
def test_values_of_any_format_are_read_in_blocks(
    dtype: str, time_axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats_values, "BLOCK_VALUES", 24)
    values = np.random.default_rng(0).standard_normal((3, 7, 5)).astype(dtype)
    visited: list[int] = []
    crc = InMemory(values).crc32(time_axis, lambda block: visited.append(block.size))
    assert crc == zlib.crc32(values.astype(values.dtype.newbyteorder("<")).tobytes())
    assert sum(visited) == values.size
    assert max(visited) <= max(24, values.size // values.shape[time_axis]) < values.size


@pytest.mark.parametrize(
    ("name", "more", "n_values"),
    [
        ("x.h5", (), 2**22),
        ("packed.h5", ("--compression", "lzf"), 2**22),
        ("x", (), 2**21),
    ],
)
def test_a_long_array_has_the_checksum_of_its_bytes(
    name: str, more: tuple[str, ...], n_values: int, tmp_path: Path, program: Any
) -> None:
    """It has more values than are read at once, and several blocks."""
    path = write_audio(tmp_path / "a.wav", reference.noise(3, n_values // 96 + 1000))
    layer = ("--n-dft", 256, "--n-hop", 1, "--n-mels", 32)
    output = tmp_path / name
    ended = program("melspectrogram", path, "-o", output, *layer, *more, "--root", tmp_path)
    assert ended.code == 0, ended.err
    _, values, metadata, _ = plainly(output)
    assert values["a.wav"].size > n_values
    assert metadata["a.wav"]["crc32"] == zlib.crc32(values["a.wav"].tobytes())
    with kapre_cli.open_features(output) as features:
        features["a.wav"].verify()


# Files that are not ours, or not any more


def spoil(path: Path, change: Any) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def set_root(name: str, value: object) -> Any:
    def change(file: Any) -> None:
        file.attrs[name] = np.bytes_(value) if isinstance(value, (str, bytes)) else value

    return change


def link_outside(file: Any) -> None:
    del file["features/a.wav"]
    file["features/a.wav"] = h5py.ExternalLink("other.h5", "/secret")


def store_outside(file: Any) -> None:
    metadata = file["features/a.wav"].attrs["input"]
    del file["features/a.wav"]
    file["features"].create_dataset("a.wav", (4,), "u1", external=[("/etc/hostname", 0, 4)]).attrs[
        "input"
    ] = metadata


def virtual(file: Any) -> None:
    metadata = file["features/a.wav"].attrs["input"]
    del file["features/a.wav"]
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file["features"].create_virtual_dataset("a.wav", layout).attrs["input"] = metadata


LAMBDA = '{"class_name": "Lambda", "config": {}}'
SPOILS = {
    "another format": (set_root("format", "zarr"), "not an output of kapre-extract"),
    "a later version": (set_root("format_version", 99), "its format version is 99"),
    "another class": (set_root("layer", LAMBDA), "one of .'Spectrogram', 'Melspectrogram'"),
    "no JSON": (set_root("layer", "{"), "not JSON"),
    "no settings": (lambda file: file.attrs.__delitem__("settings"), "`settings` are missing"),
    "no index": (lambda file: file.__delitem__("index"), "it has no 'index'"),
    "a link": (link_outside, "is a link to another place"),
    "external storage": (store_outside, "leads to another file"),
    "a virtual dataset": (virtual, "leads to another file"),
    "no text": (set_root("format", b"\xff"), "can't decode"),
    "no metadata": (
        lambda file: file["features/a.wav"].attrs.__delitem__("input"),
        "has no metadata",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILS)
def test_hostile_or_broken_hdf5_is_refused(
    spoilt: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    change, message = SPOILS[spoilt]
    spoil(output, change)
    with pytest.raises(StoredDataError, match=message):
        kapre_cli.open_features(output)["a.wav"][:]


def test_torn_and_foreign_files_are_refused(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out.h5"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    os.truncate(output, output.stat().st_size // 2)
    with pytest.raises(StoredDataError, match=r"out.h5' cannot be read: it is not a complete HDF5"):
        kapre_cli.open_features(output)
    with pytest.raises(FileNotFoundError):
        kapre_cli.open_features(tmp_path / "missing.h5")
    with pytest.raises(StoredDataError, match=r"is a folder without kapre-extract.json"):
        kapre_cli.open_features(audio)


def test_pickles_are_never_loaded(audio: Path, tmp_path: Path, program: Any) -> None:
    output = tmp_path / "out"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    np.save(output / "a.wav.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(StoredDataError, match="pickle"):
        kapre_cli.open_features(output)["a.wav"]


def test_npy_files_that_are_not_what_was_written_are_refused(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    np.save(tmp_path / "secret.npy", np.zeros((20, 1, 1)))
    (output / "a.wav.npy").unlink()
    (output / "a.wav.npy").symlink_to(tmp_path / "secret.npy")
    np.save(output / "b.flac.npy", np.zeros(3))
    features = kapre_cli.open_features(output)
    with pytest.raises(StoredDataError, match="is a link that leads out of the output"):
        features["a.wav"]
    with pytest.raises(StoredDataError, match=r"'b\.flac' has 1 axes, its metadata names 3"):
        features["b.flac"]


def unsign(path: Path) -> None:
    """Take the checksums out of a JSON file, as whoever means harm would set them right."""
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in stored.items() if not k.endswith("crc32")}))


def test_keys_that_lead_out_of_the_output_are_refused(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out"
    assert program("melspectrogram", audio, "-o", output, *MEL).code == 0
    manifest = output / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"a.wav"', '"../a.wav"', 1))
    unsign(output / "kapre-extract.json")
    with pytest.raises(StoredDataError, match="leads out of the output"):
        kapre_cli.open_features(output)


# Files that are recognised as this program's before they are replaced


def test_damaged_hdf5_outputs_are_recognised(audio: Path, tmp_path: Path, program: Any) -> None:
    for name, more in (("a.h5", ()), ("b.h5", ("--compression", "gzip", "--shard", "1/1"))):
        output = tmp_path / name
        assert program("melspectrogram", audio, "-o", output, *MEL, *more).code == 0
        whole = output.read_bytes()
        for length in (len(whole), len(whole) - 1, len(whole) // 2, 4096, 2048):
            output.write_bytes(whole[:length])
            assert get_format("hdf5").is_ours(output), length
        output.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
        assert get_format("hdf5").is_ours(output)
        output.write_bytes(whole[:512])
        assert not get_format("hdf5").is_ours(output)


def test_foreign_files_are_not_taken_for_outputs(audio: Path, tmp_path: Path, program: Any) -> None:
    import keras

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["kapre-extract"] = np.arange(5)
        file.attrs["made by"] = np.bytes_("kapre-extract")
        file.attrs["format"] = np.bytes_("another")
    (tmp_path / "text.h5").write_bytes(b"format\0kapre-extract")
    (tmp_path / "empty.h5").touch()
    assert program("melspectrogram", audio, "-o", tmp_path / "out", *MEL).code == 0
    for name in ("model.h5", "plain.h5", "text.h5", "empty.h5", "out/a.wav.npy"):
        assert not get_format("hdf5").is_ours(tmp_path / name), name
    os.mkfifo(tmp_path / "pipe.h5")
    for name in ("pipe.h5", "out"):
        with pytest.raises(StoredDataError, match="not a plain file"):
            get_format("hdf5").is_ours(tmp_path / name)


# The index


def stored_index(path: Path, metadata: list[tuple[str, InputMetadata]]) -> Any:
    """Return the index of these inputs, once it has been in a file."""
    with h5py.File(path, "w") as file:
        for name, values in index_datasets(
            [key for key, _ in metadata], [one for _, one in metadata]
        ).items():
            file[name] = values
    with h5py.File(path) as file:
        return Hdf5Index(h5py.h5g.open(file.id, b"/"))


def metadata_of(source: str) -> InputMetadata:
    return InputMetadata(source, 8000, 8000, 4000, 1, 0.0, 0.004, 8044, 5, sha256="0" * 64)


def test_one_long_path_costs_its_own_length(tmp_path: Path) -> None:
    few = [(f"{number:05}.wav", metadata_of(f"/data/{number:05}.wav")) for number in range(10_000)]
    long = "/".join(["x" * 200] * 18)
    sizes = []
    for name, metadata in (("short", few), ("long", [*few, (long, metadata_of(long))])):
        assert list(stored_index(tmp_path / name, metadata).rows) == [key for key, _ in metadata]
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[1] - sizes[0] < 3 * len(long)


@settings(max_examples=100)
@given(
    keys=st.lists(
        st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1)
        .map(lambda name: f"a/{name}.wav")
        .filter(lambda key: len(key) < 200),
        unique=True,
    ),
    source=st.binary(max_size=50).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"x"))),
)
def test_every_key_and_source_comes_back(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], source: str
) -> None:
    metadata = [(key, metadata_of(source)) for key in keys]
    index = stored_index(tmp_path_factory.mktemp("index") / "x.h5", metadata)
    assert list(index.rows) == keys
    for key, one in metadata:
        index.check(key, one)
        with pytest.raises(StoredDataError, match="'source'"):
            index.check(key, one._replace(source=source + "!"))
