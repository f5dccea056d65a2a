"""Whole runs against the reference: every option, WAV and FLAC, one to eight channels."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from kapre_cli.extraction.decode import PlannedBlock, frame_blocks
from kapre_cli.framing import BLOCK_VALUES, Framing
from tests import reference
from tests.conftest import blocks_of, read_audio, write_audio

SMALL_MEL = ("--n-dft", 256, "--n-hop", 100, "--n-mels", 20)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Make a folder of WAV and FLAC files, one to eight channels, one shorter than a frame."""
    folder = tmp_path / "audio"
    write_audio(folder / "mono.wav", reference.noise(1, 5003, 1), subtype="PCM_16")
    write_audio(folder / "eight.flac", reference.noise(8, 3001, 2))
    write_audio(folder / "site a/four.wav", reference.noise(4, 9000, 3))
    write_audio(folder / "site a/stereo.flac", reference.noise(2, 4096, 4), subtype="PCM_16")
    write_audio(folder / "tiny.wav", reference.noise(3, 17, 5))
    return folder


def arrays(path: Path) -> dict[str, Any]:
    """Read every array of an HDF5 output with plain h5py."""
    found = {}
    with h5py.File(path) as file:
        file["features"].visititems(
            lambda key, item: found.update({key: item[()]}) if hasattr(item, "shape") else None
        )
    return found


def in_order(values: Any, kind: str, data_format: str) -> Any:
    """Return a reference of ``(channel, time, feature)`` in the order of a layer's output."""
    if kind == "melspectrogram":
        values = values.transpose(0, 2, 1)
    return values if data_format == "channels_first" else np.moveaxis(values, 0, -1)


SPECTROGRAM_OPTIONS: list[dict[str, Any]] = [
    {},
    {"n_dft": 400, "n_hop": 130},
    {"n_dft": 256, "n_hop": 700},
    {"n_dft": 16, "padding": "valid"},
    {"n_dft": 100, "n_hop": 1000},
    {"n_dft": 256, "power": 1.0},
    {"n_dft": 256, "power": 0.7, "data_format": "channels_first"},
    {"n_dft": 256, "decibel": True},
    {"n_dft": 256, "decibel": True, "data_format": "channels_first", "power": 1.0},
]
MEL_OPTIONS: list[dict[str, Any]] = [
    {"n_mels": 30},
    {"n_mels": 30, "n_dft": 400, "n_hop": 130, "power": 2.0},
    {"n_mels": 20, "n_dft": 17 * 16, "padding": "same", "data_format": "channels_first"},
    {"n_mels": 20, "fmin": 300.0, "fmax": 3000.0, "htk": True},
    {"n_mels": 20, "norm": "none"},
    {"n_mels": 20, "norm": "2"},
    {"n_mels": 20, "norm": "inf", "decibel": True},
    {"n_mels": 20, "decibel": True, "data_format": "channels_first"},
]


def as_arguments(options: dict[str, Any]) -> list[str]:
    arguments = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        arguments += [option] if value is True else [option, str(value)]
    return arguments


