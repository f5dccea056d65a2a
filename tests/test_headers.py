"""Datasets read from the bytes of the file: nothing that HDF5 would refuse is accepted."""

import re
import shutil
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapre_cli
from kapre_cli.errors import StoredDataError
from kapre_cli.formats.hdf5_headers import HeaderReader
from kapre_cli.formats.hdf5_reader import Hdf5Features
from kapre_cli.formats.metadata import InputMetadata, dumps
from kapre_cli.formats.opening import Features, open_features
from tests import reference
from tests.conftest import write_audio

KEYS = ("a.wav", "b.wav", "c.wav", "site/d.wav", "site/e.wav")
MEL = ("--n-dft", 64, "--n-mels", 8)
KINDS = {
    "plain": (),
    "scales": ("--dimension-scales",),
    "float16": ("--dtype", "float16"),
    "gzip": ("--compression", "gzip"),
}
READ_BY_HDF5 = {"plain": 1, "scales": 1, "float16": 1, "gzip": len(KEYS)}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def output(kind: str, tmp_path: Path, program: Any) -> Path:
    for number, key in enumerate(KEYS):
        write_audio(tmp_path / "audio" / key, reference.noise(1, 500 + 64 * number))
    path = tmp_path / "out.h5"
    assert program("melspectrogram", tmp_path / "audio", "-o", path, *MEL, *KINDS[kind]).code == 0
    return path


@pytest.fixture
def opened_by_hdf5(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the keys of the arrays that were read by HDF5."""
    keys: list[str] = []
    read = Hdf5Features._read

    def noted(self: Hdf5Features, key: str) -> Any:
        keys.append(key)
        return read(self, key)

    monkeypatch.setattr(Hdf5Features, "_read", noted)
    return keys


def test_hdf5_reads_one_dataset_of_each_form(
    kind: str, output: Path, opened_by_hdf5: list[str]
) -> None:
    with h5py.File(output, locking=False) as file, kapre_cli.open_features(output) as features:
        for key in features:
            values = file[f"features/{key}"][()]
            array = features[key]
            assert (array.shape, array.dtype) == (values.shape, values.dtype)
            for index in ((), ..., slice(None), (slice(1, 5), 2), (..., 0), [1, 3]):
                assert np.array_equal(array[index], values[index])
            array.verify()
    assert len(opened_by_hdf5) == READ_BY_HDF5[kind]


@pytest.mark.parametrize("kind", ["plain"])
def test_big_endian_values_have_their_checksum(output: Path, opened_by_hdf5: list[str]) -> None:
    with h5py.File(output, "r+") as file:
        for key in KEYS:
            stored = file[f"features/{key}"]
            values, attributes = stored[()], dict(stored.attrs)
            del file[f"features/{key}"]
            file[f"features/{key}"] = values.astype(">f4")
            file[f"features/{key}"].attrs.update(attributes)
    with kapre_cli.open_features(output) as features:
        for array in features.values():
            assert array.dtype == ">f4"
            array.verify()
    assert len(opened_by_hdf5) < len(KEYS)


def fate(output: Path, key: str) -> str:
    """Return what becomes of an array that is read after all others have been."""
    try:
        with kapre_cli.open_features(output) as features:
            for other in features:
                if other != key:
                    features[other].verify()
            array = features[key]
            array.verify()
            return (
                f"{array.metadata} {array[()].tobytes().hex()} {list(features.unexpected_files())}"
            )
    except StoredDataError as error:
        return str(error)


def header_bytes(output: Path, key: str) -> list[int]:
    """Return where in the file the bytes of a dataset's header are."""
    with h5py.File(output) as file:
        address = h5py.h5o.get_info(file[f"features/{key}"].id).addr
    content = output.read_bytes()
    chunks = [(address + 16, struct.unpack_from("<I", content, address + 8)[0])]
    for start, size in chunks:
        place = start
        while place < start + size:
            number, length = struct.unpack_from("<HH", content, place)
            if number == 16:
                chunks.append(struct.unpack_from("<QQ", content, place + 8))
            place += 8 + length
    places = [*range(address, address + 16)]
    return places + [one for start, size in chunks for one in range(start, start + size)]


@pytest.mark.parametrize("kind", ["plain", "scales"])
def test_damage_to_a_header_has_the_same_fate_with_hdf5_alone(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, copy = "c.wav", output.with_name("copy.h5")
    whole = output.read_bytes()
    fates: set[str] = set()
    for number, place in enumerate(header_bytes(output, key)[::2]):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << number % 8
        copy.write_bytes(damaged)
        found = fate(copy, key)
        with monkeypatch.context() as patch:
            patch.setattr(HeaderReader, "knows_any", False)
            assert found == fate(copy, key), place
        fates.add(found)
    assert len(fates) > 20


@pytest.mark.parametrize("kind", ["plain"])
def test_values_beyond_the_end_of_the_file_are_refused(output: Path) -> None:
    with kapre_cli.open_features(output) as features:
        array = features["a.wav"], features["c.wav"]
        n_values = array[1].shape[0] * array[1].shape[1]
        place = array[1].offset
    content = bytearray(output.read_bytes())
    at = content.index(struct.pack("<QQ", place, 4 * n_values))
    content[at : at + 8] = struct.pack("<Q", len(content) - 8)
    output.write_bytes(content)
    # Older versions of HDF5 read zeros there, whose checksum is another.
    assert re.search("cannot be read|is damaged", fate(output, "c.wav"))


@pytest.mark.parametrize("kind", ["plain"])
def test_an_attribute_of_somebody_else_is_seen(output: Path, opened_by_hdf5: list[str]) -> None:
    with h5py.File(output, "r+") as file:
        file["features/c.wav"].attrs["mine"] = 1
    with kapre_cli.open_features(output) as features:
        for key in features:
            features[key].verify()
        assert list(features.unexpected_files()) == ["attribute mine of c.wav"]
    assert opened_by_hdf5 == ["a.wav", "c.wav"]


@pytest.mark.parametrize("kind", ["plain"])
def test_the_first_dataset_teaches_nothing_if_something_was_added_to_it(
    output: Path, opened_by_hdf5: list[str]
) -> None:
    with h5py.File(output, "r+") as file:
        for key in KEYS:
            file[f"features/{key}"].attrs["mine"] = 1
    with kapre_cli.open_features(output) as features:
        for key in features:
            features[key].verify()
        assert len(list(features.unexpected_files())) == len(KEYS)
    assert opened_by_hdf5 == list(KEYS)


@pytest.mark.parametrize("kind", ["plain"])
def test_nothing_is_read_once_the_file_is_closed(output: Path) -> None:
    with kapre_cli.open_features(output) as features:
        arrays = [features[key] for key in features]
    for array in arrays:
        with pytest.raises((StoredDataError, ValueError, RuntimeError)):
            array.verify()


@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_threads_may_read_one_output(output: Path) -> None:
    with kapre_cli.open_features(output) as features, ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda key: zlib.crc32(features[key][()].tobytes()), 50 * KEYS, timeout=60)
        )
        assert found == [features[key].metadata.crc32 for key in 50 * KEYS]


