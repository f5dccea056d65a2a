"""Layers that a network has trained: extracted as the model computes them, stored, loaded again."""

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kapre_cli as kx
from kapre_cli.api.layers import resolved
from kapre_cli.errors import SettingsError, StoredDataError, UsageError
from kapre_cli.extraction import run
from kapre_cli.inputs import Source
from kapre_cli.run_result import RunResult
from kapre_cli.settings import AudioSettings, ExtractionSettings, OutputSettings
from kapre_cli.settings.formats import check_stores_weights, format_of, get_format
from tests import reference
from tests.conftest import Ended, read_audio, write_audio

SR = 8000
KEYS = ("a.wav", "site/b.flac")

# Of each model: the layer, with channels last as networks have them.
LAYERS: dict[str, Callable[[], Any]] = {
    "kernel": lambda: kx.Spectrogram(n_dft=64, n_hop=20, trainable_kernel=True, name="stft"),
    "mel": lambda: kx.Melspectrogram(
        sr=SR, n_dft=128, n_mels=12, trainable_fb=True, trainable_kernel=True, name="bands",
        padding="valid", image_data_format="channels_first",
    ),
    "decibel": lambda: kx.Spectrogram(
        n_dft=64, trainable_kernel=True, return_decibel_spectrogram=True, name="stft",
        input_data_format="channels_last",
    ),
    "double": lambda: kx.Melspectrogram(
        sr=SR, n_dft=128, n_mels=12, trainable_fb=True, dtype="float64", name="bands"
    ),
    "frozen": lambda: kx.Melspectrogram(sr=SR, n_dft=256, n_mels=20, name="bands"),
}  # fmt: skip
COMMANDS = {"kernel": "spectrogram", "decibel": "spectrogram"}  # of the others: melspectrogram


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audio")
    for n_channels, key in enumerate(KEYS, 1):
        write_audio(folder / key, 0.3 * reference.noise(n_channels, 5003 * n_channels), sr=SR)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Give models trained for ten steps, as loaded again, and their folder as ``path``."""
    folder = tmp_path_factory.mktemp("models")
    made: dict[str, Any] = {"path": folder}
    for name, make in LAYERS.items():
        keras.utils.set_random_seed(1)
        layer = make()
        last = layer.input_data_format == "channels_last"
        model = keras.Sequential(
            [
                keras.Input((None, 1) if last else (1, None)),
                layer,
                keras.layers.GlobalAveragePooling2D(data_format=layer.image_data_format),
                keras.layers.Dense(1),
            ]
        )
        before = [weight.numpy() for weight in layer.weights]
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        signal = reference.noise(20, 1000)[:, np.newaxis]
        signal = signal.transpose(0, 2, 1) if last else signal
        model.fit(signal, np.ones((20, 1)), batch_size=2, verbose=0)
        for weight, old in zip(layer.weights, before, strict=True):
            assert (weight.numpy() != old).any()
        model.save(folder / f"{name}.keras")
        made[name] = keras.models.load_model(folder / f"{name}.keras").layers[0]
    return made


def of_layer(layer: Any, path: Path) -> Any:
    """Return what a model's own layer returns for a file, as a batch of one."""
    signal = read_audio(path).astype(np.float32)[np.newaxis]
    if layer.input_data_format == "channels_last":
        signal = signal.transpose(0, 2, 1)
    return keras.ops.convert_to_numpy(layer(signal))[0]


