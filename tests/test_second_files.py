"""Two recordings in one file, as ``cat`` joins them, and single ones that only look like two."""

import itertools
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import kapre_cli
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac, reference
from tests.bad_inputs import (
    ALL_ONES,
    ID3V1,
    LIST,
    PCM,
    PICTURE,
    SAMPLES,
    chunk,
    data,
    ds64,
    encoded,
    flac_file,
    fmt,
    replaced,
    rf64,
    riff,
)
from tests.conftest import PROGRAM, write_audio

N = 1000

WAV = riff(fmt(), data())
W64 = encoded("PCM_16", "W64", n_frames=N)
AIFF = encoded("PCM_16", "AIFF", n_frames=N)
OGG = encoded("VORBIS", "OGG", n_frames=N)
APE = b"APETAGEX" + struct.pack("<4I", 2000, 2000, 1, 0) + bytes(8)

# What stands first, and the samples that it holds.
FIRST = {
    "WAV": WAV,
    "WAV with chunks": riff(chunk(b"JUNK", bytes(28)), fmt(), data(), LIST),
    "WAV of an odd size": riff(fmt(bits=8), data(PCM[:999]), LIST),
    "WAV without a size": riff(fmt(), data(size=ALL_ONES), size=ALL_ONES),
    "WAV with size 0": riff(fmt(), data(size=0), size=0),
    "WAV with a stale size": riff(fmt(), data(size=600)),
    "RF64": rf64(ds64(2000), fmt(), data(size=ALL_ONES)),
    "RIFX": encoded("PCM_16", n_frames=N, endian="BIG"),
    "W64": W64,
    "W64 without a size": replaced(W64, W64.index(b"data") + 16, struct.pack("<Q", 2**63 - 1)),
    "GSM": encoded("GSM610", n_frames=1600),
    "mu-law": encoded("ULAW", n_frames=N),
    "A-law": encoded("ALAW", n_frames=N),
    "IMA ADPCM": encoded("IMA_ADPCM", n_frames=N),
    "MS ADPCM": encoded("MS_ADPCM", n_frames=N),
    "FLAC": flac_file(),
    "FLAC without a total": flac_file(total=0),
    "FLAC without an MD5": flac_file(md5=bytes(16)),
    "FLAC without either": flac_file(total=0, md5=bytes(16)),
    "FLAC of 20 bits": flac.encode(flac.noise(N, 1, 20), 20),
    "FLAC with a tag": flac_file() + ID3V1,
}
SECOND = {
    "WAV": WAV,
    "RF64": rf64(ds64(2000), fmt(), data(size=ALL_ONES)),
    "RIFX": encoded("PCM_16", n_frames=N, endian="BIG"),
    "W64": W64,
    "FLAC": flac_file(),
    "AIFF": AIFF,
    "Ogg": OGG,
}
KINDS = {"RF64": "WAV", "RIFX": "WAV"}
# Their sizes lie: what they promise is not what is there.
STALE = ("WAV with size 0", "WAV with a stale size")


def opened(path: Path, **settings: Any) -> tuple[np.ndarray, AudioFile]:
    with AudioFile(str(path), AudioSettings(sr=8000, **settings)) as file:
        return np.concatenate(list(file.blocks())), file


def require_two(path: Path, kind: str, at: int) -> None:
    """Require that a file is refused as two, with the second's place."""
    with pytest.raises(AudioReadError) as told:
        opened(path)
    assert str(told.value) == (
        f"a second file ({kind}) begins after its samples, at byte {at:,}: two recordings were "
        "joined; split them, or allow_truncated=True reads the first"
    )


