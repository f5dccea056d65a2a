"""``--like`` and ``info --config``: the settings of an output make another one of the same kind."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.cli import program as command_line
from kapre_cli.cli.like import settings_text
from kapre_cli.cli.run_options import audio_settings, layer_config, output_settings
from kapre_cli.formats.metadata import OutputMetadata
from kapre_cli.formats.npy import NpyDirectoryWriter
from kapre_cli.layers import MelspectrogramConfig
from kapre_cli.settings import (
    DTYPES,
    LAYERS,
    NON_FINITE,
    RAW_ENCODINGS,
    REFERENCES,
    AudioSettings,
    ExtractionSettings,
    LayerConfig,
    resolved_layer,
)
from tests import reference
from tests.conftest import write_audio
from tests.test_defaults import context

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = {LAYERS[name].command: LAYERS[name] for name in LAYERS.built_in}
SR = 8000


@pytest.fixture
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with recordings of this year and of last year."""
    write_audio(tmp_path / "audio/a.wav", reference.noise(2, 4000), SR)
    write_audio(tmp_path / "audio/b.flac", 0.1 * reference.noise(3, 6000, 1), SR)
    monkeypatch.chdir(tmp_path)
    return Path("audio")


# Whole runs

RUNS = {
    "mel, one file": (
        *("melspectrogram", "audio", "--n-dft", 256, "--n-hop", 100, "--padding", "valid"),
        *("--n-mels", 20, "--fmin", 100, "--fmax", 3000, "--htk", "--norm", "none", "--power", 2),
        *("--decibel", "--amin", 1e-6, "--channel", 1, "--channel", 0, "--dtype", "float16"),
        *("--compression", "gzip", "--dimension-scales", "-o", "last.h5"),
    ),
    "mel, a folder": (
        *("melspectrogram", "audio", "--n-mels", 9, "--norm", "inf", "--mono", "--sr", 4000),
        *("--resample", "--data-format", "channels_first", "--allow-truncated", "--non-finite"),
        *("zero", "--no-verify-audio", "--max-samples", 100_000, "-o", "last"),
    ),
    "one array without a header": (
        *("spectrogram", "samples.raw", "--raw-format", "s16le,8000,2", "--power", 0.5),
        *("--n-dft", 100, "--data-format", "channels_last", "-o", "last.npy"),
    ),
    "defaults": ("spectrogram", "audio", "-o", "last.h5"),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_run_like_another_has_its_settings(case: str, audio: Path, process: Any) -> None:
    assert audio
    Path("samples.raw").write_bytes(np.arange(8000, dtype="<i2").tobytes())
    command, given_input, *options = RUNS[case]
    last = str(options[-1])
    assert process(command, given_input, *options).code == 0
    printed = process("info", last, "--config")
    assert (printed.code, printed.err) == (0, "")
    Path("last.toml").write_text(printed.out)
    for name, source in {"next": ("--like", last), "third": ("--config", "last.toml")}.items():
        output = last.replace("last", name)
        ended = process(command, given_input, "-o", output, *source)
        assert ended.code == 0, ended.err
        compared = process("compare", last, output)
        assert compared.code == 0
        n_inputs = "1 input" if last.endswith(".npy") else "2 inputs"
        assert compared.out == f"{n_inputs} in both: {n_inputs[0]} the same\n"
        if Path(last).is_file():
            assert Path(output).read_bytes() == Path(last).read_bytes()


def test_an_output_may_replace_the_one_that_it_is_like(audio: Path, program: Any) -> None:
    assert audio
    assert program("melspectrogram", "audio", "-o", "x.h5", "--n-mels", 9, "--htk").code == 0
    before = Path("x.h5").read_bytes()
    again = ("melspectrogram", "audio", "-o", "x.h5", "--like", "x.h5")
    assert program(*again).code == 2  # it exists
    for how in ("--overwrite", "--resume"):
        ended = program(*again, how)
        assert ended.code == 0, ended.err
        assert Path("x.h5").read_bytes() == before
    assert program(*again, "--overwrite", "--no-htk").code == 0
    with kapre_cli.open_features("x.h5") as features:
        assert features.layer == MelspectrogramConfig(
            sr=SR, n_mels=9, image_data_format=features.layer.image_data_format
        )


def test_recordings_of_another_rate_fail_unless_they_are_resampled(
    audio: Path, program: Any
) -> None:
    assert audio
    write_audio(Path("other/c.wav"), reference.noise(1, 3000), 2 * SR)
    assert program("melspectrogram", "audio", "-o", "x.h5", "--n-mels", 9).code == 0
    ended = program("melspectrogram", "other", "-o", "y.h5", "--like", "x.h5")
    assert ended.code == 1
    assert "sample rate is 16,000 Hz, this run uses 8,000 Hz (use --resample" in ended.err
    ended = program("melspectrogram", "other", "-o", "y.h5", "--like", "x.h5", "--resample")
    assert ended.code == 0, ended.err
    with kapre_cli.open_features("y.h5") as features:
        assert features["c.wav"].metadata.sr == SR


def test_a_shard_is_no_model_for_a_shard(audio: Path, program: Any) -> None:
    assert audio
    assert program("spectrogram", "audio", "-o", "1.h5", "--shard", "1/2").code == 0
    assert program("spectrogram", "audio", "-o", "all.h5", "--like", "1.h5").code == 0
    with kapre_cli.open_features("all.h5") as features:
        assert list(features) == ["a.wav", "b.flac"]
    assert "shard" not in program("info", "1.h5", "--config").out


# Every setting

TO_MELS = {
    "n-mels": st.integers(1, 200),
    "fmin": st.floats(0, 100),
    "fmax": st.floats(200, SR / 2),
    "htk": st.booleans(),
    "norm": st.sampled_from(["slaney", "none", "inf", "-inf", "0", "2", "1e-5"]),
}
SETTINGS: Mapping[str, st.SearchStrategy[Any]] = {
    "n-dft": st.integers(2, 5000),
    "n-hop": st.integers(1, 5000),
    "padding": st.sampled_from(["same", "valid"]),
    "power": st.floats(0, 10, exclude_min=True),
    "decibel": st.booleans(),
    "amin": st.floats(1e-30, 1e30),
    "data-format": st.sampled_from(["default", "channels_first", "channels_last"]),
    "sr": st.integers(SR, 10**8),
    "resample": st.just(True),
    "channel": st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
    "mono": st.just(True),
    "raw-format": st.sampled_from([f"{one},{SR},2" for one in RAW_ENCODINGS]),
    "allow-truncated": st.just(True),
    "non-finite": st.sampled_from(NON_FINITE),
    "verify-audio": st.booleans(),
    "max-samples": st.integers(1, 2**63 - 1),
    "dtype": st.sampled_from(DTYPES),
    "compression": st.sampled_from(["none", "gzip", "lzf"]),
    "dimension-scales": st.just(True),
    "engine": st.sampled_from(["auto", "numpy", "keras"]),
    "reference": st.sampled_from(REFERENCES),
}


def words_of(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]


def metadata_of(config: type[LayerConfig], parsed: click.Context) -> OutputMetadata:
    """Return what the output of a command line states, without a run."""
    options = parsed.params
    sr = options["sr"] or SR
    settings = ExtractionSettings(
        layer=resolved_layer(layer_config(config, options, sr)),
        audio=audio_settings(options, sr),
        output=output_settings(options),
        engine=options["engine"],
        reference=options["reference"],
    )
    return OutputMetadata.of(settings)


def written(path: Path, metadata: OutputMetadata) -> Path:
    """Write an output without inputs."""
    with NpyDirectoryWriter(path, metadata) as writer:
        writer.finish()
    return path


@pytest.mark.parametrize("command", CONFIGS)
@given(data=st.data())
def test_settings_survive_an_output(
    command: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = CONFIGS[command]
    strategies = {**SETTINGS, **(TO_MELS if command == "melspectrogram" else {})}
    chosen = data.draw(st.fixed_dictionaries({}, optional=strategies))
    if not chosen.get("decibel"):
        chosen.pop("reference", None)  # which is about decibels
    words = [word for name, value in chosen.items() for word in words_of(name, value)]
    before = metadata_of(config, context(command, "in.wav", "-o", "x.h5", *words))

    folder = tmp_path_factory.mktemp("like")
    output = written(folder / "x", before)
    options = ("in.wav", "-o", "x.h5", "--like", str(output))
    assert metadata_of(config, context(command, *options)) == before

    with click.Context(command_line, info_name=command_line.name):
        (folder / "x.toml").write_text(settings_text(output))
    options = ("in.wav", "-o", "x.h5", "--config", str(folder / "x.toml"))
    assert metadata_of(config, context(command, *options)) == before


@pytest.mark.parametrize("command", CONFIGS)
def test_no_setting_is_left_out(command: str, tmp_path: Path, program: Any) -> None:
    """Every setting that an output states is printed, and the test above draws it."""
    config = CONFIGS[command]
    metadata = metadata_of(config, context(command, "in.wav", "-o", "x.h5"))
    ended = program("info", written(tmp_path / "x", metadata), "--config")
    printed = {line.lstrip("# ").partition(" ")[0].rstrip(":") for line in ended.out.split("\n")}
    drawn = {*SETTINGS, *(TO_MELS if command == "melspectrogram" else ())}
    assert {one for one in printed if one and one[0].isalpha()} == drawn


def test_what_is_printed_is_a_table_of_the_command(audio: Path, program: Any) -> None:
    assert audio
    assert program("melspectrogram", "audio", "-o", "x", "--n-mels", 9, "--mono").code == 0
    table = tomllib.loads(program("info", "x", "--config").out)
    assert [*table] == ["melspectrogram"]
    assert (table["melspectrogram"]["n-mels"], table["melspectrogram"]["mono"]) == (9, True)
    assert (table["melspectrogram"]["n-hop"], table["melspectrogram"]["fmax"]) == (256, SR / 2)
    assert "max-samples" not in table["melspectrogram"]


# What stands beside it


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    config = MelspectrogramConfig(
        n_dft=64, n_mels=9, sr=SR, return_decibel_melgram=True, norm=None, fmax=3000,
        image_data_format="channels_first",
    )  # fmt: skip
    audio = AudioSettings(sr=SR, channels=(2, 0), mono=True)
    return written(Path("model"), OutputMetadata(config, audio, "float16", "gzip", "keras", {}))


def parsed(*arguments: object) -> dict[str, Any]:
    return context("melspectrogram", "in.wav", "-o", "x.h5", *map(str, arguments)).params


def test_options_beside_it_win(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like = parsed("--like", model)
    taken = {
        "n_dft": 64,
        "n_hop": 32,
        "n_mels": 9,
        "sr": SR,
        "decibel": True,
        "norm": None,
        "fmax": 3000,
        "data_format": "channels_first",
        "channels": (2, 0),
        "mono": True,
        "dtype": "float16",
        "compression": "gzip",
        "engine": "keras",
    }
    assert like == parsed() | taken
    for place in (0, 3):
        words: list[object] = ["--no-decibel", "--channel", 1]
        words[place:place] = ["--like", model]
        assert parsed(*words) == like | {"decibel": False, "channels": (1,)}
    assert parsed("--like", model, "--norm", "slaney")["norm"] == "slaney"
    monkeypatch.setenv("KAPRE_EXTRACT_LIKE", str(model))
    monkeypatch.setenv("KAPRE_EXTRACT_N_DFT", "128")
    monkeypatch.setenv("KAPRE_EXTRACT_MONO", "0")
    assert parsed() == like | {"n_dft": 128, "mono": False}
    assert parsed("--n-dft", 256)["n_dft"] == 256


def test_it_overrides_a_file_in_any_order(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run.toml").write_text(
        'n-dft = 1024\nnorm = 2\nchannel = [5]\nmax-samples = 3\nraw-format = "u8,8000,1"\n'
        "jobs = 3\nroot = 'audio'\n"
    )
    like = parsed("--like", model)
    assert (like["max_samples"], like["raw_format"]) == (None, None)
    expected = like | {"jobs": 3, "root": "audio"}
    both = {"like": ("--like", model), "config": ("--config", "run.toml")}
    assert parsed(*both["like"], *both["config"]) == expected
    assert parsed(*both["config"], *both["like"]) == expected
    for name, (option, value) in both.items():
        with monkeypatch.context() as patched:
            patched.setenv(f"KAPRE_EXTRACT_{name.upper()}", str(value))
            (other,) = both.keys() - {name}
            assert parsed(*both[other]) == expected, option
            patched.setenv(f"KAPRE_EXTRACT_{other.upper()}", str(both[other][1]))
            assert parsed() == expected


def test_options_are_shown_with_those_of_the_output(model: Path, program: Any) -> None:
    command = ("melspectrogram", "in.wav", "-o", "x.h5")
    ended = program(*command, "--like", model, "--mono", "--show-config", "--no-decibel")
    assert (ended.code, ended.err) == (0, "")
    shown = tomllib.loads(ended.out)["melspectrogram"]
    assert (shown["norm"], shown["channel"], shown["decibel"]) == ("none", [2, 0], False)
    assert "like" not in ended.out
    Path("run.toml").write_text(ended.out)
    assert program(*command, "--config", "run.toml", "--show-config").out == ended.out


# Errors


def error_of(ended: Any) -> str:
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    return " ".join(ended.err.split())


def test_values_in_errors_are_those_of_the_output(model: Path, program: Any) -> None:
    write_audio(Path("in.wav"), reference.noise(3, 3000), SR)
    Path("run.toml").write_text("batch-size = 100_000_000\n")
    command = ("melspectrogram", "in.wav", "--like", model, "--engine", "numpy", "-o")
    assert error_of(program(*command, "x")).endswith(
        "Received: --compression gzip, format npy-directory; 'model' sets --compression"
    )
    assert error_of(program(*command, "x.h5", "--fmin", 3500)).endswith(
        "--fmin must be below --fmax. Received: --fmin 3500, --fmax 3000; 'model' sets --fmax"
    )
    assert error_of(program(*command, "x.h5", "--config", "run.toml")).endswith(
        "; 'run.toml' sets --batch-size; 'model' sets --n-dft and --n-hop"
    )
    assert error_of(program(*command, "x.h5", "--fmin", 3500, "--fmax", 3000)).endswith(
        "--fmin must be below --fmax. Received: --fmin 3500, --fmax 3000"
    )


def test_an_output_of_another_command_names_that_command(model: Path, program: Any) -> None:
    model.rename("my model")
    ended = program("spectrogram", "in.wav", "-o", "x.h5", "--like", "my model")
    assert error_of(ended).endswith(
        "'my model' has features of another layer, Melspectrogram; use kapre-extract "
        "melspectrogram --like 'my model'"
    )


@pytest.mark.parametrize(
    ("command", "argument", "value"),
    [
        ("spectrogram", "trainable_kernel", True),
        ("spectrogram", "input_data_format", "channels_last"),
        ("melspectrogram", "trainable_fb", True),
    ],
)
def test_an_argument_that_no_option_sets_is_named(
    command: str, argument: str, value: Any, tmp_path: Path, program: Any
) -> None:
    layer = replace(resolved_layer(CONFIGS[command](n_dft=2048)), **{argument: value})
    audio = AudioSettings(sr=22050)
    output = written(tmp_path / "x", OutputMetadata(layer, audio, "float32", "none", "keras", {}))
    assert error_of(program("info", output, "--config")).endswith(
        f"has features of a layer with {argument}={value!r}, which no option sets; --like takes "
        f"them, and kapre_cli.load_layer({str(output)!r}) loads it in Python"
    )
    write_audio(tmp_path / "in.wav", reference.noise(1, 3000), 22050)
    path = tmp_path / "x.h5"
    assert program(command, tmp_path / "in.wav", "-o", path, "--like", output).code == 0
    with kapre_cli.open_features(path) as features:
        assert features.layer == layer
    assert getattr(kapre_cli.load_layer(output), argument) == value


def test_what_is_no_output_is_a_usage_error(audio: Path, program: Any) -> None:
    assert program("spectrogram", "audio", "-o", "x.h5").code == 0
    Path("cut.h5").write_bytes(Path("x.h5").read_bytes()[:-3000])
    Path("text").touch()
    for name, message in {
        "gone.h5": "there is nothing at 'gone.h5'",
        "cut.h5": "'cut.h5' cannot be read: ",
        "audio": "'audio' is a folder without kapre-extract.json, so no output",
        "audio/a.wav": "'audio/a.wav' is a recording (WAV, 8,000 Hz, 2 channels), not an output",
        "text": "'text' is no output of kapre-extract, and no recording",
        "/dev/null": "'/dev/null' cannot be read: ",
    }.items():
        ended = program("spectrogram", audio, "-o", "y.h5", "--like", name)
        assert message in error_of(ended)
    assert not Path("y.h5").exists()
    assert program("info", "cut.h5", "--config").code == 1
    assert "is a recording" in error_of(program("info", "audio/a.wav", "--config"))


@pytest.mark.parametrize("more", [["--json"], ["a.wav"]])
def test_one_thing_is_printed_at_once(more: list[str], model: Path, program: Any) -> None:
    ended = program("info", model, "--config", *more)
    assert "--config prints the settings of a whole output; give it without" in error_of(ended)
