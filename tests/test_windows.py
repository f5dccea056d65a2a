"""Windows over arrays on disk: the same bits as the arrays, whatever the format and the axes."""

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import SettingsError, StoredDataError
from kapre_cli.formats.windows import Windows
from kapre_cli.settings import LayerConfig
from tests.outputs import DECIBELS, LAYERS, noise, write_output

Arrays = dict[str, npt.NDArray[Any]]
LENGTHS = {"a.wav": 47, "site/b.wav": 20, "site/c.wav": 7, "d.wav": 100}
KINDS = {"x.h5": "none", "gzip.h5": "gzip", "lzf.h5": "lzf", "folder": "none"}


def arrays_of(layer: LayerConfig, n_channels: int = 1, dtype: str = "float32") -> Arrays:
    return {
        key: noise(layer, n_time, n_channels, seed, dtype)
        for seed, (key, n_time) in enumerate(LENGTHS.items())
    }


def cut(
    layer: LayerConfig, arrays: Arrays, n_frames: int, n_hop: int
) -> list[tuple[str, int, npt.NDArray[Any]]]:
    """Return all windows by plain NumPy, with their keys and first frames."""
    axis = layer.axes.index("time")
    found = []
    for key, values in arrays.items():
        for first in range(0, values.shape[axis] - n_frames + 1, n_hop):
            found.append((key, first, values.take(range(first, first + n_frames), axis)))
    return found


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Write arrays and open the output."""

    def write(
        arrays: Arrays, layer: LayerConfig = LAYERS[1], kind: str = "x.h5", **more: Any
    ) -> Any:
        compression = KINDS[kind]
        path = write_output(tmp_path / kind, arrays, layer, compression=compression, **more)
        return kapre_cli.open_features(path)

    return write


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "-".join(layer.axes))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_windows_have_the_bits_of_the_arrays(
    kind: str, layer: LayerConfig, dtype: str, opened: Callable[..., Any]
) -> None:
    arrays = arrays_of(layer, 2, dtype)
    expected = cut(layer, arrays, 10, 4)
    with opened(arrays, layer, kind) as features:
        windows = features.windows(0.1, hop=0.04)
        assert len(windows) == len(expected) == 10 + 3 + 23
        assert (windows.n_frames, windows.dtype) == (10, dtype)
        for number, (key, first, values) in enumerate(expected):
            np.testing.assert_array_equal(windows[number], values, strict=True)
            assert windows.key(number) == key
            assert windows.shape == values.shape
            step = features[key].metadata.time_step
            start = features[key].times[first] - step / 2
            assert windows.start(number) == pytest.approx(max(start, 0), abs=1e-12)
        everything = np.stack([values for _, _, values in expected])
        np.testing.assert_array_equal(windows[:], everything, strict=True)
        np.testing.assert_array_equal(np.stack(list(windows)), everything)
        for index in (slice(5, 30, 7), slice(None, None, -3), slice(3, 3)):
            np.testing.assert_array_equal(windows[index], everything[index], strict=True)
        chosen = [35, 0, -1, 11, 11]
        for indices in (chosen, np.array(chosen), np.array(chosen, np.int8), tuple(chosen)):
            np.testing.assert_array_equal(windows[indices], everything[chosen], strict=True)
        mask = np.arange(len(windows)) % 5 == 0
        np.testing.assert_array_equal(windows[mask], everything[mask])
        assert windows[[]].shape == (0, *windows.shape)
        np.testing.assert_array_equal(windows[-2], everything[-2])
        np.testing.assert_array_equal(windows[np.int64(3)], everything[3])


def test_a_window_is_a_copy(opened: Callable[..., Any]) -> None:
    arrays = arrays_of(LAYERS[1])
    with opened(arrays) as features:
        windows = features.windows(0.1)
        windows[0][...] = -1
        windows[:3][...] = -1
        np.testing.assert_array_equal(windows[0], arrays["a.wav"][:, :10])


@pytest.mark.parametrize("index", [13, -14, [0, 13], [-14], [0.5], "a.wav", [[0, 1]], None])
def test_numbers_out_of_range_are_index_errors(index: Any, opened: Callable[..., Any]) -> None:
    with opened({"a": noise(LAYERS[1], 130)}) as features:
        windows = features.windows(0.1)
        assert len(windows) == 13
        with pytest.raises(IndexError):
            windows[index]


@given(
    n_times=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    n_frames=st.integers(1, 40),
    n_hop=st.integers(1, 50),
)
def test_every_full_window_is_there_and_no_other(
    n_times: list[int], n_frames: int, n_hop: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layer = LAYERS[0]
    arrays = {str(number): noise(layer, n, seed=number) for number, n in enumerate(n_times)}
    path = write_output(tmp_path_factory.mktemp("windows") / "x.h5", arrays, layer)
    expected = cut(layer, arrays, n_frames, n_hop)
    with kapre_cli.open_features(path) as features:
        windows = features.windows(n_frames / 100, n_hop / 100)
        assert len(windows) == len(expected)
        found = [(windows.key(number), windows[number]) for number in range(len(windows))]
    for (key, values), (expected_key, _, expected_values) in zip(found, expected, strict=True):
        assert key == expected_key
        np.testing.assert_array_equal(values, expected_values)


def test_the_hop_is_the_window_by_default(opened: Callable[..., Any]) -> None:
    with opened({"a": noise(LAYERS[1], 100)}) as features:
        assert len(features.windows(0.25)) == 4
        assert len(features.windows()) == 1  # a second
        assert len(features.windows(0.254)) == 4  # rounded to 25 frames


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0.004}, "`seconds` must be at least a frame, 0.01 s. Received: seconds=0.004"),
        ({"hop": 0.001}, "`hop` must be at least a frame, 0.01 s. Received: hop=0.001"),
        ({"seconds": 0}, "`seconds` must be a number above 0. Received: seconds=0"),
        ({"short": "cut"}, "`short` must be one of ('drop', 'pad'). Received: short='cut'"),
        ({"channel": 2}, "'a.wav' has no channel 2; it has 0, 1"),
        ({"channel": -1}, "`channel` must be an integer of at least 0. Received: channel=-1"),
        ({"labels": "species"}, "`labels` must be one of ('label',). Received: labels='species'"),
        ({"labels": 3}, "a mapping from key to label, a function or 'label'"),
        ({"labels": {"a.wav": 1}}, "`labels` has no key 'site/b.wav'"),
        ({"labels": "label"}, "'a.wav' has no label in its metadata"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], message: str, opened: Callable[..., Any]
) -> None:
    with opened(arrays_of(LAYERS[1], 2)) as features:
        with pytest.raises(SettingsError, match=re.escape(message)) as raised:
            features.windows(**arguments)
        assert isinstance(raised.value, ValueError)


def test_keys_are_chosen_in_any_order(opened: Callable[..., Any]) -> None:
    arrays = arrays_of(LAYERS[1])
    keys = ["d.wav", "a.wav"]
    expected = cut(LAYERS[1], {key: arrays[key] for key in keys}, 10, 10)
    with opened(arrays) as features:
        windows = features.windows(0.1, keys=keys)
        assert windows.keys == tuple(keys)
        assert [windows.key(number) for number in range(len(windows))] == [
            key for key, _, _ in expected
        ]
        np.testing.assert_array_equal(windows[:], np.stack([values for _, _, values in expected]))
        assert features.windows(0.1, keys="a.wav").keys == ("a.wav",)
        assert len(features.windows(0.1, keys=[])) == 0
        for reading in (features.windows, features.mean_std, features.to_xarray):
            with pytest.raises(KeyError, match=r"the key 'A\.wav'.* similar keys are 'd"):
                reading(keys=["A.wav"])


# Short arrays


@pytest.mark.parametrize("layer", [*LAYERS, DECIBELS])
def test_short_arrays_are_padded_at_their_end(
    layer: LayerConfig, opened: Callable[..., Any]
) -> None:
    arrays = {key: noise(layer, n) for key, n in (("short", 7), ("long", 29), ("one", 1))}
    axis = layer.axes.index("time")
    with opened(arrays, layer) as features:
        assert features.windows(0.1).key(0) == "long"
        windows = features.windows(0.1, short="pad")
        assert [windows.key(number) for number in range(4)] == ["short", "long", "long", "one"]
        values = np.moveaxis(windows[0], axis, 0)
        np.testing.assert_array_equal(values[:7], np.moveaxis(arrays["short"], axis, 0))
        lowest = -80 if layer is DECIBELS else 0
        assert (values[7:] == lowest).all()
        np.testing.assert_array_equal(windows[[0]], windows[0][None])
        normal = windows.normalized(0.5, 2.0)
        np.testing.assert_allclose(normal[0], (windows[0] - 0.5) / 2, rtol=1e-6)


# Channels


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: "-".join(layer.axes))
@pytest.mark.parametrize("kind", KINDS)
def test_one_channel_of_arrays_with_any_number_of_them(
    layer: LayerConfig, kind: str, opened: Callable[..., Any]
) -> None:
    arrays = {"one": noise(layer, 30, 1), "three": noise(layer, 30, 3)}
    axis = layer.axes.index("channel")
    with opened(arrays, layer, kind) as features:
        windows = features.windows(0.1, channel=0)
        first = {key: values.take([0], axis) for key, values in arrays.items()}
        expected = [values for _, _, values in cut(layer, first, 10, 10)]
        np.testing.assert_array_equal(windows[:], np.stack(expected))
        last = features.windows(0.1, channel=2, keys=["three"])
        expected = [values for *_, values in cut(layer, {"": arrays["three"]}, 10, 10)]
        np.testing.assert_array_equal(last[:], np.stack(expected).take([2], axis + 1))
        with pytest.raises(SettingsError, match="'one' has no channel 2; it has 0"):
            features.windows(0.1, channel=2)
        with pytest.raises(SettingsError, match="'one' has 1 channel and 'three' 3 channels"):
            features.windows(0.1)


def test_a_channel_has_the_number_that_it_has_in_the_recording(
    opened: Callable[..., Any],
) -> None:
    arrays = {"a": noise(LAYERS[1], 30, 2)}
    with opened(arrays, channels=(3, 1)) as features:
        windows = features.windows(0.1, channel=1)
        np.testing.assert_array_equal(windows[0], arrays["a"][:, :10, 1:])
        with pytest.raises(SettingsError, match="'a' has no channel 0; it has 3, 1"):
            features.windows(0.1, channel=0)


# Labels


def test_labels_are_those_of_the_inputs(opened: Callable[..., Any]) -> None:
    names = {"a.wav": "frog", "site/b.wav": "bird", "site/c.wav": "frog", "d.wav": "insect"}
    with opened(arrays_of(LAYERS[1])) as features:
        windows = features.windows(0.1, labels=names)
        assert windows.classes == ("bird", "frog", "insect")
        assert [int(windows[number][1]) for number in (0, 5, 6)] == [1, 0, 2]
        batch, labels = windows[[0, 5, 6]]
        np.testing.assert_array_equal(batch[2], windows[6][0])
        np.testing.assert_array_equal(labels, [1, 0, 2])
        ordered = features.windows(0.1, labels=names, classes=("insect", "frog", "bird", "none"))
        assert ordered.classes == ("insect", "frog", "bird", "none")
        np.testing.assert_array_equal(ordered[[0, 5, 6]][1], [1, 2, 0])
        with pytest.raises(SettingsError, match="'insect' is not in classes="):
            features.windows(0.1, labels=names, classes=["bird", "frog"])


@pytest.mark.parametrize("value", [3, 0.5, np.array([0, 1, 1])])
def test_labels_may_be_numbers_and_arrays(value: Any, opened: Callable[..., Any]) -> None:
    arrays = arrays_of(LAYERS[1])
    with opened(arrays) as features:
        windows = features.windows(0.1, labels=dict.fromkeys(arrays, value))
        assert windows.classes is None
        np.testing.assert_array_equal(windows[2][1], value)
        np.testing.assert_array_equal(windows[:4][1], np.stack(4 * [np.asarray(value)]))


def test_labels_are_those_of_segments(opened: Callable[..., Any]) -> None:
    layer = LAYERS[0]
    arrays = {"a.wav/0-0.3": noise(layer, 30), "a.wav/1-1.2": noise(layer, 20)}
    about = {"n_samples": 80_000}
    metadata = {
        "a.wav/0-0.3": {**about, "start": 0.0, "end": 0.3, "label": "frog"},
        "a.wav/1-1.2": {**about, "start": 1.0, "end": 1.2, "label": "bird", "time_start": 1.005},
    }
    with opened(arrays, layer, metadata=metadata) as features:
        windows = features.windows(0.1, labels="label")
        assert windows.classes == ("bird", "frog")
        np.testing.assert_array_equal(windows[:][1], [1, 1, 1, 0, 0])
        assert windows.start(4) == pytest.approx(1.1)
        np.testing.assert_array_equal(windows[4][0], arrays["a.wav/1-1.2"][10:])
        with pytest.raises(SettingsError, match="1 recording cannot be divided"):
            windows.split()


def test_a_function_labels_each_window(opened: Callable[..., Any]) -> None:
    def label(key: str, start: float, end: float, metadata: Any) -> Any:
        assert metadata.sr == 8000
        return "call" if key == "d.wav" and start <= 0.5 < end else "none"

    with opened(arrays_of(LAYERS[1])) as features:
        windows = features.windows(0.1, labels=label, classes=["none", "call"])
        labels = windows[:][1]
        calls = [number for number, found in enumerate(labels) if found]
        assert len(calls) == 1
        assert windows.key(calls[0]) == "d.wav"
        assert windows.start(calls[0]) <= 0.5 < windows.start(calls[0]) + 0.1
        assert windows[calls[0]][1] == 1
        with pytest.raises(SettingsError, match="'none' is a text: name all in `classes`"):
            features.windows(0.1, labels=label)[0]


def test_labels_are_texts_or_numbers(opened: Callable[..., Any]) -> None:
    labels: dict[str, Any] = dict.fromkeys(LENGTHS, "bird") | {"d.wav": 1}
    with (
        opened(arrays_of(LAYERS[1])) as features,
        pytest.raises(SettingsError, match="all texts or all numbers"),
    ):
        features.windows(0.1, labels=labels)


# Parts


def many(n_recordings: int, folders: int = 5) -> Arrays:
    layer = LAYERS[0]
    return {
        f"site {number % folders}/{number}.wav": noise(layer, 10 + number % 7, seed=number)
        for number in range(n_recordings)
    }


def test_no_recording_is_in_both_parts(opened: Callable[..., Any]) -> None:
    arrays = many(50)
    with opened(arrays, LAYERS[0]) as features:
        windows = features.windows(0.05, 0.02)
        train, test = windows.split(0.8, seed=3)
        assert (len(train.keys), len(test.keys)) == (40, 10)
        assert not set(train.keys) & set(test.keys)
        assert set(train.keys) | set(test.keys) == set(arrays)
        assert len(train) + len(test) == len(windows)
        for part in (train, test):
            for number in range(0, len(part), 7):
                first = round(part.start(number) * 100)
                values = arrays[part.key(number)][first : first + 5]
                np.testing.assert_array_equal(part[number], values)
        valid, rest = test.split(0.5)
        assert set(valid.keys) | set(rest.keys) == set(test.keys)


def test_a_split_follows_from_the_seed_and_the_recordings(tmp_path: Path) -> None:
    arrays = many(40)
    backwards = dict(reversed(arrays.items()))
    parts = []
    for name, some in (("a.h5", arrays), ("b.h5", backwards)):
        path = write_output(tmp_path / name, some, LAYERS[0])
        with kapre_cli.open_features(path) as features:
            for seconds in (0.05, 0.15):  # with which many recordings have no window
                parts.append(set(features.windows(seconds).split(0.7, seed=1)[1].keys))
            other = set(features.windows(0.05).split(0.7, seed=2)[1].keys)
    assert all(part == parts[0] for part in parts)
    assert parts[0] != other
    arrays["site 0/new.wav"] = noise(LAYERS[0], 10)
    path = write_output(tmp_path / "c.h5", arrays, LAYERS[0])
    with kapre_cli.open_features(path) as features:
        more = set(features.windows(0.05).split(0.7, seed=1)[1].keys)
    assert len(more ^ parts[0]) <= 2


def test_segments_of_a_recording_stay_together(opened: Callable[..., Any]) -> None:
    layer = LAYERS[0]
    arrays, metadata = {}, {}
    for number in range(60):
        start = float(number // 10)
        key = f"site/{number % 10}.wav/{start:g}-{start + 0.1:g}"
        arrays[key] = noise(layer, 10, seed=number)
        metadata[key] = {"start": start, "end": start + 0.1, "n_samples": 80_000}
    with opened(arrays, layer, metadata=metadata) as features:
        train, test = features.windows(0.05).split(0.6)
        recordings = [{key.rpartition("/")[0] for key in part.keys} for part in (train, test)]
        assert not recordings[0] & recordings[1]
        assert [len(part) for part in recordings] == [6, 4]


def test_folders_stay_together(opened: Callable[..., Any]) -> None:
    with opened(many(50), LAYERS[0]) as features:
        windows = features.windows(0.05)
        train, test = windows.split(0.6, by="folder")
        folders = [{key.partition("/")[0] for key in part.keys} for part in (train, test)]
        assert not folders[0] & folders[1]
        assert [len(part) for part in folders] == [3, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 0}, "`fraction` must be a number above 0"),
        ({"fraction": 1.0}, "`fraction` must be a number between 0 and 1"),
        ({"by": "label"}, "`by` must be one of ('recording', 'folder')"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
    ],
)
def test_wrong_arguments_of_a_split_are_named(
    arguments: dict[str, Any], message: str, opened: Callable[..., Any]
) -> None:
    with opened(many(4), LAYERS[0]) as features:
        windows = features.windows(0.05)
        with pytest.raises(SettingsError, match=re.escape(message)):
            windows.split(**arguments)
        assert [len(part.keys) for part in windows.split(0.999)] == [3, 1]
        assert [len(part.keys) for part in windows.split(0.001)] == [1, 3]


# Mean and standard deviation


@pytest.mark.parametrize("axis", [None, "time", ("channel", "time"), ("time", "mel", "channel")])
@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_deviation_are_numpys(kind: str, axis: Any, opened: Callable[..., Any]) -> None:
    layer = LAYERS[1]
    arrays = {key: 5 * values for key, values in arrays_of(layer, 2).items()}
    names = layer.axes if axis is None else (axis,) if axis == "time" else axis
    numbers = tuple(layer.axes.index(name) for name in names)
    whole = np.concatenate([*arrays.values()], axis=1).astype(np.float64)
    with opened(arrays, layer, kind) as features:
        mean, std = features.mean_std(axis=axis)
        np.testing.assert_allclose(mean, whole.mean(numbers, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(std, whole.std(numbers, keepdims=True), rtol=1e-12)
        windows = features.windows(0.1, 0.05)
        mean, std = windows.mean_std(axis=axis)
        stacked = windows[:].astype(np.float64)
        over = (0, *(1 + number for number in numbers))
        np.testing.assert_allclose(mean, stacked.mean(over, keepdims=True)[0], rtol=1e-12)
        np.testing.assert_allclose(std, stacked.std(over, keepdims=True)[0], rtol=1e-12)


def test_each_feature_has_a_mean_of_its_own(opened: Callable[..., Any]) -> None:
    with opened(arrays_of(LAYERS[1], 2)) as features:
        assert [one.shape for one in features.mean_std()] == 2 * [(9, 1, 1)]
        assert [one.shape for one in features.windows(0.1).mean_std()] == 2 * [(9, 1, 1)]


@pytest.mark.parametrize(("dtype", "level"), [("float32", 1e6), ("float16", 2000.0)])
def test_a_mean_far_above_the_deviation_costs_no_precision(
    dtype: str, level: float, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kapre_cli.formats.values.BLOCK_VALUES", 2**10)
    layer = LAYERS[1]
    arrays = {
        str(seed): (level + 3 * noise(layer, 5000, 1, seed, "float64")).astype(dtype)
        for seed in range(5)
    }
    whole = np.concatenate([*arrays.values()], axis=1).astype(np.float64)
    with opened(arrays, layer) as features:
        mean, std = features.mean_std()
        np.testing.assert_allclose(mean, whole.mean((1, 2), keepdims=True), rtol=1e-14)
        np.testing.assert_allclose(std, whole.std((1, 2), keepdims=True), rtol=1e-9)


def test_what_is_not_averaged_must_have_one_length(opened: Callable[..., Any]) -> None:
    with opened(arrays_of(LAYERS[1])) as features:
        with pytest.raises(SettingsError, match=r"47 and 20 along time: `axis` must have 'time'"):
            features.mean_std(axis="channel")
        assert features.windows(0.1).mean_std(axis="channel")[0].shape == (9, 10, 1)
        with pytest.raises(SettingsError, match="`axis` must be one of"):
            features.mean_std(axis="frequency")
        with pytest.raises(SettingsError, match="no values"):
            features.mean_std(keys=[])
        with pytest.raises(SettingsError, match="no values"):
            features.windows(5.0).mean_std()


def test_normalized_windows_have_the_mean_0_and_the_deviation_1(
    opened: Callable[..., Any],
) -> None:
    arrays = {key: values * 1e3 + 1e6 for key, values in arrays_of(LAYERS[1]).items()}
    arrays["d.wav"][3] = arrays["a.wav"][3] = arrays["site/b.wav"][3] = 7.0
    with opened({key: arrays[key] for key in ("a.wav", "site/b.wav", "d.wav")}) as features:
        windows = features.windows(0.1, labels=dict.fromkeys(LENGTHS, 1))
        mean, std = windows.mean_std()
        normal = windows.normalized(mean, std)
        assert normal.dtype == np.float32
        values, labels = normal[:]
        assert values.dtype == np.float32
        assert (labels == 1).all()
        plain = windows[:][0].astype(np.float64)
        divisor = np.where(std == 0, 1, std)
        np.testing.assert_allclose(values, (plain - mean) / divisor, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(normal[5][0], values[5])
        assert (values[:, 3] == 0).all()
        with pytest.raises(SettingsError, match="normalized already"):
            normal.normalized(0, 1)
        with pytest.raises(SettingsError, match="`mean` must be of a shape that fits"):
            windows.normalized(np.zeros(7), 1)
        with pytest.raises(SettingsError, match="`std` must be from 0 up"):
            windows.normalized(0, -1)


# Processes, threads, changes of the file


@pytest.mark.parametrize("kind", KINDS)
def test_windows_can_be_pickled(kind: str, opened: Callable[..., Any]) -> None:
    with opened(arrays_of(LAYERS[1]), LAYERS[1], kind) as features:
        train, _ = features.windows(0.1, labels=dict.fromkeys(LENGTHS, 2)).split()
        before, _ = train[:]
        again = pickle.loads(pickle.dumps(train.normalized(0.5, 0.1)))  # noqa: S301
    values, labels = again[:]
    np.testing.assert_allclose(values, (before - 0.5) / 0.1, rtol=1e-5, atol=1e-6)
    assert (labels == 2).all()


@pytest.mark.parametrize("kind", KINDS)
def test_threads_may_share_windows(kind: str, opened: Callable[..., Any]) -> None:
    arrays = many(30)
    expected = np.stack([values for *_, values in cut(LAYERS[0], arrays, 5, 1)])
    with opened(arrays, LAYERS[0], kind) as features, ThreadPoolExecutor(4) as pool:
        windows = features.windows(0.05, 0.01)
        order = np.random.default_rng(1).integers(0, len(windows), (200, 16))
        for indices, found in zip(
            order, pool.map(windows.__getitem__, order, timeout=60), strict=True
        ):
            np.testing.assert_array_equal(found, expected[indices])


def test_windows_of_a_file_that_was_replaced_are_those_of_the_new_one_or_an_error(
    tmp_path: Path,
) -> None:
    arrays, others = arrays_of(LAYERS[1]), arrays_of(LAYERS[1])
    others["a.wav"] = noise(LAYERS[1], 40)
    path = write_output(tmp_path / "x.h5", arrays, LAYERS[1])
    new = write_output(tmp_path / "y.h5", {**others, "d.wav": noise(LAYERS[1], 100)}, LAYERS[1])
    with kapre_cli.open_features(path) as features:
        pickled = pickle.dumps(features.windows(0.1))
    new.replace(path)
    again: Windows = pickle.loads(pickled)  # noqa: S301
    with pytest.raises(StoredDataError, match=r"'a\.wav' has changed since"):
        again[0]
    np.testing.assert_array_equal(again[4], others["site/b.wav"][:, :10])


def test_damage_to_one_array_harms_only_its_windows(tmp_path: Path) -> None:
    arrays = arrays_of(LAYERS[1])
    path = write_output(tmp_path / "x.h5", arrays, LAYERS[1])
    with h5py.File(path, "r+") as file:
        file["features/site/b.wav"].attrs["input"] = np.bytes_("{}")
    with kapre_cli.open_features(path) as features:
        windows = features.windows(0.1)
        np.testing.assert_array_equal(windows[0], arrays["a.wav"][:, :10])
        with pytest.raises(StoredDataError, match="must be exactly"):
            windows[4]
        np.testing.assert_array_equal(windows[6], arrays["d.wav"][:, :10])


def test_values_of_another_type_than_the_output_are_an_error(tmp_path: Path) -> None:
    path = write_output(tmp_path / "x.h5", {"a": noise(LAYERS[1], 30)}, LAYERS[1])
    with h5py.File(path, "r+") as file:
        stored = file["features/a"]
        values, attributes = stored[()], dict(stored.attrs)
        del file["features/a"]
        file["features/a"] = values.astype("f8")
        file["features/a"].attrs.update(attributes)
    with (
        kapre_cli.open_features(path) as features,
        pytest.raises(StoredDataError, match="has values of float64, the others"),
    ):
        features.windows(0.1)[0]


def test_big_endian_values_are_those_of_this_machine(tmp_path: Path) -> None:
    values = noise(LAYERS[1], 30)
    path = write_output(tmp_path / "x.h5", {"a": values}, LAYERS[1])
    with h5py.File(path, "r+") as file:
        attributes = dict(file["features/a"].attrs)
        del file["features/a"]
        file["features/a"] = values.astype(">f4")
        file["features/a"].attrs.update(attributes)
    with kapre_cli.open_features(path) as features:
        window = features.windows(0.1)[1]
        assert window.dtype.isnative
        np.testing.assert_array_equal(window, values[:, 10:20])


_MILLION = """
import re, sys
from pathlib import Path
import numpy as np
import kapre_cli

