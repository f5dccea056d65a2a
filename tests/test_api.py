"""The functions for Python: the same bits as the command, and nothing changed in the process."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import kapre_cli as kx
from kapre_cli.errors import (
    AudioReadError,
    FeatureError,
    OutputError,
    SampleRateError,
    SettingsError,
    StoredDataError,
    TooManyFailuresError,
    UsageError,
)
from kapre_cli.events import Event, InputFailed, InputWritten
from tests import reference
from tests.conftest import Ended, write_audio

SR = 8000
MEL = kx.MelspectrogramConfig(
    sr=SR, n_dft=256, n_mels=20, power_melgram=2.0, return_decibel_melgram=True
)
OPTIONS = ("--n-dft", 256, "--n-mels", 20, "--power", 2, "--decibel")
NAMES = ("a.wav", "b.flac", "site ä/night 1.wav")


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    for n_channels, name in enumerate(NAMES, 1):
        path = tmp_path / "audio" / name
        write_audio(path, reference.noise(n_channels, 3000 * n_channels, n_channels), sr=SR)
    return tmp_path / "audio"


def children_of(pid: int) -> list[int]:
    return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def servers() -> list[int]:
    """Return the processes that fork workers for this one."""
    commands = {pid: Path(f"/proc/{pid}/cmdline") for pid in children_of(os.getpid())}
    return [pid for pid, command in commands.items() if b"local_workers" in command.read_bytes()]


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


# Extraction


@pytest.mark.parametrize("name", ["x.h5", "x"])
def test_a_function_and_the_command_write_the_same_bytes(
    name: str, audio: Path, tmp_path: Path, process: Any
) -> None:
    os.makedirs(tmp_path / "by command")
    ended: Ended = process("melspectrogram", audio, "-o", tmp_path / "by command" / name, *OPTIONS)
    assert ended.code == 0, ended.err
    result = kx.extract(audio, tmp_path / name, MEL, jobs=1)
    assert (result.n_inputs, result.n_written, result.n_failed) == (3, 3, 0)
    assert result.output == tmp_path / name
    assert str(result) == "3 inputs: 3 written, 0 failed (2.2 s of audio)"
    written = [tmp_path / name, *sorted((tmp_path / name).rglob("*.*"))]
    for path in written:
        if path.is_file():
            twin = tmp_path / "by command" / path.relative_to(tmp_path)
            assert path.read_bytes() == twin.read_bytes()


def test_failures_are_collected_with_path_and_error(audio: Path, tmp_path: Path) -> None:
    spoil(audio / "a.wav")
    result = kx.extract([audio, tmp_path / "none.wav"], tmp_path / "x.h5", MEL)
    assert (result.n_written, result.n_failed, result.n_inputs) == (2, 2, 4)
    failed = {failure.path: failure for failure in result.failures}
    assert {*failed} == {str(audio / "a.wav"), str(tmp_path / "none.wav")}
    truncated = failed[str(audio / "a.wav")]
    assert truncated.key == "a.wav"
    assert isinstance(truncated.error, AudioReadError)
    assert "allow_truncated=True" in str(truncated.error)  # as Python spells it
    with kx.open_features(tmp_path / "x.h5") as features:
        assert {*features} == {*NAMES} - {"a.wav"}


def test_the_first_failure_is_raised_if_asked_for(audio: Path, tmp_path: Path) -> None:
    spoil(audio / "b.flac")
    with pytest.raises(AudioReadError, match=r"b\.flac': .*damaged or truncated") as raised:
        kx.extract(audio, tmp_path / "x.h5", MEL, on_error="raise")
    assert isinstance(raised.value.__cause__, AudioReadError)
    assert not (tmp_path / "x.h5").exists()
    write_audio(audio / "b.flac", reference.noise(2, 6000, 2), sr=SR)
    result = kx.extract(audio, tmp_path / "x.h5", MEL, resume=True, on_error="raise")
    assert result.n_written + result.n_skipped == 3


def test_a_raised_error_keeps_its_class_and_attributes(audio: Path, tmp_path: Path) -> None:
    with pytest.raises(SampleRateError) as raised:
        kx.extract(audio, tmp_path / "x.h5", kx.MelspectrogramConfig(sr=SR // 2), on_error="raise")
    assert (raised.value.sr, raised.value.wanted) == (SR, SR // 2)
    assert any(name in str(raised.value) for name in NAMES)
    assert f"resample=True, or sr={SR}" in str(raised.value)


def test_a_run_with_too_many_failures_is_stopped(audio: Path, tmp_path: Path) -> None:
    spoil(audio / "a.wav")
    with pytest.raises(TooManyFailuresError):
        kx.extract(audio, tmp_path / "x.h5", MEL, max_failures=0)
    result = kx.extract(audio, tmp_path / "x.h5", MEL, max_failures="50%", overwrite=True)
    assert result.n_failed == 1


def test_inputs_that_state_no_rate_have_failed(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio")
    result = kx.extract(tmp_path / "a.wav", tmp_path / "x.h5", kx.SpectrogramConfig())
    assert (result.n_failed, result.n_inputs, result.output) == (1, 1, None)
    with pytest.raises(AudioReadError, match=r"a\.wav"):
        kx.extract(tmp_path / "a.wav", tmp_path / "x.h5", kx.SpectrogramConfig(), on_error="raise")


def test_an_output_that_exists_is_refused_and_may_be_resumed(audio: Path, tmp_path: Path) -> None:
    kx.extract(audio, tmp_path / "x.h5", MEL)
    with pytest.raises(UsageError, match="overwrite=True"):
        kx.extract(audio, tmp_path / "x.h5", MEL)
    result = kx.extract(audio, tmp_path / "x.h5", MEL, resume="content")
    assert (result.n_written, result.n_skipped) == (0, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"on_error": "ignore"}, "on_error"),
        ({"jobs": 0}, "jobs"),
        ({"dtype": "float8"}, "dtype"),
        ({"non_finite": "maybe"}, "non_finite"),
        ({"channels": -1}, "channel"),
        ({"shard": "3/2"}, "3/2"),
        ({"max_failures": "many"}, "max_failures"),
        ({"raw_format": "s16le"}, "raw_format"),
        ({"engine": "fast"}, "engine"),
        ({"compression": "gzip", "format": "npy-directory"}, "hdf5"),
        ({"sr": SR + 1}, "sample rate of the layer"),
    ],
)
def test_invalid_arguments_are_named_before_any_work(
    given: dict[str, Any], message: str, audio: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        kx.extract(audio, tmp_path / "x.h5", MEL, **given)
    assert "--" not in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["audio"]


@pytest.mark.parametrize("given", [{"output": "-"}, {"output": "x", "format": "npy-stream"}])
def test_an_extraction_has_a_name(given: dict[str, Any], audio: Path) -> None:
    with pytest.raises((UsageError, SettingsError), match=r"iter_features|standard output"):
        kx.extract(audio, layer=MEL, **given)


def test_no_inputs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no inputs"):
        kx.extract([], tmp_path / "x.h5", MEL)


def test_events_are_passed_on_instead_of_logged(
    audio: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(audio / "a.wav")
    with caplog.at_level(logging.DEBUG, "kapre_cli"):
        kx.extract(audio, tmp_path / "x.h5", MEL)
    assert [one.levelname for one in caplog.records if "a.wav" in one.message] == ["ERROR"]
    caplog.clear()
    events: list[Event] = []
    kx.extract(audio, tmp_path / "y.h5", MEL, on_event=events.append)
    assert not caplog.records
    assert sum(isinstance(one, InputWritten) for one in events) == 2
    assert sum(isinstance(one, InputFailed) for one in events) == 1


def test_an_error_of_the_observer_ends_the_run(audio: Path, tmp_path: Path) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, InputWritten):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kx.extract(audio, tmp_path / "x.h5", MEL, on_event=observe)


def test_the_bar_is_drawn_where_it_is_asked_for(
    audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kx.extract(audio, tmp_path / "x.h5", MEL)
    assert capsys.readouterr() == ("", "")
    kx.extract(audio, tmp_path / "y.h5", MEL, progress=True)
    assert "%|" in capsys.readouterr().err


# What a layer may be


def test_every_kind_of_layer_gives_the_same_output(audio: Path, tmp_path: Path) -> None:
    kx.extract(audio, tmp_path / "config.h5", MEL)
    layer = kx.Melspectrogram(**MEL.to_dict())
    kx.extract(audio, tmp_path / "layer.h5", layer)
    kx.extract(audio, tmp_path / "output.h5", tmp_path / "config.h5")
    model = keras.Sequential([keras.Input((1, SR)), layer])
    model.save(tmp_path / "model.keras")
    kx.extract(audio, tmp_path / "of model.h5", tmp_path / "model.keras")
    expected = (tmp_path / "config.h5").read_bytes()
    for name in ("layer.h5", "output.h5", "of model.h5"):
        assert (tmp_path / name).read_bytes() == expected


def test_an_output_gives_its_settings_and_arguments_beside_it_win(
    audio: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.h5"
    chosen: dict[str, Any] = {"channels": 0, "dtype": "float16", "compression": "gzip"}
    kx.extract(audio, model, MEL, dimension_scales=True, **chosen)
    kx.extract(audio, tmp_path / "like.h5", model)
    assert kx.compare(model, tmp_path / "like.h5").are_equal
    assert (tmp_path / "like.h5").read_bytes() == model.read_bytes()
    kx.extract(audio / "b.flac", tmp_path / "other.h5", model, channels=(1, 0), dtype="float32")
    with kx.open_features(tmp_path / "other.h5") as features:
        root = features.root
        assert (root.audio.channels, root.dtype, root.compression) == ((1, 0), "float32", "gzip")


@pytest.mark.parametrize("layer", [3, None, keras.layers.Dense(2), {"n_dft": 512}])
def test_what_is_no_layer_is_named(layer: Any, audio: Path, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`layer` must be"):
        kx.extract(audio, tmp_path / "x.h5", layer)


def test_a_path_with_neither_output_nor_model_is_refused(audio: Path, tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_bytes(b"PK no archive")
    with pytest.raises(StoredDataError, match="no complete Keras model"):
        kx.extract(audio, tmp_path / "x.h5", tmp_path / "x.keras")
    with pytest.raises(FileNotFoundError):
        kx.extract(audio, tmp_path / "x.h5", tmp_path / "none.keras")


# Iteration


def test_iteration_yields_what_the_stream_sends(audio: Path, tmp_path: Path) -> None:
    with open(tmp_path / "stream", "wb") as file:
        subprocess.run(
            [sys.executable, "-m", "kapre_cli", "melspectrogram", str(audio), "-o", "-"]
            + [str(option) for option in OPTIONS],
            stdout=file,
            check=True,
            timeout=120,
        )
    with open(tmp_path / "stream", "rb") as file:
        sent = [*kx.read_arrays(file)]
    found = [*kx.iter_features(audio, MEL)]
    assert [key for key, _ in found] == [*NAMES]
    for (key, array), expected in zip(found, sent, strict=True):
        assert array.key == key
        np.testing.assert_array_equal(array[:], expected)
        assert array.metadata.reference is not None
        assert len(array.times) == array.shape[1]


def test_iteration_skips_failures_or_raises_them_in_their_turn(audio: Path) -> None:
    spoil(audio / "b.flac")
    events: list[Event] = []
    found = [key for key, _ in kx.iter_features(audio, MEL, on_event=events.append)]
    assert found == [NAMES[0], NAMES[2]]
    assert [one.result.key for one in events if isinstance(one, InputFailed)] == ["b.flac"]
    iterator = kx.iter_features(audio, MEL, on_error="raise")
    assert next(iterator)[0] == "a.wav"
    with pytest.raises(AudioReadError, match=r"b\.flac"):
        next(iterator)


def test_an_iterator_that_is_closed_leaves_neither_processes_nor_files(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", None)
    iterator = kx.iter_features(audio, MEL, jobs=2)
    next(iterator)
    assert servers()
    iterator.close()  # type: ignore[attr-defined]
    assert not servers()
    assert not os.listdir(tmp_path / "scratch")


def test_invalid_arguments_of_an_iterator_are_errors_at_the_call(audio: Path) -> None:
    with pytest.raises(SettingsError, match="on_error"):
        kx.iter_features(audio, MEL, on_error="collect")
    with pytest.raises(UsageError, match="no inputs"):
        kx.iter_features([], MEL)


# One recording


def test_one_recording_has_the_bits_of_an_output(audio: Path, tmp_path: Path) -> None:
    for dtype in ("float32", "float16", "float64"):
        kx.extract(audio, tmp_path / dtype, MEL, dtype=dtype)
        with kx.open_features(tmp_path / dtype) as features:
            for name in NAMES:
                array = kx.compute(audio / name, MEL, dtype=dtype)
                stored = features[name]
                np.testing.assert_array_equal(array[:], stored[:])
                assert (array.dtype, array.axes) == (stored.dtype, stored.axes)
                np.testing.assert_array_equal(array.times, stored.times)
                np.testing.assert_array_equal(array.frequency, stored.frequency)
                found = array.metadata._replace(source="", crc32=0)
                assert found == stored.metadata._replace(source="", crc32=0)


def test_arrays_know_the_numbers_of_their_channels(audio: Path) -> None:
    assert kx.compute(audio / "b.flac", MEL, channels=1).channels == (1,)
    assert kx.compute(audio / "b.flac", MEL).channels == (0, 1)
    iterator = kx.iter_features(audio / "b.flac", MEL, channels=(1, 0))
    assert [array.channels for _, array in iterator] == [(1, 0)]


@settings(max_examples=60)
@given(
    length=st.integers(1, 5000),
    n_channels=st.integers(1, 3),
    seed=st.integers(0, 10),
    n_dft=st.sampled_from([16, 100, 256]),
    data_format=st.sampled_from(["channels_first", "channels_last"]),
    decibel=st.booleans(),
)
def test_samples_have_the_bits_of_a_file(
    tmp_path_factory: pytest.TempPathFactory,
    length: int,
    n_channels: int,
    seed: int,
    n_dft: int,
    data_format: str,
    decibel: bool,
) -> None:
    samples = reference.noise(n_channels, length, seed)
    path = tmp_path_factory.getbasetemp() / "samples.wav"
    write_audio(path, samples, sr=SR)
    layer = kx.SpectrogramConfig(
        n_dft=n_dft, image_data_format=data_format, return_decibel_spectrogram=decibel
    )
    of_file = kx.compute(path, layer)
    of_samples = kx.compute(samples, layer, sr=SR)
    np.testing.assert_array_equal(of_samples[:], of_file[:])
    assert of_samples.metadata.n_channels == n_channels
    assert of_samples.metadata.reference == of_file.metadata.reference


def test_long_samples_are_several_blocks(audio: Path) -> None:
    samples = reference.noise(2, 3_000_000)
    path = audio / "long.wav"
    write_audio(path, samples, sr=SR)
    layer = kx.SpectrogramConfig(n_dft=512, return_decibel_spectrogram=True)
    np.testing.assert_array_equal(kx.compute(samples, layer, sr=SR)[:], kx.compute(path, layer)[:])


def test_one_dimension_and_integers_are_samples_too(audio: Path) -> None:
    integers = np.round(reference.noise(1, 2000)[0] * 30000).astype(np.int16)
    soundfile.write(audio / "integers.wav", integers, SR, "PCM_16")
    expected = kx.compute(audio / "integers.wav", MEL)[:]
    np.testing.assert_array_equal(kx.compute(integers, MEL)[:], expected)
    np.testing.assert_array_equal(kx.compute(integers / 2.0**15, MEL)[:], expected)
    wide = integers.astype(np.int32) << 16
    np.testing.assert_array_equal(kx.compute(wide, MEL)[:], expected)
    before = integers.copy()
    assert np.array_equal(integers, before)


def test_samples_are_not_changed() -> None:
    samples = reference.noise(2, 1000)
    samples[1, 3] = np.nan
    before = samples.copy()
    kx.compute(samples, MEL, non_finite="zero")
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (np.zeros((2, 2, 100)), SettingsError, r"shape \(2, 2, 100\)"),
        (np.zeros(100, np.uint8), SettingsError, "uint8"),
        (np.zeros(100, np.complex64), SettingsError, "complex64"),
        (np.zeros((100_000, 2), np.float32), SettingsError, r"\(channels, samples\)"),
        (np.zeros(0), AudioReadError, "no samples"),
        (np.array([0.0, np.nan]), AudioReadError, "NaN or infinite"),
        (np.array([0.0, 1e300]), AudioReadError, "scale them by 1e-300 or less"),
    ],
)
def test_invalid_samples_are_named(samples: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kx.compute(samples, MEL)


def test_samples_need_a_rate_and_frames() -> None:
    with pytest.raises(SettingsError, match="give `sr`"):
        kx.compute(np.zeros(1000), kx.SpectrogramConfig())
    with pytest.raises(FeatureError, match="fewer than the 512"):
        kx.compute(np.zeros(100), kx.SpectrogramConfig(padding="valid"), sr=SR)


def test_an_error_of_one_recording_names_it(audio: Path) -> None:
    spoil(audio / "b.flac")
    for call in (lambda path: kx.compute(path, MEL), kx.spectrogram, kx.melspectrogram):
        with pytest.raises(AudioReadError, match=r"b\.flac': damaged or truncated"):
            call(audio / "b.flac")
        with pytest.raises(AudioReadError, match=r"none\.wav': cannot be opened"):
            call(audio / "none.wav")
    with pytest.raises(FeatureError, match=r"a\.wav': it has 3,000 samples, fewer than"):
        kx.spectrogram(audio / "a.wav", n_dft=4096, padding="valid")


def test_shorthands_are_the_layers(audio: Path) -> None:
    path = audio / "b.flac"
    layer = kx.SpectrogramConfig(n_dft=200, padding="valid")
    np.testing.assert_array_equal(
        kx.spectrogram(path, n_dft=200, padding="valid")[:], kx.compute(path, layer)[:]
    )
    arguments = {name: value for name, value in MEL.to_dict().items() if name != "sr"}
    np.testing.assert_array_equal(kx.melspectrogram(path, **arguments)[:], kx.compute(path, MEL)[:])
    samples = reference.noise(2, 6000, 2)
    found = kx.melspectrogram(samples, SR, **arguments)
    live = kx.Melspectrogram(**MEL.to_dict())
    np.testing.assert_allclose(found[:], live(samples[np.newaxis]).numpy()[0], atol=0.01)
    with pytest.raises(TypeError, match="n_fft"):
        kx.spectrogram(samples, SR, n_fft=512)


def test_the_keras_engine_computes_in_this_process_too(audio: Path, tmp_path: Path) -> None:
    kx.extract(audio, tmp_path / "x.h5", MEL, engine="keras")
    with kx.open_features(tmp_path / "x.h5") as features:
        for name in NAMES:
            found = kx.compute(audio / name, MEL, engine="keras")
            np.testing.assert_array_equal(found[:], features[name][:])


# Outputs


def test_outputs_are_verified_compared_and_merged(audio: Path, tmp_path: Path) -> None:
    parts = [tmp_path / "1.h5", tmp_path / "2.h5"]
    for number, part in enumerate(parts, 1):
        kx.extract(audio, part, MEL, shard=f"{number}/2")
    kx.extract(audio, tmp_path / "whole.h5", MEL)
    merged = kx.merge(parts[::-1], tmp_path / "merged.h5")
    assert (merged.n_written, merged.output) == (3, tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert kx.compare(tmp_path / "merged.h5", tmp_path / "whole.h5").are_equal
    assert not kx.compare(parts[0], tmp_path / "whole.h5").are_equal
    assert kx.verify(tmp_path / "whole.h5", audio, sample=None).is_correct
    write_audio(audio / "a.wav", reference.noise(1, 3000, 9), sr=SR)
    found = kx.verify(tmp_path / "whole.h5", audio, sample=None)
    assert not found.is_correct
    assert found.faulty == {"a.wav"}


def test_figures_are_of_outputs_arrays_and_recordings(audio: Path, tmp_path: Path) -> None:
    kx.extract(audio, tmp_path / "x.h5", MEL)
    figure = kx.plot(tmp_path / "x.h5", ["b.flac"], channels=(1,))
    assert figure.axes[0].get_title("left") == "b.flac"
    with kx.open_features(tmp_path / "x.h5") as features:
        assert len(kx.plot(features, "b.flac").axes) == 3
    assert len(kx.plot(kx.compute(audio / "b.flac", MEL), time=(0.1, 0.3)).axes) == 3
    kx.plot(audio / "a.wav", freq=(100, 2000)).savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(KeyError, match=r"similar keys are 'b\.flac'"):
        kx.plot(tmp_path / "x.h5", "b.flak")
    with pytest.raises(UsageError, match="nothing at"):
        kx.plot(tmp_path / "none")


# The process

_STATE = """
import logging, os, signal, sys, threading, warnings
import numpy as np
import h5py, soundfile, soxr, tqdm.auto
import kapre_cli as kx

