"""Arrays of outputs and in memory: read as NumPy indexes, through a map where that is possible."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.errors import StoredDataError
from kapre_cli.formats import hdf5_values
from kapre_cli.formats.arrays import FeatureArray
from kapre_cli.formats.features import Features
from tests.outputs import LAYERS, SR, metadata_of, noise, write_output

KINDS = {
    "x.h5": "none",
    "gzip.h5": "gzip",
    "lzf.h5": "lzf",
    "folder": "none",
    "x.npy": "none",
}
INDICES: tuple[Any, ...] = (
    (),
    ...,
    5,
    -1,
    slice(2, 7),
    slice(None, None, -1),
    (slice(None), slice(100, 130)),
    (..., slice(1, 7, 3), 0),
    (0, ..., -1),
    (slice(4, 4), 2),
    (slice(8, 1, -3), slice(2, None)),
    [3, 1, 1],
    (slice(None), [2, 0]),
    (slice(1, 3), [0, 2], 1),
    np.array([True, False] * 20)[:9],
    (None, slice(2, 5), 3),
    (2, 3, 1),
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["float32", "float16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def output_of(kind: str, folder: Path, **arrays: Any) -> Path:
    layer = LAYERS[1]
    return write_output(folder / kind, arrays, layer, compression=KINDS[kind])


@pytest.mark.parametrize("block", ["one chunk", "several"])
def test_arrays_are_indexed_as_numpy_indexes(
    kind: str, dtype: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block == "several":
        monkeypatch.setattr("kapre_cli.framing.BLOCK_VALUES", 2**11)
        layer = LAYERS[1].__class__(**LAYERS[1].to_dict())
    else:
        layer = LAYERS[1]
    values = noise(layer, 333, 2, dtype=dtype)
    path = write_output(tmp_path / kind, {"a.wav": values}, layer, compression=KINDS[kind])
    with kapre_cli.open_features(path) as features:
        array = features["a.wav"]
        for index in INDICES:
            for read in (array.__getitem__, array.read):
                found = read(index)
                assert found.dtype == dtype
                assert found.flags.owndata or found.base is not None
                np.testing.assert_array_equal(found, values[index], strict=True)
        for wrong in (9, (0, 0, 0, 0), (slice(None), 333), (-10,)):
            with pytest.raises(IndexError):
                array[wrong]
        np.testing.assert_array_equal(np.asarray(array), values)
        assert np.asarray(array, "float64").dtype == "float64"


def test_what_is_read_is_a_copy(kind: str, tmp_path: Path) -> None:
    values = noise(LAYERS[1], 50)
    with kapre_cli.open_features(output_of(kind, tmp_path, a=values)) as features:
        array = features["a"]
        for index in ((), slice(2, 5), [1, 2]):
            array[index][...] = -1.0
        np.testing.assert_array_equal(array[()], values)


def test_an_array_says_what_it_has(kind: str, tmp_path: Path) -> None:
    values = noise(LAYERS[1], 50, 2)
    with kapre_cli.open_features(output_of(kind, tmp_path, a=values)) as features:
        array = features["a"]
        assert (array.ndim, array.size, array.nbytes) == (3, values.size, values.nbytes)
        assert (len(array), array.shape, array.axes) == (9, (9, 50, 2), ("mel", "time", "channel"))
        assert array.channels == (0, 1)
        np.testing.assert_array_equal(array.frequency, features.frequency)
        np.testing.assert_array_equal(array.coordinate, features.coordinate)
        assert isinstance(array, FeatureArray)


def test_uncompressed_arrays_are_mapped_and_no_others(kind: str, tmp_path: Path) -> None:
    values = noise(LAYERS[1], 50)
    with kapre_cli.open_features(output_of(kind, tmp_path, a=values)) as features:
        mapped = features["a"].mapped()
        assert (mapped is not None) == (KINDS[kind] == "none")
        if mapped is not None:
            assert not mapped.flags.writeable
            np.testing.assert_array_equal(mapped, values)


def test_an_array_in_memory_is_a_feature_array() -> None:
    layer = LAYERS[0]
    values = noise(layer, 40, 2)
    array = FeatureArray("x", values, metadata_of(layer, values), layer)
    np.testing.assert_array_equal(array[3:5, :, 1], values[3:5, :, 1])
    array[:][...] = 0
    np.testing.assert_array_equal(array.read(()), values)
    np.testing.assert_allclose(array.frequency, np.arange(9) * SR / 16)
    np.testing.assert_allclose(np.diff(array.times), 0.01)
    assert repr(array) == "<'x' {'time': 40, 'frequency': 9, 'channel': 2} float32>"
    with pytest.raises(StoredDataError, match="has shape"):
        FeatureArray("x", values[1:], metadata_of(layer, values), layer)


def test_channels_are_those_of_the_recording(tmp_path: Path) -> None:
    layer = LAYERS[0]
    arrays = {"a": noise(layer, 9, 2), "b": noise(layer, 9, 1)}
    path = write_output(
        tmp_path / "x.h5",
        arrays,
        layer,
        channels=(3, 1),
        metadata={"b": {"start": 0.0, "end": 0.09, "channel": 5}},
    )
    with kapre_cli.open_features(path) as features:
        assert [features[key].channels for key in features] == [(3, 1), (5,)]


@pytest.mark.parametrize("name", ["x.h5", "folder", "x.npy"])
def test_without_maps_arrays_are_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that cannot map has an OSError for it."""

    def cannot(*_arguments: object, **_options: object) -> None:
        raise OSError(19, "No such device")

    values = noise(LAYERS[1], 50)
    path = output_of(name, tmp_path, a=values)
    monkeypatch.setattr("kapre_cli.formats.file_map.mmap.mmap", cannot)
    with kapre_cli.open_features(path) as features:
        assert features["a"].mapped() is None
        np.testing.assert_array_equal(features["a"][:, 3:9], values[:, 3:9])
        windows = features.windows(0.1)
        np.testing.assert_array_equal(windows[1], values[:, 10:20])


