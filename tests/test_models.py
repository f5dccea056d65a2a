"""Layers of saved models: found where Keras puts them; what is no sound model builds nothing."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import kapre_cli as kx
from kapre_cli.errors import StoredDataError, UsageError
from kapre_cli.formats.keras_model import layer_of_model
from tests import reference
from tests.conftest import write_audio
from tests.models import PLACE, entry, kernels, layer_entry, write_model

# Models as Keras makes them


def stft(name: str) -> Any:
    return kx.Spectrogram(n_dft=16, trainable_kernel=True, name=name)


def bands(name: str) -> Any:
    return kx.Melspectrogram(
        sr=8000, n_dft=64, n_mels=3, fmin=200, fmax=4000, trainable_fb=True, name=name
    )


def sequential() -> Any:
    return keras.Sequential([keras.Input((1, 320)), stft("only")])


def functional() -> Any:
    """Return a model with layers of one class, some of them in a model inside of it."""
    inputs = keras.Input((1, 320))
    inside = keras.Input((1, 320))
    inner = keras.Model(inside, [stft("c")(inside), bands("d")(inside)], name="inner")
    return keras.Model(inputs, [stft("a")(inputs), stft("b")(inputs), *inner(inputs)])


def wrapped() -> Any:
    inputs = keras.Input((4, 1, 320))
    return keras.Model(inputs, keras.layers.TimeDistributed(bands("each"))(inputs))


def frozen_half() -> Any:
    """Return a model whose layer is not trained any more, in half precision."""
    layer = kx.Spectrogram(n_dft=16, trainable_kernel=True, name="half", dtype="float16")
    layer.trainable = False
    return keras.Sequential([keras.Input((1, 320)), layer])


def layers_of(model: Any) -> dict[str, Any]:
    found = {}
    for layer in model._flatten_layers():
        if isinstance(layer, kx.Spectrogram):
            found[layer.name] = layer
    return found


@pytest.mark.filterwarnings("ignore::kapre_cli.time_frequency.LayerWarning")  # float16
@pytest.mark.parametrize("make", [sequential, functional, wrapped, frozen_half])
def test_every_layer_is_found_with_its_own_weights(make: Callable[[], Any], tmp_path: Path) -> None:
    model = make()
    rng = np.random.default_rng(1)
    for layer in layers_of(model).values():
        layer.set_weights([rng.random(weight.shape) for weight in layer.weights])
    model.compile("adam", "mse")  # whose state is saved, too
    model.save(tmp_path / "x.keras")
    layers = layers_of(model)
    for name, layer in layers.items():
        config, weights = layer_of_model(f"{tmp_path / 'x.keras'}:{name}")
        assert config == layer.config
        assert weights is not None
        assert weights.layer_name == name
        for variable in layer.weights:
            np.testing.assert_array_equal(weights.arrays[variable.name], variable.numpy())
    if len(layers) == 1:
        assert layer_of_model(str(tmp_path / "x.keras")) == (config, weights)


def test_weights_are_described_as_the_layers_have_them() -> None:
    for arguments in ({}, {"trainable_fb": True}, {"trainable_fb": True, "trainable_kernel": True}):
        layer = kx.Melspectrogram(sr=8000, n_dft=30, n_mels=2, **arguments)
        layer.build((None, 1, None))
        shapes = {one.name: tuple(one.shape) for one in layer.weights}
        assert [*layer.config.weight_shapes.items()] == [*shapes.items()]


def test_a_path_may_have_colons(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.keras:b.keras")
    assert layer_of_model(str(path)).config.n_dft == 16
    assert layer_of_model(f"{path}:stft").config.n_dft == 16


# What cannot be used


def of_two_names(path: Path) -> Path:
    return write_model(path, [layer_entry("one"), layer_entry("two")])


USAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no layer": (
        lambda path: write_model(path, [entry("Dense", {"name": "dense"})]),
        "",
        (
            "the model '{path}' lists no layer of kapre-extract; a subclassed model lists none of "
            "its layers: save such a layer in a model of its own, keras.Sequential([layer])"
        ),
    ),
    "several": (
        of_two_names,
        "",
        (
            "the model '{path}' has 2 layers of kapre-extract: 'one' (Spectrogram), 'two' "
            "(Spectrogram); name one of them, as in '{path}:one'"
        ),
    ),
    "no such": (
        of_two_names,
        ":three",
        (
            "the model '{path}' has no layer 'three' of kapre-extract; it has 'one' (Spectrogram), "
            "'two' (Spectrogram)"
        ),
    ),
    "one name": (
        lambda path: write_model(path, [layer_entry("one"), layer_entry("one")]),
        ":one",
        (
            "the model '{path}' has 2 layers of kapre-extract: 'one' (Spectrogram), 'one' "
            "(Spectrogram); give the layers different names"
        ),
    ),
    "NaN": (
        lambda path: write_model(
            path,
            weights=lambda file: [
                file.create_dataset(f"{PLACE}/{n}", data=np.full((16, 1, 9), np.nan, "f4"))
                for n in range(2)
            ],
        ),
        "",
        (
            "the layer of the model '{path}' cannot be used: The weight 'kernel_real' of the layer "
            "'stft' is NaN or infinite in places: its training has diverged"
        ),
    ),
    "too large": (
        lambda path: write_model(path, [layer_entry(n_dft=2**22)]),
        "",
        (
            "the layer of the model '{path}' cannot be used: The layer has 70,368.8 GB of weights; "
            "outputs store at most 134.2 MB"
        ),
    ),
    "out of range": (
        lambda path: write_model(path, [layer_entry(n_dft=0)]),
        "",
        (
            "the layer of the model '{path}' cannot be used: `n_dft` must be an integer from 2 to "
            "4194304. Received: n_dft=0"
        ),
    ),
    "no argument": (
        lambda path: write_model(path, [layer_entry(n_dft={"a": ["n_dft"]})]),
        "",
        (
            "the layer of the model '{path}' cannot be used: `n_dft` must be an integer from 2 to "
            "4194304. Received: n_dft={{'a': ['n_dft']}}"
        ),
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_model_that_cannot_be_used_is_told_in_a_line(case: str, tmp_path: Path) -> None:
    make, suffix, message = USAGE[case]
    path = tmp_path / "x.keras"
    make(path)
    with pytest.raises(UsageError) as raised:
        layer_of_model(f"{path}{suffix}")
    assert str(raised.value) == message.format(path=path)


def another_shape(file: h5py.File) -> None:
    kernels(file, 32)


def external_link(file: h5py.File) -> None:
    file[f"{PLACE}/0"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["elsewhere"] = np.zeros((16, 1, 9), "f4")
    file[f"{PLACE}/0"] = h5py.SoftLink("/elsewhere")


def external_bytes(file: h5py.File) -> None:
    file.create_dataset(f"{PLACE}/0", (16, 1, 9), "f4", external=[("/etc/passwd", 0, 576)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((16, 1, 9), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (16, 1, 9))
    file.create_virtual_dataset(f"{PLACE}/0", layout)


def unwritten(file: h5py.File) -> None:
    file.create_dataset(f"{PLACE}/0", (16, 1, 9), "f4", chunks=(16, 1, 9), compression="gzip")


def of_objects(file: h5py.File) -> None:
    file.create_dataset(f"{PLACE}/0", (16, 1, 9), h5py.string_dtype())


def empty_group(file: h5py.File) -> None:
    file.create_group(PLACE)


def linked_group(file: h5py.File) -> None:
    file["layers/spectrogram"] = h5py.ExternalLink("other.h5", "/x")


def torn(path: Path) -> None:
    content = write_model(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path: Path) -> None:
    content = bytearray(write_model(path).read_bytes())
    content[content.index(np.float32(0.25).tobytes()) + 400] ^= 1
    path.write_bytes(content)


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no archive": (lambda path: path.write_bytes(b"PK no archive"), "not a zip file"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"n_dft": 16})), "not a zip file"),
    "empty": (Path.touch, "not a zip file"),
    "torn": (torn, "not a zip file"),
    "a folder": (Path.mkdir, "not a plain file"),
    "a pipe": (os.mkfifo, "not a plain file"),
    "no description": (
        lambda path: zipfile.ZipFile(path, "w").writestr("other", b""),
        "no item named 'config.json'",
    ),
    "no JSON": (lambda path: write_model(path, description=b"{"), "not JSON"),
    "nested": (
        lambda path: write_model(path, description=b"[" * 10**6),
        "maximum recursion",
    ),
    "no weights": (lambda path: write_model(path, weights=None), "'model.weights.h5'"),
    "a changed bit": (flipped, "Bad CRC-32"),
    "pickled weights": (
        lambda path: write_model(path, weights=pickle.dumps(np.zeros(3))),
        "file signature not found",
    ),
    "compressed weights": (
        lambda path: write_model(path, compression=zipfile.ZIP_DEFLATED),
        "its model.weights.h5 is compressed",
    ),
    **{
        change.__name__: (partial(write_model, weights=change), message)
        for change, message in {
            another_shape: "has shape (32, 1, 17), its layer's has (16, 1, 9)",
            external_link: "is a link to another place",
            soft_link: "is a link to another place",
            external_bytes: "leads to another file",
            virtual: "leads to another file",
            unwritten: "does not have its 576 bytes in one run",
            of_objects: "not of floating-point numbers",
            linked_group: "is a link to another place",
            empty_group: "has no '0'",
        }.items()
    },
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_that_is_no_sound_model_is_refused(case: str, tmp_path: Path) -> None:
    make, message = DAMAGED[case]
    path = tmp_path / "x.keras"
    make(path)
    with pytest.raises(StoredDataError) as raised:
        layer_of_model(str(path))
    assert str(raised.value).startswith(f"'{path}' is no complete Keras model: ")
    assert message in str(raised.value)


def test_nothing_in_a_model_is_run_or_built(tmp_path: Path) -> None:
    """Neither the code of a Lambda layer, nor classes of other modules, nor those of a pickle."""
    victim = tmp_path / "victim"
    victim.touch()

    def remove(samples: Any) -> Any:
        os.remove(str(victim))
        return samples

    model = keras.Sequential([keras.layers.Lambda(lambda one: one), stft("stft")])
    model.build((None, 1, 320))
    model.layers[0].function = remove
    model.save(tmp_path / "x.keras")
    with zipfile.ZipFile(tmp_path / "x.keras") as archive:
        described = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    evil = entry("system", {"name": "evil", "command": f"rm {victim}"}) | {"module": "os"}
    described["config"]["layers"].append(evil)
    write_model(tmp_path / "y.keras", described["config"]["layers"], weights)
    for name in ("x.keras", "y.keras"):
        config, found = layer_of_model(str(tmp_path / name))
        assert config.class_name == "Spectrogram"
        assert found is not None
    assert victim.exists()


# On the command line


def test_wrong_models_end_with_one_line_and_code_2(tmp_path: Path, at_once: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 800))
    two = of_two_names(tmp_path / "two.keras")
    write_model(tmp_path / "x.keras")
    torn(tmp_path / "torn.keras")
    command = ("spectrogram", "a.wav", "-o", "x.h5", "--layer")
    for arguments, message in {
        (*command, "none.keras"): "there is no model 'none.keras'",
        (*command, "x.h5"): "--layer takes a model that Keras 3 has saved, MODEL.keras or "
        "MODEL.keras:NAME. Received: 'x.h5'",
        (*command, "torn.keras"): "'torn.keras' is no complete Keras model: File is not a zip file",
        (*command, two.name): "the model 'two.keras' has 2 layers of kapre-extract: 'one' "
        "(Spectrogram), 'two' (Spectrogram); name one of them, as in 'two.keras:one'",
        (*command, "x.keras", "--n-dft", 3): "--n-dft cannot change the layer of 'x.keras', which "
        "has --n-dft 16; leave it out",
        (*command, "x.keras", "--engine", "numpy"): "--engine must be 'keras' for a layer with "
        "trained weights. Received: --engine numpy",
        ("melspectrogram", *command[1:], "x.keras:stft"): "the layer of 'x.keras:stft' is a "
        "Spectrogram; use kapre-extract spectrogram --layer x.keras:stft",
    }.items():
        ended = at_once(*arguments, cwd=tmp_path)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"kapre-extract: Error: {message}\n"
    assert not (tmp_path / "x.h5").exists()


def test_arguments_in_files_give_way_to_the_layer_and_variables_do_not(
    tmp_path: Path, at_once: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 800))
    write_model(tmp_path / "x.keras", [layer_entry(trainable_kernel=False)], None)
    (tmp_path / "c.toml").write_text('n-dft = 512\nlayer = "x.keras"\n')
    command = ("spectrogram", "a.wav", "-o", "x.h5", "--config", "c.toml")
    ended = at_once(*command, cwd=tmp_path)
    assert ended.code == 0, ended.err
    with kx.open_features(tmp_path / "x.h5") as features:
        assert (features.layer.n_dft, features.root.engine) == (16, "numpy")
        assert features.weights is None
    ended = at_once(*command, "--overwrite", cwd=tmp_path, KAPRE_EXTRACT_N_DFT="64")
    assert (ended.code, ended.err.count("--n-dft cannot change the layer")) == (2, 1)


def test_the_layer_decides_the_sample_rate(tmp_path: Path, at_once: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 800), sr=8000)
    mel = entry("Melspectrogram", {"name": "m", "sr": 4000, "n_mels": 3}, "kapre_cli>Mel")
    write_model(tmp_path / "x.keras", [mel], None)
    command = ("melspectrogram", "a.wav", "-o", "x.h5", "--layer", "x.keras")
    ended = at_once(*command, cwd=tmp_path)
    assert "sample rate is 8,000 Hz, this run uses 4,000 Hz (use --resample" in ended.err
    assert at_once(*command, "--resample", cwd=tmp_path).code == 0
    ended = at_once(*command, "--overwrite", "--sr", 8000, cwd=tmp_path)
    assert ended.code == 2
    assert "Received: 4000 Hz, audio at 8000 Hz" in ended.err
