"""Files that claim enormous contents: refused by name, in little memory and in little time."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kapre_cli
from kapre_cli.errors import StoredDataError
from kapre_cli.outputs.locked_folders import MARKER
from kapre_cli.resume.journal import HEAD, MAGIC
from tests import reference
from tests.conftest import ended_of, write_audio
from tests.models import PLACE, layer_entry, write_model
from tests.warm import Nursery

SAMPLE = Path(__file__).parents[1] / "docs" / "sample_features.h5"
KEY = "features/bird.flac"
MAX_BYTES = 500 * 10**6

# Not ru_maxrss, in which a process has what its parent had.
_CHILD = """
import re, sys
from pathlib import Path
from kapre_cli.cli import run
code = run(sys.argv[1:])
peak = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print("code", int(code), "peak", 1024 * int(peak[1]))
"""


Bounded = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def bounded(warm: Nursery) -> Bounded:
    """Run a command; give its exit code and messages. It must be quick and take little memory."""

    def run(*arguments: object) -> tuple[int, str]:
        done = ended_of(warm.start(*arguments, code=_CHILD), seconds=60)
        assert "Traceback" not in done.err, done.err
        _, code, _, peak = done.out.split()[-4:]
        assert int(peak) < MAX_BYTES
        return int(code), done.out + done.err

    return run


def one_huge_chunk(file: h5py.File) -> None:
    """Give an array a chunk of 3.5 GB that no write has touched but one, compressed well."""
    old = file[KEY]
    attributes, values, kind = dict(old.attrs), old[()], old.id.get_type()
    shape = (*values.shape[:1], 13_500_000, values.shape[2])
    del file[KEY]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk(shape)
    creation.set_deflate(4)
    space = h5py.h5s.create_simple(values.shape, (h5py.h5s.UNLIMITED,) * 3)
    made = h5py.h5d.create(file["features"].id, b"bird.flac", kind, space, creation)
    made.write_direct_chunk((0, 0, 0), zeros(int(np.prod(shape)) * 4))
    restore(file, attributes)


def a_chunk_that_swells(file: h5py.File) -> None:
    """Give a chunk bytes that decompress to far more than a chunk has."""
    old = file[KEY]
    attributes, shape, kind = dict(old.attrs), old.shape, old.id.get_type()
    del file[KEY]
    chunk = (shape[0], shape[1], shape[2])
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((32, 4096, 2))
    creation.set_deflate(4)
    space = h5py.h5s.create_simple(chunk, (h5py.h5s.UNLIMITED,) * 3)
    made = h5py.h5d.create(file["features"].id, b"bird.flac", kind, space, creation)
    made.write_direct_chunk((0, 0, 0), zeros(900_000_000))
    restore(file, attributes)


def zeros(n_bytes: int) -> bytes:
    """Return zeros, deflated: one part again and again, as nothing in it refers to another."""
    packer, n_part = zlib.compressobj(9, wbits=-15), 10**7
    part = packer.compress(bytes(n_part)) + packer.flush(zlib.Z_FULL_FLUSH)
    n_parts = n_bytes // n_part
    adler32 = (n_parts * n_part % 65521) << 16 | 1
    return b"\x78\xda" + part * n_parts + b"\3\0" + adler32.to_bytes(4, "big")


def restore(file: h5py.File, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        file[KEY].attrs[name] = value


def chunks_of_one_value(file: h5py.File) -> None:
    """Give an array of a million values chunks of one, most of them never written."""
    n_time = 15_000
    metadata = json.loads(file[KEY].attrs["input"])
    n_features, n_channels = file[KEY].shape[0], file[KEY].shape[2]
    metadata["n_samples"] = n_time * json.loads(file.attrs["layer"])["config"]["n_hop"]
    metadata["time_start"] = metadata["time_step"] / 2
    del file[KEY]
    made = file["features"].create_dataset(
        KEY.removeprefix("features/"),
        (n_features, n_time, n_channels),
        "f2",
        chunks=(1, 1, 1),
        compression="gzip",
    )
    for number in range(n_features * n_time * n_channels * 2 // 1100 // 72 + 1000):
        made.id.write_direct_chunk((0, number, 0), bytes(72))
    made.attrs["input"] = np.bytes_(json.dumps(metadata))
    index = file["index"][()]
    row = file["keys"][()].tobytes().split(b"\0").index(b"bird.flac")
    for name in ("n_samples", "time_start"):
        index[name][row] = metadata[name]
    file["index"][...] = index


@pytest.fixture(scope="module", params=[one_huge_chunk, a_chunk_that_swells, chunks_of_one_value])
def hostile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "x.h5"
    shutil.copyfile(SAMPLE, path)
    with h5py.File(path, "r+") as file:
        request.param(file)
    assert path.stat().st_size < 5 * 10**6
    return path


@pytest.mark.parametrize("command", ["verify", "merge", "plot", "compare"])
def test_a_huge_chunk_is_refused_in_little_memory(
    command: str, hostile: Path, tmp_path: Path, bounded: Bounded
) -> None:
    arguments = {
        "verify": (hostile,),
        "merge": (hostile, "-o", tmp_path / "y.h5"),
        "plot": (hostile, "bird.flac", "-o", tmp_path / "y.png"),
        "compare": (hostile, hostile),
    }[command]
    code, messages = bounded(command, *arguments)
    assert code != 0
    assert "bird.flac" in messages, messages
    assert any(
        reason in messages
        for reason in ("has a chunk that decomp", "has chunks of", "has 960,000 chunks")
    ), messages


@pytest.fixture(scope="module")
def many_chunks(tmp_path_factory: pytest.TempPathFactory, bounded: Bounded) -> Path:
    """Make an output whose frequencies are in chunks of one value."""
    folder = tmp_path_factory.mktemp("many chunks")
    audio, output = write_audio(folder / "a.wav", np.zeros((1, 100))), folder / "x.h5"
    assert bounded("spectrogram", audio, "-o", output, "--n-dft", 2**22)[0] == 0
    with h5py.File(output, "r+") as file:
        values = file["frequency"][()]
        del file["frequency"]
        made = file.create_dataset("frequency", values.shape, "f8", chunks=(1,), compression="gzip")
        for number in range(values.nbytes // 1100 // 72 + 1000):
            made.id.write_direct_chunk((number,), bytes(72))
    return output


@pytest.mark.parametrize("command", ["info", "verify", "resume"])
def test_frequencies_in_chunks_of_one_are_refused_in_little_memory(
    command: str, many_chunks: Path, bounded: Bounded
) -> None:
    audio = many_chunks.with_name("a.wav")
    extraction = ("spectrogram", audio, "-o", many_chunks, "--n-dft", 2**22, "--resume")
    code, messages = bounded(*(extraction if command == "resume" else (command, many_chunks)))
    assert code != 0
    assert "'frequency' has 2,097,153 chunks for 2,097,153 values" in messages, messages


@pytest.mark.parametrize("kind", ["one key", "quoted parts", "zeros"])
def test_a_hostile_configuration_is_refused_in_little_memory(
    kind: str, tmp_path: Path, bounded: Bounded
) -> None:
    path = tmp_path / "c.toml"
    if kind == "zeros":
        path = Path("/dev/zero")
    else:
        path.write_text(
            {"one key": "a" + ".a" * 100_000, "quoted parts": "'a'" + ".'a'" * 50_000}[kind] + "=1"
        )
    code, messages = bounded("spectrogram", "--config", path, tmp_path, "-o", tmp_path / "x.h5")
    assert code == 2
    assert str(path) in messages, messages


def test_a_part_of_an_array_is_read_though_another_part_is_hostile(
    tmp_path: Path, bounded: Bounded
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 400_000))
    code, messages = bounded(
        *("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "x.h5", "--compression", "gzip")
    )
    assert code == 0, messages
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        before = features["a.wav"][()]
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        dataset = file["features/a.wav"]
        last = dataset.id.get_chunk_info(dataset.id.get_num_chunks() - 1)
        assert last.chunk_offset[0] > 0
        dataset.id.write_direct_chunk(last.chunk_offset, zeros(2**30))
    with kapre_cli.open_features(tmp_path / "x.h5") as features:
        array = features["a.wav"]
        n = last.chunk_offset[0]
        whole: list[Any] = [np.s_[:n], np.s_[0], np.s_[n - 1, 3:5], np.s_[5:n:7, ..., 0]]
        hostile: list[Any] = [np.s_[:], n, -1, np.s_[:, 3], np.s_[n - 1 : n + 1], ...]
        for index in whole:
            np.testing.assert_array_equal(array[index], before[index])
        for index in hostile:
            with pytest.raises(StoredDataError, match="decompresses to more"):
                array[index]


def test_a_frame_of_gigabytes_is_refused_by_the_program_and_its_readers(
    tmp_path: Path, bounded: Bounded
) -> None:
    """An HDF5 that agrees with itself, whose one frame is packed into few bytes."""
    n_dft, n_channels = 2**22, 1000
    layer = ("--n-dft", n_dft, "--compression", "gzip", "--sr", 8000)
    one = write_audio(tmp_path / "one.wav", np.zeros((1, 1000)), subtype="PCM_16")
    code, messages = bounded("spectrogram", one, "-o", tmp_path / "one.h5", *layer)
    assert code == 0, messages
    with h5py.File(tmp_path / "one.h5", "r+") as file:
        old = file["features/one.wav"]
        metadata = json.loads(old.attrs["input"])
        del file["features/one.wav"]
        made = file["features"].create_dataset(
            "one.wav",
            (1, n_dft // 2 + 1, n_channels),
            "f4",
            chunks=(1, 262, n_channels),
            compression="gzip",
        )
        packed = zlib.compress(bytes(262 * n_channels * 4), 9)
        for first in range(0, made.shape[1], 262):
            made.id.write_direct_chunk((0, first, 0), packed)
        made.attrs["input"] = np.bytes_(json.dumps(metadata | {"n_channels": n_channels}))
        index = file["index"][()]
        index["n_channels"] = n_channels
        file["index"][...] = index
    assert (tmp_path / "one.h5").stat().st_size < 30 * 10**6
    refused = "one frame has 2,097,153 values in each of 1,000 channels"
    for command in (
        ("verify", tmp_path / "one.h5"),
        ("merge", tmp_path / "one.h5", "-o", tmp_path / "y.h5"),
        ("plot", tmp_path / "one.h5", "-o", tmp_path / "y.png"),
        ("compare", tmp_path / "one.h5", tmp_path / "one.h5"),
    ):
        code, messages = bounded(*command)
        assert code != 0
        assert refused in messages, messages

    write_audio(tmp_path / "many.wav", np.zeros((n_channels, 1)), subtype="PCM_16")
    code, messages = bounded("spectrogram", tmp_path / "many.wav", "-o", tmp_path / "z.h5", *layer)
    assert code == 1
    assert f"many.wav': {refused}" in messages, messages
    assert "take --channel, --mono or a smaller --n-dft" in messages


def deep_names(n_names: int) -> list[str]:
    """Return names as long as a path may be, of as many parts as it may have."""
    return [f"{number:03d}" + "/a" * 2000 for number in range(n_names)]


def test_names_of_many_parts_take_little_memory(tmp_path: Path, bounded: Bounded) -> None:
    audio = write_audio(tmp_path / "a.wav", np.zeros((1, 1000)))
    (tmp_path / "list").write_text("\n".join(deep_names(200)))
    names = ("--files-from", tmp_path / "list")
    code, messages = bounded("spectrogram", audio, *names, "-o", tmp_path / "x.h5")
    assert code == 1
    assert "201 inputs: 1 written, 200 failed" in messages


@pytest.mark.parametrize("command", ["info", "verify", "overwrite", "merge"])
def test_keys_of_many_parts_take_little_memory(
    command: str, tmp_path: Path, bounded: Bounded
) -> None:
    audio, output = write_audio(tmp_path / "a.wav", np.zeros((1, 1000))), tmp_path / "x"
    extraction = ("spectrogram", audio, "-o", output)
    assert bounded(*extraction)[0] == 0
    row = json.loads((output / "manifest.jsonl").read_text())
    rows = [json.dumps(row | {"key": name}) + "\n" for name in deep_names(200)]
    (output / "manifest.jsonl").write_text("".join(rows))
    root = json.loads((output / "kapre-extract.json").read_text())
    for checksum in ("crc32", "manifest_crc32"):
        root.pop(checksum, None)
    (output / "kapre-extract.json").write_text(json.dumps(root))
    code, _ = bounded(
        *{
            "info": ("info", output),
            "verify": ("verify", output),
            "overwrite": (*extraction, "--overwrite"),
            "merge": ("merge", output, "-o", tmp_path / "y.h5"),
        }[command]
    )
    assert code == (0 if command == "info" else 2 if command == "overwrite" else 1)


def test_a_manifest_of_empty_lines_is_refused_in_little_memory(
    tmp_path: Path, bounded: Bounded
) -> None:
    audio, output = write_audio(tmp_path / "a.wav", np.zeros((1, 1000))), tmp_path / "x"
    assert bounded("spectrogram", audio, "-o", output)[0] == 0
    root = json.loads((output / "kapre-extract.json").read_text())
    for checksum in ("crc32", "manifest_crc32"):
        del root[checksum]
    (output / "kapre-extract.json").write_text(json.dumps(root))
    (output / "manifest.jsonl").write_bytes(b" \n" * 20_000_000)
    for command in ("info", "verify"):
        code, messages = bounded(command, output)
        assert code == 1
        assert "its metadata is not JSON" in messages


MANY: dict[str, Callable[[], str]] = {
    "lists": lambda: "[[]" + ",[]" * 10_000_000 + "]",
    "objects": lambda: "[{}" + ",{}" * 10_000_000 + "]",
    "numbers": lambda: "[1.5" + ",1.5" * 10_000_000 + "]",
    "names": lambda: "{" + ",".join(f'"{number}":0' for number in range(3_000_000)) + "}",
}


@pytest.mark.parametrize("kind", MANY)
@pytest.mark.parametrize("where", ["metadata", "journal"])
def test_json_of_many_values_is_refused_in_little_memory(
    where: str, kind: str, tmp_path: Path, bounded: Bounded
) -> None:
    audio, output = write_audio(tmp_path / "a.wav", np.zeros((1, 1000))), tmp_path / "x.npy"
    if where == "metadata":
        assert bounded("spectrogram", audio, "-o", output)[0] == 0
        (tmp_path / "x.npy.json").write_text(f'{{"x": {MANY[kind]()}}}')
        code, messages = bounded("info", output)
        assert code == 1
        assert "lists, objects and names and " in messages
    else:
        described = f'{{"run": {MANY[kind]()}}}'.encode()
        head = HEAD.pack(MAGIC, len(described), 0, zlib.crc32(described), 0)
        (tmp_path / "x.npy.partial").mkdir()
        (tmp_path / "x.npy.partial" / "lock").write_bytes(MARKER)
        (tmp_path / "x.npy.partial" / "journal-1").write_bytes(head + described)
        code, messages = bounded("spectrogram", audio, "-o", output, "--resume")
        assert code == 0, messages


def unwritten_weights(file: h5py.File) -> None:
    """Declare kernels of 67 MB that no byte is stored of."""
    for number in range(2):
        shape = (4000, 1, 2001)
        file.create_dataset(f"{PLACE}/{number}", shape, "f4", chunks=(1, 1, 2001))


@pytest.mark.parametrize("kind", ["weights", "swelling weights", "description", "argument"])
def test_a_hostile_model_is_refused_in_little_memory(
    kind: str, tmp_path: Path, bounded: Bounded
) -> None:
    path, layers = tmp_path / "x.keras", [layer_entry(n_dft=4000)]
    if kind == "weights":
        write_model(path, layers, unwritten_weights)
    elif kind == "swelling weights":
        write_model(path, layers, bytes(10**9), compression=zipfile.ZIP_DEFLATED)
    elif kind == "description":
        write_model(path, description=b"[" + b"{}," * 10**7 + b"{}]")
    else:
        write_model(path, [layer_entry(n_dft=4000, name="x" * 10**8)])
    assert path.stat().st_size < 2 * 10**6
    audio = write_audio(tmp_path / "a.wav", np.zeros((1, 100)))
    code, messages = bounded("spectrogram", audio, "-o", tmp_path / "x.h5", "--layer", path)
    assert code == 2
    assert "x.keras" in messages
    assert len(messages) < 2000
