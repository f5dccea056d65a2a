"""Pictures: the right thing at the right place, the scale that is written beside it, safe files."""

import io
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from librosa import hz_to_mel, mel_frequencies, mel_to_hz
from librosa.filters import mel as mel_matrix
from matplotlib.backend_bases import MouseEvent
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

import kapre_cli
from kapre_cli.errors import UsageError
from kapre_cli.formats.arrays import StoredArray
from kapre_cli.formats.metadata import InputMetadata
from kapre_cli.formats.values import Values
from kapre_cli.layers import MelspectrogramConfig, SpectrogramConfig
from kapre_cli.plotting import View, figure_of
from kapre_cli.plotting.figure import colour_map, render
from kapre_cli.plotting.image import PlotAxis, Rows, peaks, selection_of
from kapre_cli.plotting.labels import displayable, time_ticks
from kapre_cli.settings import AudioSettings
from tests import reference
from tests.conftest import files_below, write_audio

SR = 8000
FRAME = 3  # pixels of a panel's frame


def beep(seconds: float, hz: float, start: float, length: float) -> npt.NDArray[np.float64]:
    """Return silence with a tone in it."""
    times = np.arange(round(seconds * SR)) / SR
    sounds = (times >= start) & (times < start + length)
    return 0.5 * np.sin(2 * np.pi * hz * times) * sounds


def panels(figure: Figure) -> list[Any]:
    return [axes for axes in figure.axes if axes.images]


def legend(figure: Figure) -> dict[str, str]:
    """Return what the legend of a figure says, and the colour for it."""
    found = figure.axes[0].get_legend()
    if found is None:
        return {}
    texts = [text.get_text() for text in found.get_texts()]
    patches = [to_hex(patch.get_facecolor()) for patch in found.get_patches()]
    return dict(zip(texts, patches, strict=True))


def every(n_features: int) -> Rows:
    """Return rows that show a bin each."""
    return PlotAxis(SpectrogramConfig(n_dft=2 * n_features - 2), SR).rows(
        (0, SR / 2), 20 * n_features
    )


def pixels(figure: Figure) -> Any:
    return mpl.image.imread(io.BytesIO(render(figure, "png")))


def panel_pixels(figure: Figure, panel: Any, image: Any = None) -> Any:
    """Return the pixels inside a panel's frame, the highest frequency first."""
    image = pixels(figure) if image is None else image
    height, width = image.shape[:2]
    place = panel.get_position()
    rows = slice(round((1 - place.y1) * height) + FRAME, round((1 - place.y0) * height) - FRAME)
    return image[rows, round(place.x0 * width) + FRAME : round(place.x1 * width) - FRAME, :3]


# What is shown where


@pytest.mark.parametrize("freq", [(None, None), (300, 3000)])
@pytest.mark.parametrize("command", ["spectrogram", "melspectrogram"])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_a_tone_stands_at_its_time_and_frequency(
    command: str, data_format: str, freq: Any, tmp_path: Path, program: Any
) -> None:
    write_audio(tmp_path / "a.wav", [beep(4, 2000, 1, 0.5), beep(4, 500, 3, 0.25)])
    ended = program(command, tmp_path / "a.wav", "-o", tmp_path / "o.h5", "--n-hop", 64,
                    "--data-format", data_format)  # fmt: skip
    assert ended.code == 0
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = figure_of(features, list(features), View(freq=freq))
    assert len(panels(figure)) == 2
    image = pixels(figure)
    for panel, hz, start, end in zip(panels(figure), (2000, 500), (1, 3), (1.5, 3.25), strict=True):
        # By the pixels.
        bright = panel_pixels(figure, panel, image).sum(axis=2) > 2.0
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        below_top = (rows.mean() + FRAME + 0.5) / (len(bright) + 2 * FRAME)
        low, high = panel.get_ylim()
        assert (low, high) == ((0, 4000) if freq == (None, None) else freq)
        if command == "spectrogram":
            middle = high - below_top * (high - low)
        else:  # mels by another library
            low, high = hz_to_mel([low, high])
            middle = mel_to_hz(high - below_top * (high - low))
        assert middle == pytest.approx(hz, rel=0.01)
        assert columns[0] * 4 / bright.shape[1] == pytest.approx(start, abs=0.05)
        assert columns[-1] * 4 / bright.shape[1] == pytest.approx(end, abs=0.05)
        # Where a pointer above the tone is told its value.
        (x, y) = panel.transData.transform(((start + end) / 2, hz))
        event = MouseEvent("motion_notify_event", figure.canvas, x, y)
        assert panel.images[0].get_cursor_data(event) > -10
        # The axis says so itself.
        ticks = dict(zip((t.get_text() for t in panel.get_yticklabels()), panel.get_yticks(),
                         strict=True))  # fmt: skip
        assert ticks["2000"] == 2000
    texts = {text.get_text() for panel in panels(figure) for text in panel.texts}
    assert texts == {"channel 0", "channel 1"}
    assert panels(figure)[-1].get_xlabel() == "Time (s)"
    assert figure.get_supylabel() == "Frequency (Hz)"
    assert panels(figure)[0].get_title(loc="left") == "a.wav"


