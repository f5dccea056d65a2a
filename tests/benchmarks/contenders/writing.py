"""The loop that most contenders are: a file is read, its features are computed and written."""

from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import h5py

from tests.benchmarks.contenders.task import Array, Task, audio_files

Features = Callable[[Task, Array, int], Array]

N_PROCESSES = 2


def write_each(task: Task, features: Features) -> None:
    """Write what ``features`` makes of the samples of every file, and of their rate."""
    with h5py.File(task.output, "w") as file:
        for path in audio_files(task.folder):
            file.create_dataset(task.key(path), data=features(task, *task.read(path)))


def write_from_pool(task: Task, features: Features) -> None:
    """Write the same, computed in two processes, each a chunk of files at a time."""
    paths = audio_files(task.folder)
    n_chunk = max(1, min(32, len(paths) // (8 * N_PROCESSES)))
    # Forked, so that they need not import anything again.
    pool = get_context("fork").Pool(N_PROCESSES)
    with h5py.File(task.output, "w") as file:
        done = pool.imap(partial(_of_file, features, task), paths, n_chunk)
        for path, array in zip(paths, done, strict=True):
            file.create_dataset(task.key(path), data=array)
    pool.terminate()  # all results are here


def _of_file(features: Features, task: Task, path: Path) -> Array:
    return features(task, *task.read(path))
