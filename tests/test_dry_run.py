"""``--dry-run``: it says what the real run then does, and does nothing."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

import kapre_cli
from tests import reference
from tests.conftest import files_below, write_audio, write_silence
from tests.test_structure import RUN, modules_after

LINE = re.compile(r"'(?P<key>.*)': (?P<shape>[\d,]+ x [\d,]+ x [\d,]+)")
SIZE = re.compile(r"\((?P<bytes>[\d,]+) bytes\) of (?P<dtype>\w+)")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make inputs that are good and such as fail for what their headers say."""
    folder = tmp_path / "audio"
    write_audio(folder / "0.wav", reference.noise(2, 3000))
    write_audio(folder / "1.flac", reference.noise(3, 5000))
    write_audio(folder / "2 other rate.wav", reference.noise(2, 4410), 44100)
    write_audio(folder / "3 one channel.wav", reference.noise(1, 3000))
    write_audio(folder / "4 short.wav", reference.noise(2, 100))
    write_audio(folder / "5 empty.wav", reference.noise(2, 0))
    cut = write_audio(folder / "6 cut.wav", reference.noise(2, 3000))
    os.truncate(cut, 6000)
    (folder / "7 no audio.wav").write_bytes(b"no audio")
    write_audio(folder / "8 law.wav", reference.noise(2, 2000), subtype="ULAW")
    write_audio(folder / "9 adpcm.wav", reference.noise(2, 2000), subtype="MS_ADPCM")
    write_audio(folder / "9 long.flac", reference.noise(2, 9000))
    return folder


def foreseen(out: str) -> tuple[dict[str, tuple[int, ...]], int]:
    """Return the shapes by their keys, and the bytes in all."""
    shapes = {
        found["key"]: tuple(int(size.replace(",", "")) for size in found["shape"].split(" x "))
        for found in LINE.finditer(out)
    }
    size = SIZE.search(out)
    assert size is not None
    return shapes, int(size["bytes"].replace(",", ""))


@pytest.mark.parametrize(
    "options",
    [
        ["spectrogram"],
        ["spectrogram", "--padding", "valid", "--channel", "1", "--max-samples", "5000"],
        ["melspectrogram", "--resample", "--sr", "22050", "--decibel", "--dtype", "float64"],
        ["melspectrogram", "--mono", "--allow-truncated", "--data-format", "channels_first"],
        ["spectrogram", "--channel", "2", "--n-hop", "1000", "--dtype", "float16"],
    ],
    ids=lambda options: " ".join(options),
)
def test_it_says_what_the_run_then_does(
    options: list[str], audio: Path, tmp_path: Path, program: Any
) -> None:
    command = [options[0], audio, "-o", tmp_path / "out", "--n-dft", 256, *options[1:]]
    before = files_below(tmp_path)
    said = program(*command, "--dry-run")
    assert files_below(tmp_path) == before
    assert said.err == ""
    ended = program(*command)
    assert said.code == ended.code == 1
    shapes, n_bytes = foreseen(said.out)
    with kapre_cli.open_features(tmp_path / "out") as features:
        assert {key: stored.shape for key, stored in features.items()} == shapes
        assert sum(stored[:].nbytes for stored in features.values()) == n_bytes
        seconds = sum(one.metadata.n_samples / one.metadata.sr for one in features.values())
        axes = ", ".join(features.layer.axes)
        dtype = features["1.flac"].dtype
    failures = [line for line in ended.err.splitlines() if line.startswith("failed: ")]
    assert [line for line in said.out.splitlines() if line.startswith("failed: ")] == failures
    *_, size, counts = said.out.splitlines()
    assert size.startswith(f"axes {axes}; {seconds:.1f} s of audio at ")
    assert size.endswith(f"of {dtype}")
    assert counts == (
        f"11 inputs: {len(shapes)} to be written, {len(failures)} would fail -> "
        f"{str(tmp_path / 'out')!r}; nothing was done"
    )


