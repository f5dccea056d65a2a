"""WAV headers that contradict themselves, and integers that are wider than their samples."""

import io
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from kapre_cli.settings import AudioSettings
from tests import flac
from tests.bad_inputs import ALL_ONES, GUID_TAIL, chunk, data, ds64, fmt, rf64, riff

N = 3000
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
SMALL = ("--n-dft", 64)


def integers(bits: int, n_channels: int = 1) -> np.ndarray:
    """Return integers all over the range of so many bits."""
    return flac.noise(N, n_channels, bits).astype(np.int64)


def stored(values: Any, n_bytes: int, order: str = "<") -> bytes:
    """Return integers in so many bytes each, whatever does not fit left out."""
    every_byte = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(-1, 8)[:, :n_bytes]
    return (every_byte if order == "<" else every_byte[:, ::-1]).tobytes()


def extensible(bits: int, valid: int, n_channels: int, align: int, order: str = "<") -> bytes:
    """Return a fmt chunk with a number of valid bits."""
    tag = struct.pack(order + "H", 1) + GUID_TAIL
    more = struct.pack(order + "HHI", 22, valid, 0) + tag
    return fmt(0xFFFE, n_channels, bits=bits, align=align, more=more, order=order)


def _w64(described: bytes, body: bytes) -> bytes:
    def part(name: bytes, content: bytes) -> bytes:
        size = struct.pack("<Q", 24 + len(content))
        return name + W64_TAIL + size + content + bytes(-len(content) % 8)

    chunks = part(b"fmt ", described[8:]) + part(b"data", body)
    riff_id = bytes.fromhex("726966662e91cf11a5d628db04c10000")
    return riff_id + struct.pack("<Q", 40 + len(chunks)) + b"wave" + W64_TAIL + chunks


def contained(container: str, described: bytes, body: bytes) -> bytes:
    """Return a file of the samples in one of the relatives of WAV."""
    if container == "RF64":
        return rf64(ds64(len(body)), described, data(body, ALL_ONES))
    if container == "W64":
        return _w64(described, body)
    if container == "RIFX":
        return riff(described, chunk(b"data", body, order=">"), magic=b"RIFX")
    return riff(described, data(body))


