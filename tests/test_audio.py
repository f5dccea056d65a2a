"""Reading audio: every encoding, channels, resampling, and what a header promises."""

import itertools
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from kapre_cli.audio import AudioFile, AudioReader
from kapre_cli.audio.headers import read_header
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.conftest import read_audio, write_audio

# Codecs of one or two channels that libsndfile cannot write with more.
NARROW = {"GSM610": 1, "G721_32": 1, "IMA_ADPCM": 2, "MS_ADPCM": 2}


def encodings() -> list[tuple[str, str, str]]:
    found = []
    for kind in ("WAV", "WAVEX", "RF64", "W64", "FLAC"):
        for subtype in soundfile.available_subtypes(kind):
            for endian in ("LITTLE", "BIG") if kind == "WAV" else ("FILE",):
                if "MPEG" not in subtype and soundfile.check_format(kind, subtype, endian):
                    found.append((kind, subtype, endian))
    return found


def test_there_are_many_encodings() -> None:
    assert len(encodings()) > 40


@pytest.mark.parametrize(("kind", "subtype", "endian"), encodings())
def test_every_encoding_is_read_as_libsndfile_reads_it(
    kind: str, subtype: str, endian: str, tmp_path: Path
) -> None:
    n_channels = 1 if subtype.startswith("NMS") else NARROW.get(subtype, 3)
    signal = reference.noise(n_channels, 2000)
    path = write_audio(tmp_path / "audio", signal, subtype=subtype, format=kind, endian=endian)
    with AudioReader(str(path), AudioSettings(sr=8000)) as reader:
        samples = reader.read(reader.n_samples)
        reader.finish()
    np.testing.assert_array_equal(samples.T, read_audio(path).astype(np.float32))


@pytest.mark.parametrize("n_channels", [1, 2, 3, 8, 64])
def test_any_number_of_channels_is_read(n_channels: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(n_channels, 300))
    with AudioReader(str(path), AudioSettings(sr=8000)) as reader:
        assert reader.n_channels == n_channels
        np.testing.assert_array_equal(reader.read(300).T, read_audio(path).astype(np.float32))


@pytest.mark.parametrize("channels", [(0,), (2, 0), None])
@pytest.mark.parametrize("mono", [False, True])
def test_channels_are_chosen_and_averaged(channels: Any, mono: bool, tmp_path: Path) -> None:
    signal = reference.noise(3, 1000)
    path = write_audio(tmp_path / "a.wav", signal)
    expected = signal if channels is None else signal[list(channels)]
    if mono:
        expected = expected.astype(np.float64).mean(axis=0, keepdims=True)
    settings = AudioSettings(sr=8000, channels=channels, mono=mono)
    with AudioReader(str(path), settings) as reader:
        assert reader.n_channels == len(expected)
        np.testing.assert_allclose(reader.read(1000).T, expected, rtol=1e-6)


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(2, 100))
    with pytest.raises(AudioReadError, match="no channel 2: it has 2 channels, from 0 on"):
        AudioReader(str(path), AudioSettings(sr=8000, channels=(0, 2)))


def test_reads_of_any_size_give_the_same_samples(tmp_path: Path) -> None:
    signal = reference.noise(2, 400_000)  # several blocks of the decoder
    path = write_audio(tmp_path / "a.flac", signal)
    expected = read_audio(path).astype(np.float32)
    sizes = itertools.cycle([1, 7, 1000, 131_072, 150_000])
    with AudioReader(str(path), AudioSettings(sr=8000)) as reader:
        parts, due = [], reader.n_samples
        while due:
            parts.append(reader.read(min(next(sizes), due)))
            due -= len(parts[-1])
        reader.finish()
    np.testing.assert_array_equal(np.concatenate(parts).T, expected)


