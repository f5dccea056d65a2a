"""Frames and pads against TensorFlow's own SAME padding, and against counting."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kapre_cli.framing import Framing, spans

SMALL = st.integers(1, 60)


@given(length=SMALL, n_dft=st.integers(2, 60), n_hop=SMALL)
def test_same_pads_where_tensorflow_pads(length: int, n_dft: int, n_hop: int) -> None:
    framing = Framing(n_dft, n_hop, "same")
    signal = np.arange(1.0, length + 1, dtype="float32")
    # A convolution with a kernel that picks one tap shows what lies under that tap.
    for tap in (0, n_dft - 1):
        kernel = np.zeros((n_dft, 1, 1), "float32")
        kernel[tap] = 1
        under = tf.nn.conv1d(signal[None, :, None], kernel, n_hop, "SAME")[0, :, 0].numpy()
        padded = np.pad(signal, framing.pads(length))
        starts = np.arange(framing.n_time(length)) * n_hop
        np.testing.assert_array_equal(padded[starts + tap], under)


@given(
    length=SMALL, n_dft=st.integers(2, 60), n_hop=SMALL, padding=st.sampled_from(["same", "valid"])
)
def test_spans_cover_each_frame_where_it_lies(
    length: int, n_dft: int, n_hop: int, padding: str
) -> None:
    framing = Framing(n_dft, n_hop, padding)
    if padding == "valid" and length < n_dft:
        with pytest.raises(ValueError, match=f"length={length}, n_dft={n_dft}"):
            framing.n_time(length)
        return
    n_time = framing.n_time(length)
    whole = framing.span(length, 0, n_time)
    assert whole[0] == -framing.pads(length)[0]
    for first, count in spans(n_time, 3):
        start, stop = framing.span(length, first, count)
        assert start == whole[0] + first * n_hop
        assert stop - start == framing.n_samples(count) == (count - 1) * n_hop + n_dft
    if padding == "same":
        assert n_time == -(-length // n_hop)
    else:
        assert whole[1] <= length < whole[1] + n_hop


@given(st.integers(0, 200), SMALL)
def test_spans_follow_one_another(n_frames: int, at_most: int) -> None:
    covered = [first + i for first, count in spans(n_frames, at_most) for i in range(count)]
    assert covered == list(range(n_frames))
    assert all(1 <= count <= at_most for _, count in spans(n_frames, at_most))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_frame_times_are_where_a_click_is_loudest(padding: str) -> None:
    # A click in the middle of a frame's window is where that frame has the most power.
    from scipy.signal import get_window

    framing, sr = Framing(64, 16, padding), 1000
    length = 1000
    start, step = framing.times(length, sr)
    window = get_window("hann", 64, fftbins=True)
    for frame in (5, 20, 40):
        centre = round((start + frame * step) * sr)
        weights = []
        for other in range(framing.n_time(length)):
            first = framing.span(length, other, 1)[0]
            inside = 0 <= centre - first < 64
            weights.append(window[centre - first] if inside else 0.0)
        assert int(np.argmax(weights)) == frame
        assert max(weights) == pytest.approx(1.0)


@given(
    n_dft=st.integers(2, 64),
    n_hop=st.integers(1, 40),
    padding=st.sampled_from(["same", "valid"]),
    length=st.integers(64, 2000),
    start=st.floats(0, 2100),
    size=st.floats(0, 2100),
)
def test_frames_between_are_those_whose_centres_lie_there(
    n_dft: int, n_hop: int, padding: str, length: int, start: float, size: float
) -> None:
    framing = Framing(n_dft, n_hop, padding)
    time_start, time_step = framing.times(length, 1)
    centres = time_start + np.arange(framing.n_time(length)) * time_step
    first, count = framing.frames_between(length, start, start + size)
    near = 1e-5 * n_hop  # such positions are rounded
    for number, centre in enumerate(centres):
        if abs(centre - start) > near and abs(centre - start - size) > near:
            assert (first <= number < first + count) == (start <= centre < start + size)


def test_stretches_that_adjoin_have_each_frame_once() -> None:
    framing, sr = Framing(512, 100, "same"), 22050
    borders = [0.1 * number for number in range(51)]
    parts = [
        framing.frames_between(5 * sr, start * sr, end * sr) for start, end in pairwise(borders)
    ]
    position = 0
    for first, count in parts:
        assert first == position
        position += count
    assert position == framing.n_time(5 * sr)