def read(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    with AudioFile(str(path), AudioSettings(sr=8000)) as file:
        return np.concatenate(list(file.blocks()))


def as_float(values: np.ndarray, bits: int) -> np.ndarray:
    return (values / 2.0 ** (bits - 1)).astype(np.float32)


CONTAINERS = ("WAV", "RF64", "W64", "RIFX")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("bits", [20, 24])
@pytest.mark.parametrize("form", ["plain", "extensible"])
@pytest.mark.parametrize("place", ["highest", "lowest", "lowest, above them 0"])
def test_24_bits_in_4_bytes_are_where_all_samples_say(
    place: str, form: str, bits: int, container: str, tmp_path: Path
) -> None:
    order = ">" if container == "RIFX" else "<"
    values = integers(bits, 2)
    body = {
        "highest": stored(values << 32 - bits, 4, order),
        "lowest": stored(values, 4, order),  # as arecord -f S24_LE writes
        "lowest, above them 0": stored(values & (1 << bits) - 1, 4, order),
    }[place]
    described = (
        fmt(bits=bits, n_channels=2, align=8, order=order)
        if form == "plain"
        else extensible(bits, bits, 2, 8, order)
    )
    found = read(contained(container, described, body), tmp_path / "a.wav")
    np.testing.assert_array_equal(found, as_float(values, bits))


UNDECIDED = {
    "all bits used": (24, 4, stored(integers(32), 4)),
    "quiet, and multiples of 256": (24, 4, stored(integers(8) << 8, 4)),
    "one sample": (24, 4, stored([[0x00123400]], 4)),
    "one in a thousand uses the lowest bits": (
        24,
        4,
        stored(np.where(np.arange(N) == 2999, 1, integers(24)[:, 0] << 8), 4),
    ),
    "integral floats of Cool Edit that are quiet": (
        24,
        4,
        np.round(integers(8) + 0.25).astype("<f4").tobytes(),
    ),
}


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *((name, "file") for name in UNDECIDED),
        *(("one sample", way) for way in ("dry run", "pipe")),
    ],
)
def test_24_bits_in_4_bytes_that_nothing_tells_are_refused(
    name: str, way: str, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bits, n_bytes, body = UNDECIDED[name]
    content = riff(fmt(bits=bits, align=n_bytes), data(body))
    if way == "pipe":
        command = [sys.executable, "-m", "kapre_cli", "spectrogram", "-", "-o", "out.h5"]
        ended = subprocess.run(
            command, input=content, capture_output=True, check=False, timeout=120
        )
        code, told = ended.returncode, ended.stderr.decode()
        begin = "... | tail -c +45"
    else:
        (tmp_path / "a.wav").write_bytes(content)
        dry = ("--dry-run",) if way == "dry run" else ()
        run = program("spectrogram", "a.wav", "-o", "out.h5", *dry)
        code, told = run.code, run.out + run.err
        begin = "tail -c +45 a.wav"
    assert code == 1
    assert (
        "its header declares 24 bits a sample in 4 bytes, and neither it nor the samples show "
        "which of the 32 bits they are; if they fill these from the highest bit on: "
        f"{begin} | head -c {len(body)} | kapre-extract ... - --raw-format s32le,8000,1; if they "
        "are the lowest 24 bits, as arecord -f S24_LE writes: "
        f"{begin} | head -c {len(body)} | sox -t raw -e signed -b 32 -L -r 8000 -c 1 - -t wav - "
        "vol 256 | kapre-extract ... -\n"
    ) in told


def test_floats_of_cool_edit_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(-(2**23), 2**23, N).astype("<f4")
    with pytest.raises(AudioReadError, match="these are floats as Cool Edit wrote them; pipe it"):
        read(riff(fmt(bits=24, align=4), data(values.tobytes())), tmp_path / "a.wav")


def test_silence_is_silence_wherever_it_is(tmp_path: Path) -> None:
    found = read(riff(fmt(bits=24, align=4), data(bytes(400))), tmp_path / "a.wav")
    np.testing.assert_array_equal(found, np.zeros((100, 1)))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("bits", "valid", "n_bytes"),
    [(12, 12, 2), (20, 20, 3), (16, 12, 2), (24, 20, 3), (32, 24, 4), (32, 20, 4), (16, 0, 2)],
)
def test_samples_that_the_format_puts_highest_are_read_so(
    bits: int, valid: int, n_bytes: int, container: str, tmp_path: Path
) -> None:
    order = ">" if container == "RIFX" else "<"
    used = valid or bits
    values = integers(used, 3)
    body = stored(values << 8 * n_bytes - used, n_bytes, order)
    described = (
        fmt(bits=bits, n_channels=3, order=order)
        if bits % 8
        else extensible(bits, valid, 3, 3 * n_bytes, order)
    )
    found = read(contained(container, described, body), tmp_path / "a.wav")
    np.testing.assert_array_equal(found, as_float(values, used))


@pytest.mark.parametrize(
    "described",
    [fmt(bits=12), extensible(16, 12, 1, 2), fmt(bits=9)],
    ids=["plain", "extensible", "9 bits"],
)
def test_samples_that_use_more_bits_than_the_header_says_are_read_whole(
    described: bytes, tmp_path: Path
) -> None:
    found = read(riff(described, data(stored(integers(16), 2))), tmp_path / "a.wav")
    np.testing.assert_array_equal(found, as_float(integers(16), 16))


@pytest.mark.parametrize("described", [fmt(bits=12), extensible(16, 12, 1, 2)])
@pytest.mark.parametrize("values", [integers(12), integers(12) + 2048], ids=["signed", "unsigned"])
def test_samples_that_stand_lowest_against_the_format_are_refused(
    values: np.ndarray, described: bytes, tmp_path: Path
) -> None:
    with pytest.raises(
        AudioReadError,
        match="declares 12 bits a sample in 2 bytes, by the format the highest ones, and all "
        r"samples use the lowest ones alone; if .* s16le,8000,1; if they are the lowest 12 bits, "
        r".* vol 16",
    ):
        read(riff(described, data(stored(values, 2))), tmp_path / "a.wav")