@pytest.mark.parametrize(
    ("kind", "options"),
    [("spectrogram", options) for options in SPECTROGRAM_OPTIONS]
    + [("melspectrogram", options) for options in MEL_OPTIONS],
    ids=str,
)
def test_arrays_are_the_references(
    kind: str, options: dict[str, Any], audio: Path, tmp_path: Path, program: Any
) -> None:
    output = tmp_path / "out.h5"
    options = {"data_format": "channels_last", **options}
    ended = program(kind, audio, "-o", output, *as_arguments(options))
    assert (ended.code, ended.out) == (0, "")
    found = arrays(output)
    assert len(found) == 5
    n_dft = options.get("n_dft", 512)
    arguments: dict[str, Any] = {
        "n_dft": n_dft,
        "n_hop": options.get("n_hop", n_dft // 2),
        "padding": options.get("padding", "same"),
    }
    if "power" in options:
        arguments["exponent"] = options["power"]
    if kind == "melspectrogram":
        arguments |= {
            name: options[name] for name in ("n_mels", "fmin", "fmax", "htk") if name in options
        }
        norm = options.get("norm", "slaney")
        arguments["norm"] = {"none": None, "slaney": "slaney"}.get(norm, norm)
        if arguments["norm"] not in (None, "slaney"):
            arguments["norm"] = float(norm)
        arguments["sr"] = 8000
    for key, actual in found.items():
        expected = getattr(reference, kind)(read_audio(audio / key), **arguments)
        if options.get("decibel"):
            expected = reference.decibels(expected)
        expected = in_order(expected, kind, options["data_format"])
        if options.get("decibel"):
            reference.require_close_decibels(actual, expected)
        else:
            reference.require_close(actual, expected)


@pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
def test_arrays_are_what_the_layer_itself_returns(
    kind: str, audio: Path, tmp_path: Path, program: Any
) -> None:
    import kapre_cli

    output = tmp_path / "out.h5"
    small = SMALL_MEL if kind == "melspectrogram" else SMALL_MEL[:4]
    assert program(kind, audio, "-o", output, *small, "--decibel").code == 0
    layer = kapre_cli.load_layer(output)
    for key, actual in arrays(output).items():
        batch = read_audio(audio / key).astype(np.float32)[None]
        np.testing.assert_allclose(actual, np.asarray(layer(batch))[0], atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        "--power 1.0",
        "--power 2.0",
        "--power 1.3",
        "--decibel",
        "--mono --decibel",
        "--sr 5000 --resample",
        "blocks of 16 frames",
    ],
)
@pytest.mark.parametrize("kind", ["spectrogram", "melspectrogram"])
def test_bits_do_not_depend_on_batch_size_order_or_company(
    kind: str,
    options: str,
    audio: Path,
    tmp_path: Path,
    program: Any,
) -> None:
    small = SMALL_MEL if kind == "melspectrogram" else SMALL_MEL[:4]
    if options.startswith("--"):
        small = (*small, *options.split())
    n_values = BLOCK_VALUES if options.startswith("--") else 16 * 129
    files = sorted(path for path in audio.rglob("*.*"))
    assert len(files) == 5
    runs: dict[str, list[Any]] = {
        "default": files,
        "reversed": files[::-1],
        "batch of 1": [*files, "--batch-size", 1],
        "batch of 16": [*files, "--batch-size", 16],
        "batch of 50": [*files, "--batch-size", 50],
        "batch of 1000": [*files, "--batch-size", 1000],
        **{f"alone: {file.name}": [file] for file in files},
    }
    expected: dict[str, Any] = {}
    for name, inputs in runs.items():
        output = tmp_path / f"{name}.h5"
        with blocks_of(n_values):
            assert program(kind, *inputs, "-o", output, "--root", audio, *small).code == 0
        for key, values in arrays(output).items():
            first = expected.setdefault(key, values)
            assert values.tobytes() == first.tobytes(), f"{key} differs in the run {name!r}"
    assert len(expected) == 5


def test_long_inputs_are_cut_into_blocks_without_a_seam(tmp_path: Path, program: Any) -> None:
    path = write_audio(tmp_path / "long.wav", reference.noise(2, 30_011))
    outputs = {}
    for values in (2**21, 2**13):  # the second: blocks of 32 frames
        for kind in ("hdf5", "npy", "gzip"):
            suffix = ".npy" if kind == "npy" else ".h5"
            output = tmp_path / f"{kind}{values}{suffix}"
            more = ("--compression", "gzip") if kind == "gzip" else ()
            layer = (*SMALL_MEL, "--decibel")
            with blocks_of(values):
                ended = program(
                    *("melspectrogram", path, "-o", output, *layer, *more, "--root", tmp_path)
                )
            assert ended.code == 0, ended.err
            outputs[kind, values] = np.load(output) if kind == "npy" else arrays(output)["long.wav"]
    expected = reference.decibels(
        reference.melspectrogram(read_audio(path), n_dft=256, n_hop=100, sr=8000, n_mels=20)
    )
    for values in outputs.values():
        reference.require_close_decibels(values, in_order(expected, "melspectrogram", "last"))
        assert values.tobytes() == outputs["hdf5", 2**21].tobytes()


