"""Arrays as xarray has them: labelled in seconds and Hz, read when their values are used."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

import kapre_cli
from kapre_cli.errors import SettingsError
from kapre_cli.formats.arrays import FeatureArray, StoredArray
from kapre_cli.settings import LayerConfig
from tests.outputs import DECIBELS, LAYERS, metadata_of, noise, write_output

KINDS = {"x.h5": "none", "gzip.h5": "gzip", "folder": "none"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "-".join(layer.axes))
def test_an_array_is_labelled_in_seconds_and_hz(
    layer: LayerConfig, kind: str, tmp_path: Path
) -> None:
    values = noise(layer, 50, 2)
    path = write_output(
        tmp_path / kind, {"a/b.wav": values}, layer, compression=KINDS[kind], channels=(4, 2)
    )
    with kapre_cli.open_features(path) as features:
        array = features["a/b.wav"]
        labelled = array.to_xarray()
        assert (labelled.dims, labelled.shape, labelled.dtype) == (
            layer.axes,
            values.shape,
            values.dtype,
        )
        np.testing.assert_array_equal(labelled.time, array.times)
        np.testing.assert_array_equal(labelled.frequency, features.frequency)
        np.testing.assert_array_equal(labelled.channel, [4, 2])
        assert (labelled.time.attrs["units"], labelled.frequency.attrs["units"]) == ("s", "Hz")
        part = labelled.sel(time=slice(0.1, 0.2), frequency=slice(500, 2500), channel=2)
        numbers: dict[str, Any] = {
            "time": (array.times >= 0.1) & (array.times <= 0.2),
            layer.feature_axis: (array.frequency >= 500) & (array.frequency <= 2500),
        }
        index = np.ix_(*(numbers.get(axis, [False, True]) for axis in layer.axes))
        expected = values[index].squeeze(layer.axes.index("channel"))
        np.testing.assert_array_equal(part, expected)
        for name in (0, slice(None, None, -2), [3, 0, 3]):
            found = labelled.isel(time=name)
            np.testing.assert_array_equal(found, values_at(values, layer, name))
        assert float(labelled.mean()) == pytest.approx(float(values.mean()), rel=1e-5)


def values_at(values: Any, layer: LayerConfig, frames: Any) -> Any:
    return values[(slice(None),) * layer.axes.index("time") + (frames,)]


def test_values_are_read_when_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_output(tmp_path / "x.h5", {"a": noise(LAYERS[1], 500)}, LAYERS[1])
    read: list[int] = []
    index = StoredArray.__getitem__

    def noted(array: StoredArray, one: Any) -> Any:
        found = index(array, one)
        read.append(found.size)
        return found

    monkeypatch.setattr(StoredArray, "__getitem__", noted)
    with kapre_cli.open_features(path) as features:
        labelled = features["a"].to_xarray()
        part = labelled.sel(time=slice(1.0, 1.2))
        stacked = features.to_xarray(["a"]).isel(time=slice(3, 5))
        assert read == []
        assert part.values.size == sum(read) == 9 * 20
        read.clear()
        assert stacked["features"].values.shape == (1, 9, 2, 1)
        assert read == [18]


def test_attributes_are_the_metadata_and_can_be_stored(tmp_path: Path) -> None:
    values = noise(DECIBELS, 50)
    path = write_output(tmp_path / "x.h5", {"a/b.wav": values}, DECIBELS)
    with kapre_cli.open_features(path) as features:
        labelled = features["a/b.wav"].to_xarray()
        assert labelled.attrs["key"] == "a/b.wav"
        assert labelled.attrs["reference_db"] == 0.0
        assert labelled.attrs["long_name"] == "Level (dB re recording's maximum)"
        metadata = features["a/b.wav"].metadata.to_dict()
        for name, value in metadata.items():
            assert (labelled.attrs[name] if value is not None else None) == value
        labelled.to_netcdf(tmp_path / "a.nc")
        features.to_xarray().to_netcdf(tmp_path / "all.nc")
    with xarray.open_dataarray(tmp_path / "a.nc") as again:
        np.testing.assert_array_equal(again, values)
    with xarray.open_dataset(tmp_path / "all.nc") as everything:
        np.testing.assert_array_equal(everything["features"][0], values)


def test_an_array_in_memory_is_labelled_too() -> None:
    layer = LAYERS[0]
    values = noise(layer, 40)
    array = FeatureArray("x", values, metadata_of(layer, values), layer)
    found = array.to_xarray().sel(frequency=[0.0, 1000.0])
    np.testing.assert_array_equal(found, values[:, [0, 2]])


def test_arrays_of_one_shape_are_a_data_set(kind: str, tmp_path: Path) -> None:
    layer = LAYERS[1]
    arrays = {str(seed): noise(layer, 50, 2, seed) for seed in range(6)}
    arrays["long"] = noise(layer, 51, 2)
    path = write_output(tmp_path / kind, arrays, layer, compression=KINDS[kind])
    keys = ["4", "0", "5", "2"]
    expected = np.stack([arrays[key] for key in keys])
    with kapre_cli.open_features(path) as features:
        dataset = features.to_xarray(keys)
        assert dataset["features"].dims == ("input", *layer.axes)
        np.testing.assert_array_equal(dataset["features"], expected)
        np.testing.assert_array_equal(dataset["input"], keys)
        np.testing.assert_allclose(dataset["time"], np.arange(50) / 100)
        times = [features[key].metadata.time_start for key in keys]
        np.testing.assert_array_equal(dataset["time_start"], times)
        assert '"class_name": "Melspectrogram"' in dataset.attrs["layer"]
        one = dataset["features"].sel(input="5").isel(time=3, channel=1)
        np.testing.assert_array_equal(one, arrays["5"][:, 3, 1])
        some = dataset["features"].isel(input=[2, 0], time=slice(10, 5, -1))
        np.testing.assert_array_equal(some, expected[[2, 0], :, 10:5:-1])
        assert dataset["features"].isel(input=slice(0, 0)).values.shape == (0, 9, 50, 2)
        assert float(dataset["features"].max()) == expected.max()
        with pytest.raises(SettingsError, match=r"'0' has the shape .* and 'long' \(9, 51, 2\)"):
            features.to_xarray()
        with pytest.raises(SettingsError, match="`keys` has no key"):
            features.to_xarray([])


def test_without_xarray_the_message_says_how_it_is_installed(tmp_path: Path) -> None:
    path = write_output(tmp_path / "x.h5", {"a": noise(LAYERS[1], 5)}, LAYERS[1])
    code = f"""
import sys
sys.modules["xarray"] = None
import kapre_cli
with kapre_cli.open_features({str(path)!r}) as features:
    for make in (features["a"].to_xarray, features.to_xarray):
        try:
            make()
        except ImportError as error:
            print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert ended.stdout.decode().count("pip install 'kapre-extract[xarray]'") == 2
