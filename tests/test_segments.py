"""Segments of recordings: the frames of the whole recording, bit for bit."""

import json
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.extraction import run
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.framing import Framing
from kapre_cli.inputs import Segment, Source
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.run_result import RunResult
from kapre_cli.settings import (
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    OutputSettings,
)
from tests import reference
from tests.conftest import PROGRAM, blocks_of, interrupted_after, write_audio
from tests.test_memory import peak_mib
from tests.test_workers import LIMIT, OPTIONS, at_work, ended, run_changed, running

SR = 8000
SMALL = ("--n-dft", 64, "--n-hop", 32)


def settings_of(layer: LayerConfig, **audio: Any) -> ExtractionSettings:
    output = OutputSettings(path=Path("-"), format="npy-stream")
    return ExtractionSettings(
        layer=layer, audio=AudioSettings(**{"sr": SR, **audio}), output=output
    )


def computed(
    sources: Sequence[Source], settings: ExtractionSettings
) -> dict[str, tuple[InputMetadata, Any]]:
    """Return metadata and array of each input, and fail if one has failed."""
    result = RunResult(failures=[])
    found = {
        source.key: (metadata, array)
        for source, metadata, array in run.arrays(sources, settings, result)
    }
    assert not result.failures
    return found


def frames_in(framing: Framing, length: int, start: float, end: float) -> list[int]:
    """Return the frames that lie in a segment, one by one and in exact arithmetic."""
    pad = framing.pads(length)[0]
    bounds = [Fraction(f"{one:.6f}") for one in (start, end)]
    is_to_end = bounds[1] >= Fraction(length, SR) - Fraction(1, 2_000_000)
    found = []
    for index in range(framing.n_time(length)):
        centre = (Fraction(framing.n_dft, 2) - pad + index * framing.n_hop) / SR
        if bounds[0] <= centre and (is_to_end or centre < bounds[1]):
            found.append(index)
    return found


LAYERS = [
    SpectrogramConfig(n_dft=64, n_hop=32, image_data_format="channels_first"),
    SpectrogramConfig(n_dft=50, n_hop=17, padding="valid", image_data_format="channels_last"),
    SpectrogramConfig(
        n_dft=64, n_hop=100, power_spectrogram=1.0, image_data_format="channels_last"
    ),
    MelspectrogramConfig(sr=SR, n_dft=64, n_hop=24, n_mels=8, image_data_format="channels_first"),
    MelspectrogramConfig(sr=SR, n_dft=512, n_mels=8, image_data_format="channels_last"),
]
READING: list[dict[str, Any]] = [
    {},
    {"mono": True},
    {"channels": (2, 0)},
    {"sr": SR, "resample": True},
]
LENGTH = 3001  # samples at 8 kHz
MANY_MIB = 300


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_audio(folder / "a.wav", reference.noise(3, LENGTH, 1))
    write_audio(folder / "a.flac", reference.noise(3, LENGTH, 2), subtype="PCM_16")
    write_audio(folder / "fast.wav", reference.noise(3, 2 * LENGTH, 3), sr=2 * SR)
    return folder


def microseconds(last: int) -> st.SearchStrategy[float]:
    return st.integers(0, last).map(lambda number: number / 1e6)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.class_name}-{layer.n_dft}")
