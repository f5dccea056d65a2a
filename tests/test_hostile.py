"""Outputs that somebody has tampered with: each is refused, and says why, before it does harm."""

import json
import os
import pickle
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.cli import run
from kapre_cli.errors import StoredDataError
from tests import reference
from tests.conftest import write_audio

KEYS = ("a.wav", "site/b.wav")
MEL = ("--n-dft", "64", "--n-hop", "32", "--n-mels", "8", "--data-format", "channels_last")
FORMATS = ("out.h5", "out", "out.npy")
SHAPE = (8, 25, 1)  # mel, time, channel of "a.wav"
Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with one output of each format."""
    folder = tmp_path_factory.mktemp("originals")
    for number, key in enumerate(KEYS):
        write_audio(folder / "audio" / key, reference.noise(1, 800 + 100 * number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        for name in FORMATS:
            audio = folder / "audio" / ("a.wav" if name == "out.npy" else "")
            assert run(["melspectrogram", str(audio), "-o", str(folder / name), *MEL]) == 0
    shutil.rmtree(folder / "audio")
    for described in (folder / "out" / "kapre-extract.json", folder / "out.npy.json"):
        edit(described, without_checksums)
    return folder


@pytest.fixture
def work(originals: Path, tmp_path: Path) -> Path:
    """Give copies of the outputs that may be spoilt."""
    return Path(shutil.copytree(originals, tmp_path / "work"))


def read_all(output: Path) -> dict[str, Any]:
    with kapre_cli.open_features(output) as features:
        for array in features.values():
            array.verify()
        return {key: array[:] for key, array in features.items()}


def refused(output: Path, message: str) -> None:
    with pytest.raises(StoredDataError, match=message):
        read_all(output)


def edit(path: Path, change: Change) -> None:
    """Change the object that a JSON file, or the first line of a manifest, holds."""
    first, *rest = path.read_text().splitlines()
    stored = json.loads(first)
    changed = change(stored)
    path.write_text("\n".join([changed if isinstance(changed, str) else json.dumps(stored), *rest]))
    with path.open("a") as file:
        file.write("\n")


def without_checksums(root: dict[str, Any]) -> None:
    """Do what whoever tampers with a file has to do first; none are required."""
    for name in ("crc32", "manifest_crc32"):
        root.pop(name, None)


@pytest.mark.parametrize("name", FORMATS)
def test_what_nobody_has_touched_is_read(name: str, work: Path) -> None:
    arrays = read_all(work / name)
    assert list(arrays) == list(KEYS[:1] if name == "out.npy" else KEYS)
    assert arrays["a.wav"].shape == SHAPE


# The metadata of an input, the same for every format


def rename(old: str, new: str) -> Change:
    return lambda metadata: metadata.update({new: metadata.pop(old)})


def twice(name: str) -> Change:
    return lambda metadata: json.dumps(metadata).replace(f'"{name}"', f'"{name}": 0, "{name}"', 1)


def literal(name: str, text: str) -> Change:
    return lambda metadata: json.dumps({**metadata, name: "?"}).replace('"?"', text)


FACTS: dict[str, tuple[Change, str]] = {
    "a bool for a number": (lambda metadata: metadata.update(sr=True), "'sr' of an input is True"),
    "a rate of 0": (lambda metadata: metadata.update(sr=0), "'sr' of an input is 0"),
    "a rate beyond all": (
        lambda metadata: metadata.update(source_sr=2**40),
        "'source_sr' of an input",
    ),
    "another rate": (
        lambda metadata: metadata.update(sr=44100),
        "rate is 44,100 Hz, the output's 8,000",
    ),
    "a negative size": (
        lambda metadata: metadata.update(source_size=-1),
        "'source_size' of an input",
    ),
    "no samples": (lambda metadata: metadata.update(n_samples=0), "'n_samples' of an input is 0"),
    "no channels": (
        lambda metadata: metadata.update(n_channels=0),
        "'n_channels' of an input is 0",
    ),
    "other samples": (
        lambda metadata: metadata.update(n_samples=10**15),
        "its metadata declares|the index has 800",
    ),
    "other channels": (
        lambda metadata: metadata.update(n_channels=2),
        "its metadata declares|the index has 1",
    ),
    "a checksum of text": (
        lambda metadata: metadata.update(crc32="0"),
        "'crc32' of an input is '0'",
    ),
    "a negative checksum": (
        lambda metadata: metadata.update(crc32=-1),
        "'crc32' of an input is -1",
    ),
    "a source of numbers": (
        lambda metadata: metadata.update(source=5),
        "'source' of an input is 5",
    ),
    "a reference without decibels": (
        lambda metadata: metadata.update(reference=1.0, reference_db=0.0),
        "an input has the reference 1.0 and reference_db 0.0",
    ),
    "a reference of text": (
        lambda metadata: metadata.update(reference="loud"),
        "'reference' of an input is 'loud'",
    ),
    "an unknown name": (lambda metadata: metadata.update(x=1), "must be exactly"),
    "a missing name": (lambda metadata: metadata.pop("sr"), "must be exactly"),
    "a misspelt name": (rename("sr", "rate"), "must be exactly"),
    "one name twice": (twice("sr"), "an object has one name twice"),
    "NaN": (literal("time_start", "NaN"), "NaN is out of range"),
    "infinity": (literal("time_start", "-Infinity"), "-Infinity is out of range"),
    "infinity in digits": (literal("time_start", "1e999"), "1e999 is out of range"),
    "a huge integer": (literal("n_samples", "9" * 5000), "999 is out of range"),
    "a large integer": (literal("n_samples", str(2**63)), "9223372036854775808 is out of range"),
    "deep nesting": (lambda _: "[" * 20_000, "not JSON"),
    "a list": (lambda _: "[]", "not a JSON object|must be exactly"),
    "nothing": (lambda _: "", "not JSON"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("spoilt", FACTS)
def test_metadata_out_of_range_are_refused(name: str, spoilt: str, work: Path) -> None:
    change, message = FACTS[spoilt]
    if name == "out":
        edit(work / name / "manifest.jsonl", change)
    elif name == "out.npy":

        def within(root: dict[str, Any]) -> Any:
            changed = change(root["input"])
            if isinstance(changed, str):
                return json.dumps({**root, "input": "?"}).replace('"?"', changed)
            return None

        edit(work / "out.npy.json", within)
    else:
        with h5py.File(work / name, "r+") as file:
            attributes = file["features/a.wav"].attrs
            stored = json.loads(attributes["input"])
            changed = change(stored)
            text = changed if isinstance(changed, str) else json.dumps(stored)
            attributes["input"] = np.bytes_(text)
    refused(work / name, message)


# The metadata of the whole, the same for every format


def config(**values: object) -> Change:
    return lambda root: root["layer"]["config"].update(values)


ROOTS: dict[str, tuple[Change, str]] = {
    "too many bands": (config(n_mels=10**9), "`n_mels` must be"),
    "a frame of terabytes": (config(n_dft=2**40), "`n_dft` must be"),
    "text for a number": (config(n_dft="64"), "`n_dft` must be"),
    "a bool for a number": (config(n_hop=True), "`n_hop` must be"),
    "a number for a bool": (config(htk=1), "`htk` must be"),
    "fmax of text": (config(fmax="nan"), "`fmax` must be"),
    "another rate": (config(sr=44100), "made for 44,100 Hz, its audio is at 8,000"),
    "axes unresolved": (config(image_data_format="default"), "not resolved"),
    "an unknown argument": (config(module="os"), "unknown arguments"),
    "an unknown class": (lambda root: root["layer"].update(class_name="Lambda"), "class_name"),
    "a path to a class": (lambda root: root["layer"].update(class_name="os.system"), "class_name"),
    "a module": (lambda root: root["layer"].update(module="os"), "must have exactly"),
    "no layer": (lambda root: root.update(layer=[]), "must have exactly"),
    "an impossible rate": (lambda root: root["settings"].update(sr=0), "`sr` must be"),
    "a rate beyond all": (
        lambda root: root["settings"].update(sr=2**40),
        "must be an integer from 1 to 100000000",
    ),
    "unknown settings": (lambda root: root["settings"].update(x=1), "must have exactly"),
    "another format": (lambda root: root.update(format="zarr"), "not an output of kapre-extract"),
    "another version": (lambda root: root.update(format_version=2), "format version is 2"),
    "versions of numbers": (lambda root: root.update(versions=5), "`versions` are missing"),
    "wide bands": (config(fmax=2000.0), "`frequency` is not that of its layer"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("spoilt", ROOTS)
def test_layers_and_settings_out_of_range_are_refused(name: str, spoilt: str, work: Path) -> None:
    change, message = ROOTS[spoilt]
    if name == "out.h5":
        with h5py.File(work / name, "r+") as file:
            names = ("layer", "settings", "versions")
            root = {one: json.loads(file.attrs[one]) for one in names}
            root |= {"format": "kapre-extract", "format_version": 1}
            change(root)
            for one, value in root.items():
                text = json.dumps(value) if one in names else value
                file.attrs[one] = np.bytes_(text) if isinstance(text, str) else text
    else:
        edit(work / ("out.npy.json" if name == "out.npy" else "out/kapre-extract.json"), change)
    refused(work / name, message)
    with pytest.raises(StoredDataError, match=message):
        kapre_cli.load_layer(work / name)


def test_layers_larger_than_the_memory_are_not_built(work: Path) -> None:
    def grow(root: dict[str, Any]) -> None:
        root["layer"] = {
            "class_name": "Spectrogram",
            "config": {
                "n_dft": 2**16,
                "trainable_kernel": True,
                "image_data_format": "channels_last",
            },
        }
        root["frequency"] = np.linspace(0, 4000, 2**15 + 1).tolist()

    edit(work / "out/kapre-extract.json", grow)
    (work / "out/manifest.jsonl").write_text("")  # its rows have the axes of the other layer
    with pytest.raises(StoredDataError, match=r"its layer would have 4,295,098,368 weights"):
        kapre_cli.load_layer(work / "out")


# HDF5


def replace(name: str, make: Change) -> Change:
    """Put what ``make(file)`` returns, or makes itself, in the place of ``name``."""

    def change(file: Any) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        made = make(file)
        if made is not None:
            file[name] = made
        if isinstance(file.get(name, getlink=True), h5py.HardLink):
            for attribute, value in attributes.items():
                if isinstance(value, bytes) and hasattr(file[name], "attrs"):
                    file[name].attrs[attribute] = value

    return change


def dataset(name: str, *arguments: Any, **options: Any) -> Change:
    def make(file: Any) -> None:
        file.create_dataset(name, *arguments, **options)

    return replace(name, make)


def unknown_filter(file: Any) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(SHAPE)
    creation.set_filter(32_123, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(SHAPE)
    h5py.h5d.create(file.id, b"features/a.wav", h5py.h5t.IEEE_F32LE, space, creation)


def deflated_twice(file: Any) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(SHAPE)
    creation.set_deflate(4)
    creation.set_deflate(4)
    space = h5py.h5s.create_simple(SHAPE)
    h5py.h5d.create(file.id, b"features/a.wav", h5py.h5t.IEEE_F32LE, space, creation)


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", SHAPE)
    file.create_virtual_dataset("features/a.wav", layout)


def external(file: Any) -> None:
    file.create_dataset("features/a.wav", SHAPE, "f4", external=[("other", 0, 800)])


def index(change: Callable[[Any], Any]) -> Change:
    """Store what ``change`` makes of the index, an array."""

    def spoil(file: Any) -> None:
        changed = change(file["index"][()])
        del file["index"]
        file["index"] = changed

    return spoil


def keyed(*keys: bytes) -> Change:
    """Put other keys into the index, in keeping with its table and its other texts."""

    def change(file: Any) -> None:
        index(lambda table: np.resize(table, len(keys)))(file)
        joined("keys", b"".join(key + b"\0" for key in keys))(file)
        for name in ("sources", "notes", "labels"):
            texts = file[name][:].tobytes().split(b"\0")[:-1]
            joined(name, b"".join(one + b"\0" for one in texts[: len(keys)]))(file)

    return change


def joined(name: str, content: bytes) -> Change:
    """Store other bytes in the place of all keys or of all sources."""
    return replace(name, lambda _: np.frombuffer(content, np.uint8))


def column(name: str, values: Any, dtype: Any) -> Change:
    """Give the index one more column, or another one of that name."""

    def change(table: Any) -> Any:
        kept = {one: table.dtype[one] for one in table.dtype.names}
        wider = np.zeros(len(table), list((kept | {name: dtype}).items()))
        for one in kept.keys() - {name}:
            wider[one] = table[one]
        wider[name] = values
        return wider

    return index(change)


def bomb(name: str, shape: tuple[int, ...], dtype: Any = "f4") -> Change:
    """Promise an enormous dataset of which no byte is there."""
    return dataset(name, shape, dtype, chunks=tuple(min(size, 64) for size in shape))


def consistent_bomb(file: Any) -> None:
    """Promise it in the metadata and in the index as well."""
    n_samples = 32 * 10**12
    bomb("features/a.wav", (8, 10**12, 1))(file)
    metadata = json.loads(file["features/a.wav"].attrs["input"])
    file["features/a.wav"].attrs["input"] = np.bytes_(
        json.dumps({**metadata, "n_samples": n_samples})
    )
    column("n_samples", (n_samples, 900), "<i8")(file)


def attribute(value: Any) -> Change:
    return lambda file: file["features/a.wav"].attrs.__setitem__("input", value)


def table_bomb(file: Any) -> None:
    kind = file["index"].dtype
    space = h5py.h5s.create_simple((10**9,))
    del file["index"]
    h5py.h5d.create(file.id, b"index", h5py.h5t.py_create(kind), space)


def endless_zeros(name: str) -> Change:
    """Promise 3 TB of bytes, and give the file a hole that holds them."""

    def change(file: Any) -> None:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((3 * 10**12,))
        del file[name]
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, creation)

    return change


LABELS = h5py.string_dtype()
HDF5: dict[str, tuple[Change, str]] = {
    "a soft link": (replace("features/a.wav", lambda _: h5py.SoftLink("/x")), "is a link"),
    "an external link": (
        replace("features/a.wav", lambda _: h5py.ExternalLink("other.h5", "/x")),
        "is a link",
    ),
    "an external folder": (
        replace("features/site", lambda _: h5py.ExternalLink("other.h5", "/x")),
        "'site' is a link",
    ),
    "external features": (
        replace("features", lambda _: h5py.ExternalLink("other.h5", "/x")),
        "'features' is a link",
    ),
    "an external index": (replace("index", lambda _: h5py.ExternalLink("o.h5", "/x")), "is a link"),
    "a virtual dataset": (replace("features/a.wav", virtual), "leads to another file"),
    "external storage": (replace("features/a.wav", external), "leads to another file"),
    "a foreign filter": (replace("features/a.wav", unknown_filter), "unknown filters .32123."),
    "another filter of HDF5": (
        dataset("features/a.wav", SHAPE, "f4", chunks=SHAPE, scaleoffset=2),
        "unknown filters .6.",
    ),
    "a filter twice": (replace("features/a.wav", deflated_twice), "filters in the order .1, 1."),
    "integers": (dataset("features/a.wav", SHAPE, "i4"), "not of floating-point numbers"),
    "complex numbers": (dataset("features/a.wav", SHAPE, "c8"), "not of floating-point numbers"),
    "long doubles": (dataset("features/a.wav", SHAPE, "g"), "not of floating-point numbers"),
    "strings": (dataset("features/a.wav", SHAPE, LABELS), "not of floating-point numbers"),
    "references": (
        dataset("features/a.wav", SHAPE, h5py.ref_dtype),
        "not of floating-point numbers",
    ),
    "another shape": (dataset("features/a.wav", (8, 25, 2), "f4"), "its metadata declares"),
    "another rank": (dataset("features/a.wav", (8, 25), "f4"), "has 2 axes"),
    "no shape": (dataset("features/a.wav", data=h5py.Empty("f4")), "has 0 axes"),
    "a bomb": (bomb("features/a.wav", (10**6, 10**6, 10**6)), "its metadata declares"),
    "a bomb in keeping": (consistent_bomb, "declares 32,000,000,000,000 bytes .* and has 0"),
    "values never written": (dataset("features/a.wav", SHAPE, "f4"), "and has 0"),
    "other values": (dataset("features/a.wav", data=np.ones(SHAPE, "f4")), "is damaged"),
    "a group for a dataset": (
        replace("features/a.wav", lambda file: file.create_group("features/a.wav") and None),
        "'a.wav' is not a dataset",
    ),
    "a type for a dataset": (
        replace("features/a.wav", lambda _: np.dtype("f4")),
        "'a.wav' is not a dataset",
    ),
    "a dataset for a group": (
        replace("features/site", lambda _: np.zeros(3)),
        "'site' is not a group",
    ),
    "a group that is its own": (
        replace("features/site", lambda file: file["features"]),
        "it has no 'b.wav'",
    ),
    "metadata of variable length": (attribute("{}"), "not a plain string"),
    "metadata in a list": (attribute(np.array([b"{}"])), "not a plain string"),
    "metadata of numbers": (attribute(5), "'a.wav' has no metadata"),
    "other metadata in the index": (column("crc32", 0, "<u4"), "the index has 0"),
    "no index": (lambda file: file.__delitem__("index"), "it has no 'index'"),
    "a group for the index": (
        replace("index", lambda file: file.create_group("index") and None),
        "'index' is not a dataset",
    ),
    "an index of numbers": (dataset("index", data=np.zeros(3)), "not of the type"),
    "an index of variable length": (column("sha256", "x", LABELS), "not of the type"),
    "an index of references": (column("x", None, h5py.ref_dtype), "not of the type"),
    "an index of arrays": (column("x", 0, ("f4", (3,))), "not of the type"),
    "an index of two axes": (index(lambda table: table[None]), "not stored as this program does"),
    "an index of no shape": (
        replace("index", lambda file: h5py.Empty(file["features/a.wav"].dtype)),
        "not of the type",
    ),
    "an index bomb": (table_bomb, "its index has 1,000,000,000 rows and 2 keys|declares"),
    "an index with a row too few": (
        index(lambda table: table[:1]),
        "its index has 1 row and 2 keys",
    ),
    "a packed index": (
        lambda file: dataset("index", data=file["index"][()], compression="gzip")(file),
        "not stored as this program does",
    ),
    "no keys": (lambda file: file.__delitem__("keys"), "it has no 'keys'"),
    "no sources": (lambda file: file.__delitem__("sources"), "it has no 'sources'"),
    "keys of numbers": (dataset("keys", data=np.zeros(9)), "'keys' is not of the type"),
    "keys of variable length": (dataset("keys", (2,), LABELS), "'keys' is not of the type"),
    "keys that are packed": (
        dataset("keys", data=np.zeros(10**7, "u1"), compression="gzip"),
        "'keys' is not stored as this program does",
    ),
    "keys never written": (dataset("keys", (10**6,), "u1"), "'keys' declares 1,000,000 bytes"),
    "keys that have no end": (endless_zeros("keys"), "leads out of the output|cannot be read"),
    "a key cut short": (joined("keys", b"a.wav\0site/b.wa"), "a text that is cut short"),
    "a key longer than any": (
        joined("keys", b"a.wav\0" + b"x" * 10**5 + b"\0"),
        "longer than any path",
    ),
    "a key that never ends": (joined("keys", b"x" * 10**7), "longer than any path"),
    "a key too few": (joined("keys", b"a.wav\0"), "2 rows and 1 key"),
    "a source too few": (joined("sources", b"a\0"), "1 source and 2 keys"),
    "a source too many": (joined("sources", b"a\0" * 3), "more sources than keys"),
    "sources that have no end": (endless_zeros("sources"), "more sources than keys|cannot be re"),
    "no notes": (lambda file: file.__delitem__("notes"), "it has no 'notes'"),
    "a note too few": (joined("notes", b"\0"), "1 note and 2 keys"),
    "a note too many": (joined("notes", b"\0\0\0"), "more notes than keys"),
    "another note": (joined("notes", b"no\0\0"), "'note' of 'a.wav' is b''"),
    "notes that have no end": (endless_zeros("notes"), "more notes than keys|cannot be read"),
    "one key twice": (keyed(b"a.wav", b"a.wav"), "'a.wav' is in the index twice"),
    "a key above": (keyed(b"../a.wav"), "leads out of the output"),
    "a key from the root": (keyed(b"/features/a.wav"), "leads out of the output"),
    "a key through itself": (keyed(b"site/./b.wav"), "leads out of the output"),
    "an empty key": (keyed(b""), "leads out of the output"),
    "a key longer than a path": (keyed(b"a/" * 2048 + b"b"), "is longer than the 4,096 bytes"),
    "a key with nothing between": (keyed(b"site//b.wav"), "leads out of the output"),
    "a key that is no text": (keyed(b"\xff.wav"), "can't decode"),
    "a key without an array": (keyed(b"a.wav", b"c.wav"), "it has no 'c.wav'"),
    "no frequencies": (lambda file: file.__delitem__("frequency"), "it has no 'frequency'"),
    "frequencies of single precision": (dataset("frequency", data=np.ones(8, "f4")), "float32"),
    "frequencies in a matrix": (dataset("frequency", data=np.ones((8, 1))), r"has shape \(8, 1\)"),
    "a frequency bomb": (bomb("frequency", (10**12,), "f8"), "`frequency` has shape"),
    "frequencies that are NaN": (dataset("frequency", data=np.full(8, np.nan)), "not that of its"),
    "other frequencies": (dataset("frequency", data=np.arange(8.0)), "not that of its layer"),
    "a version of text": (
        lambda file: file.attrs.__setitem__("format_version", "1"),
        "not a plain",
    ),
}


@pytest.mark.parametrize("spoilt", HDF5)
def test_hostile_hdf5_is_refused(spoilt: str, work: Path) -> None:
    change, message = HDF5[spoilt]
    with h5py.File(work / "out.h5", "r+") as file:
        change(file)
    refused(work / "out.h5", message)


def test_a_bomb_harms_nobody_who_does_not_read_it(work: Path) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        consistent_bomb(file)
    with kapre_cli.open_features(work / "out.h5") as features:
        assert features["a.wav"].shape == (8, 10**12, 1)
        features["site/b.wav"].verify()


def test_dimension_labels_are_never_read(work: Path) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        del file["features/a.wav"].attrs["DIMENSION_LABELS"]
        file["features/site/b.wav"].attrs["DIMENSION_LABELS"] = np.zeros(5)
    with kapre_cli.open_features(work / "out.h5") as features:
        assert {array.axes for array in features.values()} == {("mel", "time", "channel")}


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize(
    "packed", [{}, {"compression": "gzip", "shuffle": True, "fletcher32": True}]
)
def test_every_kind_of_float_is_read(dtype: str, packed: dict[str, Any], work: Path) -> None:
    values = np.linspace(0, 1, 200).reshape(SHAPE).astype(dtype)
    crc32 = zlib.crc32(values.astype(dtype.replace(">", "<")).tobytes())
    with h5py.File(work / "out.h5", "r+") as file:
        metadata = {**json.loads(file["features/a.wav"].attrs["input"]), "crc32": crc32}
        dataset("features/a.wav", data=values, **packed)(file)
        attribute(np.bytes_(json.dumps(metadata)))(file)
        column("crc32", (crc32, file["index"]["crc32"][1]), "<u4")(file)
    np.testing.assert_array_equal(read_all(work / "out.h5")["a.wav"], values)


# .npy files


def npy(make: Callable[[Path], object]) -> Change:
    """Let ``make`` put something in the place of an array's file."""

    def change(work: Path) -> None:
        for file in (work / "out/a.wav.npy", work / "out.npy"):
            content = file.read_bytes()
            file.unlink()
            made = make(file)
            if callable(made):
                file.write_bytes(made(content))

    return change


