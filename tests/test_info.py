"""kapre-extract info: what it says is so, and it looks at nothing but the metadata."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soundfile

import kapre_cli
from kapre_cli.cli import run
from kapre_cli.cli.streams import echo
from kapre_cli.formats.hdf5_index import index_datasets
from kapre_cli.formats.metadata import InputMetadata, OutputMetadata, dumps
from kapre_cli.formats.npy import root_dict
from kapre_cli.inspect.summary import chosen
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.settings import AudioSettings, ExtractionSettings, LayerConfig, OutputSettings
from tests import reference
from tests.conftest import write_audio
from tests.test_hostile import Change, column, index

MEL = ("--n-dft", 256, "--n-mels", 20, "--data-format", "channels_last", "--resample")
LENIENT = ("--allow-truncated", "--non-finite", "keep")
FORMATS = ("out.h5", "out")
MANY = 100_000

JSON = {
    "output",
    "format",
    "format_version",
    "bytes",
    "layer",
    "settings",
    "versions",
    "weights",
    "chosen",
    "axes",
    "frequency",
    "n_inputs",
    "n_recordings",
    "n_segments",
    "labels",
    "seconds",
    "n_frames",
    "source_rates",
    "channels",
    "shortest",
    "longest",
    "median_seconds",
    "outliers",
    "inputs",
}


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give ten recordings, most of them alike."""
    folder = tmp_path_factory.mktemp("info") / "audio"
    for number in range(5):
        write_audio(folder / f"usual/{number}.wav", reference.noise(1, 8000))
    write_audio(folder / "channels.wav", reference.noise(3, 8000))
    write_audio(folder / "click.wav", reference.noise(1, 100))
    write_audio(folder / "long.wav", reference.noise(1, 88_000))
    write_audio(folder / "rate.wav", reference.noise(1, 4000), sr=4000)
    cut = write_audio(folder / "cut.wav", reference.noise(1, 8000))
    cut.write_bytes(cut.read_bytes()[:-400])
    holes = reference.noise(1, 8000)
    holes[0, 100:103] = np.nan
    write_audio(folder / "holes.wav", holes)
    return folder