class _Signal:
    """As much of an AudioReader as a window needs, over an array."""

    def __init__(self, samples: Any) -> None:
        self.samples, self.position = samples, 0
        self.n_channels, self.n_samples = samples.shape

    def read(self, n_samples: int) -> Any:
        assert n_samples > 0
        assert self.position + n_samples <= self.n_samples
        self.position += n_samples
        return self.samples[:, self.position - n_samples : self.position].T

    def finish(self) -> None:
        self.position = self.n_samples


@settings(max_examples=200)
@given(
    length=st.integers(1, 200),
    n_dft=st.integers(2, 30),
    n_hop=st.integers(1, 50),
    padding=st.sampled_from(["same", "valid"]),
    block_values=st.integers(1, 200),
)
def test_blocks_hold_each_frames_samples_and_pads(
    length: int, n_dft: int, n_hop: int, padding: str, block_values: int
) -> None:
    if padding == "valid" and length < n_dft:
        return
    framing = Framing(n_dft, n_hop, padding, block_values)
    signal = np.arange(1, 2 * length + 1, dtype=np.float32).reshape(2, length)
    padded = np.pad(signal, ((0, 0), framing.pads(length)))
    seen = 0
    reader: Any = _Signal(signal)
    active: Any = None
    planned = [
        PlannedBlock(first, first, n_frames, active)
        for first, n_frames in framing.blocks(framing.n_time(length), 3, 2)
    ]
    for block in frame_blocks(planned, reader, framing):
        assert block.first_frame == seen
        count = block.n_frames
        start = seen * n_hop
        np.testing.assert_array_equal(
            block.samples, padded[:, start : start + (count - 1) * n_hop + n_dft]
        )
        seen += count
    assert seen == framing.n_time(length)
    assert reader.position == length


def test_channels_mono_and_resampling_reach_the_layer(tmp_path: Path, program: Any) -> None:
    signal = reference.noise(3, 6000)
    path = write_audio(tmp_path / "a.wav", signal, sr=16_000)
    output = tmp_path / "out.h5"
    options = ("--n-dft", 128, "--data-format", "channels_first", "--overwrite", "--root", tmp_path)

    def features(*more: object) -> Any:
        ended = program("spectrogram", path, "-o", output, *options, *more)
        assert ended.code == 0, ended.err
        return arrays(output)["a.wav"]

    def expected(of: Any) -> Any:
        return reference.spectrogram(of, n_dft=128, n_hop=64)

    reference.require_close(features("--channel", 2, "--channel", 0), expected(signal[[2, 0]]))
    reference.require_close(features("--mono"), expected(signal.mean(axis=0, keepdims=True)))
    halved = soxr.resample(signal.T.astype(np.float64), 16_000, 8000, quality="VHQ").T
    reference.require_close(features("--sr", 8000, "--resample"), expected(halved))
    with h5py.File(output) as file:
        metadata = json.loads(file["features/a.wav"].attrs["input"])
    assert (metadata["sr"], metadata["source_sr"], metadata["n_samples"]) == (8000, 16_000, 3000)


def test_float16_and_float64_are_the_same_numbers(tmp_path: Path, program: Any) -> None:
    path = write_audio(tmp_path / "a.wav", reference.noise(1, 3000))
    found = {}
    for dtype in ("float32", "float16", "float64"):
        output = tmp_path / f"{dtype}.npy"
        assert program("spectrogram", path, "-o", output, "--dtype", dtype).code == 0
        found[dtype] = np.load(output)
        assert found[dtype].dtype == dtype
    np.testing.assert_array_equal(found["float64"], found["float32"])
    np.testing.assert_array_equal(found["float16"], found["float32"].astype(np.float16))


