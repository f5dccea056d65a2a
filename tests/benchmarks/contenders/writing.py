"""The loop that most contenders are: a file is read, its features are computed and written."""

from collections.abc import Callable

import h5py

from tests.benchmarks.contenders.task import Array, Task, audio_files


def write_each(task: Task, features: Callable[[Task, Array, int], Array]) -> None:
    """Write what ``features`` makes of the samples of every file, and of their rate."""
    with h5py.File(task.output, "w") as file:
        for path in audio_files(task.folder):
            file.create_dataset(task.key(path), data=features(task, *task.read(path)))
