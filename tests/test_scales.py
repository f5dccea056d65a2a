"""Dimension scales: what programs that read netCDF take from an output, and what ours do not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.formats.hdf5_scales import ScaleWriter
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata
from kapre_cli.layers import SpectrogramConfig
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.conftest import blocks_of, interrupted_after, write_audio

N_DFT, N_HOP, SR = 64, 24, 8000
LAYER = ("--n-dft", N_DFT, "--n-hop", N_HOP, "--data-format", "channels_last")
VALID = ("spectrogram", *LAYER, "--padding", "valid")
SCALES = "--dimension-scales"

RECORDINGS = {  # samples and channels
    "a.wav": (1000, 1),
    "b.flac": (1000, 2),
    "site ä/night 1.wav": (700, 2),
    "site ä/night 2.wav": (1000, 1),
    "time": (700, 1),  # a key like the name of a scale
}


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    folder = tmp_path / "audio"
    for seed, (name, (n_samples, n_channels)) in enumerate(RECORDINGS.items()):
        made = folder / f"{name}.wav" if name == "time" else folder / name
        write_audio(made, reference.noise(n_channels, n_samples, seed))
        made.rename(folder / name)
    return folder


@pytest.fixture
def here(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(audio)
    return tmp_path


@pytest.fixture
def labelled(here: Path, program: Any) -> Path:
    """Give an output with dimension scales."""
    ended = program(*VALID, *RECORDINGS, "-o", here / "labelled.h5", SCALES)
    assert (ended.code, ended.err.count("\n")) == (0, 1), ended.err
    return here / "labelled.h5"


def seconds(n_samples: int) -> Any:
    """Return the centres of all frames that lie wholly within so many samples."""
    return np.arange(N_DFT / 2, n_samples - N_DFT / 2 + 1, N_HOP) / SR


def test_h5py_finds_seconds_and_hz_at_every_axis(labelled: Path) -> None:
    with h5py.File(labelled) as file:
        for key, (n_samples, n_channels) in RECORDINGS.items():
            dataset = file["features"][key]
            axes = {axis.label: axis for axis in dataset.dims}
            assert list(axes) == ["time", "frequency", "channel"]
            assert [len(axis) for axis in dataset.dims] == [1, 1, 1]
            np.testing.assert_allclose(axes["time"][0], seconds(n_samples))
            np.testing.assert_allclose(axes["frequency"][0], np.fft.rfftfreq(N_DFT, 1 / SR))
            np.testing.assert_array_equal(axes["channel"][0], np.arange(n_channels))
            units = [axis[0].attrs["units"] for axis in dataset.dims]
            assert units == [b"s", b"Hz", b"1"]
            assert dataset.shape == tuple(len(axis[0]) for axis in dataset.dims)


def test_axes_of_equal_coordinates_share_a_scale(labelled: Path) -> None:
    with h5py.File(labelled) as file:
        times = {key: file["features"][key].dims[0].keys() for key in RECORDINGS}
        scales = {name for name, item in file.items() if item.attrs.get("units") is not None}
    assert times == {
        "a.wav": ["time"],
        "b.flac": ["time"],
        "site ä/night 1.wav": ["time_2"],
        "site ä/night 2.wav": ["time"],
        "time": ["time_2"],
    }
    assert scales == {"time", "time_2", "frequency", "channel", "channel_2"}


NETCDF = """
import json, sys
import netCDF4

def groups_of(group):
    yield group
    for child in group.groups.values():
        yield from groups_of(child)

with netCDF4.Dataset(sys.argv[1]) as file:
    found = {
        "dimensions": {name: len(one) for name, one in file.dimensions.items()},
        "below": [name for group in groups_of(file["features"]) for name in group.dimensions],
        "arrays": {
            f"{group.path}/{name}": one.dimensions
            for group in groups_of(file["features"]) for name, one in group.variables.items()
        },
        "coordinates": {
            name: [file[name].units, file[name].long_name, file[name][:].tolist()]
            for name in ("time", "frequency", "channel")
        },
    }
print(json.dumps(found))
"""

XARRAY = """
import json, sys
import xarray

_, path, engine, *keys = sys.argv
found = {}
with xarray.open_datatree(path, engine=engine) as tree:
    for key in keys:
        array = tree[f"features/{key}"]
        axes = [array[axis] for axis in array.dims]
        coordinates = [(axis.name, axis.attrs["units"], axis.values.tolist()) for axis in axes]
        found[key] = coordinates, array.values.tolist()
    near = array.sel(frequency=1000, method="nearest").sel(time_2=slice(0.02, 0.04))
    found["near"] = dict(near.sizes)