@pytest.mark.parametrize(("source", "target"), [(44100, 22050), (8000, 44100), (48000, 44100)])
@pytest.mark.parametrize("length", [1, 500, 300_001])
def test_resampling_by_blocks_is_resampling_at_once(
    source: int, target: int, length: int, tmp_path: Path
) -> None:
    signal = reference.noise(2, length)
    path = write_audio(tmp_path / "a.wav", signal, sr=source)
    expected = np.stack([soxr.resample(one, source, target, quality="VHQ") for one in signal])
    with AudioReader(str(path), AudioSettings(sr=target, resample=True)) as reader:
        assert reader.n_samples == expected.shape[1]
        np.testing.assert_array_equal(reader.read(reader.n_samples).T, expected)
        reader.finish()


def test_resampling_keeps_a_tone_where_it_is(tmp_path: Path) -> None:
    seconds = np.arange(96_000) / 48_000
    path = write_audio(tmp_path / "a.wav", np.sin(2 * np.pi * 1000 * seconds)[None], sr=48_000)
    with AudioReader(str(path), AudioSettings(sr=16_000, resample=True)) as reader:
        tone = reader.read(reader.n_samples)[:, 0]
    expected = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000)
    np.testing.assert_allclose(tone[500:-500], expected[500:-500], atol=1e-4)


def test_another_rate_fails_with_both_and_the_remedy(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 100), sr=22050)
    with pytest.raises(AudioReadError, match=r"22050 Hz.*44100 Hz.*--resample"):
        AudioReader(str(path), AudioSettings(sr=44100))


# What headers promise


def promise(path: Path) -> Any:
    with path.open("rb") as file:
        return read_header(file.fileno())


@pytest.mark.parametrize(("kind", "subtype", "endian"), encodings())
def test_headers_promise_what_libsndfile_counts(
    kind: str, subtype: str, endian: str, tmp_path: Path
) -> None:
    n_channels = 1 if subtype.startswith("NMS") else NARROW.get(subtype, 3)
    path = write_audio(
        tmp_path / "a",
        reference.noise(n_channels, 777),
        subtype=subtype,
        format=kind,
        endian=endian,
    )
    header = promise(path)
    assert header.missing_bytes == header.stray_bytes == 0
    if header.n_frames is not None:
        assert header.n_frames == 777
    else:
        assert subtype in NARROW or subtype.startswith("NMS")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_truncated_wav_is_told_with_both_counts(kind: str, kept: float, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(2, 1000), format=kind)
    data = path.stat().st_size - 2 * 4 * 1000
    os.truncate(path, data + int(kept * 8000) // 8 * 8)
    with pytest.raises(AudioReadError, match=rf"promises 1,000 frames, {int(kept * 1000)} frames"):
        AudioFile(str(path))


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_flac_is_told_with_both_counts(kept: float, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, 100_000))
    os.truncate(path, int(path.stat().st_size * kept))
    with AudioFile(str(path)) as file, pytest.raises(AudioReadError) as told:
        list(file.blocks())
    counts = re.search(r"the header promises 100,000 frames, ([\d,]+) frames came", str(told.value))
    assert counts is not None
    # The FLAC blocks before the cut are there: blocks of 4,096 frames, in about as many bytes.
    came = int(counts[1].replace(",", ""))
    assert -4096 < 100_000 * kept - came < 2 * 4096


def wav(data_size: int, n_frames: int, *, tail: bytes = b"") -> bytes:
    """Return a mono 16-bit WAV whose header says ``data_size``."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    data = struct.pack("<4sI", b"data", data_size) + bytes(range(2)) * n_frames
    return struct.pack("<4sI4s", b"RIFF", 36 + data_size & 0xFFFFFFFF, b"WAVE") + fmt + data + tail


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
def test_sizes_that_mean_unknown_are_read_to_the_end(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(size, 1000))
    with AudioFile(str(path)) as file:
        assert file.n_frames == 1000
        assert sum(map(len, file.blocks())) == 1000


def test_a_data_size_of_zero_with_bytes_behind_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(0, 1000))
    with pytest.raises(AudioReadError, match="0 frames, yet 2,000 bytes follow"):
        AudioFile(str(path))


def test_a_chunk_behind_the_data_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(200, 100, tail=b"LIST\x04\0\0\0abcd"))
    with AudioFile(str(path)) as file:
        assert file.n_frames == 100


def without_total(path: Path) -> None:
    """Set the total of a FLAC's STREAMINFO to 0, as a program that writes to a pipe leaves it."""
    content = bytearray(path.read_bytes())
    content[8 + 13] &= 0xF0
    content[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize("length", [100, 300_000])
def test_a_flac_that_promises_too_much_is_told_with_both_counts(
    length: int, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, length))
    content = bytearray(path.read_bytes())
    content[8 + 14 : 8 + 18] = (length + 5000).to_bytes(4, "big")
    path.write_bytes(content)
    with (
        AudioFile(str(path)) as file,
        pytest.raises(
            AudioReadError, match=f"promises {length + 5000:,} frames, {length:,} frames came"
        ),
    ):
        list(file.blocks())


