"""Windows for training, beside loops over h5py and NumPy.

    python -m tests.benchmarks.windows
    python -m tests.benchmarks.windows --recordings 10000 --rounds 9

Outputs of random mel-spectrograms are written into a temporary folder: many recordings of two
seconds, and one of an hour, at 100 frames a second; as HDF5 with and without compression and as
.npy. Windows are one second, 100 frames, in random order. The first table has the microseconds of
one window:

- ``h5py`` opens the dataset and reads a slice of it, ``h5py, open`` reads of datasets that are kept
  open; of .npy files it is ``numpy.load`` with ``mmap_mode``;
- ``windows[i]`` is one window, ``batch`` is one of 64 that are read at once.

The second table has batches of 64 a second, of the recordings of two seconds: of a loop over h5py
that stacks slices, and of the data sets for Keras and PyTorch without workers and with two. All
files are in the page cache; an epoch is read before anything is timed. Medians of some rounds in
turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import kapre_cli
from kapre_cli.formats.windows import Windows
from kapre_cli.layers.configs import MelspectrogramConfig
from tests.benchmarks.report import machine, table, tell
from tests.outputs import HOP, SR, write_output

N_FRAMES = 100
BATCH = 64
LIBRARIES = ("numpy", "h5py", "keras", "tensorflow", "torch")

_HOUR = 360_000
_SECONDS = 0.5  # of one measurement


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--recordings", type=int, default=3000, metavar="N")
    parser.add_argument("--mels", type=int, nargs="+", default=[64, 128], metavar="N")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    given = parser.parse_args()
    rows = []
    for n_mels in given.mels:
        with tempfile.TemporaryDirectory() as scratch:
            outputs = _outputs(Path(scratch), n_mels, given.recordings)
            for name, path in outputs.items():
                rows.append(_row(f"{n_mels} mels, {name}", path, given.rounds))
            batches = _batches(outputs, given.rounds)
    tell(f"Microseconds of a window of {N_FRAMES} frames.\n")
    header = ("", "h5py", "h5py, open", "`windows[i]`", "batch", "h5py / batch")
    tell(table(header, rows) + "\n")
    tell(f"Batches of {BATCH} windows of {given.mels[-1]} mels a second.\n")
    tell(table(("", "batches / s"), batches) + "\n")
    tell(machine(LIBRARIES))


def _outputs(folder: Path, n_mels: int, n_recordings: int) -> dict[str, Path]:
    layer = MelspectrogramConfig(
        sr=SR, n_mels=n_mels, n_dft=256, n_hop=HOP, image_data_format="channels_last"
    )
    random = np.random.default_rng(1)
    hour = random.gamma(2.0, size=(n_mels, _HOUR, 1)).astype(np.float32)
    short = {f"{n // 1000}/{n}.wav": hour[:, 7 * n : 7 * n + 200] for n in range(n_recordings)}
    found = {}
    for name, arrays in (("2 s", short), ("an hour", {"hour.wav": hour})):
        for kind in ("none", "gzip", "npy"):
            path = folder / (f"{name} {kind}" + ("" if kind == "npy" else ".h5"))
            compression = "gzip" if kind == "gzip" else "none"
            write_output(path, arrays, layer, compression=compression)
            found[f"{name}, {kind}"] = path
    return found


def _row(name: str, path: Path, rounds: int) -> list[str]:
    with kapre_cli.open_features(path) as features:
        windows = features.windows(N_FRAMES * HOP / SR, 10 * HOP / SR)
        order = np.random.default_rng(2).integers(0, len(windows), 20_000)
        places = [(windows.key(n), round(windows.start(n) * SR / HOP)) for n in order.tolist()]
        read, read_open = _plain(path)
        for index in range(20):
            key, first = places[index]
            expected = read(key, first)
            np.testing.assert_array_equal(windows[order[index]], expected)
            np.testing.assert_array_equal(read_open(key, first), expected)
        windows[order[:1000]]
        of_batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        took = _alternating(
            {
                "read": lambda n: read(*places[n]),
                "open": lambda n: read_open(*places[n]),
                "one": lambda n: windows[order[n]],
                "batch": lambda n: windows[of_batches[n % len(of_batches)]],
            },
            len(order),
            rounds,
        )
    took["batch"] /= BATCH
    ratio = took["read"] / took["batch"]
    return [name, *(f"{1e6 * seconds:,.1f}" for seconds in took.values()), f"{ratio:.1f}"]


def _plain(path: Path) -> tuple[Callable[[str, int], Any], Callable[[str, int], Any]]:
    """Return two functions that read frames without this program."""
    if path.is_dir():

        def load(key: str, first: int) -> Any:
            return np.array(
                np.load(path / f"{key}.npy", mmap_mode="r")[:, first : first + N_FRAMES]
            )

        return load, load
    file = h5py.File(path, "r", locking=False)
    opened: dict[str, Any] = {}

    def read(key: str, first: int) -> Any:
        return file[f"features/{key}"][:, first : first + N_FRAMES]

    def read_open(key: str, first: int) -> Any:
        if key not in opened:
            opened[key] = file[f"features/{key}"]
        return opened[key][:, first : first + N_FRAMES]

    return read, read_open


def _alternating(
    calls: Mapping[str, Callable[[int], object]], n_calls: int, rounds: int
) -> dict[str, float]:
    """Return the median seconds of a call of each; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(rounds + 1):
        for name, call in calls.items():
            begun, number = time.perf_counter(), 0
            while (took := time.perf_counter() - begun) < _SECONDS and number < n_calls:
                call(number)
                number += 1
            if round_number:  # the first one warms up
                found[name].append(took / number)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _batches(outputs: Mapping[str, Path], rounds: int) -> list[list[str]]:
    rows = []
    for kind in ("none", "gzip"):
        path = outputs[f"2 s, {kind}"]
        with kapre_cli.open_features(path) as features:
            windows = features.windows(N_FRAMES * HOP / SR)
            for name, epoch in _epochs(path, windows):
                n_batches, seconds = 0, []
                for _ in range(rounds + 1):
                    begun = time.perf_counter()
                    n_batches = sum(1 for _ in epoch())
                    seconds.append(time.perf_counter() - begun)
                rate = n_batches / statistics.median(seconds[1:])
                rows.append([f"{kind}, {name}", f"{rate:,.0f}"])
    return rows