print(json.dumps(found))
"""


def read_by(script: str, *arguments: object) -> Any:
    """Return what a script finds; a process may have one HDF5 library, and netCDF has its own."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_the_netcdf_library_names_every_dimension(labelled: Path) -> None:
    """MATLAB, Octave, R's ncdf4 and ncdump read with this library."""
    found = read_by(NETCDF, labelled)
    assert found["below"] == []  # else it would have made up dimensions
    axes = {"time": 40, "time_2": 27, "frequency": 33, "channel": 1, "channel_2": 2}
    tables = {"input": 5, "key_byte": 58, "source_byte": 58, "note_byte": 5, "label_byte": 5}
    assert found["dimensions"] == axes | tables
    assert found["arrays"] == {
        "/features/a.wav": ["time", "frequency", "channel"],
        "/features/b.flac": ["time", "frequency", "channel_2"],
        "/features/site ä/night 1.wav": ["time_2", "frequency", "channel_2"],
        "/features/site ä/night 2.wav": ["time", "frequency", "channel"],
        "/features/time": ["time_2", "frequency", "channel"],
    }
    units, name, values = found["coordinates"]["time"]
    assert (units, name) == ("s", "time from the start of the recording to the centre of the frame")
    np.testing.assert_allclose(values, seconds(1000))
    assert found["coordinates"]["frequency"][:2] == ["Hz", "frequency of the bin"]


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_xarray_reads_coordinates(engine: str, here: Path, program: Any) -> None:
    keys = ("a.wav", "b.flac", "site ä/night 1.wav")  # xarray takes "time" for a coordinate
    mel = ("melspectrogram", *LAYER, "--n-mels", 12)
    assert program(*mel, *keys, "-o", here / "mel.h5", SCALES).code == 0
    found = read_by(XARRAY, here / "mel.h5", engine, *keys)
    near = found.pop("near")
    with kapre_cli.open_features(here / "mel.h5") as features:
        times = features[keys[2]].times
        assert near == {"time_2": ((times >= 0.02) & (times <= 0.04)).sum(), "channel_2": 2}
        for key, (axes, values) in found.items():
            (band, hertz, bands), (time, unit, times), (channel, *_) = axes
            assert (band, time[:4], channel[:7]) == ("frequency", "time", "channel")
            assert (hertz, unit) == ("Hz", "s")
            np.testing.assert_array_equal(bands, features.frequency)
            np.testing.assert_array_equal(times, features[key].times)
            np.testing.assert_array_equal(np.float32(values), features[key][:])


def test_channels_have_their_numbers_in_the_recording(here: Path, program: Any) -> None:
    write_audio(Path("four.wav"), reference.noise(4, 500))
    for options, numbers in (
        (("--channel", 3, "--channel", 1), [3, 1]),
        (("--mono",), [0]),
        (("--channel", 3, "--channel", 1, "--mono"), [0]),
    ):
        ended = program(*VALID, "four.wav", "-o", here / "x.h5", SCALES, *options, "--overwrite")
        assert ended.code == 0, ended.err
        with h5py.File(here / "x.h5") as file:
            assert file["features/four.wav"].dims[2][0][:].tolist() == numbers


def test_axes_in_another_order_have_their_own_scales(here: Path, program: Any) -> None:
    options = ("--n-dft", 64, "--n-mels", 12, "--data-format", "channels_first")
    packed = ("--compression", "gzip", "--dtype", "float16")
    output = here / "x.h5"
    assert program("melspectrogram", "b.flac", "-o", output, SCALES, *options, *packed).code == 0
    with h5py.File(output) as file:
        names = [axis.keys() for axis in file["features/b.flac"].dims]
    assert names == [["channel"], ["frequency"], ["time"]]
    assert program("verify", output).code == 0


def test_an_axis_of_time_longer_than_what_is_written_at_once(here: Path, program: Any) -> None:
    write_audio(Path("long.wav"), reference.noise(1, 150_000))
    options = ("--n-dft", 2, "--n-hop", 1, "--padding", "valid")
    assert program("spectrogram", "long.wav", "-o", here / "x.h5", SCALES, *options).code == 0
    with h5py.File(here / "x.h5") as file:
        np.testing.assert_allclose(file["time"], (np.arange(149_999) + 1) / SR)