@pytest.mark.parametrize("n_frames", [1, 2, 1000])
@pytest.mark.parametrize(
    ("bits", "n_channels", "align"),
    [(16, 1, 1), (16, 1, 4), (16, 1, 3), (16, 2, 2), (8, 1, 2), (24, 1, 2), (24, 2, 4), (32, 1, 2)],
)
def test_a_block_align_of_other_samples_is_refused_however_short(
    bits: int, n_channels: int, align: int, n_frames: int, tmp_path: Path
) -> None:
    body = bytes(range(1, 13)) * n_frames
    path = tmp_path / "a.wav"
    with pytest.raises(AudioReadError) as told:
        read(riff(fmt(bits=bits, n_channels=n_channels, align=align), data(body)), path)
    channels = "1 channel" if n_channels == 1 else "2 channels"
    number = "u8" if bits == 8 else f"s{bits}le"
    assert re.fullmatch(
        rf"its header contradicts itself: a sample has {bits // 8 * n_channels} bytes? by its "
        rf"{channels} of {bits} bits, and {align} bytes? by its block align; if it is right about "
        rf"the {bits} bits: tail -c \+45 {path} \| head -c {len(body)} \| kapre-extract \.\.\. - "
        rf"--raw-format {number},8000,{n_channels}",
        str(told.value),
    )


@pytest.mark.parametrize("tag", [6, 7])
def test_a_block_align_of_other_a_law_is_refused(tag: int, tmp_path: Path) -> None:
    with pytest.raises(AudioReadError, match="1 byte by its 1 channel of 8 bits, and 2 bytes by"):
        read(riff(fmt(tag, bits=8, align=2), data(bytes(2))), tmp_path / "a.wav")


def test_remedies_for_raw_samples_give_them(
    tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples behind a contradictory header, with a chunk behind them that is none."""
    monkeypatch.chdir(tmp_path)
    values = integers(24)
    quiet = values // 2**16 * 2**8  # may be either
    behind = chunk(b"LIST", b"INFOISFT\4\0\0\0bat\0")
    Path("16.wav").write_bytes(riff(fmt(align=1), data(stored(values >> 8, 2)), behind))
    Path("24.wav").write_bytes(riff(fmt(bits=24, align=4), data(stored(quiet, 4)), behind))
    Path("expected 16.wav").write_bytes(riff(fmt(), data(stored(values >> 8, 2))))
    Path("expected high.wav").write_bytes(riff(fmt(bits=32), data(stored(quiet, 4))))
    Path("expected low.wav").write_bytes(riff(fmt(bits=24), data(stored(quiet, 3))))
    commands = {}
    for name in ("16", "24"):
        told = program("spectrogram", f"{name}.wav", "-o", "out.h5", *SMALL).err.splitlines()[0]
        commands[name] = re.findall(r"tail -c [^;]*", told)
    assert [len(found) for found in commands.values()] == [1, 2]
    found = {"16": commands["16"][0], "high": commands["24"][0], "low": commands["24"][1]}
    if shutil.which("sox") is None:
        del found["low"]
    extract = f"{sys.executable} -m kapre_cli spectrogram -o out.npy --overwrite --n-dft 64"
    for name, command in found.items():
        subprocess.run(
            ["bash", "-c", command.replace("kapre-extract ...", extract)], check=True, timeout=120
        )
        program("spectrogram", f"expected {name}.wav", "-o", "x.npy", "--overwrite", *SMALL)
        np.testing.assert_array_equal(np.load("out.npy"), np.load("x.npy"))


def test_a_long_file_is_looked_at_in_pieces(tmp_path: Path) -> None:
    """The only sample that tells is the last of more than fit into memory at once."""
    values = np.zeros(2**19, np.int64)
    values[:: 2**10] = 0x1200  # either
    values[-1] = -1  # the lowest bits
    file = io.BytesIO(riff(fmt(bits=24, align=4), data(stored(values, 4))))
    found = read(file.getvalue(), tmp_path / "a.wav")
    np.testing.assert_array_equal(found[:, 0], as_float(values, 24))
