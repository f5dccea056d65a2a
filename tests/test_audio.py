"""Reading audio: every encoding, channels, resampling, and what a header declares."""

import errno
import gc
import hashlib
import io
import itertools
import os
import re
import signal
import struct
import subprocess
import sys
import weakref
from pathlib import Path
from types import FrameType
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from kapre_cli.audio import DecodingError, HashingReader, read_header, sha256_of
from kapre_cli.audio.flac import FlacDecoder
from kapre_cli.audio.reader import AudioFile, AudioReader
from kapre_cli.audio.wav import WavDecoder
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac, reference
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
    # An even number of GSM's blocks: of the padding behind an odd one libsndfile makes noise.
    signal = reference.noise(n_channels, 2500)
    path = write_audio(tmp_path / "audio", signal, subtype=subtype, format=kind, endian=endian)
    with AudioReader(str(path), AudioSettings(sr=8000)) as reader:
        samples = reader.read(reader.n_samples)
        reader.finish()
    # libsndfile adds the padding of the last block, which the fact chunk leaves out. The count that
    # it writes for two channels of IMA ADPCM is half of what there is, and ends nothing.
    n_expected = 2525 if subtype == "IMA_ADPCM" else 2500
    expected = read_audio(path)[:, :n_expected].astype(np.float32)
    assert expected.shape == samples.T.shape
    np.testing.assert_array_equal(samples.T, expected)


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


def test_another_rate_fails_with_both_rates(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 100), sr=22050)
    with pytest.raises(AudioReadError, match="sample rate is 22,050 Hz, this run uses 44,100 Hz"):
        AudioReader(str(path), AudioSettings(sr=44100))


# What headers promise


BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64
}  # fmt: skip


def lenient(**options: Any) -> AudioSettings:
    return AudioSettings(sr=8000, allow_truncated=True, **options)


def content_of(path: Path, settings: AudioSettings | None = None) -> Any:
    """Read a file whole; return its samples, shape ``(frames, channels)``, and the file."""
    with AudioFile(str(path), settings or AudioSettings(sr=8000)) as file:
        return np.concatenate(list(file.blocks())), file


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
    header = read_header(str(path))
    assert (header.sr, header.n_channels) == (8000, n_channels)
    assert header.bits == BITS.get(subtype, 0)
    if header.n_samples is not None:
        assert header.n_samples == 777
    else:
        assert subtype in NARROW or subtype.startswith("NMS")


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.999])
def test_a_truncated_wav_is_told_with_both_counts(kind: str, kept: float, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(2, 1000), format=kind)
    data = path.stat().st_size - 2 * 4 * 1000
    os.truncate(path, data + int(kept * 8000) // 8 * 8)
    with pytest.raises(
        AudioReadError, match=rf"declares 1,000 samples, {int(kept * 1000)} are available"
    ):
        AudioFile(str(path))


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_flac_is_told_with_both_counts(kept: float, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, 100_000))
    os.truncate(path, int(path.stat().st_size * kept))
    with AudioFile(str(path)) as file, pytest.raises(AudioReadError) as told:
        list(file.blocks())
    counts = re.search(
        r"the header declares 100,000 samples, ([\d,]+) could be decoded", str(told.value)
    )
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
        assert file.n_samples == 1000
        assert sum(map(len, file.blocks())) == 1000


def test_a_data_size_of_zero_with_bytes_behind_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(0, 1000))
    with pytest.raises(AudioReadError, match=r"0 samples, 2,000 bytes \(1,000 samples\) follow"):
        AudioFile(str(path))


def test_a_chunk_behind_the_data_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(200, 100, tail=b"LIST\x04\0\0\0abcd"))
    with AudioFile(str(path)) as file:
        assert file.n_samples == 100


def without_total(path: Path) -> None:
    """Set the total of a FLAC's STREAMINFO to 0, as a program that writes to a pipe leaves it."""
    content = bytearray(path.read_bytes())
    content[8 + 13] &= 0xF0
    content[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(content)


@pytest.mark.parametrize("length", [100, 300_000])
def test_a_flac_that_declares_too_much_is_told_with_both_counts(
    length: int, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, length))
    content = bytearray(path.read_bytes())
    content[8 + 14 : 8 + 18] = (length + 5000).to_bytes(4, "big")
    path.write_bytes(content)
    with (
        AudioFile(str(path)) as file,
        pytest.raises(
            AudioReadError, match=f"declares {length + 5000:,} samples, {length:,} could be decoded"
        ),
    ):
        list(file.blocks())