def test_more_arrays_share_a_scale_than_hdf5s_own_list_of_them_holds(tmp_path: Path) -> None:
    """HDF5 lists the arrays of a scale in an attribute, which ends at 4,084 of them."""
    n_arrays = 4200
    layer = SpectrogramConfig(n_dft=4, n_hop=10, image_data_format="channels_last")
    audio = AudioSettings(sr=SR)
    root = OutputMetadata(layer, audio, "float32", "none", "numpy", {}, dimension_scales=True)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        scales = ScaleWriter(file, root, np.arange(3.0))
        for number in range(n_arrays):
            n_samples = 40 + 10 * (number % 2)
            dataset = file.create_dataset(f"features/{number}", (n_samples // 10, 3, 1), "<f4")
            scales.attach(dataset.id, InputMetadata("-", SR, SR, n_samples, 1, 0.0, 10 / SR, 0, 0))
    arrays = read_by(NETCDF, tmp_path / "many.h5")["arrays"]
    for number in range(n_arrays):
        time = ("time", "time_2")[number % 2]
        assert arrays[f"/features/{number}"] == [time, "frequency", "channel"]


# Whatever way an output is made, it has the same bytes


def test_resumed_and_merged_outputs_are_those_of_one_run(
    labelled: Path, here: Path, program: Any
) -> None:
    whole = labelled.read_bytes()
    run = (*VALID, *RECORDINGS, SCALES, "-o")
    assert program(*run, here / "again.h5").code == 0
    assert (here / "again.h5").read_bytes() == whole
    with blocks_of(2**10), interrupted_after(3):
        assert program(*run, here / "resumed.h5").code == 130
    assert program(*run, here / "resumed.h5", "--resume").code == 0
    assert (here / "resumed.h5").read_bytes() == whole
    parts = [here / f"{index}.h5" for index in (1, 2, 3)]
    for index, part in enumerate(parts, 1):
        assert program(*run, part, "--shard", f"{index}/3").code == 0
    assert program("merge", *parts, "-o", here / "merged.h5").code == 0
    assert (here / "merged.h5").read_bytes() == whole


def test_no_clock_is_in_the_bytes(labelled: Path) -> None:
    times = {}
    with h5py.File(labelled) as file:
        file.visit(
            lambda name: times.update({name: h5py.h5g.get_objinfo(file.id, name.encode()).mtime})
        )
    assert {"time", "channel", "frequency", "input", "features/a.wav"} <= set(times)
    assert set(times.values()) == {0}


def test_merging_adds_scales_and_a_folder_has_none(
    labelled: Path, here: Path, program: Any
) -> None:
    for name in ("plain.h5", "plain"):
        assert program(*VALID, *RECORDINGS, "-o", here / name).code == 0
        assert program("merge", here / name, "-o", here / f"{name} labelled.h5", SCALES).code == 0
        assert (here / f"{name} labelled.h5").read_bytes() == labelled.read_bytes()
    assert program("merge", labelled, "-o", here / "folder").code == 0
    for file in ("kapre-extract.json", "manifest.jsonl"):
        assert (here / "folder" / file).read_bytes() == (here / "plain" / file).read_bytes()


def test_an_output_without_arrays_can_have_scales(here: Path, program: Any) -> None:
    numbers = []
    for part in ("1/2", "2/2"):
        output = here / f"{part[0]}.h5"
        assert program(*VALID, "a.wav", "-o", output, "--shard", part, SCALES).code == 0
        assert program("verify", output).code == 0
        with kapre_cli.open_features(output) as features:
            numbers.append(len(features))
    assert sorted(numbers) == [0, 1]
    assert program("merge", here / "1.h5", here / "2.h5", "-o", here / "x.h5").code == 0
    arrays = read_by(NETCDF, here / "x.h5")["arrays"]
    assert arrays == {"/features/a.wav": ["time", "frequency", "channel"]}


def test_scales_are_a_setting_that_resuming_keeps(labelled: Path, here: Path, program: Any) -> None:
    before = labelled.read_bytes()
    run = (*VALID, *RECORDINGS, "-o")
    ended = program(*run, labelled, "--resume")
    assert (ended.code, "dimension_scales: True before, False now" in ended.err) == (2, True)
    assert program(*run, here / "plain.h5").code == 0
    ended = program(*run, here / "plain.h5", "--resume", SCALES)
    assert (ended.code, "dimension_scales: False before, True now" in ended.err) == (2, True)
    ended = program("merge", labelled, here / "plain.h5", "-o", here / "x.h5")
    assert (ended.code, "dimension_scales: False, not True" in ended.err) == (2, True)
    assert program(*run, labelled, SCALES, "--resume").code == 0
    assert labelled.read_bytes() == before
    assert program(*run, labelled, "--overwrite").code == 0
    assert labelled.read_bytes() == (here / "plain.h5").read_bytes()


@pytest.mark.parametrize("output", ["x.npy", "x", "-"])
def test_formats_without_scales_refuse_them(output: str, here: Path, program: Any) -> None:
    name = output if output == "-" else here / output
    ended = program(*VALID, "a.wav", "-o", name, SCALES)
    assert (ended.code, ended.out) == (2, "")
    assert "Only the format hdf5 can have dimension scales" in ended.err
    assert not (here / output).exists()


# Reading does not depend on them


def test_reading_is_the_same_with_and_without(labelled: Path, here: Path, program: Any) -> None:
    program(*VALID, *RECORDINGS, "-o", here / "plain.h5")
    with (
        kapre_cli.open_features(labelled) as features,
        kapre_cli.open_features(here / "plain.h5") as plain,
    ):
        assert list(features.metadata()) == list(plain.metadata())
        assert features.layer == plain.layer
        np.testing.assert_array_equal(features.frequency, plain.frequency)
        for key in RECORDINGS:
            np.testing.assert_array_equal(features[key][:], plain[key][:])
    assert program("verify", labelled).code == 0
    compared = program("compare", labelled, here / "plain.h5")
    assert (compared.code, "5 the same" in compared.out) == (0, True), compared.out


def lengthen(file: Any) -> None:
    del file["time_2"]
    file.create_dataset("time_2", (2**40,), "<f8")


def move(file: Any) -> None:
    file["time_2"][3] += 0.001


def link(file: Any) -> None:
    del file["time_2"]
    file["time_2"] = h5py.ExternalLink("other.h5", "/time_2")


def repeat(file: Any) -> None:
    values = file["time_2"][:]
    del file["time_2"]
    file.create_dataset("time_2", data=values, chunks=(1,), compression="gzip")


def add(file: Any) -> None:
    file["time_3"] = np.arange(3.0)


def describe(file: Any) -> None:
    file["features/a.wav"].attrs["units"] = "dB"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lengthen, "wrong: 'time_2' declares"),
        (move, "wrong: the dimension scale 'time_2' is not that of its arrays"),
        (link, "wrong: 'time_2' is a link to another place"),
        (repeat, "wrong: 'time_2' is not stored as this program does"),
        (lambda file: file.__delitem__("time_2"), "wrong: it has no 'time_2'"),
        (add, "unexpected: '/time_3'"),
        (describe, "unexpected: 'attribute units of a.wav'"),
    ],
)
def test_verify_compares_scales_with_the_metadata(
    change: Any, told: str, labelled: Path, program: Any
) -> None:
    with h5py.File(labelled, "r+") as file:
        change(file)
    ended = program("verify", labelled)
    assert (ended.code, ended.out.count("wrong: ") + ended.out.count("unexpected: ")) == (1, 1)
    assert told in ended.out
    assert "5 correct, 0 wrong" in ended.out
    with kapre_cli.open_features(labelled) as features:
        assert features["site ä/night 1.wav"].times[-1] == seconds(700)[-1]