def test_a_range_of_time_is_what_the_axis_shows(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", [beep(4, 2000, 2.5, 0.5)])
    assert program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5").code == 0
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        for view, limits in (
            (View(time=(2, 3)), (2, 3)),
            (View(time=(2, None)), (2, 4)),
            (View(time=(None, 2.75)), (0, 2.75)),
            (View(time=(1, 99)), (1, 4)),
            (View(time=(2.6001, 2.6002)), (2.6001, 2.6002)),
        ):
            (panel,) = panels(figure_of(features, ["a.wav"], view))
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
        part = selection_of(array, features.settings, View(time=(1, 2)))
        image = peaks(part, every(257), 1000)
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
        (["--decibel", "--power", 2], View(), "Level (dB re recording's maximum)", (-80, 0)),
        (
            ["--decibel", "--power", 1],
            View(),
            "10 log10 of amplitude (dB re recording's maximum)",
            (-80, 0),
        ),
        (["--power", 2], View(), "Level (dB re maximum shown)", (-80, 0)),
        (["--power", 1], View(), "Level (dB re maximum shown)", (-80, 0)),
        (["--power", 2], View(decibel=False), "Power", None),
        (["--power", 1], View(decibel=False), "Amplitude", None),
        (["--power", 0.5], View(decibel=False), "Amplitude to the power of 0.5", None),
        (["--power", 2], View(range=(-100, -10)), "Level (dB re maximum shown)", (-100, -10)),
        (["--power", 2], View(range=(-50, None)), "Level (dB re maximum shown)", (-50, 0)),
        (["--power", 1], View(range=(1, 2), decibel=False), "Amplitude", (1, 2)),
    ],
)
def test_the_colour_bar_says_what_the_colours_mean(
    options: list[Any], view: View, label: str, limits: Any, tmp_path: Path, program: Any
) -> None:
    loud = reference.noise(1, SR)
    write_audio(tmp_path / "a.wav", np.concatenate([loud, 1e-3 * loud], axis=1))
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.npy", *options)
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        figure = figure_of(features, ["a.wav"], view)
        stored = features["a.wav"][:][:, :, 0].T
    (bar,) = (axes for axes in figure.axes if axes not in panels(figure))
    assert bar.get_ylabel() == label
    (image,) = panels(figure)[0].images
    assert image.get_clim() == (limits or (0, pytest.approx(stored.max())))
    assert bar.get_ylim() == pytest.approx(image.get_clim())
    shown = image.get_array()
    if "dB re maximum shown" in label:
        # A thousandth of the amplitude is 60 dB less, whatever power of it was stored.
        difference = shown[20:-20, 5:25] - shown[20:-20, 37:57]
        assert np.median(np.asarray(difference)) == pytest.approx(60, abs=3)
        assert shown.max() == 0
        assert shown.min() == min(limits[0], -80) or limits[0] == -50
    else:  # each row shows a bin, the lowest and the highest half as high as the others
        np.testing.assert_array_equal(np.unique(shown), np.unique(stored))
        middles = (np.arange(len(shown)) + 0.5) / len(shown) * 256
        np.testing.assert_array_equal(shown, stored[np.round(middles).astype(int)])


