"""Windows as data of Keras, TensorFlow and PyTorch: every window once an epoch, in known order."""

import multiprocessing
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import kapre_cli
from kapre_cli.errors import SettingsError
from kapre_cli.formats.windows import Windows
from tests.outputs import LAYERS, noise, write_output

N_WINDOWS = 30  # the first value of each is its number


@pytest.fixture(params=["none", "gzip"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    arrays, number = {}, 0
    for key, n_windows in (("a.wav", 7), ("b.wav", 20), ("c.wav", 3)):
        values = noise(LAYERS[0], 5 * n_windows)
        values[::5, 0, 0] = np.arange(number, number + n_windows)
        arrays[key], number = values, number + n_windows
    return write_output(tmp_path / "x.h5", arrays, LAYERS[0], compression=request.param)


@pytest.fixture
def windows(path: Path) -> Iterator[Windows]:
    with kapre_cli.open_features(path) as features:
        yield features.windows(0.05)


@pytest.fixture
def labelled(path: Path) -> Iterator[Windows]:
    with kapre_cli.open_features(path) as features:
        yield features.windows(0.05, labels={"a.wav": "x", "b.wav": "y", "c.wav": "x"})


def numbers_in(batch: Any) -> list[int]:
    return [int(number) for number in np.asarray(batch)[:, 0, 0, 0]]


def labels_of(numbers: list[int]) -> list[int]:
    return [int(7 <= number < 27) for number in numbers]


# Keras


def test_keras_reads_all_windows_in_batches(windows: Windows) -> None:
    dataset = windows.as_keras(batch_size=8)
    assert isinstance(dataset, keras.utils.PyDataset)
    assert len(dataset) == 4
    batches = [dataset[number] for number in range(4)]
    assert [len(batch) for batch in batches] == [8, 8, 8, 6]
    np.testing.assert_array_equal(np.concatenate(batches), windows[:])
    with pytest.raises(IndexError):
        dataset[4]


def test_keras_shuffles_in_each_epoch_by_the_seed(labelled: Windows) -> None:
    orders = []
    for seed in (1, 1, 2):
        dataset = labelled.as_keras(batch_size=8, shuffle=True, seed=seed)
        epochs = []
        for _ in range(3):
            found: list[int] = []
            for number in range(len(dataset)):
                batch, labels = dataset[number]
                assert list(labels) == labels_of(numbers_in(batch))
                found += numbers_in(batch)
            assert sorted(found) == list(range(N_WINDOWS))
            epochs.append(found)
            dataset.on_epoch_end()
        orders.append(epochs)
    assert orders[0] == orders[1] != orders[2]
    assert len({tuple(epoch) for epoch in orders[0]}) == 3


class Recorder(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A model that records what it is trained with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(1)
        self.seen: list[int] = []
        self.compile("sgd", run_eagerly=True)

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs)

    def train_step(self, data: Any) -> Any:
        batch, labels = data
        assert [int(label) for label in labels] == labels_of(numbers_in(batch))
        self.seen += numbers_in(batch)
        return {"loss": 0.0}


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_models_are_fitted_in_the_order_of_the_seed(labelled: Windows, workers: int) -> None:
    dataset = labelled.as_keras(batch_size=8, shuffle=True, seed=4, workers=workers)
    model = Recorder()
    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    require_orders(model, labelled, seed=4)


def require_orders(model: Recorder, windows: Windows, seed: int) -> None:
    """Require two epochs in succession; Keras may have looked at a first one to build a model."""
    expected = orders_of(windows, 3, seed)
    assert model.seen in (expected[: 2 * N_WINDOWS], expected[N_WINDOWS:])


def orders_of(windows: Windows, n_epochs: int, seed: int) -> list[int]:
    dataset = windows.as_keras(batch_size=8, shuffle=True, seed=seed)
    found: list[int] = []
    for _ in range(n_epochs):
        for number in range(len(dataset)):
            found += numbers_in(dataset[number][0])
        dataset.on_epoch_end()
    return found


_PROCESSES = """
import multiprocessing, sys
import kapre_cli
from tests.test_loaders import Recorder, require_orders

multiprocessing.set_start_method("fork")
with kapre_cli.open_features(sys.argv[1]) as features:
    windows = features.windows(0.05, labels={"a.wav": "x", "b.wav": "y", "c.wav": "x"})
    dataset = windows.as_keras(8, shuffle=True, seed=4, workers=2, use_multiprocessing=True)
    model = Recorder()
    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    require_orders(model, windows, seed=4)
"""


def test_processes_of_keras_read_batches_in_the_same_order(path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESSES, path],
        capture_output=True,
        timeout=300,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_read_the_same_windows(windows: Windows, start: Any) -> None:
    context = multiprocessing.get_context(start)
    batches = [list(range(first, first + 5)) for first in range(0, N_WINDOWS, 5)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        with context.Pool(2) as pool:
            found = pool.map_async(windows.__getitem__, batches, 1).get(timeout=120)
    np.testing.assert_array_equal(np.concatenate(found), windows[:])


def test_a_model_learns_from_windows(labelled: Windows) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(labelled.shape),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    normal = labelled.normalized(*labelled.mean_std())
    dataset = normal.as_keras(8, shuffle=True)
    before = model.evaluate(dataset, verbose=0)
    model.fit(dataset, epochs=20, verbose=0)
    assert model.evaluate(dataset, verbose=0) < 0.7 * before
    assert model.predict(normal.as_keras(8), verbose=0).shape == (N_WINDOWS, 2)


def test_a_keras_data_set_can_be_pickled(labelled: Windows) -> None:
    dataset = labelled.as_keras(8, shuffle=True, seed=2)
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    for one, other in zip(dataset[1], again[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"shuffle": 1}, {"seed": -1}])
def test_wrong_arguments_of_batches_are_named(windows: Windows, arguments: dict[str, Any]) -> None:
    (name,) = arguments
    for made in (windows.as_keras, windows.as_tf):
        with pytest.raises(SettingsError, match=f"`{name}` must be"):
            made(**arguments)


# TensorFlow


def test_tensorflow_reads_all_windows_in_batches(windows: Windows) -> None:
    dataset = windows.as_tf(batch_size=8)
    assert isinstance(dataset, tf.data.Dataset)
    assert int(dataset.cardinality()) == 4
    assert dataset.element_spec == tf.TensorSpec((None, 5, 9, 1), tf.float32)
    for _ in range(2):
        batches = [np.asarray(batch) for batch in dataset]
        assert [len(batch) for batch in batches] == [8, 8, 8, 6]
        np.testing.assert_array_equal(np.concatenate(batches), windows[:])


def test_tensorflow_shuffles_each_time_as_keras_does(labelled: Windows) -> None:
    dataset = labelled.as_tf(batch_size=8, shuffle=True, seed=4)
    assert dataset.element_spec[1] == tf.TensorSpec((None,), tf.int64)
    found: list[int] = []
    for _ in range(2):
        for batch, labels in dataset:
            assert list(np.asarray(labels)) == labels_of(numbers_in(batch))
            found += numbers_in(batch)
    assert found == orders_of(labelled, 2, seed=4)


def test_tensorflow_has_no_data_set_without_windows(windows: Windows, path: Path) -> None:
    with kapre_cli.open_features(path) as features:
        with pytest.raises(SettingsError, match="there are no windows"):
            features.windows(5.0).as_tf()
        assert len(features.windows(5.0).as_keras()) == 0
    assert windows.as_tf(64).cardinality() == 1


# PyTorch: what its loader asks a map-style data set for


def test_a_data_set_of_pytorch_has_its_methods(labelled: Windows, windows: Windows) -> None:
    dataset = labelled.as_torch()
    assert len(dataset) == N_WINDOWS
    batch = dataset.__getitems__([3, 28, 9])
    assert [int(values[0, 0, 0]) for values, _ in batch] == [3, 28, 9]
    assert [int(label) for _, label in batch] == [0, 0, 1]
    assert batch[0][0].flags.writeable
    values, label = dataset[9]
    np.testing.assert_array_equal(values, labelled[9][0])
    assert label == 1
    plain = windows.as_torch().__getitems__([3, 28])
    assert isinstance(plain, list)
    np.testing.assert_array_equal(plain[1], windows[28])
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    np.testing.assert_array_equal(again[9][0], values)


# What is not installed


@pytest.mark.parametrize(
    ("missing", "call"),
    [("keras", "as_keras()"), ("tensorflow", "as_tf()"), ("tensorflow", "as_keras()")],
)
def test_windows_need_keras_and_tensorflow_only_for_their_data_sets(
    missing: str, call: str, path: Path
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
import kapre_cli
with kapre_cli.open_features({str(path)!r}) as features:
    windows = features.windows(0.05)
    train, test = windows.split(0.5)
    assert train.normalized(*train.mean_std())[:].shape[1:] == (5, 9, 1)
    assert len(windows.as_torch().__getitems__([1, 2])) == 2
    assert not any(sys.modules.get(name) for name in ("torch", "tensorflow", "keras", "xarray"))
    try:
        windows.{call}
    except ImportError as error:
        print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()
    assert "windows can be indexed without, and are data of PyTorch" in ended.stdout.decode()


def test_every_batch_is_read_once_by_threads_too(windows: Windows) -> None:
    dataset = windows.as_keras(batch_size=4, shuffle=True, workers=3)
    model = keras.Sequential([keras.Input(windows.shape), keras.layers.Flatten()])
    found = model.predict(dataset, verbose=0)
    assert Counter(found[:, 0].astype(int)) == Counter(range(N_WINDOWS))
