"""Triggered recordings of the AudioMoth: told apart from every recording that is whole."""

import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kapre_cli.audio import decoders
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac, reference
from tests.conftest import PROGRAM, write_audio

SR = 16_000
SECTOR = 256  # samples of 16 bits: 512 bytes
OWN_HEADER = 488  # bytes of the recorder's header: with 12 samples behind it, the first sector


def sector(n_omitted: int) -> np.ndarray:
    """Return the sector that the recorder writes in place of so many, as its source does.

    ``encodeCompressionBuffer`` of AudioMoth-Firmware-Basic: 32 bits as 1 and -1, then zeros.
    """
    buffer = np.zeros(SECTOR, np.int16)
    mask = 1
    for place in range(32):
        buffer[place] = 1 if n_omitted & mask else -1
        mask <<= 1
    return buffer


def recording(*sectors: np.ndarray | int) -> np.ndarray:
    """Return what a card holds behind the header, sectors of noise between those given."""
    noise = (1000 * reference.noise(1, SECTOR * (len(sectors) + 1))[0]).astype(np.int16)
    parts = [noise[:12]]
    for number, one in enumerate(sectors, 1):
        parts.append(noise[SECTOR * number : SECTOR * (number + 1)])
        parts.append(sector(one) if isinstance(one, int) else one)
    return np.concatenate([*parts, noise[:SECTOR]])


def write_card(path: Path, samples: np.ndarray, header_bytes: int = OWN_HEADER) -> Path:
    """Write samples of 16 bits behind a header of so many bytes, as the recorder pads it."""
    words = b""
    if header_bytes > 44:
        comment = b"Recorded at 20:30:00".ljust(header_bytes - 64, b"\0")
        words = b"LIST" + struct.pack("<I", header_bytes - 52) + b"INFOICMT"
        words += struct.pack("<I", len(comment)) + comment
    data = samples.astype("<i2").tobytes()
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, SR, 2 * SR, 2, 16) + words
    head += b"data" + struct.pack("<I", len(data))
    assert len(head) + 8 == header_bytes
    path.write_bytes(b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data)
    return path


def read(path: Path, **settings: Any) -> np.ndarray:
    with AudioFile(str(path), AudioSettings(sr=SR, **settings)) as file:
        return np.concatenate(list(file.blocks()))


@pytest.mark.parametrize("n_omitted", [1, 2, 500, 65_537, 2**23 - 1])
@pytest.mark.parametrize("header_bytes", [OWN_HEADER, 512, 44])
def test_omitted_silence_is_told_with_its_place_and_remedy(
    n_omitted: int, header_bytes: int, tmp_path: Path
) -> None:
    samples = recording(np.ones(SECTOR, np.int16), n_omitted)
    if header_bytes == 512:
        samples = samples[12:]
    path = write_card(tmp_path / "20230405_203000T.WAV", samples, header_bytes)
    seconds, at = n_omitted * 512 / 2 / SR, (len(samples) - 2 * SECTOR) / SR
    with pytest.raises(AudioReadError) as told:
        read(path)
    assert str(told.value).startswith(
        f"AudioMoth triggered recording: {seconds:,.3f} s of silence were left out at {at:,.3f} s"
    )
    assert "Expand AudioMoth T.WAV Files" in str(told.value)
    for more in ({"allow_truncated": True}, {"verify_audio": False}):
        with pytest.raises(AudioReadError, match="AudioMoth triggered recording"):
            read(path, **more)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "PCM_32"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "DOUBLE"}),
        ("a.wav", {"subtype": "PCM_16", "format": "WAVEX"}),
        ("a.wav", {"subtype": "PCM_16", "format": "RF64"}),
        ("a.wav", {"subtype": "PCM_16", "format": "W64"}),
        ("a.wav", {"subtype": "PCM_16", "endian": "BIG"}),
        ("a.flac", {"subtype": "PCM_16"}),
        ("a.flac", {"subtype": "PCM_24"}),
    ],
)
@pytest.mark.parametrize("first", [0, 12])
def test_omitted_silence_is_found_after_a_conversion_without_loss(
    name: str, options: dict[str, Any], first: int, tmp_path: Path
) -> None:
    samples = recording(77)[first:] / 2**15
    path = write_audio(tmp_path / name, [samples], SR, **options)
    with pytest.raises(AudioReadError, match=r"^AudioMoth triggered recording: 1\.232 s"):
        read(path)
    two = write_audio(tmp_path / f"two {name}", [0.1 * np.sin(samples), samples], SR, **options)
    with pytest.raises(AudioReadError, match=r"^AudioMoth triggered recording: 1\.232 s"):
        read(two)


