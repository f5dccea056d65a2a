"""The functions in the kernel of a notebook, with its progress bar."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests import reference
from tests.conftest import write_audio

CELLS = [
    """
import signal, warnings
import numpy, tqdm.auto  # which change filters of warnings when they are imported
import kapre_cli as kx

before = signal.getsignal(signal.SIGINT), [*warnings.filters]
layer = kx.MelspectrogramConfig(sr=8000, n_dft=256, n_mels=20)
result = kx.extract("audio", "x.h5", layer)
assert before == (signal.getsignal(signal.SIGINT), warnings.filters)
result
""",
    "[(key, array.shape) for key, array in kx.iter_features('audio', layer)]",
    """
with kx.open_features("x.h5") as features:
    figure = kx.plot(features)
figure
""",
]


def test_a_notebook_extracts_and_shows_figures(tmp_path: Path) -> None:
    for number in range(3):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(1, 4000, number), sr=8000)
    notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS]  # type: ignore[no-untyped-call]
    )
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    first, second, third = (cell.outputs for cell in notebook.cells)
    assert "n_written=3" in first[-1]["data"]["text/plain"]
    # The bar is a widget, or text where ipywidgets is not installed; there is no other message.
    kinds = [one.output_type for one in first[:-1]]
    assert set(kinds) <= {"display_data", "stream"}
    for one in first[:-1]:
        if one.output_type == "stream":
            assert one.name == "stderr"
            assert "IProgress not found" in one.text or "%|" in one.text
    assert "('0.wav', (20, 32, 1))" in second[-1]["data"]["text/plain"]
    assert third[-1]["data"]["image/png"]
