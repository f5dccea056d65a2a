"""An audio decoder outside the package: the example that reads MP3, as the program uses it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kapre_cli import open_features
from tests import reference
from tests.conftest import Ended, write_audio

EXAMPLE = Path(__file__).parents[1] / "examples" / "mp3_decoder"
N_SAMPLES = 50_000
SPECTROGRAM = ("--n-dft", "256")

pytestmark = pytest.mark.skipif(
    "MP3" not in soundfile.available_formats(), reason="this libsndfile was built without MP3"
)


def install(folder: Path, entry_points: str) -> Path:
    """Make the files that installing a package leaves in ``folder``."""
    metadata = folder / "kapre_mp3-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kapre-mp3\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder


@pytest.fixture
def installed(tmp_path: Path, process: Any) -> Any:
    """Run the program with the example installed."""
    declared = re.search(
        r'\[project\.entry-points\."(.*)"\]\n(.*)', (EXAMPLE / "pyproject.toml").read_text()
    )
    assert declared is not None
    site = install(tmp_path / "site", f"[{declared[1]}]\n{declared[2].replace(chr(34), '')}\n")
    path = f"{EXAMPLE}:{site}:{EXAMPLE.parents[1]}"

    def call(*arguments: object, stdin: Path | None = None) -> Ended:
        if stdin is None:
            return process(*arguments, cwd=tmp_path, PYTHONPATH=path)
        with stdin.open("rb") as file:
            ended = subprocess.run(
                [sys.executable, "-m", "kapre_cli", *map(str, arguments)],
                stdin=file,
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": path},
                timeout=120,
                check=False,
            )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return call


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Write a WAV, a FLAC and an MP3 in a folder."""
    signal = 0.1 * reference.noise(2, N_SAMPLES)
    for name in ("a.wav", "b.flac"):
        write_audio(tmp_path / "audio" / name, signal, sr=44_100, subtype="PCM_16")
    path = tmp_path / "audio" / "night" / "c.mp3"
    write_audio(path, signal, sr=44_100, subtype=None, format="MP3")
    return tmp_path / "audio"


def test_folders_are_searched_and_every_kind_is_read_by_workers(
    audio: Path, tmp_path: Path, installed: Any
) -> None:
    ended = installed("spectrogram", audio, "-o", "all.h5", "-j", "2", *SPECTROGRAM)
    assert (ended.code, "3 written, 0 failed" in ended.err) == (0, True), ended.err
    with open_features(tmp_path / "all.h5") as features:
        assert sorted(features) == ["a.wav", "b.flac", "night/c.mp3"]
    ended = installed("verify", "all.h5", "--against", audio)
    assert (ended.code, "3 correct, 0 wrong" in ended.out + ended.err) == (0, True), ended.err


def test_the_samples_are_those_of_soundfile(audio: Path, tmp_path: Path, installed: Any) -> None:
    path = audio / "night" / "c.mp3"
    samples, sr = soundfile.read(path, dtype="float32", always_2d=True)
    assert samples.shape == (N_SAMPLES, 2)
    write_audio(tmp_path / "same.wav", samples.T, sr=sr)
    arguments = ("spectrogram", path, "same.wav", "-o", "both.h5", *SPECTROGRAM)
    assert installed(*arguments).code == 0
    with open_features(tmp_path / "both.h5") as features:
        np.testing.assert_array_equal(features["c.mp3"][:], features["same.wav"][:])


