"""Pictures: the right thing at the right place, the scale that is written beside it, safe files."""

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import kapre_cli
from kapre_cli import dsp
from kapre_cli.plotting.axes import frequency_axis, time_unit
from kapre_cli.plotting.reduction import peaks
from kapre_cli.plotting.sheet import rendered, sheet
from kapre_cli.plotting.titles import title_of
from kapre_cli.plotting.view import View, part_of
from kapre_cli.settings import AudioSettings, MelspectrogramConfig, SpectrogramConfig
from kapre_cli.storage.metadata import InputFacts
from kapre_cli.storage.stored import Look, StoredArray
from tests import reference
from tests.conftest import files_below, write_audio

SR = 8000


def beep(seconds: float, hz: float, start: float, length: float) -> npt.NDArray[np.float64]:
    """Return silence with a tone in it."""
    times = np.arange(round(seconds * SR)) / SR
    sounds = (times >= start) & (times < start + length)
    return 0.5 * np.sin(2 * np.pi * hz * times) * sounds


def panels(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.images]


def pixels(figure: Figure) -> Any:
    return mpl.image.imread(io.BytesIO(rendered(figure, "png")))


def panel_pixels(figure: Figure, panel: Any) -> Any:
    """Return the pixels inside a panel's frame, the highest frequency first."""
    image = pixels(figure)
    height, width = image.shape[:2]
    place = panel.get_position()
    rows = slice(round((1 - place.y1) * height) + 3, round((1 - place.y0) * height) - 3)
    return image[rows, round(place.x0 * width) + 3 : round(place.x1 * width) - 3, :3]


# What is shown where


@pytest.mark.parametrize("command", ["spectrogram", "melspectrogram"])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_a_tone_stands_at_its_time_and_frequency(
    command: str, data_format: str, tmp_path: Path, program: Any
) -> None:
    write_audio(tmp_path / "a.wav", [beep(4, 2000, 1, 0.5), beep(4, 500, 3, 0.25)])
    ended = program(command, tmp_path / "a.wav", "-o", tmp_path / "o.h5", "--n-hop", 64,
                    "--data-format", data_format)  # fmt: skip
    assert ended.code == 0
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = sheet(features, list(features), View())
    assert len(panels(figure)) == 2
    for panel, hz, start, end in zip(panels(figure), (2000, 500), (1, 3), (1.5, 3.25), strict=True):
        place = hz if command == "spectrogram" else float(dsp.hz_to_mel(hz))
        # By the data and the extent that it is drawn over.
        (image,) = panel.images
        left, right, bottom, top = image.get_extent()
        values = image.get_array()
        loud = values > -20
        rows, columns = np.flatnonzero(loud.any(axis=1)), np.flatnonzero(loud.any(axis=0))
        n_rows, n_columns = values.shape
        assert bottom + (rows.mean() + 0.5) * (top - bottom) / n_rows == pytest.approx(
            place, rel=0.02
        )
        at = left + (columns[[0, -1]] + [0, 1]) * (right - left) / n_columns
        assert at == pytest.approx([start, end], abs=0.04)
        assert at.mean() == pytest.approx((start + end) / 2, abs=0.006)  # as blurred on both sides
        # And by the pixels.
        bright = panel_pixels(figure, panel).sum(axis=2) > 2.0
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        low, high = panel.get_ylim()
        assert high - rows.mean() * (high - low) / bright.shape[0] == pytest.approx(place, rel=0.03)
        assert columns[0] * 4 / bright.shape[1] == pytest.approx(start, abs=0.05)
        assert columns[-1] * 4 / bright.shape[1] == pytest.approx(end, abs=0.05)
        # The axis says so itself.
        ticks = dict(zip((t.get_text() for t in panel.get_yticklabels()), panel.get_yticks(),
                         strict=True))  # fmt: skip
        assert ticks["2000"] == pytest.approx(2000 if command == "spectrogram" else
                                              float(dsp.hz_to_mel(2000)))  # fmt: skip
    texts = {text.get_text() for panel in panels(figure) for text in panel.texts}
    assert texts == {"channel 0", "channel 1"}
    assert panels(figure)[-1].get_xlabel() == "Time (s)"
    assert [text.get_text() for text in figure.texts] == ["Frequency (Hz)"]
    assert panels(figure)[0].get_title(loc="left") == "a.wav"


