"""Standard input as an input: what real programs write into a pipe, whatever its header says."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import kapre_cli
from kapre_cli.audio.reader import AudioFile
from kapre_cli.errors import AudioReadError
from tests import reference
from tests.bad_inputs import fmt
from tests.conftest import PROGRAM, Ended, blocks_of, files_below, interrupted_after, write_audio

SR, N_CHANNELS, LENGTH = 8000, 2, 20_011
OPTIONS = ("--n-dft", "64", "--n-hop", "50")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one recording as WAV and as FLAC, of 16 bits."""
    folder = tmp_path_factory.mktemp("audio")
    samples = (reference.noise(N_CHANNELS, LENGTH, 3) * 2**14).astype(np.int16)
    write_audio(folder / "a.wav", samples, SR, subtype="PCM_16")
    write_audio(folder / "a.flac", samples, SR, subtype="PCM_16")
    return folder


def piped(
    feeding: Sequence[object] | bytes, folder: Path, *arguments: object, kind: str = "spectrogram"
) -> Ended:
    """Run the program with what another one writes, or with bytes, on its standard input."""
    command = [*PROGRAM, kind, *(str(argument) for argument in (*arguments, *OPTIONS))]
    if isinstance(feeding, bytes):
        ended = subprocess.run(
            command, cwd=folder, input=feeding, capture_output=True, timeout=120, check=False
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    if shutil.which(str(feeding[0])) is None:
        pytest.skip(f"{feeding[0]} is not installed")
    with subprocess.Popen(
        [str(part) for part in feeding],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as feeder:
        ended = subprocess.run(
            command, cwd=folder, stdin=feeder.stdout, capture_output=True, timeout=120, check=False
        )
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def features_of(path: Path) -> Any:
    with kapre_cli.open_features(path) as features:
        (array,) = features.values()
        return array[:]


FFMPEG = ("ffmpeg", "-v", "error", "-i")
WRITERS = {
    "ffmpeg wav": (*FFMPEG, "a.wav", "-f", "wav", "-"),
    "ffmpeg rf64": (*FFMPEG, "a.wav", "-f", "wav", "-rf64", "always", "-"),
    "ffmpeg w64": (*FFMPEG, "a.wav", "-f", "w64", "-"),
    "ffmpeg mu-law": (*FFMPEG, "a.wav", "-c", "pcm_mulaw", "-f", "wav", "-"),
    "ffmpeg flac": (*FFMPEG, "a.wav", "-f", "flac", "-"),
    "sox wav": ("sox", "a.wav", "-t", "wav", "-"),
    "sox a-law": ("sox", "a.wav", "-e", "a-law", "-t", "wav", "-"),
    "sox flac": ("sox", "a.wav", "-t", "flac", "-"),
    "flac -c": ("flac", "--silent", "--stdout", "a.wav"),
    "flac -cd": ("flac", "--silent", "--decode", "--stdout", "a.flac"),
    "cat wav": ("cat", "a.wav"),
    "cat flac": ("cat", "a.flac"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_a_program_pipes_gives_what_its_file_gives(
    writer: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    command = WRITERS[writer]
    output = tmp_path / "piped.h5"
    ended = piped(command, audio, "-", "-o", output)
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert ended.err == f"1 input: 1 written, 0 failed (2.5 s of audio) -> {str(output)!r}\n"
    lossy = writer in ("ffmpeg mu-law", "sox a-law")
    assert program("spectrogram", audio / "a.wav", "-o", tmp_path / "file.h5", *OPTIONS).code == 0
    expected = features_of(tmp_path / "file.h5")
    tolerance = 0.1 * expected.max() if lossy else 0
    np.testing.assert_allclose(features_of(output), expected, rtol=0, atol=tolerance)
    with kapre_cli.open_features(output) as features:
        metadata = features["stdin"].metadata
    sent = subprocess.run(command, cwd=audio, capture_output=True, check=True, timeout=300).stdout
    assert (metadata.source, metadata.source_mtime_ns, metadata.n_missing) == ("-", 0, 0)
    assert metadata.source_size == len(sent)
    assert files_below(tmp_path) == ["file.h5", "piped.h5"]


def test_flac_without_a_total_or_an_md5_is_a_file_like_any_other(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    for name in ("ffmpeg flac", "flac -c"):
        if shutil.which(WRITERS[name][0]) is None:
            pytest.skip(f"{WRITERS[name][0]} is not installed")
    # flac knows how much its file holds; of a pipe it does not.
    by_flac = subprocess.run(
        ("flac", "--silent", "--stdout", "-"),
        input=(audio / "a.wav").read_bytes(),
        capture_output=True,
        check=True,
        timeout=300,
    )
    by_ffmpeg = subprocess.run(
        WRITERS["ffmpeg flac"], cwd=audio, capture_output=True, check=True, timeout=300
    )
    (tmp_path / "flac.flac").write_bytes(by_flac.stdout)
    (tmp_path / "ffmpeg.flac").write_bytes(by_ffmpeg.stdout)
    stored = by_ffmpeg.stdout[4 + 4 + 18 :][:16]
    assert stored == bytes(16)  # what would have been the MD5
    assert program("spectrogram", audio / "a.wav", "-o", tmp_path / "a.npy", *OPTIONS).code == 0
    assert program("spectrogram", tmp_path, "-o", tmp_path / "out.h5", *OPTIONS).code == 0
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["ffmpeg.flac", "flac.flac"]
        for array in features.values():
            np.testing.assert_array_equal(array[:], np.load(tmp_path / "a.npy"))


# What the header of a stream can say


def of_size(size: int, samples: bytes, behind: bytes = b"") -> bytes:
    """Return a WAV whose header says that it has so many bytes of samples."""
    head = b"RIFF\0\0\0\0WAVE" + fmt() + b"data" + size.to_bytes(4, "little")
    return head + samples + behind


NOISE = reference.noise(1, 4000, 5)
SAMPLES = (NOISE[0] * 2**15).astype("<i2").tobytes()
CHUNK = b"LIST" + (4).to_bytes(4, "little") + b"INFO"


def frames_of(content: bytes, path: Path, *, is_stream: bool) -> tuple[int, int]:
    path.write_bytes(content)
    with AudioFile(str(path), is_stream=is_stream) as file:
        assert sum(len(block) for block in file.blocks()) == file.n_samples
        return file.n_samples, file.n_missing


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF])
@pytest.mark.parametrize("samples", [SAMPLES, bytes(8000)], ids=["noise", "silence"])
def test_a_stream_of_unknown_size_is_read_to_its_end(
    size: int, samples: bytes, tmp_path: Path
) -> None:
    content, path = of_size(size, samples), tmp_path / "a.wav"
    assert frames_of(content, path, is_stream=True) == (4000, 0)


def test_a_file_that_says_0_bytes_still_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(AudioReadError, match="the header declares 0 samples, 8,000 bytes"):
        frames_of(of_size(0, SAMPLES), path, is_stream=False)
    # Of what is shorter than its header says a stream is as truncated as a file.
    with pytest.raises(AudioReadError, match="declares 4,500 samples, 4,000 are available"):
        frames_of(of_size(9000, SAMPLES), path, is_stream=True)


@pytest.mark.parametrize("behind", [b"", CHUNK])
def test_a_stream_of_no_samples_is_told(behind: bytes, tmp_path: Path) -> None:
    with pytest.raises(AudioReadError, match=r"no samples:"):
        frames_of(of_size(0, b"", behind), tmp_path / "a.wav", is_stream=True)


def test_a_compressed_stream_that_says_0_bytes_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    for subtype, n_frames in (("ULAW", 4000), ("MS_ADPCM", 4000)):
        write_audio(path, NOISE, subtype=subtype)
        expected = soundfile.read(path, dtype="float32")[0]
        content = bytearray(path.read_bytes())
        at = content.index(b"data") + 4
        content[at : at + 4] = bytes(4)
        path.write_bytes(content)
        with AudioFile(str(path), is_stream=True) as file:
            came = np.concatenate(list(file.blocks()))[:, 0]
        assert len(came) >= n_frames  # the last block of ADPCM is filled up
        np.testing.assert_array_equal(came[: len(expected)], expected)


# What is refused


def test_nothing_at_all_is_a_failed_input(tmp_path: Path) -> None:
    ended = piped(b"", tmp_path, "-", "-o", "out.h5")
    assert ended.code == 1
    failure, summary = ended.err.splitlines()
    assert failure.startswith("failed: '-': the stream is empty (0 bytes); look at ")
    assert summary == (
        "1 input: 0 written, 1 failed (0.0 s of audio); no output is written or changed"
    )
    assert files_below(tmp_path) == []


def test_a_failed_stream_harms_no_file(audio: Path, tmp_path: Path) -> None:
    ended = piped(b"no audio", audio, "-", "a.wav", "-o", tmp_path / "out.h5")
    assert ended.code == 1
    assert "failed: '-': it is not WAV or FLAC" in ended.err
    assert "2 inputs: 1 written, 1 failed" in ended.err
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["a.wav"]


@pytest.mark.parametrize("arguments", [("-",), ("--files-from", "-")])
def test_a_terminal_is_no_input(arguments: tuple[str, ...], tmp_path: Path) -> None:
    master, slave = pty.openpty()
    ended = subprocess.run(
        [*PROGRAM, "spectrogram", *arguments, "-o", "out.h5"],
        cwd=tmp_path,
        stdin=slave,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(master)
    os.close(slave)
    assert ended.returncode == 2
    assert "is a terminal: pipe from a program, such as " in ended.stderr


def test_an_output_is_refused_before_the_stream_is_read(tmp_path: Path) -> None:
    (tmp_path / "out.h5").touch()
    reading, wrap_os_errors = os.pipe()  # nothing comes, and it never ends
    for output, reason in (("out.h5", "exists"), ("gone/out.h5", "does not exist; make it first")):
        ended = subprocess.run(
            [*PROGRAM, "spectrogram", "-", "-o", output],
            cwd=tmp_path,
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 2
        assert reason in ended.stderr
    os.close(reading)
    os.close(wrap_os_errors)


def test_want_of_room_is_told(audio: Path, tmp_path: Path) -> None:
    code = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
from kapre_cli.cli import main
main(sys.argv[1:])
"""
    for output, where, end in (
        ("out.h5", "the folder '.'", "; no output is written or changed"),
        ("-", "the folder for temporary files (TMPDIR)", " -> standard output"),
    ):
        command = ("spectrogram", "-", "-o", output, "--report", "r.jsonl")
        with (audio / "a.wav").open("rb") as stream:
            ended = subprocess.run(
                [sys.executable, "-c", code, *command],
                cwd=tmp_path,
                stdin=stream,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        assert (ended.returncode, ended.stdout) == (1, "")
        reason = f"standard input cannot be stored in {where} until the run ends: File too large"
        assert ended.stderr.splitlines() == [
            f"kapre-extract: Error: {reason}",
            f"1 input: 0 written, 1 failed (0.0 s of audio){end}",
        ]
        _, record, sums = map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
        assert (record["key"], record["source"], record["reason"]) == ("stdin", "-", reason)
        assert (sums["inputs"], sums["failed"], sums["exit_code"]) == (1, 1, 1)
        assert files_below(tmp_path) == ["r.jsonl"]
        (tmp_path / "r.jsonl").unlink()


def test_a_file_called_dash_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "-").write_bytes(of_size(8000, SAMPLES))
    ended = piped(of_size(8000, SAMPLES), tmp_path, "./-", "-", "-o", "out.h5")
    assert ended.code == 0, ended.err
    with kapre_cli.open_features(tmp_path / "out.h5") as features:
        assert list(features) == ["-", "stdin"]
        assert [array.metadata.source for array in features.values()] == ["./-", "-"]


# Going on


def test_a_stream_is_the_same_if_its_bytes_are(tmp_path: Path) -> None:
    first, second = of_size(8000, SAMPLES), of_size(8000, SAMPLES[::-1])
    command = ("-", "-o", "out.h5", "--resume")
    assert piped(first, tmp_path, *command).code == 0
    before = (tmp_path / "out.h5").read_bytes()
    ended = piped(first, tmp_path, *command)
    assert "'out.h5' is up to date: nothing was computed\n" in ended.err
    assert "1 input: 0 written, 0 failed, 1 skipped" in ended.err
    ended = piped(second, tmp_path, *command)  # as long, and of no time at all
    assert "1 input: 1 written, 0 failed" in ended.err
    assert (tmp_path / "out.h5").read_bytes() != before
    assert piped(first, tmp_path, "-", "-o", "anew.h5").code == 0
    assert (tmp_path / "anew.h5").read_bytes() == before


def test_what_an_interrupted_run_kept_of_another_stream_is_of_no_use(
    tmp_path: Path, program: Any
) -> None:
    def stdin(content: bytes) -> None:
        (tmp_path / "in").write_bytes(content)
        fd = os.open(tmp_path / "in", os.O_RDONLY)
        os.dup2(fd, 0)
        os.close(fd)

    saved = os.dup(0)
    command = ("spectrogram", "-", *OPTIONS, "-o", tmp_path / "out.h5")
    try:
        stdin(of_size(8000, SAMPLES))
        with blocks_of(33 * 10), interrupted_after(3):  # of ten frames each
            assert program(*command).code == 130
        assert files_below(tmp_path) == ["in", "out.h5.partial", "out.h5.partial/journal-1",
                                         "out.h5.partial/lock"]  # fmt: skip
        stdin(of_size(8000, SAMPLES[::-1]))
        with blocks_of(33 * 10):
            assert program(*command, "--resume").code == 0
        stdin(of_size(8000, SAMPLES[::-1]))
        assert program(*command[:-1], tmp_path / "anew.h5").code == 0
    finally:
        os.dup2(saved, 0)
        os.close(saved)
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "anew.h5").read_bytes()


CRASHING = """
import os, signal, sys
from kapre_cli.cli import main
from kapre_cli.extraction import decode as decoding
really = decoding.AudioReader
def crashing(path, *arguments, **options):
    if not os.path.exists("crashed"):
        open("crashed", "x").close()
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decoding.AudioReader = crashing
main(sys.argv[1:])
"""


def test_after_a_crash_the_stream_is_still_there(audio: Path, tmp_path: Path) -> None:
    command = ("spectrogram", "-", *OPTIONS, "-o", "out.h5")
    ended = subprocess.run(
        [sys.executable, "-c", CRASHING, *command],
        cwd=tmp_path,
        input=(audio / "a.flac").read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stderr.decode() == (
        "a worker process died (SIGSEGV) before it had finished 'stdin'; "
        "each is tried once more, alone\n"
        "1 input: 1 written, 0 failed (2.5 s of audio) -> 'out.h5'\n"
    )
    assert piped(("cat", audio / "a.flac"), tmp_path, "-", "-o", "anew.h5").code == 0
    assert (tmp_path / "out.h5").read_bytes() == (tmp_path / "anew.h5").read_bytes()


# A terminal asks both processes, and one of them the other: whichever comes first, and again.
@pytest.mark.parametrize("number", [*5 * [signal.SIGINT], signal.SIGKILL])
def test_a_run_that_waits_for_its_stream_stops_and_leaves_nothing(
    number: int, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [*PROGRAM, "spectrogram", "-", "-o", "out.h5"],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        assert running.stdin is not None
        running.stdin.write(bytes(2**18))  # more than a pipe holds: it has begun to read
        running.stdin.flush()
        os.killpg(running.pid, number)
        try:
            code = running.wait(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
        running.stdin.close()
        assert running.stderr is not None
        said = running.stderr.read().decode()
    if number == signal.SIGINT:
        assert code == 130
        assert said == "kapre-extract: interrupted: no output was written or changed\n"
    assert files_below(tmp_path) == []


MEASURED = """
import resource, subprocess, sys
zeros = "import sys; [sys.stdout.buffer.write(bytes(2**20)) for _ in range(400)]"
with subprocess.Popen([sys.executable, "-c", zeros], stdout=subprocess.PIPE) as feeder:
    subprocess.run(sys.argv[1:], stdin=feeder.stdout, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_a_stream_takes_no_more_memory_than_a_file(tmp_path: Path) -> None:
    options = ("--raw-format", "s16le,44100,1", "--n-dft", "4096", "--n-hop", "8192")
    ended = subprocess.run(  # beside this process, whose size its children begin with
        [sys.executable, "-c", MEASURED, *PROGRAM, "spectrogram", "-", "-o", "out.h5", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert int(ended.stdout) / (2**20 if sys.platform == "darwin" else 2**10) < 300
