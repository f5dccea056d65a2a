"""Settings are checked, frozen, and go through JSON unchanged."""

import inspect
import json
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli import open_features
from kapre_cli.errors import SettingsError, UsageError
from kapre_cli.formats.metadata import dumps
from kapre_cli.formats.validation import validated_json
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.settings import (
    FORMATS,
    RAW_ENCODINGS,
    AudioSettings,
    ExtractionSettings,
    OutputSettings,
    RawFormat,
    layer_from_dict,
    layer_to_dict,
)
from kapre_cli.settings.formats import format_of
from kapre_cli.time_frequency import Melspectrogram, Spectrogram

positive = st.floats(1e-3, 1e3)
formats = st.sampled_from(["channels_first", "channels_last"])
shared: dict[str, st.SearchStrategy[Any]] = {
    "n_dft": st.integers(2, 2**15),
    "n_hop": st.none() | st.integers(1, 2**20),
    "padding": st.sampled_from(["same", "valid"]),
    "trainable_kernel": st.booleans(),
    "image_data_format": formats | st.just("default"),
    "input_data_format": formats,
    "amin": st.floats(2.0**-126, 1e38),
}
spectrograms = st.builds(
    SpectrogramConfig,
    power_spectrogram=positive,
    return_decibel_spectrogram=st.booleans(),
    **shared,
)
melspectrograms = st.builds(
    MelspectrogramConfig,
    sr=st.integers(8000, 500_000) | st.floats(8000, 1e6),
    n_mels=st.integers(1, 500),
    fmin=st.floats(0, 1000),
    fmax=st.none() | st.floats(1001, 4000),
    power_melgram=positive,
    return_decibel_melgram=st.booleans(),
    trainable_fb=st.booleans(),
    htk=st.booleans(),
    norm=st.sampled_from(["slaney", None, 0, 1, float("inf"), float("-inf"), "inf"])
    | st.floats(0, 10),
    **shared,
)
audio = st.builds(
    AudioSettings,
    sr=st.integers(1, 10**7),
    resample=st.booleans(),
    channels=st.none() | st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple),
    mono=st.booleans(),
    raw_format=st.none()
    | st.builds(
        RawFormat, st.sampled_from(RAW_ENCODINGS), st.integers(1, 10**8), st.integers(1, 1024)
    ),
)


@given(spectrograms | melspectrograms)
def test_layers_go_through_strict_json_unchanged(config: SpectrogramConfig) -> None:
    text = dumps(layer_to_dict(config))
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = layer_from_dict(validated_json(text))
    assert again == config
    assert type(again) is type(config)


@given(audio)
def test_audio_settings_go_through_json_unchanged(settings: AudioSettings) -> None:
    assert AudioSettings.from_dict(validated_json(dumps(settings.to_dict()))) == settings


def test_settings_of_before_there_were_raw_formats_are_understood() -> None:
    stored = AudioSettings(sr=8000).to_dict()
    del stored["raw_format"]
    assert AudioSettings.from_dict(stored) == AudioSettings(sr=8000)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("s16le", "ENCODING,RATE,CHANNELS"),
        ("s16le,44100,2,1", "ENCODING,RATE,CHANNELS"),
        ("s16le,44.1k,2", "ENCODING,RATE,CHANNELS"),
        ("s16,44100,2", "`encoding` must be one of"),
        ("s16le,44100,0", "n_channels=0"),
        ("s16le,44100,1025", "n_channels=1025"),
        ("s16le,-1,1", "sr=-1"),
        (None, "raw_format=None"),
    ],
)
def test_raw_formats_that_cannot_be_meant_are_refused(text: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        RawFormat.parse(text)


def test_a_raw_format_may_be_written_with_room() -> None:
    assert RawFormat.parse(" S24BE, 48000 ,2") == RawFormat("s24be", 48000, 2)


@pytest.mark.parametrize(
    ("layer", "config"), [(Spectrogram, SpectrogramConfig), (Melspectrogram, MelspectrogramConfig)]
)
def test_layers_and_settings_have_the_same_arguments_and_defaults(
    layer: type[Spectrogram], config: type[SpectrogramConfig]
) -> None:
    of_layer: dict[str, Any] = {}
    for one in reversed(layer.__mro__[: layer.__mro__.index(Spectrogram) + 1]):
        of_layer |= {
            name: parameter.default
            for name, parameter in inspect.signature(one).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        }
    of_config = {field.name: field.default for field in fields(config)}
    # ``None`` stands for the default; only then does the layer warn of more channels than samples.
    assert of_layer.pop("input_data_format") is None
    assert of_config.pop("input_data_format") == layer().input_data_format == "channels_first"
    assert of_layer == of_config


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SpectrogramConfig().n_dft = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"class_name": "Spectrogram"},
        {"class_name": "Lambda", "config": {}},
        {"class_name": "Spectrogram", "config": {"n_dft": 512, "function": "os.system"}},
        {"class_name": "Spectrogram", "config": [1]},
        {"class_name": "Spectrogram", "config": {"n_dft": 2**40}},
        {"class_name": "Melspectrogram", "config": {"n_mels": 10_000_000}},
        {"class_name": ["Spectrogram"], "config": {}},
        {"class_name": "kapre_cli.layers.configs:SpectrogramConfig", "config": {}},
        {"class_name": "this:that", "config": {}},
        {"class_name": "Spectrogram", "config": {}, "module": "os"},
    ],
)
def test_stored_layers_that_cannot_be_ours_are_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match=r"must|unknown"):
        layer_from_dict(stored)
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "bad",
    [{"sr": 0}, {"sr": 44100, "channels": ()}, {"sr": 44100, "channels": (1, 1)}, {"sr": 1.5}],
)
def test_bad_audio_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Received"):
        AudioSettings(**bad)


