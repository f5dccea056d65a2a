"""WAV of plain numbers, decoded by this project, against libsndfile."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kapre_cli.audio import read_header
from kapre_cli.audio.reader import AudioFile
from kapre_cli.settings import AudioSettings
from tests.bad_inputs import data, fmt, riff

KINDS = [
    *(("PCM_U8", "u1"), ("PCM_16", "i2"), ("PCM_24", "i3"), ("PCM_32", "i4")),
    *(("FLOAT", "f4"), ("DOUBLE", "f8")),
]
AS_STORED = AudioSettings(sr=1, non_finite="keep")


def decoded(path: Path) -> np.ndarray:
    with AudioFile(str(path), AS_STORED) as file:
        return np.concatenate(list(file.blocks()))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("container", ["WAV", "RIFX", "W64", "WAVEX"])
@pytest.mark.parametrize(("subtype", "number"), KINDS)
@given(stored=st.binary(min_size=1, max_size=480), n_channels=st.sampled_from([1, 2, 3, 5]))
def test_any_bytes_are_the_numbers_that_libsndfile_finds(
    container: str, subtype: str, number: str, stored: bytes, n_channels: int, tmp_path: Path
) -> None:
    assume(not stored.startswith((b"OggS", b"wvpk")))  # libsndfile refuses samples that look so
    n_bytes = int(number[1]) * n_channels
    stored = (stored * n_bytes)[: max(len(stored) // n_bytes, 1) * n_bytes]
    path, format_ = tmp_path / "a.wav", container.replace("RIFX", "WAV")
    silence = np.zeros((len(stored) // n_bytes, n_channels))
    endian = "BIG" if container == "RIFX" else None
    soundfile.write(path, silence, 8000, subtype=subtype, endian=endian, format=format_)
    header = read_header(str(path))
    assert header.number[1:] == number
    file = bytearray(path.read_bytes())
    file[header.start : header.start + len(stored)] = stored
    path.write_bytes(file)
    with np.errstate(invalid="ignore"):
        expected = soundfile.read(path, dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(decoded(path), expected)


@pytest.mark.parametrize(
    "described",
    [
        fmt(tag=6, bits=8),  # A-law
        fmt(tag=0xFFFE, more=struct.pack("<HHI", 22, 16, 4) + b"\1\0" + bytes(14)),  # a GUID
    ],
)
def test_other_encodings_are_left_to_a_library(described: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(riff(described, data()))
    assert read_header(str(path)).number == ""