def test_the_label_of_the_colour_bar_is_one_line_that_fits(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, SR))
    layer = ["--decibel", "--power", 0.25]
    program("spectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.npy", *layer)
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        for size in (None, (5, 2), (4, 9)):
            figure = figure_of(features, view=View(size=size))
            pixels(figure)  # which lays it out
            label = figure.axes[-1].yaxis.label
            place = label.get_window_extent()
            assert 0 < place.x0 < place.x1 < figure.bbox.width
            assert 0 < place.y0 < place.y1 < figure.bbox.height
            assert "\n" not in label.get_text()


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
        figure = figure_of(features, ["a.wav"], View())
        silent = figure_of(features, ["a.wav"], View(channels=(1,)))
    middle = panel_pixels(figure, panels(figure)[0])[:, 700]
    assert middle == pytest.approx(np.tile([0x35, 0xB7, 0x79], (len(middle), 1)) / 255, abs=0.01)
    assert legend(figure) == {"NaN": "#35b779"}
    assert (panels(silent)[0].images[0].get_array() == -80).all()
    assert legend(silent) == {}


def test_empty_bands_are_no_silence(tmp_path: Path, program: Any) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, SR))
    layer = ["--n-dft", 256, "--n-mels", 200]
    program("melspectrogram", tmp_path / "a.wav", "-o", tmp_path / "o.h5", *layer)
    with pytest.warns(UserWarning, match="Empty filters"):
        weights = mel_matrix(sr=SR, n_fft=256, n_mels=200)
    empty = np.flatnonzero(~weights.any(axis=1))
    assert 3 < len(empty) < 30
    centres = mel_frequencies(202, fmin=0, fmax=SR / 2)[1:-1]
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        for cmap in ("magma", "gray_r"):
            figure = figure_of(features, "a.wav", View(cmap=cmap, size=(5, 12)))
            assert panels(figure)[0].images[0].get_cmap().name == cmap
            ((label, colour),) = legend(figure).items()
            assert label == "empty mel band"
            (panel,) = panels(figure)
            shown = panel_pixels(figure, panel)[:, 300][::-1]
            rows = hz_to_mel(centres) / hz_to_mel(SR / 2) * (len(shown) + 2 * FRAME) - FRAME
            is_empty = np.abs(shown[rows.astype(int)] - to_rgb(colour)).max(axis=1) < 0.01
            assert np.flatnonzero(is_empty).tolist() == empty.tolist()
        full = figure_of(features, "a.wav", View(freq=(3000, None)))
    assert legend(full) == {}


@pytest.mark.parametrize("name", ["magma", "viridis", "gray", "jet", "coolwarm", "Greens"])
def test_no_value_looks_like_nan(name: str) -> None:
    colours = colour_map(name)
    values = colours(np.linspace(0, 1, 256))[:, :3]
    assert np.abs(values - colours.get_bad()[:3]).max(axis=1).min() > 0.1


# The sheet


def test_keys_and_channels_have_panels_of_their_own(tmp_path: Path, program: Any) -> None:
    for n_channels, name in ((3, "a.wav"), (1, "b.wav"), (2, "c.wav")):
        write_audio(tmp_path / "in" / name, reference.noise(n_channels, 2000 * n_channels))
    program("melspectrogram", tmp_path / "in", "-o", tmp_path / "o.h5", "--n-mels", 20)
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = figure_of(features, ["c.wav", "a.wav"], View())
        one = figure_of(features, ["c.wav", "a.wav"], View(channels=(1,)))
    assert [panel.get_title(loc="left") for panel in panels(figure)] == [
        "c.wav", "", "a.wav", "", "",
    ]  # fmt: skip
    assert [panel.get_xlim()[1] for panel in panels(figure)] == pytest.approx(
        [0.5, 0.5, 0.75, 0.75, 0.75]
    )
    assert [panel.texts[0].get_text() for panel in panels(one)] == ["channel 1", "channel 1"]
    pixels(figure)  # which lays it out
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
            shown = panels(figure_of(features, ["a.wav"], view))
            assert [panel.texts[0].get_text() for panel in shown] == names
            images = [panel.images[0].get_array() for panel in shown]
            found = [image[:, 15].argmax() / len(image) * SR / 2 for image in images]
            assert found == pytest.approx(loudest, abs=20)
    ended = program("plot", tmp_path / "o.h5", "-o", tmp_path / "p.png", "--channel", 1)
    assert ended.code == 2
    assert "has no channel 1; it has 2 channels, counted from 0: 2, 0" in ended.err