def state():
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "environment": dict(os.environ),
        "warnings": [*warnings.filters],
        "folder": os.getcwd(),
        "switch interval": sys.getswitchinterval(),
        "hidden modules": [name for name, module in sys.modules.items() if module is None],
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "descriptors": [(fd, os.readlink(f"/dev/fd/{fd}")) for fd in os.listdir("/dev/fd")
                        if os.path.exists(f"/dev/fd/{fd}")],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "children": open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read(),
        "path": [*sys.path],
        "hooks": (sys.excepthook, threading.excepthook),
        "errors of NumPy": np.geterr(),
        "random numbers": np.random.get_state()[1].tolist(),
        "levels": [logging.getLogger(name).level for name in ("", "tensorflow", "absl", "h5py")],
        "Keras": {"keras", "tensorflow"} & {*sys.modules},
    }

def work():
    layer = kx.MelspectrogramConfig(sr=8000, n_dft=256, n_mels=20)
    for number, engine in enumerate(["numpy", "keras"]):
        result = kx.extract("audio", f"{number}.h5", layer, engine=engine)
        assert result.n_written == 3 and result.n_failed == 1, result
    assert len([*kx.iter_features("audio", layer)]) == 3
    assert kx.compute("audio/a.wav", layer).shape == (20, 24, 1)
    kx.merge(["0.h5"], "merged.h5")
    assert kx.compare("0.h5", "merged.h5").are_equal
    assert kx.verify("0.h5", "audio").is_correct