def metadata_of(features: Features) -> list[tuple[str, InputMetadata]]:
    return list(features.metadata())


def test_arrays_that_were_compared_are_not_read_again(kind: str, output: Path) -> None:
    with open_features(output) as features:
        written = metadata_of(features)
        place = features["c.wav"].offset
    assert (place is None) == (kind == "gzip")
    if place is None:
        return
    content = bytearray(output.read_bytes())
    content[place] ^= 1
    output.write_bytes(content)
    with open_features(output) as features:
        features.check_written(written, compared={"c.wav": place})
        for compared in (None, {}, {"c.wav": place + 4}, {"b.wav": place}):
            with pytest.raises(StoredDataError, match=r"c\.wav.*damaged"):
                features.check_written(written, compared=compared)


@pytest.mark.parametrize("name", ["out", "out.npy"])
def test_arrays_of_npy_files_need_not_be_read_again(
    name: str, tmp_path: Path, program: Any
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 1000))
    output = tmp_path / name
    assert program("melspectrogram", tmp_path / "a.wav", "-o", output, *MEL).code == 0
    with open_features(output) as features:
        written = metadata_of(features)
        (key,) = features
        place = features[key].offset
    assert place is not None
    file = output / f"{key}.npy" if output.is_dir() else output
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    with open_features(output) as features:
        features.check_written(written, compared={key: place})
        with pytest.raises(StoredDataError, match="damaged"):
            features.check_written(written)


TEXTS = st.text() | st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))
WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FACTS = InputMetadata("a.wav", 8000, 8000, 1, 1, 0.0, 0.1, 1, 1, reference=1.0, reference_db=0.0)


@given(TEXTS, TEXTS, WHOLE, NUMBERS, NUMBERS)
def test_metadata_is_the_json_that_an_encoder_makes(
    source: str, note: str, whole: int, number: float, other: float
) -> None:
    metadata = FACTS._replace(source=source, note=note, n_missing=whole, time_start=number)
    levels = metadata._replace(reference=other, reference_db=number)
    none = metadata._replace(reference=None, reference_db=None)
    one_type = metadata._replace(time_step=whole, reference=whole, reference_db=None)
    for one in (levels, none, one_type):
        assert one.to_json() == dumps(one.to_dict())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["time_start", "time_step", "reference", "reference_db"])
def test_metadata_that_is_no_json_is_an_error(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match="not JSON compliant"):
        FACTS._replace(**changed).to_json()


def test_an_array_copied_by_bytes_is_held_against_its_checksum(
    tmp_path: Path, program: Any
) -> None:
    for key in KEYS:
        write_audio(tmp_path / "audio" / key, reference.noise(1, 500))
    source, whole = tmp_path / "a.h5", tmp_path / "b.h5"
    assert program("melspectrogram", tmp_path / "audio", "-o", source, *MEL).code == 0
    assert program("merge", source, "-o", whole).code == 0
    assert source.read_bytes() == whole.read_bytes()
    with open_features(source) as features:
        place = features["c.wav"].offset
    assert place is not None
    damaged = bytearray(source.read_bytes())
    damaged[place] ^= 1
    source.write_bytes(damaged)
    shutil.copyfile(whole, tmp_path / "before.h5")
    ended = program("merge", source, "-o", whole, "--overwrite")
    assert ended.code == 1
    assert "'c.wav' is damaged" in ended.err
    assert whole.read_bytes() == (tmp_path / "before.h5").read_bytes()
