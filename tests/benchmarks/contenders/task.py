"""What every contender is told, and what they all do alike."""

import argparse
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from kapre_cli.layers.dsp import mel_bands

Array = npt.NDArray[np.float32]

SUFFIXES = (".wav", ".wave", ".flac")


@dataclass(frozen=True)
class Task:
    """What there is to do.

    Attributes:
        folder: Where the audio is.
        output: The HDF5 file to write.
        n_dft: Samples in a frame.
        n_hop: Samples from frame to frame.
        n_mels: Mel bands.
        sr: The rate to resample to; ``None``: that of each file.
    """

    folder: Path
    output: Path
    n_dft: int
    n_hop: int
    n_mels: int
    sr: int | None

    def key(self, path: Path) -> str:
        """Return the name of a file's dataset."""
        return path.relative_to(self.folder).as_posix()

    def read(self, path: Path) -> tuple[Array, int]:
        """Return a file's samples, shape ``(channels, samples)``, and their rate."""
        samples, sr = decoded(path)
        if self.sr is None or self.sr == sr:
            return samples, sr
        return resampled(samples, sr, self.sr), self.sr


def told() -> Task:
    """Return the task that the command line states."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    for name in ("n_dft", "n_hop", "n_mels"):
        parser.add_argument(name, type=int)
    parser.add_argument("--sr", type=int)
    return Task(**vars(parser.parse_args()))


def audio_files(folder: Path) -> list[Path]:
    """Return all audio files below a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def decoded(path: Path) -> tuple[Array, int]:
    """Return a file's samples, shape ``(channels, samples)``, and their rate."""
    samples, sr = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.T, sr


def resampled(samples: Array, source_sr: int, sr: int) -> Array:
    """Return ``samples``, shape ``(channels, samples)``, at another rate, as librosa does it.

    That is soxr's high quality, where the program takes the very high one.
    """
    import soxr

    converted: Array = soxr.resample(samples.T, source_sr, sr)
    return converted.T


@functools.cache
def mel_matrix(sr: int, n_dft: int, n_mels: int) -> Array:
    """Return the mel matrix, shape ``(n_mels, n_dft // 2 + 1)``."""
    bands = mel_bands(sr=sr, n_dft=n_dft, n_mels=n_mels, fmin=0.0, fmax=sr / 2)
    return bands.dense().astype(np.float32)