def test_references_in_a_file_are_not_followed(labelled: Path, here: Path, program: Any) -> None:
    """An attribute of variable length can make HDF5 read without end, so ours is left alone."""
    dangling = np.empty(3, h5py.vlen_dtype(h5py.ref_dtype))
    with h5py.File(labelled, "r+") as file:
        for axis in range(3):
            dangling[axis] = np.array([h5py.Reference()] * 2, h5py.ref_dtype)
        del file["features/a.wav"].attrs["DIMENSION_LIST"]
        file["features/a.wav"].attrs.create(
            "DIMENSION_LIST", dangling, dtype=h5py.vlen_dtype(h5py.ref_dtype)
        )
    assert program("verify", labelled).code == 0
    assert program("merge", labelled, "-o", here / "x.h5").code == 0
    with h5py.File(here / "x.h5") as file:
        assert file["features/a.wav"].dims[0].keys() == ["time"]


def test_somebody_elses_dataset_beside_the_scales_is_not_overwritten(
    labelled: Path, program: Any
) -> None:
    with h5py.File(labelled, "r+") as file:
        file["times"] = [1.0]
    before = labelled.read_bytes()
    ended = program(*VALID, *RECORDINGS, "-o", labelled, SCALES, "--overwrite")
    assert (ended.code, "'/times' in the output" in ended.err) == (2, True)
    assert labelled.read_bytes() == before


def test_channel_numbers_of_a_tampered_file_do_no_harm(
    labelled: Path, here: Path, program: Any
) -> None:
    with h5py.File(labelled, "r+") as file:
        text = file.attrs["settings"].replace(b'"channels": null', b'"channels": [%d]' % 2**62)
        file.attrs["settings"] = np.bytes_(text)
    ended = program("merge", labelled, "-o", here / "x.h5")
    assert "Traceback" not in ended.err
    with h5py.File(here / "x.h5") as file:
        assert file["features/a.wav"].dims[2][0][:].tolist() == [0]


def test_the_option_has_the_names_that_users_of_netcdf_look_for(here: Path, program: Any) -> None:
    for name in ("--netcdf", "--coords", "--scales"):
        ended = program(*VALID, "a.wav", "-o", here / "x.h5", name)
        assert (ended.code, SCALES in ended.err) == (2, True), ended.err
    assert not os.path.exists(here / "x.h5")