def test_a_range_of_time_is_what_the_axis_shows(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", [beep(4, 2000, 2.5, 0.5)])
    assert program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5").code == 0
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        for view, limits in (
            (View(start=2, end=3), (2, 3)),
            (View(start=2), (2, 4)),
            (View(end=2.75), (0, 2.75)),
            (View(start=1, end=99), (1, 4)),
            (View(start=2.6001, end=2.6002), (2.6001, 2.6002)),
        ):
            (panel,) = panels(sheet(features, ["a.wav"], view))
            assert panel.get_xlim() == pytest.approx(limits, abs=1e-9)
            left, right = panel.images[0].get_extent()[:2]
            step = 256 / SR
            assert limits[0] - step <= left <= limits[0] + 1e-9
            assert limits[1] - 1e-9 <= right <= limits[1] + step
            panel.figure.draw_without_rendering()
            assert panel.xaxis.get_offset_text().get_text() == ""  # times are written in full
            n_columns = panel.images[0].get_array().shape[1]
            assert (right - left) / n_columns == pytest.approx(step)


def test_a_range_shows_the_frames_of_the_whole(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 4 * SR))
    assert program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.npy").code == 0
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        array = features["a.wav"]
        part = part_of(array, features.settings, View(start=1, end=2))
        image = peaks(part, 1000, 1000)
        centres = array.times[part.first : part.first + part.n_frames]
        whole = array[:][part.first : part.first + part.n_frames]
    step = 256 / SR
    assert centres[0] - step / 2 <= 1 < centres[0] + step / 2
    assert centres[-1] - step / 2 < 2 <= centres[-1] + step / 2
    np.testing.assert_array_equal(image[0], whole[:, :, 0].T)


# The scale


@pytest.mark.parametrize(
    ("options", "view", "label", "limits"),
    [
        (["--decibel", "--power", 2], View(), "Level\n(dB re maximum of the recording)", (-80, 0)),
        (
            ["--decibel", "--power", 1],
            View(),
            "10 log10 of amplitude\n(dB re maximum of the recording)",
            (-80, 0),
        ),
        (["--power", 2], View(), "Level (dB re maximum shown)", (-80, 0)),
        (["--power", 1], View(), "Level (dB re maximum shown)", (-80, 0)),
        (["--power", 2], View(decibel=False), "Power", None),
        (["--power", 1], View(decibel=False), "Amplitude", None),
        (["--power", 0.5], View(decibel=False), "Amplitude to the power of 0.5", None),
    ],
)
def test_the_colour_bar_says_what_the_colours_mean(
    options: list[Any], view: View, label: str, limits: Any, tmp_path: Path, program: Any
) -> None:
    loud = reference.noise(1, SR)
    write_audio(tmp_path / "a.wav", np.concatenate([loud, 1e-3 * loud], axis=1))
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.npy", *options)
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        figure = sheet(features, ["a.wav"], view)
        stored = features["a.wav"][:][:, :, 0].T
    bar = figure.axes[-1]
    assert bar.get_ylabel() == label
    (image,) = panels(figure)[0].images
    assert image.get_clim() == (limits or (0, pytest.approx(stored.max())))
    assert bar.get_ylim() == pytest.approx(image.get_clim())
    shown = image.get_array()
    if "dB re maximum shown" in label:
        # A thousandth of the amplitude is 60 dB less, whatever power of it was stored.
        difference = shown[10:250, 5:25] - shown[10:250, 37:57]
        assert np.median(np.asarray(difference)) == pytest.approx(60, abs=3)
        assert shown.max() == 0
    else:
        np.testing.assert_array_equal(shown, stored)


def test_decibels_are_not_shown_otherwise(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, SR))
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5", "--decibel")
    ended = program("plot", tmp_path / "o.h5", "-o", tmp_path / "p.png", "--no-decibel")
    assert ended.code == 2
    assert "these features are decibels" in ended.err


