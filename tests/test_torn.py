"""Outputs that a disk or a crash has torn: reading them ends, and never in other values."""

import sys
from pathlib import Path

import pytest

from kapre_cli.cli import run
from tests import reference
from tests.conftest import write_audio
from tests.tears import counted

OPTIONS = ("--n-dft", "62", "--n-hop", "31", "--data-format", "channels_first")
OUTPUTS = {
    "plain.h5": (),
    "gzip.h5": ("--compression", "gzip"),
    "scales.h5": ("--dimension-scales",),
    "folder": (),
    "single.npy": (),
}
N_TEARS = {"plain.h5": 150, "gzip.h5": 150, "scales.h5": 50, "folder": 100, "single.npy": 50}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torn")
    for number in range(8):
        name = f"{'' if number % 3 else 'site/'}{number}.wav"
        write_audio(folder / "audio" / name, reference.noise(1, 300 + 31 * number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        for name, more in OUTPUTS.items():
            audio = folder / "audio" / ("1.wav" if name == "single.npy" else "")
            output = str(folder / name)
            assert run(["spectrogram", str(audio), "-o", output, *OPTIONS, *more]) == 0
    return folder


@pytest.mark.parametrize("name", OUTPUTS)
def test_tears_end_in_an_error_or_do_no_harm(name: str, outputs: Path, tmp_path: Path) -> None:
    fates, _ = counted(outputs / name, tmp_path, N_TEARS[name], "content")
    assert sum(fates.values()) == N_TEARS[name]
    assert set(fates) <= {"error", "same"}, fates
    assert fates["error"] > N_TEARS[name] / 3
