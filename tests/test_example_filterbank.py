"""The example of a filterbank: learned in ten lines, used by the command, drawn."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kapre_cli as kx
from tests.conftest import ended_of
from tests.pages import ROOT
from tests.warm import Nursery

EXAMPLE = ROOT / "examples" / "learned_filterbank"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, warm_keras: Nursery) -> tuple[Path, list[str]]:
    """Run the lines of its page as in a clone; give the folder and what each has printed."""
    folder = tmp_path_factory.mktemp("filterbank")
    shutil.copytree(ROOT / "sample_audio", folder / "sample_audio")
    shutil.copytree(EXAMPLE, folder / "examples" / "learned_filterbank")
    (commands,) = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.S)
    printed = []
    for line in commands.splitlines():
        name, *arguments = shlex.split(line)
        code = (folder / arguments[0]).read_text() if name == "python" else None
        ended = ended_of(warm_keras.start(*arguments, code=code, cwd=folder), seconds=300)
        assert ended.code == 0, ended.err
        printed.append(ended.out or ended.err)
    return folder, printed


def test_it_is_learned_in_ten_lines() -> None:
    code = (EXAMPLE / "learn.py").read_text(encoding="utf-8")
    learning = re.search(r"^bands = .*?^model\.save.*?$", code, re.M | re.S)
    assert learning
    assert len(learning[0].splitlines()) <= 10


def test_the_bands_tell_songs_apart_that_were_not_heard(ran: tuple[Path, list[str]]) -> None:
    folder, printed = ran
    found = re.match(r"(\d+)% of 200 songs", printed[0])
    assert found
    assert int(found[1]) >= 95
    assert printed[1].startswith("6 inputs: 6 written")
    with kx.open_features(folder / "learned.h5") as features:
        assert features.weights is not None
        learned = features.weights.arrays["mel_filterbank"]
        layer: Any = features.layer.keras_layer()
    layer.build((None, 1, None))
    (began,) = layer.get_weights()
    assert _likeness(learned) < _likeness(began) - 0.2


def _likeness(matrix: Any) -> float:
    """Return the cosine of what the bands return for the songs of the two species."""
    hertz = np.arange(len(matrix)) * 22050 / 512
    one, other = (matrix[np.abs(hertz - song) < 40].sum(axis=0) for song in (4000, 4150))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_it_is_drawn(ran: tuple[Path, list[str]]) -> None:
    folder, _ = ran
    with Image.open(folder / "learned.png") as picture:
        assert picture.size == (800, 300)
        pixels = np.asarray(picture.convert("RGB"))
    left, right = pixels[:, 60:420], pixels[:, 440:800]  # not the label of the axis
    for part in (left, right):
        assert len(np.unique(part.reshape(-1, 3), axis=0)) > 100  # lines of several colours
    assert (left != right).any(axis=-1).mean() > 0.01
