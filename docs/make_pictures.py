"""Makes docs/pictures, all pictures of README and documentation, from the sample recordings.

    python docs/make_pictures.py

Needs matplotlib. Run it in the repository. Each picture is what the command beside its name
draws; the first is three of them, one above the other.
"""

import io
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from kapre_cli import open_features
from kapre_cli.cli import run
from kapre_cli.plotting import View, figure_of

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"

SONG = "'sample_audio_other_rates/courtship song.wav'"
BIRD = "sample_audio/bird.flac --channel 0"

OUTPUTS = {
    "features.h5": "melspectrogram sample_audio --n-dft 1024 --n-hop 256 --n-mels 64 "
    "--power 2 --decibel",
    "amplitude.h5": "melspectrogram sample_audio --n-dft 1024 --n-hop 256 --n-mels 64",
    "song.h5": f"melspectrogram {SONG} --n-dft 256 --n-hop 32 --n-mels 32 --fmax 1500 --power 2",
    "bird.h5": f"melspectrogram {BIRD} --n-dft 1024 --n-hop 128 --n-mels 96 --fmin 500 --power 2",
    "bat.h5": "melspectrogram sample_audio_other_rates/bat.wav --n-dft 1024 --n-hop 128 "
    "--n-mels 64 --fmin 15000 --power 2",
}
FIRST = {  # recordings of different sample rates, and what is shown of them
    "song.h5": View(size=(7, 2.75), range=(-60, 0)),
    "bird.h5": View(size=(7, 2.5), range=(-60, 0)),
    "bat.h5": View(size=(7, 2.5), range=(-60, 0)),
}
COMMANDS = {
    "tutorial-512": f"{SONG} --time 0.2:1.6 --freq :1000 --size 7x3",
    "tutorial-128": f"{SONG} --time 0.2:1.6 --freq :1000 --size 7x3 --n-dft 128 --n-hop 16",
    "tutorial-microphones": "features.h5 'four microphones.wav' --size 7x6",
    "choosing-bins": f"{BIRD} --n-dft 1024 --size 7x3",
    "choosing-mels": f"{BIRD} --n-dft 1024 --size 7x3 --mel --n-mels 64",
    "choosing-amplitude": "amplitude.h5 bird.flac --channel 0 --no-decibel --size 7x3",
    "choosing-decibels": "features.h5 bird.flac --channel 0 --size 7x3",
    "plots-bird": "features.h5 bird.flac --size 7x4.5",
    "plots-freq": f"{BIRD} --n-dft 1024 --freq 2000:8000 --range -60:0 --size 7x3",
    "plots-paper": f"{BIRD} --size 3.5x2.5 --range -60:0 --cmap gray_r",
    "plots-two": "sample_audio/pond/crickets.wav sample_audio/pond/frogs.flac --mel --n-dft 1024 "
    "--size 7x4.5",
}


def main() -> None:
    """Make all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for name, command in OUTPUTS.items():
            _run(command, Path(folder) / name)
        first = [_panel(Path(folder) / name, view) for name, view in FIRST.items()]
        _save(Image.fromarray(np.concatenate(first)), "melspectrograms")
        for name, command in COMMANDS.items():
            drawn = Path(folder) / f"{name}.png"
            for output in OUTPUTS:
                command = command.replace(output, shlex.quote(f"{folder}/{output}"))
            _run(f"plot {command}", drawn)
            _save(Image.open(drawn).convert("RGB"), name)
        _save(_learned_filterbank(Path(folder)), "learned-filterbank")


def _learned_filterbank(folder: Path) -> Image.Image:
    """Return the picture of the example, run as its page says."""
    scripts = ROOT / "examples" / "learned_filterbank"
    subprocess.run([sys.executable, scripts / "learn.py"], cwd=folder, check=True)
    model = shlex.quote(str(folder / "learned.keras"))
    _run(f"melspectrogram sample_audio --layer {model}", folder / "learned.h5")
    subprocess.run([sys.executable, scripts / "draw.py"], cwd=folder, check=True)
    return Image.open(folder / "learned.png").convert("RGB")


def _panel(output: Path, view: View) -> npt.NDArray[np.uint8]:
    """Return a picture, with its axes where those of the others are."""
    with open_features(output) as features:
        figure = figure_of(features, view=view)
    if output.name == next(iter(FIRST)):
        figure.suptitle("Synthetic recordings: a fly's song, a bird, a bat", fontsize=11)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes, left, width in zip(figure.axes, (0.1, 0.89), (0.77, 0.02), strict=True):
        place = axes.get_position()
        axes.set_box_aspect(None)
        axes.set_position((left, place.y0, width, place.height))
    picture = io.BytesIO()
    figure.savefig(picture, dpi=150)
    return np.asarray(Image.open(picture).convert("RGB"))


def _run(command: str, output: Path) -> None:
    words = [
        str(ROOT / word) if word.startswith("sample_audio") else word
        for word in shlex.split(command)
    ]
    if run([*words, "-o", str(output), "--quiet"]):
        sys.exit(f"failed: {command}")


def _save(picture: Image.Image, name: str) -> None:
    """Save a picture small: with the 256 colours that suit it."""
    path = PICTURES / f"{name}.png"
    small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
