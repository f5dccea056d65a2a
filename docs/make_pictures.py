"""Draws docs/melspectrograms.png, the picture in the README, from the sample recordings.

    python docs/picture.py

Needs matplotlib. The features come from the program itself, run on each recording at its own rate.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt

import kapre_cli

ROOT = Path(__file__).parents[1]

PANELS = (  # recording, title, options
    (
        "courtship song.wav",
        "Courtship song of a fly",
        "--n-dft 256 --n-hop 32 --n-mels 32 --fmax 1500",
    ),
    (
        "bird.flac",
        "Whistles and a trill",
        "--n-dft 2048 --n-hop 256 --n-mels 96 --fmin 1000 --fmax 12000",
    ),
    ("bats/calls.wav", "Echolocation calls", "--n-dft 1024 --n-hop 128 --n-mels 96 --fmin 15000"),
)


def main() -> None:
    """Extract the features of each recording and draw them one above the other."""
    figure, axes = plt.subplots(len(PANELS), 1, figsize=(8, 7), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        for number, (axis, (name, title, options)) in enumerate(zip(axes, PANELS, strict=True)):
            output = Path(folder) / f"{number}.h5"
            source = ROOT / "sample_audio" / name
            command = [sys.executable, "-m", "kapre_cli", "melspectrogram", str(source)]
            subprocess.run(
                [*command, "-o", str(output), "--power", "2", "--decibel", *options.split()],
                check=True,
            )
            with kapre_cli.open_features(output) as features:
                (array,) = features.values()
                first = array.axes.index("channel")
                decibels = np.moveaxis(array[:], first, 0)[0]
                kilohertz = features.frequency / 1000
                image = axis.pcolormesh(
                    array.times,
                    kilohertz,
                    decibels,
                    vmin=-80,
                    vmax=0,
                    shading="nearest",
                    cmap="magma",
                )
            axis.set_yscale("function", functions=(_mel, _hz))
            axis.set_title(f"{title} ({Path(name).name})", loc="left", fontsize=10)
            axis.set_ylabel("Frequency (kHz)")
    axes[-1].set_xlabel("Time (s)")
    figure.colorbar(image, ax=axes, label="Level below the maximum (dB)", shrink=0.6)
    figure.savefig(ROOT / "docs" / "melspectrograms.png", dpi=110)


def _mel(kilohertz: np.ndarray) -> np.ndarray:
    from kapre_cli.dsp import hz_to_mel

    return hz_to_mel(1000 * np.asarray(kilohertz))


def _hz(mel: np.ndarray) -> np.ndarray:
    from kapre_cli.dsp import mel_to_hz

    return mel_to_hz(mel) / 1000


if __name__ == "__main__":
    main()
