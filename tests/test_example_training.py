"""The scripts that train a network run to their end, and the network learns."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Ended, ended_of
from tests.pages import ROOT
from tests.warm import Nursery

EXAMPLES = ROOT / "examples" / "training"
LIMITS = {"classifier.py": 25, "detector.py": 25}  # lines


def accuracy_of(name: str, folder: Path, warm_keras: Nursery | None = None) -> int:
    """Run a script as in a clone, and return the percentage that it prints.

    One that starts processes of its own needs an interpreter of its own.
    """
    shutil.copytree(ROOT / "sample_audio", folder / "sample_audio")
    shutil.copytree(EXAMPLES, folder / "examples" / "training")
    script = folder / "examples" / "training" / name
    if warm_keras is None:
        run = subprocess.run(
            [sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=300
        )
        ended = Ended(run.returncode, run.stdout, run.stderr)
    else:
        code = script.read_text(encoding="utf-8")
        ended = ended_of(warm_keras.start(code=code, cwd=folder), seconds=300)
    assert ended.code == 0, ended.err
    found = re.match(r"(\d+)% of \d+ windows", ended.out)
    assert found, ended.out
    return int(found[1])


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_network_recognises_recordings_that_it_has_not_seen(
    name: str, tmp_path: Path, warm_keras: Nursery
) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= LIMITS[name]
    assert accuracy_of(name, tmp_path, warm_keras) >= 90


def test_the_loop_of_pytorch_learns(tmp_path: Path) -> None:
    code = (EXAMPLES / "torch_loop.py").read_text(encoding="utf-8")
    loop = re.search(r"^for _ in range.*?(?=\n\n)", code, re.M | re.S)
    assert loop
    assert len(loop[0].splitlines()) <= 6
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed: examples/training/torch_loop.py was not run")
    assert accuracy_of("torch_loop.py", tmp_path) >= 90
