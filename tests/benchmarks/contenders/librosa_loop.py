"""librosa in a loop over the files."""

from librosa import power_to_db
from librosa.feature import melspectrogram

from tests.benchmarks.contenders.task import Array, Task, told
from tests.benchmarks.contenders.writing import write_each


def features(task: Task, samples: Array, sr: int) -> Array:
    """Return the features of one file."""
    power = melspectrogram(
        y=samples, sr=sr, n_fft=task.n_dft, hop_length=task.n_hop, n_mels=task.n_mels
    )
    decibels: Array = power_to_db(power, ref=power.max(), top_db=80.0)
    return decibels


if __name__ == "__main__":
    write_each(told(), features)