@pytest.fixture(scope="module", params=FORMATS)
def output(request: pytest.FixtureRequest, audio: Path) -> Path:
    path = audio.parent / request.param
    arguments = ["melspectrogram", audio, "-o", path, *MEL, *LENIENT, "--sr", 8000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        assert run(list(map(str, arguments))) == 0
    return path


def parsed(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_has_the_whole(output: Path, program: Any) -> None:
    ended = program("info", output, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = parsed(ended.out)
    assert ended.out.count("\n") == 1
    assert set(told) == JSON
    files = [path for path in (output, *output.rglob("*")) if path.is_file()]
    assert told["bytes"] == sum(path.stat().st_size for path in files)
    assert told["output"] == str(output)
    assert told["axes"] == ["mel", "time", "channel"]
    with kapre_cli.open_features(output) as features:
        assert told["layer"]["config"]["n_mels"] == features.layer.n_features
        assert told["versions"] == features.versions
        assert told["settings"]["dtype"] == "float32"
        assert told["n_inputs"] == len(features) == 11
        arrays = list(features.values())
        assert told["n_frames"] == sum(array.shape[1] for array in arrays)
        seconds = [array.metadata.n_samples / 8000 for array in arrays]
        assert told["seconds"] == pytest.approx(sum(seconds))
        assert told["frequency"] == {
            "n": 20,
            "lowest": features.frequency[0],
            "highest": features.frequency[-1],
        }
    assert told["shortest"] == {"key": "click.wav", "seconds": 100 / 8000}
    assert told["longest"] == {"key": "long.wav", "seconds": 11.0}
    assert told["median_seconds"] == 1.0
    assert told["source_rates"] == [
        {"value": 8000, "n_inputs": 10},
        {"value": 4000, "n_inputs": 1},
    ]
    assert told["channels"] == [{"value": 1, "n_inputs": 10}, {"value": 3, "n_inputs": 1}]
    assert (told["n_recordings"], told["n_segments"], told["labels"]) == (11, 0, [])
    assert told["inputs"] == []


def test_the_odd_ones_are_found(output: Path, program: Any) -> None:
    odd = parsed(program("info", output, "--json").out)["outliers"]
    assert {(one["key"], one["name"], one["value"], one["usual"]) for one in odd} == {
        ("channels.wav", "n_channels", 3, 1),
        ("click.wav", "n_samples", 100, 256),
        ("click.wav", "seconds", 0.0125, 1.0),
        ("cut.wav", "n_missing", 100, 0),
        ("holes.wav", "n_non_finite", 3, 0),
        ("long.wav", "seconds", 11.0, 1.0),
        ("rate.wav", "source_sr", 4000, 8000),
    }
    told = program("info", output).out
    for line in (
        "    'channels.wav' (3)",
        "    'click.wav' (100)",
        "    'cut.wav' (100 missing)",
        "    'holes.wav' (3)",
        "    'rate.wav' (4,000 Hz)",
        "    'click.wav' (12.5 ms), 'long.wav' (11.0 s)",
    ):
        assert line in told.splitlines()


def test_what_was_chosen_is_told_first(output: Path, program: Any) -> None:
    told = program("info", output).out
    kept = " ".join(told.split())
    assert "layer Melspectrogram n_dft 256 sr 8000 n_mels 20 by default: n_hop 128" in kept
    assert (
        "settings sr 8000 resample yes allow_truncated yes non_finite keep by default: channels"
    ) in kept
    chosen_ones = parsed(program("info", output, "--json").out)["chosen"]
    assert chosen_ones == [
        *("n_dft", "sr", "n_mels"),
        *("resample", "allow_truncated", "non_finite"),
    ]


@pytest.mark.parametrize(
    ("layer", "audio", "names"),
    [
        (SpectrogramConfig(image_data_format="channels_last"), {}, {"sr"}),
        (
            SpectrogramConfig(n_dft=64, n_hop=32, image_data_format="channels_first"),
            {"channels": (1,), "mono": True},
            {"sr", "n_dft", "image_data_format", "channels", "mono"},
        ),
        (
            MelspectrogramConfig(
                sr=8000, n_hop=9, fmax=4000, norm=np.inf, image_data_format="channels_last"
            ),
            {},
            {"sr", "n_hop", "norm"},
        ),
    ],
)
def test_what_follows_from_other_arguments_was_not_chosen(
    layer: LayerConfig, audio: dict[str, Any], names: set[str]
) -> None:
    output = OutputSettings(path=Path("x"), format="npy-directory")
    settings = ExtractionSettings(layer=layer, audio=AudioSettings(sr=8000, **audio), output=output)
    assert chosen(OutputMetadata.of(settings)) == names


def test_keys_are_described(output: Path, audio: Path, program: Any) -> None:
    ended = program("info", output, "rate.wav", "usual/3.wav", "rate.wav", "--json")
    described = parsed(ended.out)["inputs"]
    assert [one["key"] for one in described] == ["rate.wav", "usual/3.wav"]
    with kapre_cli.open_features(output) as features:
        for one in described:
            array = features[one["key"]]
            assert one["shape"] == list(array.shape)
            assert one["dtype"] == "float32"
            assert one["first_frame"] == array.times[0]
            assert one["last_frame"] == pytest.approx(array.times[-1])
            assert {name: one[name] for name in InputMetadata._fields} == array.metadata.to_dict()
    ended = program("info", output, "rate.wav", "cut.wav")
    first, second = ended.out.split("\n\n")
    assert first.startswith("'rate.wav'\n  array   mel (20) x time (63) x channel (1), float32\n")
    assert "8,000 samples at 8,000 Hz, converted from 4,000 Hz" in first
    assert str(audio / "rate.wav") in first
    assert "note    100 samples missing" in second
    assert "layer" not in ended.out


def test_unknown_keys_are_refused_with_a_hint(output: Path, program: Any) -> None:
    ended = program("info", output, "usual/3.wav", "usal/1.wav")
    assert (ended.code, ended.out) == (2, "")
    assert "no input has the key 'usal/1.wav'; the output has 11 keys, similar" in ended.err
    assert " keys are 'usual/1.wav', " in ended.err
    assert program("info", output, "").code == 2
    ended = program("info", output, "\x1b[31m")
    assert ended.code == 2
    assert "\x1b" not in ended.err


def test_a_single_npy_has_a_summary_too(audio: Path, tmp_path: Path, program: Any) -> None:
    one = tmp_path / "one.npy"
    assert program("spectrogram", audio / "long.wav", "-o", one).code == 0
    told = parsed(program("info", one, "--json").out)
    assert (told["format"], told["n_inputs"], told["outliers"]) == ("npy", 1, [])
    assert told["bytes"] == one.stat().st_size + Path(f"{one}.json").stat().st_size
    assert "one .npy file with its metadata beside it" in program("info", one).out


def test_control_characters_never_reach_the_terminal(
    audio: Path, tmp_path: Path, program: Any
) -> None:
    evil = tmp_path / "in" / "\x1b[31mred\n.wav"
    evil.parent.mkdir()
    evil.write_bytes((audio / "usual/0.wav").read_bytes())
    output = tmp_path / "out.h5"
    assert program("spectrogram", evil.parent, "-o", output).code == 0
    with h5py.File(output, "r+") as file:
        versions = {"keras\x1b[2J": "3\x07"}
        file.attrs["versions"] = np.bytes_(json.dumps(versions))
    for arguments in ((), ("\x1b[31mred\n.wav",)):
        ended = program("info", output, *arguments)
        assert ended.code == 0
        assert r"'\x1b[31mred\n.wav'" in ended.out
        assert ended.out.replace("\n", "").isprintable()


NO_OUTPUTS = {
    "folder": "is a folder without kapre-extract.json, so no output of kapre-extract; of the",
    "fifo": "is not a plain file",
    "notes.txt": "is no output of kapre-extract, and no recording that can be read: it is not WAV",
    "empty.h5": "is no output of kapre-extract, and no recording that can be read: the file is",
    "torn.h5": "cannot be read: it is not a complete HDF5 file",
    "cut.wav": "is no output of kapre-extract, and no recording that can be read: the file ends",
    "samples.raw": "if it is samples without a header, --raw-format names their format",
}


@pytest.mark.parametrize("name", NO_OUTPUTS)
def test_what_is_no_output_fails(name: str, audio: Path, tmp_path: Path, program: Any) -> None:
    path = tmp_path / name
    if name == "folder":
        write_audio(path / "a.wav", reference.noise(1, 100))
    elif name == "fifo":
        os.mkfifo(path)
    else:
        recorded = (audio / "rate.wav").read_bytes()
        content = {"notes.txt": b"mine", "torn.h5": b"\x89HDF\r\n\x1a\n", "cut.wav": recorded[:30]}
        content["samples.raw"] = bytes(range(256))
        path.write_bytes(content.get(name, b""))
    for command in (["info", path], ["verify", path], ["compare", path, path]):
        ended = program(*command)
        failed(ended, path)
        assert NO_OUTPUTS[name] in ended.err


# Recordings


def written_as(path: Path, subtype: str, kind: str | None = None, sr: int = 8000) -> Path:
    return write_audio(path, reference.noise(2, 4000) / 4, sr, subtype, format=kind)


@pytest.mark.parametrize(
    ("name", "subtype", "kind", "told"),
    [
        ("a.wav", "PCM_16", None, "WAV, 16-bit PCM"),
        ("a.wav", "PCM_24", "WAVEX", "WAV, 24-bit PCM"),
        ("a.wav", "FLOAT", "RF64", "WAV, 32-bit float"),
        ("a.w64", "DOUBLE", None, "WAV, 64-bit float"),
        ("a.wav", "ULAW", None, "WAV, mu-law"),
        ("a.wav", "MS_ADPCM", None, "WAV, Microsoft ADPCM"),
        ("a.bin", "PCM_24", "FLAC", "FLAC, 24-bit"),
    ],
)
def test_a_recording_shows_its_header(
    name: str, subtype: str, kind: str | None, told: str, tmp_path: Path, program: Any
) -> None:
    path = written_as(tmp_path / name, subtype, kind)
    n_samples = soundfile.info(path).frames
    ended = program("info", path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"{str(path)!r}: a recording, not an output of kapre-extract",
        f"  kind      {told}",
        "  rate      8,000 Hz",
        "  channels  2",
        f"  length    {n_samples / 8:.3g} ms, {n_samples:,} samples a channel",
        f"  size      {path.stat().st_size / 1000:.1f} kB",
    ]
    kind_of, encoding = told.split(", ")
    assert parsed(program("info", path, "--json").out) == {
        "recording": str(path),
        "kind": kind_of,
        "encoding": encoding,
        "sr": 8000,
        "n_channels": 2,
        "n_samples": n_samples,
        "seconds": n_samples / 8000,
        "bytes": path.stat().st_size,
        "notes": [],
    }


def test_a_big_endian_recording_is_told(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 100), subtype="PCM_16", endian="BIG")
    assert "  kind      WAV, 16-bit PCM, big-endian\n" in program("info", tmp_path / "a.wav").out


def test_an_output_without_arrays_has_neither_rates_nor_lengths(
    tmp_path: Path, program: Any
) -> None:
    recording = written_as(tmp_path / "a.wav", "PCM_16")
    output = tmp_path / "empty.h5"
    assert program("spectrogram", recording, "-o", output, "--shard", "1/2").code == 0
    ended = program("info", output)
    assert (ended.code, "  rates        computed at 8,000 Hz\n" in ended.out) == (0, True)
    assert not any(row in ended.out for row in ("\n  channels  ", "\n  lengths  "))


def test_what_a_run_would_say_of_a_recording_is_told(tmp_path: Path, program: Any) -> None:
    cut = written_as(tmp_path / "cut.wav", "PCM_16")
    os.truncate(cut, 8044)
    ended = program("info", cut)
    assert ended.code == 0
    assert "4,000 samples a channel" in ended.out
    assert (
        "  note      it cannot be extracted as it is: truncated: the header declares "
        "4,000 samples, 2,000 are available; --allow-truncated reads the available samples\n"
    ) in ended.out
    piped = bytearray(written_as(tmp_path / "piped.flac", "PCM_16").read_bytes())
    piped[21] &= 0xF0  # the total is open
    piped[22:26] = bytes(4)
    (tmp_path / "piped.flac").write_bytes(piped)
    told = parsed(program("info", tmp_path / "piped.flac", "--json").out)
    assert (told["n_samples"], told["seconds"]) == (None, None)
    assert told["notes"] == [
        "its header does not state a length, for example because it was written into a pipe"
    ]
    assert "  length    not in the header\n" in program("info", tmp_path / "piped.flac").out


def test_a_recording_in_the_place_of_an_output_is_named(
    output: Path, audio: Path, tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = tmp_path / "the night.wav"
    recorded.write_bytes((audio / "rate.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    for command in (
        *(["verify", recorded], ["compare", output, recorded], ["compare", recorded, output]),
        *(["merge", output, recorded, "-o", "all"], ["merge", recorded, "-o", "all.h5"]),
    ):
        ended = program(*command)
        assert (ended.code, ended.out) == (2, ""), command
        assert ended.err == (
            f"kapre-extract: Error: {str(recorded)!r} is a recording (WAV, 4,000 Hz, 1 channel), "
            "not an output of kapre-extract; "
            f"kapre-extract melspectrogram '{recorded}' -o OUTPUT.h5 makes one\n"
        )
    with pytest.raises(ValueError, match="is a recording"):
        kapre_cli.open_features(recorded)
    for command in (["info", recorded, "a key"], ["plot", recorded, "a key", "-o", "a.png"]):
        ended = program(*command)
        assert (ended.code, ended.out) == (2, "")
        assert "is a recording, not an output: it has no keys" in ended.err
    assert os.listdir(tmp_path) == ["the night.wav"]


def test_torn_outputs_fail(output: Path, tmp_path: Path, program: Any) -> None:
    torn = tmp_path / output.name
    copy = shutil.copytree if output.is_dir() else shutil.copy
    copy(output, torn)
    cut = torn / "manifest.jsonl" if torn.is_dir() else torn
    os.truncate(cut, cut.stat().st_size - 100)
    failed(program("info", torn), torn)


def failed(ended: Any, path: Path) -> None:
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"kapre-extract: Error: '{path}' ")
    assert len(ended.err.splitlines()) == 1


INDEX: dict[str, tuple[Change, str]] = {
    "no samples": (column("n_samples", 0, "<i8"), "'n_samples' of an input is 0"),
    "another rate": (column("sr", 44100, "<i8"), "an input's rate is 44,100 Hz"),
    "no time": (column("time_step", np.nan, "<f8"), "'time_step' of an input is nan"),
    "half a sample": (column("n_samples", 0.5, "<f8"), "'index' is not of the type"),
    "no checksums": (
        index(lambda table: table[[name for name in table.dtype.names if name != "crc32"]].copy()),
        "'index' is not of the type",
    ),
}


@pytest.mark.parametrize("spoilt", INDEX)
def test_metadata_out_of_range_are_refused(
    spoilt: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    assert program("spectrogram", audio / "usual", "-o", output).code == 0
    change, message = INDEX[spoilt]
    with h5py.File(output, "r+") as file:
        change(file)
    ended = program("info", output)
    failed(ended, output)
    assert message in ended.err


def test_nothing_that_is_printed_moves_the_cursor(capfd: pytest.CaptureFixture[str]) -> None:
    echo("what a library says of \x1b[31m.wav\nand of \x07 and ä")
    assert capfd.readouterr().out == "what a library says of \\x1b[31m.wav\nand of \\x07 and ä\n"


# Large outputs


def metadata_of_many() -> list[tuple[str, InputMetadata]]:
    return [
        (
            f"site {number % 100}/{number:06}.wav",
            InputMetadata(f"/data/{number:06}.wav", 8000, 8000, 4000, 1, 0.0, 0.004, 8044, number),
        )
        for number in range(MANY)
    ]


def test_many_inputs_are_told_from_the_index_alone(tmp_path: Path, at_once: Any) -> None:
    # There is no array at all: whoever looks for one fails.
    layer = MelspectrogramConfig(sr=8000, n_dft=64, n_mels=8, image_data_format="channels_last")
    output = OutputSettings(path=tmp_path / "many.h5", format="hdf5")
    root = OutputMetadata.of(
        ExtractionSettings(layer=layer, audio=AudioSettings(sr=8000), output=output)
    )
    hertz = layer.feature_positions(8000).values
    many = metadata_of_many()
    with h5py.File(output.path, "w") as file:
        file.create_group("features")
        file["frequency"] = hertz
        for name, values in index_datasets(
            [key for key, _ in many], [one for _, one in many]
        ).items():
            file[name] = values
        for name, value in root.to_dict().items():
            text = dumps(value) if isinstance(value, dict) else value
            file.attrs[name] = np.bytes_(text) if isinstance(text, str) else text
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "kapre-extract.json").write_text(dumps(root_dict(root, hertz)))
    with (folder / "manifest.jsonl").open("w") as manifest:
        for key, metadata in many:
            row = {"key": key, "axes": list(layer.axes), **metadata.to_dict()}
            manifest.write(dumps(row) + "\n")
    for path in (output.path, folder):
        ended = at_once("info", path, "--json")
        assert ended.code == 0, ended.err
        told = parsed(ended.out)
        assert (told["n_inputs"], told["seconds"], told["n_frames"]) == (MANY, 50_000.0, 12_500_000)
        assert told["outliers"] == []


def test_a_closed_pipe_is_no_error(output: Path) -> None:
    ended = subprocess.run(
        [
            "bash",
            "-c",
            f"'{sys.executable}' -m kapre_cli info '{output}' | true; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert ended.stderr == ""
    assert ended.stdout in ("141\n", "0\n")  # 0: it was all written before anybody left


def test_a_full_disk_is_told(output: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device without room")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "kapre_cli", "info", output],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    assert ended.returncode == 1
    assert "'standard output' cannot be written: No space left on device" in ended.stderr