def alone(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return opened(path, allow_truncated=True)[0]


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("second", SECOND)
def test_two_files_are_refused_or_the_first_is_taken(
    first: str, second: str, tmp_path: Path
) -> None:
    expected = alone(tmp_path / "first", FIRST[first])
    path = tmp_path / "two"
    path.write_bytes(FIRST[first] + SECOND[second])
    require_two(path, KINDS.get(second, second), len(FIRST[first]))
    samples, file = opened(path, allow_truncated=True)
    np.testing.assert_array_equal(samples, expected)
    if first not in STALE:
        assert file.n_missing == -1
    assert file.size == len(FIRST[first] + SECOND[second])


@pytest.mark.parametrize(
    ("first", "second", "third"), [*itertools.product(("WAV", "FLAC"), repeat=3)]
)
def test_of_three_files_the_first_is_taken(
    first: str, second: str, third: str, tmp_path: Path
) -> None:
    expected = alone(tmp_path / "first", FIRST[first])
    path = tmp_path / "three"
    path.write_bytes(FIRST[first] + SECOND[second] + SECOND[third])
    require_two(path, second, len(FIRST[first]))
    np.testing.assert_array_equal(opened(path, allow_truncated=True)[0], expected)


@pytest.mark.parametrize("first", ["WAV", "WAV with chunks", "RF64", "W64", "FLAC"])
def test_zeros_and_tags_may_stand_between(first: str, tmp_path: Path) -> None:
    for between in (bytes(1), bytes(512), bytes(70_000)):
        content = FIRST[first] + between
        expected = alone(tmp_path / "first", content)
        for second in ("WAV", "FLAC", "W64"):
            path = tmp_path / "two"
            path.write_bytes(content + SECOND[second])
            require_two(path, second, len(content))
            np.testing.assert_array_equal(opened(path, allow_truncated=True)[0], expected)


@pytest.mark.parametrize("first", ["WAV", "FLAC", "FLAC without a total"])
def test_a_second_file_that_breaks_off_is_told_too(first: str, tmp_path: Path) -> None:
    path = tmp_path / "two"
    for second, length in (("WAV", 300), ("FLAC", 300), ("WAV", 44), ("FLAC", 42)):
        path.write_bytes(FIRST[first] + SECOND[second][:length])
        require_two(path, second, len(FIRST[first]))


@pytest.mark.parametrize("first", ["FLAC", "FLAC without an MD5", "FLAC of 20 bits"])
def test_a_first_file_that_breaks_off_is_told(first: str, tmp_path: Path) -> None:
    path = tmp_path / "two"
    cut = FIRST[first][:-200]
    expected = alone(tmp_path / "first", cut)
    path.write_bytes(cut + WAV)
    require_two(path, "WAV", len(cut))
    samples, file = opened(path, allow_truncated=True)
    np.testing.assert_array_equal(samples, expected)
    assert file.n_missing == N - len(expected)


def holding(content: bytes, length: int = 256) -> np.ndarray:
    """Return samples of 16 bits whose bytes in FLAC, one by one, are some content."""
    padded = content + bytes(-len(content) % (2 * length))
    return np.frombuffer(padded, ">i2").reshape(-1, length)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize(
    ("inner", "md5"),  # FFmpeg, which reads FLAC without an MD5, mistakes frames in frames
    [("WAV", True), ("WAV", False), ("W64", True), ("W64", False), ("FLAC", True)],
)
def test_a_whole_file_among_the_samples_of_flac_is_no_second_one(
    inner: str, md5: bool, declared: bool, allow: bool, tmp_path: Path
) -> None:
    """As music made of a file's bytes has it."""
    blocks = holding(bytes(100) + SECOND[inner][:700])
    samples = blocks.reshape(-1, 1).astype(np.int32)
    content = flac_file(
        *(flac.frame(block[:, None], 16, number) for number, block in enumerate(blocks)),
        total=len(samples) if declared else 0,
        md5=flac.md5_of(samples, 16) if md5 else bytes(16),
    )
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    assert SECOND[inner][:400] in content
    found, file = opened(path, allow_truncated=allow)
    np.testing.assert_array_equal(found * 2**15, samples)
    assert file.n_missing == 0


def ordinary() -> dict[str, bytes]:
    """Return single files with what may look like the beginning of another."""
    marks = b"RIFF\x10\0\0\0WAVE" + b"fLaC\0\0\0\x22" + b"OggS\0\2" + b"FORM\0\0\0\0AIFF"
    marks += W64[:40] + b"RIFF\xff\xff\xff\xffWAVEfmt "
    music = (PCM[:500] + marks + PCM)[:2000]
    foreign = b"riff" + WAV[:44]  # as `flac --keep-foreign-metadata` keeps a header
    application = b"\x82" + len(foreign).to_bytes(3, "big") + foreign
    blocks = holding(music, 256)
    return {
        "marks among samples": riff(fmt(), data(music)),
        "marks at the start of samples": riff(fmt(), data(marks + PCM)),
        "marks, no size": riff(fmt(), data(music, ALL_ONES), size=ALL_ONES),
        "marks at the end, no size": riff(fmt(), data(PCM + marks, ALL_ONES), size=ALL_ONES),
        "marks among 8 bits": riff(fmt(bits=8), data(music)),
        "marks in RF64": rf64(ds64(2000), fmt(), data(music, ALL_ONES)),
        "a file in a chunk behind": riff(fmt(), data(), chunk(b"JUNK", WAV)),
        "a file in a chunk in front": riff(fmt(), chunk(b"JUNK", WAV), data()),
        "a file as the samples": riff(fmt(), data(WAV + bytes(len(WAV) % 2))),
        "chunks behind": riff(fmt(), data(), LIST, LIST, chunk(b"id3 ", b"ID3\4" + bytes(20))),
        "zeros behind": WAV + bytes(5000),
        "W64 with zeros behind": W64 + bytes(64),
        "FLAC with ID3v1": flac_file() + ID3V1,
        "FLAC with APE": flac_file() + b"x" * 1968 + APE,
        "FLAC with a file in its APE tag": flac_file() + WAV[:1968] + APE,
        "FLAC with a picture": flac_file(blocks=PICTURE),
        "FLAC with a WAV header kept": flac_file(blocks=application),
        "FLAC with zeros behind": flac_file() + bytes(3000),
        "FLAC of marks": flac_file(
            *(flac.frame(block[:, None], 16, number) for number, block in enumerate(blocks)),
            total=blocks.size,
            md5=bytes(16),
        ),
    }


@pytest.mark.parametrize("name", ordinary())
@pytest.mark.parametrize("allow", [True, False])
def test_single_files_are_read(name: str, allow: bool, tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = ordinary()[name]
    path.write_bytes(content)
    samples, file = opened(path, allow_truncated=allow)
    assert file.n_missing == 0
    assert file.notes == ()
    if "no size" not in name and "W64" not in name:
        np.testing.assert_array_equal(samples, soundfile.read(path, dtype="float32")[0][:, None])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_S8"])
def test_noise_in_flac_is_read_whatever_the_options(subtype: str, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.flac", reference.noise(2, 400_000), subtype=subtype)
    for allow in (True, False):
        assert len(opened(path, allow_truncated=allow)[0]) == 400_000


@pytest.mark.parametrize("first", ["WAV", "WAV without a size", "FLAC", "FLAC without a total"])
def test_two_files_on_standard_input(first: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(FIRST[first])
    (tmp_path / "b").write_bytes(WAV)
    command = ("spectrogram", "-", "-o", str(tmp_path / "out.h5"), "--n-dft", "64")
    for more in ((), ("--allow-truncated",)):
        with subprocess.Popen(["cat", "a", "b"], cwd=tmp_path, stdout=subprocess.PIPE) as cat:
            ended = subprocess.run(
                [*PROGRAM, *command, *more],
                stdin=cat.stdout,
                capture_output=True,
                timeout=60,
                check=False,
            )
        assert ended.returncode == (0 if more else 1), ended.stderr
        assert (b"failed: '-': a second file (WAV) begins" in ended.stderr) == (not more)
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        (array,) = features.values()
        assert (array.metadata.n_samples, array.metadata.n_missing) == (N, -1)


def test_a_run_marks_what_it_took_the_first_of(tmp_path: Path, program: Any) -> None:
    (tmp_path / "two.flac").write_bytes(flac_file() + flac_file())
    (tmp_path / "two.wav").write_bytes(WAV + WAV)
    (tmp_path / "one.wav").write_bytes(WAV)
    arguments = ("spectrogram", tmp_path, "-o", tmp_path / "out.h5", "--n-dft", 64)
    ended = program(*arguments, "--dry-run")  # which takes the word of a FLAC header
    assert (ended.code, "1 would fail" in ended.out) == (1, True), ended
    ended = program(*arguments)
    assert (ended.code, "1 written, 2 failed" in ended.err) == (1, True), ended.err
    ended = program(*arguments, "--overwrite", "--allow-truncated")
    assert (ended.code, "3 written, 0 failed" in ended.err) == (0, True), ended.err
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        missing = {key: array.metadata.n_missing for key, array in features.items()}
        whole = features["one.wav"][:]
        np.testing.assert_array_equal(features["two.wav"][:], whole)
        np.testing.assert_array_equal(features["two.flac"][:], whole)
    assert missing == {"one.wav": 0, "two.wav": -1, "two.flac": -1}
    told = program("info", tmp_path / "out.h5").out
    assert "'two.flac'" in told
    assert "'two.wav'" in told
    assert SAMPLES.shape == (N, 1)
