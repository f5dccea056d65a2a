"""Audio without a header, against what real programs make of it and what NumPy reads."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.audio import read_header
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import RAW_ENCODINGS, AudioSettings, RawFormat
from tests import reference
from tests.conftest import write_audio

SR, N_CHANNELS, LENGTH = 8000, 3, 4001
OPTIONS = ("--n-dft", 64, "--n-hop", 50)


def decoded(path: Path, raw_format: RawFormat, **options: Any) -> np.ndarray:
    wanted = AudioSettings(sr=1, raw_format=raw_format, non_finite="keep", **options)
    with AudioFile(str(path), wanted) as file:
        assert (file.sr, file.n_channels) == (raw_format.sr, raw_format.n_channels)
        return np.concatenate(list(file.blocks()))


def as_numpy_reads(stored: bytes, encoding: str) -> np.ndarray:
    """Return samples in float64, integers scaled to [-1, 1)."""
    bits = int("".join(filter(str.isdigit, encoding)))
    order = "big" if encoding.endswith("be") else "little"
    if encoding[0] == "f":
        kind = f"{'>' if order == 'big' else '<'}f{bits // 8}"
        return np.frombuffer(stored, kind).astype(np.float64)
    width = bits // 8
    values = [
        int.from_bytes(stored[at : at + width], order, signed=encoding[0] == "s")  # type: ignore[arg-type]
        for at in range(0, len(stored), width)
    ]
    zero = 2 ** (bits - 1) if encoding[0] == "u" else 0
    return (np.array(values, np.float64) - zero) / 2 ** (bits - 1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("encoding", RAW_ENCODINGS)
@given(stored=st.binary(min_size=1, max_size=400), n_channels=st.integers(1, 4))
def test_any_bytes_are_the_numbers_that_numpy_reads(
    encoding: str, stored: bytes, n_channels: int, tmp_path: Path
) -> None:
    raw_format = RawFormat(encoding, SR, n_channels)
    n_bytes = raw_format.sample_bytes
    stored = (stored * n_bytes)[: max(len(stored) // n_bytes, 1) * n_bytes]
    path = tmp_path / "a.raw"
    path.write_bytes(stored)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = as_numpy_reads(stored, encoding).astype(np.float32).reshape(-1, n_channels)
        np.testing.assert_array_equal(decoded(path, raw_format), expected)
    assert read_header(str(path), raw_format).n_samples == len(expected)


@pytest.mark.parametrize("encoding", RAW_ENCODINGS)
def test_what_ffmpeg_and_sox_write_without_a_header_is_understood(
    encoding: str, tmp_path: Path
) -> None:
    made = write_audio(tmp_path / "a.wav", reference.noise(N_CHANNELS, LENGTH), SR)
    if shutil.which("ffmpeg") is None or shutil.which("sox") is None:
        pytest.skip("ffmpeg or sox is not installed")
    kinds = {"u": "unsigned-integer", "s": "signed-integer", "f": "floating-point"}
    bits = "".join(filter(str.isdigit, encoding))
    order = "-B" if encoding.endswith("be") else "-L"
    by_sox = ("-t", "raw", "-e", kinds[encoding[0]], "-b", bits, order, "sox.raw")
    subprocess.run(("sox", "-D", made, *by_sox), cwd=tmp_path, check=True, timeout=300)
    by_ffmpeg = ("-f", encoding, "ffmpeg.raw")
    subprocess.run(
        ("ffmpeg", "-v", "error", "-i", made, *by_ffmpeg), cwd=tmp_path, check=True, timeout=300
    )
    raw_format = RawFormat(encoding, SR, N_CHANNELS)
    expected = reference.noise(N_CHANNELS, LENGTH).T
    step = 1e-7 if encoding[0] == "f" else 2.0 ** (1 - int(bits))
    for name in ("sox.raw", "ffmpeg.raw"):
        found = decoded(tmp_path / name, raw_format)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1.01 * step + 1e-7)


def test_a_raw_input_gives_what_its_wav_gives(tmp_path: Path, program: Any) -> None:
    samples = (reference.noise(N_CHANNELS, LENGTH) * 2**15).astype("<i2")
    write_audio(tmp_path / "a.wav", samples, SR, subtype="PCM_16")
    (tmp_path / "a.raw").write_bytes(samples.T.tobytes())
    (tmp_path / "list").write_text(f"{tmp_path}/a.raw\n")
    assert program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "wav", *OPTIONS).code == 0
    raw = ("--raw-format", f"s16le,{SR},{N_CHANNELS}")
    for number, named in enumerate(((tmp_path / "a.raw",), ("--files-from", tmp_path / "list"))):
        output = tmp_path / f"{number}.h5"
        ended = program("spectrogram", *named, "-o", output, *raw, *OPTIONS)
        assert ended.code == 0, ended.err
        with (
            kapre_cli.open_features(output) as features,
            kapre_cli.open_features(tmp_path / "wav") as expected,
        ):
            np.testing.assert_array_equal(features["a.raw"][:], expected["a.wav"][:])
            assert features.root.audio.raw_format == RawFormat("s16le", SR, N_CHANNELS)
        # What the bytes are said to be is among what makes the samples.
        other = ("--raw-format", f"s16be,{SR},{N_CHANNELS}", "--resume")
        ended = program("spectrogram", *named, "-o", output, *other, *OPTIONS)
        assert ended.code == 2
        assert "raw_format: 's16le,8000,3' before, 's16be,8000,3' now" in ended.err
        ended = program("spectrogram", *named, "-o", output, *raw, *OPTIONS, "--resume")
        assert "is up to date" in ended.err


def test_the_rate_of_the_run_may_be_another(tmp_path: Path, program: Any) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(16_000))
    command = ("spectrogram", tmp_path / "a.raw", "-o", tmp_path / "a.h5", *OPTIONS)
    raw = ("--raw-format", "s16le,8000,1", "--sr", 4000)
    ended = program(*command, *raw)
    assert ended.code == 1
    assert "sample rate is 8,000 Hz, this run uses 4,000 Hz (use --resample" in ended.err
    assert program(*command, *raw, "--resample").code == 0
    with kapre_cli.open_features(tmp_path / "a.h5") as features:
        metadata = features["a.raw"].metadata
    assert (metadata.source_sr, metadata.sr, metadata.n_samples) == (8000, 4000, 4000)


def test_a_part_of_a_frame_is_told(tmp_path: Path) -> None:
    path, raw_format = tmp_path / "a.raw", RawFormat("s24le", SR, 2)
    path.write_bytes(bytes(6 * 100 + 5))
    with pytest.raises(AudioReadError, match="605 bytes are 100 samples of 6 bytes and 5 bytes of"):
        decoded(path, raw_format)
    assert len(decoded(path, raw_format, allow_truncated=True)) == 100
    lenient = AudioSettings(sr=1, raw_format=raw_format, allow_truncated=True)
    with AudioFile(str(path), lenient) as file:
        assert file.n_missing == 1
    path.write_bytes(bytes(5))
    for allow_truncated in (False, True):  # there is no whole frame to be taken
        with pytest.raises(AudioReadError, match="5 bytes are 0 samples of 6 bytes and 5"):
            decoded(path, raw_format, allow_truncated=allow_truncated)
    path.write_bytes(b"")
    with pytest.raises(AudioReadError, match="empty"):
        decoded(path, raw_format)


def test_no_header_is_looked_for(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", np.zeros((1, 1000)), subtype="PCM_16")
    assert len(decoded(path, RawFormat("u8", SR, 1))) == path.stat().st_size
