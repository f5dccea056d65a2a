"""Inputs that are neither WAV nor FLAC are named, with a remedy that works."""

import bz2
import gzip
import io
import lzma
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import reference
from tests.bad_inputs import ALL_ONES, WAV, data, fmt, riff
from tests.conftest import Ended, write_audio

SMALL = ("--n-dft", 64, "--sr", 8000)
THROUGH = " | kapre-extract ... -"


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.wav"), io.BytesIO())
    return file.getvalue()


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(9))
    return file.getvalue()


SPHERE = (
    b"NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i 1000\nsample_rate -i 8000\n"
    b"sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_coding -s%d %s\nend_head\n"
)

# What a file begins with; what it is; the remedy.
BEGINNINGS: dict[str, tuple[bytes, str, str]] = {
    "sphere": (SPHERE % (3, b"pcm"), "NIST SPHERE", "ffmpeg"),
    "sphere of shorten": (
        SPHERE % (26, b"pcm,embedded-shorten-v2.00"),
        "NIST SPHERE with compressed samples",
        "sph2pipe -f wav",
    ),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
        "a Git LFS pointer",
        "run: git lfs pull",
    ),
    "annex": (
        b"/annex/objects/SHA256E-s31390--f50d7ac4.wav\n",
        "a git-annex pointer",
        "run: git annex get lost.wav",
    ),
    "annex link as text": (
        b"../.git/annex/objects/Xx/9M/SHA256E-s31390--f50d7ac4.wav/SHA256E-s31390--f50d7ac4.wav",
        "a git-annex pointer",
        "run: git annex get lost.wav",
    ),
    "html": (b"<!DOCTYPE html><html>404</html>", "a web page (HTML)", "fetch it again"),
    "html with a BOM": (b"\xef\xbb\xbf\n  <HTML lang='en'>\n", "a web page (HTML)", "fetch it"),
    "xml": (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "XML", "fetch it again"),
    "json": (b'{"message": "Not Found", "status": 404}', "JSON", "fetch it again"),
    "gzip": (gzip.compress(WAV, mtime=0), "gzip", "gzip -dc < lost.wav" + THROUGH),
    "bzip2": (bz2.compress(WAV), "bzip2", "bzip2 -dc < lost.wav" + THROUGH),
    "xz": (lzma.compress(WAV), "xz", "xz -dc < lost.wav" + THROUGH),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(20), "zstd", "zstd -dc < lost.wav" + THROUGH),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "a 7z archive", "7z x lost.wav"),
    "tar": (_tar(), "a tar archive", "tar xf lost.wav"),
    "npy": (_npy(), "a NumPy array (.npy)", "write them into a WAV file first"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(20), "HDF5", "write them into a WAV file first"),
    "mat": (b"MATLAB 5.0 MAT-file, written by", "a MATLAB file", "audiowrite in MATLAB"),
    "wac": (b"WAac\4\1\0\1" + bytes(16), "WAC", "Kaleidoscope of Wildlife Acoustics or wac2wavcmd"),
    "w4v": (b"RIFF\x24\0\0\0W4V fmt " + bytes(16), "W4V", "Kaleidoscope of Wildlife Acoustics"),
    "AppleDouble": (b"\0\5\x16\7\0\2\0\0" + bytes(16), "metadata of macOS", "leave it out"),
    "shorten": (b"ajkg\2\xfb\xb1" + bytes(16), "Shorten", "ffmpeg"),
    "musepack": (b"MPCKSH\x0e" + bytes(16), "Musepack", "ffmpeg"),
    "dsf": (b"DSD \x1c" + bytes(23) + b"fmt " + bytes(16), "DSD", "ffmpeg"),
    "aiff-c": (b"FORM\0\0\0\x24AIFCFVER" + bytes(16), "AIFF-C", "ffmpeg"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_file_that_is_something_else_is_named(name: str, here: Path, program: Any) -> None:
    beginning, kind, remedy = BEGINNINGS[name]
    (here / "lost.wav").write_bytes(beginning)
    ended = program("spectrogram", "lost.wav", "-o", "out.h5", *SMALL)
    failure, summary = ended.err.splitlines()
    assert failure.startswith(f"failed: 'lost.wav': it is {kind}")
    assert ", not WAV or FLAC; " in failure
    assert remedy in failure
    assert (ended.code, summary.split(" (")[0]) == (1, "1 input: 0 written, 1 failed")
    assert list(here.iterdir()) == [here / "lost.wav"]


def test_every_way_in_names_it(here: Path, program: Any) -> None:
    (here / "a page.wav").write_bytes(b"<html>")
    (here / "a voice.wav").write_bytes(SPHERE % (3, b"pcm"))
    for name, reason in (
        ("a page.wav", "it is a web page (HTML), not WAV or FLAC; a download has failed"),
        ("a voice.wav", "ffmpeg -v error -i 'a voice.wav' -c:a pcm_f32le -f wav -" + THROUGH),
    ):
        dry = program("spectrogram", name, "-o", "out.h5", *SMALL, "--dry-run")
        drawn = program("plot", name, "-o", "out.png")
        run = program("spectrogram", name, "-o", "out", *SMALL)
        assert reason in dry.out
        assert reason in drawn.err
        assert reason in run.err
        assert (dry.code, drawn.code, run.code) == (1, 1, 1)
    for content, reason in (
        (SPHERE % (3, b"pcm"), "... | ffmpeg -v error -i - -c:a pcm_f32le -f wav -" + THROUGH),
        (gzip.compress(WAV), "... | gzip -dc" + THROUGH),
        (riff(fmt(0x55), data()), "its samples are MP3 (format tag 0x0055), which is not read; "),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "kapre_cli", "spectrogram", "-", "-o", "out.h5"],
            input=content,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert reason in ended.stderr.decode()
        assert ended.returncode == 1


# What programs write


def made_by(*command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not there")
    ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if ended.returncode:
        pytest.skip(f"this {command[0]} cannot write it")


BY_FFMPEG = {
    "a.ogg": "Ogg", "a.opus": "Ogg", "a.mp3": "MP3", "a.mp2": "MP2", "a.aac": "AAC", "a.m4a": "MP4",
    "a.mov": "MP4", "a.aiff": "AIFF", "a.caf": "CAF", "a.au": "AU", "a.wv": "WavPack",
    "a.tta": "True Audio", "a.wma": "WMA", "a.mka": "Matroska or WebM", "a.voc": "VOC",
    "a.ac3": "AC-3", "a.sf": "IRCAM", "a.avi": "AVI", "a.flv": "Flash video", "a.mpg": "MPEG",
}  # fmt: skip
BY_SOX = {"a.sph": "NIST SPHERE", "a.8svx": "8SVX", "a.pvf": "PVF", "a.amr-nb": "AMR"}


@pytest.mark.parametrize("name", [*BY_FFMPEG, *BY_SOX])
def test_what_programs_write_is_named(name: str, here: Path, program: Any) -> None:
    write_audio(here / "source.wav", reference.noise(1, 22_050, 1), sr=44_100, subtype="PCM_16")
    if name in BY_FFMPEG:
        made_by("ffmpeg", "-v", "error", "-i", "source.wav", name)
    else:
        made_by("sox", "source.wav", "-r", "8000", name)
    os.rename(name, "called.wav")
    ended = program("spectrogram", "called.wav", "-o", "out.h5")
    kind = {**BY_FFMPEG, **BY_SOX}[name]
    assert f"it is {kind}, not WAV or FLAC; pipe it through ffmpeg: " in ended.err


@pytest.mark.parametrize(
    ("encoder", "kind"),
    [
        ("libmp3lame", "its samples are MP3 (format tag 0x0055)"),
        ("mp2", "its samples are MP2 (format tag 0x0050)"),
        ("ac3", "its samples are AC-3 (format tag 0x2000)"),
        ("aac", "its samples are AAC (format tag 0x00FF)"),
        ("wmav2", "its samples are WMA (format tag 0x0161)"),
        ("adpcm_yamaha", "its samples are Yamaha ADPCM (format tag 0x0020)"),
        ("flac", "its samples are FLAC (format tag 0xF1AC)"),
        ("pcm_s64le", "its header declares 64 bits a sample, and PCM of 1 to 32 can be read"),
    ],
)
def test_encodings_in_a_wav_are_named_before_their_sizes(
    encoder: str, kind: str, here: Path, program: Any
) -> None:
    write_audio(here / "source.wav", reference.noise(1, 22_050, 1), sr=44_100, subtype="PCM_16")
    made_by("ffmpeg", "-v", "error", "-i", "source.wav", "-c:a", encoder, "a.wav")
    os.truncate("a.wav", os.path.getsize("a.wav") // 2)
    for more in ((), ("--allow-truncated",), ("--dry-run",)):
        ended = program("spectrogram", "a.wav", "-o", "out.h5", *more)
        assert kind in ended.err + ended.out
        assert ended.code == 1


# Remedies


def remedied(message: str, output: str) -> Ended:
    """Run the pipe that a message ends in, as a user would who writes an output."""
    command = re.split(r"(?:ffmpeg|way|bits|writes|less): (?=ffmpeg|tail|[a-z0-9]+ -dc)", message)[
        1
    ]
    command = command.split("; ")[0]
    program = f"{sys.executable} -m kapre_cli spectrogram -o {output} --n-dft 64"
    assert "kapre-extract ... -" in command
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("kapre-extract ...", program)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.mark.parametrize(
    ("made", "name"),
    [("sphere", "it's 22:10.wav"), ("24 bits in AIFF", "-night {}.wav"), ("gzip", "a (1).wav")],
)
def test_a_pipe_that_is_spelled_out_gives_the_samples(
    made: str, name: str, here: Path, program: Any
) -> None:
    samples = reference.noise(2, 2000)
    write_audio(here / "source.wav", samples, subtype="PCM_24" if "24" in made else "PCM_16")
    if made == "gzip":
        made_by("gzip", "--version")
        (here / name).write_bytes(gzip.compress((here / "source.wav").read_bytes()))
    else:
        made_by("ffmpeg", "-version")
        other = "a.sph" if made == "sphere" else "a.aiff"
        made_by("sox", "source.wav", other)
        os.rename(other, name)
    ended = program("spectrogram", "-o", "out.h5", "--", name)
    assert remedied(ended.err.splitlines()[0], "out.npy").code == 0
    program("spectrogram", "source.wav", "-o", "expected.npy", "--n-dft", 64)
    np.testing.assert_array_equal(np.load("out.npy"), np.load("expected.npy"))


def test_doubles_beyond_float32_are_scaled_by_the_remedy(here: Path, program: Any) -> None:
    samples = reference.noise(1, 2000).astype(np.float64)
    write_audio(here / "large.wav", samples * 1e40, subtype="DOUBLE")
    write_audio(here / "plain.wav", samples, subtype="DOUBLE")
    ended = program("spectrogram", "large.wav", "-o", "out.h5", "--n-dft", 64)
    found = re.match(
        r"failed: 'large.wav': samples beyond the range of float32 \(at most 3.4e\+38\), the first "
        r"at sample (\d+) \(0.\d{3} s\) of channel 0: (\S+e\+\d\d); scale the recording down ",
        ended.err,
    )
    assert found is not None
    first = int(np.argmax(np.abs(samples[0]) * 1e40 > np.finfo(np.float32).max))
    assert int(found[1]) == first
    assert float(found[2]) == pytest.approx(float(samples[0, first]) * 1e40, rel=1e-5)
    assert "--non-finite" not in ended.err
    made_by("ffmpeg", "-version")
    factor = float(re.search(r"by (\S+) or less: ", ended.err)[1])  # type: ignore[index]
    assert remedied(ended.err.splitlines()[0], "out.npy").code == 0
    program("spectrogram", "plain.wav", "-o", "expected.npy", "--n-dft", 64)
    expected = np.load("expected.npy") * (1e40 * factor) ** 2
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_an_infinite_double_is_not_finite(here: Path, program: Any) -> None:
    samples = reference.noise(1, 2000)
    samples[0, 7] = np.inf
    write_audio(here / "a.wav", samples, subtype="DOUBLE")
    ended = program("spectrogram", "a.wav", "-o", "out.h5", "--n-dft", 64)
    assert "NaN or infinite samples, the first at sample 7 (0.001 s) of channel 0: inf" in ended.err


# Links, and what is no file


@pytest.mark.usefixtures("here")
def test_links_that_lead_nowhere_say_where_they_lead(program: Any) -> None:
    annexed = "../.git/annex/objects/Xx/9M/SHA256E-s9--f5.wav/SHA256E-s9--f5.wav"
    for link, target in {
        "lost.wav": "/old disk/night.wav",
        "annexed.wav": annexed,
        "loop.wav": "pool.wav",
        "pool.wav": "loop.wav",
        "chain.wav": "lost.wav",
        "old": "gone",
    }.items():
        os.symlink(target, link)
    reasons = {
        "lost.wav": "it is a link to '/old disk/night.wav', which does not exist; restore it",
        "chain.wav": "it is a link to '/old disk/night.wav', which does not exist; restore it",
        "annexed.wav": f"it is a link to {annexed!r}, a recording that git-annex has "
        "not fetched; run: git annex get annexed.wav",
        "loop.wav": "it is a link to 'pool.wav' that leads back to itself; link to the recording",
        "old/a.wav": "its folder 'old' is a link to 'gone', which does not exist; restore it",
        "gone.wav": "No such file or directory",
    }
    ended = program("spectrogram", *reasons, "-o", "out", *SMALL)
    for name, reason in reasons.items():
        assert f"failed: {name!r}: cannot be opened: {reason}" in ended.err
    assert ended.err.splitlines()[-1].startswith("6 inputs: 0 written, 6 failed")
    dry = program("spectrogram", *reasons, "-o", "out", *SMALL, "--dry-run")
    for name, reason in reasons.items():
        assert f"{name!r}: cannot be opened: {reason}" in dry.out


def test_w4v_is_told_by_its_name(here: Path, program: Any) -> None:
    (here / "20240611_203000.W4V").write_bytes(WAV)
    ended = program("spectrogram", "20240611_203000.W4V", "-o", "out.h5", *SMALL)
    assert "it is W4V, not WAV or FLAC; convert it to WAV first, with Kaleidoscope" in ended.err


@pytest.mark.parametrize("beginning", [b"", b"<html>", b"NIST_1A\n", b"\0\1\2\3\4" * 300])
def test_a_huge_file_is_named_by_its_beginning(beginning: bytes, here: Path, program: Any) -> None:
    (here / "huge.wav").write_bytes(beginning)
    os.truncate("huge.wav", 2**42)  # it takes no room on the disk, and days to read
    ended = program("spectrogram", "huge.wav", "-o", "out.h5", *SMALL)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("1 input: 0 written, 1 failed")


@pytest.mark.parametrize("tag", [2, 6, 7, 0x11, 0x31, 0x38, 0x40])
@pytest.mark.parametrize("size", [0, ALL_ONES])
def test_a_compressed_wav_without_data_has_no_samples(
    tag: int, size: int, here: Path, program: Any
) -> None:
    described = fmt(tag, bits=8) if tag in (6, 7) else fmt(tag, bits=4, align=256)
    (here / "a.wav").write_bytes(riff(described, data(b"", size)))
    for more in ((), ("--allow-truncated",), ("--dry-run",)):
        ended = program("spectrogram", "a.wav", "-o", "out.h5", *SMALL, *more)
        assert "'a.wav': the file has a header and no samples: " in ended.err + ended.out
        assert ended.code == 1