def test_nan_and_silence_are_seen(tmp_path: Path, program: Any) -> None:
    signal = reference.noise(2, SR)
    signal[0, 4000] = np.nan
    signal[1] = 0
    write_audio(tmp_path / "a.wav", signal)
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5", "--non-finite", "keep")
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = sheet(features, ["a.wav"], View())
        silent = sheet(features, ["a.wav"], View(channels=(1,)))
    middle = panel_pixels(figure, panels(figure)[0])[:, 700]
    assert middle == pytest.approx(np.tile([0x35, 0xB7, 0x79], (len(middle), 1)) / 255, abs=0.01)
    assert figure.axes[-1].get_xlabel() == "NaN"
    assert (panels(silent)[0].images[0].get_array() == -80).all()
    assert silent.axes[-1].get_xlabel() == ""


# The sheet


def test_keys_and_channels_have_panels_of_their_own(tmp_path: Path, program: Any) -> None:
    for n_channels, name in ((3, "a.wav"), (1, "b.wav"), (2, "c.wav")):
        write_audio(tmp_path / "in" / name, reference.noise(n_channels, 2000 * n_channels))
    program("melspectrogram", tmp_path / "in", "-o", tmp_path / "o.h5", "--n-mels", 20)
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = sheet(features, ["c.wav", "a.wav"], View())
        one = sheet(features, ["c.wav", "a.wav"], View(channels=(1,)))
    assert [panel.get_title(loc="left") for panel in panels(figure)] == [
        "c.wav", "", "a.wav", "", "",
    ]  # fmt: skip
    assert [panel.get_xlim()[1] for panel in panels(figure)] == pytest.approx(
        [0.5, 0.5, 0.75, 0.75, 0.75]
    )
    assert [panel.texts[0].get_text() for panel in panels(one)] == ["channel 1", "channel 1"]
    places = [panel.get_position() for panel in figure.axes]
    for number, place in enumerate(places):  # none lies over another, none leaves the sheet
        assert 0 < place.x0 < place.x1 < 1
        assert 0 < place.y0 < place.y1 < 1
        assert not any(place.overlaps(other) for other in places[:number])


def test_channels_are_numbered_as_in_the_recording(tmp_path: Path, program: Any) -> None:
    tones = [beep(1, hz, 0, 1) for hz in (500, 1000, 2000)]
    write_audio(tmp_path / "a.wav", tones)
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5", "--channel", 2,
            "--channel", 0)  # fmt: skip
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        for view, names, loudest in (
            (View(), ["channel 2", "channel 0"], [2000, 500]),
            (View(channels=(0, 2)), ["channel 0", "channel 2"], [500, 2000]),
        ):
            shown = panels(sheet(features, ["a.wav"], view))
            assert [panel.texts[0].get_text() for panel in shown] == names
            found = [panel.images[0].get_array()[:, 15].argmax() * SR / 512 for panel in shown]
            assert found == pytest.approx(loudest, abs=20)
    ended = program("plot", tmp_path / "o.h5", "-o", tmp_path / "p.png", "--channel", 1)
    assert ended.code == 2
    assert "has no channel 1; it has 2 channels, counted from 0: 2, 0" in ended.err


@pytest.mark.parametrize(
    ("config", "sr", "label", "some"),
    [
        (SpectrogramConfig(n_dft=512), 8000, "Frequency (Hz)", {"0", "2000", "4000"}),
        (SpectrogramConfig(n_dft=512), 384_000, "Frequency (kHz)", {"0", "100", "180"}),
        (MelspectrogramConfig(sr=44100), 44100, "Frequency (kHz)", {"0.5", "1", "2", "5", "20"}),
        (MelspectrogramConfig(sr=250_000, fmin=15e3), 250_000, "Frequency (kHz)", {"20", "60"}),
        (MelspectrogramConfig(sr=8000, n_mels=1), 8000, "Frequency (Hz)", {"1000", "2000"}),
        (MelspectrogramConfig(sr=8000, htk=True), 8000, "Frequency (Hz)", {"200", "1000"}),
    ],
)
def test_frequencies_are_written_in_round_numbers(
    config: Any, sr: int, label: str, some: set[str]
) -> None:
    axis = frequency_axis(config, sr)
    for at_most in (2, 4, 14):
        places, texts = axis.ticks(at_most)
        assert axis.limits[0] <= min(places) <= max(places) <= axis.limits[1]
        assert 1 <= len(places) <= at_most + 1
        assert [float(text) * axis.scale for text in texts] == pytest.approx(
            places if axis.htk is None else list(dsp.mel_to_hz(places, htk=axis.htk))
        )
    assert some <= set(texts)
    assert axis.label == label