@pytest.mark.parametrize("length", [100, 4096, 300_001])
def test_a_flac_without_a_total_is_counted_and_read_whole(length: int, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, length))
    expected = read_audio(path).astype(np.float32)
    without_total(path)
    with AudioFile(str(path)) as file:
        assert file.n_samples == length
        np.testing.assert_array_equal(np.concatenate(list(file.blocks())).T, expected)


def test_a_tag_before_a_flac_is_skipped(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(1, 500))
    path.write_bytes(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + path.read_bytes())
    with AudioFile(str(path)) as file:
        assert file.n_samples == 500


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
            AudioReadError, match=r"sample 150,000 \(18.750 s\) of channel 1: -?(nan|inf)"
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
    b"FORM\0\0\0\0AIFF" + bytes(60): "it is AIFF",
    b"\0\0\0\x20ftypM4A " + bytes(60): "it is MP4",
    b"RIFF": "begins with b'RIFF'",
    b"RIFF\x24\0\0\0WAVE": "ends inside its WAV header",
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0": "fmt chunk is cut short",
    b"RIFF\x24\0\0\0ACON" + bytes(60): "it is not WAV or FLAC",
    b"fLaC": "ends inside its FLAC header",
    b"fLaC\0\0\0\x22" + bytes(10): "ends inside its FLAC header",
    wav(0, 0): "a header and no samples",
    wav(0, 0)[:36]: "no data chunk",
    wav(10, 0): "declares 5 samples, 0 are available",
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


# Declared and available samples


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (22, struct.pack("<H", 0), "0 channels; 1 to 1,024"),
        (22, struct.pack("<H", 1025), "1,025 channels"),
        (24, struct.pack("<I", 0), "sample rate of 0 Hz"),
        (24, struct.pack("<I", 100_000_001), "sample rate of 100,000,001 Hz; 1 to 100,000,000"),
    ],
)
def test_rates_and_channels_that_cannot_be_are_refused(
    field: int, value: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    content = bytearray(wav(200, 100))
    content[field : field + len(value)] = value
    path.write_bytes(content)
    for look in (read_header, AudioFile):
        with pytest.raises(AudioReadError, match=message):
            look(str(path))


def test_a_promise_is_read_without_waiting_or_decoding(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioReadError, match="a named pipe"):
        read_header(str(tmp_path / "pipe.wav"))
    path = tmp_path / "a.flac"
    samples = flac.noise(100, 3, 20)
    path.write_bytes(flac.encode(samples, 20, sr=96_000))
    header = read_header(str(path))
    assert (header.kind, header.sr, header.n_channels, header.bits) == ("FLAC", 96_000, 3, 20)
    assert (header.n_samples, header.md5) == (100, flac.md5_of(samples, 20))
    path.write_bytes(flac.encode(samples, 20, md5=False, total=0))
    header = read_header(str(path))
    assert (header.n_samples, header.md5) == (None, None)


def test_1024_channels_are_read(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1024, 3000))
    np.testing.assert_array_equal(content_of(path)[0].T, read_audio(path).astype(np.float32))


CHUNKS = {
    "list": b"LIST\x04\0\0\0abcd",
    "several": b"LIST\x04\0\0\0abcd" + b"cue \x02\0\0\0xy" + b"wxyz\0\0\0\0",
    "odd": b"id3 \x03\0\0\0abc\0",
    "odd without a pad at the end": b"id3 \x03\0\0\0abc",
    "odd without a pad between": b"bext\x03\0\0\0abcLIST\x04\0\0\0abcd",
    "zeros": bytes(999),
    "chunk and zeros": b"LIST\x04\0\0\0abcd" + bytes(13),
}


@pytest.mark.parametrize("tail", CHUNKS.values(), ids=CHUNKS.keys())
@pytest.mark.parametrize("allow", [False, True])
def test_chunks_and_zeros_behind_the_samples_are_no_samples(
    tail: bytes, allow: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(200, 100, tail=tail))
    _, file = content_of(path, AudioSettings(sr=8000, allow_truncated=allow))
    assert (file.n_samples, file.n_missing) == (100, 0)