@pytest.mark.parametrize("reading", READING, ids=lambda one: "-".join(one) or "all")
@settings(max_examples=15)
@given(data=st.data())
def test_a_segment_has_the_bits_of_the_whole_recording(
    layer: LayerConfig, reading: dict[str, Any], recordings: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["a.wav", "a.flac"]))
    name = "fast.wav" if "resample" in reading else name
    whole = Source(str(recordings / name), name)
    configured, seconds = settings_of(layer, **reading), LENGTH / SR
    in_order = st.tuples(microseconds(375_125), microseconds(376_000))
    ends = [(0.0, 0.375125), (0.1, 0.2), (0.2, 0.3), (0.1, 0.2)]
    bounds = data.draw(st.lists(in_order.map(sorted).filter(lambda b: b[0] < b[1]), max_size=5))
    n_values = data.draw(st.sampled_from([2**21, 1500]))  # one block, several
    axis = layer.axes.index("time")
    chosen = {
        (start, end): frames_in(layer.framing, LENGTH, start, end)
        for start, end in [*map(tuple, bounds), *ends]
        if end <= seconds + 0.001
    }
    parts = [whole.part(Segment(*one)) for one in chosen if chosen[one]]
    with blocks_of(n_values):
        found = computed(list(dict.fromkeys(parts)), configured)
        metadata, array = computed([whole], configured)[name]
    for part in parts:
        assert part.segment is not None
        frames = chosen[part.segment.start, part.segment.end]
        of_part, values = found[part.key]
        np.testing.assert_array_equal(values, array.take(frames, axis), strict=True)
        assert of_part.time_start == pytest.approx(
            metadata.time_start + frames[0] * metadata.time_step, abs=1e-9
        )
        assert (of_part.start, of_part.end) == (part.segment.start, part.segment.end)
        assert of_part.sha256 == metadata.sha256
        assert of_part.n_samples == metadata.n_samples


def test_a_segment_of_one_channel(recordings: Path) -> None:
    whole = Source(str(recordings / "a.wav"), "a.wav")
    layer = SpectrogramConfig(n_dft=64, n_hop=32, image_data_format="channels_first")
    both, *parts = (whole.part(Segment(0.1, 0.3, channel=one)) for one in (None, 0, 2))
    with blocks_of(1500):
        found = computed([both, *parts], settings_of(layer, channels=(2, 0)))
    metadata, array = found[both.key]
    assert (metadata.n_channels, metadata.channel) == (2, None)
    for position, channel in enumerate((2, 0)):
        metadata, of_one = found[f"a.wav/0.1-0.3 channel {channel}"]
        np.testing.assert_array_equal(of_one, array[position : position + 1], strict=True)
        assert (metadata.n_channels, metadata.channel) == (1, channel)


def test_silent_channels_are_those_that_a_segment_has(tmp_path: Path) -> None:
    signal = reference.noise(2, 8000, 1)
    signal[0] = 0
    whole = Source(str(write_audio(tmp_path / "a.wav", signal)), "a.wav")
    parts = [whole.part(Segment(0.1, 0.3, channel=one)) for one in (None, 0, 1)]
    found = computed(parts, settings_of(LAYERS[0]))
    assert [metadata.n_silent_channels for metadata, _ in found.values()] == [1, 1, 0]


# Decibels


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_the_reference_of_decibels(name: str, recordings: Path) -> None:
    arguments: dict[str, Any] = {"n_dft": 64, "n_hop": 32, "image_data_format": "channels_first"}
    linear = settings_of(SpectrogramConfig(**arguments))
    layer = SpectrogramConfig(**arguments, return_decibel_spectrogram=True)
    of_segment = settings_of(layer)
    of_recording = ExtractionSettings(
        layer=layer, audio=of_segment.audio, output=of_segment.output, reference="recording"
    )
    whole = Source(str(recordings / name), name)
    segments = [Segment(0.1, 0.2), Segment(0.15, 0.3, channel=1)]
    parts = [whole.part(segment) for segment in segments]
    with blocks_of(1500):
        _, decibels = computed([whole], of_segment)[name]
        own, of_whole = computed(parts, of_segment), computed(parts, of_recording)
        powers = computed(parts, linear)
        reference_of_whole = computed([whole], of_segment)[name][0].reference
    for part, segment, channels in zip(parts, segments, (slice(None), slice(1, 2)), strict=True):
        frames = frames_in(layer.framing, LENGTH, segment.start, segment.end)
        metadata, values = of_whole[part.key]
        np.testing.assert_array_equal(values, decibels[channels, frames], strict=True)
        assert metadata.reference == reference_of_whole
        metadata, values = own[part.key]
        reference.require_close_decibels(values, reference.decibels(powers[part.key][1]))
        assert metadata.reference == pytest.approx(powers[part.key][1].max(), rel=1e-6)