def test_every_band_stands_at_its_centre() -> None:
    config = MelspectrogramConfig(sr=44100, n_mels=7, fmin=300, fmax=9000)
    axis = frequency_axis(config, 44100)
    low, high = axis.span
    centres = low + (np.arange(7) + 0.5) * (high - low) / 7
    expected = dsp.mel_edges(7, 300, 9000)[1:-1]
    assert dsp.mel_to_hz(centres) == pytest.approx(expected)


def test_long_times_are_told_in_minutes_and_hours() -> None:
    assert time_unit((0, 900)) == ("Time (s)", 1)
    assert time_unit((20_000, 20_900)) == ("Time (s)", 1)
    assert time_unit((0, 3600)) == ("Time (min)", 60)
    assert time_unit((0, 36_000)) == ("Time (h)", 3600)


# Of any size


class Made:
    """Values that are made when they are asked for, and know how many were asked for at once."""

    packed = None

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, ...], peak: int) -> None:
        self.shape = shape
        self.peak = peak
        self.most = 0

    def __getitem__(self, index: Any) -> Any:
        frames = range(self.shape[0])[index[0]]
        self.most = max(self.most, len(frames) * self.shape[1] * self.shape[2])
        values = np.zeros((len(frames), *self.shape[1:]), np.float32)
        if self.peak in frames:
            values[self.peak - frames[0], 17] = 1
        return values

    def crc32(self, time_axis: int, look: Look | None = None) -> int:
        raise NotImplementedError((time_axis, look))


class Held(Made):
    """Values in memory."""

    def __init__(self, values: Any) -> None:
        super().__init__(values.shape, -1)
        self._values = values

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]


def stored(values: Made, config: SpectrogramConfig) -> StoredArray:
    n_time, _, n_channels = values.shape
    facts = InputFacts("a.wav", SR, SR, n_time * 256, n_channels, 0.0, 256 / SR, 0, 0)
    return StoredArray("a.wav", values, facts, config)


def test_a_night_is_read_in_blocks_and_keeps_its_peaks() -> None:
    values = Made((10**6, 257, 2), 314_159)
    array = stored(values, SpectrogramConfig(image_data_format="channels_last"))
    image = peaks(part_of(array, AudioSettings(sr=SR), View()), 300, 1000)
    assert image.shape == (2, 257, 1000)
    assert np.argwhere(image).tolist() == [[0, 17, 314], [1, 17, 314]]
    assert values.most <= 2**22


@given(
    n_time=st.integers(1, 50),
    n_features=st.integers(2, 20),
    n_channels=st.integers(1, 3),
    n_rows=st.integers(1, 25),
    n_columns=st.integers(1, 60),
    block=st.integers(1, 400),
    seed=st.integers(0, 1000),
)
def test_every_cell_is_the_largest_of_its_values(
    n_time: int,
    n_features: int,
    n_channels: int,
    n_rows: int,
    n_columns: int,
    block: int,
    seed: int,
) -> None:
    values = np.random.default_rng(seed).normal(size=(n_time, n_features, n_channels))
    values[values > 2] = np.nan
    config = SpectrogramConfig(n_dft=2 * n_features - 2, n_hop=256,
                               image_data_format="channels_last")  # fmt: skip
    part = part_of(stored(Held(values), config), AudioSettings(sr=SR), View())
    image = peaks(part, n_rows, n_columns, block)
    n_rows, n_columns = min(n_rows, n_features), min(n_columns, n_time)
    assert image.shape == (n_channels, n_rows, n_columns)
    for channel, row, column in np.ndindex(*image.shape):
        frames = [t for t in range(n_time) if t * n_columns // n_time == column]
        first, last = row * n_features // n_rows, (row + 1) * n_features // n_rows
        cell = values[frames, first:last, channel].astype(np.float32)
        np.testing.assert_equal(image[channel, row, column], cell.max())


# Titles


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("site a/night 1.wav", "site a/night 1.wav"),
        ("two\nlines \x1b[31m.wav", r"two\nlines \x1b[31m.wav"),
        ("$x_1$.wav", "$x_1$.wav"),
        ("птица.wav", "птица.wav"),
        ("\U0010fffd.wav", r"\U0010fffd.wav"),
    ],
)
def test_titles_are_the_keys_as_they_can_be_written(key: str, title: str) -> None:
    assert title_of(key)[0] == title


