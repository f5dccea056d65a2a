"""kapre-extract compare: what differs between two outputs, and by how much."""

import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import kapre_cli
from kapre_cli.cli import run
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.values import Values
from kapre_cli.inspect.compare import Tolerance, difference, why_incomparable
from kapre_cli.layers import SpectrogramConfig
from tests import reference
from tests.conftest import blocks_of, write_audio
from tests.test_verify import rewrite

KEYS = ("a.wav", "site/b.wav", "site/c.wav")
OPTIONS = ("--n-dft", "64", "--n-hop", "32", "--sr", "8000")
FORMATS = ("out.h5", "out")


def extracted(audio: Path, output: Path, *options: object) -> Path:
    arguments = ["spectrogram", audio, "-o", output, *OPTIONS, *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "warnoptions", ["set"])  # leave pytest's warning filters alone
        assert run(list(map(str, arguments))) == 0
    return output


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "audio"
    for number, key in enumerate(KEYS):
        write_audio(folder / key, reference.noise(2, 1000 + 320 * number, seed=number))
    return folder


@pytest.fixture(scope="module")
def originals(audio: Path) -> Path:
    """Give a folder with one output of each kind, beside its audio."""
    for name in FORMATS:
        extracted(audio, audio.parent / name)
    extracted(audio, audio.parent / "packed.h5", "--compression", "lzf")
    extracted(audio / "a.wav", audio.parent / "one.npy")
    extracted(audio, audio.parent / "first.h5", "--data-format", "channels_first")
    return audio.parent


@pytest.fixture
def work(originals: Path, tmp_path: Path) -> Path:
    """Give copies of the outputs that may be spoilt."""
    return Path(shutil.copytree(originals, tmp_path / "work"))


@pytest.mark.parametrize("one", ["out.h5", "out", "first.h5", "packed.h5"])
@pytest.mark.parametrize("other", ["out.h5", "out", "first.h5"])
def test_the_same_features_are_the_same_in_every_format(
    one: str, other: str, originals: Path, program: Any
) -> None:
    ended = program("compare", originals / one, originals / other)
    assert (ended.code, ended.err) == (0, "")
    *differing, last = ended.out.splitlines()
    assert last == "3 inputs in both: 3 the same"
    told = "".join(differing)
    assert ("image_data_format" in told) == (one.startswith("first") != other.startswith("first"))
    assert ("compression: lzf against none" in told) == (one == "packed.h5")


def test_a_single_array_is_held_against_one_of_many(originals: Path, program: Any) -> None:
    ended = program("compare", originals / "one.npy", originals / "out")
    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"only in '{originals / 'out'}': 2 inputs",
        "  'site/b.wav'",
        "  'site/c.wav'",
        "1 input in both: 1 the same; 2 in one alone",
    ]
    assert program("compare", originals / "one.npy", originals / "one.npy").code == 0


@pytest.mark.parametrize("name", FORMATS)
def test_values_that_differ_are_named_with_their_place(name: str, work: Path, program: Any) -> None:
    one, other = work / name, work / ("out.h5" if name == "out" else "out")
    with kapre_cli.open_features(one) as features:
        array = features["site/b.wav"]
        value = float(array[7, 5, 1])
        place = f"at {array.times[7]:.4f} s, {features.frequency[5]:,.1f} Hz, channel 1"
        far = float(features["a.wav"][0, 0, 0])
    rewrite(one, "site/b.wav", (7, 5, 1), value + 0.25)
    rewrite(one, "a.wav", (0, 0, 0), far + 2.0)
    ended = program("compare", one, other)
    assert ended.code == 1
    head, worst, second, absolute, relative, last = ended.out.splitlines()
    assert head == "different: 2 inputs"
    assert worst.startswith("  'a.wav': 1 of ")
    assert second.startswith("  'site/b.wav': 1 of 2,772 values, by up to 0.25 (")
    assert second.endswith(place)
    assert absolute.startswith("largest difference: 'a.wav': 2 (")
    assert relative.startswith("largest relative difference: ")
    assert last == "3 inputs in both: 1 the same, 2 different"
    for options, code, counts in (
        (("--atol", 2.1), 0, "1 the same, 2 within atol 2.1"),
        (("--atol", 0.3), 1, "1 the same, 1 within atol 0.3, 1 beyond atol 0.3"),
        (("--rtol", 1e9), 0, "1 the same, 2 within rtol 1e+09"),
        (("--rtol", 1e-9, "--atol", 0.1), 1, "1 the same, 2 beyond atol 0.1 + rtol 1e-09"),
    ):
        ended = program("compare", one, other, *options)
        assert ended.code == code
        assert ended.out.splitlines()[-1] == f"3 inputs in both: {counts}"