def test_values_too_large_for_their_type_fail_the_input(tmp_path: Path, program: Any) -> None:
    folder = tmp_path / "audio"
    write_audio(folder / "a.wav", reference.noise(1, 3000))
    write_audio(folder / "loud.wav", 1000 * reference.noise(1, 3000))
    write_audio(folder / "louder.wav", 1e20 * reference.noise(1, 3000))
    ended = program("spectrogram", folder, "-o", tmp_path / "out.h5", "--dtype", "float16")
    assert ended.code == 1
    assert "loud.wav': its largest value, " in ended.err
    assert "does not fit float16 (at most 65504); take --dtype float32 or decibels" in ended.err
    assert "louder.wav': its samples are so large that float32 overflows in frames 0" in ended.err
    assert "3 inputs: 1 written, 2 failed" in ended.err
    assert list(arrays(tmp_path / "out.h5")) == ["a.wav"]


@pytest.mark.parametrize("power", [0.999, 1.0])  # the first is computed in float64
def test_float32_overflows_whatever_the_precision_inside(
    power: float, tmp_path: Path, program: Any
) -> None:
    path = write_audio(tmp_path / "a.wav", np.full((1, 3000), 3e38))
    ended = program("spectrogram", path, "-o", tmp_path / "out.h5", "--power", power)
    assert ended.code == 1
    assert "its samples are so large that float32 overflows in frames 0 to 11;" in ended.err


@pytest.mark.parametrize("how", ["zero", "keep"])
@pytest.mark.parametrize("decibel", ["--decibel", "--no-decibel"])
def test_samples_that_are_not_finite_are_zeroed_or_kept(
    how: str, decibel: str, tmp_path: Path, program: Any
) -> None:
    signal = reference.noise(2, 6000).astype(np.float32)
    signal[1, 3000], signal[0, 10] = np.nan, np.inf
    write_audio(tmp_path / "a.wav", signal)
    output = tmp_path / "out.h5"
    options = ("--n-dft", 256, "--n-hop", 128, "--data-format", "channels_first", decibel)
    ended = program("spectrogram", tmp_path / "a.wav", "-o", output, "--non-finite", how, *options)
    assert ended.code == 0, ended.err
    found = arrays(output)["a.wav"]
    expected = reference.spectrogram(np.nan_to_num(signal, posinf=0.0), n_dft=256, n_hop=128)
    whole = np.ones(expected.shape[:2], bool)
    if how == "keep":  # every frame that holds one, and no other
        n_time = expected.shape[1]
        starts = np.arange(n_time) * 128 - ((n_time - 1) * 128 + 256 - 6000) // 2
        for channel, sample in ((1, 3000), (0, 10)):
            whole[channel] &= ~((starts <= sample) & (sample < starts + 256))
        assert np.isnan(found[~whole]).all()
    with h5py.File(output) as file:
        metadata = json.loads(file["features"]["a.wav"].attrs["input"])
    assert metadata["n_non_finite"] == 2
    if decibel == "--decibel":
        # The reference is the largest value that is finite.
        values = np.where(whole[..., None], expected, 0.0)
        reference.require_close_decibels(found[whole], reference.decibels(values)[whole])
    else:
        reference.require_close(found[whole], expected[whole])


def test_truncated_files_are_taken_if_that_is_asked_for(tmp_path: Path, program: Any) -> None:
    signal = reference.noise(2, 20_000)
    wholes = {}
    for name in ("a.wav", "b.flac"):
        path = write_audio(tmp_path / "audio" / name, signal, subtype="PCM_16")
        wholes[name] = read_audio(path)
        os.truncate(path, path.stat().st_size * 2 // 3)
    output = tmp_path / "out.h5"
    ended = program("spectrogram", tmp_path / "audio", "-o", output)
    assert ended.code == 1
    assert ended.err.count("; --allow-truncated reads the available samples") == 2
    assert not output.exists()
    ended = program("spectrogram", tmp_path / "audio", "-o", output, "--allow-truncated")
    assert ended.code == 0, ended.err
    for key, found in arrays(output).items():
        with h5py.File(output) as file:
            metadata = json.loads(file["features"][key].attrs["input"])
        came = metadata["n_samples"]
        assert came + metadata["n_missing"] == 20_000
        assert 5000 < came < 15_000
        expected = reference.spectrogram(wholes[key][:, :came], n_dft=512, n_hop=256)
        reference.require_close(found, in_order(expected, "spectrogram", "last"))