def test_long_names_keep_their_ends() -> None:
    title, _ = title_of("deployment 1/" + "x" * 300 + "/night 7.wav")
    assert len(title) < 80
    assert title.startswith("deployment 1/xx")
    assert title.endswith("xx/night 7.wav")


def test_odd_names_are_drawn_without_a_word(tmp_path: Path, program: Any) -> None:
    names = ["two\nlines.wav", "птица.wav", "鳥.wav", "$x_1$ \\frac{.wav", "\x1b[31m.wav", "x" * 99]
    for name in names:
        write_audio(tmp_path / "tmp.wav", reference.noise(1, 500)).rename(tmp_path / name)
    (tmp_path / "out").mkdir()
    arguments = [*(tmp_path / name for name in names), "-o", tmp_path / "out/o.h5"]
    assert program("spectrogram", *arguments).code == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ended = program("plot", tmp_path / "out/o.h5", *names, "-o", tmp_path / "out/p.png")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines() == [f"6 keys drawn -> '{tmp_path}/out/p.png'"]


# The command


@pytest.fixture
def output(tmp_path: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        write_audio(Path(f"in/{number}.wav"), reference.noise(1, 3000))
    write_audio(Path("two.wav"), reference.noise(2, 3000))
    assert program("spectrogram", "in", "two.wav", "-o", "o.h5").code == 0
    return Path("o.h5")


PICTURES = {"png": b"\x89PNG\r\n", "pdf": b"%PDF-", "svg": b"<?xml"}


@pytest.mark.parametrize("kind", PICTURES)
def test_equal_work_gives_equal_bytes(kind: str, output: Path, program: Any, process: Any) -> None:
    assert program("plot", output, "two.wav", "-o", f"a.{kind}").code == 0
    elsewhere = {"MPLCONFIGDIR": "/proc/self/x", "SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "7"}
    Path("tmp").mkdir()
    elsewhere["TMPDIR"] = "tmp"
    ended = process("plot", output, "two.wav", "-o", f"b.{kind.upper()}", **elsewhere)
    # Not a word either of the cache that matplotlib could not write there.
    assert (ended.code, ended.err) == (0, f"1 key drawn -> 'b.{kind.upper()}'\n")
    assert files_below(Path("tmp")) == []  # where it was written instead
    content = Path(f"a.{kind}").read_bytes()
    assert content.startswith(PICTURES[kind])
    assert content == Path(f"b.{kind.upper()}").read_bytes()


def test_the_users_own_settings_of_matplotlib_change_nothing(output: Path, program: Any) -> None:
    assert program("plot", output, "two.wav", "-o", "a.png").code == 0
    with mpl.rc_context({"image.origin": "upper", "font.size": 30, "savefig.facecolor": "red"}):
        assert program("plot", output, "two.wav", "-o", "b.png").code == 0
        assert mpl.rcParams["font.size"] == 30
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_without_a_key_the_first_few_are_drawn(output: Path, program: Any) -> None:
    ended = program("plot", output, "-o", "p.png")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines() == [
        "note: drawn are the first 4 of 7 keys; others can be named behind the output",
        "4 keys drawn -> 'p.png'",
    ]
    ended = program("plot", output, "0.wav", "two.wav", "0.wav", "-o", "q.png")
    assert ended.err == "2 keys drawn -> 'q.png'\n"


USAGE = {
    "no picture": (["-o", "p.jpeg"], "'p.jpeg' has none of the suffixes .png, .pdf, .svg"),
    "no folder": (["-o", "gone/p.png"], "the folder 'gone' for the picture 'p.png' does not exist"),
    "a folder": (["-o", "dir.png"], "'dir.png' is a folder; a file was asked for"),
    "no key": (["9.wav", "-o", "p.png"], "'o.h5' has no key '9.wav'; it has 7 keys: '0.wav',"),
    "no channel": (["--channel", "7", "-o", "p.png"], "'0.wav' has no channel 7; it has 1 channel"),
    "late": (["--time", "5:", "-o", "p.png"], "is 0.375 s long: it has nothing from 5 s to its"),
    "late range": (["--time", "5:6", "-o", "p.png"], "it has nothing from 5 s to 6 s"),
    "backwards": (["--time", "6:5", "-o", "p.png"], "'6:5' does not end after it starts"),
    "no range": (["--time", "5", "-o", "p.png"], "'5' is not START:END in seconds, such as"),
    "negative": (["--time=-5:", "-o", "p.png"], "'-5:' is not START:END in seconds"),
    "no time": (["--time", "nan:", "-o", "p.png"], "'nan:' is not START:END in seconds"),
    "to nan": (["--time", "0:nan", "-o", "p.png"], "'0:nan' does not end after it starts"),
    "a layer": (
        ["--n-dft", "64", "--mel", "-o", "p.png"],
        "'o.h5' is an output: --mel, --n-dft would say what is computed of audio",
    ),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_are_told_and_draw_nothing(case: str, output: Path, program: Any) -> None:
    Path("dir.png").mkdir()
    before = files_below(Path())
    arguments, message = USAGE[case]
    ended = program("plot", output, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
    assert files_below(Path()) == before


def test_a_sheet_has_so_many_panels_and_no_more(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(65, 100))
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.npy", "--n-dft", 32)
    ended = program("plot", tmp_path / "o.npy", "-o", tmp_path / "p.png")
    assert ended.code == 2
    assert "there would be 65 panels, one for each channel of each key; a sheet holds 64" in (
        ended.err
    )
    some = [f"--channel={number}" for number in range(64)]
    assert program("plot", tmp_path / "o.npy", "-o", tmp_path / "p.png", *some).code == 0


def test_a_picture_is_replaced_only_when_asked(output: Path, program: Any) -> None:
    Path("mine.png").write_text("mine")
    for more in ((), ("--overwrite",)):
        ended = program("plot", output, "-o", "mine.png", *more)
        assert (ended.code, "kapre-extract did not make it" in ended.err) == (2, True)
        assert Path("mine.png").read_text() == "mine"
    assert program("plot", output, "-o", "p.png").code == 0
    older = Path("p.png").read_bytes()
    ended = program("plot", output, "-o", "p.png")
    assert ended.code == 2
    assert "the picture 'p.png' exists; --overwrite replaces it" in ended.err
    assert Path("p.png").read_bytes() == older
    Path("link.png").symlink_to("p.png")
    assert program("plot", output, "-o", "link.png", "--overwrite", "--time", ":0.1").code == 0
    assert Path("link.png").is_symlink()
    assert Path("p.png").read_bytes().startswith(PICTURES["png"])
    assert Path("p.png").read_bytes() != older


@pytest.mark.parametrize("suffix", PICTURES)
def test_every_kind_of_picture_is_known_as_this_programs(
    suffix: str, output: Path, program: Any
) -> None:
    for more in ((), ("--overwrite",)):
        assert program("plot", output, "-o", f"p.{suffix}", *more).code == 0
    assert not list(Path().glob(".*"))


def test_the_source_is_never_replaced(output: Path, program: Any) -> None:
    output.rename("o.png")
    ended = program("plot", "o.png", "-o", "./o.png", "--overwrite")
    assert ended.code == 2
    assert "'o.png' is what would be drawn" in ended.err


def test_a_picture_that_cannot_be_written_is_told(output: Path, process: Any) -> None:
    ended = process("plot", output, "-o", "/proc/self/p.png")
    assert ended.code == 1
    assert "'/proc/self/p.png' cannot be written: " in ended.err.splitlines()[-1]


def test_outputs_that_are_not_sound_are_told(output: Path, program: Any) -> None:
    content = output.read_bytes()
    Path("torn.h5").write_bytes(content[: len(content) // 2])
    ended = program("plot", "torn.h5", "-o", "p.png")
    assert ended.code == 1
    assert "'torn.h5' cannot be read" in ended.err
    ended = program("plot", "in", "-o", "p.png")
    assert ended.code == 1
    assert "'in' is a folder without kapre-extract.json, so no output of" in ended.err
    ended = program("plot", "gone.h5", "-o", "p.png")
    assert ended.code == 2
    assert "there is nothing at 'gone.h5'" in ended.err
    Path("link.wav").symlink_to("gone.wav")
    ended = program("plot", "link.wav", "-o", "p.png")
    assert (ended.code, "it is a link to 'gone.wav', which does not exist" in ended.err) == (
        1,
        True,
    )


def test_audio_is_drawn_at_once(output: Path, program: Any) -> None:
    assert output
    ended = program("plot", "two.wav", "-o", "p.png", "--channel", 1, "--n-dft", 128)
    assert (ended.code, ended.err) == (0, "1 key drawn -> 'p.png'\n")
    program("spectrogram", "two.wav", "-o", "two.h5", "--n-dft", 128)
    assert program("plot", "two.h5", "-o", "q.png", "--channel", 1).code == 0
    assert Path("p.png").read_bytes() == Path("q.png").read_bytes()
    mel = ["--n-dft", 128, "--n-mels", 20, "--fmin", 100]
    assert program("plot", "two.wav", "-o", "mel.png", "--mel", *mel).code == 0
    program("melspectrogram", "two.wav", "-o", "mel.h5", "--power", 2, *mel)
    assert program("plot", "mel.h5", "-o", "mel 2.png").code == 0
    assert Path("mel.png").read_bytes() == Path("mel 2.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["two.wav", "key"], 2, "'two.wav' is a recording, not an output: it has no keys"),
        (["text.wav", "key"], 1, "'text.wav': neither a WAV nor a FLAC file: it begins with"),
        (["two.wav", "--n-mels", 3], 2, "--n-mels describes mel bands: add --mel"),
        (["text.wav"], 1, "'text.wav': neither a WAV nor a FLAC file: it begins with b'no audio'"),
        (["two.wav", "--channel", 5], 1, "failed: 'two.wav': "),
        (["two.wav", "--sr", 44100], 1, "--resample"),
    ],
)
def test_audio_that_cannot_be_drawn_is_told(
    arguments: list[Any], code: int, message: str, output: Path, program: Any
) -> None:
    assert output
    Path("text.wav").write_text("no audio")
    ended = program("plot", *arguments, "-o", "p.png")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert not Path("p.png").exists()


def test_audio_without_a_header_is_drawn(output: Path, program: Any) -> None:
    samples = (2**14 * reference.noise(1, 2000)[0].clip(-1, 1)).astype("<i2")
    Path("samples.raw").write_bytes(samples.tobytes())
    write_audio(Path("wav/samples.raw.wav"), samples[np.newaxis], subtype="PCM_16")
    Path("wav/samples.raw.wav").rename("wav/samples.raw")
    raw = ["--raw-format", "s16le,8000,1"]
    assert output
    assert program("plot", "samples.raw", "-o", "p.png", *raw).code == 0
    assert program("plot", "wav/samples.raw", "-o", "q.png").code == 0
    assert Path("p.png").read_bytes() == Path("q.png").read_bytes()


def test_without_matplotlib_it_says_how_to_get_it(output: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from kapre_cli.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "plot", output, "-o", "p.png"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 2
    assert "drawing needs matplotlib" in ended.stderr
    assert "pip install 'kapre-extract[plot]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Path("p.png").exists()