def test_omitted_silence_is_found_in_flac_of_odd_bits(tmp_path: Path) -> None:
    """Which another decoder reads."""
    samples = (recording(77).astype(np.int32) << 4)[:, np.newaxis]
    path = tmp_path / "a.flac"
    path.write_bytes(flac.encode(samples, 20))
    with pytest.raises(AudioReadError, match="AudioMoth triggered recording"):
        read(path)


@pytest.mark.parametrize("block", [1, 7, 100, 255, 256, 257, 1000])
def test_omitted_silence_is_found_across_the_borders_of_blocks(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "READ_VALUES", block)
    for sectors in ((9,), (np.zeros(SECTOR, np.int16), 9), (np.ones(SECTOR, np.int16), 0, 0, 9)):
        path = write_card(tmp_path / "T.WAV", recording(*sectors))
        with pytest.raises(AudioReadError, match=r"^AudioMoth triggered recording: 0\.144 s"):
            read(path)


def ordinary() -> dict[str, np.ndarray]:
    """Return recordings that hold all, some of them very much like one that does not."""
    random = np.random.default_rng(0)
    off_border = np.concatenate([np.zeros(100, np.int16), sector(500), np.zeros(900, np.int16)])
    late_bit = np.concatenate([np.zeros(12, np.int16), sector(500), np.zeros(900, np.int16)])
    late_bit[12 + SECTOR - 1] = 1
    quieter = np.concatenate([np.zeros(12, np.int16), 2 * sector(500)])
    return {
        "dither of two values": random.choice([-1, 1], 200_000),
        "dither of three values": random.choice([-1, 0, 1], 200_000),
        "rare dither": random.choice([-1, 0, 0, 0, 0, 0, 0, 0, 1], 200_000),
        "silence": np.zeros(50_000),
        "-1 throughout": np.full(50_000, -1),
        "a square wave of 1": np.where(np.arange(50_000) % 64 < 32, 1, -1),
        "noise": 1000 * random.standard_normal(50_000),
        "the pattern beside a border": off_border,
        "the pattern with one more sample": late_bit,
        "twice the pattern": quieter,
        "more than any card holds": recording(2**23 + 1),
        "a number of 32 bits": recording(2**32 - 1),
        "no sector left out": recording(0),
        "a pattern that the end cuts short": recording(500)[: 12 + SECTOR + SECTOR - 1],
    }


@pytest.mark.parametrize("name", ordinary())
@pytest.mark.parametrize("suffix", [".WAV", ".flac"])
def test_other_recordings_are_read(name: str, suffix: str, tmp_path: Path) -> None:
    samples = ordinary()[name].astype(np.int16)
    path = tmp_path / f"a{suffix}"
    if suffix == ".WAV":
        write_card(path, samples)
    else:
        soundfile.write(path, samples, SR, subtype="PCM_16")
    np.testing.assert_array_equal(read(path)[:, 0], samples / np.float32(2**15))


def test_looking_for_omitted_silence_takes_little_time(tmp_path: Path) -> None:
    """Dither of +1 and -1 passes the first look most often."""
    samples = np.random.default_rng(0).choice([-1, 0, 1], 20 * 2**20).astype(np.int16)
    path = write_card(tmp_path / "a.WAV", samples)
    begun = time.process_time()
    assert len(read(path)) == len(samples)
    assert time.process_time() - begun < 5


def test_a_run_fails_them_alone_from_a_stream_too(tmp_path: Path, program: Any) -> None:
    bad = write_card(tmp_path / "20230405_203000T.WAV", recording(500, 70))
    write_card(tmp_path / "20230405_204000T.WAV", recording())
    arguments = ("--n-dft", 64, "-o", tmp_path / "out.h5")
    ended = program("spectrogram", tmp_path, *arguments)
    assert (ended.code, "1 written, 1 failed" in ended.err) == (1, True), ended.err
    assert f"failed: {str(bad)!r}: AudioMoth triggered recording: 8.000 s of silence" in ended.err
    for more in ("--resample", "--sr", 8000), ("--mono",), ("--channel", 0):
        ended = program("spectrogram", bad, *arguments, "--overwrite", *more)
        assert "AudioMoth triggered recording: 8.000 s" in ended.err, ended.err
    with bad.open("rb") as file:
        piped = subprocess.run(
            [*PROGRAM, "spectrogram", "-", "-o", str(tmp_path / "piped.h5")],
            stdin=file,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert piped.returncode == 1
    assert b"failed: '-': AudioMoth triggered recording: 8.000 s" in piped.stderr
