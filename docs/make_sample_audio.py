"""Makes the sample recordings: short, synthetic, the same at every run.

    python docs/make_sample_audio.py [FOLDER]

They stand for what users of kapre-extract record, and for the kinds of file it reads. Those in
sample_audio have one sample rate, so that no option is needed to extract them together; those in
sample_audio_other_rates have others.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

Signal = npt.NDArray[np.float64]

SR = 22_050  # of sample_audio, in Hz: with it the default mel bands all have a frequency bin


def seconds(duration: float, sr: int) -> Signal:
    """Return the time of each sample."""
    return np.arange(round(duration * sr)) / sr


def noise(n_samples: int, level: float, seed: int) -> Signal:
    """Return the hiss of a recording."""
    return level * np.random.default_rng(seed).standard_normal(n_samples)


def bump(time: Signal, start: float, duration: float) -> Signal:
    """Return a raised cosine from ``start`` on, 0 elsewhere."""
    inside = np.clip((time - start) / duration, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(2 * np.pi * inside)


def sweep(time: Signal, start: float, duration: float, low: float, high: float) -> Signal:
    """Return a tone that glides from ``low`` to ``high`` Hz within a raised cosine."""
    since = np.clip(time - start, 0.0, duration)
    phase = low * since + (high - low) * since**2 / (2 * duration)
    return bump(time, start, duration) * np.sin(2 * np.pi * phase)


def courtship_song(sr: int) -> Signal:
    """Return a fruit fly's song: trains of pulses, 36 ms apart, and a hum of 150 Hz."""
    time = seconds(4.0, sr)
    song = noise(len(time), 0.01, seed=1)
    for train, n_pulses in ((0.3, 18), (2.6, 30)):
        for pulse in range(n_pulses):
            start = train + 0.036 * pulse
            song += 0.5 * bump(time, start, 0.012) * np.sin(2 * np.pi * 240 * (time - start))
    return song + 0.15 * bump(time, 1.1, 1.3) * np.sin(2 * np.pi * 150 * time)


def bird(sr: int) -> Signal:
    """Return a phrase of whistled sweeps with a trill at its end."""
    time = seconds(2.0, sr)
    song = noise(len(time), 0.003, seed=2)
    song += 0.4 * sweep(time, 0.1, 0.35, 2500, 5500) + 0.4 * sweep(time, 0.5, 0.3, 6000, 3000)
    for note in range(9):
        song += 0.35 * sweep(time, 0.95 + 0.1 * note, 0.07, 4200 - 80 * note, 7000 - 150 * note)
    return song


def bat(sr: int) -> Signal:
    """Return three echolocation calls that fall from 95 to 40 kHz."""
    time = seconds(0.25, sr)
    calls = noise(len(time), 0.005, seed=3)
    for start in (0.02, 0.1, 0.18):
        calls += 0.6 * sweep(time, start, 0.006, 95_000, 40_000)
    return calls


def vowels(sr: int) -> Signal:
    """Return three vowels: harmonics of a gliding voice, weighted by formants."""
    time = seconds(1.8, sr)
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / sr
    voice = noise(len(time), 0.002, seed=4)
    for start, formants in (
        (0.0, (730, 1090, 2440)),
        (0.6, (270, 2290, 3010)),
        (1.2, (300, 870, 2240)),
    ):
        spoken = np.zeros_like(time)
        for harmonic in range(1, 32):
            hz = harmonic * 120
            weight = sum(np.exp(-(((hz - f) / 130) ** 2)) / (1 + i) for i, f in enumerate(formants))
            spoken += weight / harmonic**0.3 * np.sin(harmonic * phase)
        voice += 0.2 * bump(time, start, 0.58) * spoken
    return voice


def microphones(sr: int) -> Signal:
    """Return the fly's song at four microphones: each has its own loudness and hiss."""
    song = courtship_song(sr)[: 2 * sr]
    gains = (1.0, 0.5, 0.2, 0.05)
    return np.stack([gain * song + noise(len(song), 0.01, 10 + i) for i, gain in enumerate(gains)])


def crickets(sr: int) -> Signal:
    """Return chirps of three pulses each, at 4.6 kHz."""
    time = seconds(2.0, sr)
    chirps = noise(len(time), 0.003, seed=6)
    for start in np.arange(0.15, 1.8, 0.4):
        for pulse in range(3):
            chirps += 0.3 * sweep(time, start + 0.04 * pulse, 0.025, 4700, 4550)
    return chirps


def frogs(sr: int) -> Signal:
    """Return a chorus of croaks."""
    time = seconds(2.5, sr)
    chorus = noise(len(time), 0.004, seed=5)
    for start in np.arange(0.1, 2.2, 0.31):
        gate = (np.sin(2 * np.pi * 45 * time) > 0).astype(float)
        chorus += 0.3 * bump(time, start, 0.22) * gate * np.sin(2 * np.pi * 1150 * time)
    return chorus


def main(folder: Path) -> None:
    """Write every recording below ``folder`` and say so."""
    whistle = bird(SR)
    stereo = np.stack([whistle, 0.6 * np.roll(whistle, 30)])
    click = sweep(seconds(0.005, SR), 0, 0.005, 800, 800)
    recordings: dict[str, tuple[Any, int, str]] = {
        "sample_audio/bird.flac": (stereo, SR, "PCM_24"),
        "sample_audio/click.wav": (click, SR, "PCM_16"),
        "sample_audio/four microphones.wav": (microphones(SR), SR, "PCM_16"),
        "sample_audio/vowels.wav": (vowels(SR), SR, "FLOAT"),
        "sample_audio/pond/crickets.wav": (crickets(SR), SR, "PCM_24"),
        "sample_audio/pond/frogs.flac": (frogs(SR), SR, "PCM_16"),
        "sample_audio_other_rates/bat.wav": (bat(250_000), 250_000, "PCM_16"),
        "sample_audio_other_rates/courtship song.wav": (courtship_song(10_000), 10_000, "PCM_16"),
    }
    for name, (signal, sr, subtype) in recordings.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.atleast_2d(signal).T, sr, subtype=subtype)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1])
