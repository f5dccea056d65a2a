"""Warnings and notes about a layer before the work, with remedies spelled for their reader."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from librosa.filters import mel as mel_matrix

from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.layers.filterbank import full_bands_with
from tests import reference
from tests.conftest import write_audio

# Values that would do


def heights(config: MelspectrogramConfig, **changed: Any) -> Any:
    """Return librosa's largest weight of each band, of triangles of height 1."""
    arguments = {
        name: changed.get(name, getattr(config, name))
        for name in ("sr", "n_mels", "fmin", "fmax", "htk")
    }
    n_fft = changed.get("n_dft", config.n_dft)
    with np.errstate(all="ignore"):
        matrix = mel_matrix(n_fft=n_fft, norm=None, dtype=np.float64, **arguments)
    return matrix.max(axis=1)


@st.composite
def mel_layers(draw: st.DrawFn) -> MelspectrogramConfig:
    """Return layers of which many have bands that are empty."""
    sr = draw(st.sampled_from([8000, 22050, 44100, 250_000]) | st.floats(1000, 1e6))
    fmin = draw(st.just(0.0) | st.floats(0, 0.45 * sr))
    fmax = draw(st.none() | st.floats(fmin + sr / 100, max(sr / 2, fmin + sr / 100)))
    return MelspectrogramConfig(
        sr=sr,
        n_dft=draw(st.integers(2, 600)),
        n_mels=draw(st.integers(1, 80)),
        fmin=fmin,
        fmax=fmax,
        htk=draw(st.booleans()),
    )


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@settings(max_examples=40)
@given(mel_layers(), st.data())
def test_remedies_leave_no_band_empty(config: MelspectrogramConfig, data: st.DataObject) -> None:
    assume(not heights(config).all())
    found = full_bands_with(config)
    for name, value in found.items():
        assert heights(config, **{name: value}).min() > 9e-7
    # Nothing nearer does.
    n_mels, n_dft = int(found.get("n_mels", 0)), int(found.get("n_dft", 2**13))
    assert n_mels < config.n_mels
    if n_mels + 1 < config.n_mels:
        more = data.draw(st.integers(n_mels + 1, config.n_mels - 1))
        assert heights(config, n_mels=n_mels + 1).min() < 1.1e-6
        assert heights(config, n_mels=more).min() < 1.1e-6
    assert n_dft > config.n_dft
    assert n_dft & (n_dft - 1) == 0
    shorter = n_dft if "n_dft" not in found else n_dft // 2
    assert shorter <= config.n_dft or shorter > 2**13 or heights(config, n_dft=shorter).min() < 1e-5
    assert config.fmin < found.get("fmin", config.fmax or 0)


def test_a_lowest_edge_next_to_the_highest_is_no_remedy() -> None:
    """Between them is one step of floating point: librosa finds the band empty then, too."""
    config = MelspectrogramConfig(n_dft=2, n_mels=1, sr=1000.0000000000001)
    assert "fmin" not in full_bands_with(config)


@pytest.mark.filterwarnings("ignore:Empty filters detected")
@pytest.mark.parametrize("fmin", [0.0, 1400.0])
def test_the_lowest_edge_that_does_is_found(fmin: float) -> None:
    config = MelspectrogramConfig(sr=44100, fmin=fmin)
    lowest = next(
        edge for edge in np.arange(fmin + 200, 22050, 200.0) if heights(config, fmin=edge).all()
    )
    assert full_bands_with(config)["fmin"] == lowest == 2400


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_mels": 2**16, "n_dft": 2**22, "fmin": 1},
        {"n_mels": 2**16, "n_dft": 2},
        {"fmin": 0.0, "fmax": 5e-324},
        {"fmin": 1e4, "fmax": np.nextafter(1e4, 2e4)},
    ],
)
def test_remedies_of_extreme_layers_take_no_time_and_no_memory(arguments: dict[str, Any]) -> None:
    assert isinstance(full_bands_with(MelspectrogramConfig(**arguments)), dict)


def test_a_layer_without_a_remedy_has_none() -> None:
    config = MelspectrogramConfig(sr=8000, n_mels=1, fmin=81, fmax=81.0000001)
    (warning,) = config.warnings()
    assert str(warning) == (
        "1 of 1 mel band is empty, with no frequency bin inside: 0 whatever the input; "
        "counted from 0: 0"
    )


def test_python_hears_the_names_of_arguments() -> None:
    config = MelspectrogramConfig(sr=8000, n_mels=60, n_dft=100, n_hop=150)
    told = [str(warning) for warning in config.warnings()]
    assert told[0].endswith("(use n_hop=100 or less, or n_dft=256)")
    assert "(use n_dft=128, or n_mels=57); counted from 0: 0, 25" in told[1]
    assert "--" not in "".join(told)
    assert SpectrogramConfig(n_dft=256, n_hop=256).warnings() == ()


# What the command line says