@pytest.mark.parametrize("length", [100, 4096, 300_001])
def test_a_flac_without_a_total_is_counted_and_read_whole(length: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, length))
    expected = read_audio(path).astype(np.float32)
    without_total(path)
    with AudioFile(str(path)) as file:
        assert file.n_frames == length
        np.testing.assert_array_equal(np.concatenate(list(file.blocks())).T, expected)


def test_a_tag_before_a_flac_is_skipped(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(1, 500))
    path.write_bytes(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + path.read_bytes())
    with AudioFile(str(path)) as file:
        assert file.n_frames == 500


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_told_with_their_place(
    value: float, tmp_path: Path
) -> None:
    signal = reference.noise(2, 200_000)
    signal[1, 150_000] = value
    path = write_audio(tmp_path / "a.wav", signal)
    with (
        AudioFile(str(path)) as file,
        pytest.raises(
            AudioReadError, match=r"frame 150,000 \(18.750 s\) of channel 1: -?(nan|inf)"
        ),
    ):
        list(file.blocks())


ENDLESS_CHUNK = (
    bytes.fromhex("726966662e91cf11a5d628db04c10000")
    + bytes(8)
    + bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
    + b"junk" + bytes(12) + b"\xff" * 8
)  # fmt: skip

OTHERS = {
    ENDLESS_CHUNK: "ends inside its W64 header",
    b"": "the file is empty",
    b"hello": "begins with b'hello'",
    b"OggS" + bytes(60): "it is Ogg",
    b"ID3\x03" + bytes(60): "it is MP3",
    b"FORM" + bytes(60): "it is AIFF",
    b"\0\0\0\x20ftypM4A " + bytes(60): "it is MP4",
    b"RIFF": "begins with b'RIFF'",
    b"RIFF\x24\0\0\0WAVE": "ends inside its WAV header",
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0": "fmt chunk is cut short",
    b"RIFF\x24\0\0\0AVI " + bytes(60): "neither a WAV nor a FLAC",
    b"fLaC": "ends inside its FLAC header",
    b"fLaC\0\0\0\x22" + bytes(10): "ends inside its FLAC header",
    wav(0, 0): "0 frames",
    wav(0, 0)[:36]: "no data chunk",
    wav(10, 0): "promises 5 frames, 0 frames came",
}


@pytest.mark.parametrize(("content", "message"), OTHERS.items(), ids=range(len(OTHERS)))
def test_what_is_no_audio_is_told_why(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(AudioReadError, match=message):
        AudioFile(str(path))


def test_special_files_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    for path, kind in ((tmp_path / "pipe.wav", "a named pipe"), (tmp_path, "a folder")):
        with pytest.raises(AudioReadError, match=f"it is {kind}, not a regular file"):
            AudioFile(str(path))
    with pytest.raises(AudioReadError, match="a device"):
        AudioFile("/dev/zero")


def test_a_vanished_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(AudioReadError, match="cannot be opened: No such file"):
        AudioFile(str(tmp_path / "gone.wav"))


def test_a_file_without_permission_is_told(unprivileged: Path) -> None:
    path = write_audio(unprivileged / "a.wav", reference.noise(1, 100))
    path.chmod(0)
    with pytest.raises(AudioReadError, match="cannot be opened: Permission denied"):
        AudioFile(str(path))


def test_files_are_closed_again(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 100))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with AudioFile(str(path)):
            pass
        with pytest.raises(AudioReadError):
            AudioReader(str(path), AudioSettings(sr=1))
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