def test_nan_is_nan_and_nothing_else(work: Path, program: Any) -> None:
    for name in FORMATS:
        rewrite(work / name, "a.wav", (0, slice(0, 3), 0), np.nan)
        rewrite(work / name, "a.wav", (1, slice(0, 3), 0), -np.inf)
    assert program("compare", work / "out", work / "out.h5").code == 0
    rewrite(work / "out", "a.wav", (0, 0, 0), 1.0)
    rewrite(work / "out", "a.wav", (1, 0, 0), np.inf)
    ended = program("compare", work / "out", work / "out.h5", "--atol", 1e30, "--rtol", 1e30)
    assert ended.code == 1
    assert "  'a.wav': 2 of 2,112 values, by up to inf (1 against nan) at " in ended.out


def test_settings_that_differ_are_shown(audio: Path, tmp_path: Path, program: Any) -> None:
    one = extracted(audio, tmp_path / "one.h5", "--decibel")
    other = extracted(audio, tmp_path / "other", "--decibel", "--engine", "keras", "--mono")
    root = other / "kapre-extract.json"
    text = root.read_text()
    version = f'"kapre-extract": "{kapre_cli.__version__}"'
    root.write_text(text.replace(version, '"kapre-extract": "0.0.\\u001b[31m9"'))
    ended = program("compare", one, other)
    assert ended.code == 1
    assert "is damaged: its checksum differs" in ended.err
    root.write_text(text)
    ended = program("compare", one, other)
    assert ended.code == 1
    told = ended.out.splitlines()
    assert told[:5] == [
        "other settings:",
        "  mono: False against True",
        "  engine: numpy against keras",
        "not comparable: 3 inputs",
        "  'a.wav': its shape is another: 2 against 1 along channel",
    ]
    assert told[-1] == "3 inputs in both: 0 the same, 3 not comparable"


def test_other_versions_are_no_difference(work: Path, program: Any) -> None:
    with h5py.File(work / "out.h5", "r+") as file:
        file.attrs["versions"] = np.bytes_('{"numpy": "0.1\\u001b[31m", "extra": "2"}')
    ended = program("compare", work / "out.h5", work / "out")
    assert ended.code == 0
    head, first, *_ = ended.out.splitlines()
    assert head == "other versions, no difference by themselves:"
    assert first.startswith(r"  numpy: 0.1\x1b[31m against ")
    assert "  extra: 2 against None" in ended.out
    assert "\x1b" not in ended.out


def test_other_layers_have_other_axes(audio: Path, tmp_path: Path, program: Any) -> None:
    one = extracted(audio / "a.wav", tmp_path / "one.h5")
    other = tmp_path / "other.h5"
    ended = program("melspectrogram", audio / "a.wav", "-o", other, *OPTIONS, "--n-mels", 33)
    assert ended.code == 0
    ended = program("compare", one, other)
    assert ended.code == 1
    assert "  layer: Spectrogram against Melspectrogram" in ended.out
    assert "  n_mels: None against 33" in ended.out
    assert "'a.wav': its axes are time, frequency, channel against mel, time, channel" in ended.out


def test_damage_is_told_and_the_rest_compared(work: Path, program: Any) -> None:
    (work / "out/a.wav.npy").write_bytes(b"\x93NUMPY\1\0")
    with h5py.File(work / "out.h5", "r+") as file:
        del file["features/site/b.wav"]
    ended = program("compare", work / "out", work / "out.h5")
    assert ended.code == 1
    head, first, second, last = ended.out.splitlines()
    assert head == "not comparable: 2 inputs"
    assert first.startswith("  'a.wav': ")
    assert second == "  'site/b.wav': it has no 'b.wav'"
    assert last == "3 inputs in both: 1 the same, 2 not comparable"
    (work / "out/manifest.jsonl").unlink()
    ended = program("compare", work / "out.h5", work / "out")
    assert (ended.code, ended.out) == (1, "")
    assert "manifest.jsonl' is missing" in ended.err


