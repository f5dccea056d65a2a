"""``torch.stft`` on all channels of a file, in a loop over the files."""

import functools

import torch

from tests.benchmarks.contenders.task import Array, Task, mel_matrix, told
from tests.benchmarks.contenders.writing import write_each


@functools.cache
def constants(sr: int, n_dft: int, n_mels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the window and the mel matrix."""
    return torch.hann_window(n_dft), torch.from_numpy(mel_matrix(sr, n_dft, n_mels))


def features(task: Task, samples: Array, sr: int) -> Array:
    """Return the features of one file."""
    window, mel = constants(sr, task.n_dft, task.n_mels)
    bins = torch.stft(
        torch.from_numpy(samples),
        task.n_dft,
        task.n_hop,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    # A fifth faster than the square of abs(), which takes a root.
    bands = mel @ (bins.real.square() + bins.imag.square())
    decibels = 10.0 * torch.log10(bands.clamp_(min=1e-10))
    decibels -= decibels.max()
    array: Array = decibels.clamp_(min=-80.0).numpy()
    return array


if __name__ == "__main__":
    with torch.inference_mode():
        write_each(told(), features)