def test_the_reference_is_stored_if_it_is_that_of_the_recording(
    recordings: Path, tmp_path: Path, program: Any
) -> None:
    options = ("--clip", 0.1, "--decibel", *SMALL, "--root", recordings)
    command = ("spectrogram", recordings / "a.wav", *options)
    assert program(*command, "-o", tmp_path / "own.h5").code == 0
    other = (*command, "--reference", "recording", "-o", tmp_path / "whole.h5")
    with interrupted_after(3), blocks_of(1500):
        assert program(*other).code == 130
    with blocks_of(1500):
        assert program(*other, "--resume").code == 0
        clean = tmp_path / "clean.h5"
        assert program(*other[:-1], clean).code == 0
    assert (tmp_path / "whole.h5").read_bytes() == clean.read_bytes()
    own, whole = (
        json.loads(program("info", tmp_path / name, "--json").out)["settings"]
        for name in ("own.h5", "whole.h5")
    )
    assert "reference" not in own
    assert whole["reference"] == "recording"
    resumed = program(*command, "-o", tmp_path / "whole.h5", "--resume")
    assert resumed.code == 2
    assert "reference: 'recording' before, 'segment' now" in resumed.err
    done = program("merge", tmp_path / "own.h5", tmp_path / "whole.h5", "-o", tmp_path / "m.h5")
    assert done.code == 2
    assert program("verify", tmp_path / "whole.h5", "--against", recordings, "--all").code == 0