@pytest.mark.parametrize(
    ("command", "sr", "options", "label", "texts"),
    [
        ("spectrogram", 8000, [], "Hz", [str(hz) for hz in range(0, 4001, 500)]),
        ("spectrogram", 384_000, [], "kHz", [str(khz) for khz in range(0, 192, 25)]),
        (
            "melspectrogram",
            44100,
            ["--fmin", 50, "--n-mels", 20],
            "kHz",
            ["0.05", "0.5", "1", "2", "5", "10", "22.05"],
        ),
        ("melspectrogram", 250_000, ["--fmin", 15e3], "kHz", ["15", "20", "50", "125"]),
        ("melspectrogram", 8000, ["--n-mels", 1], "Hz", ["0", "500", "1000", "2000", "4000"]),
        (
            "melspectrogram",
            8000,
            ["--htk", "--n-mels", 20],
            "Hz",
            ["0", "200", "500", "1000", "2000", "4000"],
        ),
        (
            "melspectrogram",
            8000,
            ["--fmin", 2100, "--fmax", 2900, "--n-mels", 3],
            "Hz",
            ["2100", "2200", "2300", "2400", "2500", "2600", "2700", "2900"],
        ),
        (
            "melspectrogram",
            8000,
            ["--fmin", 800, "--fmax", 2000, "--n-mels", 9],
            "Hz",
            ["800", "1000", "1200", "1400", "1600", "1800", "2000"],
        ),
    ],
)
def test_frequencies_are_written_at_the_ends_and_in_round_numbers(
    command: str,
    sr: int,
    options: list[Any],
    label: str,
    texts: list[str],
    tmp_path: Path,
    program: Any,
) -> None:
    write_audio(tmp_path / "a.wav", reference.noise(1, 3000), sr)
    program(command, tmp_path / "a.wav", "-o", tmp_path / "o.h5", *options)
    with kapre_cli.open_features(tmp_path / "o.h5") as features:
        figure = figure_of(features)
    assert figure.get_supylabel() == f"Frequency ({label})"
    pixels(figure)
    (panel,) = panels(figure)
    low, high = panel.get_ylim()
    shown = [
        text.get_text()
        for text, hz in zip(panel.get_yticklabels(), panel.get_yticks(), strict=True)
        if low <= hz <= high
    ]
    assert shown == texts
    scale = 1000 if label == "kHz" else 1
    inside = [hz for hz in panel.get_yticks() if low <= hz <= high]
    assert [float(text) * scale for text in shown] == pytest.approx(inside)


def test_every_band_stands_at_its_centre() -> None:
    config = MelspectrogramConfig(sr=44100, n_mels=7, fmin=300, fmax=9000)
    axis = PlotAxis(config, 44100)
    rows = axis.rows((300, 9000), 700)
    low, high = hz_to_mel([300, 9000])
    middles = low + (np.arange(700) + 0.5) / 700 * (high - low)
    centres = hz_to_mel(mel_frequencies(9, fmin=300, fmax=9000)[1:-1])
    nearest = np.abs(middles[:, np.newaxis] - centres).argmin(axis=1)
    assert rows.numbers.tolist() == nearest.tolist()


@pytest.mark.parametrize(
    ("seconds", "label", "texts"),
    [
        (0.2, "Time (s)", ["0.000", "0.100", "0.200"]),
        (119, "Time (s)", ["0", "40", "100"]),
        (600, "Time (min:s)", ["0:00", "1:00", "10:00"]),
        (4000, "Time (min:s)", ["0:00", "10:00", "60:00"]),
        (36_000, "Time (h:min)", ["0:00", "1:00", "10:00"]),
        (200_000, "Time (h:min)", ["0:00", "6:00", "54:00"]),
        (10**12, "Time (h:min)", ["0:00"]),
    ],
)
def test_times_are_written_as_on_a_clock(seconds: float, label: str, texts: list[str]) -> None:
    (axes,) = Figure((7, 3)).subplots(1, 1, squeeze=False).ravel()
    axes.set_xlim(0, seconds)
    time_ticks(axes.xaxis)
    axes.figure.draw_without_rendering()
    assert axes.get_xlabel() == label
    shown = [text.get_text() for text in axes.get_xticklabels()]
    assert set(texts) <= set(shown)
    assert len(shown) <= 16