def anonymous():
    return int(re.search(r"RssAnon:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

with kapre_cli.open_features(sys.argv[1]) as features:
    windows = features.windows(0.03, 0.01)
    sums = np.zeros(2)
    before = anonymous()
    for number, window in enumerate(windows):
        sums[0] += window[0, 0, 0]
        if number == 100_000:
            early = anonymous()
    for first in range(0, len(windows), 1000):
        sums[1] += windows[first : first + 1000][:, 0, 0, 0].sum(dtype=float)
    print(len(windows), len(windows.keys), *sums, early - before, anonymous() - early)
"""


def test_a_million_windows_over_ten_thousand_recordings_in_bounded_memory(
    tmp_path: Path,
) -> None:
    layer = LAYERS[0]
    values = noise(layer, 102, dtype="float16")
    arrays = {f"{number // 1000}/{number}.wav": values for number in range(10_000)}
    path = write_output(tmp_path / "x.h5", arrays, layer)
    ended = subprocess.run(
        [sys.executable, "-c", _MILLION, path], capture_output=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
    n_windows, n_keys, one, other, early, late = map(float, ended.stdout.split())
    assert (n_windows, n_keys) == (1_000_000, 10_000)
    assert one == pytest.approx(10_000 * float(values[:100, 0, 0].sum(dtype=float)))
    assert other == pytest.approx(one)
    assert early < 20_000  # kB
    assert late < 4_000


def test_threads_may_read_compressed_arrays_of_one_file(tmp_path: Path) -> None:
    """Not all calls of h5py are safe in threads: many reads at once show it."""
    arrays = {str(number): noise(LAYERS[1], 3000, seed=number) for number in range(200)}
    path = write_output(tmp_path / "x.h5", arrays, LAYERS[1], compression="gzip")
    order = np.random.default_rng(1).integers(0, 200, (250, 32))
    for _ in range(2):
        with kapre_cli.open_features(path) as features, ThreadPoolExecutor(4) as pool:
            windows = features.windows(30.0)
            for indices, found in zip(
                order, pool.map(windows.__getitem__, order, timeout=100), strict=True
            ):
                for index, window in zip(indices, found, strict=True):
                    np.testing.assert_array_equal(window, arrays[str(index)])