# Runs


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make recordings in which a few segments are named."""
    folder = tmp_path / "audio"
    write_audio(folder / "frogs.wav", reference.noise(2, 24_000, 1))
    write_audio(folder / "site a/birds.flac", reference.noise(1, 16_000, 2), subtype="PCM_16")
    write_audio(folder / "unnamed.wav", reference.noise(1, 800, 3))
    return folder


TABLE = (
    "path,start,end,label,channel\n"
    "frogs.wav,0.5,1.25,croak,\n"
    "frogs.wav,0,0.5,,\n"
    "frogs.wav,0.5,1.25,chorus,\n"
    "birds.flac,0.25,2,song,0\n"
    "frogs.wav,1,1.5,croak,1\n"
)
KEYS = [
    "frogs.wav/0-0.5",
    "frogs.wav/0.5-1.25",
    "frogs.wav/1-1.5 channel 1",
    "site a/birds.flac/0.25-2 channel 0",
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


@pytest.mark.parametrize("output", ["out.h5", "out", "s.h5"])
def test_a_table_of_segments(
    output: str, audio: Path, table: Path, tmp_path: Path, program: Any
) -> None:
    whole, part = tmp_path / "whole.h5", tmp_path / output
    options = ("--power", 1, *SMALL, *(["--dimension-scales"] if output == "s.h5" else []))
    assert program("spectrogram", audio, "-o", whole, *SMALL, "--power", 1).code == 0
    done = program("spectrogram", audio, "-o", part, "--segments", table, *options)
    assert done.code == 0, done.err
    assert "4 inputs: 4 written, 0 failed" in done.err
    assert "1 input without a segment, left out:" in done.err
    with kapre_cli.open_features(whole) as all_frames, kapre_cli.open_features(part) as features:
        assert [*features] == KEYS
        for key in KEYS:
            recording, _, segment = key.rpartition("/")
            array, of_whole = features[key], all_frames[recording]
            first = round((array.metadata.time_start - of_whole.metadata.time_start) * SR) // 32
            expected = of_whole[first : first + array.shape[0]]
            if " channel " in segment:
                expected = expected[:, :, [int(segment[-1])]]
            np.testing.assert_array_equal(array[:], expected, strict=True)
        assert features[KEYS[1]].metadata.label == "croak;chorus"
        assert features[KEYS[3]].metadata.channel == 0
    assert program("verify", part, "--against", audio, "--all").code == 0
    assert program("compare", part, part).code == 0


def test_bad_rows_fail_alone(audio: Path, tmp_path: Path, program: Any) -> None:
    table = tmp_path / "t.csv"
    rows = [
        *("frogs.wav,0,1,ok", "frogs.wav,2,3.1,late", "frogs.wav,2,3.001,end", "no.wav,0,1,x"),
        *("frogs.wav,1,0.5,back", "frogs.wav,1,1.0001,none", "site a/birds.flac,x,2,text"),
    ]
    table.write_text("path,start,end,label\n" + "\n".join(rows))
    output, report = tmp_path / "x.h5", tmp_path / "report.jsonl"
    command = ("spectrogram", audio, "--segments", table, "-o", output, *SMALL)
    done = program(*command, "--report", report)
    assert done.code == 1
    assert "7 inputs: 2 written, 5 failed" in done.err
    with kapre_cli.open_features(output) as features:
        assert [*features] == ["frogs.wav/0-1", "frogs.wav/2-3.001"]
    lines = [json.loads(line) for line in report.read_text().splitlines()[1:-1]]
    failed = {line["source"]: line["reason"] for line in lines if line["status"] == "failed"}
    assert failed[f"{table}, line 5"] == "'no.wav' is none of the inputs"
    assert failed[f"{table}, line 6"] == "it ends at 0.5 s, before its start at 1 s"
    assert failed[f"{table}, line 8"].startswith("its start 'x' is no number")
    reasons = {line["key"]: line["reason"] for line in lines if line["key"]}
    assert reasons["frogs.wav/2-3.1"] == (
        f"2 s to 3.1 s ({table}, line 3): it ends at 3.1 s, the recording at 3 s"
    )
    assert reasons["frogs.wav/1-1.0001"] == (
        f"1 s to 1.0001 s ({table}, line 7): no frame is centred in it, and frames are 4 ms apart; "
        "take a longer segment, or a smaller --n-hop"
    )
    dry = program(*command[:4], "-o", tmp_path / "y.h5", *SMALL, "--dry-run")
    assert "7 inputs: 2 to be written, 5 would fail" in dry.out
    assert "'frogs.wav/0-1': 250 x 33 x 2" in dry.out


def test_a_file_that_fails_has_one_line_for_all_its_segments(
    audio: Path, table: Path, tmp_path: Path, program: Any
) -> None:
    content = (audio / "frogs.wav").read_bytes()
    (audio / "frogs.wav").write_bytes(content[:-4000])
    report = tmp_path / "report.jsonl"
    for sr in ((), ("--sr", SR)):
        output = ("-o", tmp_path / "x.h5", "--overwrite", "--report", report)
        done = program("spectrogram", audio, "--segments", table, *output, *SMALL, *sr)
        assert done.code == 1
        (failed,) = [line for line in done.err.splitlines() if line.startswith("failed")]
        assert failed.startswith(f"failed: '{audio}/frogs.wav', 3 segments: ")
        assert "4 inputs: 1 written, 3 failed" in done.err
        lines = [json.loads(line) for line in report.read_text().splitlines()[1:-1]]
        assert [line["key"] for line in lines if line["status"] == "failed"] == KEYS[:3]
    (audio / "site a/birds.flac").unlink()
    (audio / "frogs.wav").write_bytes(b"no audio")
    done = program("spectrogram", audio / "frogs.wav", "--clip", 0.5, "-o", tmp_path / "y.h5")
    assert "1 input: 0 written, 1 failed" in done.err
    done = program(
        *("spectrogram", audio / "frogs.wav", "--segments", table, "-o", tmp_path / "y.h5")
    )
    assert f"failed: '{audio}/frogs.wav', 3 segments: " in done.err


def test_a_raven_table_without_inputs(audio: Path, tmp_path: Path, program: Any) -> None:
    (audio / "frogs.Table.1.selections.txt").write_text(
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin File\tAnnotation\n"
        "1\tWaveform 1\t1\t0.5\t1.25\tfrogs.wav\tcroak\n"
        "1\tSpectrogram 1\t1\t0.5\t1.25\tfrogs.wav\tcroak\n"
        "2\tSpectrogram 1\t2\t0.5\t1.25\tfrogs.wav\tcroak\n"
    )
    done = program("spectrogram", "--segments", audio, "-o", tmp_path / "x.h5", *SMALL)
    assert done.code == 0, done.err
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert [*features] == ["frogs.wav/0.5-1.25 channel 0", "frogs.wav/0.5-1.25 channel 1"]
    mono = ("-o", tmp_path / "mono.h5", *SMALL, "--mono")
    done = program("spectrogram", "--segments", audio, *mono)
    assert "the channel of 3 rows that name one is ignored: --mono" in done.err
    with kapre_cli.open_features(tmp_path / "mono.h5") as features:
        assert [*features] == ["frogs.wav/0.5-1.25"]


def test_standard_input_and_output(audio: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("0.5\t1.25\tcroak\n2.5\t9\tlate\n1\t1.5\tcroak\n")
    for output in ("-", "x.h5"):
        command = [*PROGRAM, "spectrogram", "-", "--segments", str(labels), "-o", output]
        done = subprocess.run(
            [*command, *map(str, SMALL)],
            input=(audio / "frogs.wav").read_bytes(),
            capture_output=True,
            cwd=tmp_path,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 1
        assert b"it ends at 9 s, the recording at 3 s" in done.stderr
        assert done.stdout.count(b"NUMPY") == (2 if output == "-" else 0)
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert [*features] == ["stdin/0.5-1.25", "stdin/1-1.5"]


def test_a_single_segment_is_one_array(audio: Path, tmp_path: Path, program: Any) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("0.5\t1.25\tcroak\n")
    command = ("spectrogram", audio / "frogs.wav", "--segments", labels, *SMALL)
    assert program(*command, "-o", tmp_path / "x.npy").code == 0
    assert np.load(tmp_path / "x.npy").shape == (187, 33, 2)
    with kapre_cli.open_features(tmp_path / "x.npy") as features:
        assert [*features] == ["frogs.wav/0.5-1.25"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--overlap", "1"], "--overlap is about the clips of --clip"),
        (["--clip", "1", "--segments", "t.csv"], "--segments and --clip both cut recordings"),
        (["--clip", "1", "--overlap", "1"], "--overlap must be less than --clip"),
        (["--clip", "0"], "0.0 is not in the range x>0.0"),
        (["--reference", "recording"], "--reference is about segments of recordings"),
        (["--reference", "recording", "--clip", "1"], "is about decibels"),
        (["--clip", "0.001"], "clips must be at least a hop (32 ms)"),
        (["--clip", "1", "--overlap", "0.99"], "clips must begin at least a hop (32 ms) apart"),
        (["--clip", "0.5", "-o", "x.npy", "--format", "npy"], "would be one array"),
        (["--segments", "gone.csv"], "the table 'gone.csv' cannot be read: No such file"),
        (["--segments", "audio/frogs.wav"], "is no table of annotations"),
        (["--segments", "table.csv", "--report", "table.csv"], "is a table of segments"),
    ],
)
@pytest.mark.usefixtures("audio", "table")
def test_usage_errors(
    options: list[str],
    message: str,
    tmp_path: Path,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = program("spectrogram", "audio/frogs.wav", "-o", "x.h5", *options)
    assert done.code == 2, done.err
    assert message in done.err
    assert not (tmp_path / "x.h5").exists()


def test_a_recording_and_a_folder_of_its_name(audio: Path, tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "other/frogs.wav/0-1.wav", reference.noise(1, 8000, 5))
    inputs = (audio, tmp_path / "other")
    done = program("spectrogram", *inputs, "--clip", 1, "-o", tmp_path / "x.h5", *SMALL)
    assert done.code == 2
    assert "which is a folder of 'frogs.wav/0-1.wav'" in done.err


# Clips


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("n_hop", [32, 64, 200])
def test_clips_have_all_frames_of_a_recording(
    padding: str, n_hop: int, audio: Path, tmp_path: Path, program: Any
) -> None:
    write_audio(audio / "odd.wav", reference.noise(1, 64 * 201 + 1, 4))
    options = ("--n-dft", 64, "--n-hop", n_hop, "--padding", padding)
    assert program("spectrogram", audio, "-o", tmp_path / "whole.h5", *options).code == 0
    command = ("spectrogram", audio, "-o", tmp_path / "x.h5", *options, "--clip", 0.4)
    done = program(*command)
    assert done.code == 0, done.err
    with (
        kapre_cli.open_features(tmp_path / "whole.h5") as whole,
        kapre_cli.open_features(tmp_path / "x.h5") as features,
    ):
        assert [key for key in features if key.startswith("odd")] == [
            *("odd.wav/0-0.4", "odd.wav/0.4-0.8", "odd.wav/0.8-1.2", "odd.wav/1.2-1.6"),
            "odd.wav/1.6-1.608125",
        ]
        for key, array in whole.items():
            clips = [clip[:] for name, clip in features.items() if name.startswith(f"{key}/")]
            np.testing.assert_array_equal(np.concatenate(clips), array[:], strict=True)
    assert "labels" not in program("info", tmp_path / "x.h5").out


def test_overlapping_clips(audio: Path, tmp_path: Path, program: Any) -> None:
    clips = ("--clip", 1, "--overlap", 0.25)
    assert program("spectrogram", audio, "-o", tmp_path / "x.h5", *SMALL, *clips).code == 0
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert [*features] == [
            *("frogs.wav/0-1", "frogs.wav/0.75-1.75", "frogs.wav/1.5-2.5", "frogs.wav/2.25-3"),
            *("unnamed.wav/0-0.1", "site a/birds.flac/0-1", "site a/birds.flac/0.75-1.75"),
            "site a/birds.flac/1.5-2",
        ]


def test_clips_of_a_recording_whose_header_states_no_length(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    path = audio / "site a/birds.flac"
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples
    path.write_bytes(content)
    dry = program("spectrogram", path, "-o", tmp_path / "x.h5", *SMALL, "--clip", 1.5, "--dry-run")
    assert "'birds.flac/0-1.5'" in dry.out
    assert program("spectrogram", path, "-o", tmp_path / "x.h5", *SMALL, "--clip", 1.5).code == 0
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert [*features] == ["birds.flac/0-1.5", "birds.flac/1.5-2"]


# Interrupted runs


@pytest.mark.parametrize("output", ["x.h5", "x"])
def test_an_interrupted_run_is_resumed(
    output: str, audio: Path, table: Path, tmp_path: Path, program: Any
) -> None:
    command = ["spectrogram", str(audio), "--segments", str(table), *map(str, SMALL), "-o"]
    with blocks_of(1500):
        assert program(*command, tmp_path / f"clean {output}").code == 0
        with interrupted_after(7):
            assert program(*command, tmp_path / output).code == 130
        kept = {path.name for path in tmp_path.glob("*.partial/journal*")}
        assert kept
        done = program(*command, tmp_path / output, "--resume", "-v")
    assert done.code == 0, done.err
    one, other = (
        json.loads(program("info", tmp_path / name, *KEYS, "--json").out)
        for name in (output, f"clean {output}")
    )
    assert one["inputs"] == other["inputs"]
    assert program("compare", tmp_path / output, tmp_path / f"clean {output}").code == 0
    if output == "x.h5":
        assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "clean x.h5").read_bytes()


def test_blocks_of_an_interrupted_run_are_not_computed_again(
    audio: Path, table: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["spectrogram", str(audio), "--segments", str(table), *map(str, SMALL)]
    command += ["-o", str(tmp_path / "x.h5"), "--jobs", "1"]
    appended: list[str] = []
    with blocks_of(1500):
        with interrupted_after(12):
            assert program(*command).code == 130
        append = kapre_cli.resume.journal.Journal.block

        def counting(journal: Any, key: str, *arguments: Any) -> Any:
            appended.append(key)
            return append(journal, key, *arguments)

        monkeypatch.setattr("kapre_cli.resume.journal.Journal.block", counting)
        table.write_text(TABLE.replace("croak", "call"))  # a label is no reason
        assert program(*command, "--resume").code == 0
        n_resumed = len(appended)
        appended.clear()
        assert program(*command, "--overwrite").code == 0
    assert n_resumed == len(appended) - 12


def test_a_changed_label_changes_metadata_alone(
    audio: Path, table: Path, tmp_path: Path, program: Any
) -> None:
    command = ("spectrogram", audio, "--segments", table, *SMALL, "-o", tmp_path / "x.h5")
    assert program(*command).code == 0
    table.write_text(TABLE.replace("chorus", "tree frog").replace("0.25,2", "0.25,1.5"))
    for content in ("--resume", "--resume=content"):
        done = program(*command, content)
        assert done.code == 0, done.err
        written = 1 if content == "--resume" else 0
        assert f"{written} written, 0 failed, {4 - written} skipped" in done.err
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert features["frogs.wav/0.5-1.25"].metadata.label == "croak;tree frog"
        assert [*features][-1] == "site a/birds.flac/0.25-1.5 channel 0"


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    write_audio(tmp_path / "audio/long.wav", reference.noise(2, 400_000, 1))
    write_audio(tmp_path / "audio/other.wav", reference.noise(1, 400_000, 2))
    rows = [f"{name}.wav,{i},{i + 30.5},{i}" for name in ("long", "other") for i in range(0, 20, 4)]
    (tmp_path / "table.csv").write_text("\n".join(["path,start,end,label", *rows]))
    command = ("spectrogram", "audio", "--segments", "table.csv", *OPTIONS, "-o")
    with running(*command, "x.h5", cwd=tmp_path) as run_:
        at_work(run_, tmp_path, "x.h5")
        run_.kill()
        run_.wait(LIMIT)
    for output, more in (("x.h5", ("--resume",)), ("clean.h5", ())):
        with running(*command, output, *more, cwd=tmp_path) as run_:
            assert ended(run_)[0] == 0
    assert (tmp_path / "x.h5").read_bytes() == (tmp_path / "clean.h5").read_bytes()


CRASHING_READER = """
import signal, sys
from kapre_cli.extraction import decode as decoding
really = decoding.AudioReader
def crashing(path, *arguments, **options):
    if "birds" in path:
        signal.raise_signal(signal.SIGSEGV)
    return really(path, *arguments, **options)
