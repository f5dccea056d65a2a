"""Folders of audio to measure on, the same at every call."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from tests.benchmarks.contenders.task import audio_files
from tests.stress.cost import make_long, make_short

Signal = npt.NDArray[np.float64]

N_MUSIC = 48
MUSIC_SECONDS = 380.0
MUSIC_SR = 48000
MUSIC_CHANNELS = (2, 2, 1, 2, 2, 4, 2, 2, 1, 2, 3, 2, 2, 6, 2, 8)
MUSIC_SUBTYPES = ("PCM_16", "PCM_24")
OTHER_RATES = (44100, 48000, 96000)

_N_HARMONICS = 6
_NOTE_SECONDS = 1.0
_NOTES_A_SECOND = 4
_NOISE = {"PCM_16": 0.003, "PCM_24": 0.0006}  # more would leave FLAC nothing to compress

_TINY_SECONDS, _TINY_SR = 0.1, 8000
_N_DISTINCT = 250
_FILES_A_FOLDER = 1000


@dataclass(frozen=True)
class Material:
    """Audio, and a layer that suits it.

    Attributes:
        folder: Where the files are.
        layer: ``n_dft``, ``n_hop`` and ``n_mels``.
        sr: The rate to resample to; ``None`` where all files have one rate.
    """

    folder: Path
    layer: tuple[int, int, int]
    sr: int | None = None

    def in_words(self) -> str:
        """Say how much there is of what."""
        paths = audio_files(self.folder)
        infos = [soundfile.info(path) for path in paths]
        kinds = sorted({f"{info.format} {info.subtype} {info.samplerate} Hz" for info in infos})
        channels = sorted({str(info.channels) for info in infos})
        return (
            f"{len(paths):,} files ({', '.join(kinds)}; channels: {', '.join(channels)}), "
            f"{sum(info.duration for info in infos):,.0f} s of audio, "
            f"{sum(path.stat().st_size for path in paths) / 1e6:,.1f} MB"
        )


def short(folder: Path) -> Material:
    """Make 3,000 WAV files of 0.4 s at 8 kHz."""
    task = make_short(folder)
    return Material(task.folder, task.layer)


def music(folder: Path) -> Material:
    """Make 48 FLAC files of 380 s in all, of 16 and 24 bits and one to eight channels."""
    return _music(folder, (MUSIC_SR,), None)


def rates(folder: Path) -> Material:
    """Make the same music at 44.1, 48 and 96 kHz, to be resampled to 48 kHz."""
    return _music(folder, OTHER_RATES, MUSIC_SR)


def hour_wav(folder: Path) -> Material:
    """Make one WAV file of an hour of noise at 44.1 kHz."""
    return _hour(folder, "wav")


def hour_flac(folder: Path) -> Material:
    """Make one FLAC file of an hour of noise at 44.1 kHz."""
    return _hour(folder, "flac")


def _hour(folder: Path, kind: str) -> Material:
    task = make_long(folder, 1.0, kind)
    return Material(task.folder, task.layer)


MAKERS = {
    "short": short,
    "music": music,
    "rates": rates,
    "hour-wav": hour_wav,
    "hour-flac": hour_flac,
}


def many(folder: Path, n_files: int) -> Material:
    """Make WAV files of 0.1 s at 8 kHz, a thousand in a folder.

    A few hundred have samples of their own; the others are further names of the same.
    """
    generator = np.random.default_rng(0)
    distinct: list[Path] = []
    for number in range(n_files):
        path = folder / f"{number // _FILES_A_FOLDER:04d}" / f"{number:06d}.wav"
        if number % _FILES_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        if number < _N_DISTINCT:
            samples = 0.1 * generator.standard_normal(round(_TINY_SECONDS * _TINY_SR))
            soundfile.write(path, samples, _TINY_SR, subtype="PCM_16")
            distinct.append(path)
        else:
            path.hardlink_to(distinct[number % _N_DISTINCT])
    return Material(folder, (256, 128, 40))


def long(folder: Path, minutes: int) -> Material:
    """Make one FLAC file at 44.1 kHz."""
    task = make_long(folder, minutes / 60)
    return Material(task.folder, task.layer)


def _music(folder: Path, srs: Sequence[int], sr: int | None) -> Material:
    folder.mkdir()
    generator = np.random.default_rng(0)
    shares = generator.uniform(0.25, 1.75, N_MUSIC)
    for number, seconds in enumerate(MUSIC_SECONDS * shares / shares.sum()):
        n_channels = MUSIC_CHANNELS[number % len(MUSIC_CHANNELS)]
        subtype = MUSIC_SUBTYPES[number // 2 % 2]
        file_sr = srs[number % len(srs)]
        signal = _piece(generator, seconds, file_sr, n_channels, _NOISE[subtype])
        soundfile.write(folder / f"piece {number:02d}.flac", signal.T, file_sr, subtype=subtype)
    return Material(folder, (2048, 512, 128), sr)


def _piece(
    generator: np.random.Generator, seconds: float, sr: int, n_channels: int, noise: float
) -> Signal:
    """Return notes that fade, each at its own place between the channels, and pink noise."""
    n_samples = round(seconds * sr)
    signal = np.stack([noise * _pink(generator, n_samples) for _ in range(n_channels)])
    time = np.arange(round(_NOTE_SECONDS * sr)) / sr
    for start in np.arange(0.0, seconds, 1.0 / _NOTES_A_SECOND):
        pitch = 55.0 * 2.0 ** (generator.integers(48) / 12)
        note = np.zeros_like(time)
        for harmonic in range(1, _N_HARMONICS + 1):
            fading = np.exp(-3.0 * harmonic * time) / harmonic
            note += 0.1 * fading * np.sin(2 * np.pi * harmonic * pitch * time)
        first = round(start * sr)
        place = generator.uniform(0.2, 1.0, (n_channels, 1))
        signal[:, first : first + len(note)] += place * note[: n_samples - first]
    return np.clip(signal, -1.0, 1.0)


def _pink(generator: np.random.Generator, n_samples: int) -> Signal:
    """Return noise of unit variance whose power falls with frequency."""
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    pink = np.fft.irfft(spectrum, n_samples)
    return pink / pink.std()