# Of any size


class Made(Values):
    """Values that are made when they are asked for, and know how many were asked for at once."""

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
        return values[:, index[1], index[2]]


class Held(Made):
    """Values in memory."""

    def __init__(self, values: Any) -> None:
        super().__init__(values.shape, -1)
        self._values = values

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]


def stored(values: Made, config: SpectrogramConfig) -> StoredArray:
    n_time, _, n_channels = values.shape
    metadata = InputMetadata("a.wav", SR, SR, n_time * 256, n_channels, 0.0, 256 / SR, 0, 0)
    return StoredArray("a.wav", values, metadata, config)


def test_a_night_is_read_in_blocks_and_keeps_its_peaks() -> None:
    values = Made((400_000, 257, 2), 314_159)
    array = stored(values, SpectrogramConfig(image_data_format="channels_last"))
    image = peaks(selection_of(array, AudioSettings(sr=SR), View()), every(257), 1000)
    assert image.shape == (2, 257, 1000)
    assert np.argwhere(image).tolist() == [[0, 17, 785], [1, 17, 785]]
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
    part = selection_of(stored(Held(values), config), AudioSettings(sr=SR), View())
    rows = PlotAxis(config, SR).rows((0, SR / 2), n_rows)
    image = peaks(part, rows, n_columns, block)
    ends = [*rows.starts[1:], n_features]
    n_columns = min(n_columns, n_time)
    assert image.shape == (n_channels, len(rows.starts), n_columns)
    assert rows.starts[0] == 0  # of all bins none is left out
    assert set(rows.numbers) == set(range(len(rows.starts)))
    for channel, row, column in np.ndindex(*image.shape):
        frames = [t for t in range(n_time) if t * n_columns // n_time == column]
        cell = values[frames, rows.starts[row] : ends[row], channel].astype(np.float32)
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
    assert displayable(key, 76)[0] == title


def test_long_names_keep_their_ends() -> None:
    title, _ = displayable("deployment 1/" + "x" * 300 + "/night 7.wav", 76)
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
        "note: the first 4 of 7 keys are drawn; name others after the output",
        "4 keys drawn -> 'p.png'",
    ]
    ended = program("plot", output, "0.wav", "two.wav", "0.wav", "-o", "q.png")
    assert ended.err == "2 keys drawn -> 'q.png'\n"