@pytest.fixture
def audio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_audio(tmp_path / "a.wav", reference.noise(1, 8000), 44100)


EMPTY = re.compile(
    r"warning: \d+ of \d+ mel bands are empty, with no frequency bin inside: 0 whatever the input "
    r"\(use (?P<remedies>.*)\)(?P<bands>; counted from 0: [\d, ]+)?\n"
)
MEL = ("melspectrogram", "a.wav", "-o", "o.h5", "--overwrite")


def test_every_remedy_that_is_named_does(audio: Path, program: Any) -> None:
    assert audio
    ended = program(*MEL)
    found = EMPTY.search(ended.err)
    assert found is not None
    assert found["bands"] is None
    remedies = found["remedies"].split(", or ")
    assert remedies == ["--n-dft 1024", "--n-mels 91", "--fmin 2400"]
    for remedy in remedies:
        ended = program(*MEL, *remedy.split())
        assert (ended.code, "warning" in ended.err) == (0, False)


def test_a_dry_run_says_what_the_run_says(audio: Path, program: Any) -> None:
    assert audio
    for more in ([], ["--n-hop", 600], ["--decibel"], ["-v"]):
        told = [
            sorted(line for line in text.splitlines() if line.startswith(("warning: ", "note: ")))
            for text in (program(*MEL, *more).err, program(*MEL, *more, "--dry-run").out)
        ]
        assert told[0] == told[1]
        assert len(told[0]) == 1 + bool({"--n-hop", "--decibel"} & {*more})
        assert "n_" not in "".join(told[0])


@pytest.mark.filterwarnings("ignore:Empty filters detected")
def test_verbose_lists_the_bands(audio: Path, program: Any) -> None:
    assert audio
    found = EMPTY.search(program(*MEL, "-v").err)
    assert found is not None
    listed = [int(one) for one in found["bands"].removeprefix("; counted from 0: ").split(", ")]
    expected = np.flatnonzero(heights(MelspectrogramConfig(sr=44100)) == 0)
    np.testing.assert_array_equal(listed, expected)


def test_a_hop_that_is_too_long_is_told_of_with_values_that_do(audio: Path, program: Any) -> None:
    assert audio
    command = ("spectrogram", "a.wav", "-o", "o.h5", "--overwrite", "--n-hop", 600)
    ended = program(*command)
    assert "(use --n-hop 512 or less, or --n-dft 1024)\n" in ended.err
    for remedy in (("--n-hop", 512), ("--n-dft", 1024)):
        assert "warning" not in program(*command, *remedy).err


def test_a_picture_says_it_as_well(audio: Path, program: Any) -> None:
    assert audio
    ended = program("plot", "a.wav", "-o", "p.png", "--mel", "--n-mels", 120)
    assert EMPTY.search(ended.err)


# Half of the usual decibels

HALF = (
    "note: --decibel with the default --power 1 gives half of the usual decibels (10*log10 of "
    "amplitude); use --power 2 for decibels of power\n"
)


def test_half_decibels_are_told_of_once(audio: Path, program: Any) -> None:
    write_audio(audio.parent / "b.wav", reference.noise(1, 8000, 1), 44100)
    command = ("melspectrogram", "a.wav", "b.wav", "-o", "o.h5", "--overwrite", "--n-mels", 20)
    assert program(*command, "--decibel").err.count(HALF) == 1
    assert program(*command, "--decibel", "--dry-run").out.count(HALF) == 1


def test_the_decibels_that_are_called_half_are(audio: Path, program: Any) -> None:
    import kapre_cli

    assert audio
    found = []
    for power in ([], ["--power", 2]):
        assert program(*MEL, "--n-mels", 20, "--decibel", *power).code == 0
        with kapre_cli.open_features("o.h5") as features:
            found.append(features["a.wav"][:])
    np.testing.assert_allclose(found[0], found[1] / 2, atol=0.01)


@pytest.mark.parametrize(
    "case", ["not decibels", "spectrogram", "power 1", "power 2", "config", "environment", "quiet"]
)
def test_decibels_that_were_asked_for_are_not_told_of(
    case: str, audio: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert audio
    options: dict[str, list[object]] = {
        "not decibels": ["--no-decibel"],
        "power 1": ["--power", 1],
        "power 2": ["--power", 2],
        "config": ["--config", "c.toml"],
        "quiet": ["-q"],
    }
    Path("c.toml").write_text("power = 1.0\n")
    if case == "environment":
        monkeypatch.setenv("KAPRE_EXTRACT_POWER", "1")
    command = "spectrogram" if case == "spectrogram" else "melspectrogram"
    more: list[object] = [] if case == "spectrogram" else ["--n-mels", 20]
    ended = program(
        *(command, "a.wav", "-o", "o.h5", "--decibel", *more, *options.get(case, [])),
    )
    assert (ended.code, "note" in ended.err) == (0, False)