decoding.AudioReader = crashing
"""


def test_a_worker_that_dies_of_a_recording_fails_all_its_segments(
    audio: Path, table: Path, tmp_path: Path
) -> None:
    table.write_text(f"{TABLE}birds.flac,1,1.5,call,\n")
    command = ("spectrogram", str(audio), "--segments", str(table), *map(str, SMALL))
    done = run_changed(CRASHING_READER, *command, "-o", "x.h5", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        f"failed: '{audio}/site a/birds.flac', 2 segments: the worker process died" in done.stderr
    )
    assert "5 inputs: 3 written, 2 failed" in done.stderr
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert [*features] == KEYS[:3]


# Many segments


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="no /proc: reads are not counted")
def test_a_recording_is_read_once_for_all_its_segments(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "long.wav", reference.noise(1, 400 * SR, 1))
    whole = Source(str(path), "long.wav")
    sources = [whole.part(Segment(i / 5, i / 5 + 1)) for i in range(1900)]

    def n_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    result, before, n_features = RunResult(), n_read(), 0
    layer = SpectrogramConfig(n_dft=512, n_hop=512, image_data_format="channels_last")
    for _, _, array in run.arrays(sources, settings_of(layer), result):
        n_features += array.size
    assert result.n_written == len(sources)
    # The features come back from journals.
    assert n_read() - before < 1.5 * path.stat().st_size + 1.1 * 4 * n_features


def test_many_segments_of_a_long_recording_take_little_memory(tmp_path: Path) -> None:
    """The samples of all segments would take a gigabyte and more."""
    write_audio(tmp_path / "long.wav", reference.noise(1, 600 * SR, 1), subtype="PCM_16")
    rows = [f"long.wav,{i / 20},{i / 20 + 10},x{i % 3}" for i in range(11_800)]
    (tmp_path / "many.csv").write_text("\n".join(["path,start,end,label", *sorted(rows)]))
    command = ["spectrogram", "--segments", "many.csv", "-o", "x.h5", "--n-dft", "256"]
    options = ["--n-hop", "8000", "--jobs", "1"]
    assert peak_mib([*PROGRAM, *command, *options], tmp_path) <= MANY_MIB
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        assert len(features) == 11_800