def test_an_mp3_is_read_from_standard_input(audio: Path, tmp_path: Path, installed: Any) -> None:
    path = audio / "night" / "c.mp3"
    assert installed("spectrogram", path, "-o", "named.npy", *SPECTROGRAM).code == 0
    ended = installed("spectrogram", "-", "-o", "piped.npy", *SPECTROGRAM, stdin=path)
    assert ended.code == 0, ended.err
    np.testing.assert_array_equal(np.load(tmp_path / "piped.npy"), np.load(tmp_path / "named.npy"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda content: content[: len(content) // 2],
            r"truncated: the header declares 50,000 samples, [\d,]+ could be decoded; --allow",
        ),
        (
            lambda content: content[:9000] + bytes(4000) + content[13_000:],
            r"damaged or truncated: the header declares 50,000 samples, [\d,]+ could be decoded \(",
        ),
    ],
    ids=["cut short", "zeros inside"],
)
def test_a_damaged_mp3_fails_and_its_samples_can_be_taken(
    damage: Any, message: str, audio: Path, tmp_path: Path, installed: Any
) -> None:
    whole = (audio / "night" / "c.mp3").read_bytes()
    (tmp_path / "bad.mp3").write_bytes(damage(whole))
    ended = installed("spectrogram", "bad.mp3", "-o", "bad.h5", *SPECTROGRAM)
    assert ended.code == 1
    assert re.search("failed: 'bad.mp3': " + message, ended.err), ended.err
    ended = installed("spectrogram", "bad.mp3", "-o", "bad.h5", "--allow-truncated", *SPECTROGRAM)
    assert ended.code == 0, ended.err
    with open_features(tmp_path / "bad.h5") as features:
        metadata = dict(features.metadata())["bad.mp3"]
        assert 0 < metadata.n_samples < N_SAMPLES
        assert metadata.n_missing == N_SAMPLES - metadata.n_samples


def test_headers_are_shown_without_decoding(audio: Path, tmp_path: Path, installed: Any) -> None:
    ended = installed("spectrogram", audio, "-o", "dry.h5", "--dry-run", *SPECTROGRAM)
    assert ended.code == 0
    assert re.search(r"night/c\.mp3': [\d,]+ x 129 x 2", ended.out), ended.out
    assert not (tmp_path / "dry.h5").exists()
    shown = json.loads(installed("info", audio / "night" / "c.mp3", "--json").out)
    assert (shown["kind"], shown["encoding"]) == ("MP3", "MPEG layer III")
    assert (shown["sr"], shown["n_channels"], shown["n_samples"]) == (44_100, 2, N_SAMPLES)


def test_errors_name_the_installed_kinds(tmp_path: Path, installed: Any) -> None:
    (tmp_path / "x.ogg").write_bytes(b"OggS\0\2" + bytes(60))
    (tmp_path / "x.mp3").write_bytes(bytes(range(40)))
    (tmp_path / "empty").mkdir()
    ended = installed("spectrogram", "x.ogg", "x.mp3", "empty", "-o", "x.h5")
    assert "'x.ogg': it is Ogg, not WAV, FLAC or MP3; pipe it" in ended.err
    assert "'x.mp3': it is not WAV, FLAC or MP3: it begins with" in ended.err
    assert "'empty': holds no audio: no file ends in .wav, .wave, .flac, .mp3" in ended.err


def test_without_the_example_an_mp3_is_no_input(audio: Path, tmp_path: Path, process: Any) -> None:
    ended = process("spectrogram", audio, "-o", tmp_path / "x.h5", *SPECTROGRAM)
    assert "2 inputs: 2 written" in ended.err
    assert "skipped 1 file with another ending than .wav, .wave, .flac (1 .mp3)" in ended.err
    ended = process("spectrogram", audio / "night" / "c.mp3", "-o", tmp_path / "y.h5")
    assert "it is MP3, not WAV or FLAC; pipe it through ffmpeg" in ended.err


def test_a_decoder_that_cannot_be_imported_is_named_and_harms_nothing(
    audio: Path, tmp_path: Path, process: Any
) -> None:
    site = install(tmp_path / "site", "[kapre_cli.decoders]\nMP3 = a_module_nobody_has:Decoder\n")
    path = f"{site}:{EXAMPLE.parents[1]}"
    reason = "the audio decoder 'MP3' of the package 'kapre-mp3' cannot be imported: ModuleNotFound"
    ended = process("spectrogram", audio, "-o", tmp_path / "x.h5", *SPECTROGRAM, PYTHONPATH=path)
    assert (ended.code, "2 inputs: 2 written" in ended.err) == (0, True), ended.err
    assert ended.err.count(reason) == 1
    mp3 = audio / "night" / "c.mp3"
    ended = process("spectrogram", mp3, "-o", tmp_path / "y.h5", PYTHONPATH=path)
    assert "it is MP3, not WAV or FLAC" in ended.err
    assert reason in ended.err
