"""Files cut short at every byte, the last one and the first among them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kapre_cli.audio.reader import AudioReader
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac

N_FRAMES, N_CHANNELS = 40, 2
ADPCM_FRAMES = 2 * 505  # two blocks


def wav(kind: str, subtype: str, endian: str = "FILE") -> bytes:
    file = io.BytesIO()
    samples = flac.noise(ADPCM_FRAMES if "ADPCM" in subtype else N_FRAMES, N_CHANNELS, 16) / 2**15
    soundfile.write(file, samples, 8000, format=kind, subtype=subtype, endian=endian)
    return file.getvalue()


def encoded(bits: int, **options: Any) -> bytes:
    return flac.encode(flac.noise(N_FRAMES, N_CHANNELS, bits), bits, block_size=16, **options)


FILES: dict[str, Callable[[], bytes]] = {
    "wav": lambda: wav("WAV", "PCM_16"),
    "float": lambda: wav("WAV", "FLOAT"),
    "rifx": lambda: wav("WAV", "PCM_24", "BIG"),
    "adpcm": lambda: wav("WAV", "IMA_ADPCM"),
    "rf64": lambda: wav("RF64", "PCM_16"),
    "w64": lambda: wav("W64", "PCM_16"),
    "flac": lambda: encoded(16),
    "flac without md5": lambda: encoded(16, md5=False),
    "flac of 24 bits": lambda: encoded(24),
    "flac of 12 bits": lambda: encoded(12),
    "flac of 20 bits without md5": lambda: encoded(20, md5=False),
}


def read(path: Path, **options: Any) -> tuple[Any, int]:
    """Return the samples and how many frames are missing."""
    with AudioReader(str(path), AudioSettings(sr=8000, **options)) as reader:
        samples = reader.read(reader.n_samples)
        reader.finish()
        return samples, reader.file.n_missing


def at_every_byte(content: bytes, path: Path) -> Any:
    for length in range(len(content)):
        path.write_bytes(content[:length])
        yield length


@pytest.mark.parametrize("kind", FILES)
def test_every_cut_is_told(kind: str, tmp_path: Path) -> None:
    content, path = FILES[kind](), tmp_path / "cut"
    path.write_bytes(content)
    read(path)
    for _ in at_every_byte(content, path):
        for options in ({}, {"verify_audio": False}):
            with pytest.raises(AudioReadError):
                read(path, **options)


@pytest.mark.parametrize("kind", FILES)
def test_what_is_left_is_taken_if_that_is_allowed(kind: str, tmp_path: Path) -> None:
    content, path = FILES[kind](), tmp_path / "cut"
    path.write_bytes(content)
    whole, missing = read(path, allow_truncated=True)
    assert missing == 0
    longest = 0
    for length in at_every_byte(content, path):
        try:
            samples, missing = read(path, allow_truncated=True)
        except AudioReadError:
            # Once there is something, more bytes are not less.
            assert longest == 0, length
            continue
        assert missing > 0
        assert missing == len(whole) - len(samples), length
        assert longest <= len(samples)
        longest = len(samples)
        np.testing.assert_array_equal(samples, whole[:longest])
    # All blocks but the last one, which has been cut, are taken.
    blocks = {"wav": 1, "float": 1, "rifx": 1, "rf64": 1, "w64": 1, "adpcm": 505}
    assert longest == len(whole) - blocks.get(kind, N_FRAMES % 16)