def test_values_beyond_the_end_of_the_file_are_not_mapped(tmp_path: Path) -> None:
    values = noise(LAYERS[1], 500)
    path = output_of("x.h5", tmp_path, a=values)
    with h5py.File(path) as file:
        offset = file["features/a"].id.get_offset()
    content = path.read_bytes()
    with kapre_cli.open_features(path) as features:
        array = features["a"]
        os.truncate(path, offset + 100)
        try:
            with pytest.raises(StoredDataError, match="cannot be read"):
                array[:, :20]
        finally:
            path.write_bytes(content)


@pytest.mark.parametrize("name", ["folder", "x.npy"])
def test_a_replaced_npy_file_is_not_read_through_the_map_of_the_old_one(
    name: str, tmp_path: Path
) -> None:
    old, new = (noise(LAYERS[1], 50, seed=seed) for seed in (1, 2))
    (tmp_path / "new").mkdir()
    path, other = output_of(name, tmp_path, a=old), output_of(name, tmp_path / "new", a=new)
    with kapre_cli.open_features(path) as features:
        np.testing.assert_array_equal(features["a"][:, 3:9], old[:, 3:9])
        file, replacing = (one / "a.npy" if one.is_dir() else one for one in (path, other))
        os.replace(replacing, file)
        np.testing.assert_array_equal(features["a"][:, 3:9], new[:, 3:9])


@pytest.mark.parametrize("name", ["folder", "x.npy"])
def test_an_array_of_a_replaced_npy_file_is_not_that_of_the_new_one(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    path = output_of(name, tmp_path, a=noise(LAYERS[1], 50))
    other = output_of(name, tmp_path / "new", a=noise(LAYERS[1], 60))
    with kapre_cli.open_features(path) as features:
        array = features["a"]
        file, replacing = (one / "a.npy" if one.is_dir() else one for one in (path, other))
        os.replace(replacing, file)
        with pytest.raises(StoredDataError, match="its header declares"):
            array[:, 3:9]


def test_more_npy_files_are_read_than_may_be_open(tmp_path: Path) -> None:
    arrays = {f"{number}.wav": noise(LAYERS[0], 3, seed=number) for number in range(300)}
    path = write_output(tmp_path / "folder", arrays, LAYERS[0])
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
import kapre_cli
with kapre_cli.open_features({str(path)!r}) as features:
    arrays = list(features.values())
    print(sum(float(array[1, 2, 0]) for _ in range(2) for array in arrays))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode()
    expected = sum(float(values[1, 2, 0]) for _ in range(2) for values in arrays.values())
    assert float(ended.stdout) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["x.h5", "gzip.h5"])
def test_nothing_is_read_through_a_closed_output(name: str, tmp_path: Path) -> None:
    path = output_of(name, tmp_path, a=noise(LAYERS[1], 50))
    with kapre_cli.open_features(path) as features:
        array, windows = features["a"], features.windows(0.1)
        assert windows[0].shape == (9, 10, 1)
    with pytest.raises((ValueError, RuntimeError)):
        array[:, 3:5]
    with pytest.raises((ValueError, RuntimeError)):
        windows[1]