def test_nothing_is_decoded(tmp_path: Path, program: Any) -> None:
    damaged = write_audio(tmp_path / "a.flac", reference.noise(1, 30_000))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    damaged.write_bytes(content)
    ended = program("spectrogram", damaged, "-o", tmp_path / "out.h5", "--dry-run")
    assert (ended.code, foreseen(ended.out)[0]) == (0, {"a.flac": (118, 257, 1)})
    write_silence(tmp_path / "hours.wav", 4 * 3600)
    ended = program("spectrogram", tmp_path / "hours.wav", "-o", "-", "--dry-run")
    assert ended.code == 0
    n_bytes = 4 * 257 * 4 * 3600 * 44100 // 256
    assert f"4.0 h of audio at 44,100 Hz; 2.6 GB ({n_bytes:,} bytes) of float32" in ended.out
    assert ended.out.endswith(
        "1 to be written, 0 would fail -> standard output; nothing was done\n"
    )


def test_a_length_that_no_header_tells_is_told_of(tmp_path: Path, program: Any) -> None:
    piped = write_audio(tmp_path / "a.flac", reference.noise(1, 3000))
    content = bytearray(piped.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the total, which a stream does not have
    piped.write_bytes(content)
    ended = program("spectrogram", piped, "-o", tmp_path / "out.h5", "--dry-run")
    assert ended.code == 0
    assert f"note: {str(piped)!r}: the header does not state a length" in ended.out
    assert "1 input: 1 to be written, 0 would fail" in ended.out
    ended = program("spectrogram", piped, "-o", tmp_path / "out.h5", "--dry-run", "--sr", 44100)
    assert (ended.code, "sample rate is 8,000 Hz" in ended.out) == (1, True)


def test_many_are_told_of_together(tmp_path: Path, program: Any) -> None:
    for number in range(30):
        signal = reference.noise(1 + number % 2, 100 * (1 + number), number)
        write_audio(tmp_path / f"audio/{number}.wav", signal)
    ended = program(
        *("melspectrogram", tmp_path / "audio", "-o", tmp_path / "out.h5", "--dry-run"),
        *("--n-mels", 10, "--compression", "gzip"),
    )
    assert ended.out.splitlines()[:2] == [
        "15 arrays of 1 channel: 10 x 1 x 1 to 10 x 12 x 1",
        "15 arrays of 2 channels: 10 x 1 x 2 to 10 x 12 x 2",
    ]
    assert " bytes) of float32 before compression\n" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a/x.wav", "b/../a/x.wav", "{folder}/b/x.wav", "-o", "o.h5"], "would both be stored as"),
        (["a", "-o", "there.h5"], "the output 'there.h5' exists"),
        (["a", "-o", "gone/o.h5"], "the folder 'gone' for the output 'o.h5' does not exist"),
        (["a", "-o", "o.h5", "--report", "r.jsonl"], "has nothing to report (--report)"),
        (
            ["a", "-o", "o.npy", "--format", "npy-stream"],
            "Only the format npy-stream goes to standard output",
        ),
    ],
)
def test_usage_errors_are_those_of_the_run(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.wav", "b/x.wav"):
        write_audio(tmp_path / name, reference.noise(1, 300))
    (tmp_path / "there.h5").touch()
    given = [argument.format(folder=tmp_path) for argument in arguments]
    ended = program("spectrogram", *given, "--dry-run")
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())


def test_none_that_can_be_read_is_told_of(tmp_path: Path, program: Any) -> None:
    (tmp_path / "empty").mkdir()
    ended = program("spectrogram", tmp_path / "empty", tmp_path / "gone", "-o", "-", "--dry-run")
    assert ended.code == 1
    assert ended.out.splitlines()[2:] == [
        "2 inputs: 0 to be written, 2 would fail -> standard output; nothing was done"
    ]


def test_it_needs_no_tensorflow(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    arguments = [
        "melspectrogram",
        str(tmp_path / "a.wav"),
        "-o",
        str(tmp_path / "out"),
        "--dry-run",
    ]
    found = modules_after(RUN + f"run({[*arguments, '--engine', 'keras']!r})")
    assert not {"tensorflow", "keras", "tqdm"} & found