before = state()
"""
_END = """
after = state()
for name in before:
    assert before[name] == after[name], (name, before[name], after[name])
print("unchanged")
"""
_IN_THREAD = """
failures = []
def guarded():
    try:
        work()
    except BaseException as error:
        failures.append(error)
thread = threading.Thread(target=guarded)
thread.start()
thread.join(300)
assert not failures, failures
"""


def ran(code: str, folder: Path, *, timeout: float = 300) -> str:
    """Run a script without ``if __name__ == "__main__"``, and return what it prints."""
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("where", ["main thread", "thread"])
def test_nothing_in_the_process_is_changed(where: str, audio: Path) -> None:
    (audio / "no audio.wav").write_bytes(b"no audio")
    code = _STATE + ("work()\n" if where == "main thread" else _IN_THREAD) + _END
    assert ran(code, audio.parent) == "unchanged\n"


def test_a_script_with_tensorflow_and_threads_extracts(audio: Path) -> None:
    code = """
    import threading
    import tensorflow as tf
    import kapre_cli as kx

    tf.reduce_sum(tf.random.normal((500, 500)) @ tf.random.normal((500, 500)))
    layer = kx.Melspectrogram(sr=8000, n_dft=256, n_mels=20)
    results = {}

    def extract(number):
        results[number] = kx.extract("audio", f"{number}.h5", layer, jobs=2)

    threads = [threading.Thread(target=extract, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    print(sorted(results), {result.n_written for result in results.values()})
    """
    assert ran(code, audio.parent) == "[0, 1, 2] {3}\n"
    contents = {(audio.parent / f"{number}.h5").read_bytes() for number in range(3)}
    assert len(contents) == 1


def test_an_interrupt_leaves_finished_work_and_no_process(audio: Path, tmp_path: Path) -> None:
    for number in range(300):
        write_audio(audio / f"{number:03}.wav", reference.noise(1, 20_000, number), sr=SR)
    started = threading.Event()

    def observe(event: Event) -> None:
        if type(event).__name__ == "InputEnded" and not started.is_set():
            started.set()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        kx.extract(audio, tmp_path / "x.h5", MEL, on_event=observe)
    deadline = time.monotonic() + 20
    while servers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not servers()
    assert not (tmp_path / "x.h5").exists()
    result = kx.extract(audio, tmp_path / "x.h5", MEL, resume=True)
    assert result.n_written + result.n_skipped == 303
    assert result.n_skipped > 0


def test_a_worker_that_dies_does_not_end_this_process(audio: Path, tmp_path: Path) -> None:
    """As a decoder in C that crashes would; the input is tried once more."""
    killed: list[int] = []

    def observe(event: Event) -> None:
        if type(event).__name__ == "InputStarted" and not killed:
            (server,) = servers()
            killed.extend(children_of(server))
            for worker in killed:
                os.kill(worker, signal.SIGKILL)

    result = kx.extract(audio, tmp_path / "x.h5", MEL, on_event=observe)
    assert killed
    assert (result.n_written, result.n_failed) == (3, 0)


@pytest.mark.parametrize(
    ("python", "message"),
    [("/none/python", "no worker can be started by '/none/python'"), ("/bin/false", "has ended")],
)
def test_a_python_that_does_not_start_is_named(
    python: str, message: str, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(OutputError, match=message):
        kx.extract(audio, tmp_path / "x.h5", MEL)
    assert os.listdir(tmp_path) == ["audio"]


def test_what_needs_no_keras_works_without_it(audio: Path) -> None:
    code = """
    import sys
    for name in ("keras", "tensorflow"):
        sys.modules[name] = None  # an import of it raises ModuleNotFoundError
    import kapre_cli as kx

    layer = kx.MelspectrogramConfig(sr=8000, n_dft=256, n_mels=20)
    print(kx.extract("audio", "x.h5", layer).n_written)
    print(len([*kx.iter_features("audio", layer)]), kx.compute("audio/a.wav", layer).shape)
    print(kx.verify("x.h5", "audio").is_correct, kx.compare("x.h5", "x.h5").are_equal)
    print(kx.merge(["x.h5"], "y").n_written)
    with kx.open_features("x.h5") as features:
        print(features["a.wav"].frequency.shape)
    for needs_keras in (lambda: kx.Spectrogram, lambda: kx.load_layer("x.h5"),
                        lambda: kx.compute("audio/a.wav", layer, engine="keras")):
        try:
            needs_keras()
        except ImportError as error:
            print("Keras" in str(error) or "keras" in str(error), "install" in str(error))
    """
    assert ran(code, audio.parent).splitlines() == [
        *("3", "3 (20, 24, 1)", "True True", "3", "(20,)"),
        *["True True"] * 3,
    ]


def test_public_names_are_documented() -> None:
    page = Path(kx.__file__).parents[1] / "docs" / "reference" / "python-api.md"
    text = page.read_text(encoding="utf-8")
    for name in kx.__all__:
        if not name.startswith("_"):
            assert f"kapre_cli.{name}" in text, name
            assert getattr(kx, name).__doc__
