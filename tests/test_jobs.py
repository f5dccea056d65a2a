"""What is written does not depend on how many inputs are read at once, nor on the process."""

import os
from pathlib import Path
from typing import Any

import pytest

from kapre_cli.framing import Framing
from kapre_cli.settings import ENGINES
from tests import reference
from tests.conftest import Ended, files_below, write_audio

N_SHORT = 40
OPTIONS = ("--n-dft", 64, "--n-hop", 2, "--n-mels", 20)
N_LONG, N_CHANNELS = 20_000, 8


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make many short inputs, some of several channels, one of several blocks, some that fail."""
    folder = tmp_path_factory.mktemp("jobs") / "audio"
    for number in range(N_SHORT):
        signal = reference.noise(1 + number % 3, 200 + 37 * number, number)
        write_audio(folder / f"{number % 4}" / f"{number}.wav", signal, subtype="PCM_16")
    for number in range(5):
        write_audio(folder / f"{number}.flac", reference.noise(2, 3000 + number, 100 + number))
    write_audio(folder / "0" / "long.flac", reference.noise(N_CHANNELS, N_LONG, 200))
    assert len([*Framing(64, 2, "same").blocks(N_LONG // 2, 20, N_CHANNELS)]) > 1
    (folder / "no audio.wav").write_bytes(b"no audio")
    (folder / "1" / "empty.wav").touch()
    write_audio(folder / "2" / "loud.wav", 1e30 * reference.noise(1, 3000))
    cut = write_audio(folder / "3" / "cut.flac", reference.noise(2, 9000))
    os.truncate(cut, cut.stat().st_size * 2 // 3)
    return folder


def written(output: Path) -> dict[str, bytes]:
    """Return the bytes of every file of an output."""
    if output.is_file():
        return {"": output.read_bytes()}
    names = files_below(output)
    return {name: (output / name).read_bytes() for name in names if (output / name).is_file()}


@pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
@pytest.mark.parametrize("name", ["out.h5", "out"])
def test_bits_do_not_depend_on_jobs_or_on_the_process(
    kind: str, name: str, audio: Path, tmp_path: Path, program: Any, process: Any
) -> None:
    options = OPTIONS if kind == "melspectrogram" else OPTIONS[:4]

    def run(runs: Any, jobs: int | None) -> tuple[Ended, dict[str, bytes]]:
        more = () if jobs is None else ("--jobs", jobs)
        ended: Ended = runs(kind, audio, "-o", tmp_path / name, *options, "--overwrite", *more)
        return ended, written(tmp_path / name)

    first, expected = run(program, 1)
    assert first.code == 1
    assert f"{N_SHORT + 10} inputs: {N_SHORT + 6} written, 4 failed" in first.err
    assert len(expected) == (1 if name == "out.h5" else N_SHORT + 6 + 2)
    for runs, jobs in [(program, 2), (program, 7), (program, 99), (program, None), (process, 2)]:
        ended, found = run(runs, jobs)
        assert ended.code == 1
        # Failures are told as they are met.
        assert sorted(ended.err.splitlines()) == sorted(first.err.splitlines())
        assert found == expected, f"{jobs} jobs, {runs}"


@pytest.mark.parametrize("engine", ENGINES)
def test_bits_do_not_depend_on_how_many_frames_are_computed_at_once(
    engine: str, tmp_path: Path, program: Any
) -> None:
    for number in range(3):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(2, 20_000, number))
    command = ("melspectrogram", tmp_path / "audio", "-o", tmp_path / "out.h5", "--overwrite")
    found = set()
    for batch_size in (None, 1, 300, 2**14):
        more = () if batch_size is None else ("--batch-size", batch_size)
        ended = program(*command, "--engine", engine, *OPTIONS[:2], *more)
        assert ended.code == 0, ended.err
        found.add((tmp_path / "out.h5").read_bytes())
    assert len(found) == 1
