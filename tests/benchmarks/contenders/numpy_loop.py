"""NumPy in a loop over the files: decoded, framed, multiplied and written, with no checks."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # so do the contenders in several processes

import numpy as np

from tests.benchmarks.contenders.task import Array, Task, mel_matrix, told
from tests.benchmarks.contenders.writing import write_each


def features(task: Task, samples: Array, sr: int) -> Array:
    """Return the features of one file, shape ``(time, mel, channels)``."""
    n_dft, n_hop = task.n_dft, task.n_hop
    window = np.hanning(n_dft + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, ((0, 0), (n_dft // 2, n_dft // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_dft, axis=1)[:, ::n_hop]
    bins = np.fft.rfft(frames * window)
    power = bins.real**2 + bins.imag**2
    mel = power.astype(np.float32) @ mel_matrix(sr, n_dft, task.n_mels).T
    decibels = 10.0 * np.log10(np.maximum(mel, 1e-10))
    return np.maximum(decibels - decibels.max(), -80.0).transpose(1, 2, 0)


if __name__ == "__main__":
    write_each(told(), features)