def test_a_mel_layer_must_have_the_audios_rate() -> None:
    with pytest.raises(ValueError, match="22050 Hz, audio at 44100 Hz"):
        ExtractionSettings(
            layer=MelspectrogramConfig(),
            audio=AudioSettings(sr=44100),
            output=OutputSettings(path=Path("a.h5"), format="hdf5"),
        )


def test_a_format_that_cannot_be_imported_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(FORMATS.broken, "torn", "the output format 'torn' cannot be imported")
    with pytest.raises(UsageError, match=r"no format; name .*; the output format 'torn' cannot"):
        format_of("x.torn")
    with pytest.raises(ValueError, match=r"no output of kapre-extract; .*'torn' cannot"):
        open_features(tmp_path)


def test_numpy_integers_are_taken_as_integers() -> None:
    settings = AudioSettings(sr=np.int64(8000), channels=(np.int32(1),))
    assert dumps(settings.to_dict()) == dumps(AudioSettings(sr=8000, channels=(1,)).to_dict())


@pytest.mark.parametrize(
    "bad",
    [{"format": ["npy"]}, {"format": "zip"}, {"compression": ["gzip"]}, {"compression": "zip"}],
)
def test_bad_output_settings_are_rejected(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"must be one of .*Received"):
        OutputSettings(**{"path": Path("a.npy"), "format": "npy", **bad})


def test_a_frame_of_too_many_channels_is_an_error_of_this_package() -> None:
    with pytest.raises(SettingsError, match="one frame has 2,097,153 values in each of 64"):
        SpectrogramConfig(n_dft=2**22, image_data_format="channels_last").shape(2**22, 64)


def test_only_hdf5_is_compressed() -> None:
    with pytest.raises(ValueError, match="Only the format hdf5"):
        OutputSettings(path=Path("a"), format="npy-directory", compression="gzip")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.h5", "hdf5"),
        ("v1.0/A.HDF5", "hdf5"),
        ("a.npy", "npy"),
        ("./-.npy", "npy"),
        ("-", "npy-stream"),
        *((one, "npy-directory") for one in ("a", "a.d/a", ".hidden", "a/.b", ".", "..", "x/..")),
        *(
            (one, "npy-directory")
            for one in ("v1.0/", "a.h5/", "a.wav//", "x.d/.", "ours.d", "./-")
        ),
    ],
)
def test_a_name_says_the_format(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ours.d").mkdir()
    Path("ours.d/kapre-extract.json").touch()
    assert format_of(name) == expected


@pytest.mark.parametrize(
    "name",
    ["a.nc", ".a.npz", "x/a.zarr", "a.csv", "a.wav", "rec/b.flac", "x.H5X", "a.h5.d", "v1.0", "a."],
)
def test_a_suffix_that_is_no_format_is_refused(name: str, tmp_path: Path) -> None:
    other = tmp_path / "folder.d"
    other.mkdir()
    for one in (name, str(other)):
        with pytest.raises(UsageError) as raised:
            format_of(one)
        for form in ("*.h5", "*.hdf5", "*.npy", "- (", f"'{one}/'", "format='npy-directory'"):
            assert form in str(raised.value)
    with pytest.raises(UsageError) as raised:
        format_of(name, streams=False)
    assert "- (" not in str(raised.value)