def stored(output: Path) -> dict[str, Any]:
    with kx.open_features(output) as features:
        return {key: array[:] for key, array in features.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_an_extraction_gives_what_the_layer_of_the_model_gives(
    name: str, audio: Path, models: dict[str, Any]
) -> None:
    layer, model = models[name], models["path"] / f"{name}.keras"
    for key in KEYS:
        expected = of_layer(layer, audio / key)
        for source in (model, f"{model}:{layer.name}", layer):
            found = kx.compute(audio / key, source)
            if name == "frozen":  # NumPy
                reference.require_close(found[:], expected, tolerance=2e-6)
                found = kx.compute(audio / key, source, engine="keras")
            if name == "decibel":  # the last step is NumPy's
                np.testing.assert_allclose(found[:], expected, rtol=0, atol=2e-5)
            else:
                np.testing.assert_array_equal(found[:], expected.astype(np.float32))
            assert found[:].tobytes() == kx.compute(audio / key, model, engine="keras")[:].tobytes()


def extracted(
    audio: Path, path: Path, model: object, keys: Sequence[str] = KEYS, **output: Any
) -> RunResult:
    """Extract in this process, where TensorFlow has been imported."""
    layer, weights, _ = resolved(model)
    settings = ExtractionSettings(
        layer=layer,
        weights=weights,
        audio=AudioSettings(sr=SR),
        output=OutputSettings(path=path, format=format_of(str(path)), **output),
    )
    result = RunResult()
    run.extract([Source(str(audio / key), key) for key in keys], settings, result)
    assert result.n_failed == 0
    return result


@pytest.fixture(scope="module")
def outputs(
    audio: Path, models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Give outputs of the mel layer, in every format."""
    folder = tmp_path_factory.mktemp("outputs")
    made = {"hdf5": folder / "x.h5", "npy-directory": folder / "x", "npy": folder / "x.npy"}
    for format_, path in made.items():
        keys = KEYS[:1] if format_ == "npy" else KEYS
        extracted(audio, path, models["path"] / "mel.keras", keys)
    return made


def test_the_command_and_the_function_write_the_same_bytes(
    audio: Path, models: dict[str, Any], outputs: dict[str, Path], tmp_path: Path, process: Any
) -> None:
    path = tmp_path / "x.h5"
    model = f"{models['path'] / 'mel.keras'}:bands"
    ended: Ended = process("melspectrogram", audio, "-o", path, "--layer", model, "-j", 2)
    assert ended.code == 0, ended.err
    assert ended.err == f"2 inputs: 2 written, 0 failed (1.9 s of audio) -> '{path}'\n"
    assert path.read_bytes() == outputs["hdf5"].read_bytes()
    kx.extract(audio, tmp_path / "y.h5", models["mel"], jobs=1)
    assert (tmp_path / "y.h5").read_bytes() == outputs["hdf5"].read_bytes()
    for key, array in stored(path).items():
        np.testing.assert_array_equal(array, of_layer(models["mel"], audio / key))


def digest(layer: Any) -> str:
    """Return the SHA-256 that the documentation describes."""
    found = hashlib.sha256()
    for weight in layer.weights:
        values = weight.numpy()
        found.update(f"{weight.name} <f4 {list(values.shape)}\n".encode() + values.tobytes())
    return found.hexdigest()


def test_outputs_hold_the_weights_and_give_the_layer_back(
    audio: Path, models: dict[str, Any], outputs: dict[str, Path]
) -> None:
    layer = models["mel"]
    weights = {weight.name: weight.numpy() for weight in layer.weights}
    described = {"layer_name": "bands", "sha256": digest(layer)}
    for path in outputs.values():
        with kx.open_features(path) as features:
            assert features.weights is not None
            assert features.weights.to_dict() == described
            assert {*features.weights.arrays} == {*weights}
            assert features.root.engine == "keras"
        loaded = kx.load_layer(path)
        assert loaded.name == "bands"
        for weight in loaded.weights:
            np.testing.assert_array_equal(weight.numpy(), weights[weight.name])
        for key, array in stored(path).items():
            np.testing.assert_array_equal(array, of_layer(loaded, audio / key))
        assert kx.verify(path).is_correct
    # Other programs find them, too.
    with h5py.File(outputs["hdf5"]) as file:
        assert json.loads(file.attrs["weights"]) == described
        for name, values in weights.items():
            np.testing.assert_array_equal(file["weights"][name], values)
    for file in (outputs["npy-directory"] / "kapre-extract.json", Path(f"{outputs['npy']}.json")):
        root = json.loads(file.read_text())
        assert root["weights"] == described
        for name, values in weights.items():
            one = root["weight_arrays"][name]
            assert np.dtype(one["dtype"]) == np.float32
            assert base64.b64decode(one["base64"]) == values.tobytes()


def test_float64_weights_are_kept_exactly(
    audio: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    layer = models["double"]
    extracted(audio, tmp_path / "x", layer)
    loaded = kx.load_layer(tmp_path / "x")
    np.testing.assert_array_equal(loaded.get_weights()[0], layer.get_weights()[0])
    assert loaded.get_weights()[0].dtype == np.float64


# Later runs


def test_an_output_is_resumed_merged_and_recomputed(
    audio: Path, models: dict[str, Any], outputs: dict[str, Path], tmp_path: Path
) -> None:
    model = models["path"] / "mel.keras"
    extracted(audio, tmp_path / "resumed.h5", model, KEYS[:1])
    result = extracted(audio, tmp_path / "resumed.h5", model, resume="stat")
    assert (result.n_written, result.n_skipped) == (1, 1)
    whole = outputs["hdf5"].read_bytes()
    assert (tmp_path / "resumed.h5").read_bytes() == whole
    parts = [tmp_path / "1.h5", tmp_path / "2"]
    for key, part in zip(KEYS, parts, strict=True):
        extracted(audio, part, model, [key])
    kx.merge(parts, tmp_path / "merged.h5")
    assert (tmp_path / "merged.h5").read_bytes() == whole
    assert kx.verify(tmp_path / "merged.h5", audio, jobs=1).is_correct


def test_other_weights_are_another_setting(
    audio: Path, models: dict[str, Any], outputs: dict[str, Path], tmp_path: Path
) -> None:
    layer = keras.models.clone_model(keras.Sequential([models["mel"]])).layers[0]
    layer.build((None, 1, None))
    layer.set_weights([2 * weight for weight in models["mel"].get_weights()])
    other = tmp_path / "other.h5"
    shutil.copy(outputs["hdf5"], other)
    with pytest.raises(UsageError, match=f"weights: '{digest(models['mel'])}' before"):
        extracted(audio, other, layer, resume="stat")
    extracted(audio, other, layer, overwrite=True)
    assert kx.compare(outputs["hdf5"], other).settings == {
        "weights": (digest(models["mel"]), digest(layer))
    }
    with pytest.raises(UsageError, match=r"made with other settings .*weights: "):
        kx.merge([outputs["hdf5"], other], tmp_path / "both.h5")


def test_new_recordings_are_extracted_with_the_layer_of_an_output(
    audio: Path, outputs: dict[str, Path], tmp_path: Path, keras_at_once: Any
) -> None:
    path = tmp_path / "like.h5"
    command = ("melspectrogram", audio, "-o", path)
    ended = keras_at_once(*command, "--like", outputs["npy-directory"])
    assert ended.code == 0, ended.err
    assert path.read_bytes() == outputs["hdf5"].read_bytes()
    array = kx.compute(audio / KEYS[1], outputs["npy"])
    np.testing.assert_array_equal(array[:], stored(outputs["hdf5"])[KEYS[1]])
    for wrong, message in {
        ("info", "--config", path): "has features of a layer with trained weights, which no option "
        f"sets; --like takes them, and kapre_cli.load_layer('{path}') loads it in Python",
        (*command, "--overwrite", "--like", path, "--show-config"): "--show-config cannot print "
        "the layer of the output of --like, which no option sets; leave one of both out",
        (*command, "--overwrite", "--like", path, "--n-mels", 3): "--n-mels cannot change the "
        f"layer of '{path}', which has --n-mels 12; leave it out",
    }.items():
        ended = keras_at_once(*wrong)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.endswith(f"{message}\n")


def test_a_summary_names_the_layer_and_its_weights(
    models: dict[str, Any], outputs: dict[str, Path], at_once: Any
) -> None:
    ended = at_once("info", outputs["hdf5"])
    row = f"  weights      of the layer 'bands', SHA-256 {digest(models['mel'])}\n"
    assert row in ended.out
    found = json.loads(at_once("info", outputs["hdf5"], "--json").out)
    assert found["weights"] == {"layer_name": "bands", "sha256": digest(models["mel"])}
    assert "engine" not in found["chosen"]  # no other engine can run the layer


# Damage


def flipped(path: Path, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(content)
    data[at + len(content) // 2] ^= 1
    path.write_bytes(data)


def test_damaged_weights_are_found(
    models: dict[str, Any], outputs: dict[str, Path], tmp_path: Path
) -> None:
    content = models["mel"].get_weights()[0].tobytes()
    path = tmp_path / "x.h5"
    shutil.copy(outputs["hdf5"], path)
    flipped(path, content)
    found = kx.verify(path)
    assert not found.is_correct
    with pytest.raises(StoredDataError, match="its weights are damaged: their SHA-256 differs"):
        kx.load_layer(path)
    assert {*stored(path)} == {*KEYS}  # the arrays are whole


def without(file: h5py.File) -> None:
    del file["weights/kernel_real"]


def of_another_shape(file: h5py.File) -> None:
    values = file["weights/kernel_real"][:-1]
    without(file)
    file["weights/kernel_real"] = values


def of_texts(file: h5py.File) -> None:
    shape = file["weights/kernel_real"].shape
    without(file)
    file["weights/kernel_real"] = np.full(shape, b"1.0")


def linked(file: h5py.File) -> None:
    without(file)
    file["weights/kernel_real"] = h5py.ExternalLink("other.h5", "/x")


def without_bytes(file: h5py.File) -> None:
    shape = file["weights/kernel_real"].shape
    without(file)
    file.create_dataset("weights/kernel_real", shape, "<f4", chunks=shape)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, "has no 'kernel_real'"),
        (of_another_shape, r"has shape \(127, 1, 65\), its layer's has \(128, 1, 65\)"),
        (of_texts, "not of floating-point numbers"),
        (linked, "is a link to another place"),
        (without_bytes, r"does not have its 33,280 bytes in one run"),
    ],
)
def test_weights_that_this_program_cannot_have_written_are_refused(
    change: Callable[[h5py.File], None], message: str, outputs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    shutil.copy(outputs["hdf5"], path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(StoredDataError, match=message):
        kx.load_layer(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root.pop("weight_arrays"), "not a JSON object"),
        (lambda root: root["weight_arrays"].pop("kernel_real"), "not a JSON object"),
        (lambda root: root["weight_arrays"]["kernel_real"].update(dtype="O"), "as this program"),
        (lambda root: root["weight_arrays"]["kernel_real"].update(base64="AAAA"), "cannot be read"),
        (lambda root: root["weight_arrays"]["kernel_real"].update(base64="A b"), "cannot be read"),
        (lambda root: root["weights"].update(sha256="x"), "its metadata is invalid"),
        (lambda root: root["weights"].update(layer_name="a/b"), "its metadata is invalid"),
        (lambda root: root["weights"].update(more=1), "its metadata is invalid"),
        (lambda root: root["settings"].update(engine="numpy"), "which its settings rule out"),
        (lambda root: root["layer"]["config"].update(n_dft=2**20), "weights; outputs store at"),
    ],
)
def test_weights_in_json_are_checked(
    change: Callable[[Any], None], message: str, outputs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "x"
    shutil.copytree(outputs["npy-directory"], path)
    root = json.loads((path / "kapre-extract.json").read_text())
    for checksum in ("crc32", "manifest_crc32"):
        del root[checksum]
    change(root)
    (path / "kapre-extract.json").write_text(json.dumps(root))
    with pytest.raises(StoredDataError, match=message):
        kx.load_layer(path)


# Errors


def test_weights_that_are_not_finite_are_refused(audio: Path, tmp_path: Path) -> None:
    layer = kx.Melspectrogram(sr=SR, n_dft=64, n_mels=3, trainable_fb=True, name="mel")
    layer.build((None, 1, None))
    layer.set_weights([np.full((33, 3), np.nan)])
    with pytest.raises(
        SettingsError,
        match="The weight 'mel_filterbank' of the layer 'mel' is NaN or infinite in places: its "
        "training has diverged",
    ):
        kx.extract(audio, tmp_path / "x.h5", layer)
    assert not (tmp_path / "x.h5").exists()


def test_the_numpy_engine_computes_no_trained_layer(
    audio: Path, models: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="`engine` must be 'keras' for a layer with trained"):
        kx.extract(audio, tmp_path / "x.h5", models["mel"], engine="numpy")


def test_a_format_that_would_lose_the_weights_is_refused() -> None:
    class Other(type(get_format("hdf5"))):  # type: ignore[misc]
        name = "other"
        stores_weights = False

    with pytest.raises(SettingsError, match="The format 'other' cannot store the trained weights"):
        check_stores_weights(Other())
    for name in ("hdf5", "npy", "npy-directory", "npy-stream"):
        check_stores_weights(get_format(name))


def test_a_layer_that_is_not_built_begins_with_its_own_weights(audio: Path) -> None:
    layer = kx.Spectrogram(n_dft=64, trainable_kernel=True)
    found = kx.compute(audio / KEYS[0], layer)[:]
    expected = kx.compute(audio / KEYS[0], kx.SpectrogramConfig(n_dft=64))[:]
    reference.require_close(found, expected)
    layer.build((None, 1, None))
    reference.require_close(kx.compute(audio / KEYS[0], layer)[:], expected)