USAGE = {
    "no picture": (["-o", "p.jpeg"], "'p.jpeg' has none of the suffixes .png, .pdf, .svg"),
    "no folder": (["-o", "gone/p.png"], "the folder 'gone' for the picture 'p.png' does not exist"),
    "a folder": (["-o", "dir.png"], "'dir.png' is a folder, which is not replaced"),
    "no key": (
        ["9.wav", "-o", "p.png"],
        "'o.h5': no input has the key '9.wav'; the output has 7 keys, similar keys are ",
    ),
    "no channel": (["--channel", "7", "-o", "p.png"], "'0.wav' has no channel 7; it has 1 channel"),
    "late": (["--time", "5:", "-o", "p.png"], "is 0.375 s long: it has nothing from 5 s to its"),
    "late range": (["--time", "5:6", "-o", "p.png"], "it has nothing from 5 s to 6 s"),
    "backwards": (
        ["--time", "6:5", "-o", "p.png"],
        "'6:5' does not go from a number to a larger one",
    ),
    "no range": (["--time", "5", "-o", "p.png"], "'5' is not START:END in seconds, such as"),
    "negative": (["--time=-5:", "-o", "p.png"], "'-5:' is not START:END in seconds"),
    "no time": (["--time", "nan:", "-o", "p.png"], "'nan:' is not START:END in seconds"),
    "to nan": (["--time", "0:nan", "-o", "p.png"], "'0:nan' is not START:END in seconds"),
    "backwards too": (["--freq", "9:8", "-o", "p.png"], "'9:8' does not go from a number to a"),
    "below 0": (["--freq=-9:8", "-o", "p.png"], "'-9:8' is not LOW:HIGH in Hz, such as"),
    "too high": (
        ["--freq", "5000:", "-o", "p.png"],
        "the features reach from 0 to 4,000 Hz; frequencies from 5,000 to 4,000 Hz cannot be shown",
    ),
    "no levels": (["--range", "0", "-o", "p.png"], "'0' is not LOW:HIGH, such as -60:0"),
    "levels down": (["--range", "0:-60", "-o", "p.png"], "'0:-60' does not go from a number to a"),
    "no colours": (["--range", "5:", "-o", "p.png"], "the colours cannot go from 5 up to 0"),
    "no map": (["--cmap", "vridis", "-o", "p.png"], "no colour map 'vridis'; did you mean 'virid"),
    "no map at all": (["--cmap", "\x1b", "-o", "p.png"], "'\\x1b', such as 'viridis' or 'gray_r'"),
    "no size": (["--size", "8", "-o", "p.png"], "'8' is not WIDTHxHEIGHT in inches, such as"),
    "not a size": (["--size", "nanx3", "-o", "p.png"], "'nanx3' is not WIDTHxHEIGHT in inches"),
    "tiny": (["--size", "3x1", "-o", "p.png"], "3 x 1 inches are too small: the panels and"),
    "vast": (["--size", "90x90", "-o", "p.png"], "'90x90' is too large: a side has at most 100"),
    "narrow": (["--size", "3x5", "-o", "p.png"], "3 x 5 inches are too small: the panels and"),
    "flat": (["--size", "8x2", "-o", "p.png"], "written around them take 3.2 x 5.2 inches"),
    "a layer": (
        ["--n-dft", "64", "--mel", "-o", "p.png"],
        "'o.h5' is an output: recordings alone are computed with --mel, --n-dft",
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
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        assert len(panels(figure_of(features, view=View(channels=tuple(range(64)))))) == 64


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
    assert ended.code == 2
    assert "'in' is a folder, and no output; name the recordings in it (in/*.wav), or" in ended.err
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
    assert (ended.code, ended.err) == (0, "1 recording drawn -> 'p.png'\n")
    program("spectrogram", "two.wav", "-o", "two.h5", "--n-dft", 128, "--n-hop", 32)
    assert program("plot", "two.h5", "-o", "q.png", "--channel", 1).code == 0
    assert Path("p.png").read_bytes() == Path("q.png").read_bytes()
    mel = ["--n-dft", 128, "--n-hop", 64, "--n-mels", 20, "--fmin", 100]
    assert program("plot", "two.wav", "-o", "mel.png", "--mel", *mel).code == 0
    program("melspectrogram", "two.wav", "-o", "mel.h5", "--power", 2, *mel)
    assert program("plot", "mel.h5", "-o", "mel 2.png").code == 0
    assert Path("mel.png").read_bytes() == Path("mel 2.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["two.wav", "key"], 2, "'two.wav' is a recording, not an output: it has no keys"),
        (["text.wav", "key"], 2, "and there is no file 'key'"),
        (["two.wav", "text.wav"], 1, "failed: 'text.wav': it is not WAV or FLAC"),
        (["two.wav", "text.wav"], 1, "1 recording of 2 cannot be drawn: there is no picture"),
        (["text.wav", "two.wav"], 1, "failed: 'text.wav': it is not WAV or FLAC"),
        (["two.wav", "fast.wav"], 1, "16,000 Hz, this run uses 8,000 Hz (use --resample, or --sr"),
        (["two.wav", "o.h5"], 2, "'o.h5' is an output, and 'two.wav' a recording; name"),
        (["two.wav", "in"], 2, "'in' is a folder, and 'two.wav' a recording; name"),
        (["o.h5", "two.wav", "in/0.wav"], 2, "; recordings are drawn without an output"),
        # Before it is found out, by reading it, that the recording is cut off.
        (["cut.wav", "--freq", "100:4001"], 2, "reach from 0 to 4,000 Hz; frequencies from 100 to"),
        (["cut.wav"], 1, "failed: 'cut.wav': "),
        (["two.wav", "--n-mels", 3], 2, "--n-mels describes mel bands: add --mel"),
        (["text.wav"], 1, "'text.wav': it is not WAV or FLAC: it begins with b'no audio'"),
        (["two.wav", "--channel", 5], 1, "failed: 'two.wav': "),
        (["two.wav", "--sr", 44100], 1, "--resample"),
    ],
)
def test_audio_that_cannot_be_drawn_is_told(
    arguments: list[Any], code: int, message: str, output: Path, program: Any
) -> None:
    assert output
    Path("text.wav").write_text("no audio")
    write_audio(Path("fast.wav"), reference.noise(1, 3000), 16000)
    Path("cut.wav").write_bytes(Path("two.wav").read_bytes()[:-1000])
    ended = program("plot", *arguments, "-o", "p.png")
    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert not Path("p.png").exists()


def test_recordings_are_drawn_on_one_sheet(output: Path, program: Any) -> None:
    assert output
    layer = ["--n-dft", 128, "--n-hop", 32]
    ended = program("plot", "in/3.wav", "two.wav", "in/3.wav", "-o", "p.png")
    assert (ended.code, ended.err) == (0, "2 recordings drawn -> 'p.png'\n")
    ended = program("plot", "in/3.wav", "two.wav", "-o", "q.png", *layer)
    program("spectrogram", "in/3.wav", "two.wav", "-o", "both.h5", *layer)
    assert program("plot", "both.h5", "-o", "r.png").code == 0
    assert Path("q.png").read_bytes() == Path("r.png").read_bytes()
    # Of two that are called the same, the names say which is which.
    write_audio(Path("in/two.wav"), reference.noise(1, 300), 16000)
    ended = program("plot", "two.wav", "in/two.wav", "-o", "p.svg", "--resample")
    assert ended.code == 0
    assert {"two.wav", "in/two.wav"} <= set(texts_of(Path("p.svg")))


def test_a_picture_says_how_it_can_be_made_again(output: Path, program: Any) -> None:
    assert output
    made = f"kapre-extract {kapre_cli.__version__}"
    assert program("plot", "two.wav", "-o", "p.svg").code == 0
    caption = f"n_dft 512, n_hop 128, Hann window, power 2; 8,000 Hz; {made}"
    assert caption in texts_of(Path("p.svg"))
    mel = ["--n-dft", 256, "--fmin", 100, "--fmax", 3000, "--n-mels", 20, "--htk"]
    more = ["--norm", "none", "--decibel", "--amin", 1e-7, "--padding", "valid"]
    rate = ["--sr", 7000, "--resample"]
    assert program("melspectrogram", "two.wav", "-o", "mel.h5", *mel, *more, *rate).code == 0
    caption = (
        "n_dft 256, n_hop 128, Hann window, padding valid, n_mels 20, fmin 100, fmax 3000, htk, "
        f"norm None, power 1, amin 1e-07; 7,000 Hz, resampled; {made}"
    )
    for size, n_lines in (("14x3", 1), ("9x3", 2), ("4x3", 3)):
        program("plot", "mel.h5", "-o", "mel.svg", "--size", size, "--overwrite")
        texts = texts_of(Path("mel.svg"))
        lines = texts[texts.index("Frequency (Hz)") + 1 :]
        assert (" ".join(lines), len(lines)) == (caption, n_lines)


def texts_of(picture: Path) -> list[str]:
    """Return the texts in an SVG, which are text there."""
    root = ElementTree.fromstring(picture.read_text())  # noqa: S314 - a picture of ours
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("command", "n_channels", "size"),
    [
        ("spectrogram", 1, None),
        ("melspectrogram", 12, None),
        ("melspectrogram", 1, (3.3, 2)),
        ("spectrogram", 6, (3.3, 9)),
        ("melspectrogram", 12, (3.3, 8.8)),
        ("spectrogram", 2, (14, 3)),
    ],
)
def test_clicks_in_what_is_long_are_seen(
    command: str, n_channels: int, size: Any, tmp_path: Path, program: Any
) -> None:
    signal = np.zeros((n_channels, 200_000))
    for number, channel in enumerate(signal):
        channel[10_000 + 7000 * number :: 100_000] = 1
    write_audio(tmp_path / "a.wav", signal)
    bands = ["--n-mels", 8] if command == "melspectrogram" else []
    program(command, tmp_path / "a.wav", "-o", tmp_path / "o.npy", "--n-dft", 32, *bands)
    with kapre_cli.open_features(tmp_path / "o.npy") as features:
        figure = figure_of(features, view=View(size=size))
    image = pixels(figure)
    for panel in panels(figure):
        rows, columns = panel.images[0].get_array().shape
        shown = panel_pixels(figure, panel, image)
        # A column or row of its own for each, or one of them might not be shown.
        assert columns <= shown.shape[1] + 2 * FRAME
        assert rows <= shown.shape[0] + 2 * FRAME
        bright = (shown.sum(axis=2) > 1.5).any(axis=0)
        assert np.diff(bright.astype(int)).clip(0).sum() == 2


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


