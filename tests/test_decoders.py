"""Audio decoders that are added: how a kind is recognised, counted, checked and limited."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli.audio import (
    DECODERS,
    AudioDecoder,
    ByteSource,
    DecodingError,
    HashingReader,
    Header,
    RegularFile,
    audio_suffixes,
    read_header,
)
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.conftest import write_audio

DAMAGE = -(2**15)
SAMPLES = np.arange(1, 1001, dtype="<i2")


class TinyReader:
    """Reads 16-bit samples up to one that stands for damage."""

    sr, n_channels, read_ahead = 8000, 1, 0

    def __init__(self, stream: HashingReader) -> None:
        self._stream = stream
        self._stream.seek(8)

    def read(self, n_samples: int) -> Any:
        block = np.frombuffer(self._stream.read(2 * n_samples), "<i2")
        if (block == DAMAGE).any():
            raise DecodingError("a damaged sample")
        return block.reshape(-1, 1)


class TinyDecoder(AudioDecoder):
    """A marker, the number of samples (0: unknown) and the samples."""

    name = "tiny"
    suffixes = (".tiny", ".wav")

    @classmethod
    def recognizes(cls, file: ByteSource) -> bool:
        if file.at(0, 4) == b"FAIL":
            raise KeyError("a fault of the decoder")
        return file.at(0, 4) in (b"TINY", b"RIFF")

    @classmethod
    def read_header(cls, file: RegularFile) -> Header:
        declared = int.from_bytes(file.at(4, 4), "little")
        return Header("tiny", sr=8000, n_channels=1, bits=16, n_samples=declared or None)

    def open_reader(self) -> TinyReader:
        return TinyReader(self.stream)


@pytest.fixture(autouse=True)
def _added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DECODERS, "_added", {})
    monkeypatch.setattr(DECODERS, "_loaded", {})
    DECODERS.add("tiny", TinyDecoder)


def tiny(path: Path, declared: int = len(SAMPLES), samples: Any = SAMPLES) -> str:
    path.write_bytes(b"TINY" + declared.to_bytes(4, "little") + samples.tobytes())
    return str(path)


def content_of(path: str, **settings: Any) -> tuple[Any, AudioFile]:
    with AudioFile(path, AudioSettings(sr=8000, **settings)) as file:
        return np.concatenate(list(file.blocks())), file


def damaged(at: int) -> Any:
    samples = SAMPLES.copy()
    samples[at] = DAMAGE
    return samples


def test_suffixes_of_added_kinds_come_last() -> None:
    assert audio_suffixes() == (".wav", ".wave", ".flac", ".tiny")


def test_kinds_of_this_package_are_asked_first(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 100))
    assert read_header(str(path)).kind == "WAV"


@pytest.mark.parametrize("declared", [1000, 0])
@pytest.mark.parametrize("lenient", [False, True])
def test_all_samples_are_read(declared: int, lenient: bool, tmp_path: Path) -> None:
    path = tiny(tmp_path / "a", declared)
    assert read_header(path).needs_decoding == (declared == 0)
    samples, file = content_of(path, allow_truncated=lenient)
    np.testing.assert_array_equal(samples[:, 0], SAMPLES / np.float32(2**15))
    assert (file.n_samples, file.n_missing) == (1000, 0)


@pytest.mark.parametrize(
    ("declared", "samples", "message", "available"),
    [
        (1500, SAMPLES, "^truncated: the header declares 1,500 samples, 1,000 could be", 1000),
        (
            300,
            SAMPLES,
            "^the header declares 300 samples, 1,000 could be decoded; allow_truncated=True",
            1000,
        ),
        (
            1000,
            damaged(600),
            r"^damaged or truncated: the header declares 1,000 samples, 600 could .* \(a damaged",
            600,
        ),
        (0, damaged(600), r"^decoding stopped after 600 samples \(a damaged sample\)", 600),
    ],
)
def test_other_numbers_of_samples_fail_unless_they_are_allowed(
    declared: int, samples: Any, message: str, available: int, tmp_path: Path
) -> None:
    path = tiny(tmp_path / "a", declared, samples)
    with pytest.raises(AudioReadError, match=message):
        content_of(path)
    found, file = content_of(path, allow_truncated=True)
    assert len(found) == available
    assert file.n_missing == (declared - available if declared else 1)


def test_a_file_without_a_good_sample_fails_either_way(tmp_path: Path) -> None:
    path = tiny(tmp_path / "a", 0, damaged(0))
    for lenient in (False, True):
        with pytest.raises(AudioReadError, match=r"^none of its samples can be decoded \(a dam"):
            content_of(path, allow_truncated=lenient)


def test_no_more_samples_than_allowed_are_read(tmp_path: Path) -> None:
    for declared in (0, 1000, 300):
        with pytest.raises(AudioReadError, match=r"^it has [\d,]+ samples or more, `max_samples`"):
            content_of(tiny(tmp_path / "a", declared), max_samples=500)


def test_a_reader_of_another_rate_than_the_header_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TinyReader, "sr", 7)
    with pytest.raises(AudioReadError, match=r"header declares 8,000 Hz and 1 channels, .* 7 Hz"):
        content_of(tiny(tmp_path / "a"))


def test_a_fault_of_a_decoder_fails_its_file_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"FAIL" + bytes(100))
    with pytest.raises(AudioReadError, match="unexpected KeyError: 'a fault of the decoder'"):
        content_of(str(tmp_path / "a"))
    assert len(content_of(tiny(tmp_path / "b"))[0]) == 1000