@pytest.mark.parametrize("pad", [b"", b"\0"])
def test_an_odd_number_of_bytes_may_be_padded(pad: bytes, tmp_path: Path) -> None:
    file = io.BytesIO()
    soundfile.write(file, reference.noise(1, 101).T, 8000, subtype="PCM_U8", format="WAV")
    path = tmp_path / "a.wav"
    path.write_bytes(file.getvalue()[: 44 + 101] + pad + CHUNKS["list"])
    assert content_of(path)[1].n_samples == 101


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "RIFX"])
@pytest.mark.parametrize("declared", [0, 300])
def test_a_stale_size_is_told_and_all_samples_taken_on_demand(
    kind: str, declared: int, tmp_path: Path
) -> None:
    signal = reference.noise(2, 1000)
    endian, file_format = ("BIG", "WAV") if kind == "RIFX" else ("FILE", kind)
    path = write_audio(tmp_path / "a.wav", signal, format=file_format, endian=endian)
    content = bytearray(path.read_bytes())
    size, order = 8000, ">" if kind == "RIFX" else "<"
    if kind == "RF64":
        content[28:36] = struct.pack("<Q", 8 * declared)
    elif kind == "W64":
        at = content.index(struct.pack("<Q", size + 24))
        content[at : at + 8] = struct.pack("<Q", 8 * declared + 24)
    else:
        at = content.index(b"data") + 4
        content[at : at + 4] = struct.pack(order + "I", 8 * declared)
    path.write_bytes(content)
    told = r"300 samples, 1,000 are available: the 5,600 bytes"
    told = told if declared else r"0 samples, 8,000 bytes \(1,000 samples\)"
    with pytest.raises(AudioReadError, match=told + ".*allow_truncated=True"):
        AudioFile(str(path))
    samples, file = content_of(path, lenient())
    np.testing.assert_array_equal(samples.T, signal)
    assert file.n_missing == declared - 1000
    assert file.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [0xFFFFFFFF, 1000])
def test_sizes_beyond_32_bits_are_taken_from_the_file(size: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(size, 1000))
    os.truncate(path, 44 + 5 * 2**30)
    with path.open("r+b") as file:
        # Samples that look like so many files that a second one is not searched for in 5 GiB.
        file.seek(2**20)
        file.write(b"fLaC" * 2**12)
        file.seek(5 * 2**30)  # else all of it behind the size would be padding
        file.write(b"\1")
    with AudioFile(str(path), lenient()) as opened:
        assert opened.n_samples == 5 * 2**29
        assert opened.n_missing == (0 if size == 0xFFFFFFFF else 500 - 5 * 2**29)


@pytest.mark.parametrize("allow", [False, True])
def test_a_chunk_cut_short_behind_whole_samples_is_told(allow: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav(200, 100, tail=b"LIST\x40\0\0\0abcd"))
    settings = lenient() if allow else AudioSettings(sr=1)
    opened = content_of(path, settings)[1]
    assert (opened.n_samples, opened.n_missing) == (100, 0)
    assert "cut short ('LIST', 12 bytes of 72); all samples are complete" in opened.notes[0]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_frames_missing_are_estimated_where_bytes_are_promised(
    subtype: str, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 20_000), subtype=subtype)
    whole = read_audio(path).T.astype(np.float32)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(AudioReadError, match=r"bytes of samples, [\d,]+ are available; allow_tr"):
        AudioFile(str(path))
    samples, opened = content_of(path, lenient())
    np.testing.assert_array_equal(samples, whole[: len(samples)])
    assert opened.n_missing == pytest.approx(len(whole) - len(samples), abs=600)


# FLAC