SIDE_EFFECTS = """
import logging, sys, warnings
import matplotlib as mpl

def state():
    loggers = {name: one.level for name, one in logging.root.manager.loggerDict.items()
               if isinstance(one, logging.Logger) and name.split(".")[0] == "matplotlib"}
    settings = dict.items(mpl.rcParams)  # as they are; asking for the backend would choose one
    return {name: str(value) for name, value in settings}, loggers, list(warnings.filters)

mpl.rcParams["image.origin"] = "upper"
mpl.rcParams["font.size"] = 30
import matplotlib.figure, matplotlib.style
import kapre_cli.plotting.figure  # its imports make loggers
before = state()
from kapre_cli import open_features
from kapre_cli.plotting import View, figure_of
with open_features("o.h5") as features:
    figure = figure_of(features, "two.wav", View(time=(0.1, None), range=(-60, 0)))
figure.savefig("own.png", dpi=50)
assert isinstance(figure, matplotlib.figure.Figure)
assert state() == before
assert "matplotlib.pyplot" not in sys.modules
from kapre_cli.cli import run
assert run(["plot", "o.h5", "-o", "p.png", "--quiet"]) == 0
assert state() == before
"""


def test_drawing_from_python_changes_nothing_else(output: Path) -> None:
    assert output
    ended = subprocess.run(
        [sys.executable, "-c", SIDE_EFFECTS],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert mpl.image.imread("own.png").shape[1] == 450  # 9 inches


def test_a_sheet_from_python_is_that_of_the_command(output: Path, program: Any) -> None:
    options = ["--time", "0.1:", "--freq", "500:", "--range", "-60:0", "--size", "7.5x4"]
    assert program("plot", output, "two.wav", "-o", "p.png", "--cmap", "gray", *options).code == 0
    view = View(time=(0.1, None), freq=(500, None), range=(-60, 0), size=(7.5, 4), cmap="gray")
    with kapre_cli.open_features(output) as features:
        assert render(figure_of(features, ["two.wav"], view), "png") == Path("p.png").read_bytes()
        assert len(panels(figure_of(features))) == 4
        with pytest.raises(KeyError, match=r"'9\.wav'"):
            figure_of(features, "9.wav")
        with pytest.raises(UsageError, match="no key is named"):
            figure_of(features, [])
        for empty in (View(time=(2, 1)), View(freq=(2, 1)), View(range=(2, 1))):
            with pytest.raises(UsageError, match=r"2 .*to 1 |2 up to 1;"):
                figure_of(features, view=empty)
        with pytest.raises(UsageError, match="cannot be shown"):
            figure_of(features, view=View(freq=(math.nextafter(4000, 0), 4000)))
        least = figure_of(features, view=View(freq=(3999.9999, None)))
        assert len(render(least, "png")) > 10_000
    assert mpl.image.imread("p.png").shape == (800, 1500, 4)


def test_an_output_without_arrays_has_nothing_to_draw(tmp_path: Path, program: Any) -> None:
    audio = write_audio(tmp_path / "a.wav", reference.noise(1, 2000))
    empty, picture = tmp_path / "empty.h5", tmp_path / "p.png"
    assert program("spectrogram", audio, "-o", empty, "--shard", "1/2").code == 0
    ended = program("plot", empty, "-o", picture)
    assert (ended.code, picture.exists()) == (2, False)
    assert f"there is nothing to draw of '{empty}': it has no arrays" in ended.err


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