def test_an_array_that_is_in_use_outlives_the_output(tmp_path: Path) -> None:
    values = noise(LAYERS[1], 50)
    with kapre_cli.open_features(output_of("x.h5", tmp_path, a=values)) as features:
        mapped = features["a"].mapped()
        assert mapped is not None
    np.testing.assert_array_equal(mapped, values)


@pytest.mark.parametrize("filters", [{}, {"shuffle": True}, {"fletcher32": True}])
@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_chunks_of_any_packing_are_read(
    filters: dict[str, bool], compression: str | None, tmp_path: Path
) -> None:
    values = noise(LAYERS[1], 333, 2)
    path = output_of("gzip.h5", tmp_path, a=values)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["features/a"].attrs)
        del file["features/a"]
        made = file["features"].create_dataset(
            "a", data=values, chunks=(4, 100, 2), compression=compression, **filters
        )
        made.attrs.update(attributes)
    with kapre_cli.open_features(path) as features:
        array = features["a"]
        for index in INDICES:
            np.testing.assert_array_equal(array[index], values[index], strict=True)
        array.verify()


def test_a_chunk_that_is_damaged_is_an_error(tmp_path: Path) -> None:
    path = output_of("gzip.h5", tmp_path, a=noise(LAYERS[1], 333))
    with h5py.File(path) as file:
        place = file["features/a"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    for at in (place.size // 2, place.size - 2):  # its values, and its checksum
        damaged = bytearray(content)
        damaged[place.byte_offset + at] ^= 1
        path.write_bytes(damaged)
        with (
            kapre_cli.open_features(path) as features,
            pytest.raises(StoredDataError, match=r"'a' (cannot be read|has a chunk that)"),
        ):
            features["a"][:, :5]


def test_a_chunk_without_its_checksum_is_an_error(tmp_path: Path) -> None:
    path = output_of("gzip.h5", tmp_path, a=noise(LAYERS[1], 100))
    with h5py.File(path, "r+") as file:
        chunk = file["features/a"].id
        for number in range(chunk.get_num_chunks()):
            start = chunk.get_chunk_info(number).chunk_offset
            _, packed = chunk.read_direct_chunk(start)
            chunk.write_direct_chunk(start, packed[:-4])
    with (
        kapre_cli.open_features(path) as features,
        pytest.raises(StoredDataError, match="'a' cannot be read"),
    ):
        features["a"][:, :5]


def test_chunks_in_memory_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {str(number): noise(LAYERS[1], 100, seed=number) for number in range(20)}
    path = write_output(tmp_path / "x.h5", arrays, LAYERS[1], compression="gzip")
    most = 0
    put = hdf5_values.ChunkCache.put

    def watched(cache: Any, *arguments: Any) -> None:
        nonlocal most
        put(cache, *arguments)
        most = max(most, sum(chunk.nbytes for chunk in cache._chunks.values()))

    monkeypatch.setattr(hdf5_values.ChunkCache, "put", watched)
    monkeypatch.setattr(hdf5_values.ChunkCache.__init__, "__defaults__", (10_000,))
    with kapre_cli.open_features(path) as features:
        opened = [features[key] for key in features]
        for array in 2 * opened:
            np.testing.assert_array_equal(array[:, 2:9], arrays[array.key][:, 2:9])
    assert 4_000 < most <= 10_000


def test_another_process_opens_the_output_again(kind: str, tmp_path: Path) -> None:
    values = noise(LAYERS[1], 50)
    path = output_of(kind, tmp_path, a=values)
    with kapre_cli.open_features(path) as features:
        for again in (pickle.loads(pickle.dumps(features)), copy.copy(features)):  # noqa: S301
            with again:
                assert isinstance(again, Features)
                assert again.path.is_absolute()
                (key,) = again
                np.testing.assert_array_equal(again[key][:], values)


_WHOLE = """
import re, sys
from pathlib import Path
import kapre_cli

def mapped():
    return int(re.search(r"RssFile:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

with kapre_cli.open_features(sys.argv[1]) as features:
    array = features["a"]
    array[:, :10]
    before = mapped()
    array[:]
    print(array.nbytes // 1000, mapped() - before)
"""


def test_pages_of_the_map_do_not_fill_the_memory_when_all_is_read(tmp_path: Path) -> None:
    path = output_of("x.h5", tmp_path, a=noise(LAYERS[1], 600_000))
    ended = subprocess.run(
        [sys.executable, "-c", _WHOLE, path], capture_output=True, timeout=60, check=True
    )
    n_kilobytes, grown = map(int, ended.stdout.split())
    assert n_kilobytes > 20_000
    assert grown < n_kilobytes // 4