def test_of_many_only_the_worst_are_named(tmp_path: Path, program: Any) -> None:
    for number in range(8):
        write_audio(tmp_path / f"audio/{number}.wav", reference.noise(1, 500, seed=number))
    one, other = (extracted(tmp_path / "audio", tmp_path / name) for name in FORMATS)
    for number in range(8):
        rewrite(other, f"{number}.wav", (0, 0, 0), 10.0 + number)
    ended = program("compare", one, other)
    told = ended.out.splitlines()
    assert [line[3:8] for line in told[1:6]] == ["7.wav", "6.wav", "5.wav", "4.wav", "3.wav"]
    assert told[6] == "  and 3 more"


# The difference of two arrays, against NumPy


class InMemory(Values):
    """Values that are in no file."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self._values = values
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        return np.array(self._values[index])


LAST = SpectrogramConfig(n_dft=4, n_hop=1, image_data_format="channels_last")
FIRST = SpectrogramConfig(n_dft=4, n_hop=1, image_data_format="channels_first")
N_TIME, N_CHANNELS = 11, 2
VALUES = arrays.arrays(
    np.float32,
    (N_TIME, 3, N_CHANNELS),
    elements=st.one_of(
        st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf]),
        st.floats(-(2.0**100), 2.0**100, width=32),
    ),
    fill=st.just(1.0),
)


def stored(values: npt.NDArray[Any], config: SpectrogramConfig) -> StoredArray:
    metadata = InputMetadata("x.wav", 8, 8, N_TIME, N_CHANNELS, 0.0, 1.0, 0, 0)
    return StoredArray("x.wav", InMemory(values), metadata, config)


@settings(max_examples=200)
@given(
    one=VALUES,
    other=VALUES,
    rtol=st.sampled_from([0.0, 1e-3, 1.0]),
    atol=st.sampled_from([0.0, 0.5, 1e20]),
    block=st.sampled_from([1, 20, 2**21]),
    transposed=st.booleans(),
)
def test_differences_are_numpys(
    one: Any, other: Any, rtol: float, atol: float, block: int, transposed: bool
) -> None:
    right = stored(other.transpose(2, 0, 1), FIRST) if transposed else stored(other, LAST)
    left = stored(one, LAST)
    assert why_incomparable(left, right) is None
    with blocks_of(block):
        found = difference(left, right, LAST, Tolerance(rtol, atol))
    a, b = one.astype(np.float64), other.astype(np.float64)
    assert found.n_values == a.size
    assert found.n_beyond == np.count_nonzero(~np.isclose(a, b, rtol, atol, equal_nan=True))
    differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    assert (found.absolute is None) == (not differ.any()) == (found.relative is None)
    if found.absolute is None or found.relative is None:
        return
    with np.errstate(all="ignore"):
        by = np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf)
        part = np.nan_to_num(by / np.abs(b), nan=np.inf, posinf=np.inf)
    assert found.absolute.by == by[differ].max()
    assert found.relative.by == part[differ].max()
    for apart in (found.absolute, found.relative):
        place = tuple(apart.position[axis] for axis in LAST.axes)
        np.testing.assert_equal((apart.one, apart.other), (a[place], b[place]))
        assert differ[place]


def test_another_number_of_frames_is_no_pair() -> None:
    values = np.zeros((N_TIME, 3, N_CHANNELS), np.float32)
    metadata = InputMetadata("x.wav", 8, 8, N_TIME - 1, N_CHANNELS, 0.0, 1.0, 0, 0)
    shorter = StoredArray("x.wav", InMemory(values[1:]), metadata, LAST)
    assert why_incomparable(stored(values, LAST), shorter) == (
        "its shape is another: 11 against 10 along time"
    )
