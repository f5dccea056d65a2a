"""librosa in two processes, each a chunk of files at a time; their parent writes."""

import os
from functools import partial
from multiprocessing import get_context
from pathlib import Path

# Two processes with two threads each are in each other's way.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import h5py

from tests.benchmarks.contenders.librosa_loop import features
from tests.benchmarks.contenders.task import Array, Task, audio_files, told

N_PROCESSES = 2


def features_of_file(task: Task, path: Path) -> Array:
    """Read one file and return its features."""
    return features(task, *task.read(path))


def main() -> None:
    """Extract what the command line says."""
    task = told()
    paths = audio_files(task.folder)
    n_chunk = max(1, min(32, len(paths) // (8 * N_PROCESSES)))
    # Forked, so that they need not import anything again.
    pool = get_context("fork").Pool(N_PROCESSES)
    with h5py.File(task.output, "w") as file:
        done = pool.imap(partial(features_of_file, task), paths, n_chunk)
        for path, array in zip(paths, done, strict=True):
            file.create_dataset(task.key(path), data=array)
    pool.terminate()  # all results are here


if __name__ == "__main__":
    main()