def saved(values: Any, **options: Any) -> Change:
    def make(file: Path) -> None:
        with file.open("wb") as target:
            np.lib.format.write_array(target, values, **options)

    return npy(make)


def zipped(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("arr_0.npy", b"")


def headed(header: bytes, version: bytes = b"\1\0") -> Change:
    """Put another header in front of the values."""
    size = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    head = b"\x93NUMPY" + version + size + header
    return npy(lambda _: lambda content: head + content[128:])


def described(descr: str = "'<f4'", order: str = "False", shape: str = "(8, 25, 1)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()


NPY: dict[str, tuple[Change, str]] = {
    "a pickle": (npy(lambda file: file.write_bytes(pickle.dumps([1])) and None), "cannot be read"),
    "a zip": (npy(zipped), "cannot be read"),
    "a FIFO": (npy(lambda file: os.mkfifo(file)), "not a plain file"),
    "a device": (npy(lambda file: file.symlink_to("/dev/zero")), "leads out of the|not a plain"),
    "a folder": (npy(lambda file: file.mkdir()), "not a plain file|extract.json' is missing"),
    "nothing": (npy(lambda _: None), "cannot be read|nothing there|No such file"),
    "an empty file": (npy(lambda _: lambda _: b""), "cannot be read"),
    "a file cut short": (npy(lambda _: lambda content: content[:-1]), "its header declares 928"),
    "a file with more": (npy(lambda _: lambda content: content + b"x"), "its header declares 928"),
    "half a header": (npy(lambda _: lambda content: content[:64]), "cannot be read"),
    "objects": (saved(np.array([{}], dtype=object), allow_pickle=True), "pickle"),
    "integers": (saved(np.zeros(SHAPE, "i4")), "not an array that this program writes"),
    "records": (saved(np.zeros(3, [("x", "f4")])), "not an array that this program writes"),
    "another shape": (saved(np.zeros((8, 25, 2), "f4")), "its metadata declares"),
    "other values": (saved(np.zeros(SHAPE, "f4")), "is damaged"),
    "another order": (headed(described(order="True")), "not an array that this program writes"),
    "a later version": (headed(described(), b"\2\0"), "version is not 1.0"),
    "a huge shape": (headed(described(shape="(10**9, 25, 1)")), "cannot be read"),
    "an endless shape": (headed(described(shape=f"({10**30}, 1, 1)")), "its header declares"),
    "a negative shape": (headed(described(shape="(-8, -25, 1)")), "not an array that this"),
    "a call": (headed(described(descr="__import__('os').getcwd()")), "cannot be read"),
    "an open bracket": (headed(b"{" * 100), "cannot be read"),
    "deep brackets": (headed(b"(" * 5000 + b")" * 5000), "cannot be read"),
    "a long header": (headed(described() + b" " * 20_000), "cannot be read"),
    "no text": (headed(b"\xff\0" * 50), "cannot be read"),
}


@pytest.mark.parametrize("name", ["out", "out.npy"])
@pytest.mark.parametrize("spoilt", NPY)
def test_hostile_npy_is_refused(spoilt: str, name: str, work: Path) -> None:
    change, message = NPY[spoilt]
    change(work)
    if spoilt == "nothing" and name == "out.npy":
        with pytest.raises(FileNotFoundError):
            kapre_cli.open_features(work / name)
        return
    # A single file that is no .npy at all is taken for another format, and is not that either.
    refused(work / name, message if name == "out" else f"{message}|no output of kapre-extract")


def key(text: str) -> Change:
    """Give the first row of the manifest another key, as JSON."""
    return lambda row: json.dumps({**row, "key": "?"}).replace('"?"', text)


ROWS: dict[str, tuple[Change, str]] = {
    "a key above": (key('"../out/a.wav"'), "leads out of the output"),
    "a key from the root": (key('"/a.wav"'), "leads out of the output"),
    "an empty key": (key('""'), "leads out of the output"),
    "a key with NUL": (key(r'"a\u0000.wav"'), "leads out of the output"),
    "a key of half a letter": (key(r'"\udce9.wav"'), "not UTF-8"),
    "a key of numbers": (key("5"), "is no key"),
    "one key twice": (key('"site/b.wav"'), "the metadata has the key 'site/b.wav' twice"),
    "a key without an array": (key('"c.wav"'), "cannot be read: No such file"),
    "other axes": (lambda row: row.update(axes=["time"]), "the axes of 'a.wav'"),
    "axes of numbers": (lambda row: row.update(axes=5), "the axes of 'a.wav'"),
    "a key longer than a path": (
        key(f'"{"a/" * 2048}b"'),
        r"'a/a.*\.\.\.' is longer than the 4,096",
    ),
    "an endless row": (lambda row: row.update(source="x" * 10**6), "cut off or too long"),
}


@pytest.mark.parametrize("spoilt", ROWS)
def test_hostile_manifests_are_refused(spoilt: str, work: Path) -> None:
    change, message = ROWS[spoilt]
    edit(work / "out/manifest.jsonl", change)
    refused(work / "out", message)


def test_a_manifest_that_is_cut_off_is_refused(work: Path) -> None:
    manifest = work / "out/manifest.jsonl"
    os.truncate(manifest, manifest.stat().st_size - 1)
    refused(work / "out", "cut off or too long")


FREQUENCIES = {
    "none": (lambda root: root.pop("frequency"), "not a list of numbers"),
    "text": (lambda root: root.update(frequency=["1"] * 8), "not a list of numbers"),
    "bools": (lambda root: root.update(frequency=[True] * 8), "not a list of numbers"),
    "lists": (lambda root: root.update(frequency=[[1.0]] * 8), "not a list of numbers"),
    "too few": (lambda root: root["frequency"].pop(), "not that of its layer"),
}


@pytest.mark.parametrize("spoilt", FREQUENCIES)
def test_frequencies_in_json_are_checked(spoilt: str, work: Path) -> None:
    change, message = FREQUENCIES[spoilt]
    edit(work / "out/kapre-extract.json", change)
    refused(work / "out", message)


PLACES = ("out/kapre-extract.json", "out/manifest.jsonl", "out.npy.json", "out.npy", "out.h5")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, work: Path) -> tuple[Path, Path]:
    """Give a file to be replaced, and the output that it belongs to."""
    file = work / request.param
    file.unlink()
    output = file.parent if file.parent.name == "out" else file
    return file, output.with_name("out.npy") if file.name == "out.npy.json" else output


def test_nothing_that_blocks_is_opened(place: tuple[Path, Path]) -> None:
    file, output = place
    os.mkfifo(file)
    refused(output, "is not a plain file")
    file.unlink()
    file.symlink_to("/dev/zero")
    refused(output, "is not a plain file|leads out of the output")


def test_links_out_of_the_folder_are_not_followed(work: Path) -> None:
    for name in ("out/kapre-extract.json", "out/manifest.jsonl", "out/a.wav.npy", "out/site"):
        (work / name).rename(work / "elsewhere")
        (work / name).symlink_to(work / "elsewhere")
        refused(work / "out", "a link that leads out of the output")
        (work / name).unlink()
        (work / "elsewhere").rename(work / name)
    (work / "out/a.wav.npy").rename(work / "out/site/kept")
    (work / "out/a.wav.npy").symlink_to("site/kept")
    read_all(work / "out")
