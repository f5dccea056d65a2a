"""WAV with odd chunks: counts of samples in fact chunks, chunks cut short, digital silence."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kapre_cli.audio.reader import AudioFile
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.bad_inputs import ALL_ONES, LIST, N_FRAMES, chunk, data, ds64, encoded, fmt, rf64, riff
from tests.conftest import write_audio

SMALL = ("--n-dft", 64)


def opened(content: bytes, path: Path) -> tuple[np.ndarray, AudioFile]:
    path.write_bytes(content)
    with AudioFile(str(path), AudioSettings(sr=8000)) as file:
        return np.concatenate(list(file.blocks())), file


@pytest.mark.parametrize("kind", ["WAV", "W64"])
@pytest.mark.parametrize("n_samples", [319, 320, 321, 5000])
def test_gsm_ends_where_its_fact_chunk_says(kind: str, n_samples: int, tmp_path: Path) -> None:
    content = encoded("GSM610", kind, n_frames=n_samples)
    samples, file = opened(content, tmp_path / "a.wav")
    assert (len(samples), file.n_missing, file.notes) == (n_samples, 0, ())
    decoded = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)[0]
    np.testing.assert_array_equal(samples, decoded[:n_samples])


@pytest.mark.parametrize("n_samples", [319, 320, 321, 641, 1981, 2241])
def test_the_padding_that_sox_counts_is_no_block(n_samples: int, tmp_path: Path) -> None:
    """An odd number of blocks of 65 bytes, with the byte behind them in the size of the samples."""
    content = encoded("GSM610", n_frames=n_samples)
    n_blocks = -(-n_samples // 320)
    size = content.index(b"data") + 4
    assert struct.unpack_from("<I", content, size)[0] == n_blocks * 65
    padded = content[:size] + struct.pack("<I", n_blocks * 65 + n_blocks % 2) + content[size + 4 :]
    expected, _ = opened(content, tmp_path / "a.wav")
    samples, file = opened(padded, tmp_path / "a.wav")
    assert (len(samples), file.n_missing, file.notes) == (n_samples, 0, ())
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("subtype", ["G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32"])
@pytest.mark.parametrize("n_samples", [1, 100, 119, 121, 1000])
def test_files_shorter_than_a_block_end_where_their_fact_chunk_says(
    subtype: str, n_samples: int, tmp_path: Path
) -> None:
    content = encoded(subtype, n_frames=n_samples)
    samples, file = opened(content, tmp_path / "a.wav")
    assert (len(samples), file.n_missing, file.notes) == (n_samples, 0, ())


@pytest.mark.parametrize("stated", [1, 1000, 2**31])
def test_a_fact_chunk_that_cannot_be_true_is_noted(stated: int, tmp_path: Path) -> None:
    content = encoded("GSM610", n_frames=5120)
    place = content.index(b"fact") + 8
    content = content[:place] + struct.pack("<I", stated) + content[place + 4 :]
    samples, file = opened(content, tmp_path / "a.wav")
    assert len(samples) == 5120
    assert file.notes[0].startswith(f"its fact chunk states {stated:,} samples")


def test_pcm_does_not_listen_to_a_fact_chunk(tmp_path: Path) -> None:
    content = riff(fmt(), chunk(b"fact", struct.pack("<I", 7)), data())
    samples, file = opened(content, tmp_path / "a.wav")
    assert (len(samples), file.notes) == (N_FRAMES, ())


WHOLE_BUT = {
    "RIFF": riff(fmt(), data(), LIST),
    "RF64": rf64(ds64(2000), fmt(), data(size=ALL_ONES), LIST),
    "no RIFF size": riff(fmt(), data(), LIST, size=ALL_ONES),
    "an unknown chunk that is counted": riff(fmt(), data(), chunk(b"abcd", bytes(range(200)))),
}


@pytest.mark.parametrize("name", WHOLE_BUT)
def test_samples_before_a_chunk_cut_short_are_read_with_a_note(name: str, tmp_path: Path) -> None:
    whole, file = opened(WHOLE_BUT[name], tmp_path / "a.wav")
    assert file.notes == ()
    samples, file = opened(WHOLE_BUT[name][:-5], tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, whole)
    assert (len(samples), file.n_missing) == (N_FRAMES, 0)
    assert "the chunk after its samples is cut short" in file.notes[0]


@pytest.mark.parametrize("name", ["out.h5", "out", "out.npy"])
def test_a_note_is_told_reported_and_stored(name: str, tmp_path: Path, program: Any) -> None:
    (tmp_path / "a.wav").write_bytes(WHOLE_BUT["RIFF"][:-5])
    output, report = tmp_path / name, tmp_path / "report.jsonl"
    arguments = ("spectrogram", tmp_path / "a.wav", "-o", output, *SMALL, "--report", report)
    ended = program(*arguments)
    note = "the chunk after its samples is cut short ('LIST', 19 bytes of 24)"
    assert ended.code == 0
    assert f"note: {str(tmp_path / 'a.wav')!r}: {note}" in ended.err
    assert json.loads(report.read_text().splitlines()[1])["note"].startswith(note)
    assert note in program("info", output).out
    odd = json.loads(program("info", output, "--json").out)["outliers"]
    assert [one["name"] for one in odd] == ["note"]
    assert program("verify", output).code == 0


def test_digital_silence_is_listed(tmp_path: Path, program: Any) -> None:
    noise = reference.noise(2, 3000)
    write_audio(tmp_path / "audio/noise.wav", noise)
    write_audio(tmp_path / "audio/one.wav", noise * [[1], [0]])
    write_audio(tmp_path / "audio/both.flac", noise * 0)
    late = noise * 0
    late[:, -1] = 1
    write_audio(tmp_path / "audio/late.wav", late)
    output = tmp_path / "out.h5"
    assert program("spectrogram", tmp_path / "audio", "-o", output, *SMALL).code == 0
    odd = json.loads(program("info", output, "--json").out)["outliers"]
    silent = {one["key"]: one["value"] for one in odd if one["name"] == "n_silent_channels"}
    assert silent == {"one.wav": 1, "both.flac": 2}
    assert "'both.flac' (2 silent), 'one.wav' (1 silent)" in program("info", output).out
    assert program("verify", output, "--against", tmp_path / "audio").code == 0
    more = ("--channel", 0, "--overwrite")
    assert program("spectrogram", tmp_path / "audio", "-o", output, *SMALL, *more).code == 0
    odd = json.loads(program("info", output, "--json").out)["outliers"]
    silent = {one["key"]: one["value"] for one in odd if one["name"] == "n_silent_channels"}
    assert silent == {"both.flac": 1}