def _epochs(path: Path, windows: Windows) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield names, and functions that iterate over the batches of an epoch."""
    order = np.random.default_rng(3).permutation(len(windows))
    of_batches = np.array_split(order, -(-len(order) // BATCH))
    read, _ = _plain(path)
    places = [(windows.key(n), round(windows.start(n) * SR / HOP)) for n in range(len(windows))]

    def loop() -> Iterator[Any]:
        for indices in of_batches:
            yield np.stack([read(*places[index]) for index in indices])

    yield "loop over h5py", loop
    yield "`windows[indices]`", lambda: (windows[indices] for indices in of_batches)
    yield from _keras_epochs(windows)
    yield from _torch_epochs(windows)


def _keras_epochs(windows: Windows) -> Iterator[tuple[str, Callable[[], Any]]]:
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    for workers, processes in ((1, False), (2, False), (2, True)):
        dataset = windows.as_keras(
            BATCH, shuffle=True, workers=workers, use_multiprocessing=processes
        )

        def epoch(adapter: Any = PyDatasetAdapter(dataset)) -> Iterator[Any]:  # noqa: B008
            adapter.on_epoch_begin()
            yield from adapter.get_numpy_iterator()
            adapter.on_epoch_end()

        kind = (
            "this thread" if workers == 1 else f"{workers} processes" if processes else "2 threads"
        )
        yield f"Keras, {kind}", epoch


def _torch_epochs(windows: Windows) -> Iterator[tuple[str, Callable[[], Any]]]:
    try:
        from torch.utils.data import DataLoader
    except ImportError:
        return
    for workers in (0, 2):
        loader = DataLoader(
            windows.as_torch(),
            BATCH,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        yield f"PyTorch, {workers} processes", loader.__iter__


if __name__ == "__main__":
    main()