@pytest.mark.parametrize("bits", range(4, 33))
@pytest.mark.parametrize("total", [None, 0])
def test_flac_of_any_bits_is_read_exactly(bits: int, total: int | None, tmp_path: Path) -> None:
    samples = flac.noise(1000, 3, bits)
    path = tmp_path / "a.flac"
    path.write_bytes(flac.encode(samples, bits, total=total))
    found, file = content_of(path)
    np.testing.assert_array_equal(found, (samples / 2.0 ** (bits - 1)).astype(np.float32))
    assert (file.n_samples, file.n_missing) == (1000, 0)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_integers_become_the_floats_that_libsndfile_makes(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    samples = flac.noise(2000, 2, bits)
    path.write_bytes(flac.encode(samples, bits))
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert content_of(path)[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("bits", [8, 12, 16, 20, 24, 32])
def test_another_md5_fails_unless_it_is_not_looked_at(bits: int, tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    content = bytearray(flac.encode(flac.noise(1000, 2, bits), bits))
    content[30] ^= 1
    path.write_bytes(content)
    for settings in (AudioSettings(sr=8000), lenient()):
        with pytest.raises(AudioReadError, match=r"MD5 of its samples.*verify_audio=False"):
            content_of(path, settings)
    assert len(content_of(path, AudioSettings(sr=8000, verify_audio=False))[0]) == 1000
    content = bytearray(flac.encode(flac.noise(1000, 2, bits), bits, total=1500))
    content[30] ^= 1
    path.write_bytes(content)
    assert content_of(path, lenient())[1].n_missing == 500


@pytest.mark.parametrize("bits", [12, 16])
def test_flac_that_goes_on_behind_its_promise_is_told(bits: int, tmp_path: Path) -> None:
    samples = flac.noise(1000, 2, bits)
    path = tmp_path / "a.flac"
    for declared in (10, 256, 600):
        path.write_bytes(flac.encode(samples, bits, total=declared))
        with pytest.raises(
            AudioReadError,
            match=f"declares {declared} samples, 1,000 could be decoded; allow_tr",
        ):
            content_of(path)
        found, file = content_of(path, lenient())
        np.testing.assert_array_equal(found, (samples / 2.0 ** (bits - 1)).astype(np.float32))
        assert file.n_missing == declared - 1000


TAGS = {
    "id3v1": b"TAG" + b"title".ljust(90, b"\0") + b"1999" + bytes(30) + b"\xff",
    "ape": b"APETAGEX\xd0\7\0\0" + struct.pack("<III8x", 32 + 20, 1, 0xA0000000)
    + b"\xff\xf8" * 10
    + b"APETAGEX\xd0\7\0\0" + struct.pack("<III8x", 32 + 20, 1, 0x80000000),
    "zeros": bytes(3000),
}  # fmt: skip


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS.keys())
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("total", [None, 0])
def test_tags_around_a_flac_are_no_samples(
    tag: bytes, bits: int, allow: bool, total: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.flac"
    content = flac.encode(flac.noise(1000, 2, bits), bits, total=total)
    path.write_bytes(b"ID3\x04\0\0\0\0\x01\x00" + bytes(128) + content + tag)
    settings = AudioSettings(sr=8000, allow_truncated=allow)
    # Without a total nothing tells libsndfile zeros from a damaged frame.
    doubtful = total == 0 and tag == TAGS["zeros"] and bits == 16
    if doubtful and not allow:
        with pytest.raises(AudioReadError, match="decoding stopped after 1,000 samples"):
            content_of(path, settings)
        return
    # Nor FFmpeg, before 8.1.2: it takes them for a part of the last frame, which it refuses then.
    if bits == 12 and tag == TAGS["zeros"] and av.library_versions["libavcodec"] < (62, 28, 102):
        with pytest.raises(AudioReadError, match=" 768 frames"):
            content_of(path, AudioSettings(sr=8000))
        return
    found, file = content_of(path, settings)
    assert (len(found), file.n_missing) == (1000, 1 if doubtful else 0)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("md5", [False, True])
@pytest.mark.parametrize("total", [None, 0])
def test_a_lost_frame_of_flac_is_told(
    bits: int, md5: bool, total: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.flac"
    samples = flac.noise(1000, 2, bits)
    path.write_bytes(flac.encode(samples, bits, total=total, md5=md5, leave_out=[1]))
    with pytest.raises(AudioReadError, match=r"damaged|could be decoded|stopped after 256 samples"):
        content_of(path)


@pytest.mark.parametrize("bits", [12, 16, 32])
def test_a_bit_gone_wrong_in_a_flac_is_told(
    bits: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.flac"
    content = flac.encode(flac.noise(1000, 2, bits), bits, md5=False)
    for at in range(60, len(content), 97):
        damaged = bytearray(content)
        damaged[at] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(AudioReadError):
            content_of(path)
    assert capfd.readouterr() == ("", "")


def test_a_flac_without_samples_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    for bits, padding in itertools.product((12, 16), (b"", b"\x81\0\0\x04" + bytes(4))):
        content = bytearray(flac.encode(flac.noise(0, 2, bits), bits))
        content[4] = 0 if padding else 0x80  # whether STREAMINFO is the last block
        path.write_bytes(content + padding)
        with pytest.raises(AudioReadError, match=r"a header and no samples:"):
            AudioFile(str(path))


BOMB = """
import resource, sys
from kapre_cli.audio.reader import AudioReader
from kapre_cli.settings import AudioSettings
def peak(path):
    with AudioReader(path, AudioSettings(sr=8000)) as reader:
        reader.finish()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(*map(peak, sys.argv[1:]))
"""


@pytest.mark.parametrize("bits", [12, 16])
def test_a_bomb_takes_little_memory(bits: int, tmp_path: Path) -> None:
    small, large = tmp_path / "small.flac", tmp_path / "large.flac"
    for path, n_blocks in ((small, 2), (large, 300)):  # 600 MB as floats
        path.write_bytes(flac.silence(65_535 * n_blocks, 8, bits))
    command = [sys.executable, "-c", BOMB, str(small), str(large)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    before, after = map(int, ended.stdout.split())
    assert large.stat().st_size < 20_000
    assert after - before < 16


@pytest.mark.parametrize("total", [None, 0, 5])
@pytest.mark.parametrize("bits", [12, 16])
def test_more_samples_than_allowed_are_not_decoded(
    total: int | None, bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac.silence(65_535 * 300, 8, bits, total=total))
    decoded = 0

    def counting(*arguments: Any) -> Any:
        found = open_reader(*arguments)
        read = found.read

        def counted(n_frames: int) -> Any:
            nonlocal decoded
            block = read(n_frames)
            decoded += len(block)
            return block

        setattr(found, "read", counted)  # noqa: B010 - a method of this one alone
        return found

    open_reader = FlacDecoder.open_reader
    monkeypatch.setattr(FlacDecoder, "open_reader", counting)
    told = r"it has [\d,]+ samples or more, `max_samples` allows 70,000"
    with pytest.raises(AudioReadError, match=told):
        content_of(path, AudioSettings(sr=8000, max_samples=70_000))
    assert decoded < 200_000


def test_as_many_samples_as_allowed_are_read(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 1000))
    assert len(content_of(path, AudioSettings(sr=8000, max_samples=1000))[0]) == 1000
    with pytest.raises(AudioReadError, match="1,000 samples or more, `max_samples` allows 999"):
        AudioFile(str(path), AudioSettings(sr=8000, max_samples=999))


# Samples that are no numbers


@pytest.mark.parametrize("policy", ["zero", "keep"])
def test_samples_that_are_no_numbers_may_be_zeros_or_stay(policy: str, tmp_path: Path) -> None:
    signal = reference.noise(2, 200_000)
    signal[1, 150_000:150_003] = np.nan, np.inf, -np.inf
    signal[0, 7] = np.nan
    path = write_audio(tmp_path / "a.wav", signal)
    settings = AudioSettings(sr=8000, channels=(1,), non_finite=policy)
    with AudioReader(str(path), settings) as reader:
        samples = reader.read(reader.n_samples)[:, 0]
        reader.finish()
        assert reader.file.n_non_finite == 4  # of all channels
    expected = np.nan_to_num(signal[1], nan=0, posinf=0, neginf=0)
    np.testing.assert_array_equal(samples, expected if policy == "zero" else signal[1])


def test_the_remedy_for_samples_that_are_no_numbers_is_named(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", np.array([[0, np.nan]]))
    with AudioFile(str(path)) as file, pytest.raises(AudioReadError, match="non_finite='zero'"):
        list(file.blocks())
    assert file.n_non_finite == 1


# The file itself


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("change", ["grows", "shrinks", "touched"])
def test_a_file_that_changes_while_it_is_read_is_told(
    suffix: str, change: str, tmp_path: Path
) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", reference.noise(2, 400_000))
    with AudioReader(str(path), AudioSettings(sr=8000)) as reader:
        reader.read(1000)
        if change == "grows":
            with path.open("ab") as file:
                file.write(bytes(8))
        elif change == "shrinks":
            os.truncate(path, path.stat().st_size // 2)
        else:
            os.utime(path, ns=(0, 0))
        with pytest.raises(AudioReadError, match="changed while it was read"):
            reader.finish()
        assert reader.file.sha256 == ""


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_the_bytes_are_hashed_alongside(suffix: str, tmp_path: Path) -> None:
    path = write_audio(tmp_path / f"a.{suffix}", reference.noise(2, 400_000))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert content_of(path)[1].sha256 == sha256_of(str(path)) == expected


def test_hashing_does_not_wait_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioReadError, match="a named pipe"):
        sha256_of(str(tmp_path / "pipe.wav"))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize(
    ("error", "message"),
    [(MemoryError(), "not enough memory"), (OSError(errno.EIO, "gone"), "read: gone|: gone")],
)
def test_errors_while_reading_are_told(
    bits: int,
    error: Exception,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac.encode(flac.noise(1000, 2, bits), bits))

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(HashingReader, "readinto", fail)
    with pytest.raises(AudioReadError, match=message):
        AudioFile(str(path))
    assert capfd.readouterr() == ("", "")


class _Alarm(BaseException):
    """What a signal handler raises."""


def test_an_interrupt_is_never_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, 400_000))

    def interrupt(_number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_name == "weakref_cb":
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # Python itself loses it there
            return
        raise _Alarm

    def read_for_seconds(interrupted_after: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, interrupted_after)
        for _ in range(200):
            content_of(path)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(1, 41):
            with pytest.raises(_Alarm):
                read_for_seconds(number / 2000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert capfd.readouterr().err == ""


def test_rates_too_far_apart_are_not_resampled(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 3000), sr=8000)
    for sr in (8000 // 256 - 1, 8000 * 256 + 1):
        with pytest.raises(AudioReadError, match=f"8,000 Hz, this run uses {sr:,} Hz: more than"):
            AudioReader(str(path), AudioSettings(sr=sr, resample=True))
    with AudioReader(str(path), AudioSettings(sr=8000 * 256, resample=True)) as reader:
        assert max(map(len, reader._blocks)) < 2**19  # however much becomes of one block


def test_what_the_resampler_raises_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 3000), sr=16_000)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(soxr, "ResampleStream", fail)
    with (
        AudioReader(str(path), AudioSettings(sr=8000, resample=True)) as reader,
        pytest.raises(AudioReadError, match="soxr cannot resample it: no"),
    ):
        reader.finish()


def test_ffmpeg_is_loaded_for_rare_files_alone(tmp_path: Path) -> None:
    for bits, loaded in ((16, False), (20, True)):
        path = tmp_path / f"{bits}.flac"
        path.write_bytes(flac.encode(flac.noise(100, 1, bits), bits))
        code = f"import sys, kapre_cli.audio.reader as audio; audio.AudioFile({str(path)!r})"
        command = [sys.executable, "-c", f"{code}; print('av' in sys.modules)"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        assert ended.stdout.strip() == str(loaded)


def test_a_decoder_that_finds_something_else_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 100))

    def another(*arguments: Any) -> Any:
        one = open_reader(*arguments)
        one.sr = 7
        return one

    open_reader = WavDecoder.open_reader
    monkeypatch.setattr(WavDecoder, "open_reader", another)
    with pytest.raises(DecodingError, match=r"its header declares 8,000 Hz and 1 channels.*7 Hz"):
        AudioFile(str(path))


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_that_was_read_is_released_at_once(tmp_path: Path, suffix: str) -> None:
    """A cycle of references would keep its buffers until the collector of garbage comes by."""
    path = write_audio(tmp_path / f"x.{suffix}", reference.noise(1, 1000))
    gc.disable()
    try:
        with AudioFile(str(path), AudioSettings(sr=8000)) as file:
            n_read = sum(len(block) for block in file.blocks())
        released = weakref.ref(file)
        del file
        assert n_read == 1000
        assert released() is None
    finally:
        gc.enable()
